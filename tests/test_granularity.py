"""Scale mode over batch sizes: from where on parallel work pays, by known truths and by real runs."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from figure_records import drawn, marks, of
from flask import Flask
from flask.testing import FlaskClient
from granularity_runs import IMAGE, START, WORKERS, conclude, granularity_run, two_workers
from test_cli import imgproc, own_machine_lock, photos  # noqa: F401  fixtures
from test_execute import add_technique, run  # noqa: F401  a fixture

import imgproc as package
from imgproc.errors import UserError
from imgproc.measure.derive import comparisons_of
from imgproc.measure.granularity import Threshold
from imgproc.measure.results import Progress
from imgproc.measure.statistics import paired_speedup
from imgproc.numbers import NBSP
from imgproc.report import exercise, granularity, sentences
from imgproc.report.advice import advice
from imgproc.report.commands import command, fields, query
from imgproc.report.document import document
from imgproc.report.tables import techniques
from imgproc.report.text import scale_table, summary
from imgproc.runs.amounts import NO_TIME, middle
from imgproc.runs.archive import rounds_csv
from imgproc.runs.record import Record
from imgproc.runs.verify import verify
from imgproc.settings import Settings

SIZES = ((60, 80), (200, 300), (90, 90), (40, 40), (300, 200))
OVER = {"over": "images", "worker_counts": [2], "rounds": 1, "budget": 60.0}
JSON, HTML = {"Accept": "application/json"}, {"Accept": "text/html"}


# ---------------------------------------------------------------- known truths


def test_break_even_and_isoefficiency_lie_between_the_measured_batches_of_the_truth() -> None:
    found = granularity_run().granularity
    assert found
    # 10 n = 15 + 5 n at 3 images; with 100 ms of start-up at 23; an efficiency of 80 % at 12.
    assert found.pays == Threshold(2, 4)
    assert found.pays_with_startup == Threshold(16, 32)
    assert found.efficient == Threshold(8, 16)
    for a in found.amounts:
        truth = IMAGE * a.size / two_workers(int(a.size))
        assert a.speedup == pytest.approx(truth, rel=0.01) and a.efficiency == pytest.approx(truth / WORKERS, rel=0.01)
        assert a.with_startup == pytest.approx(IMAGE * a.size / (two_workers(int(a.size)) + START), rel=0.01)
        assert a.speedup_ci95 and a.speedup_ci95[0] <= a.speedup <= a.speedup_ci95[1]
        assert a.efficiency_ci95 == pytest.approx([end / WORKERS for end in a.speedup_ci95])


def test_nothing_is_extrapolated() -> None:
    never = granularity_run((1, 2)).granularity
    assert never and never.pays == Threshold(2, None) and never.efficient == Threshold(2, None)
    always = granularity_run((8, 16, 32), startup=0.0).granularity
    assert always and always.pays == Threshold(None, 8) == always.pays_with_startup
    assert "does not pay within what was measured, 1 to 2 images" in granularity.headline(never)
    assert "pays from 8 images on, the least that was measured" in granularity.headline(always)


def test_where_rounds_scatter_the_interval_is_wider_and_says_so() -> None:
    found = granularity_run(noise=0.12, rounds=6).granularity
    assert found
    missed, reached = found.pays.missed, found.pays.reached
    assert reached is not None and reached > 4 and (missed is None or missed <= 2)
    few = granularity_run(rounds=3).granularity
    assert few and few.pays == few.efficient == few.pays_with_startup == Threshold()
    assert granularity.headline(few) == "Too few rounds to tell from how much work on it pays; give it more time."


def test_a_batch_that_only_looks_faster_breaks_the_row() -> None:
    """It pays from where on all larger batches do."""
    found = granularity_run(parallel=lambda n: {1: 0.006, 2: 0.03}.get(n, two_workers(n))).granularity
    assert found and found.amounts[0].verdict == "faster" and found.pays == Threshold(2, 4)


def test_every_interval_holds_for_all_that_are_compared() -> None:
    record = granularity_run(noise=0.05)
    count = comparisons_of(record.techniques, record.points)
    assert count == 1 + 2 * 5 + 1 == record.found.comparisons
    four = {m.name: [r.wall_seconds for r in m.rounds] for m in record.points if m.point == 4}
    _, interval = paired_speedup(four["sequential"], four["threading"], count)
    found = record.granularity
    assert found and interval and found.amounts[2].speedup_ci95 == pytest.approx([*interval])
    ours = [wall + START for wall in four["threading"]]
    started, interval = paired_speedup(four["sequential"], ours, count)
    assert found.amounts[2].with_startup == pytest.approx(started)
    assert interval and found.amounts[2].with_startup_ci95 == pytest.approx([*interval])


def test_equal_techniques_are_told_apart_in_no_more_than_one_run_of_twenty() -> None:
    """Whatever batch, with start-up or without: the share of runs with any verdict."""
    chance, wrong, runs = random.Random(11), 0, 400
    count = 1 + 2 * 5 + 1
    for _ in range(runs):
        for _ in range(6):
            base, other = ([chance.lognormvariate(0, 0.05) for _ in range(8)] for _ in range(2))
            _, interval = paired_speedup(base, other, count)
            _, started = paired_speedup(base, [wall + 1e-4 for wall in other], count)
            if interval and started and not (interval[0] <= 1 <= interval[1] and started[0] <= 1 <= started[1]):
                wrong += 1
                break
    assert wrong / runs <= 0.05


def test_everything_is_computed_again_from_the_raw_times() -> None:
    record = granularity_run()
    again = Record.from_dict(json.loads(json.dumps(record.to_dict())))
    assert again == record and verify(again) == []
    assert again.granularity
    again.granularity.pays.reached = 2
    assert verify(again) == ["granularity.pays.reached is 2, but the raw samples give 4.0."]
    again.granularity.pays.reached = 4.0
    again.points[0].rounds[0].wall_seconds *= 1.5
    assert any("1 image" in sentence for sentence in verify(again))


def test_without_a_baseline_at_a_batch_it_has_no_speedup() -> None:
    record = granularity_run()
    lost = next(m for m in record.points if m.name == "sequential" and m.point == 4)
    lost.rounds, lost.median_seconds, lost.reason = [], None, "It failed."
    for m in (one for one in record.points if one.point == 4):
        m.speedup = m.speedup_ci95 = m.verdict = m.efficiency = None
    conclude(record)
    found = record.granularity
    assert found and found.amounts[2].speedup is None and found.pays == Threshold(2, 8)
    part = granularity.section(record)
    assert part and part.left_out == ["Sequential, 4 images was not measured: It failed."]


# ---------------------------------------------------------------- what is told


def plain(text: str) -> str:
    return " ".join(text.replace(NBSP, " ").split())


def test_text_page_and_report_tell_the_same(app: Flask, client: FlaskClient, settings: Settings) -> None:
    record = granularity_run()
    record.save(settings.RESULTS_DIR / record.id)
    pays = "Parallel work pays from between 2 and 4 images on."
    startup = (
        "With the start-up of the workers, 0.100 s, which is measured once and is no part of the rounds, it pays from "
        "between 16 and 32 images on."
    )
    kept = "To keep 2 workers at an efficiency of 80 % takes 16 images, not with 8 (isoefficiency)."
    page = client.get(f"/runs/{record.id}", headers=HTML).text
    for told in (scale_table(record), page, document(record)):
        for sentence in (pays, startup, kept):
            assert sentence in plain(told), sentence
    table = page.partition("by the amount of work")[2].partition("</table>")[0]
    for a in record.granularity.amounts if record.granularity else ():
        assert f"{a.speedup:.2f}×" in table and f"{a.with_startup:.2f}×" in table
    assert f"/runs/{record.id}/figures/granularity.svg" in page
    assert client.get(f"/runs/{record.id}/figures/granularity.svg").status_code == 200


def test_one_sentence_first_and_five_lines_for_scripts() -> None:
    record = granularity_run()
    lines = plain(summary(record).replace("\n", " | ")).split(" | ")
    assert lines[0] == "Processing Mode: Scale (threading, 2 workers, 1 to 32 images)"
    assert lines[1] == "Number of Images: 32" and lines[3].startswith("Speedup: 1.8x over Sequential (95% CI")
    assert lines[4] == (
        "Note: the time and the speedup are those of the largest batch. Parallel work pays from between 2 and 4 images "
        "on."
    )
    said = sentences.headline(record)
    assert plain(f"{said.lead} {said.figure}{said.rest} {said.after}").startswith(
        "Parallel work pays from between 2 and 4 images on, with threads, 2 workers; with 32 images it is 1.83 times"
    )
    assert said.after.endswith("; the same pixels.")
    assert sentences.title(record) == "Pays from 4 images on, Threads, 2 workers, 32 images"
    told = advice(record)
    assert told and "it pays from between 16 and 32 images on" in told.pays
    assert "From how many of 32 images on does parallel work pay" in exercise.question(record)
    assert any("isoefficiency" in prompt for prompt in exercise.discussion(record))


def test_why_is_what_the_rounds_lost() -> None:
    said = plain(granularity.why(granularity_run()))
    assert said.startswith("With 1 image 75 % of a round of 20.0 ms was lost")
    assert "With 32 images 8.7 % of a round of 0.175 s was lost, through waiting." in said
    assert said.endswith("While the workers start, sequential does 10 images.")
    assert "sequential does" not in granularity.why(granularity_run(startup=1e-6))


def test_rows_and_rounds_of_every_batch_are_in_the_tables() -> None:
    record = granularity_run()
    rows = techniques(record).dicts()
    assert [row["images"] for row in rows if row["technique"] == "threading"] == [1, 2, 4, 8, 16, None]
    assert [row["megapixels"] for row in rows if row["technique"] == "sequential"][:2] == [3.0, 6.0]
    lines = rounds_csv(record).splitlines()
    assert [sum(line.split(",")[5] == str(size) for line in lines) for size in (8, 32)] == [14, 14]


def test_the_command_and_the_address_ask_for_the_same() -> None:
    record = granularity_run()
    record.settings.points = [1.0, 8.0, 32.0]
    assert "--over images --points 1,8,32" in command(record) and "--workers 2" in command(record)
    assert "over=images&points=1,8,32" in query(fields(record))


def test_the_figure_has_every_batch_where_its_speedup_is() -> None:
    record = granularity_run(noise=0.03)
    found, chart = record.granularity, of(record, "granularity")
    assert found and chart and "4 images" in chart.alt and chart.sentence.startswith("Parallel work pays")
    for narrow in (False, True):
        _, axes = drawn(record, "granularity", narrow)
        assert axes.get_xscale() == "log"
        shown: dict[str, list[Any]] = {"o": [], "D": []}
        for marker, x, y, ends, _ in marks(axes):
            shown[marker].append((x, y, [height for _, height in ends]))
        assert shown["o"] == [(a.size, a.speedup, pytest.approx(a.speedup_ci95)) for a in found.amounts]
        assert shown["D"] == [(a.size, a.with_startup, pytest.approx(a.with_startup_ci95)) for a in found.amounts]
    assert of(granularity_run((4,)), "granularity") is None


# ---------------------------------------------------------------- real runs


@pytest.fixture
def two_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A budget that is enough however busy the machine is need not be used up."""
    monkeypatch.setattr("imgproc.runs.measuring.LOOKS", ())


