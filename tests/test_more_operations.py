"""The operations beyond those that every run does: what they are by their formulas, the same in strips, with other
threads, with IPP on, and as lines of a program of one's own; and results of another size than their image."""

import math
import re
from dataclasses import replace
from functools import partial
from itertools import combinations, pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_rgb

from benchmarks.one_image import apply_in_strips
from imgproc.backends.sharing.transport import SharedArrays
from imgproc.backends.task import Task, run_task
from imgproc.operations import DEFAULT_OPERATIONS, OPERATIONS, PARAMETERS, parse_operations, parse_parameters, windows
from imgproc.operations.contract import Phase, Strips
from imgproc.operations.rows import Rows
from imgproc.pixels.codecs import decode, encode
from imgproc.pixels.job import ImageJob, process_image
from imgproc.pixels.stopwatch import Stopwatch
from imgproc.report.charts.style import Style
from imgproc.runs.advisor import calibrate
from imgproc.runs.advisor.calibration import Calibration
from imgproc.runs.advisor.prediction import Batch, encode_keys, predicted_costs, result_amounts
from imgproc.runs.record import ImageRecord, RunSettings, png_megapixels

DEFAULTS = parse_parameters({})
OTHERS = [name for name in OPERATIONS if name not in DEFAULT_OPERATIONS]
IN_STRIPS = [name for name in OTHERS if OPERATIONS[name].strips]


