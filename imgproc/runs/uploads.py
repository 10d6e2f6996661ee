"""Uploads come in: streamed into the run's folder, then vetted, then stored under names of our own."""

from __future__ import annotations

import errno
import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, cast

from imgproc.errors import UserError
from imgproc.intake.filetypes import ACCEPTED
from imgproc.intake.inspection import Inspector
from imgproc.intake.naming import display_name
from imgproc.runs.record import ImageRecord
from imgproc.settings import Settings


class PartStream(io.RawIOBase):
    """One uploaded file, written straight to ``path``.

    ``seek(0)`` after writing ends the upload: the descriptor is closed, and opened again only when somebody
    reads, so that a thousand complete files hold none. ``size`` counts its bytes.
    """

    def __init__(self, path: Path, budget: Budget | None = None) -> None:
        """Raises: UserError: the file cannot be made."""
        self.path = path
        self.size = 0
        self._budget = budget
        self._file: io.FileIO | None = None
        self._file = self._open("wb")
        self._writing = True

    def _open(self, mode: str) -> io.FileIO:
        try:
            return io.FileIO(self.path, mode)
        except OSError as problem:
            raise _storage_error(problem) from problem

    def writable(self) -> bool:
        return self._writing and not self.closed

    def readable(self) -> bool:
        return not self._writing and not self.closed

    def seekable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        """Write all of the bytes.

        Raises:
            UserError: the disk is full (``disk_full``), or the upload is over its limit (``too_large``).
        """
        if not self.writable() or self._file is None:
            raise ValueError("this part is complete")
        view = memoryview(data).cast("B")
        if self._budget:
            self._budget.spend(len(view))
        at = 0
        try:
            while at < len(view):
                at += self._file.write(view[at:]) or 0
        except OSError as problem:
            raise _storage_error(problem) from problem
        self.size += at
        return at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if self._writing:
            self._complete()
        if (offset, whence) == (0, io.SEEK_SET) and self._file is None:
            return 0  # where reading begins anyway
        return self._for_reading().seek(offset, whence)

    def tell(self) -> int:
        if self._writing:
            return self.size
        return self._file.tell() if self._file else 0

    def readinto(self, buffer: Any) -> int:
        if self._writing:
            raise io.UnsupportedOperation("this part is not complete yet")
        return self._for_reading().readinto(buffer) or 0

    def close(self) -> None:
        if not self.closed and self._file is not None:
            self._release()
        super().close()

    def _complete(self) -> None:
        self._writing = False
        self._release()

    def _release(self) -> None:
        file, self._file = self._file, None
        if file is None:
            return
        try:
            file.close()
        except OSError as problem:  # network file systems notice a full disk only now
            raise _storage_error(problem) from problem

    def _for_reading(self) -> io.FileIO:
        if self.closed:
            raise ValueError("this part is closed")
        if self._file is None:
            self._file = self._open("rb")
        return self._file


class Budget:
    """How many bytes one upload may have in all its parts."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.spent = 0

    def spend(self, count: int) -> None:
        """Raises: UserError: that is more than the limit."""
        self.spent += count
        if self.spent > self.limit:
            raise UserError(
                f"The upload is larger than {self.limit / 1e6:,.10g} MB, the limit for one run. "
                "Send the images in several runs, or make them smaller.",
                code="too_large",
                field="images",
                limit=self.limit,
            )


class StreamFactory:
    """What Werkzeug's form parser asks for a stream per file: ``incoming-0000``, ``incoming-0001``, … in a folder.

    ``parts`` are the streams in the order of the form; ``close`` closes them all, for an upload that broke off.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder = folder
        self.budget = Budget(max_bytes)
        self.parts: list[PartStream] = []

    def __call__(
        self,
        total_content_length: int | None,
        content_type: str | None,
        filename: str | None,
        content_length: int | None = None,
    ) -> IO[bytes]:
        part = PartStream(self.folder / f"incoming-{len(self.parts):04d}", self.budget)
        self.parts.append(part)
        return cast(IO[bytes], part)

    def close(self) -> None:
        for part in self.parts:
            with suppress(UserError):
                part.close()


def stream_factory(folder: Path, max_bytes: int) -> StreamFactory:
    """A stream factory for one upload into an existing folder, of at most ``max_bytes`` in all files together."""
    return StreamFactory(folder, max_bytes)


def vet(
    files: Sequence[tuple[str, Path]], uploads: Path, previews: Path, settings: Settings, *, processes: int
) -> list[ImageRecord]:
    """Inspect every file, several at once; keep the accepted ones and delete the others.

    Args:
        files: the name each was sent under, and where it lies.
        uploads: accepted files are moved here as ``0000.jpg``, …, by their position and content.
        previews: gets a ``0000.jpg`` for each accepted file, whatever its type.
        processes: how many files are inspected at once.

    Returns:
        One record per file, in order; the refused ones have an ``error``.

    Raises:
        UserError: nothing could be inspected or stored; the files that were not reached are still there.
    """
    processes = max(1, min(processes, len(files)))
    _make_folders(uploads, previews)
    limits = settings.max_pixels, settings.MAX_SIDE, settings.INSPECT_SECONDS

    def one(index: int, name: str, path: Path) -> ImageRecord:
        return _vet_one(inspector, ImageRecord(index, display_name(name)), path, uploads, previews)

    with Inspector(*limits, processes) as inspector, ThreadPoolExecutor(processes) as threads:
        return list(threads.map(one, range(len(files)), *zip(*files, strict=True))) if files else []


def _vet_one(inspector: Inspector, record: ImageRecord, path: Path, uploads: Path, previews: Path) -> ImageRecord:
    preview = f"{record.index:04d}.jpg"
    try:
        record.bytes = path.stat().st_size if path.exists() else 0
        found = inspector.inspect(path, previews / preview)
        record.format, record.width, record.height = found.format, found.width, found.height
        record.error, record.code = found.error, found.code
        if found.error is None:
            record.stored = f"{record.index:04d}.{ACCEPTED[found.format]}"
            record.preview = preview
            path.replace(uploads / record.stored)
        else:
            path.unlink(missing_ok=True)
            (previews / preview).unlink(missing_ok=True)
    except OSError as problem:
        raise _storage_error(problem) from problem
    return record


def _make_folders(*folders: Path) -> None:
    try:
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise _storage_error(problem) from problem


def _storage_error(problem: OSError) -> UserError:
    if problem.errno in (errno.ENOSPC, errno.EDQUOT):
        message = (
            "There is not enough disk space on the server for these images. "
            "Delete old runs, send fewer images, or tell whoever runs this app."
        )
    else:
        message = "The images could not be stored on the server. Try again, or tell whoever runs this app."
    return UserError(message, code="disk_full", field="images")
