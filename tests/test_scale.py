"""Scale mode from images to the record, with real techniques; and the transport lab."""

import json

import pytest
from test_cli import imgproc, own_machine_lock, photos  # noqa: F401  fixtures
from test_execute import run  # noqa: F401  a fixture

from imgproc.runs.record import Record
from imgproc.runs.verify import verify

SIZES = ((60, 80), (200, 300), (90, 90))


@pytest.mark.parametrize("technique", ["threading", "multiprocessing", "joblib", "opencv"])
def test_one_technique_with_more_and_more_workers(technique, run):  # noqa: F811
    record, _ = run(technique, SIZES, "scale", worker_counts=[1, 2, 3], cv2_threads=[1, 2], rounds=2, budget=4)
    measured = {m.label: m for m in record.techniques if m.available}
    assert all(m.median_seconds and m.identical and m.reason is None for m in measured.values()), measured
    counts = [2, 3] if technique == "joblib" else [1, 2, 3]
    points = record.scaling.strong
    assert [p.workers for p in points] == counts
    assert [p.workers for p in record.scaling.weak] == counts
    cells = 0 if technique == "opencv" else 2 * len(counts)
    assert len(record.scaling.grid) == cells
    assert len(measured) == 1 + (cells or len(counts))
    for m in record.weak:
        assert m.copies == m.threads and m.identical and len(m.rounds) == len(record.techniques[0].rounds)
        images = {s.image % len(record.images) for s in m.spans if s.round == 1}
        assert images == {0, 1, 2} and len({s.image for s in m.spans if s.round == 1}) == 3 * m.copies
    assert record.technique.cost == min(m.cost for m in measured.values() if m.name == technique)
    again = Record.from_dict(json.loads(json.dumps(record.to_dict())))
    assert again == record and verify(again) == []


def test_joblib_with_one_worker_is_listed_with_its_reason(run):  # noqa: F811
    record, _ = run("joblib", SIZES, "scale", worker_counts=[1, 2], rounds=1, budget=2)
    assert [(m.label, m.available) for m in record.techniques if m.reason] == [("joblib, 1 worker", False)]


def test_the_transport_lab(run):  # noqa: F811
    lab = ["paths", "arrays", "shared"]
    record, _ = run("auto", SIZES, "compare", techniques=["multiprocessing"], transfers=lab, rounds=2, budget=4)
    by = {m.transfer: m for m in record.techniques if m.name == "multiprocessing"}
    assert list(by) == lab and all(m.identical for m in by.values())
    pixels = sum(h * w for h, w in SIZES)
    moved = {name: m.rounds[0].bytes_moved for name, m in by.items()}
    assert moved["paths"] < 10_000 * len(SIZES)
    assert moved["arrays"] >= 4 * pixels and moved["shared"] >= 4 * pixels
    for m in by.values():
        assert m.stages["transfer"] > 0
        wall = m.rounds[m.typical_round - 1].wall_seconds
        assert sum(m.breakdown.values()) == pytest.approx(wall, rel=0.02)
    assert verify(record) == []


def test_the_record_names_start_method_and_chunk_size(run):  # noqa: F811
    asked = {"start_method": "spawn", "chunk_size": 3, "rounds": 1}
    record, _ = run("multiprocessing", SIZES, **asked)
    m = record.techniques[0]
    assert (m.start_method, m.chunk_size, m.transfer) == ("spawn", 3, "paths")
    baseline = record.techniques[1]
    assert (baseline.start_method, baseline.chunk_size, baseline.transfer) == (None, None, None)


def test_scale_on_the_command_line(photos, tmp_path):  # noqa: F811
    done = imgproc(
        "scale", photos, "--technique", "futures-threads", "--workers", "1,2,4", "--cv2-threads", 1, "--rounds", 2,
        "--budget", 3, "--json", tmp_path / "run.json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Processing Mode: Scale (futures-threads, ")
    assert "Number of Images: 5\n" in done.stdout
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["mode"] == "scale" and record["settings"]["worker_counts"] == [1, 2, 4]
    assert [p["workers"] for p in record["scaling"]["strong"]] == [1, 2, 4]
    assert imgproc("verify", tmp_path / "run.json").returncode == 0
