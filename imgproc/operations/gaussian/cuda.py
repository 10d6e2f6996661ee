"""Gaussian blur on a GPU: which kernel runs over how many blocks, and with which numbers."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from imgproc.operations.cuda.device import Array, Device, Program, Sizes, Tile, ceil_div, filled, result_buffer
from imgproc.operations.cuda.layout import Layout, image_and_result
from imgproc.operations.cuda.packed_weights import Taps, across, down
from imgproc.parameters import Parameters

WHOLE = 256  #: what the taps of a blur add up to


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
    out = result_buffer(device, "gaussian", layout.words, out)
    tile = _blur_tile(sizes, words, pairs)
    device.launch(
        "blur",
        (ceil_div(layout.stride, sizes.blur_words), ceil_div(layout.height, tile.rows)),
        sizes.threads,
        4 * tile.words,
        *(image, out, layout.width, layout.height, layout.channels, layout.stride),
        *(weights, words, pairs, tile.rows, sizes.staged),
    )
    return out


def _blur_tile(sizes: Sizes, words: int, pairs: int) -> Tile:
    """As many times ``staged`` pairs of rows as wanted, or as fit; those that are borrowed are among them."""
    borrowed = pairs - 1  # always even, as the pairs of a tile must be
    stage, pair = 2 * sizes.staged * (sizes.blur_words + words - 1), 4 * sizes.blur_words
    wanted = sizes.blur_rows // 2 + (borrowed if borrowed > sizes.staged else 0)
    fitting = (sizes.shared_bytes // 4 - stage) // pair
    summed = max(min(ceil_div(wanted, sizes.staged), fitting // sizes.staged) * sizes.staged, borrowed + 2)
    return Tile(2 * (summed - borrowed), stage + summed * pair)


def gaussian_taps(kernel: int, sigma: float) -> Taps:
    """OpenCV's Gaussian in 256ths, of shape (kernel,).

    Each is rounded with the error of those before it, from the ends to the middle, which gets what is left.
    """
    exact = cv2.getGaussianKernel(kernel, sigma, cv2.CV_64F).ravel()
    half, error = [], 0.0
    for value in exact[: kernel // 2]:
        wanted = WHOLE * float(value) + error
        half.append(round(wanted))
        error = wanted - half[-1]
    return np.array([*half, WHOLE - 2 * sum(half), *reversed(half)], np.int64)


PROGRAM = Program(gaussian, image_and_result, Path(__file__).with_name("kernels.cu"), f"{__package__}.numba_kernels")
