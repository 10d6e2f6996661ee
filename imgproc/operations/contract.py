"""The contract of an operation: array in, array out; and, where it has them, its work on strips and on a GPU.

``imgproc/operations/<name>/`` declares one as ``OPERATION``. That is all: the form, the command line, the API, the
pages and every technique read it from there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from imgproc.operations.cuda.device import Program
from imgproc.operations.rows import Rows, blocks
from imgproc.parameters import Parameter, Parameters

Image = npt.NDArray[np.uint8]

# Elements (pixels times channels) of a result worked on at a time where it need not be whole: few enough to stay in
# the processor's cache.
_BLOCK = 1 << 22
# Rows are borrowed anew for every block; this many times the border in each keeps them to a fifth.
_BORDERS = 10

#: ``work(source, out, rows, parameters, given)`` reads any row of ``source``, writes to ``out``, which is these rows
#: of the result, and returns a small thing that can be pickled. The same call again does the same again, whatever
#: became of the first, so that a strip whose worker died is simply run anew. ``given`` is what the phase before was
#: merged to.
StripWork = Callable[[Image, Image, Rows, Parameters, Any], Any]

#: ``merge(out, strips, partials)`` joins what the strips returned, in their order; it may write anywhere in ``out``.
Merge = Callable[[Image, Sequence[Rows], Sequence[Any]], Any]


@dataclass(frozen=True)
class Look:
    """How pages and figures show an operation: the colour of its stage on a light and on a dark ground, as
    ``#rrggbb``; the file in ``static/img`` that the form shows, None for none; and whether beside its result stands how
    many of each gray there are, before and after."""

    light: str
    dark: str
    picture: str | None = None
    histogram: bool = False


def no_merge(out: Image, strips: Sequence[Rows], partials: Sequence[Any]) -> None:
    """The merge of a phase whose strips need none."""


def no_border(p: Parameters) -> int:
    """The border of an operation that looks at each pixel by itself."""
    return 0


def same_size(height: int, width: int, p: Parameters) -> tuple[int, int]:
    """The size of the result of an operation that makes a pixel of each pixel."""
    return height, width


def no_check(p: Parameters) -> None:
    """The check of an operation whose parameters go with each other whatever they are."""


#: ``code(parameters, color)`` is the body of a Python function of ``image``, uint8, gray or BGR with ``color``: lines
#: that return the operation's pixels to the last bit by OpenCV (``cv2``) and numpy (``np``), whatever their threads.
Code = Callable[[Parameters, bool], str]
#: Of the parameters and the number of channels: operations for each pixel.
Arithmetic = Callable[[Parameters, int], float]


def no_remarks(p: Parameters) -> tuple[str, ...]:
    """The remarks of an operation that does what its parameters say."""
    return ()


@dataclass(frozen=True)
class Phase:
    """``work`` is done on every strip, in any order, at once, wherever ``source`` and ``out`` are within reach;
    then ``merge`` once, serially. A phase that does not ``write`` needs no ``out``."""

    work: StripWork
    merge: Merge = no_merge
    writes: bool = True


@dataclass(frozen=True)
class Strips:
    """How an operation is done on strips of rows, to the same pixels as on the whole image.

    The ``phases`` come one after the other, and what the strips of one return is merged before the next; ``out`` is
    whole after the last merge. ``border``: how many rows of the source on either side of its own a strip reads. Who
    runs the strips, and how they reach the pixels, is not decided here.
    """

    phases: tuple[Phase, ...]
    border: Callable[[Parameters], int] = no_border

    @property
    def flows(self) -> bool:
        """Whether rows are final once the last phase has worked on them; so they can be used block by block, and the
        result need never be whole in memory."""
        return self.phases[-1].merge is no_merge


@dataclass(frozen=True)
class Adaptation:
    """What an operation takes from the whole picture before it begins. Where it is ``wanted``, ``parameters`` makes
    of the image and of what was asked for the parameters that the work is done with."""

    wanted: Callable[[Parameters], bool]
    parameters: Callable[[Image, Parameters], Parameters]


@dataclass(frozen=True)
class Operation:
    """One entry of the table ``OPERATIONS``.

    ``whole`` takes an image, (height, width) gray or (height, width, 3) BGR of uint8, and the parameters of all
    operations; it returns a new image of uint8, of the same shape, or of (height, width) with ``bilevel``.
    Where its result has another height and width, ``size`` says which, from those of the image and the parameters.
    ``result`` is what pages call its result. ``bilevel`` says that this is only 0 and 255, so that a PNG of it needs
    one bit per pixel. ``check`` raises a UserError where parameters do not go together; ``remarks`` say what people
    may not expect of them, each to stand behind the ``label`` and a colon. Without ``strips`` an image stays whole;
    without ``cuda`` a GPU technique cannot do it. ``prange`` (module:function) is the same as ``whole`` by Numba, on
    all threads that Numba is to use; without, the technique that does that cannot do it. ``whole``, ``prange``,
    ``strips`` and ``cuda`` are given what an ``adaptation`` makes of the parameters; ``code`` what was asked for.
    Without ``code`` a run has no program to copy.
    ``color`` says what it does to a colour image, where not the same to each channel. ``made_of`` are the parts of a
    chain, one after another; its ``strips``, ``cuda``, ``adaptation`` and ``remarks`` are those of each part.
    ``arithmetic``: of the parameters and the number of channels, how many additions, multiplications, comparisons,
    roots and look-ups a pixel takes by the definition, each counted as one, whatever tricks or vectors save; a kernel
    of n taps has n multiplications and n - 1 additions. None where nobody counted, or where it depends on the picture.
    Operations stand in the ``order`` they give; a run that names none does those with ``default``. ``own`` is what
    travels with images where a user's function is behind it (``functions.operations.OwnOperation``), None for those of
    this package.

    Raises:
        ValueError: it has both ``strips`` and another ``size``: a strip of the image is one of the result.
    """

    name: str
    label: str
    result: str
    help: str
    parameters: tuple[Parameter, ...]
    whole: Callable[[Image, Parameters], Image]
    bilevel: bool = False
    check: Callable[[Parameters], None] = no_check
    remarks: Callable[[Parameters], tuple[str, ...]] = no_remarks
    adaptation: Adaptation | None = None
    strips: Strips | None = None
    cuda: Program | None = None
    prange: str = ""
    code: Code | None = None
    arithmetic: Arithmetic | None = None
    look: Look = Look("#7b68a6", "#ab9bd6")
    color: str = ""
    order: int = 100
    default: bool = False
    size: Callable[[int, int, Parameters], tuple[int, int]] = same_size
    own: Any = None
    made_of: tuple[Operation, ...] = ()

    def __post_init__(self) -> None:
        if self.strips is not None and self.size is not same_size:
            raise ValueError(f"{self.name} has strips, so its result must be of the size of the image")

    @property
    def parts(self) -> tuple[Operation, ...]:
        """What is done one after another: the parts of a chain, or itself."""
        return self.made_of or (self,)

    @property
    def gray(self) -> bool:
        """Whether its result is gray also of a colour image."""
        return any(part.bilevel for part in self.parts)

    def steps(self, shape: tuple[int, ...], parameters: Parameters) -> Iterator[tuple[Operation, tuple[int, ...]]]:
        """Each part, with the shape of what it is given where the chain is given an image of this shape."""
        for part in self.parts:
            yield part, shape
            shape = part.result_shape(shape, parameters)

    def counted(self, shape: tuple[int, ...], parameters: Parameters) -> float:
        """Operations of the arithmetic of an image of this shape, by the definition; 0 where one of the parts is not
        counted."""
        total = 0.0
        for part, of in self.steps(shape, parameters):
            if part.arithmetic is None:
                return 0.0
            total += of[0] * of[1] * part.arithmetic(parameters, of[2] if len(of) > 2 else 1)
        return total

    def apply(self, image: Image, parameters: Parameters) -> Image:
        """The operation on the whole image, from beginning to end."""
        return self.whole(image, self.adapted(image, parameters))

    def adapts(self, parameters: Parameters) -> bool:
        """Whether it must see the whole picture before it begins."""
        return self.adaptation is not None and self.adaptation.wanted(parameters)

    def adapted(self, image: Image, parameters: Parameters) -> Parameters:
        """The parameters that the work on this image is done with."""
        if self.adaptation is None or not self.adaptation.wanted(parameters):
            return parameters
        return self.adaptation.parameters(image, parameters)

    def result_shape(self, shape: tuple[int, ...], parameters: Parameters) -> tuple[int, ...]:
        """Shape of what is made of an image of this shape."""
        size = self.size(shape[0], shape[1], parameters)
        return size if self.gray else (*size, *shape[2:])

    def apply_by_prange(self, image: Image, parameters: Parameters) -> Image:
        """As ``apply``, by Numba, which it loads.

        Raises:
            ValueError: a part is not written in Numba.
        """
        for part in self.parts:
            module, _, name = part.prange.partition(":")
            if not name:
                raise ValueError(f"{part.name} is not written in Numba")
            image = getattr(import_module(module), name)(image, part.adapted(image, parameters))
        return image

    @property
    def on_strips(self) -> Strips:
        """Its strips, where it is known to have them."""
        if self.strips is None:
            raise ValueError(f"{self.name} is not done on strips")
        return self.strips

    @property
    def on_gpu(self) -> Program:
        """Its program, where it is known to have one."""
        if self.cuda is None:
            raise ValueError(f"{self.name} is not on the GPU")
        return self.cuda

    def flow(self, source: Image, rows: Rows, parameters: Parameters, given: Any) -> Iterator[Image]:
        """These rows of the result of strips that flow, a block at a time; each is gone when the next is asked for.
        ``given`` is what the phase before the last was merged to."""
        row_size, border = source[0].size, self.on_strips.border(parameters)
        parts = list(blocks(rows, row_size, max(_BLOCK, _BORDERS * border * row_size)))
        shape = self.result_shape(source.shape, parameters)
        memory = np.empty((max(part.stop - part.start for part in parts), *shape[1:]), np.uint8)
        for part in parts:
            out = memory[: part.stop - part.start]
            self.on_strips.phases[-1].work(source, out, part, parameters, given)
            yield out
