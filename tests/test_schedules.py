"""Schedules: the batches that they make, who follows them, and what a run says of one that was chosen."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any

import numpy as np
import pytest
from conftest import MakeRun
from test_execute import run  # noqa: F401  a fixture

import imgproc
from imgproc.backends import TECHNIQUES
from imgproc.backends.base import Options
from imgproc.backends.pools.threads import Threads
from imgproc.backends.schedules import OF_ITEMS, PIXELS_TRAVEL, SCHEDULES, USUAL
from imgproc.backends.task import Task
from imgproc.errors import UserError
from imgproc.exhibits import EXHIBITS
from imgproc.library.api import _task_run
from imgproc.measure.protocol import Contender
from imgproc.report.commands import command
from imgproc.report.conditions import facts
from imgproc.report.schedules import chosen, schedules
from imgproc.report.text import summary
from imgproc.report.timeline import timeline
from imgproc.runs.options import RunSettings
from imgproc.runs.parsing import parse_settings
from imgproc.runs.record import Record
from imgproc.settings import Settings
from tests.backend_kinds import AVAILABLE, COPIED, THREADED

SIZES = ((40, 50), (300, 400), (50, 60), (200, 200))
#: Long enough that no thread is done with its share before the other has begun.
LARGER = ((600, 800), (900, 1000), (700, 800), (800, 900))


def double(number: int, _: Any) -> int:
    return 2 * number


def cut(name: str, count: int, workers: int, chunk: int = 1) -> list[list[int]]:
    batches = SCHEDULES[name].cut([Task(n, double, n) for n in range(count)], workers, chunk)
    return [[task.index for task in batch] for batch in batches]


# ---------------------------------------------------------------- the batches


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("chunk", [1, 3])
def test_every_task_is_in_one_batch_and_none_is_empty(name: str, chunk: int) -> None:
    for count in range(14):
        for workers in (1, 2, 3, 8, 20):
            batches = cut(name, count, workers, chunk)
            assert sorted(n for batch in batches for n in batch) == list(range(count)) and all(batches)


@pytest.mark.parametrize(("name", "chunk", "batches"), [
    ("static", 1, [[0, 1, 2, 3], [4, 5, 6], [7, 8, 9]]),
    ("static", 2, [[0, 1, 2, 3], [4, 5, 6], [7, 8, 9]]),
    ("cyclic", 1, [[0, 3, 6, 9], [1, 4, 7], [2, 5, 8]]),
    ("cyclic", 2, [[0, 1, 6, 7], [2, 3, 8, 9], [4, 5]]),
    ("guided", 1, [[0, 1, 2, 3], [4, 5], [6, 7], [8], [9]]),
    ("guided", 3, [[0, 1, 2, 3], [4, 5, 6], [7, 8, 9]]),
    ("dynamic", 1, [[n] for n in range(10)]),
    ("dynamic", 4, [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]),
    ("longest-first", 1, [[n] for n in range(10)]),
])  # fmt: skip
def test_the_batches_of_ten_tasks_for_three_workers(name: str, chunk: int, batches: list[list[int]]) -> None:
    assert cut(name, 10, 3, chunk) == batches


def test_fixed_shares_are_as_many_as_workers_and_guided_ones_shrink() -> None:
    for workers in (1, 2, 5, 7):
        assert len(cut("static", 30, workers)) == len(cut("cyclic", 30, workers)) == workers
        lengths = [len(batch) for batch in cut("guided", 30, workers)]
        assert lengths == sorted(lengths, reverse=True) and lengths[0] == -(-30 // workers)


# ---------------------------------------------------------------- who follows one


def test_those_that_do_not_follow_a_schedule_say_why_and_stay_as_they_are() -> None:
    every = {name: technique.load() for name, technique in TECHNIQUES.items()}
    open_to_it = {name for name, backend in every.items() if not backend.capabilities.unscheduled}
    assert open_to_it == {*THREADED, *COPIED} - {"textbook", "interpreters"}
    for name, backend in every.items():
        made = backend(2, Options(schedule="static"))
        assert made.schedule.name == ("static" if name in open_to_it else USUAL)


@pytest.mark.parametrize(("schedule", "transfer", "followed"), [
    ("static", "paths", "static"), ("static", "arrays", None), ("guided", "shared", None), ("cyclic", "bytes", None),
    ("dynamic", "arrays", "dynamic"), ("longest-first", "arrays", "longest-first"),
])  # fmt: skip
def test_shares_of_pixels_are_not_held_at_once(schedule: str, transfer: str, followed: str | None) -> None:
    one = Contender(
        TECHNIQUES["multiprocessing"], 2, deadline=1.0, options=Options(schedule=schedule), transfer=transfer
    )
    assert (one.measurement.schedule, one.schedule.name) == (followed, followed or USUAL)
    assert one.measurement.unscheduled == ("" if followed else PIXELS_TRAVEL)
    backend = one.backend
    carried = [Task(n, double, n, carrier=lambda: None) for n in range(6)]  # type: ignore[arg-type,return-value]
    assert [len(batch) for batch in backend.batches(carried)] == [1] * 6


def test_a_thread_that_hangs_in_the_middle_of_its_share_leaves_the_rest_to_another() -> None:
    gate, calls = threading.Event(), []

    def hang_once(number: int, _: Any) -> int:
        calls.append(number)
        if number == 1 and calls.count(1) == 1:
            gate.wait(60)
        return 2 * number

    with closing(Threads(2, Options(schedule="static"))) as backend:
        backend.start()
        found = sorted(backend.run([Task(n, hang_once, n) for n in range(8)], deadline=0.5), key=lambda r: r.index)
        assert [(r.value, r.error, r.attempts) for r in found] == [(2 * n, None, 2 if n == 1 else 1) for n in range(8)]
        before = sorted(calls)
        gate.set()  # the thread that hung goes on: what was handed over with its task is no longer its own
        again = list(backend.run([Task(n, double, n) for n in range(8)], deadline=60.0))
    assert len(again) == 8 and sorted(calls) == before == [0, 0, 1, 1, 2, 3, 4, 5, 6, 7]


# ---------------------------------------------------------------- a run


def order_of(record: Record, name: str) -> list[int]:
    """The images of a technique in the order in which one worker began them."""
    [t] = [t for t in record.techniques if t.name == name]
    starts = sorted((span.start, span.image) for span in t.spans if span.round == 1)
    return list(dict.fromkeys(image for _, image in starts))


@pytest.mark.parametrize(("schedule", "order"), [("longest-first", [1, 3, 2, 0]), ("dynamic", [0, 1, 2, 3])])
def test_the_baseline_and_the_pixels_are_the_same_by_every_schedule(
    run: Callable[..., Any],  # noqa: F811
    schedule: str,
    order: list[int],
) -> None:
    record, _ = run("threading", SIZES, workers=1, schedule=schedule, rounds=1, budget=2)
    assert order_of(record, "threading") == order
    assert order_of(record, "sequential") == [1, 3, 2, 0]
    assert all(t.identical for t in record.techniques)


@pytest.mark.parametrize("name", ["static", "cyclic"])
def test_fixed_shares_are_in_the_record_and_what_cannot_follow_says_so(
    run: Callable[..., Any],  # noqa: F811
    name: str,
) -> None:
    asked = {"techniques": ["threading", "opencv"], "schedule": name, "split": "never"}
    record, _ = run("auto", LARGER, "compare", **asked, rounds=1, budget=3)
    threads, opencv, sequential = (
        next(t for t in record.techniques if t.name == wanted) for wanted in ("threading", "opencv", "sequential")
    )
    assert (threads.schedule, threads.unscheduled) == (name, "")
    assert opencv.schedule is sequential.schedule is None and "one worker" in opencv.unscheduled
    first = [span for span in threads.spans if span.round == 1]
    shares = {frozenset(span.image for span in first if span.worker == worker) for worker in (1, 2)}
    expected = {"static": ({0, 1}, {2, 3}), "cyclic": ({0, 2}, {1, 3})}[name]
    assert shares == set(map(frozenset, expected))
    told = " ".join(schedules(record))
    assert told.startswith(f"Schedule {name}: ") and f"{threads.imbalance:.2f} with threads" in told
    assert "It was not followed by OpenCV’s own threads: one worker does one after another." in told
    assert f"Note: Schedule {name}: " in summary(record) and ("Schedule", chosen(record)) in facts(record)["Settings"]
    assert f"--schedule {name}" in command(record)
    shown = timeline(record, "", "threads")
    assert shown and f"{name}, load imbalance {threads.imbalance:.2f}" in [one.shares for one in shown.shown]
    assert Record.from_dict(record.to_dict()).settings.schedule == name


def test_the_usual_schedule_is_not_talked_about(make_run: MakeRun) -> None:
    record = make_run(mode="compare")
    assert record.settings.schedule == USUAL and schedules(record) == []
    assert "Schedule" not in summary(record) and "--schedule" not in command(record)


def test_forms_and_command_lines_know_it_where_there_are_workers() -> None:
    settings = Settings()
    for mode in ("parallel", "compare", "scale"):
        assert parse_settings(mode, {"schedule": ["guided"]}, settings).schedule == "guided"
        assert parse_settings(mode, {}, settings).schedule == USUAL
    assert parse_settings("sequential", {"schedule": ["guided"]}, settings).schedule == USUAL
    with pytest.raises(UserError, match="Did you mean “static”") as problem:
        parse_settings("parallel", {"schedule": ["statik"]}, settings)
    assert problem.value.field == "schedule"


# ---------------------------------------------------------------- items


def total(array: Any) -> int:
    return int(np.asarray(array).sum())


@pytest.mark.parametrize(("asked", "order"), [(None, [0, 1, 2]), ("longest-first", [1, 2, 0])])
def test_items_are_taken_in_order_unless_told_otherwise(asked: str | None, order: list[int]) -> None:
    items = [np.ones(length, np.uint8) for length in (3, 900, 40)]
    found = _task_run("compare", total, items, {"schedule": asked, "workers": 1}, None, None, {})
    schedule = found.record.settings.schedule
    assert schedule == (asked or OF_ITEMS)
    threads = Contender(TECHNIQUES["threading"], 1, deadline=60.0, options=Options(schedule=schedule))
    with closing(threads.backend):
        done = found.pass_over(threads, range(3), "rounds")
    assert [part.image for part in done.parts] == order and threads.measurement.schedule == schedule


def test_items_of_which_nothing_is_known_cannot_come_longest_first() -> None:
    with pytest.raises(UserError, match="Nothing is known of how long these items take") as problem:
        imgproc.compare(total, [1, 2, 3], schedule="longest-first", techniques=["threading"])
    assert problem.value.field == "schedule"


# ---------------------------------------------------------------- what else knows their names


def test_the_usual_ones_and_those_of_the_exhibit_are_in_the_table() -> None:
    assert {USUAL, OF_ITEMS} <= set(SCHEDULES)
    shown = EXHIBITS["schedules"]
    assert {part.settings["schedule"] for part in shown.parts} == set(SCHEDULES)
    assert RunSettings([], {}).schedule == USUAL
    assert "threading" in AVAILABLE
