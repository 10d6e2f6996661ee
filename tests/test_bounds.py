"""What no number of workers can beat: work and span of schedules that are known, and the bytes that memory moves."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import MakeRun
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from test_tails import in_turn

from benchmarks.comparisons import compare
from imgproc.measure.bounds import MemoryUse, copy_bandwidth, memory_use, work_and_span
from imgproc.measure.results import SpanRecord, WorkSpan
from imgproc.numbers import NBSP
from imgproc.report.bounds import bounds
from imgproc.report.text import comparison
from imgproc.runs.verify import verify
from imgproc.settings import Settings


def test_whole_images_need_nothing_of_each_other() -> None:
    assert work_and_span(in_turn([1.0, 1.0, 5.0], 2)) == WorkSpan(pytest.approx(7.0), pytest.approx(5.0))
    assert work_and_span([]) is work_and_span([SpanRecord(1, 0, "wait", 0.0, 1.0)]) is None


def test_strips_wait_for_each_other_between_phases() -> None:
    spans = [
        SpanRecord(1, 0, "decode", 0.0, 2.0, part=0),
        SpanRecord(1, 0, "canny", 2.0, 3.0, part=0),
        SpanRecord(2, 0, "canny", 2.0, 3.5, part=1),
        SpanRecord(0, 0, "merge", 3.5, 3.6),
        SpanRecord(2, 0, "encode", 3.6, 4.0, part=1),
    ]
    assert work_and_span(spans, [2.0, 3.5]) == WorkSpan(pytest.approx(5.0), pytest.approx(2.0 + 1.5 + 0.4))


@given(st.lists(st.floats(0.01, 10), min_size=1, max_size=30), st.integers(1, 8))
def test_no_schedule_beats_work_over_workers_nor_the_span(times: list[float], workers: int) -> None:
    spans = in_turn(times, workers)
    found, wall = work_and_span(spans), max(span.end for span in spans)
    assert found and max(found.work_seconds / workers, found.span_seconds) <= wall * (1 + 1e-9)
    assert found.span_seconds == pytest.approx(max(times)) and found.work_seconds == pytest.approx(sum(times))


def test_memory_bounds_by_what_is_read_and_written_once() -> None:
    assert memory_use({"canny": 2.0, "read": 1.0}, {"canny": 4_000, "gaussian": 4_000}, 8_000.0) == [
        MemoryUse("canny", 4_000, 2.0, 4.0)
    ]
    assert 1e8 < copy_bandwidth(1) < 1e13


def test_a_measured_run_has_them_and_verify_computes_them_again(photos: list[Path]) -> None:
    record = compare(photos, techniques=["threading"], workers=2, rounds=2, budget=2)
    assert verify(record) == []
    for t in record.techniques:
        assert t.work_span and t.typical and 0 < t.work_span.span_seconds <= t.typical.wall_seconds
    area = sum(image.width * image.height for image in record.images)
    assert {one.operation: one.bytes for one in record.memory} == dict.fromkeys(record.settings.operations, 2 * area)
    assert all(one.bound > 0 for one in record.memory)
    record.techniques[0].work_span.span_seconds *= 2  # type: ignore[union-attr]
    assert any("work_span is " in said for said in verify(record))
    record.techniques[0].work_span = None  # of an earlier version
    assert verify(record) == []


def test_text_and_page_tell_them(client: FlaskClient, make_run: MakeRun, settings: Settings) -> None:
    record = make_run(mode="compare")
    main = record.technique
    assert main and bounds(record) == []  # of an earlier version
    main.work_span = WorkSpan(8.0, 0.5)
    record.environment["copy_bytes_per_second"] = 12.34e9
    record.memory = [MemoryUse("canny", 2 * 10**9, 4.0, 24.7)]
    path, memory = (said.replace(NBSP, " ") for said in bounds(record))
    assert "the longest path of stages that need each other 0.500" in path and "16.0 times as fast" in path
    assert "all cores together copy 12.3 GB/s" in memory
    assert "canny does so with 0.5 GB/s, so memory lets it be at most 24.7 times as fast" in memory
    record.save(settings.RESULTS_DIR / record.id)
    page = client.get(f"/runs/{record.id}", headers={"Accept": "text/html"}).text
    plain = comparison(record).replace(NBSP, " ")
    assert all(said in page and said.replace(NBSP, " ") in plain for said in bounds(record))
    assert "All cores copy" in page
