"""The preview in a real browser: the form shows the operations on its first image while their parameters move."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeRun, browsing, jpeg

from imgproc.operations import DEFAULT_OPERATIONS
from imgproc.runs.store import Store
from imgproc.settings import Settings

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("unmeasured")]
PHONE = {"width": 390, "height": 844}
Open = Callable[..., Any]


@pytest.fixture
def browse(browser: Any, server: str) -> Iterator[Open]:
    with browsing(browser, server) as open_page:
        yield open_page


def picture(page: Any, operation: str = "canny") -> Any:
    return page.locator(f"[data-preview-of={operation}] img")


def said(page: Any, text: str) -> None:
    page.locator("[data-preview-say]", has_text=text).wait_for()


def changed(page: Any, before: str, operation: str = "canny") -> str:
    """The picture's address once it is another one."""
    found = "([o, old]) => { const src = document.querySelector(`[data-preview-of=${o}] img`).src; return src !== old }"
    page.wait_for_function(found, arg=[operation, before])
    source: str = picture(page, operation).get_attribute("src")
    return source


def watch(page: Any) -> Callable[[], list[list[Any]]]:
    """Gives, of every preview asked for from now on, whether the image went along, and the operations."""
    page.evaluate("""() => {
        const ask = fetch;
        window.sent = [];
        window.fetch = (address, what) => {
            sent.push([what.body.has("images"), what.body.get("operations")]);
            return ask(address, what);
        };
    }""")
    return lambda: page.evaluate("sent")


def places(page: Any) -> list[float]:
    """How far below the beginning of their part the parameters stand."""
    tops: list[float] = page.evaluate("""() => {
        const top = (element) => element.getBoundingClientRect().top, part = document.querySelector("[data-preview]");
        return [...document.querySelectorAll(".op-in")].map((box) => top(box) - top(part));
    }""")
    return tops


@pytest.mark.parametrize("size", [{"width": 1280, "height": 900}, PHONE], ids=["desktop", "phone"])
def test_pictures_follow_the_parameters(browse: Open, photos: list[Path], size: dict[str, int]) -> None:
    page = browse(viewport=size)
    sent = watch(page)
    said(page, "Choose an image above")
    page.set_input_files("#images", photos)
    said(page, "photo 1.jpg")
    tops = places(page)  # the space is there before the pictures are
    said(page, "Shown small: photo 1.jpg, 240\u00a0×\u00a0160")
    for operation in DEFAULT_OPERATIONS:
        assert picture(page, operation).evaluate("image => image.naturalWidth") == 240
    before = picture(page).get_attribute("src")
    page.get_by_label("Low threshold").fill("20")
    page.get_by_label("High threshold").fill("30")
    second = changed(page, before)
    page.get_by_label("Aperture").select_option("5")
    third = changed(page, second)
    page.locator("#kernel + .op-slide").fill("0.5")
    assert page.get_by_label("Kernel").input_value() == "13"  # a quarter of the way to ten times 5
    said(page, "Shown small")
    page.wait_for_timeout(400)
    assert places(page) == tops
    first, *later = sent()
    assert first == [True, ",".join(DEFAULT_OPERATIONS)]  # and then only what is not shown yet
    assert [False, "canny"] in later and later[-1] == [False, "gaussian"] and not any(image for image, _ in later)
    assert picture(page).get_attribute("alt") == "photo 1.jpg, Canny edges"
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    page.get_by_label("Colour").evaluate(
        "e => { e.value = 'on'; e.dispatchEvent(new Event('input', {bubbles: true})) }"
    )
    changed(page, third)
    assert sent()[-1] == [False, ",".join(DEFAULT_OPERATIONS)]
    page.get_by_label("Gaussian blur").uncheck()
    page.wait_for_timeout(400)
    assert len(sent()) == len(later) + 2
    page.get_by_role("button", name="Remove photo 1.jpg").click()
    said(page, "Shown small: photo 2.jpg")
    page.get_by_role("button", name="Remove all").click()
    said(page, "Choose an image above")
    assert picture(page).is_hidden()


