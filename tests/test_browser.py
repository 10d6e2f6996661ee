"""The pages in a real browser. Any console error, script error or CSP violation fails a test."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from conftest import MakeRun, browsing, jpeg

from imgproc.measure.results import Progress
from imgproc.runs.record import Record
from imgproc.runs.store import Store
from imgproc.settings import Settings

pytestmark = pytest.mark.browser
PHONE = {"width": 390, "height": 844}
Open = Callable[..., Any]


@pytest.fixture
def browse(browser: Any, server: str) -> Iterator[Open]:
    with browsing(browser, server) as open_page:
        yield open_page


@pytest.fixture
def note(tmp_path: Path) -> Path:
    """A file that is no picture, whatever its name says."""
    path = tmp_path / "note.jpg"
    path.write_text("not a picture")
    return path


def overflow(page: Any) -> int:
    wide: int = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return wide


def cut(page: Any) -> str:
    share: str = page.evaluate("document.querySelector('[data-compare]').style.getPropertyValue('--cut')")
    return share


def until(page: Any, expression: str) -> None:
    """Wait until it is true; Playwright's own way needs eval, which the pages forbid."""
    for _ in range(150):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(100)
    raise AssertionError(expression)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [{"width": 1280, "height": 900}, PHONE], ids=["desktop", "phone"])
def test_every_page_is_clean(browse: Open, make_run: MakeRun, scheme: str, size: dict[str, int]) -> None:
    runs = [
        make_run(bad=2), make_run(mode="sequential"), make_run(state="failed", error="The disk is full."),
        make_run(state="running"), make_run(state="queued"),
    ]  # fmt: skip
    page = browse(color_scheme=scheme, viewport=size)
    for path in ("/", "/runs", "/techniques", "/exhibits/gil", "/nothing", *(f"/runs/{run.id}" for run in runs)):
        page.goto(path)
        page.wait_for_timeout(120)
        assert overflow(page) <= 0, path
        if path == f"/runs/{runs[0].id}":
            page.get_by_text("The timeline in numbers").click()
            assert overflow(page) <= 0, path
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(252, 252, 251)" if scheme == "light" else "rgb(20, 23, 26)")


def test_theme_is_chosen_and_kept(browse: Open) -> None:
    page = browse(color_scheme="light")
    button = page.get_by_role("button", name="Theme")
    button.click()
    button.click()
    assert page.evaluate("document.documentElement.dataset.bsTheme") == "dark"
    page.goto("/techniques")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 26)"


def test_upload_progress_and_result(
    browse: Open, photos: list[Path], runner: threading.Event, store: Store, note: Path, tmp_path: Path
) -> None:
    heic = tmp_path / "phone.heic"
    heic.write_bytes(b"x" * 100)
    runner.clear()
    page = browse()
    page.set_input_files("#images", [*photos, note])
    page.set_input_files("#images", [heic])  # a second choice adds to the first
    assert page.locator("[data-chosen-title]").inner_text().startswith("5 files chosen")
    assert "HEIC is not read here" in page.locator("[data-files]").inner_text()
    page.get_by_role("button", name="Remove photo 3.jpg").click()
    assert "on 3 images" in page.locator("[data-say]").inner_text()
    assert "1 file left out" in page.locator("[data-say]").inner_text()
    page.locator("[data-run]").click()
    page.wait_for_url("**/runs/*")
    page.locator("[data-now]", has_text="Round 2 of 6, Threads").wait_for()
    assert page.locator("[data-detail]").inner_text() == ", image 2 of 3"
    assert page.locator("[data-left]").inner_text() == "about 20\u00a0s left"
    assert (
        page.locator("progress").get_attribute("value")
        or page.evaluate("document.querySelector('progress').value") == 37
    )
    assert "note.jpg" in page.locator("#refused").inner_text()
    runner.set()
    page.locator(".verdict-line", has_text="Two images in").wait_for()
    rows, total = store.history()
    assert (total, rows[0].images, rows[0].state) == (1, 2, "done")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download all results").click()
    assert download.value.suggested_filename == f"speedup-lab-{rows[0].id}.zip"
    page.get_by_role("button", name="Run again").click()
    page.wait_for_url(lambda url: rows[0].id not in url)
    page.locator(".verdict-line").wait_for()


