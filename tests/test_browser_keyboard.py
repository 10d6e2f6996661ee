"""From choosing files to the zip of results without a pointer: everything is reached, seen and left by keyboard."""

from __future__ import annotations

import threading
import zipfile
from pathlib import Path
from typing import Any

import pytest
from conftest import browsing

from tests.page_states import to_paper

pytestmark = pytest.mark.browser

#: Of what has the focus: what shows it, how that is outlined, and whether any of it is in sight, beside the bar that
#: stays at the foot of the form.
FOCUSED = """() => {
    const at = document.activeElement;
    const by = at.matches(".file-input") ? at.labels[0] : at.closest(".mode, .compare.is-live") || at;
    const bar = document.querySelector(".runbar");
    const end = !bar || bar.contains(at) ? innerHeight : bar.getBoundingClientRect().top;
    const box = by.getBoundingClientRect(), style = getComputedStyle(by);
    return {
        what: at.outerHTML.slice(0, 150),
        outlined: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
        inSight: box.bottom > 0 && box.top < end && box.width > 0 && box.right > 0 && box.left < innerWidth,
    };
}"""


def tab_to(page: Any, wanted: Any, most: int = 120) -> None:
    """Press Tab until it has the focus, and look at everything that has it on the way."""
    for _ in range(most):
        page.keyboard.press("Tab")
        focused = page.evaluate(FOCUSED)
        assert focused["outlined"] and focused["inSight"], focused
        if wanted.evaluate("element => element === document.activeElement"):
            return
    raise AssertionError(f"Tab does not lead to {wanted}")


def test_from_files_to_results_by_keyboard(
    browser: Any, server: str, photos: list[Path], runner: threading.Event
) -> None:
    with browsing(browser, server) as open_page:
        page = open_page("/", viewport={"width": 1280, "height": 720}, reduced_motion="reduce")  # it scrolls at once
        page.on("filechooser", lambda _: None)  # from now on such windows are not opened, but told
        keys = page.keyboard
        keys.press("Tab")
        keys.press("Enter")  # past the masthead
        assert page.evaluate("document.activeElement.id") == "main"
        tab_to(page, page.locator("#images"), most=1)
        with page.expect_file_chooser() as chooser:
            keys.press("Enter")
        chooser.value.set_files(photos)
        tab_to(page, page.get_by_role("button", name="Remove photo 2.jpg"))
        keys.press("Enter")
        assert page.locator("[data-files] li").count() == 2
        assert page.evaluate("document.activeElement.ariaLabel") == "Remove photo 3.jpg"
        tab_to(page, page.get_by_label("Kernel"))
        keys.type("7")  # a field that Tab leads to is selected
        tab_to(page, page.locator("[name=mode]:checked"))
        keys.press("ArrowRight")
        assert page.locator("[name=mode]:checked").input_value() == "compare"
        tab_to(page, page.locator("[data-run]"))
        keys.press("Enter")
        page.locator(".verdict-line").wait_for()

        tab_to(page, page.get_by_role("link", name="Download all results"))
        with page.expect_download() as download:
            keys.press("Enter")
        with zipfile.ZipFile(download.value.path()) as zipped:
            results = [name for name in zipped.namelist() if not name.startswith("about/")]
        assert sorted(results) == [
            f"photo {n}_{operation}.png" for n in (1, 3) for operation in ("canny", "equalize", "gaussian")
        ]

        tab_to(page, page.get_by_role("link", name="Next", exact=True))
        keys.press("Enter")
        assert page.locator("[data-at]").inner_text() == "2 of 2"
        tab_to(page, page.get_by_role("slider"))
        keys.press("ArrowRight")
        assert page.get_by_role("slider").input_value() == "51"
        tab_to(page, page.locator("[data-open]"))
        keys.press("Enter")
        assert page.get_by_role("dialog").is_visible()
        assert page.evaluate("Boolean(document.activeElement.closest('dialog'))")
        keys.press("Escape")
        assert page.evaluate("document.activeElement.hasAttribute('data-open')")
        tab_to(page, page.locator("[data-pick][aria-current]"))
        keys.press("ArrowLeft")
        assert page.locator("[data-at]").inner_text() == "1 of 2"
        keys.press("Tab")  # the other pictures are no stops
        assert not page.evaluate("document.activeElement.hasAttribute('data-pick')")
        tab_to(page, page.get_by_role("contentinfo").get_by_role("link").last)


def test_by_one_click_to_a_verdict_and_by_two_more_to_paper(browser: Any, server: str, runner: threading.Event) -> None:
    with browsing(browser, server) as open_page:
        to_paper(open_page())
