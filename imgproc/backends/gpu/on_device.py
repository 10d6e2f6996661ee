"""Images through a GPU: decoded and encoded by the threads of a process, worked on by the GPU that they share.

The GPU has a few lanes, streams of work with memory of their own, so that copying one image to it, working on another
and copying a third one back go on at once. All images that are on a lane at a time, of whatever sizes, are the batch.
Memory of the GPU is asked for before it is used; where there is not enough the batch is halved, down to one image.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from itertools import pairwise
from statistics import median
from typing import TypeVar, cast

import numpy as np

from imgproc.backends.task import TRANSFER
from imgproc.errors import UserError
from imgproc.operations import OPERATIONS, not_on_gpu, parse_parameters
from imgproc.operations.contract import Image, Operation
from imgproc.operations.cuda.device import Array, Device, Host, Kept, Library, buffer
from imgproc.operations.cuda.layout import Layout, pack, unpack
from imgproc.parameters import Parameters
from imgproc.pixels.job import ImageJob, Processed, read_image, write_results
from imgproc.pixels.stopwatch import Stopwatch

#: Stages that the GPU's own clock times: copying to it, its kernels, and copying back.
TO_DEVICE, KERNEL, FROM_DEVICE = "h2d", "kernel", "d2h"
Found = TypeVar("Found")
#: Operations by their names, each with the parameters that it works with.
Works = Mapping[str, Parameters]
#: Images on the GPU at a time: one that comes, two that are worked on, one that goes.
LANES = 4
_WORD = 4


class DeviceLost(Exception):
    """The GPU or its driver failed; nothing can be asked of it any more in this process."""


class _NoRoom(Exception):
    """There is less memory than an image needs; nothing was asked for."""


class Accelerator:
    """The GPU of an adapter's library. Any number of threads may use it at once.

    ``most``: images that it takes at a time, fewer once memory was short. ``lost``: why nothing can be asked of it any
    more.
    """

    def __init__(self, library: Library, lanes: int = LANES) -> None:
        self.library = library
        self.most, self.lost = lanes, ""
        self._note = ""
        self._made = 0
        self._idle: list[Device] = []
        self._changed = threading.Condition()
        self._own = threading.local()

    def run(self, image: Image, names: Sequence[str], p: Parameters, stopwatch: Stopwatch) -> list[Image]:
        """The result of each operation, in memory of this thread that its next call uses again.

        Raises:
            UserError: the image is too large for the kernels or for the GPU.
            DeviceLost: the GPU failed.
        """
        with self._guarded(), stopwatch.stage(TRANSFER):
            staging = self._staging()
            words = pack(image, staging.words("image", Layout.of(image.shape).words))
        works = _works(image, names, p, stopwatch)
        since = time.perf_counter()

        def there_and_back(lane: Device) -> list[Image]:
            return _Trip(lane, staging, image.shape, since).there_and_back(words, works, stopwatch)

        return self._on_a_lane(needed(names, image.shape), there_and_back)

    def time_alone(self, image: Image, names: Sequence[str], p: Parameters, repeats: int) -> dict[str, float]:
        """Seconds that each operation takes on an image that lies on the GPU, where its result stays: medians.

        Raises:
            UserError: the image is too large for the kernels or for the GPU.
            DeviceLost: the GPU failed.
        """

        def measure(lane: Device) -> dict[str, float]:
            words = pack(image)  # to be there until it was copied
            source = on_lane(lane, words)
            return {name: _seconds_alone(lane, source, image, name, p, repeats) for name in names}

        return self._on_a_lane(needed(names, image.shape), measure)

    def _on_a_lane(self, size: int, work: Callable[[Device], Found]) -> Found:
        """What ``work`` makes with a lane on which there are so many bytes of memory for it."""
        while True:
            with self._guarded(), self._lane() as lane:
                try:
                    self._ask(lane, size)
                    return work(lane)
                except Exception as problem:
                    if not isinstance(problem, _NoRoom) and not self.library.out_of_memory(problem):
                        raise
                lane.wait()
                lane.kept = Kept()
                alone = self._halve()
                free = self.library.free_bytes()
            if alone:
                raise UserError(
                    f"This image needs {size / 1e6:,.0f} MB of the GPU’s memory, of which {free / 1e6:,.0f} MB are "
                    "free. Choose a technique that works on the CPU, or end other programs that use the GPU.",
                    code="too_large",
                )

    def take_note(self) -> str:
        """A sentence about what happened since it was last asked; mostly none."""
        note, self._note = self._note, ""
        return note

    def warm_up(self) -> None:
        """Make the context and compile every kernel."""
        names = [name for name, operation in OPERATIONS.items() if operation.cuda]
        for shape in ((8, 8), (8, 8, 3)):
            self.run(np.zeros(shape, np.uint8), names, parse_parameters({}), Stopwatch())

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        if self.lost:
            raise DeviceLost(self.lost)
        try:
            with self.library.using():
                yield
        except (UserError, DeviceLost):
            raise
        except Exception as problem:
            why = self.library.trouble(problem)
            if why is None:
                raise
            self.lost = why
            raise DeviceLost(why) from None

    @contextmanager
    def _lane(self) -> Iterator[Device]:
        """A lane for this thread alone, as soon as there is one."""
        with self._changed:
            self._changed.wait_for(lambda: self._idle or self._made < self.most)
            lane = self._idle.pop() if self._idle else None
            if lane is None:
                self._made += 1
        try:
            lane = lane or self.library.lane()
            yield lane
        finally:
            with self._changed:
                if lane is not None and self._made <= self.most and not self.lost:
                    self._idle.append(lane)
                else:
                    self._made -= 1
                self._changed.notify()

    def _ask(self, lane: Device, size: int) -> None:
        # What is kept of a smaller image is free before more is asked for, so it counts.
        held = _WORD * sum(lane.kept.counts.values())
        if size > held + self.library.free_bytes():
            raise _NoRoom

    def _halve(self) -> bool:
        """Half as many lanes from now on; returns whether this was the only one, and nobody has more to give back."""
        with self._changed:
            alone = self.most == 1 and self._made == 1
            if self.most > 1:
                self.most //= 2
                self._note = (
                    f"The GPU’s memory was short, so it took {self.most} images at a time, not {2 * self.most}."
                )
            while self._idle and self._made > self.most:
                self._idle.pop()
                self._made -= 1
        self.library.give_back()
        return alone

    def _staging(self) -> Staging:
        if not hasattr(self._own, "staging"):
            self._own.staging = Staging(self.library)
        return cast(Staging, self._own.staging)


class Staging:
    """Pinned memory of one thread, kept from image to image, by name."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._arrays: dict[str, Host] = {}

    def words(self, name: str, count: int) -> Host:
        """An array of so many words."""
        if name not in self._arrays or self._arrays[name].size < count:
            self._arrays.pop(name, None)
            self._arrays[name] = self._library.pinned(_WORD * count).view(np.uint32)
        return self._arrays[name][:count]