def test_a_wrong_value_is_told_at_its_field_and_takes_no_focus(browse: Open, photos: list[Path]) -> None:
    page = browse()
    page.set_input_files("#images", photos[:1])
    said(page, "Shown small")
    page.get_by_label("Low threshold").fill("300")
    page.get_by_label("High threshold").focus()
    page.locator("#canny_low.is-invalid").wait_for()
    assert "must not be above" in page.locator("#canny_low-h").inner_text()
    assert page.locator("[data-preview].is-stale").count() == 1 and page.locator("[data-problem]").is_hidden()
    assert page.evaluate("document.activeElement.id") == "canny_high"
    page.wait_for_timeout(600)  # leaving the field takes the mark away, but the value is as wrong as before
    assert page.locator("#canny_low.is-invalid").count() == 1
    page.get_by_label("Kernel").fill("4")
    said(page, "Kernel cannot be “4”. Allowed: odd, 1 to 301, or 0.")  # without asking the server
    assert page.locator(".is-invalid").get_attribute("id") == "kernel"
    page.get_by_label("Kernel").fill("5")
    page.get_by_label("High threshold").fill("400")
    said(page, "Shown small")
    assert page.locator(".is-invalid").count() == 0 and page.locator("#canny_low-h").inner_text() == "0 to 240000"


def test_a_chain_is_shown_once_its_name_is_whole_and_follows_the_parameters_of_its_parts(
    browse: Open, photos: list[Path]
) -> None:
    page = browse()
    chain = page.locator("[data-preview-chain]")
    page.set_input_files("#images", photos[:1])
    said(page, "Shown small")
    assert not chain.is_visible()
    sent = watch(page)
    page.get_by_label("One after another").press_sequentially("gaussian + canny")
    page.wait_for_function("() => document.querySelector('[data-preview-chain] img').src")
    assert chain.locator("figcaption").inner_text().startswith("blur, then edges: ")
    before = chain.locator("img").get_attribute("src")
    assert sent() == [[False, "gaussian+canny"]] and page.locator(".is-invalid").count() == 0
    page.get_by_label("Kernel").fill("9")
    page.wait_for_function("old => document.querySelector('[data-preview-chain] img').src !== old", arg=before)
    assert sent()[-1] == [False, "gaussian,gaussian+canny"]
    page.get_by_label("One after another").fill("gaussian+cann")
    chain.wait_for(state="hidden")
    page.get_by_label("Low threshold").fill("50")
    said(page, "Shown small")
    page.wait_for_function("() => sent.length === 3")
    assert sent()[-1] == [False, "canny"]


def test_a_refused_file_says_why(browse: Open, tmp_path: Path) -> None:
    (tmp_path / "cut.jpg").write_bytes(jpeg()[:900])
    page = browse()
    page.set_input_files("#images", tmp_path / "cut.jpg")
    said(page, "The file ends in the middle of the picture")
    assert "in the middle of the picture" in page.locator("[data-files] .is-bad").inner_text()


def test_an_image_that_is_no_longer_kept_is_sent_again(browse: Open, photos: list[Path], settings: Settings) -> None:
    page = browse()
    sent = watch(page)
    page.set_input_files("#images", photos[:1])
    said(page, "Shown small")
    before = picture(page).get_attribute("src")
    for folder in settings.UPLOADS_DIR.glob("preview-*"):
        shutil.rmtree(folder)
    page.get_by_label("Low threshold").fill("0")
    changed(page, before)
    assert sent() == [[True, ",".join(DEFAULT_OPERATIONS)], [False, "canny"], [True, "canny"]]


def test_it_waits_while_a_run_is_measured(browse: Open, photos: list[Path], make_run: MakeRun, store: Store) -> None:
    run = make_run(state="running")
    page = browse()
    sent = watch(page)
    page.set_input_files("#images", photos[:1])
    said(page, "A run is being measured; the preview waits")
    assert not picture(page).get_attribute("src")
    run.state = "done"
    store.finish(run)
    said(page, "Shown small")
    assert [image for image, _ in sent()] == [True, False]


def test_without_scripts_a_button_opens_it_beside_the_form(browse: Open, photos: list[Path]) -> None:
    page = browse(java_script_enabled=False, viewport=PHONE)
    page.set_input_files("#images", photos)
    page.get_by_label("Kernel").fill("9")
    with page.context.expect_page() as opened:
        page.get_by_role("button", name="Try on the first picture").click()
    preview = opened.value
    preview.get_by_role("heading", name="photo 1.jpg").wait_for()
    assert preview.locator("img").count() == 1 + len(DEFAULT_OPERATIONS)
    assert "Kernel" in preview.locator(".preview-set").last.inner_text() and preview.get_by_text("% of the").count()
    assert page.url.endswith("/") and page.get_by_label("Kernel").input_value() == "9"
    assert page.locator("#images").evaluate("input => input.files.length") == 3
