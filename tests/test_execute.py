"""A run from images to record, with real techniques on small pictures."""

import hashlib
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest

from imgproc.backends import TECHNIQUES, Technique
from imgproc.backends.base import BackendError
from imgproc.backends.dispatcher import Dispatcher
from imgproc.errors import UserError
from imgproc.operations import DEFAULT_OPERATIONS, OPERATIONS, parse_parameters
from imgproc.pixels.codecs import decode, encode
from imgproc.pixels.png_encoders import Choice
from imgproc.pixels.proof import pixels_sha256
from imgproc.report import sentences
from imgproc.report.text import summary
from imgproc.runs import execute, memory
from imgproc.runs.execute import process
from imgproc.runs.passes import RunFolders
from imgproc.runs.progress import Cancelled
from imgproc.runs.record import ImageRecord, Record, RunSettings
from imgproc.runs.replacing import replace_results
from imgproc.runs.verify import verify
from imgproc.settings import Settings
from tests.backend_kinds import DEFAULT, each

PROJECT = Path(__file__).resolve().parent.parent
SETTINGS = Settings()
HOOKS = ("progress", "cancelled", "results_ready", "spoil")


def images(folder, sizes):
    folder.mkdir()
    rng = np.random.default_rng(4)
    records, sources = [], {}
    for index, (height, width) in enumerate(sizes):
        path = folder / f"{index}.png"
        path.write_bytes(encode(cv2.blur(rng.integers(0, 256, (height, width, 3), np.uint8), (5, 5)), "png"))
        records.append(ImageRecord(index, "same.png", width, height, "PNG", path.stat().st_size))
        sources[index] = path
    return records, sources


@pytest.fixture
def run(tmp_path):
    def run(technique="threading", sizes=((60, 80), (200, 300), (10, 9)), mode="parallel", previews=True, **asked):
        records, sources = images(tmp_path / "in", sizes)
        hooks = {name: asked.pop(name) for name in HOOKS if name in asked}
        hooks.pop("spoil", lambda _: None)(sources)
        written = asked.pop("written", lambda _: None)
        settings = RunSettings(list(DEFAULT_OPERATIONS), parse_parameters({}), technique, **{"workers": 2, **asked})
        data = Record("0123456789ab", mode, settings, records).to_dict()
        written(data["settings"])
        record = Record.from_dict(data)
        shown = tmp_path / "previews" if previews else None
        places = RunFolders(sources, tmp_path / "images", shown, tmp_path / "work")
        process(record, places, SETTINGS, **hooks)
        return record, places

    return run


def measured(record, name):
    return next(m for m in record.techniques if m.name == name)


def reference(path, operation, record):
    image = cv2.imread(str(path), cv2.IMREAD_COLOR if record.settings.color else cv2.IMREAD_GRAYSCALE)
    return OPERATIONS[operation].apply(image, record.settings.parameters)


@pytest.mark.parametrize("name", each(TECHNIQUES, images=True))
@pytest.mark.parametrize("color", [False, True])
def test_every_technique_writes_the_same_pixels_and_says_so(name, color, run):
    record, places = run(name, rounds=6, color=color)
    for image in record.images:
        assert image.error is None
        for output in image.outputs:
            expected = reference(places.sources[image.index], output.operation, record)
            data = (places.outputs / output.file).read_bytes()
            assert len(data) == output.bytes
            assert np.array_equal(decode(data, color=expected.ndim == 3), expected)
            height, width = expected.shape[:2]
            head = f"{height}x{width}x{3 if expected.ndim == 3 else 1}:".encode()
            assert output.pixels_sha256 == hashlib.sha256(head + expected.tobytes()).hexdigest()
            assert (places.previews / output.preview).exists()
    m = measured(record, name)
    assert m.identical is not False
    assert all(len(m.rounds) == 6 for m in record.techniques)
    assert measured(record, "sequential").speedup == 1
    if name != "sequential":
        low, high = m.speedup_ci95
        assert m.identical and m.verdict and low <= m.speedup <= high
        assert m.startup_seconds is not None and m.first_round_seconds > 0
    assert measured(record, record.best)
    assert not places.work.exists()
    files = [o.file.lower() for i in record.images for o in i.outputs]
    assert len(set(files)) == len(files) == 9


