"""Blocks of shared memory: one for an image and its results, made and removed by the caller, used by a worker.

A block outlives every process that uses it until it is removed. The caller removes it whatever becomes of the task;
where the caller is killed, Python's resource tracker does, a process of its own; where that is killed too, the next
process that makes a block does.
"""

from __future__ import annotations

import math
import mmap
import os
import secrets
import shutil
import sys
from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from traceback import clear_frames
from typing import Any

import numpy as np

from imgproc.errors import UserError
from imgproc.files import owned, sweep
from imgproc.operations.contract import Image

_PAGE = mmap.PAGESIZE
_POPULATE_WRITE = 23  # from Linux' mman-common.h; Python does not name it
#: What blocks are called.
KIND = "imgproc"
#: Where Linux shows its shared memory, as files.
FOLDER = Path("/dev/shm")  # noqa: S108  nothing is opened there but what is ours

_swept = False


class SharedBlock:
    """Slots of shared memory, one image in each.

    ``put`` and ``get`` make views of the memory, which must be gone when it is closed or removed: see ``views_end``.
    """

    def __init__(self, memory: SharedMemory, slot_bytes: int) -> None:
        self.name = memory.name
        self._memory = memory
        self._slot_bytes = slot_bytes

    def put(self, slot: int, image: Image) -> None:
        """Copy the image into a slot.

        Raises:
            UserError: there is no more shared memory on this machine.
        """
        self.write(slot, 0, np.ascontiguousarray(image).data.cast("B"))

    def write(self, slot: int, start: int, data: bytes | memoryview) -> None:
        """Copy bytes into a slot, from ``start`` on.

        Raises:
            UserError: there is no more shared memory on this machine.
        """
        if start + len(data) > self._slot_bytes:
            raise ValueError("these bytes do not fit into their slot")
        first, rest = slot * self._slot_bytes + start, memoryview(data)
        if sys.platform != "linux":
            np.ndarray(len(rest), np.uint8, self._memory.buf, first)[:] = np.frombuffer(rest, np.uint8)
            return
        # As into a file: it takes half as long as through the memory, which comes page by page.
        with self._file() as file:
            while rest:
                written = os.pwrite(file, rest, first)
                first, rest = first + written, rest[written:]

    def get(self, slot: int, shape: tuple[int, ...]) -> Image:
        """The image of that shape in a slot, not copied."""
        return np.ndarray(shape, np.uint8, self._memory.buf, slot * self._slot_bytes)

    def reserve(self, slot: int, start: int, size: int) -> None:
        """Make sure of memory for so many bytes of a slot: Linux hands shared memory out as it is written to, and
        kills who writes when there is no more.

        Raises:
            UserError: there is no more.
        """
        if sys.platform != "linux":
            return
        first = slot * self._slot_bytes + start
        if not self._populate(first, size):
            with self._file() as file:
                os.posix_fallocate(file, first, size)

    @contextmanager
    def _file(self) -> Iterator[int]:
        """The memory as Linux shows it; what goes wrong in here means that there is no more."""
        file = os.open(FOLDER / self.name, os.O_RDWR)
        try:
            yield file
        except OSError:
            raise UserError(
                "There is not enough shared memory for this image. Leave images whole (--split never), use fewer "
                "workers or another transfer, or give the system more (in a container: the option --shm-size)."
            ) from None
        finally:
            os.close(file)

    def _populate(self, start: int, size: int) -> bool:
        """Whether all pages of so many bytes came at once, which is quicker than one by one when they are touched."""
        first = start // _PAGE * _PAGE
        try:
            self._pages().madvise(_POPULATE_WRITE, first, start + size - first)
        except OSError:  # none left, or an older Linux
            return False
        return True

    def close(self) -> None:
        """Let go of it; it stays for others."""
        self._memory.close()

    def remove(self) -> None:
        """Let go of it. Its memory is free at once on Linux, also where others still have it; elsewhere when all
        have let go."""
        if sys.platform == "linux":
            with suppress(OSError):
                self._pages().madvise(mmap.MADV_REMOVE)
        with suppress(FileNotFoundError):
            self._memory.unlink()
        self._memory.close()

    def _pages(self) -> Any:
        """The memory as Python's ``mmap`` has it."""
        return self._memory.buf.obj if self._memory.buf is not None else None


def create(image_bytes: int, slots: int) -> SharedBlock:
    """A new block of slots for images of so many bytes at most."""
    _sweep_once()
    slot_bytes = _slot_bytes(image_bytes)
    name = f"{owned(KIND)}{secrets.token_hex(3)}"
    if os.name == "posix":  # Python tells its resource tracker afterwards only: killed in between, nobody would know
        resource_tracker.register(f"/{name}", "shared_memory")
    return SharedBlock(SharedMemory(name, create=True, size=slots * slot_bytes), slot_bytes)


def attach(name: str, image_bytes: int) -> SharedBlock:
    """The block of that name, made by another process for images of so many bytes at most."""
    slot_bytes = _slot_bytes(image_bytes)
    if sys.version_info >= (3, 13):
        return SharedBlock(SharedMemory(name, track=False), slot_bytes)
    # Before, whoever attaches is taken for an owner too, and its resource tracker removes the block or complains.
    register, resource_tracker.register = resource_tracker.register, _own_nothing
    try:
        return SharedBlock(SharedMemory(name), slot_bytes)
    finally:
        resource_tracker.register = register


def _own_nothing(name: Sized, rtype: str) -> None:
    """In the place of the resource tracker's ``register``."""


@contextmanager
def views_end() -> Iterator[None]:
    """What is called in here may leave no view of a block behind; an error would by its traceback."""
    try:
        yield
    except BaseException as problem:
        clear_frames(problem.__traceback__)
        raise


def allocated(pids: Iterable[int]) -> int:
    """Bytes of memory that the blocks have which these processes made. Linux only: 0 elsewhere."""
    owners, total = tuple(owned(KIND, pid) for pid in pids), 0
    with suppress(OSError), os.scandir(FOLDER) as found:
        for file in found:
            if file.name.startswith(owners):
                with suppress(OSError):  # it was removed just now
                    total += 512 * file.stat().st_blocks
    return total


def free() -> float:
    """Bytes of shared memory that are left. Linux only: elsewhere, where nobody can tell, infinite."""
    try:
        return shutil.disk_usage(FOLDER).free if sys.platform == "linux" else math.inf
    except OSError:
        return 0


def remove_abandoned() -> None:
    """Remove the blocks of processes that were killed together with their resource tracker. Linux only: elsewhere
    nobody can list them."""
    sweep(FOLDER, KIND)


def _sweep_once() -> None:
    global _swept
    if not _swept:
        _swept = True
        with suppress(OSError):
            remove_abandoned()


def _slot_bytes(image_bytes: int) -> int:
    return math.ceil(image_bytes / _PAGE) * _PAGE
