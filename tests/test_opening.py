"""The viewer opens on a picture that shows something."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import picture
from hypothesis import given
from hypothesis import strategies as st

from imgproc.operations import DEFAULT_OPERATIONS, OPERATIONS, parse_parameters
from imgproc.pixels.previews import NEAR_GRAY, shown_share
from imgproc.report.page import SHOWS, asked_gallery
from imgproc.runs.execute import process
from imgproc.runs.headers import look_at
from imgproc.runs.passes import RunFolders
from imgproc.runs.record import ImageRecord, OutputRecord, Record, RunSettings
from imgproc.settings import Settings

GRAYS = st.lists(st.integers(0, 255), min_size=1, max_size=60)


@given(GRAYS)
def test_the_share_is_that_of_pixels_far_from_the_most_common_gray(grays: list[int]) -> None:
    image = np.array([grays], np.uint8)
    most = max(sum(abs(gray - around) <= NEAR_GRAY for gray in grays) for around in range(256))
    assert shown_share(image) == pytest.approx(1 - most / len(grays))
    assert shown_share(np.repeat(image[:, :, None], 3, axis=2)) == pytest.approx(1 - most / len(grays))


def test_an_empty_picture_shows_nothing_and_edges_little() -> None:
    gray = cv2.cvtColor(picture(960, 640), cv2.COLOR_BGR2GRAY)
    made = {name: OPERATIONS[name].apply(gray, parse_parameters({})) for name in DEFAULT_OPERATIONS}
    assert shown_share(np.zeros((9, 9), np.uint8)) == shown_share(np.full((9, 9), 255, np.uint8)) == 0
    assert shown_share(made["canny"]) < SHOWS < shown_share(made["equalize"])


def opened(folder: Path, shares: list[dict[str, float | None]], **query: str) -> tuple[int, str]:
    """The number of the image and the operation on which the viewer opens, of results that show so much."""
    (folder / "images").mkdir(exist_ok=True)
    images = []
    for index, shown in enumerate(shares):
        outputs = [OutputRecord(name, f"{index}_{name}.png", shown=share) for name, share in shown.items()]
        for output in outputs:
            (folder / "images" / output.file).touch()
        images.append(ImageRecord(index, f"{index}.jpg", 8, 8, outputs=outputs))
    record = Record("0" * 32, "parallel", RunSettings(["canny", "gaussian", "equalize"], {}), images, state="done")
    found = asked_gallery(record, folder, query)
    assert found is not None
    return found.current.number, found.output.operation


def test_the_viewer_opens_on_what_shows_most_of_the_first_image_that_shows_something(tmp_path: Path) -> None:
    empty: dict[str, float | None] = {"canny": 0.0, "gaussian": 0.02, "equalize": 0.01}
    photo: dict[str, float | None] = {"canny": 0.1, "gaussian": 0.6, "equalize": 0.8}
    assert opened(tmp_path, [photo, photo]) == (1, "equalize")
    assert opened(tmp_path, [empty, photo]) == (2, "equalize")
    assert opened(tmp_path, [empty, {"canny": 0.1}]) == (2, "canny")  # nothing shows enough: what shows most
    assert opened(tmp_path, [empty, empty]) == (1, "gaussian")
    # What an address asks for comes first.
    assert opened(tmp_path, [empty, photo], image="1") == (1, "gaussian")
    assert opened(tmp_path, [empty, photo], image="2", operation="canny") == (2, "canny")
    assert opened(tmp_path, [photo], operation="canny") == (1, "canny")
    assert opened(tmp_path, [photo], image="99", operation="none") == (1, "equalize")


def test_of_a_run_of_an_earlier_version_the_first_result_is_shown(tmp_path: Path) -> None:
    assert opened(tmp_path, [{"canny": None, "equalize": None}] * 2) == (1, "canny")


def test_a_run_notes_how_much_its_results_show(tmp_path: Path) -> None:
    """More pictures than one: the first is empty."""
    files = [tmp_path / "a.png", tmp_path / "b.png"]
    for file, pixels in zip(files, (np.zeros((64, 96), np.uint8), picture()), strict=True):
        cv2.imwrite(str(file), pixels)
    asked = RunSettings([*DEFAULT_OPERATIONS], parse_parameters({}), workers=1, budget=0.0)
    record = Record("0" * 32, "sequential", asked, look_at(files, Settings()))
    process(
        record,
        RunFolders(dict(enumerate(files)), tmp_path / "images", tmp_path / "previews", tmp_path / "work"),
        Settings(),
    )
    shown = {(image.index, output.operation): output.shown for image in record.images for output in image.outputs}
    assert [shown[0, name] for name in DEFAULT_OPERATIONS] == [0, 0, 0]
    assert all(shown[1, name] for name in DEFAULT_OPERATIONS)
    found = asked_gallery(record, tmp_path, {})
    assert found is not None and (found.current.number, found.output.operation) == (2, "equalize")