@pytest.mark.parametrize("split", ["never", "always"])
def test_where_memory_is_short_all_techniques_work_on_fewer_images_and_the_record_says_so(run, monkeypatch, split):
    given = []

    def watched(self, *arguments, **named):
        given.append(named["memory"])
        return results(self, *arguments, **named)

    results = Dispatcher.__init__
    monkeypatch.setattr(Dispatcher, "__init__", watched)
    monkeypatch.setattr(memory, "WORKER", 0)
    names = [name for name in ("threading", "multiprocessing") if name in DEFAULT]
    asked = {"mode": "compare", "techniques": names, "rounds": 2, "budget": 2.0, "split": split}
    needs = memory.needed(ImageRecord(0, "", 800, 600), RunSettings(list(DEFAULT_OPERATIONS), parse_parameters({})))
    monkeypatch.setattr(memory, "memory_available", lambda: 1.9 * needs / memory.SHARE)
    record, _ = run(sizes=((600, 800),) * 4, **asked)
    assert {round(room) for room in given} == {round(1.9 * needs)}
    [said] = [w for w in record.warnings if w.startswith("Memory is short")]
    assert "0.5 megapixels" in said
    assert [i.error for i in record.images] == [None] * 4
    assert all(m.identical and m.rounds for m in record.techniques)


def test_where_memory_is_not_short_nothing_is_said_of_it(run):
    record, _ = run(budget=0)
    assert not [w for w in record.warnings if "Memory" in w]


def test_sequential_mode_measures_only_the_baseline(run):
    [only] = run(mode="sequential")[0].techniques
    assert only.name == "sequential" and only.median_seconds > 0


def test_auto_is_what_is_predicted_to_be_done_first_with_its_reason(run):
    record, _ = run("auto")
    assert record.techniques[0].name == "threading"
    assert record.advice.startswith("auto took Threads, 2 workers: ") and "against" in record.advice


def test_a_bad_file_is_named_and_the_others_go_on(run):
    record, places = run(spoil=lambda sources: Path(sources[1]).write_bytes(b"no image"))
    assert [image.error is None for image in record.images] == [True, False, True]
    assert record.images[1].outputs == []
    assert len(list(places.outputs.iterdir())) == 6
    assert record.technique.speedup is not None


def test_no_good_image_fails_the_run(run):
    with pytest.raises(UserError) as caught:
        run(spoil=lambda sources: [path.unlink() for path in sources.values()])
    assert caught.value.code == "refused_image"
    assert caught.value.message.endswith(" A file could not be read or written: No such file or directory.")


def test_without_a_budget_the_results_are_made_and_nothing_is_measured(run):
    record, places = run(budget=0.0, previews=False)
    assert [m.name for m in record.techniques] == ["threading"]
    assert record.technique.speedup is None and record.technique.median_seconds > 0
    assert len(list(places.outputs.iterdir())) == 9


def test_a_small_budget_measures_on_a_sample_and_says_so(run):
    record, _ = run(sizes=[(500, 500)] * 20, budget=0.02, workers=2)
    assert record.sample and 4 <= len(record.sample) < 20
    assert len(record.images) == 20 and all(i.outputs[0].pixels_sha256 for i in record.images)
    assert record.seconds == record.technique.first_round_seconds


def test_cancelling_ends_it_and_leaves_no_scratch(run, tmp_path):
    with pytest.raises(Cancelled):
        run(cancelled=lambda: True)
    assert not (tmp_path / "work").exists()


def test_progress_goes_from_start_to_end_and_never_back(run):
    seen = []
    run(progress=seen.append, rounds=3)
    shares = [p.share for p in seen]
    assert shares == sorted(shares) and shares[0] >= 0 and shares[-1] > 0.5
    assert [p.phase for p in seen if p.phase == "rounds"]
    assert {p.technique for p in seen} == {"threading", "sequential"}
    last = seen[-1]
    assert last.passes_done == last.passes_total == 1 + 3 * 2
    assert max(p.round for p in seen) == 3


