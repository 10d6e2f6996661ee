"""The host's part of the kernels: how images lie, what the numbers are, how much memory it takes."""

import subprocess
import sys

import cv2
import numpy as np
import pytest
from kernel_cases import run
from strip_pictures import ON_DEVICE

from imgproc.errors import UserError
from imgproc.operations import OPERATIONS, parse_parameters
from imgproc.operations.canny.cuda import canny, limits, sobel_taps
from imgproc.operations.cuda import packed_weights as weights
from imgproc.operations.cuda.device import Kept, Sizes, buffer, filled
from imgproc.operations.cuda.layout import Layout, pack, unpack
from imgproc.operations.equalize.cuda import equalize
from imgproc.operations.gaussian.cuda import _blur_tile, gaussian
from imgproc.operations.gaussian.kernel import WHOLE, gaussian_taps

DEFAULTS = parse_parameters({})


class Counting:
    """A device that computes nothing and notes what it is asked for."""

    def __init__(self, sizes=None, processors=132):
        self.sizes, self.processors, self.kept = sizes or Sizes(), processors, Kept()
        self.launches, self.taken, self.uploads = [], 0, 0

    def empty(self, count, dtype):
        self.taken += count * np.dtype(dtype).itemsize
        return np.zeros(min(count, 1000), dtype)

    def upload(self, host, array):
        self.uploads += 1

    def download(self, array, host):
        host[:] = 0

    def launch(self, kernel, grid, block, shared, *arguments):
        self.launches.append((kernel, grid, block, shared))

    def wait(self):
        pass


@pytest.mark.parametrize("shape", [(1, 1), (2, 5), (7, 8), (3, 1, 3), (2, 4, 3), (5, 7, 3)])
def test_an_image_comes_back_as_it_was(shape):
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    words = pack(image)
    layout = Layout.of(shape)
    assert words.size == layout.words and layout.stride % layout.channels == 0
    assert np.array_equal(unpack(words, shape), image)
    rows = words.view(np.uint8).reshape(shape[0], -1)
    assert np.array_equal(rows[:, : image[0].size], image.reshape(shape[0], -1))


def test_most_photographs_are_not_copied():
    image = np.zeros((6, 8, 3), np.uint8)
    assert np.shares_memory(pack(image), image)
    assert np.shares_memory(unpack(pack(image), image.shape), image)


def test_an_image_with_gaps_between_its_rows_is_packed():
    image = np.arange(200, dtype=np.uint8).reshape(10, 20)[::2, 3:11]
    assert np.array_equal(unpack(pack(image), image.shape), image)


def test_too_many_bytes_are_refused():
    assert Layout.of((46_340, 46_340)).words > 0
    with pytest.raises(UserError, match="An image of 46344 x 46344 pixels is too large for the GPU techniques") as told:
        Layout.of((46_344, 46_344))
    assert told.value.code == "too_large"


