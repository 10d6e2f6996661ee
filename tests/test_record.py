"""run.json's names, its way to disk and back, and the summary that scripts read."""

import json

import pytest

from imgproc.errors import UserError
from imgproc.image.operations import parse_parameters
from imgproc.measure.results import Round, SpanRecord, TechniqueMeasurement
from imgproc.runs.record import ImageRecord, OutputRecord, Record, RunSettings
from imgproc.runs.words import summary


@pytest.fixture
def record():
    settings = RunSettings(["canny"], parse_parameters({}), workers=2, seed=7)
    images = [
        ImageRecord(0, "a.jpg", 40, 30, "JPEG", 999, outputs=[OutputRecord("canny", "a_canny.png", 5, "ab" * 32)]),
        ImageRecord(1, "b.png", error="The file ends in the middle of the picture."),
    ]
    base = TechniqueMeasurement("sequential", "Sequential", median_seconds=8.2, speedup=1.0)
    fast = TechniqueMeasurement(
        "threading", "Threads", 2, median_seconds=2.41, speedup=3.4, speedup_ci95=[3.2, 3.6], identical=True,
        rounds=[Round(2.41, 4.7)], spans=[SpanRecord(1, 0, "canny", 0.0, 0.5)], stages={"canny": 0.5},
    )  # fmt: skip
    return Record("0123456789ab", "parallel", settings, images, state="done", techniques=[fast, base])


def test_the_names_that_scripts_rely_on(record):
    data = record.to_dict()
    assert {
        "schema",
        "id",
        "created",
        "state",
        "mode",
        "settings",
        "environment",
        "images",
        "techniques",
        "best",
        "advice",
    } <= data.keys()
    assert {
        "operations", "canny_low", "canny_high", "aperture", "l2gradient", "kernel", "sigma", "color", "format",
        "split", "workers", "rounds", "seed",
    } <= data["settings"].keys()  # fmt: skip
    assert {"index", "name", "width", "height", "format", "bytes", "error", "outputs"} <= data["images"][0].keys()
    assert {"operation", "file", "pixels_sha256"} <= data["images"][0]["outputs"][0].keys()
    assert {
        "name", "label", "workers", "cv2_threads", "available", "reason", "startup_seconds", "first_round_seconds",
        "rounds", "median_seconds", "ci95", "images_per_second", "megapixels_per_second", "speedup", "speedup_ci95",
        "efficiency",
        "karp_flatt", "identical", "verdict", "stages", "warnings", "spans",
    } <= data["techniques"][0].keys()  # fmt: skip
    assert {"wall_seconds", "cpu_seconds", "peak_memory_bytes"} <= data["techniques"][0]["rounds"][0].keys()
    assert {"worker", "image", "stage", "start", "end"} <= data["techniques"][0]["spans"][0].keys()


def test_a_record_survives_its_file(record, tmp_path):
    record.save(tmp_path / "run")
    assert Record.load(tmp_path / "run") == record
    assert json.loads((tmp_path / "run" / "run.json").read_text()) == record.to_dict()
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["run.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"schema": 99}', '{"schema": 1, "settings": 4}'])
def test_garbage_is_refused_in_plain_words(text, tmp_path):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(UserError):
        Record.load(tmp_path)


def test_the_summary(record):
    assert summary(record) == (
        "Processing Mode: Parallel (threading, 2 workers)\n"
        "Number of Images: 1\n"
        "Time Taken: 2.41 seconds\n"
        "Speedup: 3.4x over Sequential (95% CI 3.2 to 3.6)\n"
        "Failed: b.png: The file ends in the middle of the picture.\n"
    )


def test_the_summary_of_a_sequential_run(record):
    record.mode, record.techniques = "sequential", record.techniques[1:]
    assert summary(record).splitlines()[:4] == [
        "Processing Mode: Sequential",
        "Number of Images: 1",
        "Time Taken: 8.20 seconds",
        "Speedup: 1.0x over Sequential (this is the baseline)",
    ]


def test_a_sample_is_said_and_the_time_is_that_of_all_images(record):
    record.sample = [0]
    record.techniques[0].first_round_seconds = 50.0
    lines = summary(record).splitlines()
    assert lines[2] == "Time Taken: 50.00 seconds"
    assert any("sample of 1 of the 1 images" in line for line in lines)


def test_no_speedup_is_claimed_for_other_pixels(record):
    fast = record.techniques[0]
    fast.identical, fast.speedup, fast.speedup_ci95 = False, None, None
    fast.reason = "its pixels differ from the baseline’s in 1 of 1 images"
    assert "Speedup: not shown (its pixels differ" in summary(record)


def test_a_failed_run_says_so(record):
    record.state, record.techniques, record.error = "failed", [], "The workers could not be started."
    text = summary(record)
    assert "Time Taken: not measured (failed)" in text and "Error: The workers could not be started." in text