def test_a_refusal_is_shown_at_its_place_and_nothing_is_lost(browse: Open, photos: list[Path], note: Path) -> None:
    page = browse()
    page.set_input_files("#images", photos)
    page.get_by_text("Advanced options").click()
    page.get_by_label("Kernel").fill("4")
    page.get_by_role("spinbutton", name="Rounds").fill("9")
    page.locator("[data-run]").click()
    page.locator("#kernel.is-invalid").wait_for()
    assert page.locator("#kernel-h").inner_text() == "Kernel cannot be “4”. Allowed: odd, 1 to 301, or 0."
    assert page.evaluate("document.activeElement.id") == "kernel"
    page.get_by_label("Kernel").fill("5")
    page.get_by_label("Kernel").blur()
    assert page.locator("#kernel-h").inner_text() == "odd, 1 to 301, or 0"
    page.get_by_label("Low threshold").fill("300")  # only the server knows that this is above the high one
    page.get_by_label("Workers", exact=True).fill("900")  # and this does not matter to a sequential run
    page.get_by_label("Sequential").check()
    page.locator("[data-run]").click()
    page.locator("#canny_low.is-invalid").wait_for()
    assert "must not be above the high one" in page.locator("#canny_low-h").inner_text()
    assert page.get_by_role("spinbutton", name="Rounds").input_value() == "9"
    assert page.locator("[data-files] li").count() == 3
    page.get_by_label("Low threshold").fill("100")

    page.get_by_role("button", name="Remove all").click()
    page.set_input_files("#images", [note])
    page.locator("[data-run]").click()
    page.locator("[data-problem]").wait_for()
    assert "not an image" in page.locator("[data-files] .is-bad").inner_text()
    page.get_by_role("button", name="Remove note.jpg").click()
    page.locator("[data-run]").click()
    assert "Choose at least one image" in page.locator("[data-problem]").inner_text()


def test_drop_paste_and_folder(browse: Open, tmp_path: Path, settings: Settings) -> None:
    page = browse()
    page.evaluate(
        """() => {
            const give = (kind, name) => {
                const data = new DataTransfer();
                data.items.add(new File(["x".repeat(2000)], name, { type: "image/jpeg" }));
                const event = kind === "drop" ? new DragEvent("drop", { dataTransfer: data, bubbles: true })
                    : new ClipboardEvent("paste", { clipboardData: data, bubbles: true });
                document.querySelector("[data-drop]").dispatchEvent(event);
            };
            give("drop", "dropped.jpg");
            give("paste", "pasted.jpg");
        }"""
    )
    page.locator("[data-files] li").nth(1).wait_for()
    folder = tmp_path / "album"
    (folder / "inner").mkdir(parents=True)
    (folder / "one.jpg").write_bytes(jpeg())
    (folder / "inner" / "two.jpg").write_bytes(jpeg(seed=1))
    page.set_input_files("#folder", folder)
    names = page.locator("[data-files] .file-name").all_inner_texts()
    assert sorted(names[:2]) == ["dropped.jpg", "pasted.jpg"]
    assert sorted(names[2:]) == ["album/inner/two.jpg", "album/one.jpg"]
    page.locator("[data-run]").click()
    page.wait_for_url("**/runs/*")
    [record] = [Record.load(folder.parent) for folder in settings.RESULTS_DIR.glob("*/run.json")]
    assert [image.name for image in record.images] == names


def test_a_lost_server_loses_nothing(browse: Open, photos: list[Path]) -> None:
    page = browse()
    page.set_input_files("#images", photos)
    page.route("**/process", lambda route: route.abort())
    page.locator("[data-run]").click()
    page.locator("[data-problem]", has_text="could not be reached").wait_for()
    assert page.locator("[data-files] li").count() == 3
    assert page.locator("[data-run]").is_enabled()


def test_cancel_an_upload(browse: Open, photos: list[Path]) -> None:
    page = browse()
    page.set_input_files("#images", photos)
    page.route("**/process", lambda route: None)  # never answered
    page.locator("[data-run]").click()
    page.get_by_role("button", name="Cancel upload").click()
    page.locator("[data-run]:enabled").wait_for()
    assert page.locator("[data-upload]").is_hidden()
    assert page.locator("[data-files] li").count() == 3


