"""The command line as a person runs it: real processes, real files, real exit statuses."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import cv2
import numpy as np
import pytest
from scale_runs import scale_run

from imgproc.backends import TECHNIQUES
from imgproc.cli import _run, main, measuring
from imgproc.cli.parser import Parser
from imgproc.errors import UserError
from imgproc.intake.paths import find_images
from imgproc.measure.lock import NOT_ALONE, Holder, holder, machine_lock
from imgproc.operations import DEFAULT_OPERATIONS, OPERATIONS, PARAMETERS, parse_parameters
from imgproc.operations.ipp import without_ipp
from imgproc.pixels.codecs import decode, encode
from tests.backend_kinds import AVAILABLE, each

PROJECT = Path(__file__).resolve().parent.parent


def imgproc(*arguments, cwd=PROJECT, **options):
    return subprocess.run(
        [sys.executable, "-m", "imgproc", *map(str, arguments)],
        capture_output=True, text=True, timeout=120, cwd=cwd, env={**os.environ, "PYTHONPATH": str(PROJECT)}, **options,
    )  # fmt: skip


def begin(*arguments, **options):
    """The command, going on; the caller waits for it."""
    return subprocess.Popen([sys.executable, "-m", "imgproc", *map(str, arguments)], cwd=PROJECT, **options)


def begin_measuring(folder, **options):
    """A command that has written all its results and measures for a minute; its folder for results."""
    imgproc("sample", folder / "in", "--count", 6, "--megapixels", 1)
    out = folder / "out"
    running = begin("process", folder / "in", "--out", out, "--budget", 60, "--rounds", 100, **options)
    while running.poll() is None and not list(out.glob("*_equalize.png")):
        time.sleep(0.02)
    return running, out


def scratch(out):
    return [p for p in out.rglob("*") if p.name.endswith(".part") or p.name.startswith(".")]


@pytest.fixture(autouse=True)
def own_machine_lock(tmp_path_factory, monkeypatch):
    """These runs need not wait for others on this machine."""
    monkeypatch.setenv("TMPDIR", str(tmp_path_factory.getbasetemp()))


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Five pictures in a folder with a subfolder, two of the same name."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "more").mkdir()
    rng = np.random.default_rng(2)
    for name in ("a.jpg", "b.PNG", "c.webp", "more/a.jpg", "d.jpeg"):
        format = {".PNG": "png", ".webp": "webp"}.get(Path(name).suffix, "jpeg")
        image = cv2.GaussianBlur(rng.integers(0, 256, (240, 320, 3), np.uint8), (9, 9), 0)
        (folder / name).write_bytes(encode(image, format))
    (folder / "notes.txt").write_text("not an image")
    return folder


def test_a_folder_becomes_results_and_a_summary(photos, tmp_path):
    done = imgproc("process", photos, "--out", tmp_path / "out", "--workers", 2)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "Processing Mode: Parallel (threading, 2 workers)"
    assert lines[1] == "Number of Images: 5"
    assert lines[2].startswith("Time Taken: ") and lines[2].endswith(" seconds")
    assert "x over Sequential (95% CI " in lines[3]
    assert done.stderr == ""
    out = tmp_path / "out"
    names = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.png"))
    assert names == sorted(f"{s}_{o}.png" for s in ("a", "more/a", "b", "c", "d") for o in DEFAULT_OPERATIONS)


@pytest.mark.parametrize("technique", each(TECHNIQUES, images=True))
def test_every_technique_gives_plain_opencvs_pixels(technique, photos, tmp_path):
    done = imgproc("process", photos / "b.PNG", "--out", tmp_path, "--technique", technique, "--json", "--budget", 0)
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["techniques"][0]["name"] == technique
    gray = cv2.imread(str(photos / "b.PNG"), cv2.IMREAD_GRAYSCALE)
    assert (record["images"][0]["width"], record["images"][0]["height"]) == (320, 240)
    for output in record["images"][0]["outputs"]:
        expected = OPERATIONS[output["operation"]].apply(gray, parse_parameters({}))
        assert np.array_equal(decode((tmp_path / output["file"]).read_bytes()), expected)


def test_options_reach_the_pixels(photos, tmp_path):
    options = [
        "--operations", "canny,gaussian", "--canny-low", 20, "--canny-high", 60, "--aperture", 5, "--l2gradient",
        "--kernel", 9, "--sigma", 2.5, "--color", "--budget", 0,
    ]  # fmt: skip
    done = imgproc("process", photos / "a.jpg", "--out", tmp_path, *options)
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a_canny.png", "a_gaussian.png"]
    image = cv2.imread(str(photos / "a.jpg"), cv2.IMREAD_COLOR)
    made = decode((tmp_path / "a_gaussian.png").read_bytes(), color=True)
    assert np.array_equal(made, cv2.GaussianBlur(image, (9, 9), 2.5))
    with without_ipp():
        edges = cv2.Canny(image, 20, 60, apertureSize=5, L2gradient=True)
    assert np.array_equal(decode((tmp_path / "a_canny.png").read_bytes()), edges)


@pytest.mark.parametrize(("format", "extension"), [("jpeg", "jpg"), ("webp", "webp")])
def test_other_formats(format, extension, photos, tmp_path):
    assert imgproc("process", photos / "a.jpg", "--out", tmp_path, "--format", format, "--budget", 0).returncode == 0
    assert {p.suffix for p in tmp_path.iterdir()} == {f".{extension}"}


def test_a_bad_file_is_named_and_gives_status_1(photos, tmp_path):
    bad = tmp_path / "bad.jpg"
    bad.write_bytes((photos / "a.jpg").read_bytes()[:2000])
    text = tmp_path / "text.png"
    text.write_text("hello")
    done = imgproc("process", photos / "a.jpg", bad, text, "--out", tmp_path / "out")
    assert done.returncode == 1
    assert "Number of Images: 1" in done.stdout
    assert f"Failed: {bad}: " in done.stdout and f"Failed: {text}: " in done.stdout
    assert len(list((tmp_path / "out").iterdir())) == 3


def test_libraries_keep_quiet_about_damaged_files(photos, tmp_path):
    """Each of these makes libpng, libtiff, OpenCV or Pillow print something of its own."""
    png = (photos / "b.PNG").read_bytes()
    (tmp_path / "cut.png").write_bytes(png[: len(png) // 2])
    tiff = cv2.imencode(".tiff", np.zeros((60, 60), np.uint8))[1].tobytes()
    (tmp_path / "cut.tiff").write_bytes(tiff[:-40])
    (tmp_path / "odd.tiff").write_bytes(tiff[:8] + bytes(20) + tiff[28:])
    for technique in ("threading", "multiprocessing"):
        done = imgproc(
            "process", tmp_path / "*.*", photos / "a.jpg", "--out", tmp_path / technique, "--technique", technique
        )
        assert done.returncode == 1
        assert done.stderr == ""


@pytest.mark.parametrize("half", [False, True])
def test_only_bad_files_give_status_1_and_no_output(half, photos, tmp_path):
    """The header of a PNG cut in half is fine, so only decoding finds out."""
    bad, data = tmp_path / "bad.png", (photos / "b.PNG").read_bytes()
    bad.write_bytes(data[: len(data) // 2] if half else b"x")
    done = imgproc("process", bad, "--out", tmp_path / "out")
    assert done.returncode == 1
    assert f"{bad}: " in done.stderr and done.stdout == "" and "Traceback" not in done.stderr


@pytest.mark.parametrize(("arguments", "says"), [
    ("process nothing-here.jpg --out o", "no file or folder nothing-here.jpg"),
    ("process nothing-*.jpg --out o", "no image in nothing-*.jpg"),
    ("process README.md", "required: --out"),
    ("process . --out o --technique cuda", "(--technique) cannot be “cuda”"),
    ("process . --out o --technique treading", "Did you mean “threading”?"),
    ("process . --out o --kernel 4", "(--kernel) must be an odd whole number"),
    ("process . --out o --kernl 5", "There is no option “--kernl”. Did you mean “--kernel”?"),
    ("process . --out o --canny_lo 5 --colr", "Did you mean “--color”?"),
    ("process . --out o --workers -1", "(--workers) must be a whole number from 1 to 64"),
    ("process . --out o --max-megapixels 0", "(--max-megapixels) must be a number from 0.001 to 1070"),
    ("process . --out o --canny-low nan", "(--canny-low) must be a whole number from 0 to 240000, not “nan”"),
    ("process . --out o --operations sharpn", "(--operations) cannot be “sharpn”"),
    ("process . --out o --format bmp", "(--format) cannot be “bmp”. Choose from png, jpeg, webp."),
    ("process . --out o --json .", "There is no place for the argument “.”"),
    ("process . --out o --budget inf", "(--budget) must be a number from 0 to 86400"),
    ("process . --out o --budget -1", "--budget"),
    ("compare . --budget 0.5", "(--budget) must be a number from 1 to 86400"),
    ("compare . --technique threading,jobli", "Did you mean “joblib”?"),
    ("compare . --technique threading --chunk-size 4", "Threads cannot hand out several images"),
    ("compare . --start-method magic", "(--start-method) cannot be “magic”"),
    ("scale . --technique sequential", "no workers to vary"),
    ("scale . --workers 1,x", "--workers must be whole numbers"),
    ("scale . --cv2_threads x", "--cv2-threads must be whole numbers"),
    ("sample o --count 0", "(--count) must be a whole number from 1 to 10000"),
    ("serve --port x", "invalid int value"),
    ("proces . --out o", "There is no command “proces”. Did you mean “process”?"),
    ("fly", "Choose from process, compare"),
    ("--verbose", "There is no option “--verbose”."),
    ("", "Which command? Choose from process"),
    ("process ∅ --out o", "A path is empty. Name a file or a folder; “.” is the current folder."),
    ("process a.jpg --out ∅", "Argument --out: the name is empty; “.” is the current folder. “python"),
    ("process a.jpg --out o --json=∅", "The name of the file after --json= is empty."),
    ("sample ∅", "Argument DIR: the name is empty"),
    ("verify ∅", "Argument RUN.JSON: the name is empty"),
])  # fmt: skip
def test_wrong_use_gives_status_2_and_one_sentence(arguments, says, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jpg").write_bytes(b"any")
    assert main([word.replace("∅", "") for word in arguments.split()]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith("imgproc: ") and says in said.err
    assert said.err.count("\n") == 1 and not (tmp_path / "o").exists()


def test_help_shows_every_parameter_with_its_range():
    text = imgproc("process", "--help").stdout
    for parameter in PARAMETERS.values():
        assert f"--{parameter.name.replace('_', '-')}" in text


def test_folders_globs_and_duplicates(photos, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(photos / "a.jpg")
    for patterns, count in (
        ([photos], 5), ([photos / "*.jp*g", photos / "a.jpg"], 2), ([photos / "**" / "*.jpg"], 2),
        ([photos / "a.jpg", photos / "more" / ".." / "a.jpg", link], 2), ([photos, photos, photos / "a.jpg"], 5),
    ):  # fmt: skip
        found = find_images(list(map(str, patterns)), tmp_path)
        assert (len(found.files), found.left_out) == (count, "")


def test_what_holds_no_image_is_refused_not_waited_for(photos, tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    for path, out, says in (
        (tmp_path, tmp_path / "out", "There is no image in"),
        (tmp_path / "pipe.jpg", tmp_path / "out", "neither a file nor a folder"),
        (photos / "more", photos, "outside the folder for the results"),
    ):
        with pytest.raises(UserError, match=says):
            find_images([str(path)], out)


def test_results_inside_the_input_folder_are_not_inputs_the_next_time(photos, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.jpg").write_bytes((photos / "a.jpg").read_bytes())
    for _ in range(2):
        done = imgproc("process", folder, "--out", folder / "out", "--budget", 0)
        assert "Number of Images: 1" in done.stdout
    assert len(list((folder / "out").iterdir())) == 3


def test_samples_are_drawn(tmp_path):
    done = imgproc("sample", tmp_path, "--count", 3, "--megapixels", 0.1)
    assert done.returncode == 0, done.stderr
    sizes = [cv2.imread(str(p)).size / 3e6 for p in tmp_path.iterdir()]
    assert len(sizes) == 3 and 0.03 < sum(sizes) / 3 < 0.3


def test_techniques_are_listed(capsys):
    assert main(["techniques"]) == 0
    text = capsys.readouterr().out
    assert all(f"{'yes' if name in AVAILABLE else 'no '}  {name}" in text for name in TECHNIQUES)
    assert main(["techniques", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in listed if row["available"]] == list(AVAILABLE)
    for row in listed:
        t = TECHNIQUES[row["name"]]
        assert (row["label"], row["what"], row["wins"], row["loses"]) == (t.label, t.what, t.wins, t.loses)
        assert bool(row["reason"]) is not row["available"] and set(row) >= {"command"}


def test_a_python_without_the_packages_says_what_to_do(tmp_path):
    for package in ("numpy", "cv2"):
        (tmp_path / f"{package}.py").write_text(f"raise ModuleNotFoundError('No module', name='{package}')")
    done = subprocess.run(
        [sys.executable, "-m", "imgproc", "process", "a.jpg", "--out", "o"],
        capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": f"{tmp_path}:{PROJECT}"},
    )  # fmt: skip
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "python3 run.py process" in done.stderr and "pip install -r requirements.txt" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_whole_files_and_no_scratch(number, status, tmp_path):
    running, out = begin_measuring(tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    running.send_signal(number)
    _, said = running.communicate(timeout=30)
    assert running.returncode == status, said
    assert "Traceback" not in said and not scratch(out)
    for file in out.iterdir():
        decode(file.read_bytes())


def test_a_comparison_is_a_table_and_a_record_that_verifies(photos, tmp_path):
    file = tmp_path / "run.json"
    chosen = ["--technique", "threading", "--technique", "joblib", "--workers", 2]
    done = imgproc("compare", photos, *chosen, "--budget", 20, "--json", file)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Processing Mode: Compare (")
    for name in ("threading x2", "joblib x2", "sequential"):
        assert any(line.startswith(name) for line in done.stdout.splitlines())
    assert "All made the same pixels." in done.stdout
    record = json.loads(file.read_text())
    assert [t["name"] for t in record["techniques"]] == ["threading", "joblib", "sequential"]
    assert all(len(t["rounds"]) >= 6 for t in record["techniques"])
    for t in record["techniques"]:
        wall = t["rounds"][t["typical_round"] - 1]["wall_seconds"]
        assert sum(t["breakdown"].values()) == pytest.approx(wall, rel=0.02)
    verified = imgproc("verify", file)
    assert verified.returncode == 0 and "Every figure follows" in verified.stdout
    record["techniques"][0]["speedup"] *= 1.1
    record["techniques"][1]["rounds"][2]["wall_seconds"] *= 3
    file.write_text(json.dumps(record))
    spoiled = imgproc("verify", file)
    assert spoiled.returncode == 1
    assert "Threads: speedup is " in spoiled.stdout and "joblib: " in spoiled.stdout
    assert list(tmp_path.iterdir()) == [file]


def test_a_scale_run_is_verified_with_its_curves_and_laws(tmp_path):
    record = scale_run((1, 2, 3, 4, 6, 8), inner=(1, 2), noise=0.02)
    record.save(tmp_path)
    verified = imgproc("verify", tmp_path / "run.json")
    assert verified.returncode == 0 and "Every figure follows" in verified.stdout
    record.scaling.amdahl.serial /= 2
    record.weak[0].speedup *= 1.1
    record.save(tmp_path)
    spoiled = imgproc("verify", tmp_path / "run.json")
    assert spoiled.returncode == 1
    assert "scaling.amdahl.serial is 0.0" in spoiled.stdout
    assert "Threads, 2 workers, 2 times the images: speedup is 2." in spoiled.stdout


@pytest.mark.parametrize("text", [None, "", "{}", '{"schema": 9}', "[1]"])
def test_what_is_no_record_cannot_be_verified(text, tmp_path):
    file = tmp_path / "run.json"
    if text is not None:
        file.write_text(text)
    done = imgproc("verify", file)
    assert done.returncode == 2 and done.stderr.startswith("imgproc: ") and "Traceback" not in done.stderr


def test_results_never_replace_an_image_they_are_made_from(photos, tmp_path):
    """An input that happens to be called like a result, in the folder for the results."""
    first, second = tmp_path / "a.jpg", tmp_path / "a_canny.png"
    first.write_bytes((photos / "a.jpg").read_bytes())
    second.write_bytes((photos / "b.PNG").read_bytes())
    done = imgproc("process", first, second, "--out", tmp_path, "--budget", 0)
    assert done.returncode == 0, done.stderr
    assert second.read_bytes() == (photos / "b.PNG").read_bytes()
    assert {p.name for p in tmp_path.glob("*_equalize.png")} == {"a-2_equalize.png", "a_canny_equalize.png"}


@pytest.mark.parametrize(("words", "named"), [
    (["process", "PHOTO", "--out", "/proc"], "/proc"), (["sample", "/proc"], "/proc"),
    (["compare", "PHOTO", "--json", "/nonexistent/x.json"], "/nonexistent/x.json"),
    (["scale", "PHOTO", "--json=/proc/x.json"], "/proc/x.json"),
    (["process", "PHOTO", "--out", "OUT", "--json", "/proc/x.json"], "/proc/x.json"),
])  # fmt: skip
def test_what_cannot_be_written_is_said_before_anything_is_done(words, named, photos, tmp_path, monkeypatch):
    """In one sentence, without the names of our own scratch files."""
    places = {"PHOTO": str(photos / "a.jpg"), "OUT": str(tmp_path / "out")}
    monkeypatch.setattr(measuring, "process", None)  # nothing may be measured
    with pytest.raises(OSError) as problem:
        _run([places.get(word, word) for word in words])
    assert problem.value.filename == named
    assert main([places.get(word, word) for word in words]) == 1
    assert not (tmp_path / "out").exists()


def test_a_record_that_cannot_be_written_in_the_end_costs_no_table(photos, tmp_path, monkeypatch, capsys):
    def full(path, *data):
        raise OSError(errno.ENOSPC, "No space left on device", f"{path}.123.part")

    monkeypatch.setattr("imgproc.runs.record.write_whole", full)
    words = ["--technique", "threading", "--budget", "1", "--json", str(tmp_path / "x.json")]
    assert main(["compare", str(photos / "a.jpg"), *words]) == 1
    said = capsys.readouterr()
    assert said.out.startswith("Processing Mode: Compare")
    assert said.err == f"imgproc: No space left on device: {tmp_path / 'x.json'}\n"


@pytest.mark.parametrize(("baseline", "status", "files"), [("Sequential", 0, 6), ("BreaksSoon", 1, 3)])
def test_results_that_differ_from_the_baseline_do_not_stay(
    baseline, status, files, photos, tmp_path, monkeypatch, capsys
):
    row = TECHNIQUES["sequential"]
    monkeypatch.setitem(TECHNIQUES, "sequential", replace(row, path=f"fakes:{baseline}"))
    monkeypatch.setitem(TECHNIQUES, "sloppy", replace(row, name="sloppy", label="Sloppy", path="fakes:SloppyOnOne"))
    (tmp_path / "1.png").write_bytes((photos / "b.PNG").read_bytes())
    words = ["process", photos / "a.jpg", tmp_path / "1.png", "--out", tmp_path / "out", "--technique", "sloppy"]
    assert main([*map(str, words), "--budget", "1"]) == status
    said = capsys.readouterr().out
    assert f"Warning: Sloppy: its pixels differed from the baseline’s in 1 of the 2 images compared ({tmp_path}" in said
    assert len(list((tmp_path / "out").iterdir())) == files
    assert (f"Failed: {tmp_path / '1.png'}: Its result had other pixels" in said) is bool(status)


@pytest.mark.parametrize(("words", "paths", "file"), [
    ("--json a.jpg", ["a.jpg"], "-"), ("a.jpg --json", ["a.jpg"], "-"), ("a.jpg --json --seed 1", ["a.jpg"], "-"),
    ("--json more", ["more"], "-"), ("--json *.jpg", ["*.jpg"], "-"), ("--json missing.png", ["missing.png"], "-"),
    ("--json noname", ["noname"], "-"), ("a.jpg --json x.json", ["a.jpg"], "x.json"),
    ("--json x.json a.jpg", ["a.jpg"], "x.json"), ("a.jpg --json=odd.jpg", ["a.jpg"], "odd.jpg"),
    ("a.jpg --json record", ["a.jpg"], "record"), ("a.jpg --json old.txt", ["a.jpg"], "old.txt"),
    ("a.jpg", ["a.jpg"], None), ("a.jpg --json -", ["a.jpg"], "-"),
])  # fmt: skip
def test_json_has_one_form_and_never_takes_an_image_for_its_file(words, paths, file, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "more").mkdir()
    (tmp_path / "old.txt").write_text("{}")
    for name in ("a.jpg", "noname"):
        (tmp_path / name).write_bytes((photos / "a.jpg").read_bytes())
    for command in ("process --out o", "compare", "scale"):
        name, *more = command.split()
        parser = Parser(prog="test", description="")
        import_module(f"imgproc.cli.{name}").add_arguments(parser)
        found = parser.parse_args([*words.split(), *more])
        assert (found.paths, found.json) == (paths, file)


def test_the_record_goes_where_json_says(photos, tmp_path):
    file, photo = tmp_path / "run.json", photos / "a.jpg"
    done = imgproc("process", photo, "--out", tmp_path / "o", "--budget", 0, "--json", file)
    assert done.stdout.startswith("Processing Mode: Parallel") and json.loads(file.read_text())["state"] == "done"
    done = imgproc("compare", "--json", photo, "--technique", "threading,opencv", "--seed", 7, "--budget", 1)
    record = json.loads(done.stdout)
    assert done.stderr == "" and [t["name"] for t in record["techniques"]] == ["threading", "opencv", "sequential"]
    assert record["settings"]["techniques"] == ["threading", "opencv"] and record["settings"]["seed"] == 7


def test_who_measures_is_waited_for_by_those_that_measure(photos, tmp_path, monkeypatch):
    """One without a budget measures nothing and waits for nobody, nor does one that is told not to."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    words = ["process", photos / "a.jpg", "--out", tmp_path / "out", "--rounds", 1, "--budget"]
    with machine_lock(lambda _: None, folder=tmp_path, budget=60):
        assert holder(folder=tmp_path) == Holder(os.getpid(), 60)
        made = json.loads(imgproc(*words, 0, "--json").stdout)
        assert made["state"] == "done" and NOT_ALONE not in made["warnings"]
        at_once = json.loads(imgproc(*words, 1, "--json", "--no-wait").stdout)
        assert at_once["state"] == "done" and NOT_ALONE in at_once["warnings"]
        waits = begin(*map(str, [*words, 1]), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        said = waits.stderr.readline()
        assert f"waiting until the measurement of process {os.getpid()}" in said and "after 60 seconds" in said
        assert "--no-wait measures at once" in said and waits.poll() is None
    _, more = waits.communicate(timeout=60)
    assert waits.returncode == 0 and "in place of earlier ones" in more and holder(folder=tmp_path) is None


def test_a_note_that_a_dead_process_left_names_nobody(tmp_path):
    (tmp_path / "speedup-lab-measuring.txt").write_text("999999999 60\n")
    assert holder(folder=tmp_path) is None
    (tmp_path / "speedup-lab-measuring.txt").write_text("half")
    assert holder(folder=tmp_path) is None


def test_a_reader_that_has_seen_enough_ends_it_quietly(photos, tmp_path):
    words = ["process", photos, "--out", tmp_path, "--budget", 0, "--json"]
    running = begin(*words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    running.stdout.close()
    said = running.stderr.read()
    running.stderr.close()
    assert running.wait(60) == 1 and said == ""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_what_a_killed_command_left_goes_with_the_next(tmp_path):
    running, out = begin_measuring(tmp_path, stdout=subprocess.DEVNULL)
    while running.poll() is None and not list(out.glob(".imgproc*/round")):
        time.sleep(0.02)
    running.kill()
    running.wait(30)
    half = out / f"{min(out.glob('*_canny.png')).name}.{running.pid}-1.part"
    half.write_bytes(b"half")
    assert scratch(out)
    imgproc("process", tmp_path / "in", "--out", out, "--budget", 0)
    assert len(list(out.iterdir())) == 18 and all(path.suffix == ".png" for path in out.iterdir())
