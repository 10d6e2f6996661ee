"""Intervals and ratios against closed forms and published values; test_simulation.py has what they promise."""

import math
import statistics

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from imgproc.measure.alarms import drift
from imgproc.measure.statistics import (
    LOOKS,
    T_LEVEL,
    enough,
    median_interval,
    paired_speedup,
    pairs,
    precise,
    ratio_interval,
    verdict,
)

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
    assert speedup == pytest.approx(statistics.geometric_mean(base) / statistics.geometric_mean(fast), rel=1e-12)
    assert low == pytest.approx(math.exp(statistics.fmean(logs) - half), rel=1e-6)
    assert high == pytest.approx(math.exp(statistics.fmean(logs) + half), rel=1e-6)


@pytest.mark.parametrize(("techniques", "comparisons", "t"), [(2, 1, 3.002875), (3, 3, 4.032143), (12, 66, 8.139295)])
def test_more_comparisons_share_what_may_go_wrong(techniques, comparisons, t):
    """Bonferroni: t(1 - 0.015 / comparisons, 5)."""
    base, fast = [2.0, 2.2, 1.9, 2.1, 2.0, 2.05], [1.0, 1.05, 1.0, 1.0, 1.02, 1.0]
    logs = [math.log(b / f) for b, f in zip(base, fast, strict=True)]
    _, (low, high) = paired_speedup(base, fast, pairs(techniques))
    assert pairs(techniques) == comparisons
    assert math.log(high / low) / 2 == pytest.approx(t * statistics.stdev(logs) / math.sqrt(6), rel=1e-3)


def test_one_technique_alone_is_compared_with_nothing_and_needs_no_correction():
    assert [pairs(n) for n in range(4)] == [1, 1, 1, 3]


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


@pytest.mark.parametrize(
    ("interval", "said"),
    [
        ((1.011, 1.5), "faster"),
        ((0.7, 0.99), "slower"),  # 1/1.01 is 0.9901
        ((1.002, 1.008), "no difference that matters"),
        ((0.992, 1.009), "no difference that matters"),
        ((1.0, 1.0), "no difference that matters"),
        ((1.004, 1.03), "no measurable difference"),  # surely faster, but not surely by more than 1 %
        ((0.97, 1.005), "no measurable difference"),
        (None, None),
    ],
)
def test_a_difference_within_the_smallest_that_matters_is_called_that(interval, said):
    assert verdict(interval, 0.01) == said


@given(st.tuples(POSITIVE, POSITIVE).map(sorted), st.floats(0, 0.5))
def test_verdicts_turn_round_with_their_interval(interval, smallest):
    back = [1 / interval[1], 1 / interval[0]]
    turned = {"faster": "slower", "slower": "faster"}
    said = verdict(interval, smallest)
    edges = [abs(math.log(end) + sign * math.log1p(smallest)) for end in interval for sign in (1, -1)]
    if min(edges) > 1e-9:
        assert verdict(back, smallest) == turned.get(said, said)


# ---------------------------------------------------------------- against SciPy

SAMPLES = st.lists(st.floats(0.5, 2.0), min_size=6, max_size=30, unique=True)


@given(SAMPLES)
def test_the_median_interval_is_that_of_scipys_quantile_test(samples):
    theirs = scipy.stats.quantile_test(samples, q=statistics.median(samples)).confidence_interval(0.95)
    assert median_interval(samples) == (pytest.approx(theirs.low), pytest.approx(theirs.high))


@given(st.lists(st.tuples(st.floats(0.5, 2.0), st.floats(0.5, 2.0)), min_size=6, max_size=30))
def test_the_speedups_interval_is_that_of_scipys_t_test(paired):
    base, fast = map(np.array, zip(*paired, strict=True))
    speedup, interval = paired_speedup(base.tolist(), fast.tolist())
    logs = np.log(base / fast)
    assert speedup == pytest.approx(scipy.stats.gmean(base / fast))
    assert speedup == pytest.approx(scipy.stats.gmean(base) / scipy.stats.gmean(fast))
    if logs.std() > 1e-9:
        theirs = scipy.stats.ttest_1samp(logs, 0).confidence_interval(T_LEVEL)
        assert interval == (pytest.approx(math.exp(theirs.low)), pytest.approx(math.exp(theirs.high)))
    assert ratio_interval(base.tolist(), fast.tolist()) == pytest.approx(median_interval((base / fast).tolist()))


@given(SAMPLES)
def test_drift_is_scipys_theil_sen_slope_and_kendalls_trend(walls):
    change, z = drift(walls)
    n, rounds = len(walls), range(len(walls))
    slope = scipy.stats.theilslopes(walls, rounds).slope
    assert change == pytest.approx(slope * (n - 1) / statistics.median(walls), abs=1e-12)
    tau = scipy.stats.kendalltau(rounds, walls)
    rises = tau.statistic * n * (n - 1) / 2  # Kendall's S
    deviation = math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    assert z == pytest.approx(math.copysign(max(0.0, abs(round(rises)) - 1), rises) / deviation)
    # The normal approximation is one of his exact test.
    assert 2 * scipy.stats.norm.sf(abs(z)) == pytest.approx(min(1.0, tau.pvalue), abs=0.05) or abs(round(rises)) <= 1


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
