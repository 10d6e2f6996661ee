"""Ranges of rows, and how an image is cut into them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

Pixel = TypeVar("Pixel", bound=np.generic)


class Rows(NamedTuple):
    """The rows from ``start`` up to, not including, ``stop``."""

    start: int
    stop: int

    def around(self, border: int, height: int) -> Rows:
        """These rows and up to ``border`` more on either side, as far as an image of this height has them."""
        return Rows(max(0, self.start - border), min(height, self.stop + border))

    def of(self, image: npt.NDArray[Pixel], first: int = 0) -> npt.NDArray[Pixel]:
        """A view of these rows of an image, of which ``image`` has those from ``first`` on."""
        return image[self.start - first : self.stop - first]


def cut(height: int, count: int) -> tuple[Rows, ...]:
    """An image of ``height`` rows in ``count`` strips as equal as can be; in fewer if it has fewer rows."""
    count = max(1, min(count, height))
    edges = [height * index // count for index in range(count + 1)]
    return tuple(map(Rows, edges[:-1], edges[1:]))


def blocks(rows: Rows, row_size: int, most: int) -> Iterator[Rows]:
    """The rows in pieces of at most ``most`` elements (one row at least), so that buffers stay small.

    Args:
        rows: what to go through.
        row_size: elements of one row.
        most: elements of one piece.
    """
    height = rows.stop - rows.start
    for block in cut(height, -(-height // max(1, most // row_size))):
        yield Rows(rows.start + block.start, rows.start + block.stop)
