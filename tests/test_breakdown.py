"""The parts of a round add up to its wall time, and each is what its name says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgproc.measure.breakdown import PARTS, breakdown, largest
from imgproc.measure.results import SpanRecord


def lane(worker, *spans):
    """Spans of one worker from (stage, start, end)."""
    return [SpanRecord(worker, n, stage, start, end) for n, (stage, start, end) in enumerate(spans)]


BASE = lane(1, ("decode", 0, 2), ("canny", 2, 8))


def parts(wall, spans, workers=2, inner=1, base_wall=8.0, base=BASE):
    return breakdown(wall, spans, workers=workers, inner=inner, base_wall=base_wall, base=base)


def test_a_perfect_technique_is_only_ideal():
    found = parts(4.0, lane(1, ("canny", 0, 4)) + lane(2, ("canny", 0, 4)))
    assert found == {"ideal": 4.0, "contention": 0, "transfer": 0, "dispatch": 0, "waiting": 0, "remainder": 0}
    assert largest(found) is None


def test_waiting_is_the_end_of_those_who_are_through_first():
    found = parts(6.0, lane(1, ("canny", 0, 6)) + lane(2, ("canny", 0, 2)))
    assert found["waiting"] == 2.0 and found["contention"] == 0
    assert largest(found) == "waiting"


def test_a_worker_that_got_nothing_waits_all_the_time():
    assert parts(8.0, lane(1, ("canny", 0, 8)))["waiting"] == 4.0


def test_dispatch_is_what_lies_between_tasks():
    found = parts(5.0, lane(1, ("canny", 1, 3), ("canny", 3.5, 5)) + lane(2, ("canny", 0, 2), ("canny", 3, 5)))
    assert found["dispatch"] == pytest.approx((1.5 + 1.0) / 2)


def test_contention_is_what_stages_took_longer_than_the_baselines():
    found = parts(5.0, lane(1, ("canny", 0, 5)) + lane(2, ("canny", 0, 5)))
    assert found["contention"] == 1.0 and largest(found) == "contention"


def test_transfer_is_apart():
    found = parts(5.0, lane(1, ("transfer", 0, 1), ("canny", 1, 5)) + lane(2, ("transfer", 0, 1), ("canny", 1, 5)))
    assert found["transfer"] == 1.0 and found["contention"] == 0


def test_inner_threads_wait_while_a_stage_is_not_shared():
    """OpenCV's two threads, of which one decodes for all the round."""
    found = parts(8.0, lane(1, ("decode", 0, 8)), workers=1, inner=2)
    assert found["ideal"] == 4.0 and found["waiting"] == 4.0 and found["contention"] == 0
    slower = parts(9.0, lane(1, ("decode", 0, 9)), workers=1, inner=2)
    assert slower["waiting"] == 4.0 and slower["contention"] == 1.0


def test_the_baseline_against_itself():
    base = lane(1, ("decode", 0.5, 2), ("canny", 2.5, 8))
    found = breakdown(8.0, base, workers=1, inner=1, base_wall=8.0, base=base)
    assert found["ideal"] == 8.0 and found["dispatch"] == 1.0 and found["remainder"] == -1.0


@given(
    st.lists(st.lists(st.tuples(st.floats(0, 1), st.floats(0.001, 1)), max_size=5), min_size=1, max_size=5),
    st.integers(1, 8),
    st.integers(1, 4),
    st.floats(0.1, 50),
    st.floats(0, 2),
)
def test_the_parts_always_add_up(lanes, workers, inner, base_wall, after):
    spans, wall = [], 0.0
    for worker, tasks in enumerate(lanes[:workers], 1):
        at = 0.0
        for gap, seconds in tasks:
            spans.append(SpanRecord(worker, 0, "canny", at + gap, at + gap + seconds))
            at += gap + seconds
        wall = max(wall, at)
    wall += after
    found = parts(wall, spans, workers=workers, inner=inner, base_wall=base_wall)
    assert list(found) == list(PARTS)
    assert sum(found.values()) == pytest.approx(wall, abs=1e-5)
    assert found["dispatch"] >= 0 and found["waiting"] >= 0 and found["transfer"] >= 0
