"""The parts of a round add up to its wall time, and each is what its name says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgproc.measure.breakdown import PARTS, breakdown, largest
from imgproc.measure.derive import stages
from imgproc.measure.results import SpanRecord


def lane(worker, *spans):
    """Spans of one worker from (stage, start, end)."""
    return [SpanRecord(worker, n, stage, start, end) for n, (stage, start, end) in enumerate(spans)]


BASE = lane(1, ("decode", 0, 2), ("canny", 2, 8))


def parts(wall, spans, workers=2, inner=1, base_wall=8.0, base=BASE):
    return breakdown(wall, spans, workers=workers, inner=inner, base_wall=base_wall, base=base)


CANNY = ("canny", 0, 4)


@pytest.mark.parametrize(
    ("wall", "spans", "options", "expected", "costs_most"),
    [
        (4.0, [*lane(1, CANNY), *lane(2, CANNY)], {}, {**dict.fromkeys(PARTS, 0), "ideal": 4.0}, None),
        # Waiting is the end of those who are through first, and all the time of a worker that got nothing.
        (6.0, [*lane(1, ("canny", 0, 6)), *lane(2, ("canny", 0, 2))], {}, {"waiting": 2.0, "contention": 0}, "waiting"),
        (8.0, lane(1, ("canny", 0, 8)), {}, {"waiting": 4.0}, "waiting"),
        # Dispatch is what lies between tasks.
        (
            5.0, [*lane(1, ("canny", 1, 3), ("canny", 3.5, 5)), *lane(2, ("canny", 0, 2), ("canny", 3, 5))], {},
            {"dispatch": (1.5 + 1.0) / 2}, "dispatch",
        ),
        # Contention is what stages took longer than the baseline's; transfer is apart.
        (5.0, [*lane(1, ("canny", 0, 5)), *lane(2, ("canny", 0, 5))], {}, {"contention": 1.0}, "contention"),
        (
            5.0, [*lane(1, ("transfer", 0, 1), ("canny", 1, 5)), *lane(2, ("transfer", 0, 1), ("canny", 1, 5))], {},
            {"transfer": 1.0, "contention": 0}, "transfer",
        ),
        # OpenCV's two threads, of which one decodes for all the round, wait while that is not shared.
        (
            8.0, lane(1, ("decode", 0, 8)), {"workers": 1, "inner": 2}, {"ideal": 4.0, "waiting": 4.0, "contention": 0},
            "waiting",
        ),
        (
            9.0, lane(1, ("decode", 0, 9)), {"workers": 1, "inner": 2}, {"waiting": 4.0, "contention": 1.0}, "waiting",
        ),
    ],
)  # fmt: skip
def test_each_part_is_what_its_name_says(wall, spans, options, expected, costs_most):
    found = parts(wall, spans, **options)
    assert {part: found[part] for part in expected} == pytest.approx(expected)
    assert largest(found) == costs_most


def test_the_baseline_against_itself():
    base = lane(1, ("decode", 0.5, 2), ("canny", 2.5, 8))
    found = breakdown(8.0, base, workers=1, inner=1, base_wall=8.0, base=base)
    assert found["ideal"] == 8.0 and found["dispatch"] == 1.0 and found["remainder"] == -1.0


def caller(*spans):
    """Spans of the caller's own process."""
    return lane(0, *spans)


def test_a_caller_that_does_everything_while_its_workers_wait():
    found = parts(8.0, caller(("decode", 0, 2), ("canny", 2, 8)))
    # What it did itself is half of what the two waited for: the other half is what nobody used.
    assert found == {part: 4.0 if part in ("ideal", "caller") else 0 for part in PARTS}


def test_a_caller_that_works_while_nobody_waits_saves_time():
    found = parts(3.0, lane(1, ("canny", 0, 3)) + lane(2, ("canny", 0, 3)) + caller(("decode", 0.5, 2.5)))
    assert found == {**dict.fromkeys(PARTS, 0), "ideal": 4.0, "caller": -1.0}
    assert largest(found) is None


def test_workers_wait_for_the_caller_to_send_and_to_write():
    """The textbook pool: the caller decodes and sends, the workers compute, the caller fetches and writes."""
    spans = lane(1, ("canny", 2, 5)) + lane(2, ("transfer", 2, 3), ("canny", 3, 6))
    at_caller = caller(("decode", 0, 1), ("transfer", 1, 2), ("transfer", 5, 6), ("decode", 6, 7))
    found = parts(8.0, spans + at_caller)
    assert found["transfer"] == pytest.approx((2 + 1 + 1) / 2)  # both wait for the first, one moves, one waits
    assert found["caller"] == pytest.approx((4 - 2) / 2)  # both wait while it decodes and writes
    assert found["contention"] == 0 and found["dispatch"] == 0
    assert found["waiting"] == 1.0


def test_only_idle_time_is_blamed_on_the_caller():
    both = lane(1, ("canny", 0, 2), ("canny", 3, 4)) + lane(2, ("canny", 0, 4))
    found = parts(4.0, both + caller(("transfer", 1, 2.5)))
    assert found["transfer"] == 0.25 and found["dispatch"] == 0.25 and found["caller"] == 0


def test_stages_count_the_callers_work_but_only_workers_wait():
    spans = lane(1, ("canny", 0, 2)) + caller(("encode", 2, 5), ("transfer", 5, 6))
    assert stages(spans, 2 * 6.0) == {"canny": 2.0, "encode": 3.0, "transfer": 1.0, "wait": 10.0}


SPAN = st.tuples(st.floats(0, 1), st.floats(0.001, 1), st.sampled_from(["canny", "transfer"]))


@given(
    st.lists(st.lists(SPAN, max_size=5), min_size=1, max_size=5),
    st.just([]) | st.lists(SPAN, max_size=8),
    st.integers(1, 8),
    st.integers(1, 4),
    st.floats(0.1, 50),
    st.floats(0, 2),
)
def test_the_parts_add_up_whatever_the_caller_does(lanes, own, workers, inner, base_wall, after):
    spans, wall = [], 0.0
    for worker, tasks in enumerate([own, *lanes[:workers]]):
        at = 0.0
        for gap, seconds, stage in tasks:
            spans.append(SpanRecord(worker, 0, stage, at + gap, at + gap + seconds))
            at += gap + seconds
        wall = max(wall, at)
    wall += after
    found = parts(wall, spans, workers=workers, inner=inner, base_wall=base_wall)
    assert list(found) == list(PARTS) and sum(found.values()) == pytest.approx(wall, abs=1e-5)
    assert own or found["caller"] == 0
    assert all(found[part] >= 0 for part in ("transfer", "dispatch", "waiting"))
    helped = sum(span.end - span.start for span in spans if span.worker == 0 and span.stage != "transfer")
    assert -helped / workers - 1e-5 <= found["caller"] <= wall - helped / workers + 1e-5
