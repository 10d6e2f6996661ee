"""run.json's names, its way to disk and back, and the summary that scripts read."""

import json
import re
from dataclasses import replace

import pytest
from scale_runs import fail, scale_run

from imgproc.errors import UserError
from imgproc.measure.alarms import Alarm
from imgproc.measure.results import Round, SpanRecord, TechniqueMeasurement
from imgproc.operations import parse_parameters
from imgproc.report.text import comparison, scale_table, summary
from imgproc.runs.record import ImageRecord, OutputRecord, Record, RunSettings
from imgproc.runs.verify import verify


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
        "schema", "id", "created", "state", "mode", "settings", "environment", "images", "techniques", "best", "advice",
    } <= data.keys()  # fmt: skip
    assert {
        "operations", "canny_low", "canny_high", "thresholds", "aperture", "l2gradient", "kernel", "sigma", "color",
        "format", "split", "workers", "rounds", "seed",
    } <= data["settings"].keys()  # fmt: skip
    assert {"index", "name", "width", "height", "format", "bytes", "error", "outputs"} <= data["images"][0].keys()
    assert {"operation", "file", "pixels_sha256"} <= data["images"][0]["outputs"][0].keys()
    assert {
        "name", "label", "workers", "cv2_threads", "available", "reason", "startup_seconds", "first_round_seconds",
        "rounds", "median_seconds", "ci95", "images_per_second", "megapixels_per_second", "speedup", "speedup_ci95",
        "efficiency", "karp_flatt", "identical", "verdict", "stages", "warnings", "spans",
    } <= data["techniques"][0].keys()  # fmt: skip
    assert {"wall_seconds", "cpu_seconds", "peak_memory_bytes"} <= data["techniques"][0]["rounds"][0].keys()
    assert {"worker", "image", "stage", "start", "end"} <= data["techniques"][0]["spans"][0].keys()


def test_a_record_survives_its_file(record, tmp_path):
    record.conclude()
    record.alarms = [Alarm("drift", "It drifts.", "Wait.", "Threads")]
    record.save(tmp_path / "run")
    assert Record.load(tmp_path / "run") == record
    assert json.loads((tmp_path / "run" / "run.json").read_text()) == record.to_dict()
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["run.json"]


@pytest.mark.parametrize(
    "missing",
    [
        ["aperture"], ["l2gradient"], ["thresholds"], ["canny_low", "canny_high", "kernel", "sigma"],
        ["transfers", "chunk_size", "start_method", "samples", "sample_megapixels", "worker_counts", "cv2_threads"],
    ],
    ids=lambda names: names[0],
)  # fmt: skip
def test_what_an_older_version_did_not_write_is_at_its_default(missing, record):
    record.conclude()
    data = record.to_dict()
    for name in missing:
        del data["settings"][name]
    for name in ("weak", "scaling", "warnings", "alarms", "findings"):
        del data[name]
    del data["techniques"][0]["break_even_images"], data["techniques"][0]["rounds"][0]["phase_ends"]
    assert Record.from_dict(data) == record


def test_what_another_version_knew_more_is_left_out_and_its_parameters_stay(record):
    record.conclude()
    data = record.to_dict()
    own = {"emboss_size": 7, "emboss_edge": "mirror"}
    data["settings"] |= {**own, "palette": ["red"], "operations": ["canny", "emboss"]}
    for part in (data, data["images"][0], data["techniques"][0], data["techniques"][0]["rounds"][0]):
        part["new"] = {"some": "thing"}
    again = Record.from_dict(data)
    assert again.settings.parameters == record.settings.parameters | own
    assert replace(again, settings=record.settings) == record


@pytest.mark.parametrize(("where", "value"), [("images", {"a": 1}), ("techniques", ["a"]), ("scaling", 3), ("weak", 5)])
def test_a_part_that_is_no_list_or_object_is_refused(where, value, record):
    with pytest.raises(UserError, match="not a run"):
        Record.from_dict(record.to_dict() | {where: value})


def test_a_technique_that_no_longer_exists_is_told_like_any_other(record):
    data = record.to_dict()
    data["techniques"][0] |= {"name": "quantum", "label": "Quantum"}
    data["settings"]["technique"] = data["best"] = "quantum"
    again = Record.from_dict(data)
    assert verify(replace(again, techniques=[], best=None, findings=None)) == []
    assert "Processing Mode: Parallel (quantum, 2 workers)" in summary(again)
    assert "quantum " in comparison(again)


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
        "Advice: Nothing can be told yet: one round was measured, six are needed.\n"
    )


def test_the_summary_of_a_sequential_run(record):
    record.mode, record.techniques = "sequential", record.techniques[1:]
    assert summary(record).splitlines()[:4] == [
        "Processing Mode: Sequential",
        "Number of Images: 1",
        "Time Taken: 8.20 seconds",
        "Speedup: 1.0x over Sequential (this is the baseline)",
    ]


