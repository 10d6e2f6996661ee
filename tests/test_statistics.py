"""Intervals and ratios against closed forms and published values; test_simulation.py has what they promise."""

import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgproc.measure.statistics import LOOKS, enough, median_interval, paired_speedup, precise, verdict

POSITIVE = st.floats(1e-3, 1e3)


# Ranks of the published tables of distribution-free 95 % intervals for the median (Conover; Hahn and Meeker).
@pytest.mark.parametrize(
    ("n", "low_rank"), [(6, 1), (7, 1), (8, 1), (9, 2), (10, 2), (12, 3), (15, 4), (20, 6), (25, 8)]
)
def test_median_interval_uses_the_published_ranks(n, low_rank):
    assert median_interval(list(range(1, n + 1))) == (low_rank, n + 1 - low_rank)


@pytest.mark.parametrize("n", range(6))
def test_no_interval_below_six_samples(n):
    assert median_interval([1.0] * n) is None


@given(st.lists(POSITIVE, min_size=6, max_size=40))
def test_median_interval_holds_the_median_in_any_order(samples):
    low, high = median_interval(samples)
    assert low <= statistics.median(samples) <= high
    assert median_interval(samples[::-1]) == (low, high)


def test_paired_interval_is_students_t_on_logs():
    base, fast = [2.0, 2.2, 1.9, 2.1, 2.0, 2.05], [1.0, 1.05, 1.0, 1.0, 1.02, 1.0]
    logs = [math.log(b / f) for b, f in zip(base, fast, strict=True)]
    half = 3.002875 * statistics.stdev(logs) / math.sqrt(6)  # t(0.985, 5)
    speedup, (low, high) = paired_speedup(base, fast)
    assert speedup == statistics.median(base) / statistics.median(fast)
    assert low == pytest.approx(math.exp(statistics.fmean(logs) - half), rel=1e-6)
    assert high == pytest.approx(math.exp(statistics.fmean(logs) + half), rel=1e-6)


def test_what_slows_a_whole_round_cancels():
    drift = np.array([1, 1.3, 0.9, 1.6, 1.1, 1.2])
    speedup, interval = paired_speedup(list(2 * drift), list(drift))
    assert speedup == pytest.approx(2)
    assert interval == (pytest.approx(2), pytest.approx(2))


@given(st.lists(st.tuples(POSITIVE, POSITIVE), min_size=1, max_size=20))
def test_speedup_lies_in_its_interval_and_turns_round_with_the_pairs(pairs):
    base, other = zip(*pairs, strict=True)
    speedup, interval = paired_speedup(base, other)
    back, back_interval = paired_speedup(other, base)
    assert back == pytest.approx(1 / speedup)
    assert (interval is None) == (len(pairs) < 6)
    if interval:
        assert interval[0] <= speedup <= interval[1]
        assert back_interval == (pytest.approx(1 / interval[1]), pytest.approx(1 / interval[0]))


def test_rounds_must_be_paired():
    with pytest.raises(ValueError):
        paired_speedup([1.0, 2.0], [1.0])


@pytest.mark.parametrize(
    ("interval", "said"),
    [((1.1, 2), "faster"), ((0.5, 0.9), "slower"), ((0.9, 1.1), "no measurable difference"), (None, None)],
)
def test_verdict(interval, said):
    assert verdict(interval) == said


def test_precise_is_half_the_intervals_width_below_a_twentieth_of_the_median():
    around = [0.99, 1.0, 1.0, 1.0, 1.0]
    assert precise([*around, 1.08])  # (1.08 - 0.99) / 2 = 0.045
    assert not precise([*around, 1.10])  # 0.055
    assert precise([*around, 1.10], within=0.06)
    assert not precise(around)  # five give no interval


@given(st.lists(POSITIVE, min_size=6, max_size=30), st.floats(0.01, 100))
def test_precise_knows_no_unit(samples, unit):
    low, high = median_interval(samples)
    width = (high - low) / 2 / statistics.median(samples)
    if abs(width - 0.05) > 1e-9:
        assert precise(samples) == precise([unit * s for s in samples]) == (width < 0.05)


def test_enough_looks_only_after_certain_rounds_and_at_every_technique():
    assert [n for n in range(40) if enough({"a": [1.0] * n, "b": [2.0] * n})] == list(LOOKS)
    wild = [1.0, 2.0] * 3
    assert not enough({"a": [1.0] * 6, "b": wild})
    assert not enough({"b": wild, "a": [1.0] * 6})
    assert enough({"a": [1.0] * 8}, looks=(8, 10))
    assert not enough({"a": [1.0] * 6}, looks=(8, 10))
    assert enough({})


def test_enough_wants_rounds_of_all():
    with pytest.raises(ValueError, match="same number of rounds"):
        enough({"a": [1.0] * 6, "b": [1.0] * 5})
