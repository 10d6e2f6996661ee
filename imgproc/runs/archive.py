"""Results to take away: a zip made while it is sent, and the rounds as a table."""

from __future__ import annotations

import csv
import io
import re
import time
import unicodedata
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from imgproc.errors import UserError
from imgproc.runs.record import Record

_READ_BYTES = 256 * 1024
_SEND_BYTES = 256 * 1024
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"|?*]')


@dataclass(frozen=True)
class _Entry:
    name: str
    path: Path
    size: int
    modified: tuple[int, int, int, int, int, int]


def stream_zip(files: Iterable[tuple[str, Path]]) -> Iterator[bytes]:
    """A zip of the files, piece by piece: neither in memory nor on disk as a whole. Nothing is deflated,
    because images are compressed already.

    Args:
        files: (name in the zip, file). Names become relative, safe on every system and unique.

    Raises:
        UserError: a file is gone (code ``not_found``); at once, before anything is sent.
    """
    return _stream(_entries(files))


def zip_size(files: Iterable[tuple[str, Path]]) -> int:
    """How many bytes ``stream_zip`` will yield for the same files. Raises as it does."""
    limit, at, directory, count = zipfile.ZIP64_LIMIT, 0, 0, 0
    for entry in _entries(files):
        name, long = len(entry.name.encode()), _may_be_long(entry.size)
        beyond = 2 * (entry.size > limit) + (at > limit)
        directory += 46 + name + (4 + 8 * beyond if beyond else 0)
        at += 30 + name + (20 if long else 0) + entry.size + (24 if long else 16)
        count += 1
    huge = count > zipfile.ZIP_FILECOUNT_LIMIT or at > limit or directory > limit
    return at + directory + (56 + 20 if huge else 0) + 22


def rounds_csv(record: Record) -> str:
    """One line per round of every technique, its uncounted warm-up first. ``images`` is how many a round
    went over; times are in seconds."""
    out = io.StringIO()
    table = csv.writer(out)
    table.writerow(("technique", "round", "wall_seconds", "cpu_seconds", "peak_memory_bytes", "images"))
    images = len(record.sample or record.good_images)
    for technique in record.techniques:
        if technique.first_round_seconds is not None:
            table.writerow((technique.name, "warm-up", technique.first_round_seconds, None, None, images))
        for number, done in enumerate(technique.rounds, 1):
            table.writerow(
                (technique.name, number, done.wall_seconds, done.cpu_seconds, done.peak_memory_bytes, images)
            )
    return out.getvalue()


class _Sink(io.RawIOBase):
    """Takes what the zip writer writes until somebody fetches it. It cannot seek, so the writer never goes back."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.waiting = 0

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self.pieces.append(bytes(data))
        self.waiting += len(data)
        return len(data)

    def take(self) -> bytes:
        taken = b"".join(self.pieces)
        self.pieces, self.waiting = [], 0
        return taken


def _stream(entries: list[_Entry]) -> Iterator[bytes]:
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
        for entry in entries:
            info = zipfile.ZipInfo(entry.name, entry.modified)
            info.file_size = entry.size
            info.external_attr = 0o100644 << 16
            with open(entry.path, "rb") as source, archive.open(info, "w") as target:
                while data := source.read(_READ_BYTES):
                    target.write(data)
                    if sink.waiting >= _SEND_BYTES:
                        yield sink.take()
    yield sink.take()


def _entries(files: Iterable[tuple[str, Path]]) -> list[_Entry]:
    entries, taken = [], set[str]()
    for name, path in files:
        try:
            found = path.stat()
        except OSError:
            raise UserError(
                f"The file {_safe(name)} of this run is gone. Run it again.", code="not_found", file=name
            ) from None
        modified = time.localtime(max(found.st_mtime, 0))[:6]
        # Zip knows no time before 1980.
        entries.append(_Entry(_unique(_safe(name), taken), path, found.st_size, max(modified, (1980, 1, 1, 0, 0, 0))))
    return entries


def _may_be_long(size: int) -> bool:
    """Whether zipfile makes room for an eight byte size, as it decides before it knows the size."""
    return size * 1.05 > zipfile.ZIP64_LIMIT


def _safe(name: str) -> str:
    """A relative name that stays in the folder where the zip is unpacked, whatever the system."""
    clean = _FORBIDDEN.sub("_", name.replace("\\", "/").encode("utf-8", "replace").decode())
    parts = [part.rstrip(" .") for part in clean.split("/")]
    return "/".join(part for part in parts if part) or "file"


def _unique(name: str, taken: set[str]) -> str:
    """The name, numbered where another one is the same to a system that does not tell case apart."""
    folder, slash, file = name.rpartition("/")
    stem, dot, ending = file.rpartition(".")
    if not stem:
        stem, dot, ending = file, "", ""
    number, candidate = 1, name
    while (key := unicodedata.normalize("NFC", candidate).casefold()) in taken:
        number += 1
        candidate = f"{folder}{slash}{stem} ({number}){dot}{ending}"
    taken.add(key)
    return candidate
