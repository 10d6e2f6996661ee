"""Numbers, sentences and geometry of the pages."""

from __future__ import annotations

from dataclasses import replace

import pytest
from conftest import MakeRun, techniques
from hypothesis import given
from hypothesis import strategies as st

from imgproc.backends import TECHNIQUES
from imgproc.measure.results import Progress, Round, TechniqueMeasurement
from imgproc.runs.record import Record
from imgproc.web import formats, pages, pictures, words


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"), (0.274, "0.274 s"), (2.9712, "2.97 s"), (31.24, "31.2 s"), (126.4, "126 s"), (0.0621, "62.1 ms"),
        (0.00421, "4.21 ms"), (0, "0.00 ms"),
    ],
)  # fmt: skip
def test_seconds(value: float | None, text: str) -> None:
    assert formats.seconds(value) == text.replace(" ", formats.NBSP)


def test_an_interval_has_the_decimals_of_its_value() -> None:
    assert formats.interval([0.2691, 0.2812], 0.274) == "0.269–0.281"
    assert formats.interval([2.9, 3.1], 2.97) == "2.90–3.10"
    assert formats.interval([0.0611, 0.063], 0.0621) == "61.1–63.0"
    assert formats.interval(None, 1.0) == ""


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 kB"), (1, "1 kB"), (812_000, "812 kB"), (3_600_000, "3.6 MB"), (2_500_000_000, "2.5 GB")]
)
def test_sizes(count: int, text: str) -> None:
    assert formats.size(count) == text.replace(" ", formats.NBSP)


def test_small_numbers_are_not_rounded_away() -> None:
    assert formats.megapixels(0.006) == "0.006"
    assert formats.dimensions(32, 20).endswith("0.00064\u00a0MP")
    assert formats.start_up(0.0001) == "under 1\u00a0ms"
    assert formats.counted(1, "image", words=True) == "one image"
    assert formats.counted(13, "image", words=True) == "13 images"


@given(st.floats(0, 1e5, allow_nan=False))
def test_every_time_has_a_unit(value: float) -> None:
    for text in (formats.seconds(value), formats.start_up(value), formats.about(value)):
        assert text.rsplit(formats.NBSP, 1)[1] in ("s", "ms", "min")


def test_every_technique_can_be_spoken() -> None:
    said = {name: words.spoken(t.label) for name, t in TECHNIQUES.items()}
    assert said["threading"] == "threads"
    assert said["multiprocessing"] == "a process pool"
    assert said["futures-processes"] == "processes through futures"
    assert said["joblib"] == "joblib"
    assert said["opencv"] == "OpenCV’s own threads"


@pytest.mark.parametrize(
    ("verdict", "speedup", "part"),
    [
        ("faster", 1.93, "1.9\u00a0times as fast as sequential; the same pixels."),
        ("slower", 0.8, "slower than sequential, 0.80\u00a0times as fast; the same pixels."),
        ("no measurable difference", 1.02, "no measurable difference from sequential; the same pixels."),
        (None, 1.5, "without an interval; the same pixels."),
    ],
)
def test_verdicts(make_run: MakeRun, verdict: str | None, speedup: float, part: str) -> None:
    record = make_run()
    record.techniques[0].verdict, record.techniques[0].speedup = verdict, speedup  # type: ignore[assignment]
    said = words.verdict(record)
    assert (said.lead, said.figure, said.rest) == ("Three images in", "0.27\u00a0seconds", " with threads,")
    assert said.after.endswith(part)
    record.sample = [0, 2]
    assert words.verdict(record).after.endswith("the same pixels; measured on 2 of them.")


def test_where_a_run_stands() -> None:
    assert words.step(Progress("round", "threading", "Threads", 2, 6, 1, 3)) == (
        "Round 2 of 6, Threads",
        "image 2 of 3",
    )
    assert words.step(Progress("drawing", images_done=12, images_total=12))[0] == "Drawing sample images"
    assert words.step(Progress("something new"))[0] == "Something new"


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