def odd(low, high):
    return st.integers(low // 2, high // 2).map(lambda half: 2 * half + 1)


#: Values of their parameters, for hypothesis; the largest windows are rare, as they take long.
VALUES = {
    "median": {"median_size": odd(3, 31) | st.sampled_from([101, 255])},
    "bilateral": {
        "diameter": odd(3, 25),
        "sigma_color": st.floats(1, 255) | st.sampled_from([1.0, 255.0]),
        "sigma_space": st.floats(0.5, 100),
    },
    "clahe": {"clip_limit": st.floats(0, 100) | st.sampled_from([0.0, 1.0, 2.0]), "tiles": st.integers(1, 64)},
    "sobel": {
        "sobel_norm": st.sampled_from(["l1", "l2"]),
        "sobel_scale": st.sampled_from([0.25, 1.0]) | st.floats(0.05, 20),
    },
    "unsharp": {"unsharp_sigma": st.floats(0.1, 6) | st.just(20.0), "unsharp_amount": st.floats(0, 10)},
    "adaptive_threshold": {
        "adaptive_method": st.sampled_from(["mean", "gaussian"]),
        "block_size": odd(3, 51) | st.just(301),
        "threshold_offset": st.integers(-10, 10).map(float) | st.floats(-255, 255),
    },
    "resize": {
        "resize_factor": st.sampled_from([0.5, 0.25, 2.0]) | st.floats(0.01, 2),
        "longest_side": st.just(0) | st.integers(0, 100),
        "interpolation": st.sampled_from(["area", "nearest", "linear", "cubic", "lanczos"]),
    },
}  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread():
    cv2.setNumThreads(1)
    yield
    cv2.setNumThreads(1)
    cv2.ipp.setUseIPP(True)


def noise(seed, height, width, color=False, levels=256):
    """Noise of so many levels, smooth where the seed is odd."""
    shape = (height, width, 3) if color else (height, width)
    image = (np.random.default_rng(seed).integers(0, levels, shape) * (255 // (levels - 1))).astype(np.uint8)
    return np.ascontiguousarray(cv2.blur(image, (3, 3)).reshape(shape) if seed % 2 else image)


PICTURES = st.builds(
    noise,
    st.integers(0, 2**32 - 1),
    st.integers(1, 60),
    st.integers(1, 60),
    st.booleans(),
    st.sampled_from([2, 5, 256]),
)
GRAYS = st.builds(noise, st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 40))


def chosen(name):
    return st.fixed_dictionaries(VALUES[name]).map(lambda values: parse_parameters(values))


def plain(call, *arguments, **options):
    """OpenCV on one thread without IPP: the reference."""
    cv2.ipp.setUseIPP(False)
    try:
        return call(*arguments, **options)
    finally:
        cv2.ipp.setUseIPP(True)


def made(name, image, **values):
    return OPERATIONS[name].apply(image, parse_parameters(values))


def around(image, size):
    """The square of ``size`` around each pixel, the outermost ones repeated: (height, width, size * size)."""
    padded = np.pad(image, size // 2, mode="edge")
    return np.lib.stride_tricks.sliding_window_view(padded, (size, size)).reshape(*image.shape, -1)


# What all of them keep


@pytest.mark.parametrize("name", OTHERS)
def test_every_parameter_is_tried_over_its_range(name):
    assert set(VALUES[name]) == {p.name for p in OPERATIONS[name].parameters}


@pytest.mark.parametrize("name", IN_STRIPS)
def test_strips_have_the_pixels_of_the_whole(name):
    @settings(max_examples=300, deadline=None)
    @given(PICTURES, chosen(name), st.sets(st.integers(1, 59), max_size=6), st.integers(1, 3000))
    def check(image, values, cuts, block):
        at = [0, *sorted(cut for cut in cuts if cut < len(image)), len(image)]
        with pytest.MonkeyPatch.context() as patch:  # down to one row at a time
            patch.setattr(windows, "_BLOCK", block)
            patch.setattr(windows, "_BORDERS", 0)
            found = apply_in_strips(OPERATIONS[name], image, values, tuple(map(Rows, at[:-1], at[1:])))
        whole = OPERATIONS[name].apply(image, values)
        assert found.shape == whole.shape and np.array_equal(found, whole)

    check()


@pytest.mark.parametrize("name", IN_STRIPS)
def test_a_border_of_a_row_less_is_too_little(name):
    """So what the strips are tested with needs all of it."""
    operation = OPERATIONS[name]
    image = noise(0, 60, 2000)
    border = operation.strips.border(DEFAULTS)
    narrow = replace(operation, strips=windows.in_windows(operation.whole, lambda p: border - 1))
    found = apply_in_strips(narrow, image, DEFAULTS, (Rows(0, 30), Rows(30, 60)))
    assert not np.array_equal(found, operation.apply(image, DEFAULTS))


@pytest.mark.parametrize("name", OTHERS)
def test_neither_threads_nor_ipp_nor_ones_own_program_change_a_pixel(name):
    operation = OPERATIONS[name]

    @settings(max_examples=100, deadline=None)
    @given(PICTURES, chosen(name))
    def check(image, values):
        wanted, before = plain(operation.apply, image, values), image.copy()
        assert wanted.shape == operation.result_shape(image.shape, values) and wanted.dtype == np.uint8
        assert np.array_equal(image, before) and not np.shares_memory(image, wanted)
        own = f"import cv2, numpy as np\ndef own(image):\n{indented(operation.code(values, image.ndim == 3))}"
        names = {}
        exec(own, names)
        for threads in (1, 3):
            cv2.setNumThreads(threads)
            cv2.ipp.setUseIPP(True)
            assert np.array_equal(operation.apply(image, values), wanted)
            assert cv2.ipp.useIPP()
            assert np.array_equal(names["own"](image), wanted)
        cv2.setNumThreads(1)

    check()


def indented(lines):
    return "\n".join(f"    {line}" for line in lines.splitlines())


@pytest.mark.parametrize("name", OTHERS)
def test_a_large_image_of_more_than_one_block_is_the_same_on_threads(name):
    image = noise(1, 700, 900, color=True)
    wanted = plain(OPERATIONS[name].apply, image, DEFAULTS)
    cv2.setNumThreads(3)
    assert np.array_equal(OPERATIONS[name].apply(image, DEFAULTS), wanted)
    if OPERATIONS[name].strips:
        cv2.setNumThreads(1)
        parts = (Rows(0, 333), Rows(333, 334), Rows(334, 700))
        assert np.array_equal(apply_in_strips(OPERATIONS[name], image, DEFAULTS, parts), wanted)


def test_colours_differ_from_each_other_and_from_the_stages_beside_them():
    for theme in ("light", "dark"):
        style = Style(theme)
        shown = np.array([[to_rgb(style.stage(name)[0]) for name in (*OPERATIONS, "decode", "encode")]], np.float32)
        lab = cv2.cvtColor(shown, cv2.COLOR_RGB2LAB)[0]
        assert min(float(np.linalg.norm(a - b)) for a, b in combinations(lab[:-2], 2)) >= 15
        assert all(abs(a - b) >= 8 for a, b in pairwise(lab[:-2, 0]))
        of_others = lab[len(DEFAULT_OPERATIONS) : -2, 0]  # which may stand alone between decoding and encoding
        assert all(abs(level - stage) >= 8 for level in of_others for stage in lab[-2:, 0])


# What each of them is


@settings(max_examples=60, deadline=None)
@given(GRAYS, odd(3, 15))
def test_median_is_the_middle_of_the_sorted_square(image, size):
    middle = np.sort(around(image, size), axis=2)[:, :, size * size // 2]
    assert np.array_equal(made("median", image, median_size=size), middle)


@pytest.mark.parametrize("size", [127, 201, 255])
def test_the_largest_medians_are_right(size):
    """OpenCV counts in 16 bits, and a square of 255 has 65,025 pixels."""
    for image in (np.full((30, 20), 77, np.uint8), noise(4, 20, 24)):
        middle = np.sort(around(image, size), axis=2)[:, :, size * size // 2]
        assert np.array_equal(made("median", image, median_size=size), middle)


@settings(max_examples=40, deadline=None)
@given(GRAYS, odd(3, 11), st.floats(1, 255), st.floats(0.5, 100))
def test_bilateral_is_the_weighted_mean_of_the_circle_within_rounding(image, diameter, color, space):
    radius = diameter // 2
    padded = cv2.copyMakeBorder(image, *[radius] * 4, cv2.BORDER_REFLECT_101).astype(float)
    total, weights = np.zeros(image.shape), np.zeros(image.shape)
    for y in range(-radius, radius + 1):
        for x in range(-radius, radius + 1):
            if math.hypot(x, y) <= radius:
                part = padded[radius + y :, radius + x :][: image.shape[0], : image.shape[1]]
                weight = np.exp(-((part - image) ** 2) / (2 * color**2) - (x * x + y * y) / (2 * space**2))
                total, weights = total + weight * part, weights + weight
    found = made("bilateral", image, diameter=diameter, sigma_color=color, sigma_space=space)
    assert np.abs(found - total / weights).max() < 0.51


@settings(max_examples=60, deadline=None)
@given(PICTURES, chosen("bilateral"))
def test_bilateral_is_opencvs(image, p):
    wanted = plain(cv2.bilateralFilter, image, p["diameter"], p["sigma_color"], p["sigma_space"])
    assert np.array_equal(OPERATIONS["bilateral"].apply(image, p), wanted)


@settings(max_examples=60, deadline=None)
@given(PICTURES, chosen("clahe"))
def test_clahe_is_opencvs_on_gray_and_on_the_luma_of_colour(image, p):
    equalizer = cv2.createCLAHE(p["clip_limit"], (p["tiles"], p["tiles"]))
    found = OPERATIONS["clahe"].apply(image, p)
    if image.ndim == 2:
        assert np.array_equal(found, plain(equalizer.apply, image))
        return
    luma = cv2.cvtColor(image, cv2.COLOR_BGR2YCrCb)
    luma[:, :, 0] = plain(equalizer.apply, luma[:, :, 0].copy())
    assert np.array_equal(found, cv2.cvtColor(luma, cv2.COLOR_YCrCb2BGR))


@settings(max_examples=30, deadline=None)
@given(GRAYS)
def test_clahe_of_one_tile_without_a_limit_is_the_distribution_in_255ths(image):
    share = np.bincount(image.ravel(), minlength=256).cumsum().astype(np.float32) * np.float32(255 / image.size)
    assert np.array_equal(made("clahe", image, tiles=1, clip_limit=0), np.rint(share).astype(np.uint8)[image])


@settings(max_examples=100, deadline=None)
@given(PICTURES, chosen("sobel"))
def test_sobel_is_its_formula(image, p):
    padded = cv2.copyMakeBorder(image, 1, 1, 1, 1, cv2.BORDER_REFLECT_101).astype(np.int64)
    smooth_y = padded[:-2] + 2 * padded[1:-1] + padded[2:]
    smooth_x = padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]
    dx, dy = smooth_y[:, 2:] - smooth_y[:, :-2], smooth_x[2:] - smooth_x[:-2]
    length = np.abs(dx) + np.abs(dy) if p["sobel_norm"] == "l1" else np.sqrt((dx * dx + dy * dy).astype(np.float32))
    scaled = np.rint(length.astype(np.float32) * np.float32(p["sobel_scale"]))
    assert np.array_equal(OPERATIONS["sobel"].apply(image, p), np.minimum(scaled, 255).astype(np.uint8))


@settings(max_examples=100, deadline=None)
@given(PICTURES, chosen("unsharp"))
def test_unsharp_is_its_formula(image, p):
    blurred = plain(cv2.GaussianBlur, image, (0, 0), p["unsharp_sigma"]).astype(float)
    amount = round(256 * p["unsharp_amount"]) / 256
    wanted = np.rint(image + amount * (image - blurred)).clip(0, 255).astype(np.uint8)
    assert np.array_equal(OPERATIONS["unsharp"].apply(image, p), wanted)


@settings(max_examples=60, deadline=None)
@given(GRAYS, odd(3, 31), st.integers(-20, 20).map(lambda n: n / 2))
def test_adaptive_threshold_is_above_the_rounded_mean_less_the_offset_rounded_up(image, size, offset):
    mean = np.rint(around(image.astype(np.int64), size).mean(axis=2))
    found = made("adaptive_threshold", image, block_size=size, threshold_offset=offset)
    assert np.array_equal(found, np.where(image > mean - math.ceil(offset), 255, 0))


@settings(max_examples=60, deadline=None)
@given(PICTURES, chosen("adaptive_threshold"))
def test_adaptive_threshold_is_opencvs_of_the_gray(image, p):
    gray = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    kind = cv2.ADAPTIVE_THRESH_GAUSSIAN_C if p["adaptive_method"] == "gaussian" else cv2.ADAPTIVE_THRESH_MEAN_C
    call = partial(cv2.adaptiveThreshold, gray, 255, kind, cv2.THRESH_BINARY, p["block_size"], p["threshold_offset"])
    assert np.array_equal(OPERATIONS["adaptive_threshold"].apply(image, p), plain(call))


# Results of another size


def test_resizing_by_a_factor_and_to_a_longest_side():
    image = noise(2, 40, 60, color=True)
    assert made("resize", image, resize_factor=0.5).shape == (20, 30, 3)
    assert made("resize", image, resize_factor=0.01).shape == (1, 1, 3)
    assert made("resize", image, resize_factor=2).shape == (80, 120, 3)
    assert made("resize", image, longest_side=30, resize_factor=2).shape == (20, 30, 3)
    assert made("resize", image[:, :20], longest_side=10).shape == (10, 5, 3)
    small = made("resize", image, longest_side=61)
    assert np.array_equal(small, image) and not np.shares_memory(small, image)


@pytest.mark.parametrize(("name", "flag"), [
    ("area", cv2.INTER_AREA), ("nearest", cv2.INTER_NEAREST), ("linear", cv2.INTER_LINEAR),
    ("cubic", cv2.INTER_CUBIC), ("lanczos", cv2.INTER_LANCZOS4),
])  # fmt: skip
def test_interpolations_are_opencvs(name, flag):
    for factor in (0.5, 0.3, 2, 1.7):
        for color in (False, True):
            image = noise(3, 31, 45, color=color)
            size = round(45 * factor), round(31 * factor)
            wanted = plain(cv2.resize, image, size, interpolation=flag)
            assert np.array_equal(made("resize", image, resize_factor=factor, interpolation=name), wanted)


def test_area_by_half_is_the_rounded_mean_of_four():
    image = noise(6, 40, 60)
    four = image.reshape(20, 2, 30, 2).astype(int).sum(axis=(1, 3))
    assert np.array_equal(made("resize", image, resize_factor=0.5), (four + 2) >> 2)


@pytest.mark.parametrize("factor", [0.3, 2.0])
def test_a_result_of_another_size_goes_through_shared_memory(factor, tmp_path):
    image = noise(5, 50, 70)
    (tmp_path / "in.png").write_bytes(encode(image, "png"))
    values = parse_parameters({"resize_factor": factor})
    outputs = tuple((name, str(tmp_path / f"{name}.png")) for name in ("gaussian", "resize"))
    job = ImageJob(str(tmp_path / "in.png"), outputs, values)
    carrier = SharedArrays()
    try:
        done = run_task(carrier.send(Task(0, process_image, job), Stopwatch()))
        assert done.error is None
        found = carrier.receive(done.value, Stopwatch())
    finally:
        carrier.release()
    assert (found.width, found.height) == (70, 50)  # of the image
    for name, path in outputs:
        with open(path, "rb") as file:
            assert np.array_equal(decode(file.read()), OPERATIONS[name].apply(image, values))


def test_strips_need_a_result_of_the_size_of_the_image():
    with pytest.raises(ValueError, match="resize has strips, so its result must be of the size of the image"):
        replace(OPERATIONS["resize"], strips=Strips((Phase(lambda *_: None),)))


def test_megapixels_of_results_are_theirs():
    images = [ImageRecord(0, "a.jpg", 2000, 1000, "JPEG", 1), ImageRecord(1, "b.jpg", 1000, 1000, "JPEG", 1)]
    asked = RunSettings(["canny", "gaussian", "resize"], parse_parameters({"resize_factor": 0.1}))
    assert png_megapixels(images, asked) == pytest.approx(3 + 0.03)
    assert png_megapixels(images, replace(asked, format="jpeg")) == 0
    assert result_amounts(images, "gaussian", asked)[:, 1].tolist() == [2.0, 1.0]
    assert result_amounts(images, "resize", asked)[:, 1].tolist() == [0.02, 0.01]


# What a run does, and how long that takes


def test_a_run_does_the_same_as_ever_unless_others_are_named():
    assert DEFAULT_OPERATIONS == ("canny", "gaussian", "equalize")
    assert len(OTHERS) == 7 and parse_operations(["resize,median"]) == ("median", "resize")


def test_a_calibration_measures_every_operation_gray_and_in_colour():
    usual = RunSettings(list(DEFAULT_OPERATIONS), DEFAULTS)
    measured = {(name, run.color) for run, _ in calibrate._baseline_runs(usual) for name in run.operations}
    assert measured == {(name, color) for name in OPERATIONS for color in (False, True)}


def test_an_operation_that_was_never_encoded_in_a_format_takes_as_long_as_those_alike():
    batch = Batch(
        [ImageRecord(0, "a.jpg", 1000, 1000, "JPEG", 500_000)], RunSettings(["median"], DEFAULTS, format="webp")
    )
    assert encode_keys("median", "PNG", batch)[:2] == [
        "encode median webp gray from PNG",
        "encode median webp gray from JPEG",
    ]
    alike = predicted_costs(Calibration(), batch).encode
    blurred = predicted_costs(Calibration(), replace(batch, settings=replace(batch.settings, operations=["gaussian"])))
    assert alike == pytest.approx(blurred.encode) and alike > 0.02
    bilevel = encode_keys("adaptive_threshold", "JPEG", replace(batch, settings=replace(batch.settings, format="png")))
    assert bilevel == ["encode adaptive_threshold png gray from JPEG", "encode canny png gray from JPEG"]


# The form


def test_the_form_has_them_folded_until_one_is_meant(client):
    page = client.get("/").text
    assert page.count('class="op"') == len(OPERATIONS)
    [folded] = re.findall(r'<details class="fold ops-more"( open)?><summary>(.*?)</summary>', page)
    assert folded[0] == "" and folded[1].startswith("7 more operations: Median filter, ")
    assert all(f'id="{name}"' in page for name in PARAMETERS)
    for query in ("operations=canny,median", "operations=resize"):
        assert '<details class="fold ops-more" open>' in client.get(f"/?{query}").text


def test_what_is_wrong_with_one_of_them_can_be_seen(client):
    wrong = {"operations": "canny", "median_size": "4", "samples": "form"}
    answer = client.post("/process", data=wrong, headers={"Accept": "text/html"})
    assert answer.status_code == 400 and '<details class="fold ops-more" open>' in answer.text
    assert "must be an odd whole number from 3 to 255" in answer.text
