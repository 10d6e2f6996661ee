"""kernels.cu, run on the CPU by a shim, gives OpenCV's pixels to the last bit."""

import cv2
import numpy as np
import pytest
import shim_device
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import PAINTS, check, check_narrow, run, wrong_pixels
from shim_device import SMALL, ShimDevice, build
from strip_pictures import BLURS, GAIN, ON_DEVICE, parameters, snake, soft, spiral

from imgproc.intake.samples import draw
from imgproc.operations import OPERATIONS, parse_parameters
from imgproc.operations.cuda.device import Sizes
from imgproc.operations.cuda.layout import pack, unpack

pytestmark = pytest.mark.skipif(shim_device.COMPILER is None, reason="there is no g++ here")

DEFAULTS = parse_parameters({})


@pytest.fixture(scope="session")
def libraries(tmp_path_factory):
    """The kernels compiled for small tiles and for those of a GPU."""
    return {sizes: build(tmp_path_factory.mktemp("kernels"), sizes) for sizes in (SMALL, Sizes())}


@pytest.fixture(scope="module")
def small(libraries):
    return ShimDevice(libraries[SMALL], SMALL)


@pytest.fixture(scope="module")
def usual(libraries):
    return ShimDevice(libraries[Sizes()], Sizes())


@pytest.mark.parametrize("seed", range(7))
def test_every_pixel_of_10500_cases(seed, small):
    assert check(small, seed, 500) == 1500


def test_every_pixel_of_450_cases_in_tiles_as_on_a_gpu(usual):
    assert check(usual, 20, 150, largest=200) == 450


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(100, 110))
def test_every_pixel_of_150000_cases(seed, small, usual):
    assert check(small, seed, 4500) + check(usual, seed + 1000, 500, largest=120) == 15_000


