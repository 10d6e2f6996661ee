"""Numbers, sentences and geometry of the pages."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from conftest import MakeRun
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from scale_runs import conclude, fail, scale_run

from imgproc import numbers
from imgproc.backends import TECHNIQUES
from imgproc.measure.curves import Scaling
from imgproc.measure.results import Progress, Round, TechniqueMeasurement
from imgproc.report import page, pictures, scale, sentences
from imgproc.runs.record import Record, RunSettings
from imgproc.runs.store import Store
from imgproc.settings import Settings


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        *((numbers.seconds(value), text) for value, text in (
            (None, "–"), (0.274, "0.274~s"), (2.9712, "2.97~s"), (31.24, "31.2~s"), (126.4, "126~s"),
            (0.0621, "62.1~ms"), (0.00421, "4.21~ms"), (0.0001, "0.10~ms"), (0, "0.00~ms"),
        )),
        # An interval has the decimals of its value.
        (numbers.interval([0.2691, 0.2812], 0.274), "0.269–0.281"), (numbers.interval([2.9, 3.1], 2.97), "2.90–3.10"),
        (numbers.interval([0.0611, 0.063], 0.0621), "61.1–63.0"), (numbers.interval(None, 1.0), ""),
        *((numbers.size(count), text) for count, text in (
            (0, "0~kB"), (1, "1~kB"), (812_000, "812~kB"), (3_600_000, "3.6~MB"), (2_500_000_000, "2.5~GB"),
        )),
        (numbers.megapixels(0.006), "0.006"), (numbers.dimensions(32, 20), "32~×~20, 0.00064~MP"),
        (numbers.counted(1, "image", words=True), "one image"),
        (numbers.counted(13, "image", words=True), "13 images"),
    ],
)  # fmt: skip
def test_numbers_with_their_units(shown: str, text: str) -> None:
    assert shown == text.replace("~", numbers.NBSP)


@given(st.floats(0, 1e5, allow_nan=False))
def test_every_time_has_a_unit(value: float) -> None:
    for text in (numbers.seconds(value), numbers.about(value)):
        assert text.rsplit(numbers.NBSP, 1)[1] in ("s", "ms", "min")


@pytest.mark.parametrize(
    ("label", "said"),
    [
        (TECHNIQUES["threading"].label, "threads"),
        (TECHNIQUES["multiprocessing"].label, "a process pool"),
        (TECHNIQUES["futures-processes"].label, "processes through futures"),
        (TECHNIQUES["asyncio"].label, "threads through asyncio"),
        (TECHNIQUES["textbook"].label, "a textbook pool (antipattern)"),
        (TECHNIQUES["joblib"].label, "joblib"),
        (TECHNIQUES["dask"].label, "Dask"),
        (TECHNIQUES["mpi"].label, "MPI"),
        (TECHNIQUES["opencv"].label, "OpenCV’s own threads"),
        ("Threads, 2 workers", "threads with 2 workers"),
        ("Threads, 4 workers with 2 OpenCV threads each", "threads with 4 workers of 2 OpenCV threads each"),
        ("Futures, processes", "processes through futures"),  # of an earlier version
        ("asyncio, threads, 2 workers", "threads through asyncio with 2 workers"),
        ("Processes through futures, 1 worker", "processes through futures with 1 worker"),
        ("Futures, processes, 1 worker", "processes through futures with 1 worker"),
        ("Process pool, pickled arrays", "a process pool with pickled arrays"),
    ],
)
def test_a_technique_and_each_way_of_running_it_can_be_spoken(label: str, said: str) -> None:
    assert sentences.spoken(label) == said


@pytest.mark.parametrize(
    ("verdict", "speedup", "part"),
    [
        ("faster", 1.93, "1.93\u00a0times as fast as sequential; the same pixels."),
        ("slower", 0.8, "slower than sequential, 0.80\u00a0times as fast; the same pixels."),
        ("no measurable difference", 1.02, "no measurable difference from sequential; the same pixels."),
        (None, 1.5, "without an interval; the same pixels."),
    ],
)
def test_verdicts(make_run: MakeRun, verdict: str | None, speedup: float, part: str) -> None:
    record = make_run()
    record.techniques[0].verdict, record.techniques[0].speedup = verdict, speedup  # type: ignore[assignment]
    said = sentences.headline(record)
    assert (said.lead, said.figure, said.rest) == ("Three images in", "0.27\u00a0seconds", " with threads,")
    assert said.after.endswith(part)
    record.sample = [0, 2]
    assert sentences.headline(record).after.endswith("the same pixels; measured on 2 of them.")


def test_where_a_run_stands() -> None:
    assert sentences.step(Progress("round", "threading", "Threads", 2, 6, 1, 3)) == (
        "Round 2 of 6, Threads",
        "image 2 of 3",
    )
    assert sentences.step(Progress("drawing", images_done=12, images_total=12))[0] == "Drawing sample images"
    assert sentences.step(Progress("something new"))[0] == "Something new"


@given(
    st.floats(0.01, 64),
    st.floats(0, 1),
    st.floats(0, 1),
    st.integers(1, 64),
    st.sampled_from(["faster", "slower", None]),
)
def test_a_mark_stays_inside_its_picture(
    speedup: float, below: float, above: float, ideal: int, verdict: str | None
) -> None:
    interval = (speedup * (1 - below), speedup * (1 + above))
    mark = pictures.micro(speedup, interval, ideal, verdict)
    assert mark
    assert 0 <= mark.low <= mark.dot <= mark.high <= mark.width
    assert 0 < mark.base <= mark.width and (mark.ideal is None or mark.base < mark.ideal <= mark.width)


def compared(make_run: MakeRun, *others: tuple[str, str, float]) -> Record:
    """A comparison of threads (1.93x), sequential, and others given as name, label and speedup."""
    record = make_run(mode="compare")
    threads = record.techniques[0]
    record.best = "threading"
    for name, label, speedup in others:
        rounds = [Round(r.wall_seconds * 1.93 / speedup * (1 + 0.001 * k)) for k, r in enumerate(threads.rounds)]
        verdict = "slower" if speedup < 1 else "faster"
        other = replace(
            threads, name=name, label=label, speedup=speedup, speedup_ci95=[speedup * 0.98, speedup * 1.02],
            rounds=rounds, median_seconds=0.274 * 1.93 / speedup, verdict=verdict,
        )  # fmt: skip
        record.techniques.append(other)
    return record


def test_the_verdict_of_a_comparison_names_the_fastest_and_its_interval(make_run: MakeRun) -> None:
    said = sentences.headline(compared(make_run, ("opencv", "OpenCV’s own threads", 0.9)))
    assert (said.lead, said.figure) == ("Threads are", "1.93\u00a0times")
    assert said.rest == " as fast as sequential here,"
    assert said.after == "95\u00a0% interval 1.89–1.97; the same pixels from all three techniques."


def test_a_comparison_says_who_cannot_be_told_from_the_fastest(make_run: MakeRun) -> None:
    record = compared(make_run, ("futures-threads", "Futures, threads", 1.929), ("joblib", "joblib", 1.5))
    record.techniques[2].rounds = [
        Round(r.wall_seconds * (1.02, 0.98)[k % 2]) for k, r in enumerate(record.techniques[0].rounds)
    ]
    assert "no measurable difference to threads through futures; " in sentences.headline(record).after


def test_where_the_fastest_scatters_too_much_the_one_that_surely_is_faster_is_named(make_run: MakeRun) -> None:
    record = compared(make_run, ("joblib", "joblib", 1.5))
    record.techniques[0].verdict = "no measurable difference"
    assert record.techniques[2].verdict == "faster"
    said = sentences.headline(record)
    assert (said.lead, said.figure) == ("Joblib is", "1.50\u00a0times")
    assert sentences.surely_faster(record) is record.techniques[2]


def test_a_comparison_that_nobody_wins(make_run: MakeRun) -> None:
    record = compared(make_run)
    record.techniques[0].verdict = "no measurable difference"
    assert sentences.headline(record).lead == "No technique is measurably faster than"
    record.best = "sequential"
    record.techniques[1].median_seconds = 0.1
    assert sentences.headline(record).lead == "Nothing is faster than"


def test_other_pixels_are_said_in_the_verdict(make_run: MakeRun) -> None:
    record = compared(make_run, ("joblib", "joblib", 1.5))
    record.techniques[2].identical = False
    assert sentences.headline(record).after.endswith("not all made the same pixels.")


def test_a_fast_technique_with_other_pixels_is_told_of_where_nothing_else_is_faster(
    client: FlaskClient, make_run: MakeRun, settings: Settings, store: Store
) -> None:
    def ended(record: Record) -> str:
        """Measured anew, with what follows from that, and its row of the history."""
        record.findings = None
        record.conclude()
        record.save(settings.RESULTS_DIR / record.id)
        store.finish(record)
        page = client.get("/runs", headers={"Accept": "text/html"}).text
        return re.sub(
            r"<[^>]*>|\s+", " ", page[page.index(record.id[:12]) : page.index("</tr>", page.index(record.id))]
        )

    record = compared(make_run)
    store.show(record.id, "public")
    threads = record.techniques[0]
    threads.identical, threads.speedup, threads.speedup_ci95, threads.verdict = False, None, None, None
    threads.reason = "its pixels differ from the baseline’s in 3 of 3 images"
    assert "threads: quicker, with other pixels; nothing else is faster" in ended(record)
    said = sentences.headline(record)
    assert said.lead == "Nothing with the same pixels is faster than"
    assert said.after == "threads took less time, with other pixels."
    assert sentences.title(record).startswith("Nothing faster than sequential with the same pixels")
    record.mode = "parallel"
    assert "its pixels differ from sequential’s" in ended(record)
    record.mode = "compare"
    threads.median_seconds, threads.geometric_mean_seconds = 0.9, None  # slower as well
    threads.rounds = [Round(0.9)] * 6
    assert "nothing is faster" in ended(record) and "quicker" not in ended(record)
    assert sentences.headline(record).lead == "Nothing is faster than"


def test_the_table_of_a_comparison_has_the_fastest_first(make_run: MakeRun) -> None:
    record = compared(make_run, ("joblib", "joblib", 1.5), ("opencv", "OpenCV’s own threads", 0.9))
    record.techniques.append(TechniqueMeasurement("mpi", "MPI", available=False, reason="not installed"))
    assert [line.t.name for line in page.table(record)] == ["threading", "joblib", "sequential", "opencv", "mpi"]


# ---------------------------------------------------------------- scale runs


def told(record: Record) -> tuple[str, str]:
    """The verdict as it is read, and what stands behind it."""
    said = sentences.headline(record)
    shown = (f"{said.lead} {said.figure}{said.rest}", said.after)
    return shown[0].replace(numbers.NBSP, " "), shown[1].replace(numbers.NBSP, " ")


def test_the_verdict_of_a_scale_run_says_how_many_workers_pay() -> None:
    record = scale_run(strong=lambda p: {1: 1.0, 2: 1.93, 4: 1.92}[p], noise=0.02)
    first, after = told(record)
    assert first == "With two workers, threads are 1.93 times as fast as sequential,"
    assert after.startswith("four add nothing; 95 % interval 1.") and after.endswith("; the same pixels.")
    record.sample = [0, 1]
    assert told(record)[1].endswith("the same pixels; measured on a sample of 2 images.")
    record.techniques[0].identical = False
    assert "not all made the same pixels; measured" in told(record)[1]


def two_level(fast: int) -> Record:
    """A run in which so many workers, of two OpenCV threads each, are the fastest."""
    return scale_run((1, 2), inner=(1, 2), grid=lambda workers, inner: 2.5 if workers == fast else 1.3)


@pytest.mark.parametrize(
    ("record", "first", "after"),
    [
        (
            two_level(2), "With two workers of two OpenCV threads each, threads are 2.50 times as fast as sequential,",
            "",
        ),
        (two_level(1), "With one worker of two OpenCV threads, threads are 2.50 times as fast as sequential,", ""),
        (
            scale_run(technique="opencv", strong=lambda p: 1 + 0.1 * p),
            "Four of OpenCV’s own threads are 1.40 times as fast as sequential,", "",
        ),
        (
            scale_run(strong=lambda p: 1 - 0.1 * p, technique="multiprocessing"),
            "No number of workers makes a process pool faster than sequential here;",
            "at the most 0.90 times as fast, with one worker; 95 % interval 0.90–0.90;",
        ),
        (
            scale_run(strong=lambda p: 1.0, technique="joblib", noise=0.02),
            "No number of workers makes joblib measurably faster than sequential here;", "",
        ),
    ],
)  # fmt: skip
def test_the_verdict_of_a_scale_run_names_its_way_and_whether_it_gained(record: Record, first: str, after: str) -> None:
    said = told(record)
    assert said[0] == first and said[1].startswith(after)
    assert "more were not measured" not in said[1] or "OpenCV’s" in first  # the grid is no curve


def test_the_verdict_of_a_scale_run_without_a_baseline_or_without_anything() -> None:
    record = fail(scale_run((1, 2)), "Sequential", "It failed.")
    for m in record.techniques:
        m.speedup = m.speedup_ci95 = m.verdict = None
    conclude(record)
    assert told(record) == (
        "With two workers, threads are fastest: 0.63 seconds,", "without a speedup: the baseline was not measured."
    )  # fmt: skip
    record.techniques, record.scaling = [], None
    assert sentences.headline(record).lead == "Twelve images done; the time could not be measured."


def test_what_a_scale_run_is_doing() -> None:
    assert sentences.doing(scale_run()) == "Measuring threads with 1, 2 and 4 workers, on 12 images"
    assert sentences.doing(scale_run((1, 2), inner=(1, 2))) == (
        "Measuring threads with 1 and 2 workers, each with 1 and 2 OpenCV threads, on 12 images"
    )
    waiting = scale_run((1, 2), technique="opencv", inner=(1, 2))
    waiting.scaling, waiting.techniques = None, []
    assert sentences.doing(waiting) == "Measuring OpenCV’s own threads with 1 and 2 threads, on 12 images"
    waiting.settings.technique = "auto"
    assert sentences.doing(waiting).startswith("Measuring threads with 1 and 2 workers")


# ---------------------------------------------------------------- the part of the page that is about scaling


def page_part(app: Flask, record: Record) -> str:
    with app.test_request_context():
        html: str = app.jinja_env.get_template("_scaling.html").render(scaling=scale.section(record))
    return html.replace(numbers.NBSP, " ").replace("&nbsp;", " ")


def rows(html: str, caption: str) -> list[list[str]]:
    """The cells' text of the table with such a caption."""
    table = next(t for t in html.split("<table")[1:] if caption in t)
    found = []
    for row in table.split("<tr")[2:]:
        cells = re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.S)
        found.append([" ".join(re.sub(r"<[^>]+>", " ", cell).split()) for cell in cells])
    return found


