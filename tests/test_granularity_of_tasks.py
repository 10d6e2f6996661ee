"""Scale mode over how much is handed over at a time: from where on it pays, by a known truth and by real runs."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import pytest
from figure_records import of
from flask import Flask
from flask.testing import FlaskClient
from granularity_runs import IMAGE, by_chunks, conclude, task_run
from test_cli import imgproc, own_machine_lock, photos  # noqa: F401  fixtures
from test_execute import run  # noqa: F401  a fixture

import imgproc as package
from imgproc.backends.base import Backend
from imgproc.measure.granularity import Threshold
from imgproc.numbers import NBSP, seconds
from imgproc.report import exercise, granularity, sentences
from imgproc.report.advice import advice
from imgproc.report.commands import command
from imgproc.report.document import document
from imgproc.report.notebook import notebook
from imgproc.report.tables import techniques
from imgproc.report.text import scale_table, summary
from imgproc.runs.archive import rounds_csv
from imgproc.runs.record import Record
from imgproc.runs.verify import verify
from imgproc.settings import Settings

SIZES = ((60, 80), (200, 300), (90, 90), (40, 40), (300, 200), (50, 60))
HTML = {"Accept": "text/html"}


def plain(text: str) -> str:
    return " ".join(text.replace(NBSP, " ").split())


# ---------------------------------------------------------------- a known truth


def test_break_even_lies_where_handing_over_costs_what_is_gained() -> None:
    found = task_run().granularity
    # 64 n = 32 (15 / k + 10) ms at k = 1.5; an efficiency of 80 % at k = 6; with 100 ms of start-up at 2.2.
    assert found and found.pays == Threshold(1, 2) and found.efficient == Threshold(4, 8)
    assert found.pays_with_startup == Threshold(2, 4)
    for a in found.amounts:
        assert a.images == 64 and a.baseline_seconds == pytest.approx(64 * IMAGE, rel=0.01)
        assert a.speedup == pytest.approx(64 * IMAGE / by_chunks(int(a.size)), rel=0.01)


def test_that_all_at_once_keeps_a_worker_idle_is_no_reason_to_say_that_it_never_pays() -> None:
    found = task_run().granularity
    assert found and found.amounts[-1].verdict == "slower" and found.pays.reached == 2
    worse = task_run((1, 64)).granularity
    assert worse and worse.pays.reached is None and "does not pay" in granularity.headline(worse)


def test_everything_is_computed_again_from_the_raw_times() -> None:
    record = task_run()
    again = Record.from_dict(json.loads(json.dumps(record.to_dict())))
    assert again == record and verify(again) == []
    again.points[0].rounds[0].wall_seconds *= 1.5
    assert any("2 at a time" in sentence for sentence in verify(again))
    assert again.granularity
    again.granularity.pays.reached = 8.0
    assert any(sentence.startswith("granularity.pays.reached") for sentence in verify(again))


def test_the_notebook_compares_each_with_the_whole_baseline(capsys: pytest.CaptureFixture[str]) -> None:
    book = json.loads(notebook(task_run()))
    cells = ["".join(cell["source"]) for cell in book["cells"] if cell["cell_type"] == "code"]
    shown = {"__name__": "notebook"}
    for cell in cells[:4]:
        if "matplotlib" not in cell:
            exec(cell, shown)
    told = capsys.readouterr().out
    assert "DIFFERS" not in told and told.count("times as fast") == 7


def test_without_other_speedups_there_is_nothing_to_tell() -> None:
    record = task_run(rounds=3)
    assert record.granularity and record.granularity.pays == Threshold()
    assert "Too few rounds" in granularity.headline(record.granularity)
    assert granularity.length(record.granularity) == ""
    record.techniques[1].rounds = []
    for m in record.measurements:
        m.speedup = m.speedup_ci95 = m.verdict = m.efficiency = None
    conclude(record)
    assert "No speedup can be shown" in granularity.headline(record.granularity)


# ---------------------------------------------------------------- what is told


def test_text_page_and_report_tell_the_same(app: Flask, client: FlaskClient, settings: Settings) -> None:
    record = task_run()
    record.save(settings.RESULTS_DIR / record.id)
    sentences_of_all = (
        "Parallel work pays from between 1 and 2 images at a time on.",
        "To keep 2 workers at an efficiency of 80 % takes 8 images at a time, not with 4.",
        "One image takes sequential 10.0 ms, so it pays from between 10.0 ms and 20.0 ms of work at a time on.",
        "with 32 images at a time.",
        "The same workers did all of them, and sequential all of it in the same rounds.",
    )
    page = client.get(f"/runs/{record.id}", headers=HTML).text
    for told in (scale_table(record), page, document(record)):
        for sentence in sentences_of_all:
            assert sentence in plain(told), sentence
    assert "isoefficiency" not in plain(granularity.efficiency(record.granularity))
    table = page.partition("by the amount of work")[2].partition("</table>")[0]
    of_eight = record.granularity.amounts[3].baseline_seconds / 64 * 8
    assert "8 at a time" in table and f"{plain(seconds(of_eight))} of work" in plain(table)
    assert client.get(f"/runs/{record.id}/figures/granularity.svg").status_code == 200


def test_one_sentence_first_and_the_lines_for_scripts() -> None:
    record = task_run()
    lines = plain(summary(record).replace("\n", " | ")).split(" | ")
    assert lines[0] == "Processing Mode: Scale (multiprocessing, 2 workers, 1 to 64 images at a time)"
    assert lines[4].startswith("Note: the time and the speedup are those of the run with 1 image at a time.")
    said = sentences.headline(record)
    lead = plain(f"{said.lead} {said.figure}{said.rest} {said.after}")
    assert lead.startswith("Parallel work pays from between 1 and 2 images at a time on, with process pool, 2 workers;")
    assert "with 32 images at a time it is 1.9" in lead  # the fastest, not the last
    assert "Pays from 2 images at a time on" in sentences.title(record)
    assert "handed over at once on does parallel work pay" in exercise.question(record)
    assert any("slower again" in prompt for prompt in exercise.discussion(record))
    assert "--over task" in command(record)
    told = advice(record)
    assert told and "with 2 workers, 32 images at a time: 1.9" in told.use and "--chunk-size 32" in told.command
    chart = of(record, "granularity")
    assert chart and "8 images at a time" in chart.alt


def test_rounds_and_rows_say_how_much_was_handed_over() -> None:
    record = task_run((1, 2, 4))
    rows = list(csv.DictReader(io.StringIO(rounds_csv(record))))
    assert {(row["technique"], row["at_a_time"]) for row in rows} == {
        ("multiprocessing", "1"), ("multiprocessing", "2"), ("multiprocessing", "4"), ("sequential", ""),
    }  # fmt: skip
    assert {row["images"] for row in rows} == {"64"}
    assert [row["label"] for row in techniques(record).dicts()][-1] == "Sequential"


# ---------------------------------------------------------------- real runs


@pytest.fixture
def handed(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """How many tasks each batch had, of every pass."""
    seen: list[list[int]] = []
    cut = Backend.batches

    def batches(self: Backend, tasks: Any) -> Any:
        found = cut(self, tasks)
        if self.name == "multiprocessing":
            seen.append([len(batch) for batch in found])
        return found

    monkeypatch.setattr(Backend, "batches", batches)
    return seen


def test_a_real_run_hands_over_so_many_to_the_same_workers(
    run: Any,  # noqa: F811
    handed: list[list[int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("imgproc.runs.measuring.LOOKS", ())
    record, _ = run(
        "multiprocessing", SIZES, "scale", over="task", worker_counts=[2], rounds=2, budget=60.0, split="never",
        points=[1.0, 3.0, 5.0, 9.0],
    )  # fmt: skip
    assert [(m.point, m.chunk_size, m.images) for m in record.points] == [(3, 3, None), (5, 5, None)]
    assert [t.chunk_size for t in record.techniques] == [1, None]
    assert handed[0] == [1] * 6 and [3, 3] in handed and [5, 1] in handed
    for m in record.measurements:
        assert m.identical and m.reason is None and len(m.rounds) == 2
        assert {span.image for span in m.spans if span.round == 1} == set(range(6))
    assert len({m.startup_seconds for m in record.measurements if m.name == "multiprocessing"}) == 1  # made once
    assert [(a.size, a.images) for a in record.granularity.amounts] == [(1, 6), (3, 6), (5, 6)]
    assert "There were 6 images, so handing over 9 at a time was left out." in record.warnings
    assert verify(Record.from_dict(json.loads(json.dumps(record.to_dict())))) == []


def digest_of(number: int) -> str:
    return hashlib.sha256(bytes(number)).hexdigest()


def test_own_functions_over_items(monkeypatch: pytest.MonkeyPatch, handed: list[list[int]], tmp_path: Path) -> None:
    monkeypatch.setattr("imgproc.runs.measuring.LOOKS", ())
    found = package.scale(digest_of, range(17), over="task", workers=2, rounds=2, budget=30, progress=False)
    record = found.record
    assert record.granularity and [a.size for a in record.granularity.amounts] == [1, 2, 4, 8]
    assert [8, 8, 1] in handed and [2] * 8 + [1] in handed
    assert all(m.identical and len(m.rounds) == 2 for m in record.measurements)
    table = plain(found.table())
    assert table.startswith("Processing Mode: Scale (multiprocessing, 2 workers, 1 to 8 items at a time)")
    assert "Handing over an item took" in table
    found.save(tmp_path / "run.json")
    assert verify(package.load(tmp_path / "run.json")) == []


def test_a_result_that_differs_in_a_batch_has_no_speedup_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is proven is proven of every way of handing over."""
    monkeypatch.setattr("imgproc.runs.measuring.LOOKS", ())
    found = package.scale(count_calls, range(8), over="task", workers=2, rounds=2, budget=30, progress=False)
    assert all(m.speedup is None and m.identical is False for m in found.record.points)


_calls = 0


def count_calls(_: int) -> int:
    global _calls
    _calls += 1
    return _calls


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--technique", "threading"], "Threads cannot hand out several images at once. What can: "),
        (["--points", "1.5"], "Whole numbers are handed over at once, not 1.5."),
        (["--schedule", "static"], "The schedule static decides itself how much is handed over at once."),
        (["--points", "999"], "so 999 cannot be handed over at once"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(more: list[str], said: str, photos: Path) -> None:  # noqa: F811
    done = imgproc("scale", photos, "--over", "task", *more)
    assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr


def test_auto_is_a_technique_that_can() -> None:
    with pytest.raises(package.UserError, match="over items there is task"):
        package.scale(len, ["a"], over="images", progress=False)
    with pytest.raises(package.UserError, match="cannot hand out several"):
        package.scale(len, ["a"], over="task", technique="threading", progress=False)
