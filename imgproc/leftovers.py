"""What a killed process leaves behind on disk or in shared memory: the name says whose it was, so that a later process
can remove it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import psutil


def owned(kind: str, pid: int | str | None = None) -> str:
    """How the names of a process's things of a kind begin; of this process by default. Something random follows,
    without dashes."""
    return f"{kind}-{_pid_namespace()}-{os.getpid() if pid is None else pid}-"


def abandoned(folder: Path, kind: str) -> Iterator[Path]:
    """The things of that kind in a folder whose process is gone."""
    for path in folder.glob(f"{owned(kind, '*')}*"):
        pid = path.name.rsplit("-", 2)[1]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            yield path


@contextmanager
def own_folder(parent: Path, kind: str) -> Iterator[Path]:
    """A folder for as long as the ``with`` block runs. What killed processes left there goes first."""
    for left in abandoned(parent, kind):
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=owned(kind), dir=parent) as folder:
        yield Path(folder)


@cache
def _pid_namespace() -> int:
    """Containers may share folders, but not process ids."""
    try:
        return Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        return 0
