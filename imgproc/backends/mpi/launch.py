"""How a group is started: which ``mpiexec``, and what it is told."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from imgproc.backends.base import BackendError
from imgproc.backends.mpi import hosts
from imgproc.settings import Settings

RANK = ("-m", "mpi4py", "-m", "imgproc.backends.mpi.rank")
#: What batch schedulers set in a job; mpiexec finds out by itself which hosts it was given.
ALLOCATIONS = ("SLURM_JOB_ID", "PBS_NODEFILE", "LSB_HOSTS", "PE_HOSTFILE")
#: Starts ranks on this machine only, and listens nowhere.
_LOCAL = "mpiexec.gforker"
_COUNTS = {"-n", "-np"}
#: Where Linux says which segments of System V there are, if its kernel knows them at all.
_SYSTEM_V = Path("/proc/sysvipc/shm")


@dataclass(frozen=True)
class LaunchCommand:
    """``blames``: whether rank 0 outlives a worker for long enough to say which one died. ``left_out``: hosts that
    did not answer."""

    command: list[str]
    environment: dict[str, str]
    blames: bool
    left_out: tuple[str, ...] = ()


def mpiexec(name: str = "mpiexec") -> str | None:
    """The program of that name, first looked for beside this Python; None if there is none."""
    beside = shutil.which(name, path=str(Path(sys.executable).parent))
    return beside or shutil.which(name)


def may_be_elsewhere(settings: Settings) -> bool:
    """Whether ranks may come to be on other machines."""
    asked = settings.MPI_HOSTFILE or settings.MPI_ARGUMENTS.strip()
    return bool(asked or any(name in os.environ for name in ALLOCATIONS))


def prepare(
    workers: int, folder: Path, arguments: list[str], settings: Settings, *, again: bool = False
) -> LaunchCommand:
    """How to start rank 0 and so many workers, each with these arguments.

    Args:
        folder: for files that are needed until the group is there.
        again: there was a group before, so hosts that do not answer any more are left out.

    Raises:
        BackendError: the hosts' file cannot be read, a host does not answer, or there is no mpiexec.
    """
    extra, elsewhere = _split(settings.MPI_ARGUMENTS), may_be_elsewhere(settings)
    local = None if elsewhere else mpiexec(_LOCAL)
    program = local or mpiexec()
    if program is None:
        raise BackendError("The program mpiexec was not found.")
    command, left_out = [program, *extra], []
    if settings.MPI_HOSTFILE:
        listed = hosts.read(Path(settings.MPI_HOSTFILE))
        # Without one of them there is no run, so a single missing answer is not taken for a host that is gone.
        left_out = hosts.silent(listed, command, tries=1 if again else 2)
        if left_out and not again:
            raise BackendError(f"MPI could start nothing on {', '.join(left_out)}, which MPI_HOSTFILE lists.")
        file = folder / "hosts"
        # This host comes first: that is where rank 0 must be, which talks to the caller.
        lines = [f"{socket.gethostname()}:1", *(line for line in listed if hosts.name_of(line) not in left_out)]
        file.write_text("\n".join([*lines, ""]))
        command += ["-f", str(file)]
    if not _COUNTS & set(extra):
        command += ["-n", str(workers + 1)]
    environment = dict(os.environ)
    # Ranks find the functions of tasks as this process does.
    environment["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(str(Path(entry or ".").absolute()) for entry in sys.path))
    if not elsewhere:
        # Else each rank listens for others, on all interfaces. Segments of System V take nothing of /dev/shm, where
        # ranks that start at once with little of it see one another's blocks, and crash by chance.
        environment.setdefault("UCX_TLS", "sysv,self" if _SYSTEM_V.exists() else "posix,self")
    return LaunchCommand([*command, sys.executable, *RANK, *arguments], environment, bool(local), tuple(left_out))


def _split(arguments: str) -> list[str]:
    try:
        return shlex.split(arguments)
    except ValueError:
        raise BackendError("MPI_ARGUMENTS has a quotation mark without its other half.") from None