def test_gallery_by_keyboard(browse: Open, make_run: MakeRun) -> None:
    page = browse(f"/runs/{make_run(images=4).id}")
    slider = page.get_by_role("slider")
    slider.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert cut(page) == "52%"
    page.keyboard.press("Home")
    assert cut(page) == "0%"
    page.get_by_role("link", name="Next").focus()
    page.keyboard.press("Enter")
    assert page.locator("[data-name]").inner_text() == "photo 2.jpg"
    assert page.locator("[data-at]").inner_text() == "2 of 4"
    page.get_by_role("link", name="Blur", exact=True).press("Enter")
    assert page.locator("[data-result]").get_attribute("src").endswith("0001_gaussian.jpg")
    assert "photo%202_gaussian.png" in page.locator("[data-open]").get_attribute("href")
    page.locator("[data-pick]").nth(1).focus()
    page.keyboard.press("End")
    assert page.locator("[data-name]").inner_text() == "photo 4.jpg"
    assert page.evaluate("document.activeElement.dataset.file") == "photo 4.jpg"
    loaded = page.evaluate(
        "[...document.querySelectorAll('[data-compare] img')].map(i => i.decode().then(() => i.naturalWidth))"
    )
    assert loaded or page.evaluate("document.querySelector('[data-result]').naturalWidth") > 0
    page.get_by_role("link", name="Open at 100").press("Enter")
    assert page.get_by_role("dialog").is_visible()
    page.keyboard.press("Escape")
    assert page.get_by_role("dialog").is_hidden()


def test_a_picture_at_100_percent_has_its_results_the_original_neighbours_and_keys(
    browse: Open, make_run: MakeRun, settings: Settings
) -> None:
    run = make_run(images=2)
    made = settings.RESULTS_DIR / run.id / "images"
    for name in ("canny", "gaussian"):  # larger than the window
        cv2.imwrite(str(made / f"photo 1_{name}.png"), np.full((3000, 4000), 90, np.uint8))
    page = browse(f"/runs/{run.id}", viewport=PHONE)
    page.get_by_role("link", name="Open at 100").click()
    dialog, image = page.get_by_role("dialog"), page.locator("[data-zoom-image]")
    scrolled = "area => [area.scrollLeft + area.clientWidth / 2, area.scrollTop + area.clientHeight / 2]"
    area = dialog.locator("[data-zoom-area]")
    until(page, "document.querySelector('[data-zoom-area]').scrollLeft > 1000")
    x, y = area.evaluate(scrolled)
    assert abs(x - 2000) < 2 and abs(y - 1500) < 2
    box = area.bounding_box()
    page.mouse.move(box["x"] + 150, box["y"] + 150)
    page.mouse.down()
    page.mouse.move(box["x"] + 50, box["y"] + 110)
    page.mouse.up()
    assert area.evaluate(scrolled) == [x + 100, y + 40]
    dialog.get_by_role("button", name="Blur").click()
    assert image.get_attribute("src").endswith("photo%201_gaussian.png")
    until(page, "document.querySelector('[data-zoom-image]').complete")
    assert area.evaluate(scrolled) == [x + 100, y + 40]  # the same place of it
    page.keyboard.press("b")
    assert image.get_attribute("src").endswith("previews/0000.jpg") and "original" in image.get_attribute("alt")
    until(page, "document.querySelector('[data-zoom-image]').naturalWidth < 1000")
    assert image.bounding_box()["width"] == 4000 and area.evaluate(scrolled) == [x + 100, y + 40]
    page.keyboard.press("1")
    assert image.get_attribute("src").endswith("photo%201_canny.png")
    page.keyboard.press("n")
    assert "photo 2.jpg" in image.get_attribute("alt") and page.locator("[data-name]").inner_text() == "photo 2.jpg"
    assert dialog.get_by_role("button", name="Next").is_disabled()
    page.keyboard.press("n")
    page.keyboard.press("p")
    assert "photo 1.jpg" in image.get_attribute("alt")
    page.keyboard.press("?")
    assert dialog.get_by_text("for full screen").is_visible()
    dialog.get_by_role("button", name="Full screen").click()
    until(page, "document.fullscreenElement")
    page.keyboard.press("z")
    until(page, "!document.fullscreenElement")
    assert dialog.is_hidden()
    page.get_by_role("slider").focus()
    for key, shown in (("3", "Equalized"), ("n", "photo 2.jpg"), ("ArrowRight", "photo 2.jpg")):
        page.keyboard.press(key)
        assert shown in page.locator("[data-viewer]").inner_text()
    page.keyboard.press("z")
    assert dialog.is_visible() and overflow(page) <= 0


