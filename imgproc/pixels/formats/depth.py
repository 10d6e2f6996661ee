"""Samples of more than 8 bits, or of fewer, become 8 bits: once, at decoding.

``high byte``: the upper 8 of the bits that a sample is stored with (colours of TIFF and JPEG are rounded instead, as
libtiff does).
``used bits``: the upper 8 of the bits that the largest sample of the picture needs.
``full range``: the smallest sample of the picture becomes 0, the largest 255, round((v - min) * 255 / (max - min)).
Samples of 8 bits stay as they are, and fewer become round(v * 255 / (2^n - 1)), whatever the depth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from imgproc.operations.contract import Image

HIGH_BYTE, USED_BITS, FULL_RANGE = "high byte", "used bits", "full range"
#: What each depth makes of a sample, for people.
DEPTHS: dict[str, str] = {
    HIGH_BYTE: "the upper 8 of the bits it is stored with; colours of a TIFF or JPEG are rounded to 8",
    USED_BITS: "the upper 8 of the bits that the picture’s largest sample needs",
    FULL_RANGE: "the picture’s smallest becomes 0 and its largest 255",
}
Samples = npt.NDArray[np.generic]

_FEW_LEVELS = 64  # of 256, so few are worth a word
_BLOCK = 1 << 20  # samples converted at a time, so that wide intermediate numbers take little memory


@dataclass(frozen=True, slots=True)
class Facts:
    """What people may want to know of how an image, or a part of it, was read.

    ``notes`` are sentences. Of samples of more than 8 bits whose high byte was taken: ``bits`` as they are stored,
    ``used`` by the largest, and ``levels``, in which bit n says that level n is left.
    """

    notes: tuple[str, ...] = ()
    bits: int = 0
    used: int = 0
    levels: int = 0

    def joined(self, other: Facts) -> Facts:
        """Those of both parts."""
        notes = tuple(dict.fromkeys((*self.notes, *other.notes)))
        bits, used = max(self.bits, other.bits), max(self.used, other.used)
        return Facts(notes, bits, used, self.levels | other.levels)

    @property
    def sentences(self) -> tuple[str, ...]:
        if not few_bits(self.used, self.bits):
            return self.notes
        count = self.levels.bit_count()
        left = "1 gray level is" if count == 1 else f"{count} gray levels are"
        return (
            *self.notes,
            f"It uses only {self.used} of {self.bits} bits; {left} left. Choose the depth “used bits” or “full range”.",
        )


def few_bits(used: int, bits: int) -> bool:
    """Whether the high byte of samples of so many bits leaves few levels of what is used of them."""
    return 1 << max(0, used - bits + 8) <= _FEW_LEVELS


def as_bytes(samples: Samples, bits: int, depth: str, *, color: bool = False) -> tuple[Image, Facts]:
    """Unsigned samples of so many bits as 8, by the depth."""
    if bits <= 8:
        return high_byte(samples, bits), Facts()
    if depth == FULL_RANGE:
        return full_range(samples)
    used = bits_used(samples)
    if depth == USED_BITS:
        return used_bits(samples, used), Facts()
    image = high_byte(samples, bits, color=color)
    return image, Facts((), bits, used, levels(image) if few_bits(used, bits) else 0)


def facts_of_high_byte(image: Image, bits: int, samples: Callable[[], Samples | None]) -> Facts:
    """Of an image whose decoder gave the high byte alone; it is asked for the ``samples`` where few can be used."""
    if image.size and int(image.max()) > _FEW_LEVELS:
        return Facts((), bits, bits)
    stored = samples()
    used = bits if stored is None else bits_used(stored)
    return Facts((), bits, used, levels(image) if few_bits(used, bits) else 0)


def levels(image: Image) -> int:
    """Bit n says that level n occurs in the image."""
    counts = np.zeros(256, np.int64)
    for rows in _parts(image):
        counts += np.bincount(image[rows].ravel(), minlength=256)
    return sum(1 << int(level) for level in np.flatnonzero(counts))


def high_byte(samples: Samples, bits: int, *, color: bool = False) -> Image:
    """Unsigned samples of so many bits as 8."""
    if bits == 8:
        return samples.astype(np.uint8, copy=False)
    if bits > 8 and not color:
        return _upper(samples, bits)
    return _scaled(samples, 0, (1 << bits) - 1)


def used_bits(samples: Samples, used: int) -> Image:
    """Unsigned samples, of which the largest needs ``used`` bits, as 8."""
    return _upper(samples, max(8, used))


def full_range(samples: Samples) -> tuple[Image, Facts]:
    """Samples of any kind as 8 bits; those that are no finite number become 0, and are counted in the facts."""
    wrong = 0
    if samples.dtype.kind == "f":
        finite = np.isfinite(samples)
        wrong = int(samples.size - np.count_nonzero(finite))
        if wrong == samples.size:
            return np.zeros(samples.shape, np.uint8), _not_finite(wrong)
        low, high = float(samples.min(where=finite, initial=np.inf)), float(samples.max(where=finite, initial=-np.inf))
    else:
        low, high = int(samples.min()), int(samples.max())
    if low == high:
        return np.zeros(samples.shape, np.uint8), _not_finite(wrong)
    return _scaled(samples, low, high), _not_finite(wrong)


def _not_finite(count: int) -> Facts:
    if not count:
        return Facts()
    what = "1 sample is" if count == 1 else f"{count:,} samples are"
    return Facts((f"{what} no finite number (NaN or infinite) and became 0.",))


def _upper(samples: Samples, bits: int) -> Image:
    out = np.empty(samples.shape, np.uint8)
    for rows in _parts(samples):
        whole: npt.NDArray[np.unsignedinteger] = samples[rows]  # type: ignore[assignment]
        out[rows] = whole >> np.asarray(bits - 8, whole.dtype)
    return out


def bits_used(samples: Samples) -> int:
    """Of the largest of unsigned samples; at least 1."""
    return max(1, int(samples.max()).bit_length()) if samples.size else 1


def _scaled(samples: Samples, low: float, high: float) -> Image:
    """round((v - low) * 255 / (high - low)), halves up; what is no finite number becomes 0."""
    if samples.dtype.kind in "iu" and samples.dtype.itemsize <= 2:  # every value there can be, once
        return np.take(_table(samples.dtype, int(low), int(high)), samples)  # type: ignore[arg-type]
    out = np.empty(samples.shape, np.uint8)
    for rows in _parts(samples):
        with np.errstate(invalid="ignore", over="ignore"):
            # Halved, for the difference of two floats may be more than the largest.
            ratio = (samples[rows].astype(np.float64) / 2 - low / 2) / (high / 2 - low / 2)
        ratio[~np.isfinite(ratio)] = 0
        out[rows] = np.floor(ratio * 255 + 0.5).clip(0, 255)
    return out


def _table(dtype: np.dtype[np.generic], low: int, high: int) -> Image:
    """The result for every value of an integer type, in the order of its bits, so that it can index."""
    limits = np.iinfo(dtype)  # type: ignore[type-var]
    values = np.arange(limits.min, limits.max + 1, dtype=np.int64).clip(low, high)
    table = ((2 * (values - low) * 255 + (high - low)) // (2 * (high - low))).astype(np.uint8)
    return np.roll(table, limits.min)  # negative values index from the end


def _parts(samples: Samples) -> Iterator[slice]:
    """The rows of some samples at a time; they may be a part of others, of which a copy would take much memory."""
    step = max(1, _BLOCK * len(samples) // max(1, samples.size))
    for at in range(0, len(samples), step):
        yield slice(at, at + step)
