"""The worker timeline: which round and techniques it shows, its geometry, and the same in numbers."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from conftest import MakeRun
from flask.testing import FlaskClient

from imgproc.measure.results import Round, SpanRecord, TechniqueMeasurement
from imgproc.report import timeline as module
from imgproc.report.page import table
from imgproc.report.timeline import Timeline, slug, timeline
from imgproc.runs.record import Record
from imgproc.settings import Settings

HTML = {"Accept": "text/html"}


def shown(record: Record, round: str = "", techniques: str = "") -> Timeline:
    found = timeline(record, round, techniques)
    assert found
    return found


def with_rounds(t: TechniqueMeasurement, count: int) -> None:
    """Further rounds, each as long as its number says."""
    first = [span for span in t.spans if span.round == 1]
    t.spans = [replace(s, round=n, start=s.start * n, end=s.end * n) for n in range(1, count + 1) for s in first]
    end = max(span.end for span in first)
    t.rounds = [Round(end * 1.02 * n) for n in range(1, count + 1)]


@pytest.fixture
def compared(make_run: MakeRun) -> Record:
    """A comparison of threads, a process pool whose caller writes, and the baseline, three rounds each."""
    record = make_run(mode="compare", images=4)
    threads = record.techniques[0]
    pool = replace(threads, name="multiprocessing", label="Process pool, pickled arrays", start_method="forkserver")
    pool.median_seconds = 0.6
    pool.spans = [
        *(replace(s, worker=0, stage="transfer") for s in threads.spans if s.stage == "decode"),
        *(s for s in threads.spans if s.stage != "decode"),
    ]
    record.techniques.insert(1, pool)
    for t in record.techniques:
        with_rounds(t, 3)
        t.typical_round = 2
    return record


def test_it_is_true_to_scale(make_run: MakeRun) -> None:
    record = make_run(images=4)
    threads, sequential = (found := shown(record)).shown
    assert (len(threads.lanes), len(sequential.lanes)) == (2, 1)
    walls = [t.rounds[0].wall_seconds for t in record.techniques]
    assert sequential.lanes[0].width / threads.lanes[0].width == pytest.approx(walls[1] / walls[0], abs=0.01)
    for lane in (*threads.lanes, *sequential.lanes):
        for left, right in zip(lane.blocks, lane.blocks[1:], strict=False):
            assert left.x + left.width <= right.x + 0.06  # no block hides another; 0.05 % is the narrowest shown
    assert sum(len(lane.blocks) for s in found.shown for lane in s.lanes) == 2 * 4 * 7
    assert found.stages == ["read", "decode", "canny", "gaussian", "equalize", "encode", "write"]
    assert found.fills["canny"] == "light-dark(#0b5cad, #2f80cf)" and "read" not in found.fills
    assert found.rounds == [] and found.which == ""  # of one round there is nothing to choose


def test_the_round_nearest_the_median_unless_another_is_asked_for(compared: Record) -> None:
    compared.techniques[1].typical_round = 3
    usual = shown(compared)
    assert [one.time.partition(", ")[2] for one in usual.shown] == ["round 2", "round 2", "round 3"]
    assert usual.which == " in the round nearest the median"
    third = shown(compared, "3")
    assert third.which == ", round 3" and f"{third.shown[2].time}, round 3" == usual.shown[2].time
    assert third.shown[0].time != usual.shown[0].time
    assert [(value, chosen) for value, _, chosen in third.rounds] == [(n, n == "3") for n in ("", "1", "2", "3")]


@pytest.mark.parametrize("bad", ["0", "4", "-1", "x", "²", "9" * 5000, "1.5", " "])
def test_bad_values_fall_back(compared: Record, bad: str) -> None:
    assert shown(compared, bad, bad) == shown(compared)


def test_a_round_that_was_not_kept_is_said(compared: Record) -> None:
    pool = compared.techniques[1]
    pool.spans = [span for span in pool.spans if span.round == 2]
    found = shown(compared, "3")
    assert found.notes == ["Of Process pool, pickled arrays only the round nearest the median was kept."]
    assert found.shown[2].time.endswith(", round 2")


def test_techniques_can_be_chosen(compared: Record) -> None:
    every = shown(compared)
    assert [s.label for s in every.shown] == ["Threads", "Sequential", "Process pool, pickled arrays"]
    assert [text for _, text, _ in every.techniques] == ["all", "Threads", "Sequential", "Process pool, pickled arrays"]
    one = shown(compared, "", "process-pool-pickled-arrays")
    assert [s.label for s in one.shown] == ["Process pool, pickled arrays"]
    compared.techniques.append(replace(compared.techniques[0], name="futures-threads", label="Futures, threads"))
    usual = shown(compared)
    assert [s.label for s in usual.shown] == ["Threads", "Sequential", "Process pool, pickled arrays"]
    assert [text for _, text, _ in usual.techniques][:2] == ["best, sequential, processes", "all four techniques"]
    assert len(shown(compared, "", "all").shown) == 4


def test_one_technique_in_several_ways(compared: Record) -> None:
    """Names may be shared, labels are not."""
    threads = compared.techniques[0]
    compared.techniques.append(replace(threads, label="Threads, 4 workers", spans=threads.spans[:7], typical_round=1))
    assert [s.label for s in shown(compared, "", "threads-4-workers").shown] == ["Threads, 4 workers"]
    assert shown(compared, "", "threads").shown[0].lanes != shown(compared, "", "threads-4-workers").shown[0].lanes


def test_the_callers_process_has_a_lane_of_its_own(compared: Record) -> None:
    found = shown(compared)
    threads, _, pool = found.shown
    assert threads.caller is None and pool.caller and len(pool.lanes) == 2
    assert {block.stage for block in pool.caller.blocks} == {"transfer"}
    assert pool.caller.blocks[0].title.endswith("transfer, 54.8\u00a0ms, caller")
    assert "and the caller" in pool.sentence
    assert [w.who for w in found.workers if "pool" in w.who] == [
        "Process pool, pickled arrays, worker 1",
        "Process pool, pickled arrays, worker 2",
        "Process pool, pickled arrays, caller",
    ]


def test_the_numbers_add_up(compared: Record) -> None:
    found = shown(compared, "1")
    walls = {t.label: t.rounds[0].wall_seconds for t in compared.techniques}
    for worker in found.workers:
        label = worker.who.rpartition(", ")[0]
        assert worker.busy + worker.waiting == pytest.approx(walls[label])
        assert worker.share == pytest.approx(worker.busy / walls[label])
    busy = sum(w.busy for w in found.workers if w.who.startswith("Threads"))
    assert busy == pytest.approx(sum(s.end - s.start for s in compared.techniques[0].spans if s.round == 1))


def test_a_worker_that_got_nothing_is_shown(make_run: MakeRun) -> None:
    record = make_run(images=1)
    threads = shown(record).shown[0]
    assert [len(lane.blocks) for lane in threads.lanes] == [7, 0]
    assert [(w.images, w.busy) for w in shown(record).workers[1:2]] == [(0, 0)]


def test_copies_of_images_have_their_names(make_run: MakeRun) -> None:
    """Weak scaling has each image several times, numbered on from the last."""
    record = make_run(images=3, mode="scale")
    threads = record.techniques[0]
    spans = [SpanRecord(1, 4, "canny", 0, 0.2), SpanRecord(2, 2, "canny", 0, 0.2)]
    record.weak = [replace(threads, label="Threads, twice the images", copies=2, spans=spans)]
    found = shown(record, "", "threads-twice-the-images").shown[0]
    assert found.lanes[0].blocks[0].title.startswith("photo 2.jpg, ")
    assert [number for lane in found.lanes for _, number in lane.numbers] == [2, 3]
    assert "2 images" in found.sentence


def test_a_long_round_is_cut(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BLOCKS", 20)
    found = shown(make_run(images=10))
    assert sum(len(lane.blocks) for s in found.shown for lane in s.lanes) in (20, 21)  # two end at the same time
    assert found.notes[0].startswith("The first ")
    assert sum(w.images for w in found.workers) == 20  # the numbers are of the whole round


def test_ranks_and_their_hosts_are_named(make_run: MakeRun) -> None:
    record = make_run(images=2)
    mpi = record.technique
    assert mpi
    mpi.name, mpi.label, mpi.workers, mpi.rounds = "mpi", "MPI", 2, [Round(0.5)]
    mpi.spans = [SpanRecord(1, 0, "canny", 0, 0.2), SpanRecord(2, 1, "canny", 0, 0.2, host="node2")]
    found = shown(record)
    assert [share.who for share in found.workers][:2] == ["MPI, rank 1", "MPI, rank 2 on node2"]
    said = [block.title for one in found.shown for lane in one.lanes for block in lane.blocks]
    assert any(title.endswith(", rank 2 on node2") for title in said)


def test_nothing_recorded_is_no_timeline(make_run: MakeRun) -> None:
    record = make_run()
    for t in record.techniques:
        t.spans = []
    assert timeline(record) is None


@pytest.mark.parametrize(
    ("label", "expected"),
    [("Futures, threads", "futures-threads"), ("OpenCV’s own threads", "opencvs-own-threads"), ("joblib", "joblib")],
)
def test_slugs(label: str, expected: str) -> None:
    assert slug(label) == expected


def test_the_page_takes_the_choice_from_its_address(client: FlaskClient, compared: Record, settings: Settings) -> None:
    compared.save(settings.RESULTS_DIR / compared.id)
    url = f"/runs/{compared.id}"
    page = client.get(url, headers=HTML).text
    assert "What each worker did in the round nearest the median" in page
    page = client.get(f"{url}?round=3&with=threads", headers=HTML).text
    assert "What each worker did, round 3" in page and page.count('class="tl-name"><b>') == 1
    assert '<option value="3" selected>' in page and '<option value="threads" selected>' in page
    assert client.get(f"{url}?round=99&with=%00&image={'9' * 5000}", headers=HTML).status_code == 200


def test_the_last_tick_stays_inside_and_the_lanes_are_in_the_order_of_the_table(
    client: FlaskClient, compared: Record
) -> None:
    found = timeline(compared, "", "all")
    assert found is not None
    assert [one.label for one in found.shown] == [
        row.t.label for row in table(compared) if row.t.label in {one.label for one in found.shown}
    ]
    page = client.get(f"/runs/{compared.id}?with=all", headers={"Accept": "text/html"}).text
    ticks = re.findall(r'<text class="tl-tick([^"]*)" x="([\d.]+)%"', page)
    assert len(ticks) > 1
    assert all((" tl-tick-last" in way) == (float(place) > 96) for way, place in ticks)