class _Trip:
    """One image to the GPU and its results back. ``since``: when it began to wait for the lane."""

    def __init__(self, lane: Device, staging: Staging, shape: tuple[int, ...], since: float) -> None:
        self.lane, self.staging, self.shape, self.since = lane, staging, shape, since

    def there_and_back(self, words: Host, works: Works, stopwatch: Stopwatch) -> list[Image]:
        lane = self.lane
        marks = [lane.mark()]
        source = on_lane(lane, words)
        marks.append(lane.mark())
        made = [launched(lane, source, self.shape, name, p) for name, p in works.items()]
        marks.append(lane.mark())
        shapes = [OPERATIONS[name].result_shape(self.shape, p) for name, p in works.items()]
        found = [self._fetch(*each) for each in zip(works, made, shapes, strict=True)]
        marks.append(lane.mark())
        lane.wait()
        self._note(marks, stopwatch)
        return [unpack(words, shape) for words, shape in zip(found, shapes, strict=True)]

    def _fetch(self, name: str, result: Array, shape: tuple[int, ...]) -> Host:
        words = self.staging.words(name, Layout.of(shape).words)
        self.lane.download(result, words)
        return words

    def _note(self, marks: Sequence[object], stopwatch: Stopwatch) -> None:
        """The stages as the GPU timed them, up to now; what it did not need of the time was waiting for its turn."""
        end = time.perf_counter()
        took = [self.lane.seconds(*pair) for pair in pairwise(marks)]
        at = max(self.since, end - sum(took))
        for stage, seconds in zip((TO_DEVICE, KERNEL, FROM_DEVICE), took, strict=True):
            until = min(end, at + seconds)
            stopwatch.note(stage, at, until)
            at = until


