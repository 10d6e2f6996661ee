"""What the programs ask of a device, how they cut the work for it, and what they keep on it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from imgproc.parameters import Parameters

#: A flat array on a device; what it is only its adapter knows.
Array = Any
#: A flat array on the host.
Host = npt.NDArray[Any]
#: A moment in a stream of work.
Mark = Any


@dataclass(frozen=True)
class Sizes:
    """How work is cut into blocks. No pixel depends on it; the defaults suit every GPU since Turing."""

    copies: int = 32  #: of the histogram in every block
    blur_words: int = 32  #: width of a tile of blur, in words
    narrow_words: int = 8  #: the same where a large kernel leaves no room for as many
    edge_pixels: int = 64  #: width of a tile of edges, a multiple of 32
    blur_rows: int = 64  #: rows of a tile of blur, with those it borrows unless these are many
    staged: int = 8  #: pairs of rows that a block of blur fetches at a time, an even number
    edge_rows: int = 32  #: rows of a tile of edges, an even number; fewer where shared memory is too small
    threads: int = 256  #: of a block
    counting_threads: int = 512  #: of a block that counts, as it has much to clear and to add
    shared_bytes: int = 48 << 10  #: what every GPU gives a block without being asked in a special way

    @property
    def fixed(self) -> dict[str, int]:
        """Those that the kernels are compiled with, by their names there."""
        return {
            "COPIES": self.copies,
            "BLUR_WORDS": self.blur_words,
            "NARROW_WORDS": self.narrow_words,
            "EDGE_PIXELS": self.edge_pixels,
        }


@dataclass
class Kept:
    """Buffers that stay on a device from image to image, by name: each with its size and what it was filled with."""

    arrays: dict[str, Array] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    contents: dict[str, object] = field(default_factory=dict)


class Device(Protocol):
    """One stream of work on a GPU. What it is asked for is done in order, but maybe not before the call returns.

    Two streams share no buffers. Raises what its library raises, above all when device memory is used up; after an
    error in a kernel, what is kept may be wrong, and the device must not be used again.
    """

    sizes: Sizes
    processors: int  #: multiprocessors of the GPU
    kept: Kept  #: for the functions below

    def empty(self, count: int, dtype: npt.DTypeLike) -> Array:
        """An array of ``count`` elements, not initialized."""

    def upload(self, host: Host, array: Array) -> None:
        """Copy ``host`` to the beginning of ``array``; it must not change until that is done (see ``wait``)."""

    def download(self, array: Array, host: Host) -> None:
        """Fill ``host`` from the beginning of ``array``; it is there after ``wait``."""

    def copy(self, source: Array, target: Array, words: int) -> None:
        """Copy the first words of an array of uint32 to another; what kernels are measured against."""

    def launch(self, kernel: str, grid: tuple[int, int], block: int, shared: int, *arguments: Array | int) -> None:
        """Run a kernel in ``grid`` blocks of ``block`` threads, each block with so many bytes of shared memory."""

    def mark(self) -> Mark:
        """The moment when all that was asked for so far is done."""

    def seconds(self, earlier: Mark, later: Mark) -> float:
        """Between two moments that have both come."""

    def wait(self) -> None:
        """Return when all that was asked for is done."""


class LaunchProgram(Protocol):
    """Takes an image of this shape that lies on the device as ``layout`` says, an array of uint32, and returns the
    array in which the result lies likewise: ``out`` if it is given, else one of ``result_buffer``."""

    def __call__(
        self, device: Device, image: Array, shape: tuple[int, ...], p: Parameters, out: Array | None = None
    ) -> Array: ...


@dataclass(frozen=True)
class Program:
    """How an operation is done on a device.

    ``launch`` runs its kernels. ``bytes_needed`` says how much device memory it takes at most for an image of this
    shape, the image and its result included; it raises a UserError where that is too large for the kernels.
    ``kernels`` is their source in CUDA C, for which ``common.cu`` is there; ``numba`` names the module that has the
    same for Numba. The names of kernels and functions are of all operations, so each is taken once.
    """

    launch: LaunchProgram
    bytes_needed: Callable[[tuple[int, ...]], int]
    kernels: Path
    numba: str


class Tile(NamedTuple):
    """The rows of a block's tile, and the words of shared memory it takes."""

    rows: int
    words: int


class Library(Protocol):
    """What the module of an adapter has: its GPU as the threads of one process share it."""

    def lane(self) -> Device:
        """Another stream of work, with the kernels compiled at its first launch."""

    def using(self) -> AbstractContextManager[Any]:
        """While a thread asks for anything of this or of a lane."""

    def pinned(self, size: int) -> Host:
        """So many bytes on the host that copies to and from the GPU go straight to, beside other work."""

    def free_bytes(self) -> int:
        """Memory of the GPU that could be had now."""

    def give_back(self) -> None:
        """Let go of memory of the GPU that is kept but not used."""

    def out_of_memory(self, problem: BaseException) -> bool:
        """Whether this was raised because the GPU has no more memory, which harms nothing."""

    def trouble(self, problem: BaseException) -> str | None:
        """A few words where this was raised by the library or the driver; None where it was not."""


def buffer(device: Device, name: str, count: int, dtype: npt.DTypeLike) -> Array:
    """The buffer of this name, with at least ``count`` elements; its content stays unless it must grow."""
    kept = device.kept
    if kept.counts.get(name, -1) < count:
        for known in (kept.arrays, kept.counts, kept.contents):
            known.pop(name, None)  # the old one is free before the new one is asked for
        kept.arrays[name] = device.empty(count, dtype)
        kept.counts[name] = count
    return kept.arrays[name]


def filled(device: Device, name: str, key: object, make: Callable[[], Host]) -> Array:
    """The buffer of this name with what ``make`` gives, which is asked only if ``key`` is not what it was last."""
    kept = device.kept
    if kept.contents.get(name) != key:
        host = make()
        array = buffer(device, name, host.size, host.dtype)
        device.upload(host, array)
        device.wait()  # as ``host`` ends here
        kept.contents[name] = key
    return kept.arrays[name]


def result_buffer(device: Device, name: str, words: int, out: Array | None) -> Array:
    """Where the result of the operation of this name goes: ``out`` if it is given, else a buffer that stays as it is
    until the next call of the same operation on this device."""
    return buffer(device, f"result of {name}", words, np.uint32) if out is None else out


def ceil_div(size: int, each: int) -> int:
    """How many it takes of ``each`` to have ``size``."""
    return -(-size // each)
