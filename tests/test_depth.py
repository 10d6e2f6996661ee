"""Samples of other than 8 bits become 8 by the formulas of docs/formats.md."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from imgproc.pixels.formats.depth import (
    FULL_RANGE,
    HIGH_BYTE,
    USED_BITS,
    Facts,
    as_bytes,
    facts_of_high_byte,
    full_range,
    high_byte,
)


def rounded(value: Fraction) -> int:
    """Halves up."""
    return int((value + Fraction(1, 2)) // 1)


def samples(bits: int) -> st.SearchStrategy[np.ndarray]:
    dtype = np.uint8 if bits <= 8 else np.uint16 if bits <= 16 else np.uint32
    return arrays.arrays(dtype, st.integers(1, 12), elements=st.integers(0, (1 << bits) - 1))


FEW = st.integers(1, 7).flatmap(lambda bits: st.tuples(st.just(bits), samples(bits)))
DEPTH = st.sampled_from([HIGH_BYTE, USED_BITS, FULL_RANGE])
DEEP = st.sampled_from([9, 10, 12, 14, 16, 32]).flatmap(lambda bits: st.tuples(st.just(bits), samples(bits)))


@given(FEW, DEPTH)
def test_fewer_than_8_bits_fill_the_range_whatever_the_depth(given_, depth):
    bits, values = given_
    assert as_bytes(values, bits, depth)[0].tolist() == [rounded(Fraction(int(v) * 255, 2**bits - 1)) for v in values]


@given(samples(8), DEPTH)
def test_8_bits_stay(values, depth):
    assert as_bytes(values, 8, depth)[0].tolist() == values.tolist()


@given(DEEP)
def test_the_high_byte_of_gray_and_of_colours(given_):
    bits, values = given_
    assert high_byte(values, bits).tolist() == [int(v) >> bits - 8 for v in values]
    scaled = [rounded(Fraction(int(v) * 255, 2**bits - 1)) for v in values]
    assert high_byte(values, bits, color=True).tolist() == scaled


@given(DEEP)
def test_used_bits_are_those_of_the_largest(given_):
    bits, values = given_
    used = max(8, int(values.max()).bit_length())
    assert as_bytes(values, bits, USED_BITS)[0].tolist() == [int(v) >> used - 8 for v in values]


NUMBERS = st.sampled_from([np.int8, np.uint16, np.int16, np.int32, np.uint32]).flatmap(
    lambda dtype: arrays.arrays(dtype, st.integers(1, 12))
)


@given(NUMBERS)
def test_the_full_range_of_whole_numbers(values):
    image, facts = full_range(values)
    low, high = int(values.min()), int(values.max())
    wanted = [rounded(Fraction((int(v) - low) * 255, high - low)) if high > low else 0 for v in values]
    assert image.tolist() == wanted and facts == Facts()


@given(arrays.arrays(np.float32, st.integers(1, 12), elements=st.floats(width=32)))
def test_the_full_range_of_floats_leaves_out_what_is_no_number(values):
    image, facts = full_range(values)
    finite = values[np.isfinite(values)].astype(np.float64)
    wrong = values.size - finite.size
    assert image[~np.isfinite(values)].tolist() == [0] * wrong
    assert bool(facts.notes) == (wrong > 0) and all(note.startswith(f"{wrong} sample") for note in facts.notes)
    if finite.size and finite.min() < finite.max():
        assert image[np.isfinite(values)].min() == 0 and image[np.isfinite(values)].max() == 255
        order = np.argsort(finite, kind="stable")
        assert (np.diff(image[np.isfinite(values)][order].astype(int)) >= 0).all()
    else:
        assert not image.any()


@pytest.mark.parametrize(("values", "said"), [
    ([0, 4095, 100], "It uses only 12 of 16 bits; 2 gray levels are left."),
    ([0, 255], "It uses only 8 of 16 bits; 1 gray level is left."),
    ([0, 0], "It uses only 1 of 16 bits; 1 gray level is left."),
    ([0, 16383], "It uses only 14 of 16 bits; 2 gray levels are left."),
    ([0, 16384], None), ([65535, 0], None),
])  # fmt: skip
def test_few_used_bits_are_said_whoever_decoded(values, said):
    deep = np.array([values], np.uint16)
    image, facts = as_bytes(deep, 16, HIGH_BYTE)
    for one in (facts, facts_of_high_byte(image, 16, lambda: deep)):
        assert [note[: len(said or "")] for note in one.sentences] == ([said] if said else [])
    assert as_bytes(deep, 16, USED_BITS)[1].sentences == as_bytes(deep, 16, FULL_RANGE)[1].sentences == ()


def test_facts_of_parts_are_those_of_the_whole():
    rows = np.array([[0, 256], [4095, 1024], [512, 512]], np.uint16)
    parts = [as_bytes(row, 16, HIGH_BYTE)[1] for row in rows]
    assert parts[0].joined(parts[1]).joined(parts[2]) == as_bytes(rows, 16, HIGH_BYTE)[1]
    bright = as_bytes(np.array([40_000], np.uint16), 16, HIGH_BYTE)[1]
    assert parts[0].joined(bright).sentences == ()
    assert Facts(("a",)).joined(Facts(("b", "a"))).sentences == ("a", "b")