def test_beside_equalized_pictures_stands_how_many_of_each_gray_there_are(browse: Open, make_run: MakeRun) -> None:
    page = browse(f"/runs/{make_run(images=2).id}")
    figure = page.locator("[data-grays]")
    assert figure.is_hidden()
    page.get_by_role("link", name="Equalized", exact=True).click()
    figure.wait_for()
    said = figure.inner_text()
    ends = [int(number) for number in re.findall(r"from (\d+)|to (\d+)[., ]", said) for number in number if number]
    assert "by the previews" in said and len(ends) >= 4
    before, after = figure.locator("[data-gray='0']"), figure.locator("[data-gray='1']")
    assert before.get_attribute("d").count("V") == after.get_attribute("d").count("V") == 65
    first = before.get_attribute("d")
    page.get_by_role("link", name="Next", exact=True).click()
    until(page, f"document.querySelector('[data-gray=\"0\"]').getAttribute('d') !== {first!r}")
    page.get_by_role("link", name="Blur", exact=True).click()
    assert figure.is_hidden()


@pytest.mark.parametrize("scripts", [True, False])
def test_how_each_image_was_read_stands_below_it(
    browse: Open, make_run: MakeRun, settings: Settings, scripts: bool
) -> None:
    run = make_run(images=4)
    run.images[1].warnings = run.images[3].warnings = ["It uses only 12 of 16 bits; 6 gray levels are left."]
    run.save(settings.RESULTS_DIR / run.id)
    page = browse(f"/runs/{run.id}", viewport=PHONE, java_script_enabled=scripts)
    below = page.locator("[data-note]")
    assert below.is_hidden()
    page.get_by_role("link", name="Next").click()
    assert below.inner_text().strip() == run.images[1].warnings[0]
    page.get_by_role("link", name="Next").click()
    assert below.is_hidden()
    page.get_by_role("link", name="photo 4.jpg").first.click()
    assert page.locator("[data-name]").inner_text() == "photo 4.jpg" and below.is_visible()
    assert overflow(page) <= 0


def test_the_timeline_zooms_and_tells(browse: Open, make_run: MakeRun) -> None:
    page = browse(f"/runs/{make_run(images=4).id}", viewport=PHONE)
    box = page.locator("[data-timeline]")
    assert page.locator("[data-readout]").inner_text().startswith("Point at a block")
    page.locator("[data-timeline] rect:has(title)").nth(2).hover()
    assert page.locator("[data-readout]").inner_text().startswith("photo 1.jpg, canny, ")
    wide = [box.evaluate("box => box.scrollWidth")]
    for level in ("2×", "4×"):
        page.get_by_role("button", name=level).click()
        wide.append(box.evaluate("box => box.scrollWidth"))
        assert page.get_by_role("button", name=level).get_attribute("aria-pressed") == "true"
    assert wide[0] < wide[1] < wide[2] and overflow(page) <= 0
    middle = box.evaluate("box => (box.scrollLeft + box.clientWidth / 2) / box.scrollWidth")
    page.get_by_role("button", name="2×").click()
    assert abs(middle - box.evaluate("box => (box.scrollLeft + box.clientWidth / 2) / box.scrollWidth")) < 0.02


@pytest.mark.parametrize("scripts", [True, False])
def test_the_timeline_shows_what_is_chosen(browse: Open, make_run: MakeRun, settings: Settings, scripts: bool) -> None:
    record = make_run(images=4)
    for t in record.techniques:
        t.spans += [replace(span, round=2) for span in t.spans]
    record.save(settings.RESULTS_DIR / record.id)
    page = browse(f"/runs/{record.id}", java_script_enabled=scripts)
    assert page.locator(".tl-lanes").count() == 2
    assert page.get_by_role("group", name="Zoom of the timeline").is_visible() is scripts
    page.get_by_label("Round", exact=True).select_option("round 2")
    page.get_by_label("Techniques", exact=True).select_option("Sequential")
    page.get_by_role("button", name="Show").click()
    page.get_by_role("heading", name="What each worker did, round 2").wait_for()
    assert page.locator(".tl-lanes").count() == 1 and page.url.endswith("round=2&with=sequential#timeline")
    assert page.get_by_label("Round", exact=True).input_value() == "2"


