"""The structure of a TIFF file: its directory, and where its pixels lie, in strips or tiles.

Some strips, or some rows of tiles, behind a copy of the tags are a TIFF file too. So the same decoder makes the same
pixels of them, whatever the compression and the kind of pixels. The whole is laid out anew in the same way where a tag
of it is wrong, or would be misunderstood.
"""

from __future__ import annotations

import logging
import struct
import zlib
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice, pairwise
from typing import Any, BinaryIO

from imgproc.operations.rows import Rows, cut
from imgproc.pixels.formats.contract import Damaged
from imgproc.pixels.formats.depth import HIGH_BYTE
from imgproc.pixels.formats.with_imagecodecs import codec, decoded_by

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER = 256, 257, 258, 259, 262, 266
ORIENTATION, SAMPLES, ROWS_PER_STRIP, PLANES, PREDICTOR, COLOR_MAP = 274, 277, 278, 284, 317, 320
STRIP_OFFSETS, STRIP_SIZES, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_SIZES = 273, 279, 322, 323, 324, 325
SUBFILE, OLD_SUBFILE, SUB_DIRECTORIES, INKS, EXTRA_SAMPLES, SAMPLE_FORMAT = 254, 255, 330, 332, 338, 339
SUBSAMPLING, DEPTH, NO_DATA, DNG_VERSION = 530, 32997, 42113, 50706
UNCOMPRESSED, OLD_JPEG = 1, 6
UNSIGNED, SIGNED, FLOAT = 1, 2, 3
YCBCR = 6

# Not copied: what is written anew or does not hold for a part, directories elsewhere in the file, and what is long and
# says nothing of the pixels (descriptions, XMP, IPTC, Photoshop's, ICC, GDAL's).
_LEFT_OUT = {
    SUBFILE, OLD_SUBFILE, HEIGHT, ORIENTATION, STRIP_OFFSETS, ROWS_PER_STRIP, STRIP_SIZES, TILE_OFFSETS, TILE_SIZES,
    288, 289, SUB_DIRECTORIES, 400, 34665, 34853, 40965, 270, 305, 306, 315, 700, 33723, 34377, 34675, 37724, 42112,
    50838, 50839,
}  # fmt: skip
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_SHORT, _LONG, _LONG8 = 3, 4, 16
_DEFLATE = {8, 32946}
_LZW, _PACKBITS = 5, 32773
_END_THEMSELVES = {2, 3, 4, _LZW, _PACKBITS, *_DEFLATE}
_DECODERS = {_LZW: "lzw_decode", _PACKBITS: "packbits_decode"}
_MOST_OVERHEAD = 1024  # bytes of a strip that cannot be made smaller, besides twice what it has uncompressed
_PAGES = 100  # looked at for one of full size
_TAGS = 4096  # of a directory, and values of one of them, that are looked at
_REDUCED, _MASK = 1, 4  # bits of SUBFILE
_OLD_REDUCED = 2  # value of OLD_SUBFILE

# What is wrong with a file has words of our own.
logging.getLogger("tifffile").setLevel(logging.CRITICAL + 1)


@dataclass(frozen=True, slots=True)
class Tag:
    """Type, number of values, and where they lie in the file."""

    kind: int
    count: int
    at: int


