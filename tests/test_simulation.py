"""What the intervals promise, kept in thousands of simulated comparisons.

Every pass of a round is programmed: a true time, times log-normal noise, and one of

- ``noise``: nothing else;
- ``disturbed``: 15 % of passes, independently of each other, slowed by up to a third;
- ``drift``: a factor shared by all passes of a round, which varies by 10 % from round to round;
- ``trend``: the same, but rising or falling steadily by up to 20 % over the rounds.

The truth of a speedup is the ratio of the true times. The truth of a median is the median of what a pass takes
under these conditions, which in ``disturbed`` is more than its true time.
"""

from functools import cache

import numpy as np
import pytest

from imgproc.measure.alarms import alarms_of_run
from imgproc.measure.derive import derive
from imgproc.measure.findings import findings
from imgproc.measure.laws import amdahl, fit_amdahl, fit_gustafson, gustafson
from imgproc.measure.results import Round, TechniqueMeasurement
from imgproc.measure.statistics import LOOKS, enough, median_interval, paired_speedup, verdict

COMPARISONS = 2000
KINDS = ("noise", "disturbed", "drift", "trend")
TIMES = np.array([1.8, 1.0, 1.0])  # a baseline, and two equal techniques
BASE, ONE, OTHER = range(3)


def disturbances(rng, shape):
    return np.where(rng.random(shape) < 0.15, 1 + rng.random(shape) / 3, 1.0)


def passes(rng, kind, rounds, noise):
    """Seconds by comparison, technique and round."""
    shape = (COMPARISONS, len(TIMES), rounds)
    seconds = TIMES[:, None] * rng.lognormal(0, noise, shape)
    if kind == "disturbed":
        seconds *= disturbances(rng, shape)
    if kind == "drift":
        seconds *= rng.lognormal(0, 0.1, (COMPARISONS, 1, rounds))
    if kind == "trend":
        seconds *= np.exp(rng.uniform(-0.2, 0.2, (COMPARISONS, 1, 1)) * np.linspace(-0.5, 0.5, rounds))
    return seconds


@cache
def typical(kind, noise):
    """The median of a pass whose true time is 1."""
    if kind != "disturbed":
        return 1.0  # noise, drift and trend raise it as often as they lower it
    rng = np.random.default_rng(0)
    return float(np.median(rng.lognormal(0, noise, 2_000_000) * disturbances(rng, 2_000_000)))


def shares(comparisons, median):
    """How often the median is covered, the speedup is covered, and equal techniques are told apart."""
    covered = np.zeros(3)
    for comparison in comparisons:
        base, one, other = (times.tolist() for times in comparison)
        low, high = median_interval(one)
        slow, fast = paired_speedup(base, one)[1]
        said = verdict(paired_speedup(other, one)[1])
        covered += low <= median <= high, slow <= TIMES[BASE] <= fast, said != "no measurable difference"
    return covered / len(comparisons)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rounds", [6, 7, 10, 15])
def test_intervals_cover_the_truth_and_equal_techniques_are_seldom_told_apart(kind, rounds):
    rng = np.random.default_rng([rounds, KINDS.index(kind)])
    median, speedup, told_apart = shares(passes(rng, kind, rounds, 0.03), typical(kind, 0.03))
    assert median >= 0.94
    assert speedup >= 0.94
    assert told_apart <= 0.05


def stop(times):
    """After how many of its rounds a comparison is stopped."""
    return next((n for n in LOOKS if enough({name: t[:n] for name, t in times.items()})), LOOKS[-1])


@pytest.mark.parametrize("noise", [0.03, 0.05])
@pytest.mark.parametrize("kind", KINDS[:3])
def test_stopping_early_spoils_neither(kind, noise):
    rng = np.random.default_rng([KINDS.index(kind), int(1000 * noise)])
    stopped = [c[:, : stop({"one": c[ONE], "other": c[OTHER]})] for c in passes(rng, kind, LOOKS[-1], noise)]
    assert len({comparison.shape[1] for comparison in stopped}) > 2  # otherwise nothing was stopped
    median, speedup, told_apart = shares(stopped, typical(kind, noise))
    assert median >= 0.94
    assert speedup >= 0.94
    assert told_apart <= 0.05


@pytest.mark.parametrize("noise", [0.08, 0.1])
def test_a_technique_alone_is_not_stopped_on_a_lucky_streak(noise):
    rng = np.random.default_rng(int(1000 * noise))
    intervals = [median_interval(t[: stop({"one": t})]) for t in rng.lognormal(0, noise, (2 * COMPARISONS, LOOKS[-1]))]
    assert np.mean([low <= 1 <= high for low, high in intervals]) >= 0.94


def test_a_slowdown_of_a_tenth_is_seen():
    rng = np.random.default_rng(10)
    found = 0
    for one, slowed in zip(*(rng.lognormal(0, 0.03, (2, COMPARISONS, 6))), strict=True):
        found += verdict(paired_speedup(one.tolist(), (1.1 * slowed).tolist())[1]) == "slower"
    assert found / COMPARISONS >= 0.95


