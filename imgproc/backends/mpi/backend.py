"""The technique ``mpi``."""

from __future__ import annotations

import socket
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from imgproc.backends.base import DEFAULTS, Availability, BackendError, Capabilities
from imgproc.backends.mpi.launch import may_be_elsewhere, mpiexec
from imgproc.backends.mpi.rank_group import RankGroup
from imgproc.backends.places import ELSEWHERE, places
from imgproc.backends.pools.pool import PoolBackend, started
from imgproc.backends.surroundings import Needs, check
from imgproc.backends.worker_loop import Batch
from imgproc.settings import Settings

#: Of the first rank, and of the program that starts all.
_NEEDS = Needs(files=(6, 3))


class Mpi(PoolBackend):
    """``workers`` ranks, and one more that hands out the work, under ``mpiexec``; started once and kept warm.

    The death of one rank ends them all, which is MPI's way: they are started anew.
    """

    name = "mpi"
    capabilities = Capabilities(
        memory="copied", killable=True, inner_threads=True, chunks=True, splits=True, carries=True, unpinned=""
    )
    _ranks: RankGroup | None = None
    _again = False

    @classmethod
    def availability(cls, settings: Settings = DEFAULTS.settings) -> Availability:  # noqa: ARG003
        if not hasattr(socket, "AF_UNIX"):
            return Availability(False, "MPI runs here on Linux and macOS only.")
        if find_spec("mpi4py") is None:
            return Availability(False, "The Python package mpi4py is not installed.", "pip install mpi4py mpich")
        if mpiexec() is None:
            return Availability(False, "The program mpiexec was not found.", "pip install mpich")
        return Availability(True)

    def start(self) -> None:
        if self._ranks is not None and not self._ranks.over.is_set():
            return
        self.close(kill=True)
        if not may_be_elsewhere(self.settings):
            check(_NEEDS, self.workers)
        ranks = started(self._new_ranks)
        self._group = self._ranks = ranks
        self._again = True
        if ranks.left_out:
            gone = ", ".join(ranks.left_out)
            self.notes.append(f"{gone} did not answer any more and was left out; the other hosts did its work.")
        self.workers, self.cv2_threads, self.local = ranks.workers, ranks.cv2_threads, ranks.local
        self.places = places(self.affinity, self.workers, self.cv2_threads) if self.local else []
        self.unpinned = "" if self.local else ELSEWHERE
        ranks.pin(self.places)

    def _new_ranks(self) -> RankGroup:
        try:
            return RankGroup(self.workers, self.cv2_threads, self.settings, again=self._again)
        except OSError as problem:
            raise BackendError("The MPI ranks could not be started.") from problem

    def _submit(self, batch: Batch, last: bool, done: Callable[[Batch | None], None]) -> None:
        assert self._ranks is not None
        self._ranks.submit(batch, done)

    @property
    def may_be_elsewhere(self) -> bool:
        return not self.local or may_be_elsewhere(self.settings)

    def sees(self, folder: Path) -> bool:
        return self.local or (self._ranks is not None and self._ranks.sees(folder))

    def close(self, *, kill: bool = False) -> None:
        """End the ranks. They have nothing to finish or to save, so ``kill`` makes no difference."""
        ranks, self._ranks, self._group = self._ranks, None, None
        if ranks is not None:
            ranks.close()
