"""The benchmark of short calls: where a sweep passes 1, against costs that are known."""

import time

import pytest

from benchmarks.short_calls import SWEEP, busy, crossing, sweep
from imgproc.measure.derive import derive_tasks
from imgproc.measure.results import TechniqueMeasurement


def test_where_the_speedup_passes_one():
    assert crossing([1.0, 2.0, 4.0], [0.5, 0.8, 1.25]) == pytest.approx(8**0.5)
    assert crossing([1.0, 2.0, 4.0], [0.5, 1.0, 2.0]) == pytest.approx(2.0)
    assert crossing([1.0, 2.0, 4.0], [0.9, 1.1, 0.9]) == pytest.approx(2**0.5, rel=0.05)
    assert crossing([1.0, 2.0], [1.2, 1.4]) is None and crossing([1.0, 2.0], [0.2, 0.4]) is None


@pytest.mark.parametrize("workers", [2, 4])
@pytest.mark.parametrize("handing", [30e-6, 90e-6, 400e-6])
def test_what_is_said_of_50_us_calls_is_what_a_sweep_of_such_a_technique_finds(handing, workers):
    """One whose handing over takes the time of the cores that its workers work on."""
    own, call, count = 2e-6, 50e-6, 400

    def technique(name, seconds, idle, workers=1):
        return TechniqueMeasurement(name, name, workers, median_seconds=count * seconds, idle_task_seconds=idle)

    one = technique("multiprocessing", handing + call / workers, handing, workers)
    derive_tasks([technique("sequential", call + own, own), one], count, cores=workers)
    said = one.pays_from_task_seconds
    passed = crossing(*sweep(said, lambda seconds: (seconds + own) / (handing + seconds / workers)))
    assert passed == pytest.approx(said, rel=0.05) and said == pytest.approx((handing - own) * workers / (workers - 1))


def test_handing_over_that_takes_longer_while_workers_are_busy_is_measured_where_it_counts():
    """Tasks that do nothing come back in batches, which saves half of what handing one over takes."""
    own, call, count = 2e-6, 50e-6, 400
    one = TechniqueMeasurement("multiprocessing", "", 2, median_seconds=count * 250e-6, idle_task_seconds=200e-6)
    one.tried_tasks = [[own + 500e-6, 650e-6], [own + 20e-3, 10.4e-3]]
    alone = TechniqueMeasurement("sequential", "", 1, median_seconds=count * (call + own), idle_task_seconds=own)
    derive_tasks([alone, one], count, cores=2)
    passed = crossing(*sweep(800e-6, lambda seconds: (seconds + own) / (400e-6 + seconds / 2)))
    assert one.pays_from_task_seconds == pytest.approx(passed, rel=0.02)
    assert one.calls_overlap is None  # 50 µs beside 200 do not tell
    one.tried_tasks = [[own + 500e-6, 900e-6], [own + 20e-3, 20.4e-3]]  # on a busy machine
    derive_tasks([alone, one], count, cores=2)
    assert one.pays_from_task_seconds is None and one.calls_overlap is None
    alone.median_seconds, one.median_seconds = count * 500e-6, count * 690e-6  # one at a time
    derive_tasks([alone, one], count, cores=2)
    assert one.pays_from_task_seconds is None and one.calls_overlap is False


def test_a_call_takes_its_time():
    start = time.perf_counter()
    busy(0.003)
    assert time.perf_counter() - start >= 0.003
    assert min(SWEEP) < 1 < max(SWEEP)