@pytest.mark.usefixtures("two_rounds")
def test_a_real_run_measures_every_batch_in_the_same_rounds(run: Any) -> None:  # noqa: F811
    record, _ = run("threading", SIZES, "scale", **{**OVER, "rounds": 2})
    assert [m.point for m in record.points] == [1, 1, 2, 2, 4, 4] and [m.images for m in record.points][::2] == [
        1,
        2,
        4,
    ]
    rounds = len(record.techniques[0].rounds)
    for m in record.measurements:
        assert m.identical and m.reason is None and len(m.rounds) == rounds >= 2
    for m in record.points:
        shown = {span.image for span in m.spans if span.round == 1}
        assert len(shown) == m.images
        twin = next(t for t in record.points if t.point == m.point and t is not m)
        assert shown == {span.image for span in twin.spans if span.round == 1}
    assert [a.size for a in record.granularity.amounts] == [1, 2, 4, 5]
    assert record.scaling is None and not record.weak
    assert len(record.images[0].outputs) == 3  # results of all images are made
    again = Record.from_dict(json.loads(json.dumps(record.to_dict())))
    assert again == record and verify(again) == []


@pytest.mark.usefixtures("two_rounds")
def test_the_largest_point_is_the_whole_work_and_larger_ones_are_left_out(run: Any) -> None:  # noqa: F811
    record, _ = run("threading", SIZES, "scale", points=[1.0, 3.0], **OVER)
    assert [a.images for a in record.granularity.amounts] == [1, 3] and len(record.sample) == 3
    assert verify(record) == []