def test_the_page_shows_the_figures_of_the_record(app: Flask) -> None:
    record = scale_run((1, 2, 4, 8), inner=(1, 2), cores=4, noise=0.02)
    html = page_part(app, record)
    found = record.scaling
    assert found
    for points, caption in ((found.strong, "Strong scaling"), (found.weak, "Weak scaling")):
        shown = rows(html, caption)
        assert len(shown) == 4
        for point, row in zip(points, shown, strict=True):
            assert row[0].startswith(numbers.counted(point.workers, "worker"))
            cells = " ".join(row).replace(numbers.NBSP, " ")
            for text in (
                numbers.seconds(point.seconds), numbers.interval(point.ci95, point.seconds),
                numbers.times(point.speedup), numbers.times_interval(point.speedup_ci95),
                numbers.percent(point.efficiency),
            ):  # fmt: skip
                assert text.replace(numbers.NBSP, " ") in cells
            assert ("oversubscribed: 8 threads on 4 cores" in row[0]) == (point.workers == 8)
    assert [row[-1] for row in rows(html, "Strong scaling")] == ["–", "5.0 %", "5.0 %", "5.0 %"]
    assert [row[-1] for row in rows(html, "Weak scaling")] == ["12", "24", "48", "96"]
    grid = rows(html, "by workers and OpenCV’s threads in each")
    assert [row[0] for row in grid] == ["1 worker", "2 workers", "4 workers", "8 workers"]
    assert [cell.partition(" ")[0] for cell in grid[2][1:]] == ["3.48×", "2.78×"]
    assert [("fastest" in cell, "oversubscribed" in cell) for cell in grid[3][1:]] == [(True, True), (False, True)]
    for sentence in ("Eight workers are 5.93 times as fast", "5.0 % of the work is serial", "Left out: 8 workers"):
        assert sentence in html


def test_the_page_says_what_was_not_measured(app: Flask) -> None:
    record = fail(scale_run((1, 2), inner=(1, 2)), "Threads, 2 workers with 2 OpenCV threads each", "<No> memory.")
    html = page_part(app, record)
    assert "Threads, 2 workers with 2 OpenCV threads each was not measured: &lt;No&gt; memory." in html
    assert rows(html, "by workers and OpenCV’s threads in each")[1][2] == "not measured"
    assert "No fit: it needs speedups of three numbers of workers, and there are two." in html
    alone = page_part(app, scale_run((1, 2), scaled=None))
    assert "Weak scaling: " not in alone.partition("<table")[2] and "OpenCV’s own threads in each" not in alone


def test_other_runs_have_no_such_part(make_run: MakeRun) -> None:
    assert scale.section(make_run()) is None
    assert scale.section(Record("1", "scale", RunSettings([], {}), scaling=Scaling("threading", 2))) is None
