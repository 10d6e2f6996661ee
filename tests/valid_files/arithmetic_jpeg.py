"""Writes gray JPEG with arithmetic coding, for which no package has an encoder: ITU-T T.81, annex D."""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Callable, Sequence

import cv2
import numpy as np

#: Table D.3: the estimate of each state, the states after the less and the more probable symbol, and whether the first
#: of these swaps the two. The last state stays as it is, for signs.
_STATES = (
    (0x5A1D, 1, 1, 1), (0x2586, 14, 2, 0), (0x1114, 16, 3, 0), (0x080B, 18, 4, 0), (0x03D8, 20, 5, 0), (0x01DA,
    23, 6, 0), (0x00E5, 25, 7, 0), (0x006F, 28, 8, 0), (0x0036, 30, 9, 0), (0x001A, 33, 10, 0), (0x000D, 35, 11,
    0), (0x0006, 9, 12, 0), (0x0003, 10, 13, 0), (0x0001, 12, 13, 0), (0x5A7F, 15, 15, 1), (0x3F25, 36, 16, 0),
    (0x2CF2, 38, 17, 0), (0x207C, 39, 18, 0), (0x17B9, 40, 19, 0), (0x1182, 42, 20, 0), (0x0CEF, 43, 21, 0),
    (0x09A1, 45, 22, 0), (0x072F, 46, 23, 0), (0x055C, 48, 24, 0), (0x0406, 49, 25, 0), (0x0303, 51, 26, 0),
    (0x0240, 52, 27, 0), (0x01B1, 54, 28, 0), (0x0144, 56, 29, 0), (0x00F5, 57, 30, 0), (0x00B7, 59, 31, 0),
    (0x008A, 60, 32, 0), (0x0068, 62, 33, 0), (0x004E, 63, 34, 0), (0x003B, 32, 35, 0), (0x002C, 33, 9, 0),
    (0x5AE1, 37, 37, 1), (0x484C, 64, 38, 0), (0x3A0D, 65, 39, 0), (0x2EF1, 67, 40, 0), (0x261F, 68, 41, 0),
    (0x1F33, 69, 42, 0), (0x19A8, 70, 43, 0), (0x1518, 72, 44, 0), (0x1177, 73, 45, 0), (0x0E74, 74, 46, 0),
    (0x0BFB, 75, 47, 0), (0x09F8, 77, 48, 0), (0x0861, 78, 49, 0), (0x0706, 79, 50, 0), (0x05CD, 48, 51, 0),
    (0x04DE, 50, 52, 0), (0x040F, 50, 53, 0), (0x0363, 51, 54, 0), (0x02D4, 52, 55, 0), (0x025C, 53, 56, 0),
    (0x01F8, 54, 57, 0), (0x01A4, 55, 58, 0), (0x0160, 56, 59, 0), (0x0125, 57, 60, 0), (0x00F6, 58, 61, 0),
    (0x00CB, 59, 62, 0), (0x00AB, 61, 63, 0), (0x008F, 61, 32, 0), (0x5B12, 65, 65, 1), (0x4D04, 80, 66, 0),
    (0x412C, 81, 67, 0), (0x37D8, 82, 68, 0), (0x2FE8, 83, 69, 0), (0x293C, 84, 70, 0), (0x2379, 86, 71, 0),
    (0x1EDF, 87, 72, 0), (0x1AA9, 87, 73, 0), (0x174E, 72, 74, 0), (0x1424, 72, 75, 0), (0x119C, 74, 76, 0),
    (0x0F6B, 74, 77, 0), (0x0D51, 75, 78, 0), (0x0BB6, 77, 79, 0), (0x0A40, 77, 48, 0), (0x5832, 80, 81, 1),
    (0x4D1C, 88, 82, 0), (0x438E, 89, 83, 0), (0x3BDD, 90, 84, 0), (0x34EE, 91, 85, 0), (0x2EAE, 92, 86, 0),
    (0x299A, 93, 87, 0), (0x2516, 86, 71, 0), (0x5570, 88, 89, 1), (0x4CA9, 95, 90, 0), (0x44D9, 96, 91, 0),
    (0x3E22, 97, 92, 0), (0x3824, 99, 93, 0), (0x32B4, 99, 94, 0), (0x2E17, 93, 86, 0), (0x56A8, 95, 96, 1),
    (0x4F46, 101, 97, 0), (0x47E5, 102, 98, 0), (0x41CF, 103, 99, 0), (0x3C3D, 104, 100, 0), (0x375E, 99, 93,
    0), (0x5231, 105, 102, 0), (0x4C0F, 106, 103, 0), (0x4639, 107, 104, 0), (0x415E, 103, 99, 0), (0x5627, 105,
    106, 1), (0x50E7, 108, 107, 0), (0x4B85, 109, 103, 0), (0x5597, 110, 109, 0), (0x504F, 111, 107, 0),
    (0x5A10, 110, 111, 1), (0x5522, 112, 109, 0), (0x59EB, 112, 111, 1), (0x5A1D, 113, 113, 0),
)  # fmt: skip
_SIGN = "sign"  # the context of signs of all coefficients but the first
_STEP = 4  # of every coefficient


