"""Files that are there whole or not at all, and what a killed process leaves behind on disk or in shared memory: the
name says whose it was, so that a later process can remove it."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import tempfile
import threading
import zlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ModuleNotFoundError:  # on Windows
    fcntl = None  # type: ignore[assignment]


def sha256_of(file: Path) -> str | None:
    """Of what a file holds; None where it cannot be read."""
    try:
        with open(file, "rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError:
        return None


def link_or_copy(source: Path, target: Path) -> None:
    """The same file under a second name, or a copy where the file system has no links.

    Raises:
        OSError: it can be neither.
    """
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def owned(kind: str, pid: int | str | None = None) -> str:
    """How the names of a process's things of a kind begin; of this process by default. Something random follows,
    without dashes."""
    return f"{kind}-{_here()}-{os.getpid() if pid is None else pid}-"


def sweep(folder: Path, kind: str, pid: int | None = None) -> None:
    """Remove the things of that kind in a folder whose process is gone; with ``pid`` those of that process."""
    for path in list(folder.glob(f"{owned(kind, '*' if pid is None else pid)}*")):
        if pid is None and not _is_abandoned(path.name):
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink()


#: What a mark is called in a folder whose name a library chose.
_MARK = "imgproc-of"


def mark(folder: Path) -> None:
    """Note in a folder that it is this process's, for ``sweep_marked``: its name is not ours to choose, or has to be
    short."""
    (folder / f"{owned(_MARK)}0").touch()


def sweep_marked(parent: Path, prefix: str, pid: int | None = None) -> None:
    """As ``sweep`` of folders whose names begin so and that have a mark; others are somebody else's."""
    for folder in list(parent.glob(f"{prefix}*")):
        with suppress(OSError):  # of others, which cannot be looked into
            marks = list(folder.glob(f"{owned(_MARK, '*' if pid is None else pid)}*"))
            if marks and (pid is not None or all(_is_abandoned(one.name) for one in marks)):
                shutil.rmtree(folder, ignore_errors=True)


def _is_abandoned(name: str) -> bool:
    """Whether the process is gone that owned what is called so."""
    import psutil  # does not load in every interpreter that imports this file

    pid = name.rsplit("-", 2)[1]
    return pid.isdigit() and not psutil.pid_exists(int(pid))


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


def write_whole(path: str | Path, *data: bytes | memoryview, durable: bool = False) -> None:
    """Write a file that is either there whole or not at all, whatever dies; several pieces one after the other.

    The file is handed to the system, which writes it to the disk later. With ``durable`` it is on the disk when this
    returns, and so is its name in its folder: it outlasts a loss of power.
    """
    _write(path, data, durable)
    if durable:
        _sync_folder(os.path.dirname(path) or ".")  # noqa: PTH120


def _write(path: str | Path, data: Sequence[bytes | memoryview], durable: bool) -> None:
    if not os.path.lexists(path) and _write_unnamed(path, data, durable):
        return
    # A worker that was given up may wake and write the same file as the one that took its place.
    part = f"{path}.{os.getpid()}-{threading.get_ident()}.part"
    try:
        with open(part, "wb") as file:
            file.writelines(data)
            if durable:
                _sync(file)
        Path(part).replace(path)
    except OSError:
        Path(part).unlink(missing_ok=True)
        raise


def _sync(file: BinaryIO) -> None:
    """Wait until the disk has what was written. On macOS fsync alone leaves it in the disk's own cache."""
    file.flush()
    full = getattr(fcntl, "F_FULLFSYNC", None)
    try:
        if full is not None:
            fcntl.fcntl(file.fileno(), full)
            return
    except OSError:  # a file system that knows no such thing, as of another machine
        pass
    os.fsync(file.fileno())


def _sync_folder(folder: str) -> None:
    """Wait until the disk has the names in it. Windows cannot open a folder, and keeps names with their files."""
    if os.name == "nt":
        return
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _write_unnamed(path: str | Path, data: Sequence[bytes | memoryview], durable: bool) -> bool:
    """Write a new file that gets its name when it is whole; False where the system or the file system cannot.

    Nothing is left of it when its writer dies. And its folder is locked once, for the name, where a file under another
    name locks it twice: of many small files two threads write 1.4 times as many in a second.
    """
    if _TMPFILE is None:
        return False
    try:
        file = os.open(os.path.dirname(path) or ".", _TMPFILE | os.O_WRONLY, 0o666)  # noqa: PTH120
    except OSError:
        return False
    try:
        with open(file, "wb", closefd=False) as stream:
            stream.writelines(data)
            if durable:
                _sync(stream)
        # Without a folder's descriptor Python would give the link that names the file another name, not the file.
        os.link(f"/proc/self/fd/{file}", path, src_dir_fd=file, follow_symlinks=True)
    except OSError:  # the disk is full, another one was quicker, there is no /proc
        return False
    finally:
        os.close(file)
    return True


_TMPFILE: int | None = getattr(os, "O_TMPFILE", None)


def remove_parts(folder: Path, names: Collection[str]) -> None:
    """Remove what was half written of the files of these names, which may have folders, when somebody died in
    ``write_whole``."""
    files = {folder / name for name in names}
    for inside in {file.parent for file in files}:
        for part in list(inside.glob("*.part")):
            if part.with_name(part.name.rsplit(".", 2)[0]) in files:
                with suppress(OSError):
                    part.unlink()
