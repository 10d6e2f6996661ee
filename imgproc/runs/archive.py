"""Results to take away: a zip made while it is sent, and the rounds as a table."""

from __future__ import annotations

import csv
import io
import re
import time
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO
from zipfile import ZipFile, ZipInfo
from zlib import crc32

from imgproc.errors import UserError
from imgproc.runs.record import Record

_SEND_BYTES = 256 * 1024
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"|?*]')
_UTF8_NAME = 0x800  # the flag of an entry whose name is in UTF-8


File = tuple[str, Path | bytes]


class PreparedZip:
    """A zip of files that is made while it is sent: neither in memory nor on disk as a whole. Nothing is deflated,
    because images are compressed already. As many threads as want may send it at the same time.

    A file is read for its checksum first, once for all, so that this stands before it. Entries that are stored and have
    it behind them cannot be read as a stream: where they end is unknown, and Java refuses them.

    Args:
        files: (name in the zip, file or what is in it). Names become relative, safe on every system and unique.

    Attributes:
        size: the bytes of the zip.

    Raises:
        UserError: a file is gone (code ``not_found``); at once, before anything is sent.
    """

    def __init__(self, files: Iterable[File]) -> None:
        self._entries, self._end = _entries(files)
        self._summed = bytearray(len(self._entries))  # whether the checksum of each is known
        self.size = self._end + len(self._directory())

    def pieces(self) -> Iterator[bytes]:
        """All of it, from the start.

        Raises:
            OSError: a file is gone by now, or another size.
        """
        return _joined(self._pieces())

    def _pieces(self) -> Iterator[bytes]:
        for number, (info, given) in enumerate(self._entries):
            with io.BytesIO(given) if isinstance(given, bytes) else given.open("rb") as file:
                if not self._summed[number]:
                    info.CRC = _checksum(_of_size(file, info))
                    self._summed[number] = True
                    file.seek(0)
                yield info.FileHeader()
                yield from _of_size(file, info)
        yield self._directory()

    def _directory(self) -> bytes:
        """What closes the zip, where its files end."""
        out = _Behind(self._end)
        with ZipFile(out, "w") as archive:
            archive.filelist.extend(info for info, _ in self._entries)
        return out.getvalue()


def rounds_csv(record: Record) -> str:
    """One line per round of every technique, its uncounted warm-up first. ``images`` is how many a round, or items,
    went over; times are in seconds, ``joules`` of the whole machine; ``at_a_time``, of a run over that, how many images
    or items a worker was handed at a time."""
    out = io.StringIO()
    table = csv.writer(out)
    over_task = record.granularity is not None and record.granularity.over == "task"
    at_a_time = ["at_a_time"] if over_task else []
    measured_of_all = ("wall_seconds", "cpu_seconds", "peak_memory_bytes", "images", "joules")
    table.writerow(("technique", "round", *measured_of_all, *at_a_time))
    whole = record.count
    for technique in (*record.techniques, *record.points):
        images, size = technique.images or whole, [technique.chunk_size] if over_task else []
        if technique.first_round_seconds is not None:
            warm = technique.first_round_images or images
            table.writerow((technique.name, "warm-up", technique.first_round_seconds, None, None, warm, None, *size))
        for number, done in enumerate(technique.rounds, 1):
            measured = done.wall_seconds, done.cpu_seconds, done.peak_memory_bytes
            joules = sum(done.joules.values()) if done.joules else None
            table.writerow((technique.name, number, *measured, images, joules, *size))
    return out.getvalue()


def _entries(files: Iterable[File]) -> tuple[list[tuple[ZipInfo, Path | bytes]], int]:
    """What the zip is told of each file, but for the checksum, with the file; and where the last one ends."""
    entries, taken, end = list[tuple[ZipInfo, Path | bytes]](), set[str](), 0
    for name, file in files:
        place = _unique(_safe(name), taken)
        if isinstance(file, bytes):
            info = ZipInfo(place, time.localtime()[:6])
            info.file_size, info.external_attr = len(file), 0o600 << 16
        else:
            try:
                info = ZipInfo.from_file(file, place, strict_timestamps=False)
            except OSError:
                gone = f"The file {_safe(name)} of this run is gone. Run it again."
                raise UserError(gone, code="not_found", file=name) from None
        info.compress_size, info.header_offset, info.CRC = info.file_size, end, 0
        info.flag_bits |= _UTF8_NAME
        end += len(info.FileHeader()) + info.file_size
        entries.append((info, file))
    return entries, end


def _of_size(file: BinaryIO, info: ZipInfo) -> Iterator[bytes]:
    """What is in the file.

    Raises:
        OSError: it is not as long as it was.
    """
    size = 0
    while piece := file.read(_SEND_BYTES):
        size += len(piece)
        yield piece
    if size != info.file_size:
        raise OSError(f"{info.filename} has {size} bytes and had {info.file_size}")


def _checksum(pieces: Iterable[bytes]) -> int:
    found = 0
    for piece in pieces:
        found = crc32(piece, found)
    return found


class _Behind(io.BytesIO):
    """A file as somebody sees it who writes on where the first ``start`` bytes are behind him."""

    def __init__(self, start: int) -> None:
        super().__init__()
        self._start = start

    def tell(self) -> int:
        return self._start + super().tell()

    def seek(self, position: int, whence: int = io.SEEK_SET) -> int:
        raise io.UnsupportedOperation("seek")


def _joined(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same in pieces of a good size to send."""
    joined = bytearray()
    for piece in pieces:
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
