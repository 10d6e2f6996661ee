"""What ``docs/parameters.md`` says of other libraries, where these are installed."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from imgproc.intake.samples import draw
from imgproc.operations import OPERATIONS, parse_parameters
from imgproc.runs.options import options

PAGE = (Path(__file__).parents[1] / "docs" / "parameters.md").read_text()
ROWS = [line.split(" | ") for line in PAGE.splitlines() if line.startswith("| ")]


@pytest.fixture(autouse=True)
def opencvs_own_code():
    cv2.setNumThreads(1)
    cv2.ipp.setUseIPP(False)
    yield
    cv2.ipp.setUseIPP(True)


@pytest.fixture(scope="module", params=range(6))
def gray(request):
    return np.asarray(cv2.cvtColor(draw(request.param, 0.5), cv2.COLOR_BGR2GRAY), np.uint8)


def ours(name, image, **chosen):
    return OPERATIONS[name].apply(image, parse_parameters(chosen))


def row(start):
    """What the page says differs from what begins like this."""
    [found] = [cells for cells in ROWS if start in cells[0]]
    assert found[0].endswith("*")
    return found[-1]


def test_every_parameter_it_names_exists_and_all_are_named():
    flags = {flag for option in options().values() if option.parameter for flag in option.flags}
    assert set(re.findall(r"--[a-z][a-z0-9-]+", PAGE)) == flags


def test_cannys_thresholds_are_opencvs(gray):
    assert row("`cv2.Canny(a, low, high)`").startswith("none")
    assert np.array_equal(ours("canny", gray, canny_low=50, canny_high=120), cv2.Canny(gray, 50, 120))
    assert row("apertureSize=5").startswith("none with IPP off")
    chosen = {"canny_low": 1000, "canny_high": 3000, "aperture": 5, "l2gradient": True}
    wanted = cv2.Canny(gray, 1000, 3000, apertureSize=5, L2gradient=True)
    assert np.array_equal(ours("canny", gray, **chosen), wanted)


def test_auto_is_the_rule_of_sigma_033(gray):
    assert row("imutils.auto_canny").startswith("none")
    median, sigma = np.median(gray), 0.33
    low, high = int(max(0, (1.0 - sigma) * median)), int(min(255, (1.0 + sigma) * median))
    assert np.array_equal(ours("canny", gray, thresholds="auto"), cv2.Canny(gray, low, high))


def test_blurs_are_opencvs(gray):
    assert row("(5, 5), 0)").startswith("none") and row("(0, 0), s)").startswith("none")
    assert np.array_equal(ours("gaussian", gray), cv2.GaussianBlur(gray, (5, 5), 0))
    for sigma in (0.5, 1, 2.3, 10):
        wanted, kernel = cv2.GaussianBlur(gray, (0, 0), sigma), round(6 * sigma + 1) | 1
        assert np.array_equal(ours("gaussian", gray, kernel=0, sigma=sigma), wanted)
        assert np.array_equal(ours("gaussian", gray, kernel=kernel, sigma=sigma), wanted)


def test_equalizing_is_opencvs_and_the_inverse_of_pillows_within_1(gray):
    assert row("cv2.equalizeHist").startswith("none")
    assert np.array_equal(ours("equalize", gray), cv2.equalizeHist(gray))
    said = row("Pillow `ImageOps.equalize`")
    assert "by 1: " in said and "a tenth of the pixels of half a megapixel" in said
    pillows = np.asarray(ImageOps.equalize(Image.fromarray(gray))).astype(int)
    difference = np.abs(pillows - (255 - ours("equalize", 255 - gray)))
    assert difference.max() <= 1 and np.count_nonzero(difference) <= 0.1 * gray.size
    assert np.abs(pillows - ours("equalize", gray)).max() > 1  # the way to turn it is not in vain