@dataclass(frozen=True, slots=True)
class Directory:
    """The tags of a picture, and the values of those that say how it is stored.

    ``page``: its number in the file, ``at`` its place. The file's first picture may be a reduced one, and may have
    others below it.
    """

    order: str
    big: bool
    tags: Mapping[int, Tag]
    values: Mapping[int, tuple[Any, ...]]
    page: int
    at: int
    file_size: int
    first_is_reduced: bool
    first_has_below: bool

    def number(self, tag: int, default: int) -> int:
        """The first value of a tag."""
        values = self.values.get(tag)
        return int(values[0]) if values else default

    @property
    def bits(self) -> int:
        return self.number(BITS, 1)

    @property
    def samples(self) -> int:
        return self.number(SAMPLES, 1)

    @property
    def subsampled(self) -> bool:
        """Whether rows of bytes are not rows of pixels, for several pixels share their colour."""
        return self.number(PHOTOMETRIC, 1) == YCBCR and self.values.get(SUBSAMPLING, (2, 2)) != (1, 1)

    @property
    def is_bytes(self) -> bool:
        """Whether its samples are 8 bits or fewer without a sign, so that each becomes what it does by itself."""
        return self.bits <= 8 and self.number(SAMPLE_FORMAT, UNSIGNED) == UNSIGNED

    @property
    def ends_itself(self) -> bool:
        """Whether what stands behind its strips or tiles does not matter to their decoders: CCITT's, LZW, deflate and
        PackBits."""
        return self.number(COMPRESSION, UNCOMPRESSED) in _END_THEMSELVES

    @property
    def tiled(self) -> bool:
        return TILE_WIDTH in self.values


def read_directory(file: BinaryIO) -> Directory:
    """The directory of the first picture of full size; of the first picture where there is none.

    Raises:
        Damaged: there is none that makes sense.
    """
    from tifffile import TiffFile  # takes a while to load, which other files need not wait for

    try:
        with TiffFile(file) as tiff:
            pages = enumerate(islice(tiff.pages, _PAGES))
            number = next((number for number, page in pages if not _aside(page)), 0)
            return _directory(tiff, tiff.pages[number], number, tiff.pages.first)
    except Exception as problem:  # tifffile raises errors of any kind on damaged files
        raise Damaged from problem


def formats_differ(file: BinaryIO) -> bool:
    """Whether the samples of a picture in the file are said to be of several kinds, of which tifffile reads nothing."""
    file.seek(0)
    try:
        order = {b"II": "<", b"MM": ">"}[file.read(2)]
        big = file.read(2)[order == ">"] == 43
        count_of, entry, word, start = ("Q", "HHQ", "Q", 8) if big else ("H", "HHI", "I", 4)
        for _ in range(_PAGES):
            (at,) = _unpacked(file, start, order + word)
            if not at:
                break
            (count,) = _unpacked(file, at, order + count_of)
            size = struct.calcsize(order + entry + word)
            first = at + struct.calcsize(order + count_of)
            for place in range(first, first + size * min(count, _TAGS), size):
                code, kind, values = _unpacked(file, place, order + entry)
                if code == SAMPLE_FORMAT and kind == _SHORT and 1 < values <= _TAGS:
                    there = place + struct.calcsize(order + entry)
                    if 2 * values > struct.calcsize(order + word):
                        (there,) = _unpacked(file, there, order + word)
                    if len(set(_unpacked(file, there, f"{order}{values}H"))) > 1:
                        return True
            start = first + size * count
    except (LookupError, struct.error, OverflowError, OSError):
        pass
    return False


def _unpacked(file: BinaryIO, at: int, form: str) -> tuple[Any, ...]:
    file.seek(at)
    return struct.unpack(form, file.read(struct.calcsize(form)))


def _aside(page: Any) -> bool:
    """Whether a picture is a smaller copy or a mask of another."""
    return bool(int(_value(page, SUBFILE, 0)) & (_REDUCED | _MASK)) or int(_value(page, OLD_SUBFILE, 1)) == _OLD_REDUCED


def _value(page: Any, tag: int, default: Any) -> Any:
    value = page.tags.valueof(tag, default)
    return value[0] if isinstance(value, tuple) else value


def _directory(tiff: Any, page: Any, number: int, first: Any) -> Directory:
    tags = {tag.code: Tag(int(tag.dtype), tag.count, tag.valueoffset) for tag in page.tags}
    values = {tag.code: _numbers(tag.value) for tag in page.tags if tag.code in _READ}
    size = tiff.filehandle.size
    order, big = tiff.byteorder, tiff.is_bigtiff
    return Directory(order, big, tags, values, number, page.offset, size, _aside(first), SUB_DIRECTORIES in first.tags)


