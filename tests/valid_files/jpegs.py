"""JPEG: colour spaces, samplings, processes, orientations, and what else stands in such files."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import imagecodecs
import numpy as np
from PIL import Image as Pillow

from valid_files.arithmetic_jpeg import arithmetic_jpeg
from valid_files.exif import exif
from valid_files.truth import Decoded, OpenCv, Samples, ValidFile, mixed, scene, unread


def files() -> Iterator[ValidFile]:
    yield from _baseline()
    yield from _of_pillow()
    yield from _inks()
    yield from _oriented()
    yield from _segments()
    yield from _lossless()
    yield from _deep()
    yield from _arithmetic()
    yield from _refused()


def encoded(pixels: np.ndarray, **how: Any) -> bytes:
    return bytes(imagecodecs.jpeg8_encode(pixels, **{"level": 90, **how}))


def truth_of(data: bytes, orientation: int = 1) -> Decoded:
    """The colours that libjpeg-turbo of another package decodes; gray is the plane of luma."""
    luma = imagecodecs.jpeg8_decode(data, outcolorspace="GRAYSCALE")
    colours = imagecodecs.jpeg8_decode(data)
    return Decoded(colours, luma, orientation)


def _baseline() -> Iterator[ValidFile]:
    for sampling, (height, width), optimize in product(
        ("444", "422", "420", "440", "411"), ((64, 96), (47, 61)), (False, True)
    ):
        data = encoded(scene(height, width, 3), subsampling=sampling, optimize=optimize)
        yield ValidFile(
            f"jpeg-{sampling}-{height}x{width}{'-optimized' if optimize else ''}.jpg", data, truth_of(data), 1
        )
    for height, width in ((64, 96), (47, 61), (1, 1), (400, 31)):
        data = encoded(scene(height, width) if height > 1 else np.array([[77]], np.uint8))
        yield ValidFile(f"jpeg-gray-{height}x{width}.jpg", data, truth_of(data), 1)
    rgb = encoded(scene(channels=3), colorspace="RGB", outcolorspace="RGB")
    colours = imagecodecs.jpeg8_decode(rgb)
    yield ValidFile("jpeg-rgb.jpg", rgb, Decoded(colours), 2)


def _of_pillow() -> Iterator[ValidFile]:
    cases: dict[str, dict[str, Any]] = {
        "progressive": {"progressive": True},
        "restarts": {"restart_marker_blocks": 3},
        "restart-rows": {"restart_marker_rows": 1},
        "progressive-restarts": {"progressive": True, "restart_marker_blocks": 5},
        "quality100": {"quality": 100, "subsampling": 0},
        "quality10": {"quality": 10},
        "tables": {"qtables": [[8] * 64, [9] * 64]},
        "smooth": {"smooth": 20},
        "profile": {"icc_profile": bytes(200_000)},
        "comment": {"comment": b"a comment"},
        "dpi": {"dpi": (300, 300)},
    }
    for (name, how), channels in product(cases.items(), (1, 3)):
        if name == "tables" and channels == 1:
            how = {"qtables": [[8] * 64]}
        file = io.BytesIO()
        Pillow.fromarray(scene(90, 71, channels)).save(file, "JPEG", **how)
        data = file.getvalue()
        yield ValidFile(f"jpegpillow-{name}-{channels}.jpg", data, truth_of(data), 1)


def _inks() -> Iterator[ValidFile]:
    """CMYK and YCCK with Adobe's marker, which says that they are stored inverted."""
    pixels = scene(channels=4)
    for name, how in {
        "cmyk": {"colorspace": "CMYK", "outcolorspace": "CMYK"},
        "ycck": {"colorspace": "CMYK", "outcolorspace": "YCCK"},
    }.items():
        data = encoded(pixels, **how)
        decoded = imagecodecs.jpeg8_decode(data, outcolorspace="CMYK")
        truth = Decoded(mixed(255 - decoded), OpenCv(data)(False, ""))
        yield ValidFile(f"jpeginks-{name}.jpg", data, truth, tolerance=2)
    file = io.BytesIO()
    Pillow.fromarray(pixels, "CMYK").save(file, "JPEG", quality=95)
    data = file.getvalue()
    decoded = imagecodecs.jpeg8_decode(data, outcolorspace="CMYK")
    yield ValidFile("jpeginks-pillow.jpg", data, Decoded(mixed(255 - decoded), OpenCv(data)(False, "")), tolerance=2)


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def with_segments(data: bytes, *segments: bytes) -> bytes:
    """The JPEG with more segments right behind its first two bytes."""
    return data[:2] + b"".join(segments) + data[2:]


