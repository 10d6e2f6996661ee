"""What a split operation is made of: ranges of rows, and phases of work on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from imgproc.operations.contract import Image
from imgproc.parameters import Parameters

Pixel = TypeVar("Pixel", bound=np.generic)

# Elements (pixels times channels) of a result worked on at a time where it need not be whole: few enough to stay in
# the processor's cache, and enough for the rows that a blur borrows not to matter.
_BLOCK = 1 << 22


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


#: ``work(source, out, rows, parameters, given)`` reads any row of ``source``, writes to ``out``, which is these rows
#: of the result, and returns a small thing that can be pickled. The same call again does the same again, whatever
#: became of the first, so that a strip whose worker died is simply run anew. ``given`` is what the phase before was
#: merged to.
Work = Callable[[Image, Image, Rows, Parameters, Any], Any]

#: ``merge(out, strips, partials)`` joins what the strips returned, in their order; it may write anywhere in ``out``.
Merge = Callable[[Image, Sequence[Rows], Sequence[Any]], Any]


def nothing(out: Image, strips: Sequence[Rows], partials: Sequence[Any]) -> None:
    """The merge of a phase whose strips need none."""


def no_border(p: Parameters) -> int:
    """The border of an operation that looks at each pixel by itself."""
    return 0


@dataclass(frozen=True)
class Phase:
    """``work`` is done on every strip, in any order, at once, wherever ``source`` and ``out`` are within reach;
    then ``merge`` once, serially. Both are functions of a module, so that they travel by name. A phase that does not
    ``write`` needs no ``out``."""

    work: Work
    merge: Merge = nothing
    writes: bool = True


@dataclass(frozen=True)
class StripOperation:
    """The phases of one operation, one after the other; ``out`` is whole after the last merge. ``border``: how many
    rows of the source on either side of its own a strip reads."""

    phases: tuple[Phase, ...]
    gray: bool = False
    border: Callable[[Parameters], int] = no_border

    @property
    def flows(self) -> bool:
        """Whether rows are final once the last phase has worked on them; so they can be used block by block, and the
        result need never be whole in memory."""
        return self.phases[-1].merge is nothing

    def flow(self, source: Image, rows: Rows, parameters: Parameters, given: Any) -> Iterator[Image]:
        """These rows of the result, a block at a time; each is gone when the next is asked for. ``given`` is what the
        phase before the last was merged to."""
        shape = self.result_shape(source.shape)
        parts = list(blocks(rows, source[0].size, _BLOCK))
        memory = np.empty((max(part.stop - part.start for part in parts), *shape[1:]), np.uint8)
        for part in parts:
            out = memory[: part.stop - part.start]
            self.phases[-1].work(source, out, part, parameters, given)
            yield out

    def result_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of ``out``, which may be uninitialized, for a ``source`` of this shape."""
        return shape[:2] if self.gray else shape


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
