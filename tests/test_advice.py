"""What a run says to do with images like its own: true for every verdict; its programs make this program's pixels."""

from __future__ import annotations

import json
import re
import shlex
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from conftest import MakeRun, picture
from flask.testing import FlaskClient
from scale_runs import measured, scale_run

from imgproc.backends import TECHNIQUES, default_techniques
from imgproc.cli import main, measuring
from imgproc.measure.alarms import Alarm
from imgproc.measure.breakdown import PARTS
from imgproc.measure.derive import derive
from imgproc.measure.results import Round, TechniqueMeasurement
from imgproc.operations import DEFAULT_OPERATIONS, OPERATIONS, PARAMETERS, parse_parameters
from imgproc.pixels.codecs import FORMATS, decode
from imgproc.pixels.job import ImageJob, process_image
from imgproc.pixels.stopwatch import Stopwatch
from imgproc.report import programs
from imgproc.report.advice import Advice, advice
from imgproc.report.text import comparison, summary
from imgproc.runs.record import ImageRecord, Record, RunSettings, Untried
from imgproc.settings import Settings
from tests.backend_kinds import each

HTML = {"Accept": "text/html"}
IMAGES = 12


def run_of(
    mode: Any = "compare", *, rounds: int = 7, change: Callable[[TechniqueMeasurement], object] = id, **seconds: float
) -> Record:
    """A run of techniques of the table with such medians, two workers each, with little noise."""
    asked = RunSettings(list(DEFAULT_OPERATIONS), parse_parameters({}), workers=2, seed=7)
    record = Record("0123456789ab", mode, asked, state="done", environment={"cores_usable": 2, "png_encoder": "isal"})
    record.images = [ImageRecord(k, f"photo {k + 1}.jpg", 2000, 1500, "JPEG", 9) for k in range(IMAGES)]
    for name, median in seconds.items():
        ways = {"sequential": (1, 1), "opencv": (1, 2)}.get(name, (2, 1))
        record.techniques.append(measured(name, TECHNIQUES[name].label, median, *ways, noise=0.01, rounds=rounds))
        change(record.techniques[-1])
    return concluded(record)


def concluded(record: Record) -> Record:
    derive(record.techniques, images=IMAGES, megapixels=36.0)
    record.conclude()
    return record


def told(record: Record, paths: tuple[str, ...] = ("PATHS",)) -> Advice:
    found = advice(record, paths)
    assert found is not None
    return replace(found, use=plain(found.use), reason=plain(found.reason), pays=plain(found.pays))


def plain(text: str) -> str:
    return text.replace("\u00a0", " ")


# ---------------------------------------------------------------- what to use


def test_the_fastest_is_advised_with_its_interval_and_its_command() -> None:
    found = told(run_of(threading=0.6, multiprocessing=0.7, sequential=1.2))
    assert found.use.startswith("Use threads with 2 workers: 2.00 times as fast as sequential (95 % interval 1.9")
    assert "measurable" not in found.use and found.technique == "threading"
    assert found.command == (
        "python -m imgproc process PATHS --technique threading --workers 2 --operations canny,gaussian,equalize "
        "--out results"
    )
    assert "python program.py PHOTO" in found.program and not found.notes


def test_of_those_that_cannot_be_told_apart_one_that_starts_soon_is_advised() -> None:
    def start(t: TechniqueMeasurement) -> None:
        t.startup_seconds = {"joblib": 0.9, "threading": 0.001}.get(t.name, 0.0)

    found = told(run_of(joblib=0.5, threading=0.5002, multiprocessing=0.8, sequential=1.2, change=start))
    assert found.technique == "threading" and "No measurable difference to joblib." in found.use
    assert found.reason == "It is ready to work after 1.00 ms, joblib after 0.900 s."
    clear = told(run_of(joblib=0.4, threading=0.5, sequential=1.2, change=start))  # joblib is measurably faster
    assert clear.technique == "joblib" and "measurable" not in clear.use


def test_nothing_measurably_faster_means_that_sequential_is_enough() -> None:
    found = told(run_of(threading=1.198, joblib=1.3, sequential=1.2))
    assert found.use == "Sequential is enough: no technique is measurably faster." and found.pays == ""
    assert found.technique == "sequential" and "--technique sequential --operations" in found.command
    one = told(run_of("parallel", threading=1.198, sequential=1.2))
    assert one.use == (
        "Sequential is enough: threads made no difference that matters. Other techniques were not measured."
    )


