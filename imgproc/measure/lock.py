"""One measured run at a time on a machine: two at once would each report a smaller speedup."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import psutil
from filelock import FileLock, Timeout

from imgproc.errors import UserError
from imgproc.files import write_whole
from imgproc.temporary import temporary_folder

NAME = "speedup-lab-measuring.lock"
NOT_ALONE = "Other measured runs on this machine could not be kept out meanwhile."
# Beside the lock: who has it, for those that wait.
_NOTE = "speedup-lab-measuring.txt"
_ASK_AGAIN_SECONDS = 0.25

log = logging.getLogger(__name__)


class Holder(NamedTuple):
    """The process that has the lock, and the seconds after which it begins no new round."""

    pid: int
    budget: float


def holder(*, folder: Path | None = None) -> Holder | None:
    """Who has the lock; None where that is not known."""
    folder = folder or shared_folder()
    if folder is None:
        return None
    try:
        pid, budget = (folder / _NOTE).read_text().split()
        found = Holder(int(pid), float(budget))
    except (OSError, ValueError):
        return None
    return found if psutil.pid_exists(found.pid) else None


@contextmanager
def machine_lock(
    on_wait: Callable[[float], None], *, folder: Path | None = None, wait: bool = True, budget: float | None = None
) -> Iterator[bool]:
    """Hold the right to measure on this machine, across processes and users; the system frees it when we die.

    Args:
        on_wait: called with the seconds waited, at once and then some four times a second, while another
            measured run goes first. It may raise to give up.
        folder: where the lock's file lies; the system's folder for temporary files by default.
        wait: False goes on at once where another has it.
        budget: seconds that measuring may take, for ``holder``; None leaves no note of who has the lock.

    Yields:
        True; False where the lock could not be made or was not waited for, so that nobody can say whether the machine
        was ours alone.
    """
    folder = folder or shared_folder()
    if folder is None:
        log.warning("There is no folder for temporary files, so the lock for measuring could not be made.")
        yield False
        return
    path = folder / NAME
    # Anyone on the machine must be able to take it, whoever made the file.
    lock = FileLock(path, mode=0o666)
    since = time.monotonic()
    while True:
        try:
            lock.acquire(blocking=False)
        except Timeout:
            if not wait:
                yield False
                return
            on_wait(time.monotonic() - since)
            time.sleep(_ASK_AGAIN_SECONDS)
        except OSError:
            log.warning("The lock for measuring could not be made in the folder for temporary files.")
            yield False
            return
        else:
            break
    try:
        with _noted(folder / _NOTE, budget):
            yield True
    finally:
        lock.release()


@contextmanager
def _noted(note: Path, budget: float | None) -> Iterator[None]:
    """The note of who has the lock, where it can be written: in a shared folder another user's may lie in its place."""
    if budget is None:
        yield
        return
    with suppress(OSError):
        write_whole(note, f"{os.getpid()} {budget:g}\n".encode())
    try:
        yield
    finally:
        with suppress(OSError):
            note.unlink()


def shared_folder() -> Path | None:
    """The folder for temporary files; None where there is none, or where Python took the current folder for want of one
    that can be written to: a lock there keeps nobody out, and would stay."""
    try:
        folder = temporary_folder()
    except UserError:
        return None
    found = str(folder)
    usual = {os.environ.get(name) for name in ("TMPDIR", "TEMP", "TMP")}
    usual |= {"/tmp", "/var/tmp", "/usr/tmp"}  # noqa: S108  names to compare with
    fell_back = os.name == "posix" and found not in usual and Path(found) == Path.cwd()
    return None if fell_back else folder