def test_what_there_is_to_know_of_the_encoder_is_told_and_what_is_waited_for_shown(run, monkeypatch):
    asked = []

    def choose(megapixels, workers, *, elsewhere, loading):
        asked.append((megapixels, workers, elsewhere))
        loading()
        return Choice("isal", "The encoder is new.")

    monkeypatch.setattr(execute, "choose", choose)
    seen = []
    record, _ = run(progress=seen.append, budget=0, sizes=((500, 300), (200, 300)))
    assert asked == [(pytest.approx(2 * 0.21), 2, False)]  # edges are not counted
    assert (seen[0].phase, seen[0].share) == ("loading", 0.0) and seen[1].phase == "starting"
    assert sentences.step(seen[0])[0].startswith("Loading the PNG encoder")
    assert record.warnings == ["The encoder is new."] and record.environment["png_encoder"] == "isal"
    assert "The encoder is new." in summary(record)


def test_the_seed_is_recorded(run):
    assert run(seed=0)[0].settings.seed > 0


def test_a_record_of_an_older_version_runs_again(run):
    def older(settings):
        for name in ("aperture", "l2gradient", "sigma", "transfers", "chunk_size", "start_method"):
            del settings[name]

    record, places = run(written=older, budget=0.0)
    assert record.settings.parameters == parse_parameters({})
    assert not any(image.error for image in record.images) and len(list(places.outputs.iterdir())) == 9


@pytest.mark.parametrize(
    ("mode", "gone", "said"),
    [
        ("parallel", {"operations": ["canny", "emboss"]}, "There is no operation “emboss”"),
        ("parallel", {"technique": "quantum"}, "no technique “quantum”"),
        ("compare", {"techniques": ["threading", "quantum"]}, "no technique “quantum”"),
    ],
)
def test_what_this_version_no_longer_has_is_told(mode, gone, said, run):
    with pytest.raises(UserError, match=said):
        run(mode=mode, written=lambda settings: settings.update(gone))


@pytest.mark.parametrize("bad", ["cuda", "", "Threading"])
def test_an_unknown_technique_is_refused(bad, run):
    with pytest.raises(UserError) as caught:
        run(bad)
    assert caught.value.field == "technique"


def test_a_comparison_measures_everything_that_can_run_in_the_same_rounds(run):
    record, places = run(mode="compare", budget=60.0)
    assert {m.name for m in record.techniques} == set(TECHNIQUES) - {"textbook"}
    took_part = [m for m in record.techniques if m.available]
    assert {m.name for m in took_part} == set(DEFAULT)
    assert all(m.reason for m in record.techniques if not m.available)
    rounds = {len(m.rounds) for m in took_part}
    assert len(rounds) == 1 and rounds.pop() >= 6
    for m in took_part:
        assert m.identical and m.startup_seconds is not None and m.first_round_seconds > 0
        assert m.speedup_ci95 or m.name == "sequential"
        assert {s.round for s in m.spans} == set(range(1, len(m.rounds) + 1))
        assert 1 <= m.typical_round <= len(m.rounds)
    assert record.best == max(took_part, key=lambda m: m.speedup or 1.0).name
    assert all(output.pixels_sha256 for image in record.images for output in image.outputs)
    assert len(list(places.outputs.iterdir())) == 9


def add_technique(monkeypatch, name, path):
    monkeypatch.setitem(TECHNIQUES, name, Technique(name, name.title(), path, "pip install it", "", "", ""))


def test_what_cannot_run_is_listed_with_its_reason(run, monkeypatch):
    add_technique(monkeypatch, "quantum", "imgproc.backends.quantum_annealer:Quantum")
    record, _ = run(mode="compare")
    missing = measured(record, "quantum")
    assert not missing.available and "not installed" in missing.reason and "pip install it" in missing.reason


@pytest.mark.parametrize("kind", ["Broken", "BreaksLater"])
def test_a_technique_that_fails_is_out_and_the_others_go_on(kind, run, monkeypatch):
    add_technique(monkeypatch, "unlucky", f"fakes:{kind}")
    record, _ = run(mode="compare", techniques=["threading", "unlucky"])
    unlucky = measured(record, "unlucky")
    assert unlucky.median_seconds is None and "could not" in unlucky.reason
    assert record.technique.name in ("threading", "sequential")
    assert {m.name for m in record.techniques if m.speedup} == {"threading", "sequential"}


