"""The kernels on a real GPU, through every adapter whose library is installed."""

from importlib import import_module

import numpy as np
import pytest
from kernel_cases import check, wrong_pixels
from strip_pictures import ON_DEVICE, snake

from imgproc.operations import parse_parameters
from imgproc.operations.cuda.device import Sizes
from tests.backend_kinds import ON_GPU, SHIM, each, kind

pytestmark = pytest.mark.gpu


@pytest.fixture(params=each([name for name in ON_GPU if name != SHIM]))
def library(request):
    found = import_module(kind(request.param).adapter)
    with found.using():
        yield found


@pytest.mark.parametrize("seed", range(4))
def test_every_pixel_of_6000_small_cases(library, seed):
    assert check(library.lane(), seed, 500, largest=48 << seed) == 1500


@pytest.mark.parametrize("color", [False, True])
def test_every_pixel_of_large_pictures(library, color):
    rng, lane = np.random.default_rng(3), library.lane()
    for height, width in ((2000, 3001), (3000, 4000), (1, 100_000), (100_000, 1)):
        shape = (height, width, 3) if color else (height, width)
        image = rng.integers(0, 256, shape, np.uint8)
        for name in ON_DEVICE:
            assert wrong_pixels(lane, name, image, parse_parameters({})) == 0, (name, shape)


@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize("kernel", [101, 161, 301])
def test_large_kernels(library, kernel, color):
    shape = (700, 901, 3) if color else (700, 901)
    image = np.random.default_rng(kernel).integers(0, 256, shape, np.uint8)
    for sigma in (0.0, 10.0, 50.0):
        assert wrong_pixels(library.lane(), "gaussian", image, {"kernel": kernel, "sigma": sigma}) == 0


def test_long_snakes_are_kept_to_their_tail(library):
    for seed in range(3):
        image = snake(np.random.default_rng(seed), 1500, 2000)
        assert wrong_pixels(library.lane(), "canny", image, parse_parameters({"canny_low": 4, "canny_high": 15})) == 0


def test_the_result_is_the_same_every_time(library):
    image = np.random.default_rng(0).integers(0, 256, (700, 900), np.uint8)
    lane = library.lane()
    for _ in range(30):
        assert wrong_pixels(lane, "canny", image, parse_parameters({"canny_low": 30, "canny_high": 400})) == 0
    assert lane.sizes == Sizes()