def _works(image: Image, names: Sequence[str], p: Parameters, stopwatch: Stopwatch) -> Works:
    """The parameters that each operation works with; what an operation takes from the whole picture for that is its
    own stage, on the CPU."""
    works = {}
    for name in names:
        operation, works[name] = OPERATIONS[name], p
        if operation.adapts(p):
            with stopwatch.stage(name):
                works[name] = operation.adapted(image, p)
    return works


def _seconds_alone(lane: Device, source: Array, image: Image, name: str, p: Parameters, repeats: int) -> float:
    """What an operation takes on the GPU, a median, and what it takes from the whole picture before, on the CPU."""
    before = 0.0
    if OPERATIONS[name].adapts(p):
        start = time.perf_counter()
        p = OPERATIONS[name].adapted(image, p)
        before = time.perf_counter() - start
    return before + median(_times(lane, name, source, image.shape, p, repeats))


def _times(
    lane: Device, name: str, source: Array, shape: tuple[int, ...], p: Parameters, repeats: int
) -> Iterator[float]:
    """Of an operation on the GPU, the first time left out."""
    launched(lane, source, shape, name, p)
    for _ in range(repeats):
        before = lane.mark()
        launched(lane, source, shape, name, p)
        after = lane.mark()
        lane.wait()
        yield lane.seconds(before, after)


def on_lane(lane: Device, words: Host) -> Array:
    """The words of an image on the GPU, in the lane's buffer for them."""
    source = buffer(lane, "image", words.size, np.uint32)
    lane.upload(words, source)
    return source


def launched(lane: Device, source: Array, shape: tuple[int, ...], name: str, p: Parameters) -> Array:
    """The result of an operation on an image of this shape that lies on the GPU, there as well.

    Of a chain one part after the other. What a part takes from the whole picture that it is given is worked out on the
    CPU, for which that picture is fetched; by the GPU's clock this is time of the chain.
    """
    if not OPERATIONS[name].made_of:
        return OPERATIONS[name].on_gpu.launch(lane, source, shape, p)
    for number, (part, given) in enumerate(OPERATIONS[name].steps(shape, p)):
        its_own = part.adapted(_fetched(lane, source, given), p) if part.adapts(p) else p
        # Not the buffer of the part's own results: the same operation may be asked for besides, of another picture.
        words = Layout.of(part.result_shape(given, p)).words
        out = buffer(lane, f"result of {name}, {number}", words, np.uint32)
        source = part.on_gpu.launch(lane, source, given, its_own, out)
    return source


def _fetched(lane: Device, source: Array, shape: tuple[int, ...]) -> Image:
    words = np.empty(Layout.of(shape).words, np.uint32)
    lane.download(source, words)
    lane.wait()
    return unpack(words, shape)


def needed(names: Sequence[str], shape: tuple[int, ...]) -> int:
    """Bytes of the GPU's memory that an image of this shape and what is made of it take at most.

    Raises:
        UserError: the image is too large for the kernels.
    """

    def beside(part: Operation, given: tuple[int, ...]) -> int:
        """Without the image that it is given, which is there."""
        return part.on_gpu.bytes_needed(given) - _WORD * Layout.of(given).words

    # What is on the GPU keeps the size of the image, whatever its parameters.
    steps = [step for name in names for step in OPERATIONS[name].steps(shape, {})]
    return _WORD * Layout.of(shape).words + sum(beside(*step) for step in steps)


_accelerator: Accelerator | None = None


def open_accelerator(adapter: str) -> Accelerator:
    """Make the GPU of an adapter, a module's name, that of this process.

    Raises:
        ImportError: its library is not installed.
        DeviceLost: there is no GPU, or its kernels cannot be compiled.
    """
    global _accelerator
    library = cast(Library, import_module(adapter))
    _accelerator = Accelerator(library)
    _accelerator.warm_up()
    return _accelerator


def accelerator() -> Accelerator:
    """The GPU of this process."""
    if _accelerator is None:
        raise RuntimeError("no GPU was opened in this process")
    return _accelerator


def process_image_on_device(job: ImageJob, stopwatch: Stopwatch) -> Processed:
    """As ``process_image``, with the operations on the GPU.

    Raises:
        UserError: one of them is not on the GPU.
    """
    names = [name for name, _ in job.outputs]
    if why := not_on_gpu(names):
        raise UserError(why)
    image, facts = read_image(job, stopwatch)
    return write_results(job, image.shape, facts, accelerator().run(image, names, job.parameters, stopwatch), stopwatch)