def test_the_record_says_how_images_were_read(run, monkeypatch):
    add_technique(monkeypatch, "notes", "fakes:Notes")
    record, _ = run("notes", budget=0.0)
    bits = "It uses only 12 of 16 bits."
    assert [image.warnings for image in record.images] == [[bits], [bits, "It has no colours."], [bits]]


def test_other_pixels_win_nothing(run, monkeypatch):
    add_technique(monkeypatch, "sloppy", "fakes:Sloppy")
    record, _ = run(mode="compare", techniques=["threading", "sloppy"])
    sloppy = measured(record, "sloppy")
    assert sloppy.identical is False and sloppy.speedup is None and sloppy.verdict is None
    assert "pixels differ" in sloppy.reason
    assert record.best != "sloppy"


def right_files(record, places):
    """Whether every result on disk has the pixels of plain OpenCV, and the record their hashes where it has any."""
    for image in record.good_images:
        for output in image.outputs:
            data = (places.outputs / output.file).read_bytes()
            pixels = decode(data)
            if not np.array_equal(pixels, reference(places.sources[image.index], output.operation, record)):
                return False
            if output.bytes != len(data) or output.pixels_sha256 not in (None, pixels_sha256(pixels)):
                return False
    return True


@pytest.mark.parametrize("previews", [True, False])
@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("Sloppy", "in 3 of the 3 images compared (same.png, same.png and same.png)"),
        ("SloppyOnOne", "in 1 of the 3 images compared (same.png)"),
    ],
)
def test_results_that_differ_are_made_again_by_the_baseline(kind, said, previews, run, monkeypatch):
    add_technique(monkeypatch, "sloppy", f"fakes:{kind}")
    record, places = run("sloppy", previews=previews)
    assert right_files(record, places) and len(list(places.outputs.iterdir())) == 9
    first = f"Sloppy: its pixels differed from the baseline’s {said}."
    counted = re.findall(r" In the gaussian of same\.png ([\d,]+) of [\d,]+ pixels differ\.", record.warnings[0])
    assert len(counted) == (1 if kind == "SloppyOnOne" else 3) and "0" not in counted
    assert record.warnings[0].startswith(first)
    assert record.warnings[0].endswith("pixels differ. The baseline made these results again.")
    sloppy = record.techniques[0]
    assert sloppy.identical is False and sloppy.speedup is None and sloppy.median_seconds and not verify(record)
    assert "Speedup: not shown (its pixels differ" in summary(record)
    if previews:
        made = decode((places.previews / record.images[0].outputs[1].preview).read_bytes())
        right = cv2.imread(str(places.sources[0]), cv2.IMREAD_GRAYSCALE)
        assert np.abs(cv2.GaussianBlur(right, (5, 5), 0).astype(int) - made).mean() < 3


@pytest.mark.parametrize("kind", ["threading", "Sloppy"])
def test_results_can_be_seen_once_they_are_proven_while_measuring_goes_on(kind, run, tmp_path, monkeypatch):
    if kind == "Sloppy":
        add_technique(monkeypatch, "sloppy", "fakes:Sloppy")
    seen, at_ready = [], []

    def ready():
        files = {path.name: path.read_bytes() for path in (tmp_path / "images").iterdir()}
        at_ready.append((len(seen), files))

    names = [kind.lower(), "futures-threads"]
    record, places = run(mode="compare", techniques=names, progress=seen.append, results_ready=ready)
    [(when, files)] = at_ready
    assert right_files(record, places) and files == {p.name: p.read_bytes() for p in places.outputs.iterdir()}
    # By then only the technique that makes the results and the baseline have done anything.
    assert {p.technique for p in seen[:when]} == {kind.lower(), "sequential"}
    assert {p.ready for p in seen[:when]} == {"images"} and {p.ready for p in seen[when:]} == {"results"}
    assert "futures-threads" in {p.technique for p in seen[when:]}
    assert all(t.identical for t in record.techniques if t.name != "sloppy")


