"""Gaussian blur on a GPU: which kernel runs over how many blocks, and with which numbers."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from imgproc.operations.cuda.device import Array, Device, Program, Sizes, ceil_div, filled, result_buffer
from imgproc.operations.cuda.layout import Layout, image_and_result
from imgproc.operations.cuda.packed_weights import across, down
from imgproc.operations.gaussian.kernel import WHOLE, gaussian_taps, kernel_size
from imgproc.parameters import Parameters


class BlurTile(NamedTuple):
    """What a block blurs, in words and rows, and the words of shared memory that it takes."""

    columns: int
    rows: int
    words: int


def gaussian(device: Device, image: Array, shape: tuple[int, ...], p: Parameters, out: Array | None = None) -> Array:
    """Gaussian blur of every channel. If it would change nothing, the result is ``image`` itself, never ``out``."""
    layout, sizes = Layout.of(shape), device.sizes
    kernel, sigma = kernel_size(p), float(p["sigma"])
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
    out = result_buffer(device, "gaussian", layout.words, out)
    tile = _blur_tile(sizes, words, pairs)
    device.launch(
        "blur",
        (ceil_div(layout.stride, tile.columns), ceil_div(layout.height, tile.rows)),
        sizes.threads,
        4 * tile.words,
        *(image, out, layout.width, layout.height, layout.channels, layout.stride),
        *(weights, words, pairs, tile.columns, tile.rows, sizes.staged),
    )
    return out


def _blur_tile(sizes: Sizes, words: int, pairs: int) -> BlurTile:
    """A tile of the usual width; where a kernel borrows so many rows that few others would fit, a narrow one."""
    usual = _tile_of(sizes.blur_words, sizes, words, pairs)
    fits = 4 * usual.words <= sizes.shared_bytes and usual.rows >= sizes.blur_rows // 4
    return usual if fits else _tile_of(sizes.narrow_words, sizes, words, pairs)


def _tile_of(columns: int, sizes: Sizes, words: int, pairs: int) -> BlurTile:
    """As many times ``staged`` pairs of rows as wanted, or as fit; those that are borrowed are among them."""
    borrowed = pairs - 1  # always even, as the pairs of a tile must be
    stage, pair = 2 * sizes.staged * (columns + words - 1), 4 * columns
    wanted = sizes.blur_rows // 2 + (borrowed if borrowed > sizes.staged else 0)
    fitting = (sizes.shared_bytes // 4 - stage) // pair
    summed = max(min(ceil_div(wanted, sizes.staged), fitting // sizes.staged) * sizes.staged, borrowed + 2)
    return BlurTile(columns, 2 * (summed - borrowed), stage + summed * pair)


PROGRAM = Program(gaussian, image_and_result, Path(__file__).with_name("kernels.cu"), f"{__package__}.numba_kernels")
