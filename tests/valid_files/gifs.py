"""GIF: palettes of every size, interlaced, transparent, animated, with a first frame smaller than the picture."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import product

import numpy as np

from valid_files.truth import Samples, ValidFile, cvt_gray, scene


def palette(bits: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([bits, seed]).integers(0, 256, (2**bits, 3), np.uint8)


def lzw(indices: np.ndarray, bits: int) -> bytes:
    """The pixels as codes of GIF's LZW, in blocks of at most 255 bytes."""
    least = max(2, bits)
    clear, end = 1 << least, (1 << least) + 1
    words: list[tuple[int, int]] = []
    table, size = {(k,): k for k in range(clear)}, least + 1
    words.append((clear, size))
    following, run = end + 1, ()
    for value in indices.ravel().tolist():
        if (*run, value) in table:
            run = (*run, value)
            continue
        words.append((table[run], size))
        if following < 4096:
            table[(*run, value)] = following
            if following == 1 << size:
                size += 1
            following += 1
        else:
            words.append((clear, size))
            table, size, following = {(k,): k for k in range(clear)}, least + 1, end + 1
        run = (value,)
    words += [(table[run], size), (end, size)]
    number, at = 0, 0
    pieces = bytearray()
    for code, width in words:
        number |= code << at
        at += width
        while at >= 8:
            pieces.append(number & 255)
            number, at = number >> 8, at - 8
    if at:
        pieces.append(number)
    blocks = [bytes(pieces[k : k + 255]) for k in range(0, len(pieces), 255)]
    return bytes([least]) + b"".join(bytes([len(block)]) + block for block in blocks) + b"\0"


def frame(
    indices: np.ndarray,
    bits: int,
    *,
    at: tuple[int, int] = (0, 0),
    local: np.ndarray | None = None,
    interlaced: bool = False,
    transparent: int | None = None,
    delay: int = 0,
) -> bytes:
    """One picture of the file, at (left, top)."""
    height, width = indices.shape
    control = b""
    if transparent is not None or delay:
        flags = int(transparent is not None)
        control = b"\x21\xf9\x04" + struct.pack("<BHB", flags, delay, transparent or 0) + b"\0"
    packed_flags = (0x80 | bits - 1 if local is not None else 0) | (0x40 if interlaced else 0)
    if interlaced:
        indices = np.concatenate([indices[0::8], indices[4::8], indices[2::4], indices[1::2]])
    head = b"\x2c" + struct.pack("<HHHHB", *at, width, height, packed_flags)
    return control + head + (b"" if local is None else local.tobytes()) + lzw(indices, bits)


def gif(
    width: int,
    height: int,
    bits: int,
    colours: np.ndarray | None,
    *frames: bytes,
    background: int = 0,
    old: bool = False,
) -> bytes:
    """A file with this global palette, or none."""
    flags = 0x70 | (0x80 | bits - 1 if colours is not None else 0)
    head = (b"GIF87a" if old else b"GIF89a") + struct.pack("<HHBBB", width, height, flags, background, 0)
    return head + (b"" if colours is None else colours.tobytes()) + b"".join(frames) + b";"


def of(rgb: np.ndarray) -> Samples:
    return Samples(rgb, gray=cvt_gray)


def files() -> Iterator[ValidFile]:
    for bits, interlaced in product(range(1, 9), (False, True)):
        indices, colours = scene(bits=bits), palette(bits)
        data = gif(61, 47, bits, colours, frame(indices, bits, interlaced=interlaced), old=not interlaced)
        yield ValidFile(f"gif-{bits}bit{'-interlaced' if interlaced else ''}.gif", data, of(colours[indices]))
    for bits in (2, 8):
        indices, colours, local = scene(bits=bits), palette(bits), palette(bits, 1)
        data = gif(61, 47, bits, colours, frame(indices, bits, transparent=1))
        yield ValidFile(f"gif-{bits}bit-transparent.gif", data, of(colours[indices]))
        data = gif(61, 47, bits, colours, frame(indices, bits, local=local))
        yield ValidFile(f"gif-{bits}bit-local.gif", data, of(local[indices]))
        data = gif(61, 47, bits, None, frame(indices, bits, local=local))
        yield ValidFile(f"gif-{bits}bit-only-local.gif", data, of(local[indices]))
        data = gif(61, 47, bits, colours, frame(indices, bits, transparent=2, interlaced=True, local=local))
        yield ValidFile(f"gif-{bits}bit-local-transparent.gif", data, of(local[indices]))
    yield from _animated()
    indices = scene(bits=3)
    long_codes = frame(indices, 3)
    yield ValidFile("gif-more-behind.gif", gif(61, 47, 3, palette(3), long_codes) + bytes(500), of(palette(3)[indices]))
    text = b"\x21\xff\x0bXMP DataXMP" + b"\x05<x/>\n" + b"\0"
    yield ValidFile("gif-xmp.gif", gif(61, 47, 3, palette(3), text, long_codes), of(palette(3)[indices]))
    noise = np.random.default_rng(5).integers(0, 256, (120, 130), np.uint8)
    colours = palette(8, 5)
    yield ValidFile("gif-noise.gif", gif(130, 120, 8, colours, frame(noise, 8)), of(colours[noise]))


def _animated() -> Iterator[ValidFile]:
    bits, colours = 8, palette(8)
    first, second = scene(), scene(seed=1)
    loop = b"\x21\xff\x0bNETSCAPE2.0\x03\x01\0\0\0"
    whole = [frame(one, bits, delay=10) for one in (first, second)]
    yield ValidFile("gifanimated-two.gif", gif(61, 47, bits, colours, loop, *whole), of(colours[first]))
    through = [frame(first, bits, delay=10, transparent=5), frame(second, bits, delay=10, transparent=5)]
    data = gif(61, 47, bits, colours, loop, *through)
    yield ValidFile("gifanimated-transparent.gif", data, of(colours[first]))
    comment = b"\x21\xfe\x05hello\0"
    yield ValidFile("gifanimated-comment.gif", gif(61, 47, bits, colours, comment, whole[0]), of(colours[first]))
    small = scene(20, 30)
    canvas = np.full((47, 61), 7, np.uint8)
    canvas[5:25, 10:40] = small
    data = gif(61, 47, bits, colours, frame(small, bits, at=(10, 5), delay=10), whole[1], background=7)
    yield ValidFile("gifanimated-smaller-first.gif", data, of(colours[canvas]))
    data = gif(61, 47, bits, colours, frame(small, bits, at=(10, 5)), background=7)
    yield ValidFile("gifanimated-smaller-only.gif", data, of(colours[canvas]))