@pytest.mark.parametrize("sigma", [0.0, 0.3, 0.8, 1.0, 2.2, 17.0, 50.0])
def test_taps_are_those_of_opencv(sigma):
    """An impulse of 255 shows every tap but for rounding; several, far apart, show them exactly."""
    for kernel in [*range(3, 100, 2), 101, 201, 301]:
        taps = gaussian_taps(kernel, sigma)
        assert taps.sum() == WHOLE and taps.min() >= 0
        step = np.zeros((1, 2 * kernel), np.uint8)
        step[:, kernel:] = 255
        sums = np.array(
            [taps[kernel // 2 - (x - kernel) :].sum() if x >= kernel // 2 else 0 for x in range(2 * kernel)]
        )
        inner = slice(kernel // 2, 2 * kernel - kernel // 2)
        wanted = (255 * sums[inner] * 256 + 32768) >> 16
        assert np.array_equal(cv2.GaussianBlur(step, (kernel, 1), sigma)[0, inner], wanted)


def test_weights_are_the_taps_in_their_places():
    taps = np.array([1, 2, 3, 2, 1])
    along = weights.across(taps, 1).view(np.uint8).reshape(3, 4, 4)  # word, the byte summed for, byte
    for to in range(4):
        assert along[:, to].ravel().tolist() == [0] * (2 + to) + [1, 2, 3, 2, 1] + [0] * (5 - to)
    vertical = weights.down(taps).view(np.uint8).reshape(3, 2, 2)  # pair, the row summed for, row
    assert vertical[:, 0].ravel().tolist() == [1, 2, 3, 2, 1, 0]
    assert vertical[:, 1].ravel().tolist() == [0, 1, 2, 3, 2, 1]
    color = weights.across(np.array([5, 6, 7]), 3).view(np.uint8).reshape(3, 4, 4)
    assert color[:, 1].ravel().tolist() == [0, 0, 5, 0, 0, 6, 0, 0, 7, 0, 0, 0]


def test_negative_weights_are_signed_bytes():
    smooth, slope = sobel_taps(7)
    assert (smooth.tolist(), slope.tolist()) == ([1, 6, 15, 20, 15, 6, 1], [-1, -4, -5, 0, 5, 4, 1])
    assert weights.across(slope, 1).view(np.int8).min() == -5
    with pytest.raises(ValueError, match="does not fit into a byte"):
        weights.down(np.array([0, 256, 0]))


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ((100, 200, 3, False), (100, 200)),
        ((200, 100, 3, False), (100, 200)),
        ((100.75, 200.5, 5, False), (100, 200)),
        ((100, 200, 7, False), (6, 12)),
        ((100, 200, 3, True), (10_000, 40_000)),
        ((1.5, 2.5, 3, True), (2, 6)),
        ((0, 32767, 3, True), (0, 32767**2)),
        ((17_850, 32767, 5, False), (17_850, 32767)),
        ((235_620, 16 * 32767, 7, True), ((235_620 / 16) ** 2 // 1, 32767**2)),
    ],
)
def test_what_a_length_must_be_above(given, wanted):
    assert limits(*given) == wanted


@pytest.mark.parametrize("channels", [1, 3])
def test_no_block_needs_more_than_every_gpu_gives(channels):
    """48 KB of shared memory, and no more blocks in a row or column of them than CUDA allows."""
    device = Counting()
    shape = (3000, 4000) if channels == 1 else (3000, 4000, 3)
    for kernel in range(1, 302, 2):
        gaussian(device, None, shape, {"kernel": kernel, "sigma": 0.0})
    assert {block for kernel, _, block, _ in device.launches} == {device.sizes.threads}
    for aperture in (3, 5, 7):
        canny(device, None, shape, DEFAULTS | {"aperture": aperture})
    equalize(device, None, shape, {})
    for _, (across, down), block, shared in device.launches:
        assert 0 < shared <= 48 << 10 or shared == 0
        assert 0 < across < 2**31 and 0 < down <= 65_535
        assert block <= 1024


def test_every_row_is_in_a_tile():
    for height in (1, 59, 60, 61, 1000):
        for kernel in (3, 5, 31, 99, 171, 301):
            device = Counting()
            gaussian(device, None, (height, 100), {"kernel": kernel, "sigma": 0.0})
            [(_, (_, down), _, _)] = device.launches
            tile = _blur_tile(device.sizes, *(len(w) for w in _blur_weights(kernel)))
            assert tile.rows % 4 == 0 and down * tile.rows >= height > (down - 1) * tile.rows


def _blur_weights(kernel):
    taps = gaussian_taps(kernel, 0)
    return weights.across(taps, 1), weights.down(taps)


@pytest.mark.parametrize("shape", [(1, 1), (480, 640), (479, 641, 3), (3000, 4000)])
@pytest.mark.parametrize("name", ON_DEVICE)
def test_memory_is_told_beforehand(name, shape):
    device = Counting()
    told = OPERATIONS[name].cuda.bytes_needed(shape)
    run(device, name, np.zeros(shape, np.uint8), DEFAULTS)
    assert told <= device.taken <= told + 4096  # besides it only weights and tables


def test_a_small_image_gets_few_blocks():
    device = Counting()
    equalize(device, None, (10, 10), {})
    assert [grid for _, grid, _, _ in device.launches] == [(1, 1), (1, 1)]


def test_a_blur_that_changes_nothing_is_the_image():
    device, image = Counting(), object()
    for p in ({"kernel": 1, "sigma": 7.0}, {"kernel": 5, "sigma": 0.1}):
        assert gaussian(device, image, (5, 5), p) is image
    assert device.launches == []


def test_buffers_grow_and_are_filled_once():
    device = Counting()
    first = buffer(device, "a", 10, np.uint8)
    assert buffer(device, "a", 5, np.uint8) is first
    assert buffer(device, "a", 11, np.uint8) is not first
    made = []

    def make(size=3):
        made.append(size)
        return np.zeros(size, np.uint32)

    kept = filled(device, "b", "key", make)
    assert filled(device, "b", "key", make) is kept and made == [3]
    filled(device, "b", "other", lambda: make(9))
    assert made == [3, 9] and device.uploads == 2


def test_neither_numba_nor_cupy_is_imported():
    code = (
        "import sys, imgproc.operations.cuda.programs;"
        "print(sorted({'numba', 'cupy', 'pycuda', 'llvmlite'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
