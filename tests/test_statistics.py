"""Intervals and ratios against closed forms, published values and simulation."""

import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgproc.measure.statistics import karp_flatt, median_interval, paired_speedup, verdict

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


def test_median_interval_covers_in_simulation():
    rng = np.random.default_rng(11)
    hits = sum(low <= 1 <= high for low, high in (median_interval(rng.lognormal(0, 0.2, 7)) for _ in range(4000)))
    assert hits / 4000 >= 0.94


def test_paired_interval_is_students_t_on_logs():
    base, fast = [2.0, 2.2, 1.9, 2.1, 2.0, 2.05], [1.0, 1.05, 1.0, 1.0, 1.02, 1.0]
    logs = [math.log(b / f) for b, f in zip(base, fast, strict=True)]
    half = 2.570582 * statistics.stdev(logs) / math.sqrt(6)  # t(0.975, 5), any table
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


@pytest.mark.parametrize("n", [6, 10])
def test_paired_interval_covers_and_equal_techniques_are_told_apart_rarely(n):
    rng = np.random.default_rng(n)
    covered = told_apart = 0
    for _ in range(2000):
        drift = rng.lognormal(0, 0.1, n)
        base, other = drift * 1.8 * rng.lognormal(0, 0.03, n), drift * rng.lognormal(0, 0.03, n)
        low, high = paired_speedup(base.tolist(), other.tolist())[1]
        covered += low <= 1.8 <= high
        equal = drift * rng.lognormal(0, 0.03, n)
        told_apart += verdict(paired_speedup(equal.tolist(), other.tolist())[1]) != "no measurable difference"
    assert covered / 2000 >= 0.94
    assert told_apart / 2000 <= 0.05


@pytest.mark.parametrize(
    ("interval", "said"),
    [((1.1, 2), "faster"), ((0.5, 0.9), "slower"), ((0.9, 1.1), "no measurable difference"), (None, None)],
)
def test_verdict(interval, said):
    assert verdict(interval) == said


def test_karp_flatt_gives_back_amdahls_serial_fraction():
    for serial in (0.0, 0.05, 0.5, 1.0):
        for p in (2, 4, 64):
            assert karp_flatt(1 / (serial + (1 - serial) / p), p) == pytest.approx(serial)
    assert karp_flatt(1.0, 1) is None
