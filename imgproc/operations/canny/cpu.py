"""Canny on the CPU: on the whole image, and on strips to the same pixels.

Which pixels are candidates, and which of them are strong, a strip knows from itself and a few borrowed rows. Which
weak candidates hang on a strong one, through however many others, no strip knows alone. So a strip finds its own
edges, and besides them what is undecided: the groups of connected weak candidates that touch a cut. ``finish`` joins
these groups over the cuts and keeps the ones that hang, through others or not, on an edge.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from imgproc.operations.canny.thresholds import LONGEST, UNIT, thresholds
from imgproc.operations.canny.undecided import Region, Undecided, join, undecided
from imgproc.operations.contract import Image
from imgproc.operations.ipp import without_ipp
from imgproc.operations.rows import Rows, blocks
from imgproc.parameters import Parameters

Gradient = npt.NDArray[np.int16]

# Pixels times channels of one block; its buffers take some 6 bytes for each, however large the strip is.
_BLOCK = 12 << 20


def canny(image: Image, p: Parameters) -> Image:
    """Edges, 255 on 0, of shape (height, width); on a colour image the strongest channel decides per pixel."""
    if image.ndim == 3 and cv2.getNumThreads() == 1:  # as a strip of all rows, in 0.7 to 0.95 of the time
        out, rows = np.empty(image.shape[:2], np.uint8), Rows(0, len(image))
        finish(out, [rows], [edges(image, out, rows, p, None)])
        return out
    (low, high), aperture, l2 = thresholds(p), int(p["aperture"]), bool(p["l2gradient"])
    if aperture == 3:
        # IPP may stay on: with whole-number thresholds it gives the same pixels here, faster.
        return np.asarray(cv2.Canny(image, low, high, apertureSize=3, L2gradient=l2), np.uint8)
    with without_ipp():  # at aperture 5 IPP's edges differ from OpenCV's own
        return np.asarray(cv2.Canny(image, low, high, apertureSize=aperture, L2gradient=l2), np.uint8)


class _Options(NamedTuple):
    low: float
    high: float
    aperture: int
    l2: bool


def border(p: Parameters) -> int:
    """Rows that a strip reads on either side: for the lengths beside a cut, and what Sobel needs for these."""
    return int(p["aperture"]) // 2 + 1


def arithmetic(p: Parameters, channels: int) -> float:
    """See ``Operation.arithmetic``: two gradients by kernels across and down, their length, the strongest channel; then
    for a pixel its direction (two products, two comparisons), the two beside it, both thresholds, and one look at what
    it is connected to, however often groups of weak ones are gone through."""
    gradients, length = 2 * 2 * (2 * int(p["aperture"]) - 1), 4 if p["l2gradient"] else 3
    return float(channels * (gradients + length) + (channels - 1) + 4 + 2 + 2 + 1)


def edges(source: Image, out: Image, rows: Rows, p: Parameters, given: None) -> list[Undecided]:
    """Edges of the strip as far as it knows them alone, and what is undecided, block by block."""
    aperture = int(p["aperture"])
    # Given gradients, OpenCV does not scale the thresholds of aperture 7 itself.
    low, high = (threshold / UNIT[aperture] for threshold in thresholds(p))
    options = _Options(low, high, aperture, bool(p["l2gradient"]))
    parts = list(blocks(rows, source[0].size, _BLOCK))
    buffers = _Buffers(max(part.stop - part.start for part in parts), source.shape, aperture)
    with without_ipp():
        return [_edges_of_block(source, part.of(out, rows.start), part, options, buffers) for part in parts]


class _Buffers:
    """Memory for one block after another; to get it anew for each would take a quarter of the time."""

    def __init__(self, rows: int, shape: tuple[int, ...], aperture: int) -> None:
        rows += 2 * (aperture // 2 + 1) + 2  # those that are borrowed for Sobel and besides, and two guards
        self.dx, self.dy = (np.empty((rows, *shape[1:]), np.int16) for _ in range(2))
        self.found = np.empty((rows, shape[1]), np.uint8)


def _edges_of_block(source: Image, out: Image, rows: Rows, options: _Options, buffers: _Buffers) -> Undecided:
    dx, dy = _gradient(source, rows, options, buffers)
    height, width = source.shape[:2]
    above = 2 if rows.start > 0 else 0  # the guard and the borrowed row
    found = buffers.found[: len(dx)]
    cv2.Canny(dx, dy, options.low, options.high, edges=found, L2gradient=options.l2)
    out[:] = found[above : above + len(out)]

    def weak(part: Region) -> Image:
        inside = Rows(part.rows.start + above, part.rows.stop + above)
        y, x = inside.around(1, len(dx)), part.columns.around(1, width)
        some = (slice(*y), slice(*x))
        # With one threshold for both, Canny marks the candidates.
        candidates = cv2.Canny(dx[some], dy[some], options.low, options.low, L2gradient=options.l2)
        top, left = inside.start - y.start, part.columns.start - x.start
        edges = out[slice(*part.rows), slice(*part.columns)]
        return np.bitwise_xor(candidates[top : top + edges.shape[0], left : left + edges.shape[1]], edges)

    return undecided(rows, height, width, weak)


def _gradient(source: Image, rows: Rows, options: _Options, buffers: _Buffers) -> tuple[Gradient, Gradient]:
    """Sobel's dx and dy of the rows, and at a cut of two more: the borrowed row beside it and a guard.

    Of the borrowed row only the lengths matter, against which Canny compares those of the row inside. It must have
    no candidates itself, as they would be judged without the row beyond.
    """
    height, border = source.shape[0], options.aperture // 2
    needed = rows.around(1, height)
    window = needed.around(border, height)
    pixels = window.of(source)
    dx, dy = buffers.dx[: len(pixels) + 2], buffers.dy[: len(pixels) + 2]
    _sobel(pixels, dx[1:-1], dy[1:-1], options.aperture)
    first, last = needed.start - window.start + 1, needed.stop - window.start
    if needed.start < rows.start:
        _silence(dx, dy, first, first - 1, options.l2)
        first -= 1
    if needed.stop > rows.stop:
        _silence(dx, dy, last, last + 1, options.l2)
        last += 1
    return dx[first : last + 1], dy[first : last + 1]


def _sobel(pixels: Image, dx: Gradient, dy: Gradient, aperture: int) -> None:
    border = cv2.BORDER_REPLICATE
    if aperture == 3 and pixels.ndim == 2:  # both at once, in half the time
        cv2.spatialGradient(pixels, dx, dy, 3, border)
        return
    scale = 1 / UNIT[aperture]
    cv2.Sobel(pixels, cv2.CV_16S, 1, 0, dst=dx, ksize=aperture, scale=scale, borderType=border)
    cv2.Sobel(pixels, cv2.CV_16S, 0, 1, dst=dy, ksize=aperture, scale=scale, borderType=border)


def _silence(dx: Gradient, dy: Gradient, row: int, guard: int, l2: bool) -> None:
    """Keep the lengths of a row's gradients, but turn them all to the guard row beside it, than which none is longer,
    so that none is a maximum."""
    dx[guard], dy[guard] = 0, 0
    dy[guard].reshape(dx.shape[1], -1)[:, 0] = LONGEST
    x, y = (np.abs(d[row].reshape(dx.shape[1], -1)).astype(np.int32) for d in (dx, dy))
    strongest = (x * x + y * y if l2 else x + y).argmax(axis=1)[:, None]
    x, y = (np.take_along_axis(d, strongest, axis=1)[:, 0] for d in (x, y))
    dx[row], dy[row] = 0, 0
    dx[row].reshape(dx.shape[1], -1)[:, 0] = np.minimum(x, y)
    dy[row].reshape(dx.shape[1], -1)[:, 0] = np.maximum(x, y)
    # So they point down and, where not straight, right; and are compared with down right and up left. At the end of
    # the row that one of these would be outside the image, where every length is 0, so there they point left.
    dx[row, 0 if guard < row else -1] *= -1


def finish(out: Image, strips: Sequence[Rows], partials: Sequence[list[Undecided]]) -> None:
    """Decide what the strips could not."""
    join(out, [block for partial in partials for block in partial])
