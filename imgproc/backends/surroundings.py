"""What worker processes need of the system, looked for before they are started: without it some libraries wait a minute
or more for what will not come, and none of them says what is missing."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psutil

from imgproc.backends.base import BackendError
from imgproc.backends.sharing import memory as shared_memory
from imgproc.files import own_folder
from imgproc.temporary import NO_FOLDER, without_fork_server

#: Files that are made in the folder for temporary files, beyond one for each worker.
_TEMPORARY_FILES = 8
#: What the folder is called in which it is tried whether temporary files can be made.
TRY = "imgproc-try"
#: Longest that this machine may take to reach itself, in seconds.
_LOOPBACK_SECONDS = 2.0


@dataclass(frozen=True)
class Needs:
    """``files``: how many this process has open when the workers are ready, beyond those before, and how many more for
    each worker; as measured, and a few. ``loopback``: whether they talk to it through the network."""

    files: tuple[int, int]
    loopback: bool = False


def check(needs: Needs, workers: int, start_method: str | None = None) -> None:
    """See that all is there that so many workers need.

    Raises:
        BackendError: it is not; says what, and what to do.
    """
    for lack in _lacks(needs, workers, start_method):
        raise BackendError(f"The worker processes could not be started. {lack}")


def _lacks(needs: Needs, workers: int, start_method: str | None) -> Iterator[str]:
    if lack := without_shared_memory():
        yield lack
    if lack := _without_files(needs, workers):
        yield lack
    if lack := _without_temporary_files(workers):
        yield lack
    if start_method == "forkserver" and (lack := without_fork_server()):
        yield f"{lack} Or choose spawn to start them."
    if needs.loopback and not _reaches_itself():
        yield "This machine cannot reach itself at 127.0.0.1. Bring its loopback interface up, or choose threads."


def without_shared_memory() -> str:
    """What is wrong with it; empty where nothing is known."""
    if sys.platform == "linux" and not os.access(shared_memory.FOLDER, os.W_OK):
        return f"{shared_memory.FOLDER}, which they share memory through, cannot be written to. Choose threads."
    return ""


def _without_temporary_files(workers: int) -> str:
    """They are made and removed again, since only that tells whether there is room."""
    try:
        with own_folder(Path(tempfile.gettempdir()), TRY) as folder:
            for number in range(workers + _TEMPORARY_FILES):
                Path(folder, str(number)).write_bytes(b"room")
    except FileNotFoundError:
        return f"{NO_FOLDER} Or choose threads."
    except OSError as problem:
        why = problem.strerror or "they cannot be written"
        return (
            f"Temporary files cannot be made ({why}). Free some space where they go, set TMPDIR to another folder, or "
            "choose threads."
        )
    return ""


def _without_files(needs: Needs, workers: int) -> str:
    if sys.platform == "win32":
        return ""
    import resource

    most, (some, each) = resource.getrlimit(resource.RLIMIT_NOFILE)[0], needs.files
    wanted = psutil.Process().num_fds() + some + each * workers
    if most in (resource.RLIM_INFINITY, -1) or wanted <= most:
        return ""
    return (
        f"A process may have {most} files open here, and so many workers take about {wanted}. Raise the limit "
        "(ulimit -n), use fewer workers, or choose threads."
    )


def _reaches_itself() -> bool:
    try:
        with closing(socket.create_server(("127.0.0.1", 0))) as listener:
            socket.create_connection(listener.getsockname(), _LOOPBACK_SECONDS).close()
    except OSError:
        return False
    return True
