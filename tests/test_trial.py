"""What the operations make of a picture, tried by the expendable child and shown small."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from conftest import jpeg

from imgproc.intake.inspector import Inspector
from imgproc.intake.trial import SIDE, picture_name, reduced
from imgproc.operations import OPERATIONS, PARAMETERS
from imgproc.pixels.formats.depth import HIGH_BYTE

DEFAULTS = {name: p.default for name, p in PARAMETERS.items()}


@pytest.fixture(scope="module")
def inspector() -> Iterator[Inspector]:
    with Inspector(4_000_000, 5_000, 20) as inspector:
        yield inspector


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A JPEG of 900 by 600 pixels."""
    path = tmp_path / "photo"
    path.write_bytes(jpeg(900, 600))
    return path


def wanted(*operations: str, color: bool = False, **parameters: Any) -> dict[str, Any]:
    names = operations or tuple(OPERATIONS)
    return {
        "operations": list(names), "parameters": {**DEFAULTS, **parameters}, "color": color, "depth": HIGH_BYTE
    }  # fmt: skip


def shown(folder: Path, operation: str | None) -> np.ndarray:
    picture = cv2.imread(str(folder / picture_name(operation)), cv2.IMREAD_UNCHANGED)
    assert picture is not None
    return picture


def test_shares_are_those_of_the_whole_result_and_pictures_are_small(inspector: Inspector, photo: Path) -> None:
    trial = inspector.attempt(photo, wanted(), photo.parent)
    gray = cv2.imread(str(photo), cv2.IMREAD_GRAYSCALE)
    bilevel = {name: one.apply(gray, DEFAULTS) for name, one in OPERATIONS.items() if one.bilevel}
    assert (trial.width, trial.height, trial.error) == (900, 600, None)
    assert bilevel and trial.shares == {name: np.count_nonzero(one) / one.size for name, one in bilevel.items()}
    for name in (None, *OPERATIONS):
        assert shown(photo.parent, name).shape == (213, SIDE)
    blur = reduced(OPERATIONS["gaussian"].apply(gray, DEFAULTS), bilevel=False)
    assert np.abs(shown(photo.parent, "gaussian").astype(int) - blur).mean() < 3  # it went through JPEG


def test_parameters_and_colour_move_the_result(inspector: Inspector, photo: Path) -> None:
    few = inspector.attempt(photo, wanted("canny", canny_low=900, canny_high=900), photo.parent)
    dark = shown(photo.parent, "canny").mean()
    many = inspector.attempt(photo, wanted("canny", canny_low=20, canny_high=40), photo.parent)
    assert few.shares["canny"] < many.shares["canny"] and dark < shown(photo.parent, "canny").mean()
    assert not (photo.parent / picture_name("gaussian")).exists()
    inspector.attempt(photo, wanted("gaussian", color=True), photo.parent)
    assert shown(photo.parent, "gaussian").shape == (213, SIDE, 3)


def test_thin_lines_stay_visible_and_textures_can_be_told_apart() -> None:
    image = np.zeros((4000, 4000), np.uint8)
    image[:, 1000] = 255
    noise = np.random.default_rng(0).random((4000, 1000))
    image[:2000, 3000:][noise[:2000] < 0.03] = 255
    image[2000:, 3000:][noise[2000:] < 0.08] = 255
    small = reduced(image, bilevel=True)
    assert small.shape == (SIDE, SIDE) and reduced(image, bilevel=False)[:, 80].max() < 25
    assert small[:, 80].min() > 100 and not small[:, 10:70].any()
    assert 20 < small[:155, 245:].mean() < 0.6 * small[165:, 245:].mean() < 0.6 * 200
    assert np.array_equal(reduced(255 - image, bilevel=True), 255 - small)


@pytest.mark.parametrize(("height", "width", "size"), [(4, 9000, (1, 320)), (200, 100, (200, 100)), (321, 1, (320, 1))])
def test_sizes_at_the_ends(height: int, width: int, size: tuple[int, int]) -> None:
    for bilevel in (True, False):
        assert reduced(np.full((height, width), 255, np.uint8), bilevel=bilevel).shape == size


def test_a_damaged_file_is_refused_in_words(inspector: Inspector, tmp_path: Path) -> None:
    (tmp_path / "cut").write_bytes(jpeg()[:900])
    trial = inspector.attempt(tmp_path / "cut", wanted(), tmp_path)
    assert (
        trial.code == "refused_image"
        and "ends in the middle" in str(trial.error)
        and str(tmp_path) not in str(trial.error)
    )


def test_a_folder_that_is_gone_is_an_error_of_the_disk(inspector: Inspector, photo: Path) -> None:
    with pytest.raises(FileNotFoundError):
        inspector.attempt(photo, wanted(), photo.parent / "gone")


def test_a_sample_is_drawn_and_can_be_tried(inspector: Inspector, tmp_path: Path) -> None:
    inspector.draw(tmp_path / "drawn")
    assert inspector.inspect(tmp_path / "drawn").error is None
    assert inspector.attempt(tmp_path / "drawn", wanted(), tmp_path).shares["canny"] > 0.01


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX pipes with names and signals")
def test_what_takes_too_long_or_kills_the_child_is_given_up(photo: Path) -> None:
    os.mkfifo(photo.parent / "endless")
    with Inspector(4_000_000, 5_000, 1) as inspector:
        began = time.monotonic()
        slow = inspector.attempt(photo.parent / "endless", wanted(), photo.parent)
        assert slow.code == "refused_image" and "longer than 1 seconds" in str(slow.error)
        assert time.monotonic() - began < 30
        assert inspector.attempt(photo, wanted(), photo.parent).error is None
        (child,) = inspector._children
        os.kill(child._process.pid, signal.SIGKILL)  # while it rests: only a fresh one's death is the file's doing
        assert inspector.attempt(photo, wanted(), photo.parent).error is None