class Coder:
    """The arithmetic coder: symbols of 0 and 1 in contexts, each with a state of its own, become bytes."""

    def __init__(self) -> None:
        self.out = bytearray()
        self._interval, self._code, self._missing = 0x10000, 0, 11
        self._held: int | None = None  # a byte to which 1 may still be carried
        self._full = 0  # bytes of 255 behind it
        # Of each context the state and the more probable symbol.
        self._states: dict[object, tuple[int, int]] = defaultdict(lambda: (0, 0), {_SIGN: (113, 0)})

    def put(self, context: object, symbol: bool | int) -> None:
        """Code one symbol."""
        state, likely = self._states[context]
        estimate, after_less, after_more, swaps = _STATES[state]
        self._interval -= estimate
        if symbol != likely:
            if self._interval >= estimate:
                self._code += self._interval
                self._interval = estimate
            self._states[context] = (after_less, likely ^ swaps)
        else:
            if self._interval >= 0x8000:
                return
            if self._interval < estimate:
                self._code += self._interval
                self._interval = estimate
            self._states[context] = (after_more, likely)
        while self._interval < 0x8000:
            self._interval <<= 1
            self._code <<= 1
            self._missing -= 1
            if not self._missing:
                self._byte(self._code >> 19)
                self._code &= 0x7FFFF
                self._missing = 8

    def _byte(self, value: int) -> None:
        if value == 0xFF:
            self._full += 1
            return
        carry = value >> 8
        if self._held is not None:
            self._emit(self._held + carry)
        for _ in range(self._full):
            self._emit(0 if carry else 0xFF)
        self._held, self._full = value & 0xFF, 0

    def _emit(self, value: int) -> None:
        self.out += b"\xff\0" if value == 0xFF else bytes([value])

    def finished(self) -> bytes:
        """All bytes: the value within the interval that ends in most zeros, which need not be written."""
        value = (self._interval - 1 + self._code) & ~0xFFFF
        self._code = (value + 0x8000 if value < self._code else value) << self._missing
        self._byte(self._code >> 19)
        self._byte(self._code >> 11 & 0xFF)
        self._byte(0)  # so that the last one is no longer held
        return bytes(self.out)


def magnitude(coder: Coder, contexts: Callable[[int], object], size: int) -> int:
    """Code how large a number is, at least 1: the length of what is above 1, in these contexts, then its bits.

    Returns:
        The number of bits of what is above 1.
    """
    rest = size - 1
    length = rest.bit_length()
    for place in range(length):
        coder.put(contexts(place), 1)
    coder.put(contexts(length), 0)
    for bit in reversed(range(length - 1)):
        coder.put(("bits", contexts(length)), rest >> bit & 1)
    return length


def put_first(coder: Coder, before: int, difference: int) -> int:
    """The first coefficient of a block, as the difference to that of the block before, in a context of the difference
    ``before``; returns the context of the next."""
    coder.put(("zero", before), difference != 0)
    if not difference:
        return 0
    negative = difference < 0
    coder.put(("negative", before), negative)
    first = ("size", before, negative)
    length = magnitude(coder, lambda place: first if place == 0 else ("size", place), abs(difference))
    return (2 if negative else 1) + (2 if length > 1 else 0)


def put_others(coder: Coder, values: Sequence[int]) -> None:
    """The other 63 coefficients, in zigzag order."""
    last = max((k for k in range(1, 64) if values[k]), default=0)
    ends = True
    for k in range(1, last + 1):
        if ends:
            coder.put(("end", k), 0)
        coder.put(("other zero", k), values[k] != 0)
        ends = values[k] != 0  # behind a zero the block does not end
        if values[k]:
            coder.put(_SIGN, values[k] < 0)
            magnitude(coder, lambda place, k=k: ("other", k) if place < 2 else (k <= 5, place), abs(values[k]))
    if last < 63:
        coder.put(("end", last + 1), 1)


def zigzag() -> list[tuple[int, int]]:
    """Row and column of each coefficient, in its order."""
    places = [(row, column) for row in range(8) for column in range(8)]
    return sorted(places, key=lambda at: (sum(at), at[0] if sum(at) % 2 else at[1]))


def arithmetic_jpeg(pixels: np.ndarray) -> tuple[bytes, np.ndarray]:
    """A JPEG of gray pixels whose sides are multiples of 8, and the pixels that its coefficients stand for."""
    height, width = pixels.shape
    coder, order = Coder(), zigzag()
    decoded = np.empty((height, width))
    before, context = 0, 0
    for top in range(0, height, 8):
        for left in range(0, width, 8):
            block = pixels[top : top + 8, left : left + 8].astype(np.float64) - 128
            coefficients = np.round(cv2.dct(block) / _STEP).astype(int)
            decoded[top : top + 8, left : left + 8] = cv2.idct(coefficients * float(_STEP)) + 128
            values = [int(coefficients[at]) for at in order]
            context = put_first(coder, context, values[0] - before)
            before = values[0]
            put_others(coder, values)
    segments = (
        (0xDB, bytes([0]) + bytes([_STEP] * 64)),
        (0xC9, struct.pack(">BHHB", 8, height, width, 1) + bytes([1, 0x11, 0])),
        (0xDA, bytes([1, 1, 0, 0, 63, 0])),
    )
    head = b"".join(struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body for marker, body in segments)
    data = b"\xff\xd8" + head + coder.finished() + b"\xff\xd9"
    return data, np.clip(np.round(decoded), 0, 255).astype(np.uint8)