_READ = {
    WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER, ORIENTATION, SAMPLES, ROWS_PER_STRIP, PLANES,
    STRIP_OFFSETS, STRIP_SIZES, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_SIZES, INKS, EXTRA_SAMPLES, SAMPLE_FORMAT,
    SUBSAMPLING, DEPTH, NO_DATA, DNG_VERSION, PREDICTOR,
}  # fmt: skip


def _numbers(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, tuple | list | bytes) else (value,)


@dataclass(frozen=True, slots=True)
class Segments:
    """Where the pixels lie: strips or tiles, ``across`` of them beside each other, ``rows`` high each, in ``planes``.

    ``ranges``: (offset, bytes) of each, the bytes as they must be, whatever the tags say; ``as_said``: whether these
    say just that. ``clipped``: whether they say more than the file has, of a compression whose data tell their end.
    ``missing``: how many are not there, and stand for ``missing_value``.
    """

    across: int
    rows: int
    planes: int
    ranges: tuple[tuple[int, int], ...]
    as_said: bool
    clipped: bool
    missing: int


def segments(d: Directory) -> Segments:
    """Raises: Damaged: the tags do not say where the pixels are."""
    width, height = d.number(WIDTH, 0), d.number(HEIGHT, 0)
    wide, rows = (d.number(TILE_WIDTH, 0), d.number(TILE_HEIGHT, 0)) if d.tiled else (width, _rows_per_strip(d, height))
    if min(width, height, wide, rows) < 1:
        raise Damaged
    across, down = -(-width // wide), -(-height // rows)
    planes = d.samples if d.number(PLANES, 1) == 2 else 1
    offsets = d.values.get(TILE_OFFSETS if d.tiled else STRIP_OFFSETS, ())
    said = d.values.get(TILE_SIZES if d.tiled else STRIP_SIZES, ())
    count = across * down * planes
    if len(offsets) < count:
        raise Damaged
    offsets = offsets[:count]
    sizes = tuple(_sizes(d, wide, rows, height, across * down, offsets, said))
    missing = sum(offset == 0 for offset in offsets)
    clipped = any(0 < size < size_said for size, size_said in zip(sizes, said, strict=False)) and d.ends_itself
    return Segments(across, rows, planes, tuple(zip(offsets, sizes, strict=True)), sizes == said, clipped, missing)


def missing_value(d: Directory) -> float:
    """What samples are of strips or tiles that are not in the file: 0, or GDAL's value for them, which GDAL brings
    within what such samples can be."""
    try:
        text = str(d.values[NO_DATA][0]).strip().replace(",", ".")
        value = int(text) if text.lstrip("+-").isdecimal() else float(text)
    except (LookupError, ValueError):
        return 0
    if d.number(SAMPLE_FORMAT, UNSIGNED) == FLOAT:
        return value
    if value != value:  # NaN
        return 0
    low = -(1 << d.bits - 1) if d.number(SAMPLE_FORMAT, UNSIGNED) == SIGNED else 0
    most: int = low + (1 << d.bits) - 1
    return round(min(max(value, low), most))


def _rows_per_strip(d: Directory, height: int) -> int:
    return min(d.number(ROWS_PER_STRIP, height) or height, height)


def is_whole(data: bytes, d: Directory, found: Segments) -> bool:
    """Whether strips or tiles that are said to go beyond the end of the file are there nonetheless."""
    sizes = d.values.get(TILE_SIZES if d.tiled else STRIP_SIZES, ())
    row = row_bytes(d, d.number(TILE_WIDTH, 0) if d.tiled else d.number(WIDTH, 0))
    of_plane = len(found.ranges) // found.planes
    for index, ((offset, size), said) in enumerate(zip(found.ranges, sizes, strict=False)):
        if size < said:
            below = d.number(HEIGHT, 0) - index % of_plane * found.rows
            needed = row * (found.rows if d.tiled else min(found.rows, below))
            if not _has(data[offset : offset + size], d.number(COMPRESSION, UNCOMPRESSED), needed):
                return False
    return True


def _has(data: bytes, compression: int, needed: int) -> bool:
    """Whether the data of a strip or tile, without what may stand behind it, are of at least so many bytes."""
    if compression in _DEFLATE:
        decoder = zlib.decompressobj()
        try:
            decoder.decompress(data, needed)
        except zlib.error:
            return False
        return decoder.eof or len(decoder.decompress(decoder.unconsumed_tail, 1)) == 1
    decoded = decoded_by(codec(_DECODERS[compression]), data) if compression in _DECODERS else None
    return decoded is not None and len(decoded) >= needed


def tile_bytes(d: Directory, width: int, height: int) -> int:
    """Of a tile of so many pixels, uncompressed."""
    if not d.subsampled or d.number(PLANES, 1) == 2:
        return row_bytes(d, width) * height
    across, down = d.values.get(SUBSAMPLING, (2, 2))
    size: int = -(-width // across) * -(-height // down) * (across * down + 2)
    return size


def row_bytes(d: Directory, width: int) -> int:
    """Of so many pixels beside each other, uncompressed."""
    samples = 1 if d.number(PLANES, 1) == 2 else d.samples
    return (width * samples * d.bits + 7) // 8


def _sizes(
    d: Directory, wide: int, rows: int, height: int, of_plane: int, offsets: Sequence[int], said: Sequence[int]
) -> Iterator[int]:
    """How many bytes each segment has: by the size of the image where that tells; else as said, or, if that cannot be,
    up to what comes next in the file. So too where bytes between are nobody's, of which too small a number may have
    cut off some: what does not belong to it is not looked at."""
    exact = d.number(COMPRESSION, UNCOMPRESSED) == UNCOMPRESSED and not d.subsampled
    row = row_bytes(d, wide)
    starts = sorted({*offsets, d.at, *(tag.at for tag in d.tags.values()), d.file_size})
    pad = d.number(COMPRESSION, UNCOMPRESSED) != _PACKBITS  # of others the last byte has nothing but the end
    most = 2 * row * rows + _MOST_OVERHEAD
    for index, offset in enumerate(offsets):
        size = said[index] if index < len(said) else 0
        if offset == 0:
            yield size
            continue
        if exact:
            yield row * (rows if d.tiled else min(rows, height - index % of_plane * rows))
            continue
        at = bisect_right(starts, offset)
        room = starts[at] - offset if at < len(starts) else 0
        if size == 0:
            yield room
        elif not d.ends_itself or not room:
            yield size
        elif offset + size > d.file_size:
            yield room
        else:
            yield min(room, most) if room > size + pad and most > size else size


@dataclass(frozen=True, slots=True)
class StoredRows:
    """Some of the rows of a TIFF file: where their bytes are in it, and the tags they need."""

    rows: Rows
    ranges: tuple[tuple[int, int], ...]  # (offset, bytes)
    head: bytes

    @property
    def stored(self) -> Rows:
        """The same."""
        return self.rows

    def read(self, path: str) -> bytes:
        """A TIFF file of these rows only."""
        with open(path, "rb") as file:
            return self.read_from(file)

    def read_from(self, file: BinaryIO) -> bytes:
        """As ``read``."""
        parts = [self.head]
        for offset, size in self.ranges:
            file.seek(offset)
            parts.append(file.read(size))
        return b"".join(parts)


def stored_rows(
    file: BinaryIO, d: Directory, found: Segments, rows: Rows, ranges: Sequence[tuple[int, int]]
) -> StoredRows:
    """These rows as a file of their own: not turned, and with extra samples that are no alpha, so that no decoder
    multiplies by it."""
    own: dict[int, tuple[int, bytes, int]] = {}
    for code, tag in d.tags.items():
        if code not in _LEFT_OUT and tag.kind in _SIZES:
            file.seek(tag.at)
            data = file.read(_SIZES[tag.kind] * tag.count)
            own[code] = tag.kind, bytes(len(data)) if code == EXTRA_SAMPLES else data, tag.count
    count = rows.stop - rows.start
    for code in (HEIGHT,) if d.tiled else (HEIGHT, ROWS_PER_STRIP):
        own[code] = _LONG, struct.pack(d.order + "I", count if code == HEIGHT else min(found.rows, count)), 1
    return StoredRows(rows, tuple(ranges), _head(d, own, [size for _, size in ranges]))


def _head(d: Directory, own: dict[int, tuple[int, bytes, int]], sizes: Sequence[int]) -> bytes:
    """Header and tags of a file whose segments follow one after the other."""
    kind, word = (_LONG8, "Q") if d.big else (_LONG, "I")
    count_of, entry, room, start = ("Q", "HHQ", 8, 16) if d.big else ("H", "HHI", 4, 8)
    offsets_tag, sizes_tag = (TILE_OFFSETS, TILE_SIZES) if d.tiled else (STRIP_OFFSETS, STRIP_SIZES)

    def packed(numbers: Sequence[int]) -> tuple[int, bytes, int]:
        return kind, struct.pack(f"{d.order}{len(numbers)}{word}", *numbers), len(numbers)

    own = {**own, offsets_tag: packed([0] * len(sizes)), sizes_tag: packed(sizes)}
    table = struct.calcsize(d.order + count_of) + (struct.calcsize(d.order + entry) + room) * len(own) + room
    behind = start + table
    end = behind + sum(len(data) + len(data) % 2 for _, data, _ in own.values() if len(data) > room)
    own[offsets_tag] = packed([*accumulate(sizes[:-1], initial=end)])
    entries, values = [], []
    for code, (type_, data, count) in sorted(own.items()):
        if len(data) > room:
            values.append(data + b"\0" * (len(data) % 2))
            data = struct.pack(d.order + word, behind)
            behind += len(values[-1])
        entries.append(struct.pack(d.order + entry, code, type_, count) + data.ljust(room, b"\0"))
    magic = struct.pack(d.order + ("HHHQ" if d.big else "HI"), *((43, 8, 0, start) if d.big else (42, start)))
    mark = b"II" if d.order == "<" else b"MM"
    return b"".join([mark, magic, struct.pack(d.order + count_of, len(own)), *entries, bytes(room), *values])


def pieces(file: BinaryIO, d: Directory, count: int, depth: str) -> list[StoredRows]:
    """The picture of a TIFF file in at most ``count`` pieces of about equal height, to be decoded by this depth.

    Returns:
        None of files that cannot be taken apart: in planes, turned, compressed in one strip, or with a depth that goes
        by the whole picture.
    """
    found, height = segments(d), d.number(HEIGHT, 0)
    if found.planes != 1 or d.number(ORIENTATION, 1) != 1 or d.number(COMPRESSION, 1) == OLD_JPEG:
        return []
    if found.missing or found.clipped:
        return []
    if depth != HIGH_BYTE and not d.is_bytes:
        return []
    if len(found.ranges) == 1:
        return _within_one(file, d, height, found, count)
    down = -(-height // found.rows)
    count = min(count, down)
    if count < 2:
        return []
    groups = [Rows(*edges) for edges in pairwise(down * k // count for k in range(count + 1))]
    return [
        stored_rows(
            file,
            d,
            found,
            Rows(group.start * found.rows, min(height, group.stop * found.rows)),
            found.ranges[group.start * found.across : group.stop * found.across],
        )
        for group in groups
    ]


def _within_one(file: BinaryIO, d: Directory, height: int, found: Segments, count: int) -> list[StoredRows]:
    """Of one strip, where its rows of bytes are rows of pixels."""
    if d.tiled or d.number(COMPRESSION, 1) != UNCOMPRESSED or d.subsampled:
        return []
    ((offset, _),), row = found.ranges, row_bytes(d, d.number(WIDTH, 0))
    return [
        stored_rows(file, d, found, rows, [(offset + rows.start * row, (rows.stop - rows.start) * row)])
        for rows in cut(height, count)
    ]
