"""The page in a real browser, from a file and without a network: light, dark, phone, keyboard, contrast."""

from collections.abc import Iterator
from typing import Any

import pytest
from real_browser import CONTRAST, chromium

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium without a window."""
    with chromium() as started:
        yield started


@pytest.fixture
def visit(browser: Any, address: str) -> Iterator[Any]:
    """Opens the page; in the end, nothing was said on the console, failed, or asked of anybody."""
    faults: list[str] = []
    contexts = []

    def open_page(**options: Any) -> Any:
        context = browser.new_context(offline=True, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("console", lambda said: faults.append(f"console: {said.text}"))
        page.on("pageerror", lambda error: faults.append(f"error: {error}"))
        page.on("dialog", lambda said: faults.append(f"dialog: {said.message}"))
        page.on(
            "request",
            lambda asked: None if asked.url.startswith(address) else faults.append(f"asked {asked.url}"),
        )
        page.goto(address)
        page.wait_for_selector("html[data-drawn=all]")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []


def test_the_page_is_drawn_searched_and_opened_by_keyboard(visit: Any) -> None:
    page = visit(viewport={"width": 1280, "height": 900})
    assert page.locator(".chart").count() == page.locator(".chart svg").count() == 14
    assert page.evaluate(CONTRAST)["failed"] == []

    # an item is found by title, picked and enlarged, all by keyboard; pointing at it shows its title as text
    page.focus("#find")
    page.keyboard.type("item & 7")
    page.wait_for_selector("#hits button")
    assert page.inner_text("#found") == "1 item"
    page.keyboard.press("Tab")
    for _ in range(3):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    title = "<img src=x onerror=alert(7)> Item & 7"
    assert page.inner_text("#picked").startswith(title)
    assert "ID " in page.inner_text("#picked")
    for _ in range(6):
        page.click("#nearer")
    page.locator("#plane").scroll_into_view_if_needed()
    box = page.locator("#plane canvas").bounding_box()
    assert box is not None
    for step in (0, 1):
        page.mouse.move(box["x"] + box["width"] / 2 + step, box["y"] + box["height"] / 2)
    page.wait_for_selector("#map-tip.visible")
    assert page.inner_text("#map-tip b") == title

    # a prototype alone, then all again
    chip = page.locator("#chips .chip").first
    chip.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#chips .chip[aria-pressed=true]")
    page.focus("#plane")
    for key in ("-", "ArrowLeft", "ArrowDown", "+"):
        page.keyboard.press(key)
    drawn = "document.querySelector('#plane canvas').toDataURL()"
    box = page.locator("#plane canvas").bounding_box()
    page.mouse.move(box["x"] + 300, box["y"] + 300)
    page.wait_for_timeout(100)
    before = page.evaluate(drawn)
    page.mouse.down()
    page.mouse.move(box["x"] + 200, box["y"] + 200, steps=3)
    page.mouse.up()
    page.wait_for_timeout(50)
    assert page.evaluate(drawn) != before
    page.click("#whole")
    page.wait_for_selector("#chips .chip[aria-pressed=true]", state="detached")
    assert page.inner_text("#picked") == ""

    # the tree, level by level
    page.focus("#tree summary >> nth=0")
    page.keyboard.press("Enter")
    leaf = page.locator("#tree details[open] .leaf").first
    leaf.wait_for()
    assert "<img src=x" in leaf.inner_text()


def test_charts_tell_their_figures(visit: Any) -> None:
    page = visit(viewport={"width": 1280, "height": 900})
    models = page.locator("#leaderboard .chart").first
    labels = models.locator("[role=graphics-symbol]").evaluate_all(
        "all => all.map(node => node.getAttribute('aria-label'))"
    )
    assert any("G2Rec" in label and "0.3" in label for label in labels)
    models.locator("path[aria-label*=G2Rec]").first.hover()
    page.wait_for_selector("#vg-tooltip-element.visible")
    assert "0.3000" in page.inner_text("#vg-tooltip-element")


def test_a_phone_shows_all_of_it_at_night(visit: Any) -> None:
    page = visit(viewport={"width": 390, "height": 844}, color_scheme="dark", has_touch=True)
    ground = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(ground) == "rgb(22, 24, 28)"
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert page.evaluate(CONTRAST)["failed"] == []
    assert page.evaluate(CONTRAST)["checked"] > 100
    page.emulate_media(color_scheme="light")
    assert page.evaluate(ground) == "rgb(253, 253, 251)"
    assert page.evaluate(CONTRAST)["failed"] == []
