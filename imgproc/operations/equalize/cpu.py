"""Histogram equalization on the CPU: of the whole image, and of strips to the same pixels."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from imgproc.errors import UserError
from imgproc.operations.contract import Image
from imgproc.operations.histogram import Histogram, count, count_channel, gains_by_pairs
from imgproc.operations.rows import Rows, blocks
from imgproc.parameters import Parameters

# Elements (pixels times channels) worked on at a time. What is converted is then still in the processor's cache when
# it is needed again.
_BLOCK = 1 << 20
# cv2.equalizeHist counts in 32 bits with a sign and is wrong above. What is refused there is refused in strips too, so
# that every technique does the same.
_MOST_PIXELS = 2**31 - 1


def equalize(image: Image, p: Parameters) -> Image:
    """Histogram-equalized image of the same shape; of a colour image the luma, its chroma kept.

    Raises:
        UserError: it has 2^31 pixels or more.
    """
    check_size(image)
    if image.ndim == 2:
        return _equalize_gray(image, p)
    luma = cv2.cvtColor(image, cv2.COLOR_BGR2YCrCb)
    luma[:, :, 0] = cv2.equalizeHist(luma[:, :, 0])
    return np.asarray(cv2.cvtColor(luma, cv2.COLOR_YCrCb2BGR), np.uint8)


def code(p: Parameters, color: bool) -> str:
    """The same as a body of a function of ``image``, see ``contract.Code``."""
    if not color:
        return "return cv2.equalizeHist(image)"
    return (
        "luma = cv2.cvtColor(image, cv2.COLOR_BGR2YCrCb)  # equalize the brightness, keep the colours\n"
        "luma[:, :, 0] = cv2.equalizeHist(luma[:, :, 0])\n"
        "return cv2.cvtColor(luma, cv2.COLOR_YCrCb2BGR)"
    )


def arithmetic(p: Parameters, channels: int) -> float:
    """See ``Operation.arithmetic``: a pixel is counted and looked up. A colour becomes luma and chroma and back,
    each by three sums of three products."""
    return 2.0 if channels == 1 else 2.0 + 2 * 3 * (2 * 3 - 1)


def _equalize_gray(image: Image, p: Parameters) -> Image:
    if not gains_by_pairs(image) or cv2.getNumThreads() > 1:
        return np.asarray(cv2.equalizeHist(image), np.uint8)
    # By pairs of pixels, as strips are: on one thread in two thirds of the time, from some 8 megapixels on.
    out, rows = np.empty(image.shape, np.uint8), Rows(0, len(image))
    equalize_rows(image, out, rows, p, table(out, [rows], [histogram(image, out, rows, p, None)]))
    return out


def check_size(image: Image) -> None:
    height, width = image.shape[:2]
    if height * width > _MOST_PIXELS:
        raise UserError(
            f"An image of {width} x {height} pixels is too large to equalize: {_MOST_PIXELS} pixels are the most. "
            "Scale it down, or choose other operations.",
            code="too_large",
            limit=_MOST_PIXELS,
        )


def histogram(source: Image, out: Image, rows: Rows, p: Parameters, given: None) -> Histogram:
    """How many pixels of the strip have each of the 256 grays, or lumas in colour.

    Raises:
        UserError: as ``equalize``.
    """
    check_size(source)
    if source.ndim == 2:
        return count(rows.of(source))
    counts = np.zeros(256, np.int64)
    for block in blocks(rows, source[0].size, _BLOCK):
        counts += count_channel(np.asarray(cv2.cvtColor(block.of(source), cv2.COLOR_BGR2YCrCb), np.uint8))
    return counts


def table(out: Image, strips: Sequence[Rows], partials: Sequence[Histogram]) -> Image:
    """What each gray becomes, 256 of uint8: the table of ``cv2.equalizeHist``, in its float32."""
    counts = np.stack(partials).sum(axis=0)
    lowest = int(np.flatnonzero(counts)[0])
    others = int(counts.sum() - counts[lowest])
    if others == 0:  # one gray only, and it stays
        return np.arange(256, dtype=np.uint8)
    counts[: lowest + 1] = 0
    scale = np.float32(255) / np.float32(others)
    grays: Image = np.rint(counts.cumsum().astype(np.float32) * scale).clip(0, 255).astype(np.uint8)
    return grays


def equalize_rows(source: Image, out: Image, rows: Rows, p: Parameters, given: Image) -> None:
    """The strip through the table; of a colour image its luma, the chroma kept."""
    if source.ndim == 2:
        _look_up(rows.of(source).reshape(-1), given, out.reshape(-1))
        return
    same = np.arange(256, dtype=np.uint8)
    luma_only = np.stack([given, same, same], axis=1)[None]
    for block in blocks(rows, source[0].size, _BLOCK):
        levels = cv2.cvtColor(block.of(source), cv2.COLOR_BGR2YCrCb)
        cv2.LUT(levels, luma_only, dst=levels)
        cv2.cvtColor(levels, cv2.COLOR_YCrCb2BGR, dst=block.of(out, rows.start))


def _look_up(grays: Image, table: Image, out: Image) -> None:
    """Each gray through the table, two at a time: neighbours are alike, so few of the 65,536 pairs are met, and it
    takes half as long."""
    pairs = grays.size // 2
    both = table | table[:, None].astype(np.uint16) << 8
    cv2.LUT(grays[: 2 * pairs].view(np.uint16), both.reshape(-1), dst=out[: 2 * pairs].view(np.uint16))
    out[2 * pairs :] = table[grays[2 * pairs :]]
