"""What every rank runs: ``mpiexec -n N+1 python -m mpi4py -m imgproc.backends.mpi.rank SOCKET CV2_THREADS``."""

from __future__ import annotations

import signal
import sys
from multiprocessing.connection import Client, Connection
from typing import NoReturn

from mpi4py import MPI

from imgproc.backends.mpi.manager import Manager
from imgproc.backends.mpi.messages import leave_no_shared_memory
from imgproc.backends.mpi.worker import work


def main(socket: str, cv2_threads: int) -> NoReturn:
    """Be rank 0 or a worker, according to ``mpiexec``."""
    # mpiexec interrupts all ranks when one has died, before rank 0 could say which.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    comm = MPI.COMM_WORLD
    leave_no_shared_memory(comm)
    if comm.rank == 0:
        caller = Client(socket, family="AF_UNIX")
        assert isinstance(caller, Connection)
        Manager(comm, caller).serve()
    work(comm, cv2_threads)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
