"""Files that are there whole or not at all, and what a killed process leaves behind on disk or in shared memory: the
name says whose it was, so that a later process can remove it."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import threading
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import psutil


def owned(kind: str, pid: int | str | None = None) -> str:
    """How the names of a process's things of a kind begin; of this process by default. Something random follows,
    without dashes."""
    return f"{kind}-{_here()}-{os.getpid() if pid is None else pid}-"


def sweep(folder: Path, kind: str) -> None:
    """Remove the things of that kind in a folder whose process is gone."""
    for path in list(folder.glob(f"{owned(kind, '*')}*")):
        pid = path.name.rsplit("-", 2)[1]
        if not pid.isdigit() or psutil.pid_exists(int(pid)):
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink()


@contextmanager
def own_folder(parent: Path, kind: str) -> Iterator[Path]:
    """A folder for as long as the ``with`` block runs. What killed processes left there goes first."""
    sweep(parent, kind)
    with tempfile.TemporaryDirectory(prefix=owned(kind), dir=parent) as folder:
        yield Path(folder)


@cache
def _here() -> str:
    """This machine and container: others may share a folder with it, but not process ids. It is short, as macOS allows
    31 characters for the name of shared memory."""
    try:
        namespace = Path("/proc/self/ns/pid").stat().st_ino  # the same on all machines outside of containers
    except OSError:
        namespace = 0
    return f"{zlib.crc32(f'{socket.gethostname()} {namespace}'.encode()):08x}"


def write_whole(path: str | Path, *data: bytes | memoryview) -> None:
    """Write a file that is either there whole or not at all, whatever dies; several pieces one after the other."""
    # A worker that was given up may wake and write the same file as the one that took its place.
    part = f"{path}.{os.getpid()}-{threading.get_ident()}.part"
    try:
        with open(part, "wb") as file:
            file.writelines(data)
        Path(part).replace(path)
    except OSError:
        Path(part).unlink(missing_ok=True)
        raise


def remove_parts(folder: Path, names: Collection[str]) -> None:
    """Remove what was half written of the files of these names when somebody died in ``write_whole``."""
    for part in list(folder.glob("*.part")):
        if part.name.rsplit(".", 2)[0] in names:
            with suppress(OSError):
                part.unlink()
