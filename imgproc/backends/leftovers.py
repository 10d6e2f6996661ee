"""What processes of ours would leave in temporary folders and in shared memory that are killed, or end without the
functions that Python calls when a program ends."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from imgproc.backends.mpi.rank_group import FOLDER as MPI
from imgproc.backends.sharing import memory as shared_memory
from imgproc.backends.surroundings import TRY
from imgproc.backends.worker_loop import STATUS_FOLDER
from imgproc.files import sweep, sweep_marked
from imgproc.temporary import MULTIPROCESSING


def remove_abandoned() -> None:
    """Remove what processes left that are gone. Never raises."""
    _remove(None)


def remove_own() -> None:
    """Remove what this process has there, which is about to end. Never raises."""
    _remove(os.getpid())


def _remove(pid: int | None) -> None:
    with suppress(OSError):
        sweep(shared_memory.FOLDER, shared_memory.KIND, pid)
    with suppress(OSError):  # there may be no folder for temporary files
        temporary = Path(tempfile.gettempdir())
        for kind in (STATUS_FOLDER, TRY):
            sweep(temporary, kind, pid)
        for prefix in (MULTIPROCESSING, MPI):
            sweep_marked(temporary, prefix, pid)