def test_a_parallel_run_says_what_else_is_worth_trying() -> None:
    def expect(t: TechniqueMeasurement) -> None:
        t.predicted_seconds, t.predicted_startup_seconds = 0.7, 0.1

    record = run_of("parallel", threading=0.6, sequential=1.2, change=expect)
    assert told(record).use.endswith(" Other techniques were not measured.")
    record.untried = []
    assert told(record).use.endswith(" not measured; none is expected to take noticeably less time.")
    record.untried = [Untried("futures-processes", 2, 0.5, True), Untried("joblib", 2, 0.6, True)]
    assert told(record).use.endswith(
        " Other techniques were not measured. Worth trying: processes through futures (0.500 s) and joblib (0.600 s); "
        "of threads 0.800 s were expected, by measurements on this machine before. A comparison tells."
    )
    record.untried[1].measured = False
    assert "by another machine’s figures before" in told(record).use
    assert told(Record.from_dict(record.to_dict())).use == told(record).use
    assert "Worth trying: processes" in summary(record)
    assert "not measured" not in told(run_of(threading=0.6, sequential=1.2)).use  # a comparison measured them


def test_slower_techniques_are_advised_against() -> None:
    found = told(run_of(threading=2.0, joblib=2.4, sequential=1.2))
    assert found.use == "Use sequential: the fastest other, threads with 2 workers, took longer, 0.60 times as fast."
    one = told(run_of("parallel", multiprocessing=2.0, sequential=1.2))
    assert one.use == (
        "Use sequential: a process pool with 2 workers, took longer, 0.60 times as fast. Other techniques were not "
        "measured."
    )
    assert found.technique == one.technique == "sequential"


@pytest.mark.parametrize(("rounds", "said"), [(1, "one round was"), (5, "five rounds were")])
@pytest.mark.parametrize("mode", ["compare", "parallel"])
def test_too_few_rounds_tell_nothing_and_the_command_measures_more(mode: str, rounds: int, said: str) -> None:
    found = told(run_of(mode, rounds=rounds, threading=9.0, sequential=18.0))
    assert found.use == f"Nothing can be told yet: {said} measured, six are needed."
    assert found.technique is None and found.program == found.reason == found.pays == ""
    assert found.command.startswith("python -m imgproc compare PATHS --technique threading --workers 2 --budget 380 ")


def test_a_run_of_sequential_alone_leads_to_a_comparison() -> None:
    found = told(run_of("sequential", sequential=1.2))
    assert "sequential alone" in found.use and found.technique is None
    assert found.command == "python -m imgproc compare PATHS --workers 2 --operations canny,gaussian,equalize"


def test_other_pixels_are_never_advised() -> None:
    record = run_of(threading=0.3, joblib=0.6, sequential=1.2)
    record.techniques[0] = replace(measured("threading", "Threads", 0.3, 2), identical=False)
    assert told(concluded(record)).technique == "joblib"
    alone = run_of("parallel", threading=0.3, sequential=1.2)
    alone.techniques[0] = replace(measured("threading", "Threads", 0.3, 2), identical=False)
    found = told(concluded(alone))
    assert found.technique == "sequential"
    assert found.use == "Do not use threads: the pixels differed from those of sequential."


def test_alarms_make_it_doubtful() -> None:
    record = run_of(threading=0.6, sequential=1.2)
    record.alarms = [Alarm("spread", "The rounds scatter.", "Close others.", "Threads")]
    assert told(record).use.endswith(". One alarm of this run makes that doubtful.")
    record.alarms *= 2
    assert told(record).use.endswith(". Two alarms of this run make that doubtful.")


@pytest.mark.parametrize("state", ["failed", "cancelled", "interrupted", "running"])
def test_nothing_is_advised_by_a_run_that_did_not_end(state: Any) -> None:
    record = run_of(threading=0.6, sequential=1.2)
    record.state = state
    assert advice(record) is None and "Advice" not in summary(record) + comparison(record)