@pytest.mark.usefixtures("two_rounds")
def test_batches_of_more_images_than_there_are_are_left_out(run: Any) -> None:  # noqa: F811
    record, _ = run("threading", SIZES, "scale", points=[2.0, 64.0], **OVER)
    assert [a.images for a in record.granularity.amounts] == [2, 5]
    assert "There were 5 images, so batches of 64 were left out." in record.warnings


def test_batches_for_which_there_is_no_time_are_left_out(run: Any) -> None:  # noqa: F811
    record, _ = run("threading", SIZES, "scale", **{**OVER, "budget": 1e-6})
    assert len(record.sample) == 4 and [a.images for a in record.granularity.amounts] == [1, 2, 4]
    left = [m for m in record.points if m.point == 4]
    assert len(left) == 2 and all(m.reason == NO_TIME and not m.rounds for m in left)
    assert verify(record) == []


@pytest.mark.usefixtures("two_rounds")
def test_other_pixels_have_no_speedup_at_any_batch(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    add_technique(monkeypatch, "sloppy", "fakes:Sloppy")
    record, _ = run("sloppy", SIZES, "scale", **OVER)
    for m in record.measurements:
        assert m.identical == (m.name == "sequential") and (m.speedup is None) == (m.name == "sloppy")
    assert "the pixels differ from its own" in sentences.headline(record).lead
    assert verify(record) == []


@pytest.mark.usefixtures("two_rounds")
@pytest.mark.parametrize("mode", ["scale", "parallel"])
def test_a_technique_that_fails_in_between_costs_its_figures(
    mode: str,
    run: Any,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    add_technique(monkeypatch, "unlucky", "fakes:BreaksLater")
    record, _ = run("unlucky", SIZES, mode, **{**OVER, "rounds": 6})
    lost = [m for m in record.measurements if m.name == "unlucky"]
    assert lost and all("could not" in m.reason and m.speedup is None for m in lost)
    assert verify(record) == []


@pytest.mark.usefixtures("two_rounds")
def test_a_real_run_over_image_sizes_works_on_parts_of_the_images(run: Any) -> None:  # noqa: F811
    seen = {}

    def progress(now: Progress) -> None:
        seen[now.phase] = True

    record, places = run(
        "threading", ((300, 200), (250, 400)), "scale", **{**OVER, "over": "megapixels"}, points=[0.005, 0.04, 0.5],
        progress=progress,
    )  # fmt: skip
    assert [(m.point, m.images) for m in record.points] == [(0.005, 2), (0.005, 2), (0.04, 2), (0.04, 2)]
    for m in record.points:
        assert m.identical and m.megapixels == pytest.approx(2 * m.point, rel=0.02) and m.rounds
        assert {span.image for span in m.spans} == {0, 1}
    assert [a.size for a in record.granularity.amounts] == [0.005, 0.04]
    assert (
        "The smallest of the images has 0.06 megapixels, so sizes of 0.5 were left out: images are never enlarged."
    ) in record.warnings
    assert seen["cutting"] and not places.work.exists()
    assert [(i.width, i.height) for i in record.images] == [(200, 300), (400, 250)]  # results are of the whole images
    assert granularity.span(record.granularity) == "0.005 to 0.04 megapixels an image"
    assert "PNG" in granularity.notes(record.granularity)[0]
    assert "those of the images as they are" in summary(record) and "0.04 megapixels" in scale_table(record)
    assert verify(Record.from_dict(json.loads(json.dumps(record.to_dict())))) == []


def test_images_that_are_too_small_are_refused_in_a_sentence(run: Any) -> None:  # noqa: F811
    with pytest.raises(UserError, match=r"The smallest of the images has 0\.0016 megapixels, which is less than"):
        run("threading", SIZES, "scale", **{**OVER, "over": "megapixels"})


@pytest.mark.parametrize("shape", [(300, 200), (300, 200, 3), (7, 1000), (1, 1)])
@pytest.mark.parametrize("size", [1e-6, 0.004, 0.0069, 0.05, 9.0])
def test_the_middle_of_an_image_is_a_part_of_it_in_its_shape(shape: tuple[int, ...], size: float) -> None:
    pixels = np.arange(np.prod(shape), dtype=np.int64).reshape(shape)
    part = middle(pixels, size)
    rows, columns = part.shape[:2]
    top = (shape[0] - rows) // 2
    assert np.array_equal(part, pixels[top : top + rows, (shape[1] - columns) // 2 :][:, :columns])
    wanted = min(size * 1e6, shape[0] * shape[1])
    assert rows * columns == pytest.approx(wanted, abs=max(rows, 0.5))
    if wanted > 100:
        assert rows / columns == pytest.approx(shape[0] / shape[1], rel=0.2)


def test_on_the_command_line(photos: Path, tmp_path: Path) -> None:  # noqa: F811
    words = ("scale", photos, "--technique", "threading", "--workers", 2, "--over", "images", "--points", "1,2,5")
    done = imgproc(*words, "--rounds", 2, "--budget", 4, "--json", tmp_path / "run.json")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Processing Mode: Scale (threading, 2 workers, 1 to 5 images)\n")
    assert "Threads, 2 workers, by the amount of work" in done.stdout
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["settings"]["over"] == "images" and record["settings"]["points"] == [1, 2, 5]
    assert [a["images"] for a in record["granularity"]["amounts"]] == [1, 2, 5]
    assert imgproc("verify", tmp_path / "run.json").returncode == 0
    plan = imgproc(*words, "--dry-run").stdout
    assert "Threads, 2 workers, 2 images, 2 workers" in plan and "Sequential, 1 image, 1 worker" in plan


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--over", "images", "--points", "1.5"], "Batches have whole numbers of images, not 1.5."),
        (["--over", "images", "--points", "0,2"], "--points must be numbers from 0.001 to 100000"),
        (["--over", "image"], "Did you mean “images”?"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(more: list[str], said: str, photos: Path) -> None:  # noqa: F811
    done = imgproc("scale", photos, "--technique", "threading", *more)
    assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr


def test_from_python(photos: Path) -> None:  # noqa: F811
    found = package.scale(
        "canny", photos, technique="threading", workers=2, over="images", points=[1, 4], rounds=1, budget=4,
        progress=False,
    )  # fmt: skip
    assert found.record.granularity and [a.images for a in found.record.granularity.amounts] == [1, 4]
    with pytest.raises(package.UserError, match="is for image files"):
        package.scale(len, ["a"], over="images", progress=False)


def test_the_form_asks_for_it_and_keeps_it(client: FlaskClient, settings: Settings) -> None:
    page = client.get("/?mode=scale&over=images&points=1,2", headers=HTML).text
    assert '<option value="images" selected>' in page and 'id="points" name="points" value="1, 2"' in page
    fields = {"samples": "2", "sample_megapixels": "0.1", "mode": "scale", "technique": "threading"}
    form = {"worker_list": "1, 2, 3, 4", "cv2_threads": "1, 2", "points": ""}
    answer = client.post("/process", data={**fields, **form, "over": "images"}, headers=JSON)
    asked = Record.load(settings.RESULTS_DIR / answer.get_json()["id"]).settings
    assert asked.over == "images" and asked.cv2_threads == [1] and len(asked.worker_counts) == 1
    answer = client.post("/process", data={**fields, **form, "over": "workers", "points": "1,2"}, headers=JSON)
    asked = Record.load(settings.RESULTS_DIR / answer.get_json()["id"]).settings
    assert asked.points == [] and asked.worker_counts == [1, 2, 3, 4]
    refused = client.post("/process", data={**fields, "over": "images", "points": "1.5"}, headers=JSON)
    assert refused.status_code == 400 and refused.get_json()["error"]["field"] == "points"
