"""What every rank runs: ``mpiexec -n N+1 python -m mpi4py -m imgproc.backends.mpi.rank SOCKET CV2_THREADS``."""

from __future__ import annotations

import signal
import sys
from multiprocessing.connection import Client, Connection
from pathlib import Path
from typing import NoReturn

from mpi4py import MPI

from imgproc.backends.mpi.manager import Manager
from imgproc.backends.mpi.worker import work

_SHARED_MEMORY = "/dev/shm/mpich_shm"  # noqa: S108  nothing is made there


def main(socket: str, cv2_threads: int) -> NoReturn:
    """Be rank 0 or a worker, according to ``mpiexec``."""
    # mpiexec interrupts all ranks when one has died, before rank 0 could say which.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    comm = MPI.COMM_WORLD
    comm.Barrier()  # now every rank has what it shares with others on its host
    _unlink_shared_memory()
    if comm.rank == 0:
        caller = Client(socket, family="AF_UNIX")
        assert isinstance(caller, Connection)
        Manager(comm, caller).serve()
    work(comm, cv2_threads)


def _unlink_shared_memory() -> None:
    """MPICH removes its file at an orderly end only; unlinked now, it is gone with the last rank, however that ends."""
    maps = Path("/proc/self/maps")
    if maps.exists():
        for line in maps.read_text().splitlines():
            path = line.partition("/")[1:]
            file = "".join(path)
            if file.startswith(_SHARED_MEMORY):
                Path(file).unlink(missing_ok=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