def test_results_that_differ_do_not_stay_where_the_run_is_cancelled_while_they_are_made_again(run, monkeypatch):
    add_technique(monkeypatch, "sloppy", "fakes:SloppyOnOne")
    phases, found = [], []

    def watch(progress):
        phases.append((progress.phase, progress.technique))

    def prepared(passes, *_):
        found.append(passes)
        return replace_results(passes, *_)

    monkeypatch.setattr("imgproc.runs.measuring.replace_results", prepared)
    with pytest.raises(Cancelled):
        run("sloppy", progress=watch, cancelled=lambda: phases[-1:] == [("results", "sequential")])
    record, outputs = found[0].record, found[0].folders.outputs
    assert [image.error is None for image in record.images] == [True, False, True]
    assert "the run was cancelled" in record.images[1].error and len(list(outputs.iterdir())) == 6
    assert sentences.ending(replace(record, state="cancelled")).what == "Two images are done and can be downloaded."


def test_what_was_not_compared_is_made_again_too(run, monkeypatch):
    """A technique that errs in a sample may have erred anywhere."""
    add_technique(monkeypatch, "sloppy", "fakes:Sloppy")
    record, places = run("sloppy", sizes=[(500, 500)] * 12, budget=0.02, workers=1, previews=False)
    compared = len(record.sample)
    assert compared < 12 and right_files(record, places)
    assert f" and those of the {12 - compared} images that were not compared." in record.warnings[0]
    assert not verify(record)


def test_without_a_budget_nothing_is_compared(run, monkeypatch):
    add_technique(monkeypatch, "sloppy", "fakes:Sloppy")
    record, places = run("sloppy", budget=0.0)
    assert not right_files(record, places) and record.warnings == []
    assert "Speedup: not shown (the baseline was not measured)" in summary(record)


def test_a_result_that_differs_and_cannot_be_had_is_no_result(run, monkeypatch):
    add_technique(monkeypatch, "sloppy", "fakes:SloppyOnOne")
    monkeypatch.setitem(TECHNIQUES, "sequential", replace(TECHNIQUES["sequential"], path="fakes:BreaksSoon"))
    record, places = run("sloppy")
    assert [image.error is None for image in record.images] == [True, False, True]
    assert "other pixels than the baseline’s, which failed: The workers could not go on." in record.images[1].error
    assert "so there are none" in record.warnings[0]
    assert right_files(record, places) and len(list(places.outputs.iterdir())) == 6
    assert not verify(record)


def test_images_that_the_baseline_fails_on_have_no_results(run, monkeypatch):
    add_technique(monkeypatch, "sloppy", "fakes:Sloppy")
    monkeypatch.setitem(TECHNIQUES, "sequential", replace(TECHNIQUES["sequential"], path="fakes:FailsInRounds"))
    record, places = run("sloppy")
    assert [image.error for image in record.images].count("The disk is full.") == 2
    assert record.warnings[0].endswith("made these results again; 2 images failed.")
    assert right_files(record, places) and len(list(places.outputs.iterdir())) == 3


def test_a_run_of_which_no_result_is_right_fails(run, monkeypatch):
    add_technique(monkeypatch, "sloppy", "fakes:Sloppy")
    monkeypatch.setitem(TECHNIQUES, "sequential", replace(TECHNIQUES["sequential"], path="fakes:BreaksSoon"))
    with pytest.raises(UserError, match="None of the images"):
        run("sloppy")


@pytest.mark.parametrize("kind", ["FailsInRounds", "FailsInWarmUp"])
def test_a_baseline_that_fails_gives_no_speedup_and_no_false_accusation(kind, run, monkeypatch):
    row = TECHNIQUES["sequential"]
    monkeypatch.setitem(TECHNIQUES, "sequential", replace(row, path=f"fakes:{kind}"))
    record, _ = run()
    threads = record.techniques[0]
    assert threads.speedup is None and threads.identical is not False
    assert "the baseline failed" in threads.reason and "disk is full" in threads.reason
    assert threads.median_seconds > 0
    assert all(image.error is None for image in record.images)