@st.composite
def cases(draw):
    """Cases that hypothesis can shrink: size and parameters one by one."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    height, width = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    paint = draw(st.sampled_from(PAINTS))
    image = paint(rng, height, width)
    if draw(st.booleans()):
        image = np.stack([image, paint(rng, height, width), image[::-1]], axis=2)
    values = {
        "canny_low": draw(st.integers(0, 240_000) | st.integers(0, 10_000) | st.integers(0, 600)),
        "canny_high": draw(st.integers(0, 240_000) | st.integers(0, 10_000) | st.integers(0, 600)),
        "thresholds": draw(st.sampled_from(["raw", "scaled", "auto"])),
        "aperture": draw(st.sampled_from([3, 5, 7])),
        "l2gradient": draw(st.booleans()),
        **draw(BLURS),
    }
    return draw(st.sampled_from(sorted(ON_DEVICE))), image, values


@settings(max_examples=300, deadline=None)
@given(cases())
def test_no_pixel_differs(small, case):
    assert wrong_pixels(small, *case) == 0


@pytest.mark.parametrize("name", ON_DEVICE)
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 2), (3, 1), (1, 1, 3), (5, 1, 3), (1, 5, 3), (2, 3, 3)])
def test_the_smallest_images(small, usual, name, shape):
    for seed in range(8):
        rng = np.random.default_rng(seed)
        image = rng.integers(0, 256, shape, np.uint8)
        for device in (small, usual):
            assert wrong_pixels(device, name, image, parameters(rng)) == 0


@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize("sigma", [0.0, 0.2, 0.5, 3.7, 50.0])
def test_every_kernel(small, usual, sigma, color):
    rng = np.random.default_rng(1)
    for kernel in range(1, 100, 2):
        height, width = rng.integers(1, 70, 2)
        image = rng.integers(0, 256, (height, width, 3) if color else (height, width), np.uint8)
        device = usual if kernel % 10 == 9 else small
        assert wrong_pixels(device, "gaussian", image, {"kernel": kernel, "sigma": sigma}) == 0, kernel


@pytest.mark.parametrize("color", [False, True])
def test_large_kernels(small, usual, color):
    rng = np.random.default_rng(1)
    for kernel in (101, 131, 147, 161, 199, 255, 301, 0):
        height, width = rng.integers(1, 90, 2)
        image = rng.integers(0, 256, (height, width, 3) if color else (height, width), np.uint8)
        for device, sigma in ((usual, 50.0), (small, kernel / 7 + 0.1)):
            assert wrong_pixels(device, "gaussian", image, {"kernel": kernel, "sigma": sigma}) == 0, kernel


def test_tiles_of_both_widths_give_the_same(small):
    assert check_narrow(small, 5, [*range(3, 40, 4), 99, 301], 20 << 10) == 24


@pytest.mark.parametrize("l2", [False, True])
@pytest.mark.parametrize("aperture", [3, 5, 7])
def test_thresholds_at_their_ends_and_swapped(small, aperture, l2):
    ends = (0, 1, 255, 100, 240_000)
    for seed, paint in enumerate(PAINTS):
        image = paint(np.random.default_rng(seed), 30, 41)
        for low in ends:
            for high in ends:
                given = {"canny_low": low, "canny_high": high, "aperture": aperture, "l2gradient": l2}
                values = DEFAULTS | given
                assert wrong_pixels(small, "canny", image, values) == 0, (paint.__name__, values)


@pytest.mark.parametrize("aperture", [3, 5, 7])
@pytest.mark.parametrize("paint", [snake, spiral])
def test_long_snakes_are_kept_to_their_tail(small, usual, paint, aperture):
    values = DEFAULTS | {"canny_low": 4 * GAIN[aperture], "canny_high": 15 * GAIN[aperture], "aperture": aperture}
    kept = 0
    for seed in range(6):
        image = paint(np.random.default_rng(seed), 150, 260)
        for device in (small, usual):
            assert wrong_pixels(device, "canny", image, values | {"l2gradient": False}) == 0
        edges = run(small, "canny", image, values | {"l2gradient": False})
        kept += int(np.count_nonzero(edges) > 1500)
    assert kept > 0  # not only lost ones were tried


@pytest.mark.parametrize("shape", [(3, 70_000), (70_000, 3), (2, 66_001, 3)])
def test_sides_above_65535(usual, shape):
    image = soft(np.random.default_rng(1), *shape[:2])
    image = np.stack([image] * 3, axis=2) if len(shape) == 3 else image
    for name in ON_DEVICE:
        assert wrong_pixels(usual, name, image, DEFAULTS) == 0


def test_a_count_above_what_float32_holds_is_rounded_alike(usual):
    """More than 2^24 pixels above the lowest gray."""
    image = np.full((4100, 4104), 7, np.uint8)
    image[0, :5], image[1:3, 1:], image[5, :4103] = 3, 100, 90
    assert image.size - 5 > 2**24
    assert wrong_pixels(usual, "equalize", image, {}) == 0


@pytest.mark.parametrize("color", [False, True])
def test_photographs(usual, color):
    image = draw(2, 0.2)
    image = image if color else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    for name in ON_DEVICE:
        for aperture in (3, 7):
            values = DEFAULTS | {"aperture": aperture, "kernel": 3 * aperture}
            assert wrong_pixels(usual, name, image, values) == 0


def test_results_stay_until_the_same_operation_runs_again(small):
    image = soft(np.random.default_rng(3), 30, 37)
    source = small.empty(pack(image).size, np.uint32)
    small.upload(pack(image), source)
    found = {name: OPERATIONS[name].cuda.launch(small, source, image.shape, DEFAULTS) for name in ON_DEVICE}
    for name in ON_DEVICE:
        assert np.array_equal(unpack(found[name], image.shape), OPERATIONS[name].apply(image, DEFAULTS))
    own = small.empty(source.size, np.uint32)
    assert OPERATIONS["gaussian"].cuda.launch(small, source, image.shape, DEFAULTS, out=own) is own
    assert np.array_equal(own, found["gaussian"][: own.size])


def test_nothing_is_made_anew_for_another_image_of_the_size(small):
    images = [soft(np.random.default_rng(seed), 25, 30) for seed in range(3)]
    for name in ON_DEVICE:
        run(small, name, images[0], DEFAULTS)
    before = {name: id(array) for name, array in small.kept.arrays.items()}
    for image in images:
        for name in ON_DEVICE:
            assert wrong_pixels(small, name, image, DEFAULTS) == 0
    assert {name: id(array) for name, array in small.kept.arrays.items()} == before


class TestTheShim:
    """It notices what would be wrong on a GPU."""

    def test_a_missing_barrier(self, tmp_path):
        text = shim_device.SOURCE
        start = text.index("INLINE void blur_across")
        barrier = text.index("__syncthreads();", start)
        device = ShimDevice(build(tmp_path, SMALL, text[:barrier] + text[barrier + len("__syncthreads();") :]), SMALL)
        image = soft(np.random.default_rng(0), 20, 30)
        assert any(wrong_pixels(device, "gaussian", image, DEFAULTS) for _ in range(5))

    def test_a_barrier_that_some_threads_pass_by(self, tmp_path):
        text = shim_device.SOURCE
        changed = text.replace("load_table(levels, table);", "if (threadIdx.x) load_table(levels, table);", 1)
        device = ShimDevice(build(tmp_path, SMALL, changed), SMALL)
        with pytest.raises(AssertionError, match="look_up left threads behind at a barrier"):
            run(device, "equalize", soft(np.random.default_rng(0), 20, 30), DEFAULTS)

    def test_too_little_shared_memory(self, libraries):
        class Stingy(ShimDevice):
            def launch(self, kernel, grid, block, shared, *arguments):
                super().launch(kernel, grid, block, shared - 64, *arguments)

        device = Stingy(libraries[SMALL], SMALL)
        image = soft(np.random.default_rng(0), 20, 30)
        for name, kernel in (("gaussian", "blur"), ("canny", "edges")):
            with pytest.raises(AssertionError, match=f"{kernel} wrote beyond its shared memory"):
                run(device, name, image, DEFAULTS)