@pytest.mark.parametrize(
    ("mode", "images", "seconds", "said"),
    [
        ("parallel", 1, "50.00", "the speedup was measured on a sample of 1 of the 1 images"),  # it made the results
        ("compare", 0, "2.41", "the time and the speedup were measured on a sample"),
    ],
)
def test_a_sample_is_said_and_whose_time_it_is(mode, images, seconds, said, record):
    record.mode, record.sample, record.best = mode, [0], "threading"
    record.techniques[0].first_round_seconds, record.techniques[0].first_round_images = 50.0, images
    lines = summary(record).splitlines()
    assert lines[2] == f"Time Taken: {seconds} seconds"
    assert any(said in line for line in lines)


def test_no_speedup_is_claimed_for_other_pixels(record):
    fast = record.techniques[0]
    fast.identical, fast.speedup, fast.speedup_ci95 = False, None, None
    fast.reason = "its pixels differ from the baseline’s in 1 of 1 images"
    assert "Speedup: not shown (its pixels differ" in summary(record)


def test_a_failed_run_says_so(record):
    record.state, record.techniques, record.error = "failed", [], "The workers could not be started."
    text = summary(record)
    assert "Time Taken: not measured (failed)" in text and "Error: The workers could not be started." in text


# ---------------------------------------------------------------- scale runs, and techniques that share a name


def test_a_scale_run_survives_its_file(tmp_path):
    record = scale_run((1, 2, 3, 4, 6, 8), inner=(1, 2), noise=0.02)
    record.save(tmp_path)
    again = Record.load(tmp_path)
    assert again == record and again.scaling.usl is not None
    data = json.loads((tmp_path / "run.json").read_text())
    assert {"technique", "cores", "strong", "weak", "grid", "amdahl", "gustafson", "usl"} <= data["scaling"].keys()
    assert {"workers", "seconds", "speedup", "efficiency", "karp_flatt"} <= data["scaling"]["strong"][0].keys()
    assert verify(again) == []


def test_a_damaged_scaling_is_refused_in_plain_words(tmp_path):
    data = scale_run().to_dict()
    data["scaling"]["strong"] = [{"workers": 1}]
    with pytest.raises(UserError):
        Record.from_dict(data)


def test_the_summary_of_a_scale_run_is_that_of_its_best_point():
    lines = summary(scale_run(noise=0.02)).splitlines()
    assert lines[:3] == [
        "Processing Mode: Scale (threading, 1 to 4 workers)",
        "Number of Images: 12",
        "Time Taken: 0.34 seconds",
    ]
    assert lines[3].startswith("Speedup: 3.5x over Sequential (95% CI 3.4 to 3.")
    assert lines[4] == "Note: the time and the speedup are those of the fastest: Threads, 4 workers."
    threads = scale_run(technique="opencv", strong=lambda p: 1 + 0.1 * p)
    assert summary(threads).startswith("Processing Mode: Scale (opencv, 1 to 4 threads)\n")
    grid = scale_run((2,), inner=(1, 2), grid=lambda workers, inner: 3.0)
    assert summary(grid).startswith("Processing Mode: Scale (threading, 2 workers)\n")
    assert "those of the fastest: Threads, 2 workers with 2 OpenCV threads each." in summary(grid)


def test_the_best_point_of_a_technique_that_is_slower_is_its_own():
    record = scale_run(strong=lambda p: 0.5 + 0.1 * p)
    assert record.best == "sequential"
    assert "Speedup: 0.9x over Sequential (95% CI" in summary(record)


def test_a_scale_run_on_a_sample_says_so():
    record = scale_run()
    record.sample = [0, 3, 7]
    assert "Time Taken: 0.34 seconds" in summary(record)
    assert "Note: the time and the speedup were measured on a sample of 3 of the 12 images." in summary(record)


def test_a_scale_run_that_failed_still_says_what_was_asked():
    settings = RunSettings(["canny"], {}, "auto", worker_counts=[1, 2, 4])
    record = Record("0123456789ab", "scale", settings, state="failed", error="The disk is full.")
    assert summary(record).startswith("Processing Mode: Scale (threading, 1 to 4 workers)\nNumber of Images: 0\n")
    assert "Time Taken: not measured (failed)" in summary(record)
    assert scale_table(record).startswith("Processing Mode: Scale")