def test_a_technique_whose_rounds_fail_keeps_its_results_and_shows_no_speedup(run, monkeypatch):
    add_technique(monkeypatch, "unlucky", "fakes:FailsInRounds")
    record, places = run("unlucky")
    assert record.technique is not None and len(list(places.outputs.iterdir())) == 9
    unlucky = record.techniques[0]
    assert unlucky.speedup is None and "2 of 3 images failed" in unlucky.reason


@pytest.mark.parametrize("name", ["multiprocessing", "futures-processes", "joblib", "mpi"])
def test_the_record_says_that_workers_were_replaced(name, run):
    killed = []

    def kill_one(progress):
        if progress.phase == "results" and progress.images_done == 2 and not killed:
            # The newest is a worker; other tests may have left their own helpers.
            family = psutil.Process().children(recursive=True)
            killed.append(max(family, key=lambda process: (process.create_time(), process.pid)))
            killed[0].kill()

    # So many that they are not all done before the death is seen.
    record, places = run(name, sizes=[(900, 1200)] * 30, progress=kill_one, budget=0.0, split="never")
    assert len(killed) == 1 and all(image.error is None for image in record.images)
    label = TECHNIQUES[name].label
    said = f"{label}, making the results: a worker died or hung and was replaced, which its time includes."
    assert record.warnings == [said] and len(list(places.outputs.iterdir())) == 90


def test_what_a_dead_worker_left_half_written_goes_and_nobody_elses_does(run, tmp_path):
    left = []

    def die_while_writing(progress):
        if progress.phase == "rounds" and not left:
            left.append(progress)
            made = min(tmp_path.glob("images/*_canny.png"))
            made.with_name(f"{made.name}.123-456.part").write_bytes(b"half")
            made.with_name("another.png.123-456.part").write_bytes(b"not ours")

    _, places = run("threading", progress=die_while_writing)
    assert left and [path.name for path in places.outputs.glob("*.part")] == ["another.png.123-456.part"]


def stages(measurement):
    return {span.stage for span in measurement.spans if span.worker}


def test_files_travel_to_workers_that_do_not_see_them_and_the_record_says_so(run, monkeypatch):
    add_technique(monkeypatch, "blind", "fakes:Blind")
    record, places = run("blind", split="always")
    blind = record.techniques[0]
    assert blind.transfer == "bytes" and blind.identical and blind.split == [0, 1, 2]
    assert stages(blind) == {"transfer", *DEFAULT_OPERATIONS, "encode"}  # of strips, which were decoded here
    assert len(list(places.outputs.iterdir())) == len(list(places.previews.iterdir())) == 9
    assert sum("Blind: its workers do not see this machine’s files" in one for one in record.warnings) == 1
    assert all(output.pixels_sha256 for image in record.images for output in image.outputs)


@pytest.mark.parametrize(("split", "cut"), [("always", [0, 1, 2]), ("never", [])])
def test_workers_elsewhere_that_see_the_files_use_them_and_are_sent_strips(split, cut, run, monkeypatch):
    add_technique(monkeypatch, "elsewhere", "fakes:Elsewhere")
    record, _ = run("elsewhere", split=split)
    elsewhere = record.techniques[0]
    assert elsewhere.transfer == "paths" and elsewhere.split == cut and elsewhere.identical
    assert {"read", "write"} <= stages(elsewhere) or cut
    assert not any("travel" in one for one in record.warnings)


def test_no_memory_is_shared_with_workers_elsewhere(run, monkeypatch):
    add_technique(monkeypatch, "elsewhere", "fakes:Elsewhere")
    record, _ = run("elsewhere", transfers=["shared"])
    assert record.techniques[0].transfer == "bytes" and record.techniques[0].identical
    assert any("on other machines" in one for one in record.warnings)


def test_threads_that_are_not_pinned_fail_the_technique(run, monkeypatch):
    add_technique(monkeypatch, "sprawling", "fakes:Sprawling")
    with pytest.raises(BackendError, match="not pinned"):
        run("sprawling")


def test_a_run_on_the_command_line_loads_no_web_no_database_no_cluster_and_draws_nothing():
    code = "import sys, imgproc.runs.execute; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PROJECT)
    assert not {"flask", "sqlalchemy", "matplotlib", "distributed", "mpi4py", "joblib", "numba", "scipy.optimize"} & {
        *done.stdout.split()
    }
