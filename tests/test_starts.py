"""Workers made anew: each start is one sample, in formulas, in simulated runs of known scatter, and in real ones."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from conftest import jpeg
from scale_runs import measured, scale_run

from imgproc import compare
from imgproc.cli import main
from imgproc.measure.alarms import alarms_of_run
from imgproc.measure.derive import derive
from imgproc.measure.protocol import Contender
from imgproc.measure.statistics import (
    LEAST_STARTS,
    T_LEVEL,
    between_starts,
    median_interval,
    paired_speedup,
    ratio_interval,
    start_means,
)
from imgproc.report.sentences import starts as sentence
from imgproc.runs.options import RunSettings
from imgproc.runs.record import Record
from imgproc.runs.verify import verify

RNG = np.random.default_rng(3)


def test_each_start_is_one_sample_of_the_interval() -> None:
    starts = [k for k in range(1, 6) for _ in range(3)]
    base, fast = RNG.lognormal(0.7, 0.05, 15).tolist(), RNG.lognormal(0, 0.05, 15).tolist()
    means = [np.log(base[k : k + 3]).mean() - np.log(fast[k : k + 3]).mean() for k in range(0, 15, 3)]
    speedup, interval = paired_speedup(base, fast, starts=starts)
    theirs = scipy.stats.ttest_1samp(means, 0).confidence_interval(T_LEVEL)
    assert speedup == pytest.approx(math.exp(np.mean(means)))
    assert interval == (pytest.approx(math.exp(theirs.low)), pytest.approx(math.exp(theirs.high)))
    assert paired_speedup(base, fast)[0] == pytest.approx(speedup)  # all starts having as many rounds
    assert paired_speedup(base[:9], fast[:9], starts=starts[:9])[1] is None and LEAST_STARTS == 4
    assert ratio_interval(base, fast, starts) is None  # order statistics need six
    eighteen = [k for k in range(6) for _ in range(3)]
    base, fast = [*base, 2.0, 2.1, 1.9], [*fast, 1.0, 1.1, 0.9]
    of_starts = np.exp([np.log(np.divide(base, fast))[k : k + 3].mean() for k in range(0, 18, 3)])
    assert ratio_interval(base, fast, eighteen) == pytest.approx(median_interval(of_starts.tolist()))


def test_a_start_with_fewer_rounds_counts_as_much() -> None:
    assert start_means([1.0, 3.0, 10.0], [1, 1, 2]) == [2.0, 10.0] and start_means([1.0, 3.0], []) == [2.0]
    with pytest.raises(ValueError):
        start_means([1.0, 2.0], [1])


def test_the_share_between_starts_is_that_of_the_analysis_of_variance() -> None:
    groups = RNG.normal(0, 1, (8, 1)) + RNG.normal(0, 0.5, (8, 4))
    share = between_starts(groups.ravel().tolist(), [k for k in range(8) for _ in range(4)])
    f = scipy.stats.f_oneway(*groups).statistic  # of the mean squares
    assert share == pytest.approx((f - 1) / (f - 1 + 4))
    assert between_starts([1.0, 2.0, 1.0, 2.0], [1, 1, 2, 2]) == 0.0
    assert between_starts([1.0, 1.0, 2.0, 2.0], [1, 1, 2, 2]) == 1.0
    assert between_starts([1.0, 2.0], [1, 1]) is between_starts([1.0, 2.0], [1, 2]) is None
    assert between_starts([1.0] * 4, [1, 1, 2, 2]) is None


@pytest.mark.parametrize("between", [0.0, 0.03, 0.1])
@pytest.mark.parametrize(("starts", "rounds"), [(4, 2), (6, 2), (10, 3)])
def test_the_interval_covers_whatever_the_starts_differ_by(starts: int, rounds: int, between: float) -> None:
    """Both techniques are made anew each time, and differ between starts by 0 to 10 %; a round scatters by 3 %."""
    rng = np.random.default_rng([starts, round(100 * between)])
    of = [k for k in range(starts) for _ in range(rounds)]
    covered, without, runs = 0, 0, 1000
    for _ in range(runs):
        scatter = rng.normal(0, between, (2, starts, 1)) + rng.normal(0, 0.03, (2, starts, rounds))
        base, fast = np.exp(scatter).reshape(2, -1).tolist()
        for counted, how in ((True, of), (False, [])):
            interval = paired_speedup([1.8 * b for b in base], fast, starts=how)[1]
            holds = interval is not None and interval[0] <= 1.8 <= interval[1]
            covered, without = covered + (holds and counted), without + (holds and not counted)
    assert covered / runs >= 0.94
    if between == 0.1:  # and rounds taken for independent samples would not have
        assert without / runs < 0.94


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
def test_the_share_that_is_told_is_about_the_true_one(share: float) -> None:
    rng = np.random.default_rng(int(10 * share))
    of, found = [k for k in range(20) for _ in range(6)], []
    for _ in range(500):
        scatter = rng.normal(0, math.sqrt(share), (20, 1)) + rng.normal(0, math.sqrt(1 - share), (20, 6))
        found.append(between_starts(scatter.ravel().tolist(), of))
    assert np.median(found) == pytest.approx(share, abs=0.06)


@pytest.mark.parametrize(("rounds", "starts", "each"), [(6, 1, 6), (6, 3, 2), (6, 6, 2), (20, 4, 5), (7, 2, 4)])
def test_the_rounds_are_shared_out_among_the_starts(rounds: int, starts: int, each: int) -> None:
    assert RunSettings([], {}, rounds=rounds, starts=starts).rounds_of_start == each


def of_starts(starts: int) -> Record:
    record = scale_run((1, 2), scaled=None)
    record.techniques = [measured("threading", "Threads", 0.6, noise=0.02, rounds=2 * starts)]
    record.techniques.append(measured("sequential", "Sequential", 1.2, noise=0.02, rounds=2 * starts))
    record.mode, record.scaling = "compare", None
    for m in record.techniques:
        for number, one in enumerate(m.rounds):
            one.start = 1 + number // 2
    derive(record.techniques, images=12, megapixels=36.0)
    record.conclude()
    return record


def test_what_is_between_starts_is_said_and_too_few_starts_are_an_alarm() -> None:
    record = of_starts(5)
    threads = record.techniques[0]
    assert threads.verdict == "faster" and threads.ci95 is None and threads.between_starts is not None
    assert sentence(record).startswith(
        "Workers were started five times, and each start counts once. Of the scatter of "
    )
    assert sentence(record).endswith("for threads.") and verify(record) == []
    again = Record.from_dict(json.loads(json.dumps(record.to_dict())))
    assert again.techniques[0].starts == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    again.techniques[0].rounds[0].start = 9
    assert any("speedup_ci95" in said for said in verify(again))
    few = of_starts(3)
    assert few.found.outcome == "undecided" and few.best is None
    [alarm] = [a for a in alarms_of_run(few.techniques, environment={}, images=12) if a.name == "few-rounds"]
    assert "started only 3 times" in alarm.message


def test_workers_are_made_anew_and_warmed_up_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg())
    started: list[str] = []
    start, file = Contender.start, tmp_path / "run.json"

    def noted(self: Contender) -> None:
        started.append(self.technique.name)
        start(self)

    monkeypatch.setattr(Contender, "start", noted)
    words = ["process", str(tmp_path / "a.jpg"), "--out", str(tmp_path / "out"), "--no-wait", f"--json={file}"]
    assert main([*words, "--technique", "threading", "--rounds", "8", "--starts", "4", "--budget", "60"]) == 0
    record = Record.from_dict(json.loads(file.read_text()))
    assert [t.starts for t in record.techniques] == [[1, 1, 2, 2, 3, 3, 4, 4]] * 2
    assert started.count("threading") == started.count("sequential") == 4
    assert record.techniques[0].speedup_ci95 and verify(record) == []
    assert record.technique and {span.round for span in record.technique.spans} == {*range(1, 9)}


def test_time_that_is_up_ends_the_starts(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg())
    file = tmp_path / "run.json"
    words = ["process", str(tmp_path / "a.jpg"), "--out", str(tmp_path / "out"), "--no-wait", f"--json={file}"]
    assert main([*words, "--technique", "threading", "--starts", "50", "--budget", "0.01"]) == 0
    record = Record.from_dict(json.loads(file.read_text()))
    assert {*record.techniques[0].starts} == {1} and record.techniques[0].rounds


def test_workers_of_a_function_of_ones_own_are_started_anew_as_well() -> None:
    result = compare(
        pids_apart,
        range(6),
        techniques=["threading", "multiprocessing"],
        workers=2,
        rounds=8,
        starts=4,
        budget=60,
        progress=False,
    )
    for t in result.record.techniques:
        assert [one.start for one in t.rounds] == [1, 1, 2, 2, 3, 3, 4, 4] and t.speedup
    processes = result["multiprocessing"]
    assert processes.speedup_ci95 and processes.between_starts is not None
    assert "Workers were started four times, and each start counts once" in result.table()
    assert verify(result.record) == []


def pids_apart(x: int) -> int:
    return sum(number % 7 for number in range(2000 + x))