def test_the_tables_of_a_scale_run():
    record = fail(
        scale_run((1, 2, 4, 8), inner=(1, 2), cores=4), "Threads, 2 workers with 2 OpenCV threads each", "No."
    )
    text = scale_table(record)
    head, _, advice = summary(record).rstrip("\n").rpartition("\n")  # the advice stands at the end of both
    assert text.startswith(f"{head}\n\n") and "\u00a0" not in text
    assert advice.startswith("Advice: Use threads with 8 workers: ") and text.count(f"\n\n{advice}\n") == 1
    strong, weak = (text.partition(f"{name} scaling")[2].splitlines()[2:6] for name in ("Strong", "Weak"))
    assert [line.split()[0] for line in strong] == [line.split()[0] for line in weak] == ["1", "2", "4", "8"]
    assert " ".join(strong[1].split()) == "2 0.630 s 0.629 to 0.631 1.90x 1.90 to 1.91 95 % 5.0 %"
    assert " ".join(weak[1].split()) == "2 1.231 s 1.229 to 1.233 1.95x 1.94 to 1.96 97 %"
    assert ["oversubscribed" in line for line in strong] == [False, False, False, True]
    for name in ("Amdahl’s law: 5.0 % of the work", "Karp-Flatt: ", "Gustafson’s law: ", "Universal Scalability Law: "):
        assert name in text
    grid = text.partition("as speedups")[2].splitlines()[2:6]
    assert [line.split() for line in grid] == [
        ["1", "1.00x", "1.30x"], ["2", "1.90x", "-"], ["4", "3.48x", "2.78x", "+"], ["8", "5.93x*+", "4.74x", "+"],
    ]  # fmt: skip
    assert "Two levels of threads fight" in text
    assert "Threads, 2 workers with 2 OpenCV threads each was not measured: No." in text


def test_techniques_that_share_a_name_are_told_apart_by_their_labels(record):
    fast, base = record.techniques
    record.mode, record.best = "compare", "threading"
    slow = replace(fast, label="Threads, pickled arrays", median_seconds=4.0, speedup=2.0)
    failed = replace(fast, label="Threads, shared memory", median_seconds=None, speedup=None, reason="No memory.")
    record.techniques = [slow, fast, failed, base]
    text = comparison(record)
    for row in ("Threads .* 2.410 s ", "Threads, pickled arrays .* 4.000 s ", "sequential "):
        assert re.search(f"(?m)^{row}", text)
    assert "Not run: Threads, shared memory: No memory." in text
    assert "Time Taken: 2.41 seconds\nSpeedup: 3.4x" in text


# ---------------------------------------------------------------- verify


@pytest.mark.parametrize(
    ("where", "said"),
    [
        (("weak", 0, "speedup"), "Threads, 2 workers, 2 times the images: speedup is "),
        (("weak", 1, "images_per_second"), "Threads, 3 workers, 3 times the images: images_per_second is "),
        (("scaling", "strong", 1, "efficiency"), "scaling.strong[1].efficiency is "),
        (("scaling", "weak", 2, "seconds"), "scaling.weak[2].seconds is "),
        (("scaling", "grid", 0, "speedup"), "scaling.grid[0].speedup is "),
        (("scaling", "amdahl", "serial"), "scaling.amdahl.serial is "),
        (("scaling", "gustafson", "scale"), "scaling.gustafson.scale is "),
        (("scaling", "usl", "sigma"), "scaling.usl.sigma is "),
    ],
)
def test_verify_finds_each_figure_that_does_not_follow(where, said):
    data = scale_run((1, 2, 3, 4, 6, 8), inner=(1, 2), noise=0.02).to_dict()
    inside = data
    for name in where[:-1]:
        inside = inside[name]
    inside[where[-1]] *= 1.01
    found = verify(Record.from_dict(data))
    assert len(found) == 1 and found[0].startswith(said), found
    assert "raw samples give" in found[0]


def test_verify_notices_a_raw_sample_that_was_changed():
    record = scale_run(noise=0.02)
    record.weak[0].rounds[0].wall_seconds *= 3
    found = verify(record)
    assert any("2 times the images: speedup_ci95" in sentence for sentence in found)
    assert all("Threads, 4 workers" not in sentence for sentence in found)
    record = scale_run(noise=0.02)
    for one in record.techniques[0].rounds:
        one.wall_seconds *= 1.1
    assert any(sentence.startswith("scaling.amdahl.serial is ") for sentence in verify(record))


def test_verify_notices_a_law_that_was_left_out_or_points_that_are_not_there():
    record = scale_run()
    record.scaling.amdahl = None
    assert [s.partition(" is ")[0] for s in verify(record)] == ["scaling.amdahl"]
    del record.scaling.strong[1]
    assert any(sentence.startswith("scaling.strong is ") for sentence in verify(record))


def test_verify_wants_the_same_pixels_for_a_scaled_speedup():
    record = scale_run()
    record.weak[0].identical = None
    assert verify(record) == [
        "Threads, 2 workers, 2 times the images: a speedup is shown, but its pixels were not found to be the "
        "baseline’s."
    ]
