"""How work has to grow with the workers: scale mode over amounts of work with several numbers of workers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from figure_records import drawn, marks, of
from flask import Flask
from flask.testing import FlaskClient
from granularity_runs import HANDING, IMAGE, granularity_run
from test_cli import imgproc, own_machine_lock, photos  # noqa: F401  fixtures
from test_execute import run  # noqa: F401  a fixture

from imgproc.measure.derive import comparisons_of
from imgproc.measure.granularity import Growth, Isoefficiency, Threshold, growth
from imgproc.numbers import NBSP
from imgproc.report import exercise, granularity
from imgproc.report.commands import command
from imgproc.report.document import document
from imgproc.report.text import scale_table, summary
from imgproc.runs.options import RunSettings, scale_counts
from imgproc.runs.parsing import parse_settings
from imgproc.runs.record import Record
from imgproc.runs.verify import verify
from imgproc.settings import Settings

SIZES = ((60, 80), (200, 300), (90, 90), (40, 40), (300, 200))
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128)


def workers(count: int, handing: float = HANDING) -> Callable[[int], float]:
    """An efficiency of 80 % takes 4 times ``handing`` of work for each worker."""
    return lambda images: handing + IMAGE * images / count


def quadratic(count: int) -> Callable[[int], float]:
    """Handing over costs with every pair of workers: four times the work for twice the workers keeps the efficiency."""
    return workers(count, HANDING * count * count / 4)


def plain(text: str) -> str:
    return " ".join(text.replace(NBSP, " ").split())


# ---------------------------------------------------------------- known truths


def test_each_number_of_workers_needs_what_the_truth_says() -> None:
    found = granularity_run(BATCHES, others={4: workers(4), 1: workers(1)}).granularity
    # 6 images for one worker, 12 for two, 24 for four.
    assert found and found.workers == 4 and found.pays.reached == 4
    assert [one.workers for one in found.isoefficiency] == [1, 2, 4]
    assert [one.efficient for one in found.isoefficiency] == [Threshold(4, 8), Threshold(8, 16), Threshold(16, 32)]
    assert found.efficient == Threshold(16, 32) and found.amounts == found.isoefficiency[-1].amounts
    for one in found.isoefficiency:
        for a in one.amounts:
            truth = IMAGE * a.size / workers(one.workers)(int(a.size)) / one.workers
            assert a.efficiency == pytest.approx(truth, rel=0.01)
            assert a.efficiency_ci95 and a.efficiency_ci95[0] <= a.efficiency <= a.efficiency_ci95[1]
    # Twice the workers need twice the work; the amounts allow for once to four times.
    assert found.growth == Growth([2, 4], 1.0, 4.0)
    assert "do not tell whether by more or less than the workers do" in granularity.growth(found, 4)


def test_work_that_grows_faster_than_the_workers_is_told() -> None:
    found = granularity_run(BATCHES, others={4: quadratic(4)}).granularity
    assert found and found.growth == Growth([2, 4], 4.0, 16.0)
    said = plain(granularity.growth(found, 8))
    assert said == (
        "From 2 to 4 workers, 2 times as many, work has to grow to between 4 and 16 times as much to keep an "
        "efficiency of 80 %, by more than the workers do (isoefficiency)."
    )
    slow = [Isoefficiency(2, [], Threshold(8, 16)), Isoefficiency(32, [], Threshold(16, 32))]
    assert growth(slow) == Growth([2, 32], 1.0, 4.0)


def test_what_was_never_reached_is_not_made_up() -> None:
    found = granularity_run((1, 2, 4, 8, 16, 32), others={4: quadratic(4)}).granularity
    assert found and found.growth is None and found.efficient == Threshold(32, None)
    said = plain(granularity.growth(found, 8))
    assert said.endswith("cannot be told: no amount that was measured surely keeps 4 workers at an efficiency of 80 %.")
    rows = granularity.needs(found)
    assert rows[1].reached == "nothing that was measured" and rows[1].missed == "32 images"
    three = granularity_run((1, 2, 4, 8, 16, 32), others={4: quadratic(4), 1: workers(1)}).granularity
    said = plain(granularity.growth(three, 8))
    assert said.startswith("From 1 to 2 workers,") and "But no amount that was measured surely keeps 4 workers" in said
    open_below = [Isoefficiency(2, [], Threshold(None, 1)), Isoefficiency(4, [], Threshold(4, 8))]
    assert growth(open_below) == Growth([2, 4], 4.0, None)


def test_two_cores_tell_what_they_can_and_say_so() -> None:
    found = granularity_run(BATCHES, others={1: workers(1, 0.0)}).granularity
    assert found and [one.workers for one in found.isoefficiency] == [1, 2]
    said = plain(granularity.growth(found, 2))
    assert said.startswith("From 1 to 2 workers, 2 times as many, work has to grow to at least 8 times as much")
    assert said.endswith("With 2 cores there are no more workers to tell it from.")


def test_one_number_of_workers_has_no_table() -> None:
    found = granularity_run().granularity
    assert found and found.isoefficiency == [] and found.growth is None
    assert granularity.growth(found, 2) == "" and granularity.needs(found) == []
    assert of(granularity_run(), "isoefficiency") is None


def test_more_comparisons_share_what_may_go_wrong_and_all_is_computed_again() -> None:
    record = granularity_run(BATCHES, others={4: workers(4)})
    assert comparisons_of(record.techniques, record.points) == 3 + 2 * 2 * 7 + 2 == record.found.comparisons
    again = Record.from_dict(json.loads(json.dumps(record.to_dict())))
    assert again == record and verify(again) == []
    assert again.granularity
    again.granularity.isoefficiency[0].efficient.reached = 1.0
    assert verify(again) == ["granularity.isoefficiency[0].efficient.reached is 1.0, but the raw samples give 16.0."]


# ---------------------------------------------------------------- what is told


def test_text_page_and_report_tell_the_same(app: Flask, client: FlaskClient, settings: Settings) -> None:
    record = granularity_run(BATCHES, others={4: quadratic(4)})
    record.save(settings.RESULTS_DIR / record.id)
    page = client.get(f"/runs/{record.id}", headers={"Accept": "text/html"}).text
    for told in (scale_table(record), page, document(record)):
        assert "work has to grow to between 4 and 16 times as much" in plain(told)
    text = plain(scale_table(record))
    assert "2 workers: 16 images (84" in text and "not with 8 images (73" in text
    table = page.partition("Work that each number of workers needs")[2].partition("</table>")[0]
    assert "128 images" in table and "64 images" in table
    assert client.get(f"/runs/{record.id}/figures/isoefficiency.svg").status_code == 200
    assert summary(record).startswith("Processing Mode: Scale (threading, 2 to 4 workers, 1 to 128 images)")
    assert record.technique and record.technique.workers == 4
    assert any("work has to grow" in prompt for prompt in exercise.discussion(record))
    assert "--workers 2,4" in command(record)


def test_the_figure_has_every_efficiency_where_it_is() -> None:
    record = granularity_run(BATCHES, others={4: workers(4)}, noise=0.03)
    found, chart = record.granularity, of(record, "isoefficiency")
    assert found and chart and "4 workers: 1 image " in chart.alt and chart.sentence == granularity.growth(found, 4)
    for narrow in (False, True):
        _, axes = drawn(record, "isoefficiency", narrow)
        shown: dict[str, list[Any]] = {"D": [], "o": []}
        for marker, x, y, ends, _ in marks(axes):
            shown[marker].append((x, y, [height for _, height in ends]))
        for marker, one in zip("Do", found.isoefficiency, strict=True):
            assert shown[marker] == [(a.size, a.efficiency, pytest.approx(a.efficiency_ci95)) for a in one.amounts]


# ---------------------------------------------------------------- real runs


def test_several_workers_are_measured_where_they_are_named(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setattr("imgproc.runs.measuring.LOOKS", ())
    monkeypatch.setattr("imgproc.runs.amounts.usable_cores", lambda: 2)
    record, _ = run(
        "threading", SIZES, "scale", over="images", worker_counts=[1, 2, 8], workers=2, points=[2.0, 5.0], rounds=2,
        budget=60.0,
    )  # fmt: skip
    assert [(t.name, t.workers) for t in record.techniques] == [("threading", 2), ("sequential", 1), ("threading", 1)]
    assert [(m.name, m.workers, m.point) for m in record.points] == [
        ("threading", 2, 2), ("sequential", 1, 2), ("threading", 1, 2),
    ]  # fmt: skip
    found = record.granularity
    assert [(one.workers, [a.images for a in one.amounts]) for one in found.isoefficiency] == [(1, [2, 5]), (2, [2, 5])]
    assert all(m.identical and len(m.rounds) == 2 for m in record.measurements)
    assert any(
        warning.startswith("This machine has 2 cores, so 8 workers were left out") for warning in record.warnings
    )
    assert verify(Record.from_dict(json.loads(json.dumps(record.to_dict())))) == []


def test_only_those_that_somebody_chose_are_several() -> None:
    def counts(more: dict[str, str]) -> RunSettings:
        given = {"technique": ["threading"], "over": ["images"], **{name: [value] for name, value in more.items()}}
        return parse_settings("scale", given, Settings())

    assert len(counts({}).worker_counts) == 1  # what a form is filled with is no choice
    assert len(counts({"worker_list": scale_counts(Settings().MAX_WORKERS)}).worker_counts) == 1
    assert counts({"worker_list": "1,2"}).worker_counts == [1, 2]
    assert len(counts({"worker_list": "1,2", "over": "task", "technique": "multiprocessing"}).worker_counts) == 1


def test_on_the_command_line(photos: Path, tmp_path: Path) -> None:  # noqa: F811
    words = ("scale", photos, "--technique", "threading", "--workers", "1,2", "--over", "images", "--points", "1,5")
    plan = imgproc(*words, "--dry-run").stdout
    assert "Threads, 1 worker, 1 image, 1 worker" in plan and "Threads, 2 workers, 1 image, 2 workers" in plan
