"""Canny edges on a GPU: which kernels run over how many blocks, and with which numbers."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from imgproc.operations.canny.thresholds import UNIT, limits, thresholds
from imgproc.operations.cuda.device import Array, Device, Program, Sizes, Tile, buffer, ceil_div, filled, result_buffer
from imgproc.operations.cuda.layout import Layout
from imgproc.operations.cuda.packed_weights import Taps, across, down
from imgproc.parameters import Parameters

_BITS = 32  # pixels in a word of candidates
_RUNS = 16  # the most runs in one


def canny(device: Device, image: Array, shape: tuple[int, ...], p: Parameters, out: Array | None = None) -> Array:
    """Canny edges, a gray image."""
    layout, edges, sizes = Layout.of(shape), Layout.of(shape[:2]), device.sizes
    aperture, l2 = int(p["aperture"]), bool(p["l2gradient"])
    low, high = limits(*thresholds(p), aperture, l2)
    horizontal = [across(taps, layout.channels) for taps in sobel_taps(aperture)]
    vertical = [down(taps) for taps in sobel_taps(aperture)]
    weights = filled(
        device,
        "weights of edges",
        (aperture, layout.channels),
        lambda: np.concatenate([part.ravel() for part in (*horizontal, *vertical)]),
    )
    line = ceil_div(layout.width, _BITS)
    candidates = buffer(device, "candidates", line * layout.height, np.uint32)
    parents = buffer(device, "parents", 1 + _RUNS * line * layout.height, np.int32)
    out = result_buffer(device, "canny", edges.words, out)
    tile = _edge_tile(sizes, layout.channels, len(horizontal[0]), len(vertical[0]))
    device.launch(
        "edges",
        (ceil_div(layout.width, sizes.edge_pixels), ceil_div(layout.height, tile.rows)),
        sizes.threads,
        4 * tile.words,
        *(image, candidates, parents, layout.width, layout.height, layout.channels, layout.stride),
        *(weights, len(horizontal[0]), len(vertical[0]), tile.rows, int(l2), int(UNIT[aperture] == 16), low, high),
    )
    threads, measures = sizes.threads, (layout.width, layout.height)
    device.launch("join", (ceil_div(line * layout.height, threads), 1), threads, 0, candidates, parents, *measures)
    drawn = (ceil_div(edges.words, threads), 1)
    device.launch("draw", drawn, threads, 0, candidates, parents, out, *measures, edges.stride)
    return out


def _edge_tile(sizes: Sizes, channels: int, words: int, pairs: int) -> Tile:
    """As many rows as wanted, or as fit."""
    columns = sizes.edge_pixels * channels // 4 + 2

    def needed(rows: int) -> int:
        staged = (rows + 2 * pairs) * (columns + words - 1)
        sums = 2 * (rows + 2 * pairs) * 2 * columns
        return staged + sums + 4 * (rows + 2) * columns + rows * sizes.edge_pixels // 16

    rows = next((r for r in range(sizes.edge_rows, 2, -2) if 4 * needed(r) <= sizes.shared_bytes), 2)
    return Tile(rows, needed(rows))


def sobel_taps(aperture: int) -> tuple[Taps, Taps]:
    """Those that smooth, and those that differentiate, each of shape (aperture,)."""
    slope, smooth = cv2.getDerivKernels(1, 0, aperture)
    return smooth.ravel().astype(np.int64), slope.ravel().astype(np.int64)


def bytes_needed(shape: tuple[int, ...]) -> int:
    """Image and result, candidates and their trees."""
    layout = Layout.of(shape)
    words = ceil_div(layout.width, _BITS) * layout.height
    return 4 * (layout.words + Layout.of(shape[:2]).words + words + 1 + _RUNS * words)


PROGRAM = Program(canny, bytes_needed, Path(__file__).with_name("kernels.cu"), f"{__package__}.numba_kernels")
