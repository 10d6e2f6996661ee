"""PNG: every kind of pixels, plain and interlaced, with what else may stand in the file."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import cv2
import numpy as np
from PIL import Image as Pillow

from valid_files.exif import exif
from valid_files.tiff_writer import packed
from valid_files.truth import HIGH_BYTE, OpenCv, Samples, Truth, ValidFile, scene, upright

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GRAY, RGB, PALETTE, GRAY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6
_CHANNELS = {GRAY: 1, RGB: 3, PALETTE: 1, GRAY_ALPHA: 2, RGB_ALPHA: 4}
_DEPTHS = {GRAY: (1, 2, 4, 8, 16), RGB: (8, 16), PALETTE: (1, 2, 4, 8), GRAY_ALPHA: (8, 16), RGB_ALPHA: (8, 16)}
_NAMES = {GRAY: "gray", RGB: "rgb", PALETTE: "palette", GRAY_ALPHA: "ga", RGB_ALPHA: "rgba"}
#: Adam7: first row, first column, step of rows, step of columns.
_PASSES = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))

Chunk = tuple[bytes, bytes]


@dataclass(frozen=True)
class Colours:
    """The truth of colours in PNG: those that were written; gray is what OpenCV makes of the ``plain`` file."""

    values: np.ndarray
    bits: int
    plain: bytes
    orientation: int = 1

    def __call__(self, color: bool, depth: str) -> np.ndarray:
        if self.bits == 16 and depth != HIGH_BYTE:
            return Samples(self.values, 16, orientation=self.orientation)(color, depth)
        if not color:
            return OpenCv(self.plain, self.orientation)(color, depth)
        eight = (self.values >> (self.bits - 8)).astype(np.uint8)
        return upright(eight[:, :, ::-1], self.orientation)


def png(
    pixels: np.ndarray,
    kind: int,
    bits: int,
    *,
    interlaced: bool = False,
    before: Sequence[Chunk] = (),
    after: Sequence[Chunk] = (),
) -> bytes:
    """A PNG file of samples of shape (height, width[, channels]), with more chunks before and after its pixels."""
    cube = pixels[:, :, None] if pixels.ndim == 2 else pixels
    height, width = cube.shape[:2]
    head = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, int(interlaced))
    passes = [cube[top::down, left::right] for top, left, down, right in _PASSES] if interlaced else [cube]
    body = zlib.compress(b"".join(filtered(part, bits) for part in passes if part.size))
    middle = len(body) // 2
    return assembled([(b"IHDR", head), *before, (b"IDAT", body[:middle]), (b"IDAT", body[middle:]), *after])


def filtered(cube: np.ndarray, bits: int) -> bytes:
    """The rows, each by the filter "up" or none, in turn."""
    raw = packed(cube, bits, ">")
    rows = np.frombuffer(raw, np.uint8).reshape(len(cube), -1)
    out = bytearray()
    for y, row in enumerate(rows):
        up = y % 2
        out += bytes([2 * up]) + (row - rows[y - 1] if up else row).tobytes()
    return bytes(out)


def assembled(chunks: Sequence[Chunk]) -> bytes:
    return SIGNATURE + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in (*chunks, (b"IEND", b""))
    )


def files() -> Iterator[ValidFile]:
    yield from _kinds()
    yield from _transparent()
    yield from _with_chunks()
    yield from _oriented()
    yield from _animated()
    yield from _streams()
    yield from _used_bits()


def palette(entries: int) -> np.ndarray:
    return np.random.default_rng(entries).integers(0, 256, (entries, 3), np.uint8)


def of(name: str, pixels: np.ndarray, kind: int, bits: int, **how: object) -> ValidFile:
    """A file, and its truth by the kind of its pixels."""
    before = list(how.pop("before", ()))  # type: ignore[call-overload]
    if kind == PALETTE:
        before = [(b"PLTE", palette(2**bits).tobytes()), *before]
    data = png(pixels, kind, bits, before=before, **how)  # type: ignore[arg-type]
    truth, tolerance = truth_of(pixels, kind, bits)
    return ValidFile(f"{name}.png", data, truth, tolerance)


def truth_of(pixels: np.ndarray, kind: int, bits: int, orientation: int = 1) -> tuple[Truth, int]:
    if kind in (GRAY, GRAY_ALPHA):
        gray = pixels if kind == GRAY else pixels[:, :, 0]
        return Samples(gray, bits, orientation=orientation), 0
    values = palette(2**bits)[pixels] if kind == PALETTE else pixels[:, :, :3]
    depth = 8 if kind == PALETTE else bits
    return Colours(values, depth, png(values, RGB, depth), orientation), int(depth == 16)


def _kinds() -> Iterator[ValidFile]:
    for kind, interlaced in product(_DEPTHS, (False, True)):
        for bits in _DEPTHS[kind]:
            for height, width in ((47, 61), (5, 3), (300, 33)):
                pixels = scene(height, width, _CHANNELS[kind], bits)
                name = f"png-{_NAMES[kind]}{bits}{'-adam7' if interlaced else ''}-{height}x{width}"
                yield of(name, pixels, kind, bits, interlaced=interlaced)


def _transparent() -> Iterator[ValidFile]:
    for bits in _DEPTHS[GRAY]:
        key = (b"tRNS", struct.pack(">H", 1))
        yield of(f"pngtrns-gray{bits}", scene(bits=bits), GRAY, bits, before=[key])
    for bits in _DEPTHS[RGB]:
        pixels = scene(channels=3, bits=bits)
        key = (b"tRNS", struct.pack(">HHH", *map(int, pixels[20, 20])))
        yield of(f"pngtrns-rgb{bits}", pixels, RGB, bits, before=[key])
    for bits in _DEPTHS[PALETTE]:
        alphas = (b"tRNS", bytes(200 * k % 256 for k in range(2**bits)))
        yield of(f"pngtrns-palette{bits}", scene(bits=bits), PALETTE, bits, before=[alphas])


def _with_chunks() -> Iterator[ValidFile]:
    """Chunks that change nothing of the colours as they are stored."""
    noise = np.random.default_rng(1).bytes(1_500_000)
    cases: dict[str, Chunk] = {
        "srgb": (b"sRGB", b"\0"),
        "gama": (b"gAMA", struct.pack(">I", 45_455)),
        "gama1": (b"gAMA", struct.pack(">I", 100_000)),
        "chrm": (b"cHRM", struct.pack(">8I", 31_270, 32_900, 64_000, 33_000, 30_000, 60_000, 15_000, 6_000)),
        "cicp": (b"cICP", b"\x01\x0d\0\x01"),
        "iccp": (b"iCCP", b"profile\0\0" + zlib.compress(bytes(3_000))),
        "odd-iccp": (b"iCCP", b"profile\0\7" + zlib.compress(bytes(3_000))),  # of no method that there is
        "bigiccp": (b"iCCP", b"profile\0\0" + zlib.compress(noise, 0)),
        "bigitxt": (b"iTXt", b"Comment\0\0\0\0\0" + b"text " * 400_000),
        "bigztxt": (b"zTXt", b"Comment\0\0" + zlib.compress(noise, 0)),
        "phys": (b"pHYs", struct.pack(">IIB", 2835, 2835, 1)),
        "sbit": (b"sBIT", b"\x05\x06\x05"),
        "bkgd": (b"bKGD", struct.pack(">HHH", 10, 200, 30)),
        "time": (b"tIME", struct.pack(">HBBBBB", 2026, 11, 28, 1, 2, 3)),
        "private": (b"prVt", bytes(100)),
    }
    for name, one in cases.items():
        pixels = scene(channels=3)
        file = of(f"pngchunk-{name}", pixels, RGB, 8, before=[one])
        if name in ("srgb", "gama", "chrm"):
            # Its gray is libpng's, which goes by these chunks.
            file = ValidFile(file.name, file.data, Colours(pixels, 8, file.data))
        yield file
    yield of("pngchunk-srgb-gray", scene(), GRAY, 8, before=[cases["srgb"]])
    yield of("pngchunk-gama-gray16", scene(bits=16), GRAY, 16, before=[cases["gama"]])
    yield of("pngchunk-text-behind", scene(), GRAY, 8, after=[(b"tEXt", b"Author\0a test")])
    yield of("pngchunk-big-behind", scene(), GRAY, 8, after=[cases["bigitxt"]])


def _oriented() -> Iterator[ValidFile]:
    for orientation, long, (kind, bits) in product(range(1, 9), (False, True), ((GRAY, 8), (RGB, 8), (GRAY, 16))):
        pixels = scene(channels=_CHANNELS[kind], bits=bits)
        order = "<" if orientation % 2 else ">"
        data = png(pixels, kind, bits, before=[(b"eXIf", exif(orientation, order, long=long))])
        name = f"pngorient-{_NAMES[kind]}{bits}-{orientation}{'long' if long else ''}"
        truth, tolerance = truth_of(pixels, kind, bits, orientation)
        yield ValidFile(f"{name}.png", data, truth, tolerance)
    pixels = scene()
    data = png(pixels, GRAY, 8, after=[(b"eXIf", exif(6, "<", long=False))])
    yield ValidFile("pngorient-behind.png", data, Samples(pixels, orientation=6))


def _animated() -> Iterator[ValidFile]:
    frames = [scene(40, 50, 3, seed=k) for k in range(3)]
    still = scene(40, 50, 3, seed=7)
    for name, default in (("first", False), ("still-apart", True)):
        file = io.BytesIO()
        pictures = [Pillow.fromarray(frame) for frame in frames]
        first = Pillow.fromarray(still) if default else pictures.pop(0)
        first.save(file, "PNG", save_all=True, append_images=pictures, default_image=default)
        pixels = still if default else frames[0]
        truth = Colours(pixels, 8, cv2.imencode(".png", pixels[:, :, ::-1])[1].tobytes())
        yield ValidFile(f"pnganimated-{name}.png", file.getvalue(), truth)


def _streams() -> Iterator[ValidFile]:
    """The same pixels by every filter, in many chunks or one, compressed in other ways; a palette of few entries."""
    for kind, bits in ((GRAY, 1), (GRAY, 8), (RGB, 8), (RGB_ALPHA, 16)):
        pixels = scene(channels=_CHANNELS[kind], bits=bits)
        truth, tolerance = truth_of(pixels, kind, bits)
        height, width = pixels.shape[:2]
        head = (b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0))
        cube = pixels.reshape(height, width, -1)
        every = all_filters(cube, bits)
        streams = {
            "every-filter": [zlib.compress(every)],
            "stored": [zlib.compress(every, 0)],
            "empty-chunks": [b"", zlib.compress(every), b""],
            "small-chunks": [zlib.compress(every)[at : at + 97] for at in range(0, len(zlib.compress(every)), 97)],
        }
        for name, bodies in streams.items():
            data = assembled([head, *((b"IDAT", body) for body in bodies)])
            yield ValidFile(f"pngstream-{_NAMES[kind]}{bits}-{name}.png", data, truth, tolerance)
    pixels = scene() % 50
    data = png(pixels, PALETTE, 8, before=[(b"PLTE", palette(256)[:50].tobytes())])
    values = palette(256)[pixels]
    yield ValidFile("pngstream-short-palette.png", data, Colours(values, 8, png(values, RGB, 8)))
    values = scene(channels=3)
    data = png(values, RGB, 8, before=[(b"PLTE", palette(16).tobytes())])  # a suggestion, for those with few colours
    yield ValidFile("pngstream-suggested-palette.png", data, Colours(values, 8, png(values, RGB, 8)))


def all_filters(cube: np.ndarray, bits: int) -> bytes:
    """The rows by the filters none, sub, up, average and Paeth in turn."""
    rows = np.frombuffer(packed(cube, bits, ">"), np.uint8).reshape(len(cube), -1).astype(int)
    back = max(1, cube.shape[2] * bits // 8)
    above, out = np.zeros_like(rows[0]), bytearray()
    for y, row in enumerate(rows):
        left, corner = (np.concatenate([np.zeros(back, int), line[:-back]]) for line in (row, above))
        guess = left + above - corner
        distances = np.stack([np.abs(guess - one) for one in (left, above, corner)])
        paeth = np.choose(distances.argmin(0), (left, above, corner))
        predicted = (np.zeros_like(row), left, above, (left + above) // 2, paeth)[y % 5]
        out += bytes([y % 5]) + ((row - predicted) % 256).astype(np.uint8).tobytes()
        above = row
    return bytes(out)


def _used_bits() -> Iterator[ValidFile]:
    for used, kind in product((6, 10, 12, 14), (GRAY, RGB, GRAY_ALPHA)):
        pixels = scene(channels=_CHANNELS[kind], bits=used).astype(np.uint16)
        yield of(f"pngused-{used}of16-{_NAMES[kind]}", pixels, kind, 16)
