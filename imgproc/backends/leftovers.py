"""What processes of ours would leave in temporary folders and in shared memory that are killed, or end without the
functions that Python calls when a program ends."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

import psutil

from imgproc.backends.mpi.rank_group import FOLDER as MPI
from imgproc.backends.sharing import memory as shared_memory
from imgproc.backends.surroundings import TRY
from imgproc.backends.worker_loop import SEMAPHORES, STATUS_FOLDER
from imgproc.files import owned, sweep, sweep_marked
from imgproc.temporary import MULTIPROCESSING

_OWNER = "owner"


def remove_abandoned() -> None:
    """Remove what processes left that are gone, as far as its name says that it is ours. Never raises."""
    _remove(None)


def remove_of(pid: int) -> None:
    """Remove what this process of ours has there, which has ended or is about to; also what joblib made for it, whose
    names say no more than its id. Never raises."""
    _remove(pid)
    for pattern in (f"sem.loky-{pid}-*", f"joblib_memmapping_folder_{pid}_*"):
        for left in list(shared_memory.FOLDER.glob(pattern)):
            with suppress(OSError):
                shutil.rmtree(left) if left.is_dir() else left.unlink()


def take_over(note: Path) -> None:
    """Note in a file that this process is there; what the one before left that is noted there, and is gone, is
    removed."""
    with suppress(OSError, ValueError):
        before = note.read_text(encoding="ascii")
        pid = int(before.rsplit("-", 2)[-2]) if before.count("-") > 2 else 0
        if before == owned(_OWNER, pid) and not psutil.pid_exists(pid):
            remove_of(pid)
    with suppress(OSError):
        note.write_text(owned(_OWNER), encoding="ascii")


def _remove(pid: int | None) -> None:
    with suppress(OSError):
        sweep(shared_memory.FOLDER, shared_memory.KIND, pid)
        sweep(shared_memory.FOLDER, f"sem.{SEMAPHORES}", pid)
    with suppress(OSError):  # there may be no folder for temporary files
        temporary = Path(tempfile.gettempdir())
        for kind in (STATUS_FOLDER, TRY):
            sweep(temporary, kind, pid)
        for prefix in (MULTIPROCESSING, MPI):
            sweep_marked(temporary, prefix, pid)


def remove_own() -> None:
    """Remove what this process has there, which is about to end. Never raises."""
    remove_of(os.getpid())
