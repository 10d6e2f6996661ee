"""The command line as a person runs it: real processes, real files, real exit statuses."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from scale_runs import scale_run

from imgproc.backends import TECHNIQUES
from imgproc.errors import UserError
from imgproc.intake.paths import find_images
from imgproc.operations import OPERATIONS, PARAMETERS, parse_parameters
from imgproc.pixels.codecs import decode, encode
from tests.backend_kinds import AVAILABLE, each

PROJECT = Path(__file__).resolve().parent.parent


def imgproc(*arguments, cwd=PROJECT, **options):
    return subprocess.run(
        [sys.executable, "-m", "imgproc", *map(str, arguments)],
        capture_output=True, text=True, timeout=120, cwd=cwd, env={**os.environ, "PYTHONPATH": str(PROJECT)}, **options,
    )  # fmt: skip


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
    for name, format in [
        ("a.jpg", "jpeg"),
        ("b.PNG", "png"),
        ("c.webp", "webp"),
        ("more/a.jpg", "jpeg"),
        ("d.jpeg", "jpeg"),
    ]:
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
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert names == sorted(f"{s}_{o}.png" for s in ("a", "a-2", "b", "c", "d") for o in OPERATIONS)


@pytest.mark.parametrize("technique", each(TECHNIQUES))
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
    cv2.ipp.setUseIPP(False)
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
            "process", tmp_path / "*.*", photos / "a.jpg", "--out", tmp_path / "out", "--technique", technique
        )
        assert done.returncode == 1
        assert done.stderr == ""


def test_only_bad_files_give_status_1_and_no_output(tmp_path):
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"x")
    done = imgproc("process", bad, "--out", tmp_path / "out")
    assert done.returncode == 1
    assert str(bad) in done.stderr and done.stdout == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ["process", "nothing-here.jpg", "--out", "o"],
        ["process", "nothing-*.jpg", "--out", "o"],
        ["process", "README.md"],
        ["process", ".", "--out", "o", "--technique", "cuda"],
        ["process", ".", "--out", "o", "--kernel", "4"],
        ["process", ".", "--out", "o", "--workers", "-1"],
        ["process", ".", "--out", "o", "--canny-low", "nan"],
        ["process", ".", "--out", "o", "--operations", "sharpen"],
        ["process", ".", "--out", "o", "--format", "bmp"],
        ["sample", "o", "--count", "0"],
        ["fly"],
        [],
    ],
)
def test_wrong_use_gives_status_2_and_one_sentence(arguments, tmp_path):
    done = imgproc(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr and done.stdout == ""
    assert not (tmp_path / "o").exists()


def test_help_shows_every_parameter_with_its_range():
    text = imgproc("process", "--help").stdout
    for parameter in PARAMETERS.values():
        assert f"--{parameter.name.replace('_', '-')}" in text


def test_folders_globs_and_duplicates(photos, tmp_path):
    assert len(find_images([str(photos)], tmp_path)) == 5
    assert len(find_images([str(photos / "*.jp*g"), str(photos / "a.jpg")], tmp_path)) == 2
    assert len(find_images([str(photos / "**" / "*.jpg")], tmp_path)) == 2
    with pytest.raises(UserError):
        find_images([str(tmp_path)], tmp_path / "out")


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


def test_techniques_are_listed():
    text = imgproc("techniques").stdout
    assert all(f"{'yes' if name in AVAILABLE else 'no '}  {name}" in text for name in TECHNIQUES)


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_ctrl_c_leaves_whole_files_and_no_scratch(tmp_path):
    imgproc("sample", tmp_path / "in", "--count", 8, "--megapixels", 1)
    out = tmp_path / "out"
    command = [
        sys.executable,
        "-m",
        "imgproc",
        "process",
        str(tmp_path / "in"),
        "--out",
        str(out),
        "--budget",
        "60",
        "--rounds",
        "100",
    ]
    running = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while running.poll() is None and not list(out.glob("*_equalize.png")):
        time.sleep(0.02)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=30)
    assert running.returncode == 130, said
    assert "Traceback" not in said
    assert not [p for p in out.rglob("*") if p.name.endswith(".part") or p.name.startswith(".")]
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


def test_one_file_given_three_ways_is_one_image(photos, tmp_path):
    link = tmp_path / "link.jpg"
    link.symlink_to(photos / "a.jpg")
    found = find_images([str(photos / "a.jpg"), str(photos / "more" / ".." / "a.jpg"), str(link)], tmp_path / "out")
    assert len(found) == 1


def test_what_is_no_file_is_refused_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(UserError, match="neither a file nor a folder"):
        find_images([str(tmp_path / "pipe.jpg")], tmp_path / "out")


def test_images_only_inside_the_folder_for_results_are_said_so(photos):
    with pytest.raises(UserError, match="outside the folder for the results"):
        find_images([str(photos / "more")], photos)


@pytest.mark.parametrize("budget", ["inf", "nan", "-1"])
def test_a_budget_that_is_none_is_refused(budget, photos, tmp_path):
    done = imgproc("process", photos / "a.jpg", "--out", tmp_path / "o", "--budget", budget)
    assert done.returncode == 2 and "budget" in done.stderr and not (tmp_path / "o").exists()


def test_a_folder_that_cannot_be_written_into_is_one_sentence(photos):
    for arguments in (["process", photos / "a.jpg", "--out", "/proc"], ["sample", "/proc"]):
        done = imgproc(*arguments)
        assert done.returncode == 1 and "Traceback" not in done.stderr and done.stderr.startswith("imgproc: ")


def test_images_that_fail_while_processing_are_named(photos, tmp_path):
    """Its header is fine, so only decoding finds out."""
    cut = tmp_path / "cut.png"
    data = (photos / "b.PNG").read_bytes()
    cut.write_bytes(data[: len(data) // 2])
    done = imgproc("process", cut, "--out", tmp_path / "out")
    assert done.returncode == 1 and f"{cut}: " in done.stderr and "Traceback" not in done.stderr


def test_a_reader_that_has_seen_enough_ends_it_quietly(photos, tmp_path):
    command = [
        sys.executable,
        "-m",
        "imgproc",
        "process",
        str(photos),
        "--out",
        str(tmp_path),
        "--budget",
        "0",
        "--json",
    ]
    running = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    running.stdout.close()
    said = running.stderr.read()
    running.stderr.close()
    assert running.wait(60) == 1 and said == ""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_what_a_killed_command_left_goes_with_the_next(tmp_path):
    imgproc("sample", tmp_path / "in", "--count", 6, "--megapixels", 1)
    out = tmp_path / "out"
    command = [sys.executable, "-m", "imgproc", "process", str(tmp_path / "in"), "--out", str(out)]
    running = subprocess.Popen([*command, "--budget", "60"], cwd=PROJECT, stdout=subprocess.DEVNULL)
    while running.poll() is None and not list(out.glob(".imgproc*/round")):
        time.sleep(0.02)
    running.kill()
    running.wait(30)
    half = out / f"{min(out.glob('*_canny.png')).name}.{running.pid}-1.part"
    half.write_bytes(b"half")
    assert list(out.glob(".*"))
    imgproc("process", tmp_path / "in", "--out", out, "--budget", 0)
    assert len(list(out.iterdir())) == 18 and all(path.suffix == ".png" for path in out.iterdir())


def test_sigterm_leaves_no_scratch(tmp_path):
    imgproc("sample", tmp_path / "in", "--count", 6, "--megapixels", 1)
    out = tmp_path / "out"
    command = [
        sys.executable,
        "-m",
        "imgproc",
        "process",
        str(tmp_path / "in"),
        "--out",
        str(out),
        "--budget",
        "60",
        "--rounds",
        "100",
    ]
    running = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while running.poll() is None and not list(out.glob("*_equalize.png")):
        time.sleep(0.02)
    running.terminate()
    assert running.wait(30) == 143
    assert not [p for p in out.rglob("*") if p.name.startswith(".") or p.name.endswith(".part")]
