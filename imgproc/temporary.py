"""The system's folder for temporary files, which may be missing, and sockets in it, whose names may be too long."""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import suppress
from multiprocessing import util
from multiprocessing.connection import arbitrary_address  # type: ignore[attr-defined]
from pathlib import Path

from imgproc.errors import UserError
from imgproc.files import mark, sweep_marked

NO_FOLDER = "There is no folder for temporary files that can be written to. Set TMPDIR to one."
#: The longest name of a socket that is a file, in bytes.
SOCKET_NAME = 107 if sys.platform == "linux" else 103


def temporary_folder() -> Path:
    """Where Python makes temporary files.

    Raises:
        UserError: there is none that can be written to, as with a read-only root file system.
    """
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError:
        raise UserError(NO_FOLDER, code="unavailable") from None


def without_socket(path: str | Path) -> str:
    """What is wrong with the name of a socket in the folder for temporary files: it may be too long; empty: nothing."""
    over = len(os.fsencode(path)) - SOCKET_NAME
    if over <= 0:
        return ""
    most = len(os.fsencode(tempfile.gettempdir())) - over
    return (
        f"The path of the folder for temporary files is too long for sockets in it: {most + over} bytes, and {most} "
        "are the most. Set TMPDIR to a shorter one."
    )


#: How the names of the folders begin that Python's ``multiprocessing`` makes there, for its sockets, and removes when
#: its process ends by itself.
MULTIPROCESSING = "pymp-"


def without_fork_server() -> str:
    """Why Python's fork server, which is reached by a socket there, cannot be started; empty where it can. Its folder
    is marked as this process's, and those of killed ones go."""
    try:
        address = arbitrary_address("AF_UNIX")
        with suppress(OSError):  # it is left behind then, should this process be killed
            mark(Path(util.get_temp_dir()))
        sweep_marked(Path(tempfile.gettempdir()), MULTIPROCESSING)
        return without_socket(address)
    except FileNotFoundError:
        return NO_FOLDER
    except OSError:
        return "Temporary files cannot be made."
