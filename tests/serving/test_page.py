"""The page in a real browser: mouse, keyboard, phone, dark mode, contrast."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from toy_bundle import make_bundle

pytest.importorskip("fastapi", reason="the serve extra is not installed")
pytest.importorskip("uvicorn", reason="the serve extra is not installed")
pytest.importorskip("playwright", reason="the test extra is not installed")
from live_server import running
from real_browser import CONTRAST, chromium

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium without a window."""
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A server of the toy bundle."""
    with running(make_bundle()) as found:
        yield found


@pytest.fixture
def visit(browser: Any, address: str) -> Iterator[Any]:
    """Opens the page; in the end, nothing was said on the console, failed, or asked of anybody else."""
    faults: list[str] = []
    contexts = []

    def open_page(hash: str = "", **options: Any) -> Any:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("console", lambda said: faults.append(f"console: {said.text}"))
        page.on("pageerror", lambda error: faults.append(f"error: {error}"))
        page.on(
            "request",
            lambda asked: None if asked.url.startswith(address) else faults.append(f"asked {asked.url}"),
        )
        page.on(
            "response",
            lambda given: None if given.status < 400 else faults.append(f"{given.status} {given.url}"),
        )
        page.goto(f"{address}/{hash}")
        page.wait_for_selector("#starters button", state="attached")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []


def until(page: Any, expression: str) -> None:
    """Wait for an expression; Playwright's own wait needs eval, which the page's policy forbids."""
    deadline = time.monotonic() + 15
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, expression
        page.wait_for_timeout(30)


def add(page: Any, words: str) -> None:
    """Search and take the first title."""
    before = page.locator("#history li").count()
    page.fill("#search", words)
    page.wait_for_selector(f"#found li:has-text('Item <{words.split()[-1]}>')")
    page.press("#search", "Enter")
    until(page, f"document.querySelectorAll('#history li').length === {before + 1}")
    settled(page)


def settled(page: Any) -> None:
    """Wait until the list belongs to the history."""
    until(
        page,
        "document.querySelectorAll('#recommended li').length === 10"
        " && !document.querySelector('#recommended.busy')",
    )


def titles(page: Any) -> list[str]:
    """What is recommended."""
    return page.locator("#recommended .name").all_inner_texts()  # type: ignore[no-any-return]


def interests(page: Any) -> list[str]:
    """The interests that are lit."""
    return page.locator("#interests .switch[aria-pressed=true] .name").all_inner_texts()  # type: ignore[no-any-return]


def test_a_history_lights_interests_up_and_one_is_switched_off(visit: Any) -> None:
    page = visit()
    assert page.locator("#starters button").count() == 5
    add(page, "item 4")
    first, lit = titles(page), interests(page)
    assert len(first) == 10 and lit
    add(page, "item 7")
    add(page, "item 12")
    assert titles(page) != first
    assert page.locator("#history .code").count() == 6
    assert page.locator("#recommended .code").count() == 20
    assert "10 recommendations" in page.inner_text("#status")
    before, lit = titles(page), interests(page)
    widths = page.locator("#interests .meter i").evaluate_all("all => all.map(node => node.offsetWidth)")
    assert max(widths) > 0
    page.click("#interests .switch >> nth=0")
    page.wait_for_selector("#interests .switch[aria-pressed=false]")
    settled(page)
    assert lit[0] not in interests(page)
    assert titles(page) != before
    # what the address says is what another visitor sees
    again = visit(page.evaluate("location.hash"))
    settled(again)
    assert titles(again) == titles(page)
    assert again.locator("#interests .switch[aria-pressed=false] .name").all_inner_texts() == [lit[0]]
    # back is undo
    page.go_back()
    page.wait_for_selector("#interests .switch[aria-pressed=false]", state="detached")
    settled(page)
    assert titles(page) == before
    page.click("#history button >> nth=1")
    until(page, "document.querySelectorAll('#history li').length === 2")
    page.click("#clear")
    until(page, "document.querySelectorAll('#recommended li').length === 0")
    assert page.evaluate("location.hash") == ""


def test_starters_and_recommendations_are_added_with_a_click(visit: Any) -> None:
    page = visit()
    page.click("#starters button >> nth=0")
    settled(page)
    assert page.locator("#history li").count() == 3
    name = titles(page)[0]
    page.click("#recommended button >> nth=0")
    until(page, "document.querySelectorAll('#history li').length === 4")
    settled(page)
    assert page.locator("#history .name").all_inner_texts()[-1] == name
    assert name not in titles(page)


def test_all_of_it_works_by_keyboard(visit: Any) -> None:
    page = visit()

    def focused() -> str:
        return page.evaluate(  # type: ignore[no-any-return]
            "() => { const n = document.activeElement;"
            " return n.getAttribute('aria-label') || n.id || n.textContent; }"
        )

    def tab_to(words: str) -> None:
        for _ in range(40):
            page.keyboard.press("Tab")
            if words in focused():
                return
        raise AssertionError(f"{words} is not reached with the tab key")

    tab_to("search")
    for words, down in (("item 2", 0), ("item 1", 1), ("item 3", 0)):
        count = page.locator("#history li").count()
        page.keyboard.type(words)
        page.wait_for_selector("#found li[aria-selected=true]")
        until(page, f"document.querySelector('#found li').textContent.includes('<{words[-1]}')")
        for _ in range(down):
            page.keyboard.press("ArrowDown")
        active = page.get_attribute("#search", "aria-activedescendant")
        assert page.get_attribute(f"#{active}", "aria-selected") == "true"
        page.keyboard.press("Enter")
        until(page, f"document.querySelectorAll('#history li').length === {count + 1}")
        settled(page)
    page.keyboard.type("item")
    page.wait_for_selector("#found li")
    page.keyboard.press("Escape")
    assert page.get_attribute("#search", "aria-expanded") == "false"
    before = titles(page)
    tab_to("interest-")
    which = focused()
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
    assert outline == "3px"
    page.keyboard.press("Space")
    page.wait_for_selector(f"#{which}[aria-pressed=false]")
    settled(page)
    assert focused() == which
    assert titles(page) != before
    page.keyboard.press("Enter")
    page.wait_for_selector(f"#{which}[aria-pressed=true]")
    settled(page)
    assert titles(page) == before
    page.focus("#search")
    tab_to("Remove")
    page.keyboard.press("Enter")
    until(page, "document.querySelectorAll('#history li').length === 2")
    settled(page)
    assert "Remove" in focused()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_controls_keep_the_contrast_of_wcag_aa(visit: Any, scheme: str) -> None:
    page = visit("#items=i4,i7,i12", color_scheme=scheme, reduced_motion="reduce")
    settled(page)
    page.click("#interests .switch >> nth=0")
    page.wait_for_selector("#interests .switch[aria-pressed=false]")
    settled(page)
    page.click("#others summary")
    page.fill("#search", "item")
    page.wait_for_selector("#found li")
    found = page.evaluate(CONTRAST)
    assert found["checked"] > 60
    assert found["failed"] == []
    empty = visit(color_scheme=scheme)
    assert empty.evaluate(CONTRAST)["failed"] == []


def test_a_phone_scrolls_one_way_only(visit: Any) -> None:
    page = visit("#items=i4,i7,i12", viewport={"width": 320, "height": 640}, is_mobile=True, has_touch=True)
    settled(page)
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    small = page.locator("button").evaluate_all(
        "all => all.filter((node) => node.checkVisibility()"
        " && Math.min(node.offsetHeight, node.offsetWidth) < 24).length"
    )
    assert small == 0


def test_the_docs_list_the_routes_and_try_them(visit: Any, address: str) -> None:
    page = visit()
    page.goto(f"{address}/docs")
    page.wait_for_selector("section:has-text('/recommend') textarea")
    assert page.locator("section").count() == 9
    page.click("section:has-text('POST /recommend') button")
    until(page, "document.querySelector('section pre').textContent.startsWith('200')")
    assert page.evaluate(CONTRAST)["failed"] == []
