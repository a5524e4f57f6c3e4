"""A real Chromium for the tests of pages, and what WCAG AA asks of their contrast."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

CONTRAST = """() => {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  const over = (colours) => {  // paint them over each other, the lowest first
    pen.fillStyle = "#fff";
    pen.fillRect(0, 0, 1, 1);
    for (const colour of colours) { pen.fillStyle = colour; pen.fillRect(0, 0, 1, 1); }
    return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (rgb) => rgb.map((c) => c / 255)
    .map((c) => (c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4))
    .reduce((sum, c, at) => sum + c * [.2126, .7152, .0722][at], 0);
  const ratio = (a, b) => (Math.max(light(a), light(b)) + .05) / (Math.min(light(a), light(b)) + .05);
  const below = (node) => {
    const found = [];
    for (let at = node; at; at = at.parentElement) found.unshift(getComputedStyle(at).backgroundColor);
    return found;
  };
  const failed = [];
  let checked = 0;
  for (const node of document.querySelectorAll("body *")) {
    const said = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    if (!(said || node.matches("input")) || !node.checkVisibility()) continue;
    const style = getComputedStyle(node), grounds = below(node);
    const ink = node instanceof SVGElement ? style.fill : style.color;
    const seen = ratio(over([...grounds, ink]), over(grounds));
    const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    checked += 1;
    const what = `${node.getAttribute("class")} ${node.textContent.slice(0, 30)}`;
    if (seen < (large ? 3 : 4.5)) failed.push(`${what}: ${seen.toFixed(2)}`);
  }
  for (const node of document.querySelectorAll("button, input")) {  // controls are told from the ground
    if (!node.checkVisibility()) continue;
    const own = getComputedStyle(node), grounds = below(node.parentElement);
    const seen = ratio(over([...grounds, own.borderTopColor]), over(grounds));
    if (seen < 3) failed.push(`border of ${node.id || node.textContent}: ${seen.toFixed(2)}`);
  }
  return { failed, checked };
}"""


@contextmanager
def chromium() -> Iterator[Any]:
    """Chromium without a window; skips where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="the test extra is not installed")
    named = os.environ.get("G2REC_TEST_BROWSER")
    program = named or next((path for name in _NAMES if (path := shutil.which(name))), None)
    if program is None:
        pytest.skip("no Chromium found; install one or name it in G2REC_TEST_BROWSER")
    with playwright.sync_playwright() as player:
        started = player.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()
