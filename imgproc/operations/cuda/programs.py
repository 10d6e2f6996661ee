"""The operations on a device: which kernels run over how many blocks, and with which numbers.

``canny``, ``gaussian`` and ``equalize`` take an image that lies on the device as ``layout`` says, an array of uint32,
and return the array in which the result lies likewise. That is ``out`` if it is given, else one that stays as it is
until the next call of the same operation on this device. ``run`` does it all, from image to image.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from imgproc.operations.contract import Image
from imgproc.operations.cuda.device import Array, Device, Sizes, buffer, filled
from imgproc.operations.cuda.layout import Layout, pack, unpack
from imgproc.operations.cuda.weights import WHOLE, across, down, gaussian_taps, sobel_taps, thresholds
from imgproc.parameters import Parameters

_BINS = 256
_TABLE_WORDS = 64  # a table of 256 bytes
_MAKING_WORDS = 4 * _BINS  # that making a table needs
# Blocks per multiprocessor of the kernels that work without tiles, as many as it runs at once; and the words that
# each of their threads should have at least.
_COUNTING_BLOCKS = 4
_MAPPING_BLOCKS = 8
_SHARE = 4
_BITS = 32  # pixels in a word of candidates
_RUNS = 16  # the most runs in one


class Program(Protocol):
    """One operation on a device."""

    def __call__(
        self, device: Device, image: Array, shape: tuple[int, ...], p: Parameters, out: Array | None = None
    ) -> Array: ...


class _Tile(NamedTuple):
    """The rows of a block's tile, and the words of shared memory it takes."""

    rows: int
    words: int


def equalize(device: Device, image: Array, shape: tuple[int, ...], p: Parameters, out: Array | None = None) -> Array:
    """Histogram equalization; of a colour image that of its luma."""
    layout, sizes = Layout.of(shape), device.sizes
    color = layout.channels > 1
    units = layout.words // layout.channels  # words of gray, groups of colour
    # The kernel that counts leaves zeros for the next image.
    counts = filled(device, "counts", "zeros", lambda: np.zeros(_BINS + 1, np.uint32))
    table = buffer(device, "table", _BINS, np.uint8)
    out = _result(device, "equalize", layout, out)
    device.launch(
        "luma_histogram" if color else "histogram",
        (min(_COUNTING_BLOCKS * device.processors, _blocks(units, _SHARE * sizes.counting_threads)), 1),
        sizes.counting_threads,
        4 * max(_BINS * sizes.copies, _MAKING_WORDS),
        *(image, counts, table, layout.words, layout.stride, layout.spare),
    )
    device.launch(
        "luma_look_up" if color else "look_up",
        (min(_MAPPING_BLOCKS * device.processors, _blocks(units, (1 if color else _SHARE) * sizes.threads)), 1),
        sizes.threads,
        4 * (_TABLE_WORDS + (layout.channels * sizes.threads if color else 0)),
        *(image, table, out, layout.words),
    )
    return out


def gaussian(device: Device, image: Array, shape: tuple[int, ...], p: Parameters, out: Array | None = None) -> Array:
    """Gaussian blur of every channel. If it would change nothing, the result is ``image`` itself, never ``out``."""
    layout, sizes = Layout.of(shape), device.sizes
    kernel, sigma = int(p["kernel"]), float(p["sigma"])
    taps = gaussian_taps(kernel, sigma)
    if taps.max() == WHOLE:
        return image
    horizontal, vertical = across(taps, layout.channels), down(taps)
    words, pairs = len(horizontal), len(vertical)
    weights = filled(
        device,
        "weights of blur",
        (kernel, sigma, layout.channels),
        lambda: np.concatenate([horizontal.ravel(), vertical]),
    )
    out = _result(device, "gaussian", layout, out)
    tile = _blur_tile(sizes, words, pairs)
    device.launch(
        "blur",
        (_blocks(layout.stride, sizes.blur_words), _blocks(layout.height, tile.rows)),
        sizes.threads,
        4 * tile.words,
        *(image, out, layout.width, layout.height, layout.channels, layout.stride),
        *(weights, words, pairs, tile.rows, sizes.staged),
    )
    return out