def test_nothing_is_advised_where_nothing_was_measured() -> None:
    record = run_of("parallel", rounds=1, threading=0.6)
    record.settings.budget = 0
    assert advice(record) is None
    record = run_of(threading=0.6, sequential=1.2)
    record.techniques = []
    assert advice(concluded(record)) is None


def test_a_scale_run_advises_the_fewest_workers_that_do() -> None:
    record = scale_run((1, 2, 3, 4), strong=lambda p: min(p, 2.0 + 0.001 * p), noise=0.02)
    found = told(record)
    assert found.use.startswith("Use threads with 2 workers: 2.00 times") and "--workers 2 " in found.command
    others = found.use.partition("No measurable difference to ")[2]
    assert "threads with 3 workers" in others and "threads with 4 workers" in others
    slow = told(scale_run(strong=lambda p: 0.5 + 0.1 * p))
    assert slow.use.startswith("Use sequential: the fastest other, threads with 4 workers, took longer, 0.90 times")
    few = told(scale_run((1, 2), inner=(1, 2), rounds=3))
    assert "imgproc scale PATHS --technique threading --workers 1,2 --cv2-threads 1,2 --budget " in few.command
    threads = told(scale_run(technique="opencv", strong=lambda p: 1 + 0.1 * p))
    assert threads.use.startswith("Use four of OpenCV’s own threads: ") and "opencv --workers 4 " in threads.command


def test_threads_in_each_worker_are_set_by_the_program_and_not_by_the_command() -> None:
    found = told(scale_run((1, 2), inner=(1, 2), grid=lambda workers, inner: workers * inner * 1.2))
    assert found.use.startswith("Use threads with 2 workers of 2 OpenCV threads each: ")
    assert found.notes == ("The command gives each worker one OpenCV thread instead of 2.",)
    assert "cv2.setNumThreads(2)" in found.program


# ---------------------------------------------------------------- why, and from how many images on


def test_the_reason_is_what_was_lost() -> None:
    record = run_of(threading=0.62, multiprocessing=0.9, sequential=1.2)
    for t, part, lost in ((record.techniques[0], "waiting", 0.02), (record.techniques[1], "dispatch", 0.3)):
        t.breakdown = {**dict.fromkeys(PARTS, 0.0), "ideal": 0.6, part: lost}
    record.conclude()
    assert told(record).reason == (
        "Threads took 20.0 ms more than the ideal, a process pool 0.300 s, above all through dispatch: "
        f"{PARTS['dispatch']}."
    )
    record.techniques[1].breakdown = {}  # as of an earlier version
    record.conclude()
    assert (
        told(record).reason
        == f"Threads took 20.0 ms more than the ideal, above all through waiting: {PARTS['waiting']}."
    )
    record.techniques[0].breakdown = {**dict.fromkeys(PARTS, 0.0), "ideal": 0.65}
    record.techniques[0].breakdown["contention"] = -0.05
    record.conclude()
    assert told(record).reason == "Threads reached the ideal."


@pytest.mark.parametrize(
    ("cpu", "said"), [(1.2, "2 cores busy, so the GIL did not hold them up."), (0.66, "1.1 cores busy.")]
)
def test_threads_say_what_the_gil_let_them_do(cpu: float, said: str) -> None:
    record = run_of("parallel", threading=0.6, multiprocessing=0.6, sequential=1.2)
    for t in record.techniques:
        t.rounds = [Round(r.wall_seconds, cpu * r.wall_seconds / 0.6) for r in t.rounds]
    concluded(record)
    assert told(record).reason.endswith(f"Its 2 threads kept {said}")
    record.techniques.pop(0)
    assert "GIL" not in told(concluded(record)).reason  # processes


def test_from_how_many_images_it_pays() -> None:
    def start(t: TechniqueMeasurement) -> None:
        t.startup_seconds, t.first_round_seconds = {"multiprocessing": 2.0}.get(t.name, 0.0), None

    threads = told(run_of(threading=0.6, sequential=1.2, change=start))
    assert threads.pays == "It pays from the first image on, start-up included."
    pool = told(run_of(multiprocessing=0.6, sequential=1.2, change=start))
    assert pool.use.startswith("Use a process pool with 2 workers from 40 images like these on: 2.00 times")
    assert pool.pays == (
        "Its start-up pays off from 40 images like these on, the first round included; for fewer sequential is enough."
    )
    # Against threads the same two seconds come back at a tenth of the rate.
    pool = told(run_of(multiprocessing=0.6, threading=0.66, sequential=1.2, change=start))
    assert pool.technique == "multiprocessing"
    assert pool.pays == (
        "Its start-up pays off from 400 images like these on, the first round included; for fewer threads would do."
    )


