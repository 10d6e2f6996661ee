"""The technique ``mpi``."""

from __future__ import annotations

import socket
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from imgproc.backends.base import Availability, BackendError, Capabilities
from imgproc.backends.crew import Crew
from imgproc.backends.mpi.gang import Gang
from imgproc.backends.mpi.launch import mpiexec
from imgproc.backends.worker_loop import Parcel


class Mpi(Crew):
    """``workers`` ranks, and one more that hands out the work, under ``mpiexec``; started once and kept warm.

    The death of one rank ends them all, which is MPI's way: they are started anew.
    """

    name = "mpi"
    capabilities = Capabilities(
        memory="copied", killable=True, inner_threads=True, chunks=True, splits=True, carries=True
    )
    _gang: Gang | None = None
    _again = False

    @classmethod
    def availability(cls) -> Availability:
        if not hasattr(socket, "AF_UNIX"):
            return Availability(False, "MPI runs here on Linux and macOS only.")
        if find_spec("mpi4py") is None:
            return Availability(False, "The Python package mpi4py is not installed.", "pip install mpi4py mpich")
        if mpiexec() is None:
            return Availability(False, "The program mpiexec was not found.", "pip install mpich")
        return Availability(True)

    def start(self) -> None:
        if self._gang is not None and not self._gang.over.is_set():
            return
        self.close(kill=True)
        try:
            self._watch = self._gang = Gang(self.workers, self.cv2_threads, again=self._again)
        except OSError as problem:
            raise BackendError("The MPI ranks could not be started.") from problem
        self._again = True
        if self._gang.left_out:
            gone = ", ".join(self._gang.left_out)
            self.notes.append(f"{gone} did not answer any more and was left out; the other hosts did its work.")
        self.workers, self.cv2_threads, self.local = self._gang.workers, self._gang.cv2_threads, self._gang.local

    def _submit(self, parcel: Parcel, done: Callable[[Parcel | None], None]) -> None:
        assert self._gang is not None
        self._gang.hand_over(parcel, done)

    def sees(self, folder: Path) -> bool:
        return self.local or (self._gang is not None and self._gang.sees(folder))

    def close(self, *, kill: bool = False) -> None:
        """End the ranks. They have nothing to finish or to save, so ``kill`` makes no difference."""
        gang, self._gang, self._watch = self._gang, None, None
        if gang is not None:
            gang.close()
