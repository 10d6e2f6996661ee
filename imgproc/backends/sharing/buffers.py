"""Where one image and all that is made of it lie while several workers are at it: numbered slots, in this process or
in shared memory."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from imgproc.backends.sharing import memory as shared
from imgproc.operations.contract import Image


class ImageBuffers(Protocol):
    """Slots, each with room for ``slot_bytes``."""

    slot_bytes: int

    def hold(self, slot: int, image: Image) -> None:
        """Put an image into a slot."""

    def make(self, slot: int) -> None:
        """Make room in a slot, with whatever in it. Memory is taken only as it is written to."""

    def get(self, slot: int, shape: tuple[int, ...]) -> Image:
        """What is in a slot, not copied."""

    def write(self, slot: int, start: int, data: bytes | memoryview) -> None:
        """Copy bytes into a slot, from ``start`` on.

        Raises:
            UserError: there is no more memory.
        """

    def reserve(self, slot: int, start: int, size: int) -> None:
        """Make sure of memory for so many bytes of a slot before they are written through ``get``.

        Raises:
            UserError: there is no more.
        """


class LocalBuffers:
    """Buffers for threads."""

    def __init__(self, slot_bytes: int) -> None:
        self.slot_bytes = slot_bytes
        self._slots: dict[int, Image] = {}

    def hold(self, slot: int, image: Image) -> None:
        self._slots[slot] = image.reshape(-1)

    def make(self, slot: int) -> None:
        self._slots[slot] = np.empty(self.slot_bytes, np.uint8)

    def get(self, slot: int, shape: tuple[int, ...]) -> Image:
        return self._slots[slot][: math.prod(shape)].reshape(shape)

    def write(self, slot: int, start: int, data: bytes | memoryview) -> None:
        self._slots[slot][start : start + len(data)] = np.frombuffer(data, np.uint8)

    def reserve(self, slot: int, start: int, size: int) -> None:
        """The system finds memory as it is written to."""


class SharedBuffers:
    """Buffers in a block of shared memory."""

    def __init__(self, block: shared.SharedBlock, slot_bytes: int) -> None:
        self.slot_bytes = slot_bytes
        self._block = block

    def hold(self, slot: int, image: Image) -> None:
        self._block.put(slot, image)

    def make(self, slot: int) -> None:
        """There is room already."""

    def get(self, slot: int, shape: tuple[int, ...]) -> Image:
        return self._block.get(slot, shape)

    def write(self, slot: int, start: int, data: bytes | memoryview) -> None:
        self._block.write(slot, start, data)

    def reserve(self, slot: int, start: int, size: int) -> None:
        self._block.reserve(slot, start, size)


@dataclass(frozen=True, slots=True)
class BlockHandle:
    """What travels to another process in the place of buffers."""

    block: str
    slot_bytes: int


Handle = LocalBuffers | BlockHandle


@contextmanager
def image_buffers(slot_bytes: int, slots: int, *, across_processes: bool) -> Iterator[tuple[ImageBuffers, Handle]]:
    """New buffers and what tasks are given of them. They are gone afterwards, also if this process is killed.

    No view of them may outlive this block.
    """
    if not across_processes:
        local = LocalBuffers(slot_bytes)
        yield local, local
        return
    block = shared.create(slot_bytes, slots)
    try:
        with shared.views_end():
            yield SharedBuffers(block, slot_bytes), BlockHandle(block.name, slot_bytes)
    finally:
        block.remove()


#: The block that this process had last: what is mapped need not be mapped again for the next strip, page by page.
_kept: dict[BlockHandle, shared.SharedBlock] = {}


@contextmanager
def open_buffers(handle: Handle) -> Iterator[ImageBuffers]:
    """The buffers that a task was given. No view of them may outlive this block."""
    if isinstance(handle, LocalBuffers):
        yield handle
        return
    block = _kept.pop(handle, None)
    while _kept:  # an image that is done; its memory went with the caller's block
        _kept.popitem()[1].close()
    block = block or shared.attach(handle.block, handle.slot_bytes)
    try:
        with shared.views_end():
            yield SharedBuffers(block, handle.slot_bytes)
    except BaseException:
        block.close()
        raise
    _kept[handle] = block