# ---------------------------------------------------------------- the command


def test_the_command_says_all_that_the_pixels_depend_on(photos: list[Path], tmp_path: Path, capsys: Any) -> None:
    """Run as it stands, it makes a run of the same settings."""
    record = run_of(**{"futures-processes": 0.6}, sequential=1.2, change=lambda t: setattr(t, "chunk_size", 3))
    record.settings = replace(
        record.settings, operations=["canny", "gaussian"], format="jpeg", color=True, depth="used bits", split="never",
        parameters=parse_parameters({"canny_low": 20, "aperture": 5, "l2gradient": True, "sigma": 2.5, "kernel": 9}),
    )  # fmt: skip
    words = shlex.split(told(record, tuple(map(str, photos))).command)
    assert words[:3] == ["python", "-m", "imgproc"] and words[-2:] == ["--out", "results"]
    assert main([*words[3:-1], str(tmp_path / "out"), "--budget", "0", "--json"]) == 0
    made = Record.from_dict(json.loads(capsys.readouterr().out))
    for name in ("operations", "format", "color", "depth", "split", "parameters", "workers", "chunk_size"):
        assert getattr(made.settings, name) == getattr(record.settings, name) or name == "chunk_size"
    assert (made.techniques[0].name, made.techniques[0].chunk_size) == ("futures-processes", 3)
    names = sorted(file.name for file in (tmp_path / "out").glob("photo 1*"))
    assert names == ["photo 1_canny.jpg", "photo 1_gaussian.jpg"]


def test_parameters_of_operations_that_were_not_run_are_left_out() -> None:
    record = run_of(threading=0.6, sequential=1.2)
    record.settings = replace(record.settings, operations=["equalize"], parameters=parse_parameters({"kernel": 9}))
    assert "kernel" not in told(record).command


def test_odd_names_stay_one_word_of_the_command() -> None:
    names = ("a b.jpg", "$(touch x); it's.png", "<b>&.jpg")
    words = shlex.split(told(run_of(threading=0.6, sequential=1.2), names).command)
    assert words[4:7] == list(names)


def test_ways_of_moving_pixels_are_named_and_kept() -> None:
    record = run_of(multiprocessing=0.5, sequential=1.2)
    pool = record.techniques[0]
    shared = replace(pool, label="Process pool, shared memory", transfer="shared")
    other = replace(measured("multiprocessing", "Process pool, paths", 0.9, 2), transfer="paths")
    record.techniques, record.settings.transfers = [shared, other, record.techniques[1]], ["paths", "shared"]
    found = told(concluded(record))
    assert found.use.startswith("Use a process pool with 2 workers (shared memory): ")
    assert "--workers 2 --transfer shared --operations" in found.command
    assert "here workers read and write, which moves less." in found.program
    for t in record.techniques:
        t.rounds, t.verdict, t.speedup_ci95 = t.rounds[:2], None, None
    again = told(concluded(record)).command
    assert "compare PATHS --technique multiprocessing --workers 2 --transfer paths,shared --budget 60" in again


# ---------------------------------------------------------------- the program


