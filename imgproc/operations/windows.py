"""Strips of operations that make each row of a result of the rows around it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from imgproc.operations.contract import Image, Phase, Strips
from imgproc.operations.rows import Rows, blocks
from imgproc.parameters import Parameters

Whole = Callable[[Image, Parameters], Image]
Border = Callable[[Parameters], int]

# Elements (pixels times channels) worked on at a time, so that buffers stay small and in the processor's cache.
_BLOCK = 1 << 18
# Every block borrows its border rows anew; this many times the border in each keeps that below a tenth.
_BORDERS = 20


@dataclass(frozen=True)
class WindowWork:
    """The work of a phase: ``whole`` is done on the strip with its ``border``, block by block, and what it makes of
    borrowed rows is dropped. Where the image ends the block ends too, so that ``whole`` goes on beyond that as it does
    on the whole image."""

    whole: Whole
    border: Border

    def __call__(self, source: Image, out: Image, rows: Rows, p: Parameters, given: None) -> None:
        """See ``contract.StripWork``."""
        border, row_size = self.border(p), source[0].size
        for block in blocks(rows, row_size, max(_BLOCK, _BORDERS * border * row_size)):
            window = block.around(border, len(source))
            made = self.whole(window.of(source), p)
            block.of(out, rows.start)[:] = block.of(made, window.start)


def in_windows(whole: Whole, border: Border) -> Strips:
    """The strips of an operation of which each row of the result depends on that row of the image and on ``border``
    more on either side, and on nothing else.

    Args:
        whole: the operation on a whole image, a function of a module, as it is pickled by its name.
    """
    return Strips((Phase(WindowWork(whole, border)),), border)


def in_blocks(whole: Whole, border: Border, image: Image, p: Parameters) -> Image:
    """What ``whole`` makes of the image, in blocks: for operations whose buffers are larger than the image. The result
    is of the image's shape."""
    out = np.empty(image.shape, np.uint8)
    WindowWork(whole, border)(image, out, Rows(0, len(image)), p, None)
    return out
