"""TIFF files: by OpenCV (libtiff) where that gives what the file says, else by tifffile."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, BinaryIO

import cv2
import numpy as np

from imgproc.errors import UserError
from imgproc.operations.contract import Image
from imgproc.operations.rows import Rows
from imgproc.pixels.formats import with_opencv
from imgproc.pixels.formats.contract import Damaged, Decoded, FileType, Header, Kind, Piece, Wanted, refused
from imgproc.pixels.formats.depth import (
    FULL_RANGE,
    HIGH_BYTE,
    Facts,
    Samples,
    as_bytes,
    facts_of_high_byte,
    full_range,
)
from imgproc.pixels.formats.orientation import turned
from imgproc.pixels.formats.tiff_file import (
    BITS,
    COLOR_MAP,
    COMPRESSION,
    DEPTH,
    DNG_VERSION,
    EXTRA_SAMPLES,
    FILL_ORDER,
    FLOAT,
    HEIGHT,
    INKS,
    NO_DATA,
    OLD_JPEG,
    ORIENTATION,
    PHOTOMETRIC,
    PLANES,
    PREDICTOR,
    SAMPLE_FORMAT,
    SIGNED,
    STRIP_SIZES,
    TILE_HEIGHT,
    TILE_SIZES,
    TILE_WIDTH,
    UNCOMPRESSED,
    UNSIGNED,
    WIDTH,
    YCBCR,
    Directory,
    Segments,
    formats_differ,
    is_whole,
    missing_value,
    pieces,
    read_directory,
    segments,
    stored_rows,
    tile_bytes,
)
from imgproc.pixels.formats.tiff_lerc import LERC, decode_with_masks
from imgproc.pixels.formats.with_imagecodecs import NO_CODEC

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK, _LAB = 0, 1, 2, 3, 5, 8
# The samples of a pixel that make its colour.
_COLORS = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3, _PALETTE: 1, _CMYK: 4, YCBCR: 3, _LAB: 3}
_OTHER_COLORS = {
    4: "a transparency mask", 9: "ICC L*a*b* colours", 10: "ITU L*a*b* colours", 32803: "the raw mosaic of a camera",
    32844: "LogL light values", 32845: "LogLuv light values", 34892: "linear camera raw", 51177: "a depth map",
}  # fmt: skip
_VOID = 4
_JPEG = 7
# No compression, CCITT (RLE, Group 3 and 4), LZW, JPEG, deflate (two numbers), PackBits.
_OPENCV_READS = {1, 2, 3, 4, 5, 7, 8, 32946, 32773}
# WebP, JPEG 2000 (four numbers), JPEG XR (two), JPEG XL, lossy JPEG of DNG: their decoders make RGB of YCbCr.
_MAKES_RGB = {_JPEG, 50001, 34927, 34712, 33004, 33005, 34934, 22610, 50002, 52546, 34892}
_OF_OPENCV = {  # bits of a sample, for each kind of colour
    _WHITE_IS_ZERO: (1, 8, 16), _BLACK_IS_ZERO: (1, 8, 16), _RGB: (8, 16), _PALETTE: (8,), _CMYK: (8,), YCBCR: (8,),
    _LAB: (8,),
}  # fmt: skip
_NOT_READ = {33003, 65000, 65001, 65002}  # JPEG 2000 whose colours are not told, electron counts
_NEED_CODECS = {5, 7, 34712, 34887, 34925, 34927, 34933, 34934, 50000, 50001, 50002}  # of imagecodecs
_INK_CMYK = 1
_SAVE = "Save it as TIFF or PNG with 8 or 16 bits, in gray or RGB."
_CANON = b"II*\0\x10\0\0\0CR\2"  # how CR2 begins: the directory stands behind this mark
_RAW = "This is a camera raw file, which is not accepted here. Export it as JPEG or PNG first."
_OF_SEVERAL_KINDS = f"The samples of this TIFF differ in kind (SampleFormat), which nothing here reads. {_SAVE}"


def header(file: BinaryIO) -> Header:
    """By the directory of the first picture of full size."""
    if file.read(len(_CANON)) == _CANON:
        raise refused(_RAW)
    file.seek(0)
    try:
        d = read_directory(file)
    except Damaged:
        if formats_differ(file):
            raise refused(_OF_SEVERAL_KINDS) from None
        raise
    width, height, orientation = d.number(WIDTH, 0), d.number(HEIGHT, 0), d.number(ORIENTATION, 1)
    kind = _kind(d)
    if not 1 <= orientation <= 8:
        orientation = 1
    return Header(width, height, kind, orientation, d.bits, d.samples, own=d)


def _kind(d: Directory) -> Kind:
    if DNG_VERSION in d.tags or (d.first_is_reduced and d.first_has_below):
        raise refused(_RAW)
    _refuse_samples(d)
    if d.number(COMPRESSION, UNCOMPRESSED) == OLD_JPEG:
        raise refused(f"This TIFF holds a JPEG of the old kind (compression 6), which nothing here reads. {_SAVE}")
    found = segments(d)
    photometric, sample_format = _photometric(d), d.number(SAMPLE_FORMAT, UNSIGNED)
    if _opencv_is_right(d, found, photometric) and sample_format == UNSIGNED:
        return ORDINARY
    if found.missing == len(found.ranges):
        raise refused(
            "None of this TIFF’s strips or tiles is in the file, so there is no picture in it. Write it again."
        )
    _refuse_what_tifffile_lacks(d, photometric, sample_format)
    return DEEP if sample_format in (SIGNED, FLOAT) or d.bits > 32 else OTHERS


def _refuse_what_tifffile_lacks(d: Directory, photometric: int, sample_format: int) -> None:
    """Raises: UserError: the file is of a kind that it does not decode."""
    from tifffile import COMPRESSION as COMPRESSIONS
    from tifffile import TIFF

    compression = d.number(COMPRESSION, UNCOMPRESSED)
    if compression != UNCOMPRESSED and (compression in _NOT_READ or compression not in TIFF.DECOMPRESSORS):
        name = COMPRESSIONS(compression).name if compression in [*COMPRESSIONS] else f"number {compression}"
        if compression in _NEED_CODECS:
            raise refused(NO_CODEC)
        raise refused(f"This TIFF is compressed by {name}, which nothing here reads. {_SAVE}")
    if compression == LERC and d.order == ">" and d.bits > 8:  # libtiff swaps their bytes before it compresses them
        raise refused(f"This TIFF is compressed by LERC in big-endian order, which programs take differently. {_SAVE}")
    if compression == LERC and d.number(PREDICTOR, 1) != 1:  # libtiff does not heed it there
        raise refused(f"This TIFF is compressed by LERC with a predictor, which programs take differently. {_SAVE}")
    if d.number(FILL_ORDER, 1) == 2 and compression in _MAKES_RGB - {_JPEG}:
        raise refused(f"This TIFF holds compressed images with their bits turned round (FillOrder 2). {_SAVE}")
    if (sample_format, d.bits) not in TIFF.SAMPLE_DTYPES or (sample_format != FLOAT and 16 < d.bits < 32):
        raise refused(f"This TIFF holds samples of {d.bits} bits, which nothing here reads. {_SAVE}")
    if photometric in (YCBCR, _LAB) and not (photometric == YCBCR and _makes_rgb(d)):
        what = "YCbCr" if photometric == YCBCR else "L*a*b*"
        raise refused(f"This TIFF holds {what} colours in a way that nothing here reads. {_SAVE}")


def _photometric(d: Directory) -> int:
    return d.number(PHOTOMETRIC, _RGB if d.samples >= 3 else _BLACK_IS_ZERO)


def _refuse_samples(d: Directory) -> None:
    """Raises: UserError: the samples are such that nothing here reads."""
    photometric = _photometric(d)
    if photometric not in _COLORS:
        what = _OTHER_COLORS.get(photometric, f"colours of an unknown kind (photometric interpretation {photometric})")
        raise refused(f"This TIFF holds {what}, which nothing here reads. {_SAVE}")
    if len(set(d.values.get(SAMPLE_FORMAT, (1,)))) > 1:
        raise refused(_OF_SEVERAL_KINDS)
    if len(set(d.values.get(BITS, (1,)))) > 1:
        raise refused(f"The samples of this TIFF differ in their bits, which nothing here reads. {_SAVE}")
    sample_format = d.number(SAMPLE_FORMAT, UNSIGNED)
    if sample_format not in (UNSIGNED, SIGNED, FLOAT, _VOID):
        raise refused(f"This TIFF holds complex numbers, which are no picture. {_SAVE}")
    if d.samples < _COLORS[photometric]:
        raise Damaged
    if photometric == _CMYK and d.number(INKS, _INK_CMYK) != _INK_CMYK:
        raise refused(f"This TIFF holds inks that are not cyan, magenta, yellow and black. {_SAVE}")
    if d.number(DEPTH, 1) > 1:
        raise refused("This TIFF holds a volume, not a picture. Save one layer of it as TIFF or PNG.")
    if sample_format in (SIGNED, FLOAT) and photometric not in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB):
        raise refused(f"This TIFF holds signed or floating-point samples that are neither gray nor RGB. {_SAVE}")
    if photometric == _PALETTE and (COLOR_MAP not in d.tags or d.bits > 16):
        raise Damaged
    if photometric == _LAB and d.bits != 8:
        raise refused(f"This TIFF holds L*a*b* colours of {d.bits} bits; read are those of 8. {_SAVE}")
    if photometric == YCBCR and (d.bits != 8 or (not _makes_rgb(d) and d.number(PLANES, 1) != 1)):
        raise refused(f"This TIFF holds YCbCr colours of {d.bits} bits or in planes, which nothing here reads. {_SAVE}")


def _makes_rgb(d: Directory) -> bool:
    return d.number(COMPRESSION, UNCOMPRESSED) in _MAKES_RGB


def _opencv_is_right(d: Directory, found: Segments, photometric: int) -> bool:
    """Whether OpenCV decodes such a file to what it says; tried with files of all kinds (tests/valid_files)."""
    if d.number(COMPRESSION, UNCOMPRESSED) not in _OPENCV_READS or d.bits not in _OF_OPENCV[photometric]:
        return False
    if d.number(COMPRESSION, UNCOMPRESSED) == _JPEG and d.bits != 8:
        return False  # lossless, of which it makes noise
    colors = _COLORS[photometric]
    if d.samples != colors and not (photometric == _RGB and d.samples == colors + 1):
        return False
    if (found.planes > 1 and (d.bits != 8 or photometric == _LAB)) or found.missing:
        return False
    if not d.tiled:
        return True
    wide, high = d.number(TILE_WIDTH, 0), d.number(TILE_HEIGHT, 0)
    if d.number(COMPRESSION, UNCOMPRESSED) == UNCOMPRESSED and tile_bytes(d, wide, high) % 1024:
        return False  # it gives up
    # It asks libtiff for colours, which goes wrong at the end of a row of tiles.
    return not (d.bits == 16 and colors == 1 and d.number(WIDTH, 0) % wide)


def is_cut(data: bytes) -> bool:
    """Whether the directory or a strip or tile lies beyond the end."""
    try:
        d = read_directory(io.BytesIO(data))
        said = d.values.get(TILE_SIZES if d.tiled else STRIP_SIZES, ())
        ranges = segments(d).ranges
        beyond = any(offset + size > len(data) for offset, size in ranges)
        return beyond or any(offset + size > len(data) for (offset, _), size in zip(ranges, said, strict=False))
    except Damaged:
        order = "little" if data.startswith(b"II") else "big"
        return int.from_bytes(data[4:8], order) + 2 > len(data)  # type: ignore[arg-type]


def _whole(data: bytes, d: Directory) -> bytes | None:
    """The file, laid out anew where decoders would not see its picture as it is; None if it ends too early."""
    found = segments(d)
    if any(offset + size > len(data) for offset, size in found.ranges):
        return None
    if found.clipped and not is_whole(data, d, found):
        return None
    plain = d.number(ORIENTATION, 1) == 1 and not any(d.values.get(EXTRA_SAMPLES, ()))
    if d.page == 0 and found.as_said and plain:
        return data
    file = io.BytesIO(data)
    return stored_rows(file, d, found, Rows(0, d.number(HEIGHT, 0)), found.ranges).read_from(file)


def _decode(data: bytes, header: Header, wanted: Wanted) -> Decoded | None:
    if header.bits > 8 and wanted.depth != HIGH_BYTE:
        return _decode_others(data, header, wanted)
    whole = _whole(data, header.own)
    if whole is None:
        return None
    image = with_opencv.imdecode(whole, cv2.IMREAD_COLOR if wanted.color else cv2.IMREAD_GRAYSCALE)
    if image is None:
        return None
    facts = Facts()
    if header.bits > 8:
        facts = _facts(image, data, header)
    return Decoded(turned(image, header.orientation), facts)


def _facts(image: Image, data: bytes, header: Header) -> Facts:
    white_is_zero = _photometric(header.own) == _WHITE_IS_ZERO

    def stored() -> Samples | None:
        return _samples(data, header.own)

    return facts_of_high_byte(~image if white_is_zero else image, header.bits, stored)


def _decode_others(data: bytes, header: Header, wanted: Wanted) -> Decoded | None:
    samples = _samples(data, header.own)
    if samples is None:
        return None
    if _photometric(header.own) == _PALETTE:
        shown = with_opencv.as_wanted(_palette(data, header.own)[samples], wanted, header.orientation)
        return Decoded(shown, _missing(header.own))
    image, facts = as_bytes(samples, header.bits, wanted.depth, color=samples.ndim == 3)
    return _finished(image, facts, header, wanted)


def _check_deep(header: Header, wanted: Wanted) -> None:
    if wanted.depth != FULL_RANGE:
        kind = {SIGNED: "signed", FLOAT: "floating-point"}.get(header.own.number(SAMPLE_FORMAT, 1), "whole-number")
        raise refused(
            f"This TIFF holds {header.bits}-bit {kind} samples, of which no 8 bits can be taken as they are. Choose "
            f"the depth “{FULL_RANGE}”, by which the smallest is black and the largest white, or save it with 8 bits."
        )


def _decode_deep(data: bytes, header: Header, wanted: Wanted) -> Decoded | None:
    samples = _samples(data, header.own)
    if samples is None:
        return None
    image, facts = full_range(samples)
    return _finished(image, facts, header, wanted)


def _samples(data: bytes, d: Directory) -> Samples | None:
    """The samples that make the colours, as stored: (height, width), or (height, width, 3 or 4) in RGB or CMYK."""
    from tifffile import TiffFile

    found = segments(d)
    whole = data if found.missing else _whole(data, d)
    if whole is None:
        return None
    try:
        with TiffFile(io.BytesIO(whole)) as tiff:
            page: Any = tiff.pages[d.page if whole is data else 0]
            page.nodata = missing_value(d)
            if d.number(COMPRESSION, UNCOMPRESSED) == LERC:
                decode_with_masks(page)
            planes: Samples = page.asarray(maxworkers=1).reshape(page.shaped)[:, 0]
    except ImportError:
        raise refused(NO_CODEC) from None
    except UserError:
        raise
    except Exception:  # tifffile and its codecs raise errors of any kind on damaged files
        return None
    if planes.dtype == bool:
        planes = planes.view(np.uint8)
    colors = _COLORS[_photometric(d)]
    pixels = np.moveaxis(planes[:colors, :, :, 0], 0, 2) if found.planes > 1 else planes[0, :, :, :colors]
    return pixels[:, :, 0] if colors == 1 else pixels


def _finished(pixels: Image, facts: Facts, header: Header, wanted: Wanted) -> Decoded:
    """What 8-bit samples look like: in gray or BGR, as wanted, and upright."""
    photometric = _photometric(header.own)
    if photometric == _WHITE_IS_ZERO:
        pixels = ~pixels
    elif photometric == _CMYK:
        pixels = _rgb_of_cmyk(pixels)[:, :, ::-1]
    elif pixels.ndim == 3:
        pixels = pixels[:, :, ::-1]
    image = with_opencv.as_wanted(np.ascontiguousarray(pixels), wanted, header.orientation)
    return Decoded(image, facts.joined(_missing(header.own)))


def _missing(d: Directory) -> Facts:
    found, what = segments(d), "tiles" if d.tiled else "strips"
    if not found.missing:
        return Facts()
    is_not = "is not in the file; its" if found.missing == 1 else "are not in the file; their"
    value = f"{missing_value(d):.12g}" if NO_DATA in d.values else "0"
    why = ", as the file says (GDAL_NODATA)" if value != "0" else ""
    return Facts((f"{found.missing:,} of its {len(found.ranges):,} {what} {is_not} samples are {value}{why}.",))


def _rgb_of_cmyk(pixels: Image) -> Image:
    """As libtiff makes it: each colour is what ink and black let through."""
    through = 255 - pixels.astype(np.uint32)
    return (through[:, :, :3] * through[:, :, 3:] // 255).astype(np.uint8)


def _palette(data: bytes, d: Directory) -> Image:
    """BGR of each index, of shape (2^bits, 3)."""
    tag = d.tags[COLOR_MAP]
    values = np.frombuffer(data, d.order + "u2", tag.count, tag.at).reshape(3, -1)
    # Some writers give 8 bits.
    return (values >> 8 if values.max() > 255 else values).astype(np.uint8).T[:, ::-1]


def _pieces(file: BinaryIO, header: Header, count: int, wanted: Wanted) -> Sequence[Piece]:
    return pieces(file, header.own, count, wanted.depth)


ORDINARY = Kind(
    "1, 8 and 16 bits, compressed by CCITT, LZW, JPEG, deflate, PackBits or not at all",
    "OpenCV",
    "as `cv2.imdecode` of the file without its alpha and orientation; 16 bits: gray v >> 8, colours round(v / 257)",
    _decode,
    pieces=_pieces,
)
OTHERS = Kind(
    "1 to 32 bits; tiles and planes that OpenCV gets wrong; compressed by Zstandard, LZMA, LERC, WebP, JPEG 2000, "
    "JPEG XL or JPEG XR; further samples, of which the first ones are the colours",
    "tifffile",
    "`depth`; gray v >> (n - 8), colours round(v * 255 / (2^n - 1))",
    _decode_others,
    pieces=_pieces,
)
DEEP = Kind(
    "signed, floating-point and 64-bit samples", "tifffile", "with `depth` “full range” only", _decode_deep, _check_deep
)
TYPE = FileType(
    "TIFF",
    header,
    is_cut,
    (ORDINARY, OTHERS, DEEP),
    (
        "camera raw (DNG, NEF and their like)",
        "L*a*b* other than 8-bit CIE (floating-point and signed ones too), in planes, or in tiles that OpenCV gives up",
        "LogLuv, mosaics, masks, inks other than CMYK",
        "YCbCr of other than 8 bits, in planes, or uncompressed in tiles that are not a multiple of 1,024 bytes",
        "complex numbers, samples of different bits or kinds, volumes",
        "signed or floating-point samples that are neither gray nor RGB",
        "LERC with masks of whole numbers; LERC of more than 8 bits in big-endian order, or with a predictor, taken "
        "differently by programs",
        "FillOrder 2 with compressions of pictures: WebP, JPEG 2000, JPEG XL, JPEG XR",
        "a file with none of its strips or tiles",
        "whole numbers of 17 to 31 bits",
        "compressions not named above, JPEG of the old kind (compression 6) among them",
    ),
)