def _oriented() -> Iterator[ValidFile]:
    for orientation, order, long, channels in product(range(1, 9), "<>", (False, True), (1, 3)):
        plain = encoded(scene(channels=channels))
        data = with_segments(plain, segment(0xE1, b"Exif\0\0" + exif(orientation, order, long=long)))
        mark = ("II" if order == "<" else "MM") + ("long" if long else "")
        yield ValidFile(f"jpegorient-{channels}-{orientation}{mark}.jpg", data, truth_of(plain, orientation), 1)


def _segments() -> Iterator[ValidFile]:
    plain = encoded(scene(channels=3))
    truth = truth_of(plain)
    turned = replace(truth, orientation=6)
    app1 = segment(0xE1, b"Exif\0\0" + exif(6))
    cases = {
        "short-jfif": ([segment(0xE0, b"JFIF\0")], truth),
        "short-icc": ([segment(0xE2, b"ICC_PROFILE\0")], truth),
        "short-adobe": ([segment(0xEE, b"Adobe")], truth),
        "empty-app": ([segment(0xE5, b"")], truth),
        "empty-comment": ([segment(0xFE, b"")], truth),
        "much-app13": ([segment(0xED, bytes(65_000))] * 20, truth),
        "much-app2-turned": ([*[segment(0xE2, b"MPF\0" + bytes(60_000))] * 20, app1], turned),
        "exif-then-much": ([app1, *[segment(0xE4, bytes(65_000))] * 20], turned),
        "xmp-first": ([segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x/>"), app1], turned),
        "two-exif": ([app1, segment(0xE1, b"Exif\0\0" + exif(3))], turned),
        "markers-in-app": ([segment(0xE6, b"\xff\xd8\xff\xda\xff\xd9" * 50)], truth),
        "orientation-0": ([segment(0xE1, b"Exif\0\0" + exif(0))], truth),
        "orientation-9": ([segment(0xE1, b"Exif\0\0" + exif(9))], truth),
        "exif-far-away": ([segment(0xE1, b"Exif\0\0" + exif(6, at=3_000))], turned),
        "exif-cut": ([segment(0xE1, b"Exif\0\0" + exif(6)[:12])], truth),
        "exif-empty": ([segment(0xE1, b"Exif\0\0")], truth),
        "exif-thumbnail": ([segment(0xE1, b"Exif\0\0" + exif(6) + plain[:9_000])], turned),
        "fill-bytes": ([b"\xff\xff\xff" + segment(0xE7, b"abc")], truth),
    }
    for name, (segments, right) in cases.items():
        yield ValidFile(f"jpegsegment-{name}.jpg", with_segments(plain, *segments), right, 1)
    second = encoded(scene(30, 40, 3))
    yield ValidFile("jpegsegment-second-picture.jpg", with_segments(plain, app1) + second, turned, 1)
    yield ValidFile("jpegsegment-behind.jpg", plain + bytes(5_000), truth, 1)
    yield ValidFile("jpegsegment-film-behind.jpg", plain + b"\0\0\0\x18ftypmp42" + b"\xff\xda" * 900, truth, 1)


def _lossless() -> Iterator[ValidFile]:
    for channels, predictor in product((1, 3), range(1, 8)):
        pixels = scene(channels=channels)
        space = {"colorspace": "RGB", "outcolorspace": "RGB"} if channels == 3 else {}
        data = encoded(pixels, lossless=True, predictor=predictor, **space)
        yield ValidFile(f"jpeglossless-{channels}-{predictor}.jpg", data, Samples(pixels), 1)
    for bits in (10, 12, 16):
        pixels = scene(bits=bits)
        data = encoded(pixels, lossless=True, bitspersample=bits)
        yield ValidFile(f"jpeglossless-gray{bits}.jpg", data, Samples(pixels, bits))


def _deep() -> Iterator[ValidFile]:
    """12 bits a sample."""
    for name, channels, how in (
        ("gray", 1, {}),
        ("444", 3, {"subsampling": "444"}),
        ("420", 3, {"subsampling": "420"}),
    ):
        data = encoded(scene(64, 80, channels, 12), bitspersample=12, **how)
        colours = imagecodecs.jpeg8_decode(data)
        yield ValidFile(f"jpegdeep-{name}.jpg", data, Samples(colours, 12), tolerance=1 if channels == 3 else 0)


def _arithmetic() -> Iterator[ValidFile]:
    for height, width, orientation in ((64, 96, 1), (48, 64, 6), (8, 8, 1), (400, 32, 1)):
        data, pixels = arithmetic_jpeg(scene(height, width))
        if orientation != 1:
            data = with_segments(data, segment(0xE1, b"Exif\0\0" + exif(orientation)))
        yield ValidFile(f"jpegarithmetic-{height}x{width}.jpg", data, Decoded(pixels, orientation=orientation), 1)


def _refused() -> Iterator[ValidFile]:
    """Hierarchical: the segment DHP says so before the first frame, here the only one."""
    plain = encoded(scene())
    at = plain.index(b"\xff\xc0")
    (size,) = struct.unpack_from(">H", plain, at + 2)
    hierarchy = b"\xff\xde" + plain[at + 2 : at + 2 + size]
    behind = b"\xff\xdc\0\4" + plain[at + 5 : at + 7]  # DNL, behind the only scan
    height_behind = plain[: at + 5] + b"\0\0" + plain[at + 7 : -2] + behind + plain[-2:]
    yield ValidFile("jpegrefused-dnl.jpg", height_behind, unread, refused="height")
    ls = bytes(imagecodecs.jpegls_encode(scene()))
    yield ValidFile("jpegrefused-ls.jpg", ls, unread, refused="JPEG-LS")
    yield ValidFile("jpegrefused-two.jpg", _of_two_components(plain), unread, refused="2 samples")
    inks = encoded(scene(channels=4), colorspace="CMYK", outcolorspace="CMYK")
    adobe = inks.index(b"\xff\xee")
    (size,) = struct.unpack_from(">H", inks, adobe + 2)
    unmarked = inks[:adobe] + inks[adobe + 2 + size :]
    yield ValidFile("jpegrefused-inks.jpg", unmarked, unread, refused="CMYK without Adobe’s marker")
    yield ValidFile("jpegrefused-hierarchical.jpg", plain[:at] + hierarchy + plain[at:], unread, refused="hierarchical")


def _of_two_components(gray: bytes) -> bytes:
    """A JPEG with the same picture twice, each component in a scan of its own."""
    at, segments = 2, []
    while gray[at + 1] != 0xDA:
        (size,) = struct.unpack_from(">H", gray, at + 2)
        segments.append((gray[at + 1], gray[at + 4 : at + 2 + size]))
        at += 2 + size
    (size,) = struct.unpack_from(">H", gray, at + 2)
    scan = gray[at + 2 + size : -2]
    tables = b"".join(segment(marker, body) for marker, body in segments if marker in (0xDB, 0xC4))
    size_of = next(body[:5] for marker, body in segments if marker == 0xC0)
    frame = segment(0xC0, size_of + b"\2\1\x11\0\2\x11\0")
    scans = b"".join(segment(0xDA, bytes([1, k, 0, 0, 63, 0])) + scan for k in (1, 2))
    return b"\xff\xd8" + tables + frame + scans + b"\xff\xd9"
