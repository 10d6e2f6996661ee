"""Results to take away: a zip made while it is sent, and the rounds as a table."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from zipstream import ZipStream

from imgproc.errors import UserError
from imgproc.runs.record import Record

_SEND_BYTES = 256 * 1024
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"|?*]')
_LONG_END = 56 + 20  # what closes a zip of more files than two bytes can count


File = tuple[str, Path | bytes]


def stream_zip(files: Iterable[File]) -> tuple[Iterator[bytes], int]:
    """A zip of the files, piece by piece: neither in memory nor on disk as a whole. Nothing is deflated,
    because images are compressed already.

    Args:
        files: (name in the zip, file or what is in it). Names become relative, safe on every system and unique.

    Returns:
        The pieces, and how many bytes they will be.

    Raises:
        UserError: a file is gone (code ``not_found``); at once, before anything is sent.
    """
    archive = _archive(files)
    # zipstream-ng 1.9 writes the long end for one file fewer than it counts it for.
    more = _LONG_END if archive.num_queued() == zipfile.ZIP_FILECOUNT_LIMIT else 0
    return _pieces(archive), len(archive) + more


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
            measured = done.wall_seconds, done.cpu_seconds, done.peak_memory_bytes
            table.writerow((technique.name, number, *measured, images))
    return out.getvalue()


def _archive(files: Iterable[File]) -> ZipStream:
    archive, taken = ZipStream(sized=True), set[str]()
    for name, file in files:
        place = _unique(_safe(name), taken)
        if isinstance(file, bytes):
            archive.add(file, place)
            continue
        try:
            archive.add_path(file, place, recurse=False)
        except OSError:
            gone = f"The file {_safe(name)} of this run is gone. Run it again."
            raise UserError(gone, code="not_found", file=name) from None
    return archive


def _pieces(archive: ZipStream) -> Iterator[bytes]:
    """What the archive yields, its many small pieces joined."""
    joined = bytearray()
    for piece in archive:
        joined += piece
        if len(joined) >= _SEND_BYTES:
            yield bytes(joined)
            joined.clear()
    yield bytes(joined)


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
