"""How a gang is started: which ``mpiexec``, and what it is told."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from imgproc.backends.base import BackendError
from imgproc.settings import Settings

RANK = ("-m", "mpi4py", "-m", "imgproc.backends.mpi.rank")
#: What batch schedulers set in a job; mpiexec finds out by itself which hosts it was given.
ALLOCATIONS = ("SLURM_JOB_ID", "PBS_NODEFILE", "LSB_HOSTS", "PE_HOSTFILE")
#: Starts ranks on this machine only, and listens nowhere.
_LOCAL = "mpiexec.gforker"
_COUNTS = {"-n", "-np"}


@dataclass(frozen=True)
class Launch:
    """``blames``: whether rank 0 outlives a worker for long enough to say which one died."""

    command: list[str]
    environment: dict[str, str]
    blames: bool


def mpiexec(name: str = "mpiexec") -> str | None:
    """The program of that name, first looked for beside this Python; None if there is none."""
    beside = shutil.which(name, path=str(Path(sys.executable).parent))
    return beside or shutil.which(name)


def prepare(workers: int, folder: Path, arguments: list[str]) -> Launch:
    """How to start rank 0 and so many workers, each with these arguments.

    Args:
        folder: for files that are needed until the gang is there.

    Raises:
        BackendError: the hosts' file cannot be read, or there is no mpiexec.
        UserError: a setting is wrong.
    """
    settings = Settings.from_environment()
    extra = _split(settings.MPI_ARGUMENTS)
    elsewhere = bool(settings.MPI_HOSTFILE or extra or any(name in os.environ for name in ALLOCATIONS))
    local = None if elsewhere else mpiexec(_LOCAL)
    program = local or mpiexec()
    if program is None:
        raise BackendError("The program mpiexec was not found.")
    command = [program, *extra]
    if settings.MPI_HOSTFILE:
        command += ["-f", str(_with_this_host(Path(settings.MPI_HOSTFILE), folder))]
    if not _COUNTS & set(extra):
        command += ["-n", str(workers + 1)]
    environment = dict(os.environ)
    # Ranks find the functions of tasks as this process does.
    environment["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(str(Path(entry or ".").absolute()) for entry in sys.path))
    if not elsewhere:
        environment.setdefault("UCX_TLS", "posix,self")  # else each rank listens for others, on all interfaces
    return Launch([*command, sys.executable, *RANK, *arguments], environment, bool(local))


def _split(arguments: str) -> list[str]:
    try:
        return shlex.split(arguments)
    except ValueError:
        raise BackendError("MPI_ARGUMENTS has a quotation mark without its other half.") from None


def _with_this_host(hosts: Path, folder: Path) -> Path:
    """The hosts' file with this host before all others: that is where rank 0 must be, which talks to the caller."""
    try:
        text = hosts.read_text()
    except (OSError, ValueError):
        raise BackendError("The file that MPI_HOSTFILE names cannot be read.") from None
    made = folder / "hosts"
    made.write_text(f"{socket.gethostname()}:1\n{text}")
    return made