def test_bars_are_true_to_scale(make_run: MakeRun) -> None:
    record = make_run()
    bars = pictures.speedup_bars(record)
    assert bars and bars.rows[0].low and bars.rows[0].high
    assert bars.rows[0].width / bars.rows[1].width == pytest.approx(1.93, abs=0.01)
    assert bars.rows[0].low / bars.rows[1].width == pytest.approx(1.89, abs=0.01)
    assert bars.ticks[0].x == 0 and all(0 <= tick.x <= 100 for tick in bars.ticks)
    record.techniques = techniques("sequential", 3)
    assert pictures.speedup_bars(record) is None


def test_timeline_is_true_to_scale(make_run: MakeRun) -> None:
    record = make_run(images=4)
    found = pictures.timeline(record)
    assert found
    threads, sequential = found.strands
    assert (len(threads.lanes), len(sequential.lanes)) == (2, 1)
    assert sequential.lanes[0].width / threads.lanes[0].width == pytest.approx(
        max(s.end for s in record.techniques[1].spans) / max(s.end for s in record.techniques[0].spans), abs=0.01
    )
    for lane in (*threads.lanes, *sequential.lanes):
        for left, right in zip(lane.blocks, lane.blocks[1:], strict=False):
            assert left.x + left.width <= right.x + 0.06  # no block hides another; 0.05 % is the narrowest shown
    assert sum(len(lane.blocks) for s in found.strands for lane in s.lanes) == 2 * 4 * 7
    assert found.stages == ["read", "decode", "canny", "gaussian", "equalize", "encode", "write"]


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
    said = words.verdict(compared(make_run, ("opencv", "OpenCV’s own threads", 0.9)))
    assert (said.lead, said.figure) == ("Threads are", "1.93\u00a0times")
    assert said.rest == " as fast as sequential here,"
    assert said.after == "95\u00a0% interval 1.89–1.97; the same pixels from all three techniques."


def test_a_comparison_says_who_cannot_be_told_from_the_fastest(make_run: MakeRun) -> None:
    record = compared(make_run, ("futures-threads", "Futures, threads", 1.929), ("joblib", "joblib", 1.5))
    record.techniques[2].rounds = [
        Round(r.wall_seconds * (1.02, 0.98)[k % 2]) for k, r in enumerate(record.techniques[0].rounds)
    ]
    assert "no measurable difference to threads through futures; " in words.verdict(record).after


def test_a_comparison_that_nobody_wins(make_run: MakeRun) -> None:
    record = compared(make_run)
    record.techniques[0].verdict = "no measurable difference"
    assert words.verdict(record).lead == "No technique is measurably faster than"
    record.best = "sequential"
    record.techniques[1].median_seconds = 0.1
    assert words.verdict(record).lead == "Nothing is faster than"


def test_other_pixels_are_said_in_the_verdict(make_run: MakeRun) -> None:
    record = compared(make_run, ("joblib", "joblib", 1.5))
    record.techniques[2].identical = False
    assert words.verdict(record).after.endswith("not all made the same pixels.")


def test_the_picture_and_the_table_of_a_comparison_have_the_fastest_first(make_run: MakeRun) -> None:
    record = compared(make_run, ("joblib", "joblib", 1.5), ("opencv", "OpenCV’s own threads", 0.9))
    bars = pictures.speedup_bars(record)
    assert bars and [row.label for row in bars.rows] == ["Threads", "joblib", "OpenCV’s own threads", "Sequential"]
    assert [row.kind for row in bars.rows] == ["is-faster", "is-faster", "is-slower", "is-baseline"]
    assert bars.rows[1].width / bars.rows[3].width == pytest.approx(1.5, abs=0.01)
    record.techniques.append(TechniqueMeasurement("mpi", "MPI", available=False, reason="not installed"))
    assert [line.t.name for line in pages.table(record)] == ["threading", "joblib", "sequential", "opencv", "mpi"]


def test_the_timeline_shows_the_round_nearest_the_median(make_run: MakeRun) -> None:
    record = make_run(images=4)
    threads = record.techniques[0]
    other = [replace(s, round=2, start=s.start / 2, end=s.end / 2) for s in threads.spans]
    before = pictures.timeline(record)
    threads.spans = threads.spans + other
    assert pictures.timeline(record) == before
    threads.typical_round = 2
    after = pictures.timeline(record)
    assert before and after and after != before
