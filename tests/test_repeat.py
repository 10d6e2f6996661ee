"""A run again from its record: the same files, the same pixels, a speedup inside the other's interval, what differs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import MakeRun, jpeg
from scale_runs import measured, scale_run

from imgproc import operations
from imgproc.cli import main
from imgproc.files import sha256_of
from imgproc.intake.samples import draw_many
from imgproc.measure import program
from imgproc.measure.derive import derive
from imgproc.measure.topology import boost, caches, file_systems, numa, smt
from imgproc.report.repetition import told
from imgproc.runs import execute
from imgproc.runs.passes import Passes
from imgproc.runs.record import Difference, Record
from imgproc.runs.repetition import compare, settings_again

Run = tuple[Path, Path]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The images and the record of a measured run, too short for intervals."""
    monkeypatch.chdir(tmp_path)
    for index, name in enumerate(("a.jpg", "b.jpg")):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_bytes(jpeg(seed=index))
    words = ["process", "in", "--out", "out", "--technique", "threading", "--rounds", "2", "--budget", "5", "--no-wait"]
    assert main([*words, "--json=run.json"]) == 0
    return tmp_path / "in", tmp_path / "run.json"


def again(file: Path, *words: str) -> int:
    return main(["repeat", str(file), "--no-wait", *words])


def changed(file: Path, change: Callable[[dict], object]) -> Path:
    data = json.loads(file.read_text())
    change(data)
    file.write_text(json.dumps(data))
    return file


# ---------------------------------------------------------------- end to end


