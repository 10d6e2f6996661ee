"""The operations give plain OpenCV's pixels, and their parameters refuse what OpenCV would take silently."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strip_pictures import carried_out, job

from imgproc.backends.phases import flat, together
from imgproc.backends.strips.plan import split_image
from imgproc.errors import UserError
from imgproc.operations import OPERATIONS, PARAMETERS, histogram, parse_operations, parse_parameters
from imgproc.operations.canny import cpu as edges
from imgproc.operations.equalize import cpu as levels
from imgproc.operations.gaussian import cpu as blur
from imgproc.operations.rows import Rows

DEFAULTS = parse_parameters({})


SIDES = st.integers(1, 80)


def pictures(channels=(1, 3)):
    """Small images, from noise to plateaus, gray and colour."""

    def make(height, width, depth, levels, seed):
        rng = np.random.default_rng(seed)
        shape = (height, width) if depth == 1 else (height, width, depth)
        coarse = rng.integers(0, levels, shape) * (255 // max(1, levels - 1))
        smooth = cv2.blur(coarse.astype(np.uint8), (3, 3)) if seed % 2 else coarse.astype(np.uint8)
        return np.ascontiguousarray(smooth)

    return st.builds(
        make, SIDES, SIDES, st.sampled_from(channels), st.sampled_from([1, 2, 3, 17, 256]), st.integers(0, 2**32 - 1)
    )


@pytest.fixture(autouse=True)
def one_thread():
    cv2.setNumThreads(1)
    yield
    cv2.ipp.setUseIPP(True)


def plain(call, *arguments, **options):
    """Whole-image OpenCV on one thread without IPP: the reference."""
    cv2.ipp.setUseIPP(False)
    try:
        return call(*arguments, **options)
    finally:
        cv2.ipp.setUseIPP(True)


@settings(max_examples=300, deadline=None)
@given(pictures(), st.integers(0, 600), st.integers(0, 600), st.sampled_from([3, 5, 7]), st.booleans())
def test_canny_is_opencv_without_ipp(image, a, b, aperture, l2):
    low, high = sorted((a, b))
    values = parse_parameters({"canny_low": low, "canny_high": high, "aperture": aperture, "l2gradient": l2})
    expected = plain(cv2.Canny, image, low, high, apertureSize=aperture, L2gradient=l2)
    assert np.array_equal(OPERATIONS["canny"].apply(image, values), expected)


@settings(max_examples=200, deadline=None)
@given(pictures(), st.integers(0, 49) | st.integers(0, 150), st.floats(0, 50))
def test_gaussian_is_opencv(image, half, sigma):
    kernel = 2 * half + 1
    values = parse_parameters({"kernel": kernel, "sigma": sigma})
    expected = plain(cv2.GaussianBlur, image, (kernel, kernel), sigma)
    assert np.array_equal(OPERATIONS["gaussian"].apply(image, values), expected)


@settings(max_examples=200, deadline=None)
@given(pictures())
def test_equalize_is_opencv_on_gray_and_on_the_luma_of_colour(image):
    made = OPERATIONS["equalize"].apply(image, DEFAULTS)
    if image.ndim == 2:
        assert np.array_equal(made, plain(cv2.equalizeHist, image))
        return
    luma = cv2.cvtColor(image, cv2.COLOR_BGR2YCrCb)
    luma[:, :, 0] = cv2.equalizeHist(luma[:, :, 0].copy())
    assert np.array_equal(made, cv2.cvtColor(luma, cv2.COLOR_YCrCb2BGR))


@settings(max_examples=60, deadline=None)
@given(pictures(), st.integers(0, 150), st.sampled_from([0.0, 0.6, 1.0, 1.1, 20.0]), st.integers(1, 400))
def test_whole_images_in_blocks_of_any_size_are_opencvs(image, half, sigma, block):
    """Down to one row at a time, with kernels beyond the image and images of one row or column."""
    kernel = 2 * half + 1
    for k in (1, 3, 5, kernel):
        values = parse_parameters({"kernel": k, "sigma": sigma})
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(blur, "_GAINS_BY_BLOCKS", 301)
            patch.setattr(blur, "_BLOCK", block)
            patch.setattr(blur, "_BORDERS", 0)
            patch.setattr(histogram, "_MANY", 0)
            patch.setattr(histogram, "_PAIRS", block)
            patch.setattr(edges, "_BLOCK", block)
            edged, blurred, equalized = (OPERATIONS[n].apply(image, values) for n in ("canny", "gaussian", "equalize"))
        assert np.array_equal(blurred, plain(cv2.GaussianBlur, image, (k, k), sigma))
    assert np.array_equal(edged, plain(cv2.Canny, image, 100, 200))
    if image.ndim == 2:
        assert np.array_equal(equalized, plain(cv2.equalizeHist, image))


@pytest.mark.parametrize("shape", [(1, 2_200_000), (2_200_000, 1), (1500, 1501), (900, 801, 3), (1, 400_000, 3)])
def test_large_images_are_opencvs(shape):
    """So large that they are blurred in blocks and equalized by pairs; of an odd number of pixels, too."""
    image = np.random.default_rng(4).integers(0, 256, shape, np.uint8)
    image[shape[0] // 2 :] //= 3
    for kernel in (3, 5, 9):
        expected = plain(cv2.GaussianBlur, image, (kernel, kernel), 0)
        assert np.array_equal(OPERATIONS["gaussian"].apply(image, parse_parameters({"kernel": kernel})), expected)
    if image.ndim == 2:
        assert np.array_equal(OPERATIONS["equalize"].apply(image, DEFAULTS), plain(cv2.equalizeHist, image))


@pytest.mark.parametrize("sent", [False, True])
def test_more_pixels_than_opencv_equalizes_rightly_are_refused_whole_and_in_strips(sent, monkeypatch, tmp_path):
    image = np.random.default_rng(1).integers(0, 256, (40, 50), np.uint8)
    monkeypatch.setattr(levels, "_MOST_PIXELS", 40 * 50)
    OPERATIONS["equalize"].apply(image, DEFAULTS)
    monkeypatch.setattr(levels, "_MOST_PIXELS", 40 * 50 - 1)
    with pytest.raises(UserError, match="An image of 50 x 40 pixels is too large to equalize: 1999 pixels") as told:
        OPERATIONS["equalize"].apply(image, DEFAULTS)
    assert told.value.code == "too_large" and told.value.limit == 1999
    work = job(tmp_path, image, operations=["equalize"])
    [result] = carried_out(flat(together([split_image(0, work, image.shape, 3, across_processes=sent, sent=sent)])))
    assert result.error == told.value.message


@pytest.mark.parametrize("shape", [(46_341, 46_341), (1 << 16, 1 << 15, 3)])
def test_no_pixel_of_too_large_an_image_is_looked_at(shape):
    """Of which there is only one, in all places."""
    image = np.broadcast_to(np.uint8(7), shape)
    with pytest.raises(UserError, match="2147483647 pixels are the most"):
        OPERATIONS["equalize"].apply(image, DEFAULTS)
    with pytest.raises(UserError, match="2147483647 pixels are the most"):
        levels.histogram(image, image, Rows(0, 1), DEFAULTS, None)


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_leaves_its_input_alone(name):
    image = np.random.default_rng(1).integers(0, 256, (40, 50, 3), np.uint8)
    before = image.copy()
    OPERATIONS[name].apply(image, DEFAULTS)
    assert np.array_equal(image, before)


def test_those_that_say_so_are_bilevel_and_no_others():
    image = np.random.default_rng(1).integers(0, 256, (60, 60), np.uint8)
    for operation in OPERATIONS.values():
        levels = set(np.unique(operation.apply(image, DEFAULTS)))
        assert (levels <= {0, 255}) == operation.bilevel


BAD = {
    "canny_low": ["nan", "-1"],
    "canny_high": ["1e9", "10.5", ""],
    "aperture": ["4", "3.5"],
    "l2gradient": ["perhaps"],
    "thresholds": ["median", "1", ""],
    "kernel": ["4", "302", "303", "-1", "2.5"],
    "sigma": ["inf", "1000", "wide", None],
    "median_size": ["1", "4", "257", "0"],
    "diameter": ["8", "27", "0"],
    "sigma_color": ["0", "256", "nan"],
    "sigma_space": ["0", "101"],
    "clip_limit": ["-1", "101", "inf"],
    "tiles": ["0", "65", "2.5"],
    "sobel_norm": ["l3", ""],
    "sobel_scale": ["0", "21", "-1"],
    "unsharp_sigma": ["0", "21"],
    "unsharp_amount": ["-0.5", "11"],
    "adaptive_method": ["median", ""],
    "block_size": ["1", "30", "303"],
    "threshold_offset": ["256", "-256", "nan"],
    "resize_factor": ["0", "2.01", "nan"],
    "longest_side": ["-1", "65501", "1.5"],
    "interpolation": ["bicubic", ""],
}


@pytest.mark.parametrize(("name", "bad"), [(name, bad) for name, values in BAD.items() for bad in values])
def test_bad_values_are_refused_with_field_and_limit(name, bad):
    with pytest.raises(UserError) as caught:
        parse_parameters({name: bad})
    assert caught.value.field == name
    assert caught.value.limit
    assert name in caught.value.message


def test_swapped_thresholds_are_refused():
    with pytest.raises(UserError, match="must not be above"):
        parse_parameters({"canny_low": "300"})


@pytest.mark.parametrize("name", PARAMETERS)
def test_defaults_are_in_range_and_survive_text(name):
    parameter = PARAMETERS[name]
    assert parameter.parse(str(parameter.default)) == parameter.default
    assert parameter.help and parameter.range and parameter.label


def test_operations_come_in_table_order_each_once():
    assert parse_operations(["equalize, canny", "canny"]) == ("canny", "equalize")
    for bad in (["blur"], [], [" , "]):
        with pytest.raises(UserError) as caught:
            parse_operations(bad)
        assert caught.value.field == "operations"
