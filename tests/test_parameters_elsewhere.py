"""What ``docs/parameters.md`` says of other libraries, where these are installed."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageFilter, ImageOps

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


def test_blurring_before_is_a_chain(gray):
    assert row("GaussianBlur(a, (9, 9), 0), low").startswith("none")
    wanted = cv2.Canny(cv2.GaussianBlur(gray, (9, 9), 0), 50, 120)
    assert np.array_equal(ours("gaussian+canny", gray, kernel=9, canny_low=50, canny_high=120), wanted)


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


def test_medians_are_opencvs_and_pillows(gray):
    assert row("`cv2.medianBlur(a, k)`").startswith("none") and row("Pillow `MedianFilter(k)`").startswith("none")
    for size in (3, 5, 9):
        found = ours("median", gray, median_size=size)
        assert np.array_equal(found, cv2.medianBlur(gray, size))
        assert np.array_equal(found, np.asarray(Image.fromarray(gray).filter(ImageFilter.MedianFilter(size))))


def test_bilateral_filters_are_opencvs(gray):
    assert row("`cv2.bilateralFilter(a, d, c, s)`").startswith("none with IPP off")
    chosen = {"diameter": 5, "sigma_color": 30, "sigma_space": 4}
    assert np.array_equal(ours("bilateral", gray, **chosen), cv2.bilateralFilter(gray, 5, 30, 4))


def test_clahe_is_opencvs(gray):
    assert row("`cv2.createCLAHE").startswith("none")
    assert np.array_equal(ours("clahe", gray, clip_limit=3, tiles=5), cv2.createCLAHE(3, (5, 5)).apply(gray))


def test_lengths_of_gradients_are_opencvs(gray):
    assert row("`cv2.magnitude`").startswith("none with IPP off") and row("`cv2.add(cv2.convert").startswith("none")
    dx, dy = (cv2.Sobel(gray, cv2.CV_32F, *order) for order in ((1, 0), (0, 1)))
    assert np.array_equal(ours("sobel", gray), cv2.convertScaleAbs(cv2.magnitude(dx, dy)))
    dx, dy = (cv2.convertScaleAbs(cv2.Sobel(gray, cv2.CV_16S, *order)) for order in ((1, 0), (0, 1)))
    assert np.array_equal(ours("sobel", gray, sobel_norm="l1"), cv2.add(dx, dy))


def test_unsharp_masks_are_opencvs(gray):
    assert row("`cv2.addWeighted").startswith("none where X is a multiple of 1/256")
    for sigma, amount in ((2, 1), (1.3, 0.75), (4, 2.5)):
        wanted = cv2.addWeighted(gray, 1 + amount, cv2.GaussianBlur(gray, (0, 0), sigma), -amount, 0)
        assert np.array_equal(ours("unsharp", gray, unsharp_sigma=sigma, unsharp_amount=amount), wanted)


def test_adaptive_thresholds_are_opencvs(gray):
    assert row("`cv2.adaptiveThreshold").startswith("none") and row("ADAPTIVE_THRESH_GAUSSIAN_C").startswith("none")
    for name, method in (("mean", cv2.ADAPTIVE_THRESH_MEAN_C), ("gaussian", cv2.ADAPTIVE_THRESH_GAUSSIAN_C)):
        chosen = {"adaptive_method": name, "block_size": 15, "threshold_offset": 2.5}
        wanted = cv2.adaptiveThreshold(gray, 255, method, cv2.THRESH_BINARY, 15, 2.5)
        assert np.array_equal(ours("adaptive_threshold", gray, **chosen), wanted)


def test_resizing_is_opencvs_and_by_half_pillows(gray):
    assert row("`cv2.resize(a, (round").startswith("none") and row("Pillow `reduce(2)`").startswith("none")
    for factor in (0.3, 0.5, 1.6):
        size = round(factor * gray.shape[1]), round(factor * gray.shape[0])
        wanted = cv2.resize(gray, size, interpolation=cv2.INTER_AREA)
        assert np.array_equal(ours("resize", gray, resize_factor=factor), wanted)
    even = np.ascontiguousarray(gray[: len(gray) // 2 * 2, : gray.shape[1] // 2 * 2])
    assert np.array_equal(ours("resize", even), np.asarray(Image.fromarray(even).reduce(2)))