def _blur_tile(sizes: Sizes, words: int, pairs: int) -> _Tile:
    """As many times ``staged`` pairs of rows as wanted, or as fit; those that are borrowed are among them."""
    borrowed = pairs - 1  # always even, as the pairs of a tile must be
    stage, pair = 2 * sizes.staged * (sizes.blur_words + words - 1), 4 * sizes.blur_words
    wanted = sizes.blur_rows // 2 + (borrowed if borrowed > sizes.staged else 0)
    fitting = (sizes.shared_bytes // 4 - stage) // pair
    summed = max(min(_blocks(wanted, sizes.staged), fitting // sizes.staged) * sizes.staged, borrowed + 2)
    return _Tile(2 * (summed - borrowed), stage + summed * pair)


def canny(device: Device, image: Array, shape: tuple[int, ...], p: Parameters, out: Array | None = None) -> Array:
    """Canny edges, a gray image."""
    layout, edges, sizes = Layout.of(shape), Layout.of(shape[:2]), device.sizes
    aperture, l2 = int(p["aperture"]), bool(p["l2gradient"])
    low, high = thresholds(float(p["canny_low"]), float(p["canny_high"]), aperture, l2)
    horizontal = [across(taps, layout.channels) for taps in sobel_taps(aperture)]
    vertical = [down(taps) for taps in sobel_taps(aperture)]
    weights = filled(
        device,
        "weights of edges",
        (aperture, layout.channels),
        lambda: np.concatenate([part.ravel() for part in (*horizontal, *vertical)]),
    )
    line = _blocks(layout.width, _BITS)
    candidates = buffer(device, "candidates", line * layout.height, np.uint32)
    parents = buffer(device, "parents", 1 + _RUNS * line * layout.height, np.int32)
    out = _result(device, "canny", edges, out)
    tile = _edge_tile(sizes, layout.channels, len(horizontal[0]), len(vertical[0]))
    device.launch(
        "edges",
        (_blocks(layout.width, sizes.edge_pixels), _blocks(layout.height, tile.rows)),
        sizes.threads,
        4 * tile.words,
        *(image, candidates, parents, layout.width, layout.height, layout.channels, layout.stride),
        *(weights, len(horizontal[0]), len(vertical[0]), tile.rows, int(l2), int(aperture == 7), low, high),
    )
    threads, measures = sizes.threads, (layout.width, layout.height)
    device.launch("join", (_blocks(line * layout.height, threads), 1), threads, 0, candidates, parents, *measures)
    drawn = (_blocks(edges.words, threads), 1)
    device.launch("draw", drawn, threads, 0, candidates, parents, out, *measures, edges.stride)
    return out


def _edge_tile(sizes: Sizes, channels: int, words: int, pairs: int) -> _Tile:
    """As many rows as wanted, or as fit."""
    columns = sizes.edge_pixels * channels // 4 + 2

    def needed(rows: int) -> int:
        staged = (rows + 2 * pairs) * (columns + words - 1)
        sums = 2 * (rows + 2 * pairs) * 2 * columns
        return staged + sums + 4 * (rows + 2) * columns + rows * sizes.edge_pixels // 16

    rows = next((r for r in range(sizes.edge_rows, 2, -2) if 4 * needed(r) <= sizes.shared_bytes), 2)
    return _Tile(rows, needed(rows))


PROGRAMS: dict[str, Program] = {"canny": canny, "gaussian": gaussian, "equalize": equalize}


def run(device: Device, name: str, image: Image, p: Parameters) -> Image:
    """What ``OPERATIONS[name].apply`` gives: one image to the device, the operation, and the result back.

    Args:
        device: of one of the adapters.
        name: a key of ``PROGRAMS``.
        image: uint8 of shape (height, width) or (height, width, 3) in BGR order.
        p: every parameter of the operation.

    Raises:
        UserError: the image is too large for the kernels.
    """
    words = pack(image)
    source = buffer(device, "image", words.size, np.uint32)
    device.upload(words, source)
    result = PROGRAMS[name](device, source, image.shape, p)
    shape = image.shape[:2] if name == "canny" else image.shape
    found = np.empty(Layout.of(shape).words, np.uint32)
    device.download(result, found)
    device.wait()
    return unpack(found, shape)


def bytes_needed(name: str, shape: tuple[int, ...]) -> int:
    """Device memory that an operation takes at most, in bytes, the image and its result included.

    Raises:
        UserError: the image is too large for the kernels.
    """
    layout = Layout.of(shape)
    if name != "canny":
        return 4 * 2 * layout.words
    words = _blocks(layout.width, _BITS) * layout.height
    return 4 * (layout.words + Layout.of(shape[:2]).words + words + 1 + _RUNS * words)


def _result(device: Device, name: str, layout: Layout, out: Array | None) -> Array:
    return buffer(device, f"result of {name}", layout.words, np.uint32) if out is None else out


def _blocks(size: int, each: int) -> int:
    """How many it takes of ``each`` to have ``size``."""
    return -(-size // each)