def told(techniques, rng, rounds, noise, seconds=1.0):
    """The verdicts of a comparison of techniques of which the first, the baseline, takes so many times the time of
    the others, which are equal."""
    measurements = []
    for number in range(techniques):
        m = TechniqueMeasurement("sequential" if number == 0 else str(number), str(number), identical=True)
        m.rounds = [Round(float(s)) for s in (1.0 if number else seconds) * rng.lognormal(0, noise, rounds)]
        measurements.append(m)
    derive(measurements, images=1, megapixels=1.0)
    return findings("compare", measurements, [], None)


@pytest.mark.parametrize("rounds", [6, 11, 30])
@pytest.mark.parametrize("techniques", [2, 3, 6, 12])
def test_equal_techniques_are_told_apart_in_at_most_5_percent_of_runs(techniques, rounds):
    """Of all verdicts of a run not one, with the fastest chosen by the same rounds."""
    rng = np.random.default_rng([techniques, rounds])
    runs = [told(techniques, rng, rounds, 0.03) for _ in range(600)]
    wrong = sum(any(p.verdict in ("faster", "slower") for p in run.pairs) for run in runs)
    assert wrong / len(runs) <= 0.05


@pytest.mark.parametrize("rounds", [6, 30])
@pytest.mark.parametrize("truth", [1.0, 1.005, 1.0099])
def test_a_difference_too_small_to_matter_is_seldom_called_faster(truth, rounds):
    rng = np.random.default_rng([rounds, round(1e4 * truth)])
    runs = [told(2, rng, rounds, 0.002, seconds=truth) for _ in range(COMPARISONS // 5)]
    assert np.mean([run.outcome in ("faster", "slower") for run in runs]) <= 0.05
    if truth == 1.0:  # and where rounds are as steady as these, it is known not to matter
        assert np.mean([p.verdict == "no difference that matters" for run in runs for p in run.pairs]) >= 0.95


@pytest.mark.parametrize("truth", [1.0, 1.02, 1.1, 2.0])
@pytest.mark.parametrize("rounds", [6, 11, 30])
def test_the_cross_check_is_seldom_raised_by_rounds_that_scatter_evenly(rounds, truth):
    rng = np.random.default_rng([rounds, round(100 * truth)])
    raised = []
    for _ in range(COMPARISONS // 10):
        walls = [(truth if base else 1.0) * rng.lognormal(0, 0.01, rounds) for base in (True, False)]
        m = checked(*walls)
        raised.append("cross-check" in {alarm.name for alarm in alarms_of_run([m], environment={}, images=1)})
    # Where the truth is at the edge of being seen, the two intervals end at either side of 1 more often.
    assert np.mean(raised) <= (0.15 if truth == 1.02 else 0.06)


def test_the_cross_check_is_raised_by_rounds_that_scatter_to_one_side():
    rng = np.random.default_rng(5)
    slow = 1 + (rng.random(30) < 0.15) * 2.0 * rng.random(30)
    m = checked(np.ones(30) * slow, rng.lognormal(0, 0.001, 30))
    [alarm] = [a for a in alarms_of_run([m], environment={}, images=1) if a.name == "cross-check"]
    assert "is not in there: some rounds are far off to one side" in alarm.message and m.speedup > 1.1


def checked(base, walls):
    """A technique with these rounds, compared with a baseline."""
    both = [TechniqueMeasurement("sequential", "Sequential"), TechniqueMeasurement("mpi", "MPI", identical=True)]
    for m, seconds in zip(both, (base, walls), strict=True):
        m.rounds = [Round(float(s)) for s in seconds]
    derive(both, images=1, megapixels=1.0)
    return both[1]


@pytest.mark.parametrize(("rounds", "noise"), [(6, 0.01), (11, 0.03)])
@pytest.mark.parametrize("techniques", [2, 6, 12])
def test_a_tenth_is_seen_beside_many_others(techniques, rounds, noise):
    rng = np.random.default_rng([techniques, rounds])
    runs = [told(techniques, rng, rounds, noise, seconds=1.1) for _ in range(200)]
    assert np.mean([run.outcome == "faster" for run in runs]) >= 0.9


@pytest.mark.parametrize(
    ("law", "fit", "workers", "serial"),
    [
        (amdahl, fit_amdahl, (1, 2, 4), 0.05),
        (amdahl, fit_amdahl, (1, 2, 4, 8), 0.0),
        (amdahl, fit_amdahl, (1, 2, 3, 4, 6, 8), 0.3),
        (gustafson, fit_gustafson, (1, 2, 4), 0.1),
        (gustafson, fit_gustafson, (1, 2, 4, 8), 0.4),
    ],
)
def test_the_fits_intervals_cover_the_serial_fraction(law, fit, workers, serial):
    rng = np.random.default_rng([len(workers), int(100 * serial)])
    truth = np.array([law(p, serial) for p in workers])
    covered = 0
    for noise in rng.lognormal(0, 0.03, (COMPARISONS, len(workers))):
        # the error of the one-worker time is in every speedup
        interval = fit(workers, truth * noise[0] / noise).serial_ci95
        covered += interval is not None and interval[0] <= serial <= interval[1]
    assert covered / COMPARISONS >= 0.94