def test_a_run_is_repeated_from_its_record(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    folder, file = run
    before = Record.from_dict(json.loads(file.read_text()))
    assert [image.sha256 for image in before.images] == [sha256_of(folder / name) for name in ("a.jpg", "b.jpg")]
    assert before.command and before.command.startswith("python -m imgproc ")
    capsys.readouterr()
    assert again(file, "--json=again.json") == 0
    said = capsys.readouterr().out
    assert "Inputs: 2 files, the same by SHA-256.\nPixels: the same in all of 6 results.\n" in said
    assert "Environment: nothing that is known differs.\n" in said and "no interval\n" in said
    last = "It reproduces: the same pixels, without an interval to compare speedups by."
    assert said.splitlines()[-1] == last
    now = Record.from_dict(json.loads(Path("again.json").read_text()))
    assert now.repetition and now.repetition.of == before.id and now.repetition.reproduced
    assert replace(now.settings, technique="") == replace(before.settings, technique="")
    assert main(["verify", "again.json"]) == 0


def test_images_that_moved_are_told_by_their_content(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    folder, file = run
    moved = folder.parent / "elsewhere" / "deep"
    moved.mkdir(parents=True)
    (folder / "a.jpg").rename(moved / "b.jpg")
    (folder / "b.jpg").rename(moved / "z.jpg")
    shutil.copy(moved / "z.jpg", moved / "a.jpg")  # another one by that name
    assert again(file) == 1
    assert "2 images of this run are not here: in/a.jpg, in/b.jpg. Name files or folders" in capsys.readouterr().err
    assert again(file, "--images", "elsewhere") == 0
    assert "Inputs: 2 files, the same by SHA-256.\nPixels: the same in all of 6 results." in capsys.readouterr().out


def test_an_image_that_holds_something_else_is_not_measured(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    folder, file = run
    (folder / "b.jpg").write_bytes(jpeg(seed=9))
    assert again(file) == 1
    assert "1 image holds something else than was measured: in/b.jpg." in capsys.readouterr().err
    changed(file, lambda data: [image.pop("sha256") for image in data["images"]])
    assert again(file) == 1  # of an earlier version, which knew no hashes: its pixels tell
    said = capsys.readouterr().out
    assert "Inputs: 2 files, 0 the same by SHA-256, 2 by name only." in said
    assert "Pixels: 3 of 6 results differ: in/b.jpg: canny, in/b.jpg: gaussian, in/b.jpg: equalize." in said
    assert said.splitlines()[-1] == "It does not reproduce: other pixels."


def test_samples_are_drawn_again(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drawn = sorted(draw_many(tmp_path / "samples", 2, 0.2, 0, 1))

    def of_the_app(data: dict) -> None:
        data["settings"] |= {"samples": 2, "sample_megapixels": 0.2}
        for image, path in zip(data["images"], drawn, strict=True):
            image |= {"name": path.name, "sha256": sha256_of(path), "outputs": []}

    file = changed(run[1], of_the_app)
    shutil.rmtree(tmp_path / "samples")
    assert again(file) == 0
    said = capsys.readouterr().out
    assert "Inputs: 2 files, the same by SHA-256.\nPixels: no result could be compared." in said


def test_an_operation_of_ones_own_is_named_again(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "own_repeated.py").write_text("def turned(image):\n    return 255 - image\n")
    words = ["process", "in", "--out", "own", "--technique", "threading", "--rounds", "1", "--budget", "5", "--no-wait"]
    named = ["--operation", "own_repeated.py:turned"]
    try:
        assert main([*words, "--json=own.json", *named]) == 0
        assert again(Path("own.json"), *named) == 0
        assert "Pixels: the same in all of 2 results." in capsys.readouterr().out
    finally:
        for name in [name for name in operations.OPERATIONS if name.startswith("turned")]:
            del operations.OPERATIONS[name]
    assert again(Path("own.json")) == 2
    assert "turned" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        ({"state": "failed"}, 2, "nothing to reproduce: its state is “failed”"),
        (
            {"task": {"function": "f", "items": 3}},
            2,
            "This run was over items of the function f. Its record has hashes",
        ),
        ({"schema": 99}, 2, "schema 99"),
    ],
)
def test_what_cannot_be_repeated_says_why(
    run: Run, capsys: pytest.CaptureFixture[str], change: dict, status: int, said: str
) -> None:
    assert again(changed(run[1], lambda data: data.update(change))) == status
    assert said in capsys.readouterr().err


def test_what_files_hold_is_looked_at_after_the_last_round(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    happened: list[str] = []
    real = Passes.run_pass
    monkeypatch.setattr(Passes, "run_pass", lambda *a, **k: (happened.append("pass"), real(*a, **k))[1])
    monkeypatch.setattr(execute, "sha256_of", lambda file: happened.append("hash"))
    assert again(run[1]) == 0
    assert happened.count("pass") >= 5 and happened[-2:] == ["hash", "hash"] and happened.index("hash") > 4


# ---------------------------------------------------------------- what counts as the same


def test_a_speedup_reproduces_inside_the_interval_of_the_other() -> None:
    before = scale_run((1, 2, 4), noise=0.02, scaled=None)
    for factor, agrees in ((1.0, True), (1.005, True), (1.3, False)):
        now = scale_run((1, 2, 4), lambda p, by=factor: by * {1: 0.98, 2: 1.9, 4: 3.478}[p], noise=0.02, scaled=None)
        before_too = scale_run((1, 2, 4), lambda p: {1: 0.98, 2: 1.9, 4: 3.478}[p], noise=0.02, scaled=None)
        found = compare(before_too, now)
        assert [one.agrees for one in found.speedups] == [agrees] * 3 and found.reproduced is agrees
        text = told(found, before_too, now)
        assert ("It reproduces" in text) is agrees and text.count("outside of both intervals") == 3 * (not agrees)
    del now.techniques[1]
    found = compare(before, now)
    assert found.speedups[1].reason == "it took no part" and not found.reproduced
    assert "not measured: it took no part" in told(found, before, now)


def test_facts_that_differ_are_named_and_those_of_the_moment_are_not() -> None:
    before, now = scale_run(), scale_run()
    before.environment = {"cpu": "A", "load_before": 1.0, "versions": {"numpy": "1", "dask": "2"}, "numa": None}
    now.environment = {"cpu": "B", "load_before": 3.0, "versions": {"numpy": "1", "loky": "3"}, "smt": {"active": True}}
    assert compare(before, now).environment == [
        Difference("cpu", "A", "B"), Difference("versions.dask", "2", None), Difference("versions.loky", None, "3"),
    ]  # fmt: skip


def test_the_techniques_that_took_part_are_asked_for_by_name(make_run: MakeRun) -> None:
    record = make_run(mode="compare")
    record.settings.techniques, record.settings.seed = ["auto"], 7
    asked = settings_again(record).settings
    assert asked.techniques == [t.name for t in record.techniques] and asked.seed == 7


# ---------------------------------------------------------------- what the record says of the program and the machine


def test_the_program_is_known_to_the_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("git") is None:
        pytest.skip("there is no git")
    (tmp_path / "imgproc").mkdir()
    (tmp_path / "imgproc" / "a.py").write_text("a = 1\n")
    (tmp_path / "requirements.lock").write_text("numpy==1\n")
    monkeypatch.setattr(program, "CHECKOUT", tmp_path)
    monkeypatch.setattr(program, "_PACKAGE", tmp_path / "imgproc")
    assert (program.program()["commit"], program.program()["changed"]) == (None, None)
    git = ["git", "-C", str(tmp_path), "-c", "user.name=A", "-c", "user.email=a@b.invalid"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "First"]):
        subprocess.run([*git, *words], check=True)
    first = program.program()
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    assert (first["commit"], first["changed"]) == (head, False)
    assert first["lock_sha256"] == sha256_of(tmp_path / "requirements.lock")
    (tmp_path / "imgproc" / "a.py").write_text("a = 2\n")
    second = program.program()
    assert (second["commit"], second["changed"]) == (head, True) and second["source_sha256"] != first["source_sha256"]


def test_the_cores_hang_together_as_the_system_says(tmp_path: Path) -> None:
    assert [found(tmp_path) for found in (smt, numa, caches, boost)] == [None] * 4
    cpu = "sys/devices/system/cpu"
    files = {
        **{f"{cpu}/cpu{n}/topology/thread_siblings_list": f"{n % 2},{n % 2 + 2}\n" for n in range(4)},
        "sys/devices/system/node/node0/cpulist": "0,2\n", "sys/devices/system/node/node1/cpulist": "1,3\n",
        f"{cpu}/cpu0/cache/index0/level": "1\n", f"{cpu}/cpu0/cache/index0/type": "Data\n",
        f"{cpu}/cpu0/cache/index0/size": "48K\n", f"{cpu}/intel_pstate/no_turbo": "1\n",
    }  # fmt: skip
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert smt(tmp_path) == {"active": True, "siblings": ["0,2", "1,3"]}
    assert numa(tmp_path) == {"0": "0,2", "1": "1,3"}
    assert caches(tmp_path) == ["L1 Data 48K"] and boost(tmp_path) is False


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is one of Linux")
def test_file_systems_are_those_that_paths_lie_on(tmp_path: Path) -> None:
    assert file_systems([Path("/proc/self")]) == ["proc"]
    assert len(file_systems([tmp_path, tmp_path / "not there yet"])) == 1


def test_a_run_says_on_what_its_files_lie_and_what_handed_out_its_memory(run: Run) -> None:
    known = json.loads(run[1].read_text())["environment"]
    assert set(known["file_systems"]) == {"inputs", "outputs", "rounds"}
    assert set(known["allocator"]) == {"libc", "preloaded", "variables"}
    assert known["program"]["version"] and len(known["program"]["source_sha256"]) == 64
    assert {"numpy", "scipy", "threadpoolctl"} <= set(known["versions"])


def test_the_baseline_is_not_compared() -> None:
    """Its speedup over itself is nothing to reproduce."""
    both = [measured("sequential", "Sequential", 1.0), measured("threading", "Threads", 0.5)]
    derive(both, images=1, megapixels=1.0)
    record = scale_run()
    record.techniques, record.weak = both, []
    assert [one.technique for one in compare(record, record).speedups] == ["Threads"]