def exif_jpeg(orientation: int) -> bytes:
    """A JPEG that says which way is up."""
    data = cv2.imencode(".jpg", picture(120, 80, seed=3))[1].tobytes()
    exif = b"Exif\0\0MM" + struct.pack(">HIHHHIHH", 42, 8, 1, 0x0112, 3, 1, orientation, 0) + bytes(4)
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:]


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A turned JPEG, a PNG in colour and a JPEG in gray, with names that a shell would not like."""
    folder = tmp_path_factory.mktemp("my photos")
    files = {
        "turned 'é.jpg": exif_jpeg(6),
        "colour $x.png": cv2.imencode(".png", picture(97, 65, seed=4))[1].tobytes(),
        "gray.jpg": cv2.imencode(".jpg", picture(64, 96, seed=5)[:, :, 1])[1].tobytes(),
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return [folder / name for name in files]


PLAIN: dict[str, Any] = {}
CASES: dict[str, dict[str, Any]] = {
    "gray": PLAIN,
    "colour": {"color": True},
    "aperture 5": {"aperture": 5, "canny_low": 900, "canny_high": 2000, "l2gradient": True, "kernel": 0, "sigma": 2.5},
    "aperture 7, scaled": {"aperture": 7, "thresholds": "scaled", "kernel": 3, "sigma": 0.8, "color": True},
    "auto": {"thresholds": "auto", "kernel": 31},
    "auto, colour": {"thresholds": "auto", "aperture": 5, "color": True, "operations": ["canny"]},
    "two operations": {"operations": ["gaussian", "equalize"], "color": True},
    "jpeg": {"format": "jpeg", "kernel": 9},
    "webp": {"format": "webp", "operations": ["equalize"]},
    "aperture 7, auto": {"aperture": 7, "thresholds": "auto", "l2gradient": True, "kernel": 301, "sigma": 50.0},
    "chains": {"thresholds": "auto", "color": True, "operations": ["gaussian", "gaussian+canny", "canny+equalize"]},
    "thresholds beyond all": {"aperture": 7, "canny_low": 239_000, "canny_high": 240_000, "kernel": 1},
}  # fmt: skip
#: Each technique with another case. Those that are left are tried with the one that starts soonest.
OF_TECHNIQUES = {
    "sequential": "jpeg", "opencv": "auto", "multiprocessing": "colour", "threading": "aperture 5", "joblib": "gray",
    "futures-threads": "aperture 7, scaled", "futures-processes": "gray", "mpi": "auto, colour",
    "dask": "two operations", "asyncio": "webp",
}  # fmt: skip


def program_of(name: str, case: dict[str, Any]) -> str:
    """That of a run in which this technique was the fastest."""
    times = {"threading": 2.4} if name == "sequential" else {name: 0.6}
    record = run_of(**times, sequential=1.2)
    settings = {key: value for key, value in case.items() if key not in PARAMETERS}
    parameters = parse_parameters({key: value for key, value in case.items() if key in PARAMETERS})
    record.settings = replace(record.settings, parameters=parameters, **settings)
    found = told(record)
    assert found.technique == name
    return found.program


def run_program(text: str, folder: Path, files: list[Path]) -> subprocess.CompletedProcess[str]:
    """The program in a file, started as its own first lines say."""
    (folder / "program.py").write_text(text, encoding="utf-8")
    line = next(line for line in text.splitlines() if line.startswith("Run it with: "))
    words = line.removeprefix("Run it with: ").removesuffix("PHOTO ...").split()
    words[words.index("python")] = sys.executable
    if words[0] == "mpiexec":
        words[0] = str(Path(sys.executable).with_name("mpiexec"))
    return subprocess.run([*words, *map(str, files)], cwd=folder, capture_output=True, text=True, timeout=110)


def ours(case: dict[str, Any], files: list[Path], folder: Path) -> dict[str, np.ndarray]:
    """The pixels that this program writes, by the name of the file."""
    parameters = parse_parameters({key: value for key, value in case.items() if key in PARAMETERS})
    format, color = case.get("format", "png"), case.get("color", False)
    pixels = {}
    for file in files:
        names = {o: f"{file.stem}_{o}.{FORMATS[format].extension}" for o in case.get("operations", DEFAULT_OPERATIONS)}
        outputs = tuple((operation, str(folder / name)) for operation, name in names.items())
        process_image(ImageJob(str(file), outputs, parameters, format, color), Stopwatch())
        pixels |= {name: decode((folder / name).read_bytes(), color=color) for name in names.values()}
    return pixels


def check(name: str, case: dict[str, Any], originals: list[Path], folder: Path) -> None:
    (folder / "ours").mkdir()
    expected = ours(case, originals, folder / "ours")
    done = run_program(program_of(name, case), folder, originals)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    made = {file.name: file for file in (folder / "results").iterdir()}
    assert made.keys() == expected.keys()
    for file, pixels in expected.items():
        assert np.array_equal(decode(made[file].read_bytes(), color=case.get("color", False)), pixels), file


@pytest.mark.parametrize("name", each(list(programs.WAYS)))
def test_the_program_of_every_technique_makes_these_pixels(name: str, originals: list[Path], tmp_path: Path) -> None:
    check(name, CASES[OF_TECHNIQUES[name]], originals, tmp_path)


@pytest.mark.parametrize("case", sorted(CASES.keys() - OF_TECHNIQUES.values()))
def test_the_program_takes_every_parameter(case: str, originals: list[Path], tmp_path: Path) -> None:
    check("sequential", CASES[case], originals, tmp_path)


@pytest.mark.parametrize("name", programs.WAYS)
def test_a_program_is_well_formed(name: str) -> None:
    text = program_of(name, CASES["chains" if name == "joblib" else "colour"])
    compile(text, "program.py", "exec")
    assert "\t" not in text and max(map(len, text.splitlines())) <= 120 and text.count("\n") < 80
    for words in (["format", "--check"], ["check", "--select=E,F,W,I,B,UP"]):
        command = [sys.executable, "-m", "ruff", *words, "--isolated", "--line-length=120", "-"]
        found = subprocess.run(command, input=text, capture_output=True, text=True)
        assert found.returncode == 0, found.stdout + found.stderr


def test_a_program_names_what_it_cannot_read_and_does_the_rest(originals: list[Path], tmp_path: Path) -> None:
    bad, empty = tmp_path / "bad.jpg", tmp_path / "empty.jpg"
    bad.write_text("no picture")
    empty.touch()
    done = run_program(program_of("threading", PLAIN), tmp_path, [bad, *originals, empty])
    assert done.returncode == 1 and f"{bad}: OpenCV cannot read it" in done.stderr and f"{empty}: " in done.stderr
    assert len(list((tmp_path / "results").iterdir())) == 9
    twice = run_program(program_of("threading", PLAIN), tmp_path, [originals[0], tmp_path / originals[0].name])
    assert twice.returncode == 1


def test_a_program_says_what_it_does_otherwise() -> None:
    record = run_of("parallel", threading=0.6, sequential=1.2)
    assert "not by the encoder of the run" in told(record).program
    record.environment["png_encoder"] = "opencv"
    plain_program = told(record).program
    assert "encoder" not in plain_program and "strips" not in plain_program and "high byte" not in plain_program
    record.settings.depth, record.techniques[0].split = "used bits", [0, 3]
    record.images[1].format = "TIFF"
    text = told(record).program
    assert 'the run took them by the depth "used bits"' in text and "shared 2 images among its workers" in text
    assert "Some kinds of TIFF OpenCV reads otherwise" in text


def test_settings_that_a_technique_wants_are_in_its_program() -> None:
    for name in programs.WAYS:
        text = program_of(name, PLAIN)
        assert f"cv2.setNumThreads({2 if name == 'opencv' else 1})" in text, name
        assert ("largest first" in text) == (name not in ("sequential", "opencv"))
    record = run_of("parallel", multiprocessing=0.6, sequential=1.2)
    for method, expected in (("forkserver", "forkserver"), ("spawn", "spawn"), ("fork", "spawn"), (None, "spawn")):
        record.techniques[0].start_method, record.techniques[0].chunk_size = method, 5
        assert f'get_context("{expected}").Pool(WORKERS)' in told(record).program
        assert "chunksize=5)" in told(record).program
    assert "mpiexec -n 3 python -m mpi4py.futures" in program_of("mpi", PLAIN)


@pytest.mark.parametrize("name", [t.name for t in default_techniques() if t.name not in programs.WAYS])
def test_where_there_is_no_program_the_advice_says_so(name: str) -> None:
    found = told(run_of("parallel", **{name: 0.6}, sequential=1.2))
    assert found.program == "" and "There is no short program for" in found.notes[-1]
    assert f"--technique {name} --workers 2" in found.command


def test_an_operation_without_code_has_no_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OPERATIONS, "gaussian", replace(OPERATIONS["gaussian"], code=None))
    found = told(run_of(threading=0.6, sequential=1.2))
    assert (found.program, found.notes) == ("", ("There is no short program for Gaussian blur.",))


# ---------------------------------------------------------------- where it is told


def test_the_summary_and_the_comparison_end_with_it() -> None:
    record = run_of(threading=0.6, joblib=0.9, sequential=1.2)
    last = summary(record).splitlines()[-1]
    assert last == f"Advice: {told(record).use}" and "\u00a0" not in last
    lines = comparison(record, ["my photos"]).splitlines()
    assert lines.count(last) == 1
    at = lines.index(last)
    heads = [line.partition(":")[0] for line in lines[at:]]
    assert lines[at - 1] == "" and heads == ["Advice", "Why", "Pays", "Command"]
    assert lines[-1].startswith("Command: python -m imgproc process 'my photos' --technique threading --workers 2 ")


def compare(record: Record, monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    """The command, which finds what the record says instead of measuring."""

    def found(made: Record, *_: object) -> None:
        made.state, made.techniques = "done", record.techniques
        made.conclude()

    monkeypatch.setattr(measuring, "execute", found)
    return main(["compare", *map(str, words)])


def test_compare_writes_the_program(photos: list[Path], tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    file = tmp_path / "mine.py"
    record = run_of(threading=0.6, sequential=1.2)
    assert compare(record, monkeypatch, photos[0], photos[1], "--program", file) == 0
    assert "with ThreadPoolExecutor" not in file.read_text() and "Thread(target=work" in file.read_text()
    out = capsys.readouterr().out
    assert out.splitlines()[-1].startswith(f"Command: python -m imgproc process {shlex.join(map(str, photos[:2]))} ")
    assert compare(record, monkeypatch, tmp_path, *photos, "--json", "--program", file) == 0
    assert json.loads(capsys.readouterr().out)["mode"] == "compare"
    assert compare(record, monkeypatch, tmp_path, *photos) == 0
    assert "imgproc process PATHS --technique" in capsys.readouterr().out  # four would fill the screen
    assert [path.name for path in tmp_path.glob("*.p*")] == ["mine.py"]


def test_compare_says_why_it_wrote_no_program(
    photos: list[Path], tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    file = tmp_path / "mine.py"
    assert compare(run_of(rounds=2, threading=0.6, sequential=1.2), monkeypatch, *photos, "--program", file) == 1
    assert capsys.readouterr().err == (
        "imgproc: no program was written: Nothing can be told yet: two rounds were measured, six are needed.\n"
    )
    assert not file.exists()


@pytest.mark.parametrize(
    ("file", "status", "said"),
    [("", 2, "the name is empty"), (".", 2, "is a folder; --program takes a file."), ("no/mine.py", 1, "no/mine.py")],
)
def test_a_program_that_cannot_be_written_is_said_before_measuring(
    file: str, status: int, said: str, photos: list[Path], tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(measuring, "execute", lambda *_: pytest.fail("it measured"))
    assert main(["compare", str(photos[0]), "--program", file]) == status
    assert said in capsys.readouterr().err


def test_the_page_shows_it_escaped(client: FlaskClient, make_run: MakeRun, settings: Settings) -> None:
    record = make_run(mode="compare")
    shown = client.get(f"/runs/{record.id}", headers=HTML).text
    section = shown.partition('id="use"')[2].partition("</section>")[0]
    assert plain(told(record).use).partition(" (")[0] in plain(section) and 'href="#use"' in shown
    assert told(record).command in re.sub("<[^>]+>", "", section)
    assert "cv2.imencode(&#34;.png&#34;, operation(image), options)" in section and 'data-copy="use-program"' in section
    record.settings.operations = ["<script>alert(1)</script>"]
    record.images[0].name = "<img src=x>.jpg"
    record.save(settings.RESULTS_DIR / record.id)
    shown = client.get(f"/runs/{record.id}", headers=HTML).text
    assert "<script>alert" not in shown and "<img src=x>" not in shown
    assert "There is no short program for &lt;script&gt;alert(1)&lt;/script&gt;." in shown


def test_a_page_without_advice_has_no_section(client: FlaskClient, make_run: MakeRun) -> None:
    for state in ("failed", "cancelled", "interrupted"):
        shown = client.get(f"/runs/{make_run(state=state).id}", headers=HTML).text
        assert 'id="use"' not in shown and "What to use" not in shown


def test_a_parameter_that_is_no_number_never_gets_into_a_program() -> None:
    for name, value in (("sigma", "0); import os; ("), ("kernel", "5, 5"), ("canny_low", "x")):
        record = run_of(threading=0.6, sequential=1.2)
        record.settings.parameters[name] = value
        found = told(record)
        assert value not in found.program
