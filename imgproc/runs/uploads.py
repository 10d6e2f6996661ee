"""Uploads come in: streamed into the run's folder, then inspected, then stored under names of our own."""

from __future__ import annotations

import errno
import io
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from imgproc.errors import UserError
from imgproc.intake.inspector import Inspector
from imgproc.intake.naming import within_folders
from imgproc.pixels.filetypes import ACCEPTED
from imgproc.pixels.formats.depth import HIGH_BYTE
from imgproc.pixels.previews import thumbnail_of
from imgproc.runs.record import ImageRecord
from imgproc.settings import Settings


class IncomingFiles:
    """The files of one upload, written one after the other as they come in: ``incoming-0000``, … in a folder.

    ``files`` are (the name each was sent under, where it lies). Only the file under way is open.
    """

    def __init__(self, folder: Path, max_files: int) -> None:
        self.folder = folder
        self.max_files = max_files
        self.files: list[tuple[str, Path]] = []
        self._name = ""
        self._file: io.FileIO | None = None

    def begin(self, name: str) -> None:
        """A file of this name comes next."""
        self._name = name

    def write(self, data: bytes) -> None:
        """Write all of the bytes.

        Raises:
            UserError: the disk is full or cannot be used (``disk_full``), or there are too many files (``too_large``).
        """
        file = self._file or self._open()
        view = memoryview(data)
        with storage():
            while view:
                view = view[file.write(view) or 0 :]

    def end(self) -> None:
        """The file is complete. Raises as ``write`` does."""
        # A browser sends one empty part without a name where no file was chosen.
        if self._file is None and self._name:
            self._open()
        file, self._file = self._file, None
        with storage():  # network file systems notice a full disk only now
            if file:
                file.close()

    def close(self) -> None:
        """Close the file of an upload that broke off."""
        self._name = ""
        with suppress(UserError):
            self.end()

    def _open(self) -> io.FileIO:
        if len(self.files) >= self.max_files:
            raise UserError(
                f"One run takes up to {self.max_files:,} files. Send fewer, or make several runs.",
                code="too_large",
                field="images",
                limit=self.max_files,
            )
        path = self.folder / f"incoming-{len(self.files):04d}"
        with storage():
            self._file = file = io.FileIO(path, "wb")
        self.files.append((self._name or "unnamed", path))
        return file


class FirstFile(IncomingFiles):
    """Of the files of an upload only the first that has a name or content, for which the folder is made; the others go
    nowhere."""

    def write(self, data: bytes) -> None:
        if self._file or not self.files:
            super().write(data)

    def end(self) -> None:
        if self._file or not self.files:
            super().end()

    def _open(self) -> io.FileIO:
        with storage():
            self.folder.mkdir(parents=True, exist_ok=True)
        return super()._open()


def inspect_files(
    files: Sequence[tuple[str, Path]],
    uploads: Path,
    previews: Path,
    settings: Settings,
    *,
    processes: int,
    depth: str = HIGH_BYTE,
    inspected: Callable[[], None] = lambda: None,
) -> list[ImageRecord]:
    """Inspect every file, several at once; keep the accepted ones and delete the others.

    Args:
        files: the name each was sent under, and where it lies.
        uploads: accepted files are moved here as ``0000.jpg``, …, by their position and content.
        previews: gets a ``0000.jpg`` for each accepted file, whatever its type, and a thumbnail.
        processes: how many files are inspected at once.
        depth: by which they are to be decoded.
        inspected: called after each of them.

    Returns:
        One record per file, in order; the refused ones have an ``error``.

    Raises:
        UserError: nothing could be inspected or stored; the files that were not reached are still there.
    """
    processes = max(1, min(processes, len(files)))
    with storage():
        for folder in (uploads, previews):
            folder.mkdir(parents=True, exist_ok=True)
    limits = settings.max_pixels, settings.MAX_SIDE, settings.INSPECT_SECONDS
    places = within_folders([name for name, _ in files])
    images = [ImageRecord(index, shown, folder=folder) for index, (shown, folder) in enumerate(places)]

    def inspect(image: ImageRecord, path: Path) -> ImageRecord:
        inspect_file(inspector, image, path, uploads, previews, depth)
        inspected()
        return image

    with Inspector(*limits, processes) as inspector, ThreadPoolExecutor(processes) as threads:
        return list(threads.map(inspect, images, (path for _, path in files)))


def inspect_file(
    inspector: Inspector, image: ImageRecord, path: Path, uploads: Path, previews: Path, depth: str
) -> None:
    """Inspect one file, and complete what the record says of it; the folders are there, and all is as ``inspect_files``
    says."""
    preview = previews / f"{image.index:04d}.jpg"
    with storage():
        image.bytes = path.stat().st_size if path.exists() else 0
        found = inspector.inspect(path, preview, depth)
        image.format, image.width, image.height = found.format, found.width, found.height
        image.error, image.code = found.error, found.code
        if found.error is None:
            image.stored, image.preview = f"{image.index:04d}.{ACCEPTED[found.format]}", preview.name
            path.replace(uploads / image.stored)
        else:
            path.unlink(missing_ok=True)
            for small in (preview, preview.with_name(thumbnail_of(preview.name))):
                small.unlink(missing_ok=True)


@contextmanager
def storage() -> Iterator[None]:
    """Errors of the disk in words for people."""
    try:
        yield
    except OSError as problem:
        message = "The images could not be stored on the server. Try again, or tell whoever runs this app."
        if problem.errno in (errno.ENOSPC, errno.EDQUOT):
            message = (
                "There is not enough disk space on the server for these images. "
                "Delete old runs, send fewer images, or tell whoever runs this app."
            )
        raise UserError(message, code="disk_full", field="images") from problem
