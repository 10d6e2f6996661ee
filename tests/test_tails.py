"""What single images take, and the makespan's own bound: on schedules whose truth is known, and told once."""

from __future__ import annotations

import json

import pytest
from conftest import MakeRun
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from scale_runs import conclude, scale_run

from imgproc.measure.results import SpanRecord, Tails
from imgproc.measure.statistics import FIRST_RULES
from imgproc.measure.tails import imbalance, tails
from imgproc.numbers import NBSP
from imgproc.report.costs import tails as sentence
from imgproc.report.text import comparison
from imgproc.runs.record import Record
from imgproc.runs.verify import verify
from imgproc.settings import Settings


def in_turn(times: list[float], workers: int) -> list[SpanRecord]:
    """Each image by the first worker that is free, in two stages."""
    free, spans = [0.0] * workers, []
    for image, seconds in enumerate(times):
        worker = free.index(min(free))
        start, middle, end = free[worker], free[worker] + 0.3 * seconds, free[worker] + seconds
        spans += [SpanRecord(worker + 1, image, "decode", start, middle)]
        spans += [SpanRecord(worker + 1, image, "canny", middle, end)]
        free[worker] = end
    return spans


def test_half_95_percent_the_slowest_and_the_last() -> None:
    spans = in_turn([float(k) for k in range(1, 21)], 1)
    assert tails(spans, 1) == Tails(10.0, 19.0, 20.0, 210.0, 20.0, pytest.approx(210.0))
    assert tails([], 2) is tails([SpanRecord(1, 0, "wait", 0.0, 1.0)], 2) is None
    one = tails(in_turn([2.0], 2), 2)
    assert one and (one.p50_seconds, one.p95_seconds, one.last_after_seconds) == (2.0, 2.0, 2.0)


def test_the_bound_is_the_even_share_or_the_longest_image() -> None:
    even = tails(in_turn([1.0] * 6, 2), 2)
    assert even and even.makespan_bound_seconds == pytest.approx(3.0) == pytest.approx(even.last_done_seconds)
    straggler = tails(in_turn([1.0, 1.0, 5.0], 2), 2)
    assert straggler and straggler.makespan_bound_seconds == pytest.approx(5.0)
    assert straggler.last_done_seconds == 6.0 and straggler.last_after_seconds == 5.0


def test_an_image_in_strips_bounds_by_its_work_alone_and_the_callers_part_is_not_the_workers() -> None:
    spans = [SpanRecord(w, 0, "canny", 0.0, 2.0, part=w) for w in (1, 2)] + [SpanRecord(0, 0, "write", 2.0, 3.0)]
    assert tails(spans, 2) == Tails(3.0, 3.0, 3.0, 3.0, 3.0, 2.0)


@given(st.lists(st.floats(0.01, 10), min_size=1, max_size=30), st.integers(1, 8))
def test_no_schedule_beats_the_bound_and_taking_turns_is_within_twice_of_it(times: list[float], workers: int) -> None:
    found = tails(in_turn(times, workers), workers)
    assert found
    assert found.makespan_bound_seconds <= found.last_done_seconds * (1 + 1e-9)
    assert found.last_done_seconds <= (2 - 1 / workers) * found.makespan_bound_seconds * (1 + 1e-9)  # Graham
    assert found.p50_seconds <= found.p95_seconds <= found.slowest_seconds
    assert found.slowest_seconds == pytest.approx(max(times))


def test_imbalance_is_the_busiest_worker_over_the_mean_of_all() -> None:
    assert imbalance(in_turn([1.0] * 6, 2), 2) == pytest.approx(1.0)
    assert imbalance(in_turn([1.0, 1.0, 5.0], 2), 2) == pytest.approx(6.0 / 3.5)
    assert imbalance(in_turn([2.0], 1), 4) == pytest.approx(4.0)  # three got nothing
    assert imbalance(in_turn([1.0], 1), 1) is imbalance([], 2) is None
    assert imbalance([SpanRecord(0, 0, "write", 0.0, 9.0), *in_turn([1.0] * 2, 2)], 2) == pytest.approx(1.0)


def test_they_stand_in_the_record_and_verify_computes_them_again() -> None:
    record = scale_run((1, 2, 4))
    again = Record.from_dict(json.loads(json.dumps(record.to_dict())))
    assert again.techniques[0].tails == record.techniques[0].tails and verify(again) == []
    assert again.techniques[0].tails and all(m.tails is None for m in again.weak)
    again.techniques[0].tails.p95_seconds *= 2
    assert any("tails is " in said for said in verify(again))
    assert any(t.imbalance for t in again.techniques)
    conclude(record, FIRST_RULES)  # an earlier version knew none
    assert all(m.tails is None for m in record.techniques) and verify(record) == []


def test_text_and_page_tell_them(client: FlaskClient, make_run: MakeRun, settings: Settings) -> None:
    record = make_run(mode="compare")
    main = record.technique
    assert main and sentence(record) == ""  # of an earlier version
    main.tails = Tails(0.1, 0.2, 0.4, 1.1, 0.3, 0.9)
    said = sentence(record)
    assert said.startswith(f"Half of the images take at most 0.100{NBSP}s each with threads, 95{NBSP}% at most 0.200")
    assert f"The last was done 0.300{NBSP}s after the one before it. In no order could" in said
    assert said.replace(NBSP, " ") in comparison(record).replace(NBSP, " ")
    assert "imbalance" not in said
    main.imbalance = 1.25
    said = sentence(record)
    assert said.endswith(f"Load imbalance: the busiest worker was at work 1.25{NBSP}times as long as the mean of all.")
    record.save(settings.RESULTS_DIR / record.id)
    assert said in client.get(f"/runs/{record.id}", headers={"Accept": "text/html"}).text
