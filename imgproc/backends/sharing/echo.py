"""Tasks that only travel: data goes to a worker and the same data comes back, in the ways that pixels do."""

from __future__ import annotations

from dataclasses import dataclass, replace

from imgproc.backends.sharing.memory import SharedBlock, attach, create, views_end
from imgproc.backends.task import Task
from imgproc.operations.contract import Image
from imgproc.pixels.stopwatch import Stopwatch


def echo(data: Image, _: Stopwatch) -> Image:
    """The worker's part where data travel with the task, or where the worker sees them as they are."""
    return data


@dataclass(frozen=True, slots=True)
class Place:
    """What a worker is given of data that lie in shared memory."""

    block: str
    bytes: int


class SharedEcho:
    """Carries data in a block of shared memory that is made for the task, as an image and its result are: a copy into
    it, one by the worker, and one out of it."""

    moved = 0
    _block: SharedBlock | None = None
    _place: Place

    def send(self, task: Task, _: Stopwatch) -> Task:
        """A task with the place of the data."""
        data: Image = task.payload
        self._block = create(data.nbytes, 2)
        self._block.put(0, data)
        self._place = Place(self._block.name, data.nbytes)
        self.moved += data.nbytes
        return replace(task, work=echo_in_place, payload=self._place, carrier=None)

    def receive(self, value: int, _: Stopwatch) -> Image:
        """What the worker put there, in memory of the caller's own."""
        assert self._block is not None
        self.moved += value
        with views_end():
            return self._block.get(1, (value,)).copy()

    def release(self) -> None:
        """Remove the block."""
        block, self._block = self._block, None
        if block is not None:
            block.remove()


def echo_in_place(place: Place, _: Stopwatch) -> int:
    """The worker's part where data lie in shared memory: how many bytes it put back."""
    block = attach(place.block, place.bytes)
    try:
        with views_end():
            block.put(1, block.get(0, (place.bytes,)))
        return place.bytes
    finally:
        block.close()