@pytest.mark.parametrize("scripts", [True, False])
def test_the_program_that_is_advised_can_be_copied(browse: Open, make_run: MakeRun, scripts: bool) -> None:
    page = browse(f"/runs/{make_run().id}", viewport=PHONE, java_script_enabled=scripts)
    program, button = page.locator("#use-program"), page.locator("[data-copy=use-program]")
    assert program.inner_text().endswith("main()\n") and button.is_visible() is scripts
    if scripts:
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        for copied, shown in (
            (button, program),
            (page.locator("[data-copy=use-command]"), page.locator("#use-command")),
        ):
            copied.click()
            page.locator("button", has_text="Copied").first.wait_for()
            assert page.evaluate("navigator.clipboard.readText()") == shown.text_content()
            page.locator("button", has_text="Copied").first.wait_for(state="detached")
    assert overflow(page) <= 0


def test_the_rounds_of_a_live_run_appear(browse: Open, make_run: MakeRun, store: Store) -> None:
    run = make_run(state="running", mode="compare")
    page = browse(f"/runs/{run.id}", viewport=PHONE)
    assert page.locator("#rounds").is_hidden()
    told = Progress("rounds", "threading", "Threads", 1, 6, 0, 3, walls={"Threads": [], "Sequential": [0.9]})
    store.set_progress(run.id, told)
    page.locator("#rounds .is-now").wait_for()
    assert page.locator("#rounds .is-done").count() == 1 and page.locator("#rounds .is-todo").count() == 10
    store.set_progress(run.id, replace(told, walls={"Threads": [0.45], "Sequential": [0.9]}))
    page.locator("#rounds .so-far-n", has_text="2.00×").wait_for()
    assert overflow(page) <= 0


def test_results_appear_while_a_run_goes_on_and_its_end_comes_at_the_picture_looked_at(
    browse: Open, make_run: MakeRun, settings: Settings, store: Store
) -> None:
    run = make_run(mode="compare")
    done, techniques = settings.RESULTS_DIR / run.id, run.techniques
    outputs = [image.outputs for image in run.images]
    run.state, run.techniques, run.findings = "queued", [], None
    for image in run.images:
        image.outputs = []
    run.save(done)
    store.delete(run.id)
    store.create(run)
    assert store.claim(1) == run.id
    page = browse(f"/runs/{run.id}")
    assert page.locator(".done-grid img").count() == 3 and page.locator("[data-viewer]").count() == 0
    for image, made in zip(run.images, outputs, strict=True):
        image.outputs = made
    run.state = "running"
    run.save(done)
    told = Progress("rounds", "threading", "Threads", 1, 6, 0, 3, share=0.25, walls={"Threads": []}, ready="results")
    store.set_progress(run.id, told)
    page.locator("[data-viewer]").wait_for()
    until(page, "document.title.startsWith('25')")
    page.get_by_role("link", name="Blur", exact=True).click()
    page.get_by_role("link", name="Next", exact=True).click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download all results").click()
    assert download.value.suggested_filename == f"speedup-lab-{run.id}.zip"
    page.get_by_role("link", name="Open at 100").click()
    run.state, run.techniques, run.finished = "done", techniques, run.created
    run.conclude()
    run.save(done)
    store.finish(run)
    page.wait_for_timeout(1200)
    assert page.get_by_role("dialog").is_visible()  # nobody is torn away from a picture
    page.keyboard.press("Escape")
    page.locator(".verdict-line").wait_for()
    assert page.locator("[data-name]").inner_text() == "photo 2.jpg"
    assert page.locator("[data-result-label]").inner_text() == "Blur"
    until(page, "Math.abs(document.querySelector('#images').getBoundingClientRect().top) < 200")


def test_a_thousand_images(browse: Open, make_run: MakeRun) -> None:
    page = browse(f"/runs/{make_run(images=1000).id}", viewport=PHONE)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.get_by_role("link", name="Next", exact=True).click()
    assert page.locator("[data-at]").inner_text() == "2 of 1,000"
    page.locator("[data-strip]").evaluate("strip => strip.scrollTop = strip.scrollHeight")
    page.wait_for_timeout(500)
    assert any("0099.jpg" in url for url in asked) and len(asked) < 200
    page.get_by_role("link", name="Next page of images").click()
    page.locator("[data-at]", has_text="101 of 1,000").wait_for()
    assert overflow(page) <= 0


@pytest.mark.parametrize("scripts", [True, False])
def test_the_viewer_turns_from_page_to_page(browse: Open, make_run: MakeRun, scripts: bool) -> None:
    page = browse(f"/runs/{make_run(images=102).id}?image=100", viewport=PHONE, java_script_enabled=scripts)
    page.get_by_role("link", name="Blur", exact=True).click()
    at, turn = page.locator("[data-at]"), page.locator("[data-turn]")
    turn.nth(1).click()
    page.get_by_text("Images 101 to 102 of 102").wait_for()
    assert at.inner_text() == "101 of 102" and page.locator("[data-result-label]").inner_text() == "Blur"
    turn.nth(0).click()
    page.get_by_text("Images 1 to 100 of 102").wait_for()
    assert at.inner_text() == "100 of 102" and page.locator("[data-result-label]").inner_text() == "Blur"
    page.get_by_role("link", name="Last page of images").click()
    page.get_by_text("Images 101 to 102 of 102").wait_for()
    assert at.inner_text() == "101 of 102" and page.locator("[data-result-label]").inner_text() == "Blur"
    assert overflow(page) <= 0


def test_without_scripts(browse: Open, photos: list[Path], runner: threading.Event, store: Store) -> None:
    runner.clear()
    page = browse(java_script_enabled=False, viewport=PHONE)
    page.set_input_files("#images", photos)
    page.get_by_label("Sequential").check()
    page.locator("[data-run]").click()
    page.wait_for_url("**/runs/*")
    page.get_by_role("heading", name="Processing 3 images sequentially").wait_for()
    runner.set()
    page.locator(".verdict-line", has_text="Three images in").wait_for()  # the page refreshes by itself
    assert page.locator(".compare figure").count() == 2 and not page.get_by_role("slider").is_visible()
    page.get_by_role("link", name="Blur", exact=True).click()
    assert page.locator("[data-result]").get_attribute("src").endswith("_gaussian.png")
    page.get_by_role("link", name="Next").click()
    assert page.locator("[data-name]").inner_text() == "photo 2.jpg"
    page.get_by_text("Delete", exact=True).click()
    page.get_by_role("button", name="Delete this run").click()
    page.get_by_role("heading", name="No run yet").wait_for()
    assert store.history()[1] == 0


def test_without_scripts_an_error_keeps_the_values(browse: Open) -> None:
    page = browse(java_script_enabled=False)
    page.get_by_label("Low threshold").fill("300")
    page.keyboard.press("Enter")  # must not press "sample images"
    page.locator("#canny_low.is-invalid").wait_for()
    assert page.get_by_label("Low threshold").input_value() == "300"


def test_cancel_a_run(browse: Open, runner: threading.Event) -> None:
    runner.clear()
    page = browse()
    page.get_by_role("button", name="Run with sample images").click()
    page.wait_for_url("**/runs/*")
    page.locator("[data-now]", has_text="Round 2").wait_for()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("heading", name="This run was cancelled").wait_for()


def test_every_control_has_a_name_and_a_visible_focus(browse: Open, make_run: MakeRun) -> None:
    run = make_run()
    page = browse()
    for path in ("/", f"/runs/{run.id}", "/runs", "/techniques"):
        page.goto(path)
        nameless = page.evaluate(
            """[...document.querySelectorAll('a, button, input:not([type=hidden]), select, summary')].filter(e =>
                e.checkVisibility() && !e.closest('[aria-hidden=true]') && !(e.labels && e.labels.length)
                && !e.ariaLabel && !e.textContent.trim() && !e.querySelector('img[alt]:not([alt=""])'))
                .map(e => e.outerHTML)"""
        )
        assert nameless == [], path
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.keyboard.press("Tab")
        assert page.evaluate("getComputedStyle(document.activeElement).outlineWidth") == "2px"
