"""The comparison of whole jobs with other programs: its table, and that wrong pixels and failures show in it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.whole_jobs.children import PROJECT, Child, ChildFailed, Team
from benchmarks.whole_jobs.measure import Entry, Limits, Measured, measure
from benchmarks.whole_jobs.memory import TreeMemory
from benchmarks.whole_jobs.pixels import Check
from benchmarks.whole_jobs.programs import OPERATIONS, PROGRAMS, TEXTBOOK, gray_of, plain, write
from benchmarks.whole_jobs.tables import comparisons, of_programs, of_workload, readme_table
from benchmarks.whole_jobs.workloads import Files
from docs import peers as readme
from imgproc.operations import DEFAULT_OPERATIONS

LIMITS = Limits(rounds=2, seconds=60, pass_seconds=60, workers=2)


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """Six small gray pictures that have edges."""
    files = []
    for number in range(6):
        noise = np.random.default_rng(number).integers(0, 256, (60 + number, 80), np.uint8)
        files.append(tmp_path / f"{number}.png")
        cv2.imwrite(str(files[-1]), cv2.resize(noise, None, fx=4, fy=4))
    return files


def cells(text: str) -> dict[str, list[str]]:
    """The rows of a table by their first cell."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    return {row[0]: row[1:] for row in rows}


def entry(name: str, make: str, *arguments: object) -> Entry:
    return Entry(name, name, lambda: Team([Child(make, arguments)]))


def test_the_program_compares_whole_jobs_and_writes_its_tables(photos, tmp_path):
    results = tmp_path / "RESULTS.md"
    command = [sys.executable, str(PROJECT / "benchmarks" / "peers.py"), *map(str, photos), "--no-wait"]
    some = ["--workloads", "photographs", "--programs", TEXTBOOK, "hand-written", "ours:threading", "short", "bound"]
    done = subprocess.run(
        [*command, "--rounds", "2", "--pass-seconds", "30", "--workers", "2", "--markdown", str(results), *some],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    text = results.read_text()
    rows = cells(text)
    labels = ["textbook loop, one thread", "best hand-written: threads", "ours: threading"]
    labels += ["ours: threading, a job of no more files"] * bool(find_spec("numba")) + ["bound: 2 x sequential"]
    assert list(rows)[2:] == labels
    assert all(float(rows[label][0]) > 0 and float(rows[label][2]) > 10 for label in labels)  # seconds, megabytes
    assert [rows[label][6] for label in labels] == ["0"] * (len(labels) - 1) + ["–"]
    assert rows[labels[0]][1] == "1.00" and {row[7] for row in rows.values()} == {"part", "all", "-" * 5 + ":"}
    assert str(tmp_path) not in text and "Our fastest was `threading`" in text and "the bound" in text


def one_pixel_off(workers: int):
    """A program whose blur has one pixel that is another in each picture."""

    def job(files, out):
        for number, file in enumerate(files):
            edges, blurred, equalized = plain(gray_of(file))
            blurred[5, 7] ^= 1
            write(out, number, [edges, blurred, equalized])
        return 0

    return job


def fails_later(workers: int):
    def job(files, out):
        if Path(out).name == "out" and len(files) > 2:
            raise OSError("no space")
        return 0

    return job


def takes_memory(workers: int):
    """A program that has 80 MB for a while, in a process below its own."""

    def job(files, out):
        code = "import time; kept = b'x' * 80_000_000; print(flush=True); time.sleep(0.5)"
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as below:
            below.stdout.readline()
            with TreeMemory(lambda: [os.getpid(), below.pid]) as memory:
                time.sleep(0.1)
            below.kill()
        kept = b"y" * 80_000_000
        time.sleep(0.3)
        assert kept
        return memory.bytes

    return job


def measured_of(photos: list[Path], tmp_path: Path, *entries: Entry, limits: Limits = LIMITS) -> Measured:
    return measure(entries, Files.of(photos), limits, tmp_path, "test")


def test_wrong_pixels_and_failures_are_counted_and_said(photos, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    measured = measured_of(
        photos,
        tmp_path,
        entry(TEXTBOOK, PROGRAMS[TEXTBOOK].make, 2),
        entry("pyvips", "test_benchmark_peers:one_pixel_off", 2),
        entry("joblib", "test_benchmark_peers:fails_later", 2),
        entry("dask-bag", "test_benchmark_peers:not_there", 2),
        Entry("kornia-rs", "kornia-rs", lambda: Team([]), "not installed: pip install kornia-rs"),
    )
    assert measured.rounds == 2 and measured.entry("pyvips").wrong == {"canny": 0, "gaussian": 6, "equalize": 0}
    text = of_workload(measured)
    share = 100 * 6 / (3 * sum(gray_of(str(file)).size for file in photos))
    assert cells(text)["pyvips"][6] == f"6 ({share:.2g} %)"
    assert "- joblib: failed: OSError: no space" in text and "has no attribute 'not_there'" in text
    assert "- kornia-rs: not installed: pip install kornia-rs" in text
    assert not {"joblib", "dask-bag", "kornia-rs"} & set(cells(text))
    assert "Counted: small: canny 0 %, gaussian" in of_programs({"small": measured})


def test_memory_is_that_of_all_processes_at_its_highest(photos, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    measured = measured_of(photos, tmp_path, entry(TEXTBOOK, "test_benchmark_peers:takes_memory", 2))
    # Its own 80 MB as they were watched from outside, and those of the process below as it watched them itself.
    assert 160e6 < measured.entry(TEXTBOOK).memory_bytes < 460e6


def test_a_slow_program_works_on_a_part_of_the_files(photos, tmp_path):
    limits = Limits(rounds=2, seconds=60, pass_seconds=1e-6, workers=2)
    measured = measured_of(photos, tmp_path, entry(TEXTBOOK, PROGRAMS[TEXTBOOK].make, 1), limits=limits)
    found = measured.entry(TEXTBOOK)
    assert list(found.seconds) == [1]  # far too slow still
    assert len(found.files.paths) == 4 and cells(of_workload(measured))[TEXTBOOK][7] == "4 of 6"
    wanted = 0
    for file in photos:
        for result in plain(gray_of(str(file))):
            wanted += len(cv2.imencode(".png", result)[1])
    assert found.output_bytes == pytest.approx(wanted)


def test_a_missing_result_and_one_of_another_size_are_wrong_all_over(photos, tmp_path):
    gray = gray_of(str(photos[0]))
    out = tmp_path / "out"
    out.mkdir()
    edges, blurred, _ = plain(gray)
    write(str(out), 0, [edges, blurred[1:], edges])
    (out / "0000_equalize.png").unlink()
    found = Check(1).wrong_pixels([str(photos[0])], str(out))
    assert found == {"canny": 0, "gaussian": gray.size, "equalize": gray.size}
    cv2.imwrite(str(out / "0000_canny.png"), plain(gray, l2=True)[0])
    check = Check(1)
    assert check.wrong_pixels([str(photos[0])], str(out), l2=True)["canny"] == 0
    assert check.wrong_pixels([str(photos[0])], str(out))["canny"] > 0  # the same file, compared with another


def test_a_child_that_ends_says_with_what_words(tmp_path):
    child = Child("os:_exit", [3])
    with pytest.raises(ChildFailed, match="exit status 3"):
        child.wait_until_ready()
    child.close()


def test_files_are_spread_over_sizes_and_shared_by_megapixels():
    sizes = [1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 8.0, 16.0]
    files = Files([str(n) for n in range(8)], sizes, [3, 4, 5, 6, 7, 8, 2, 1], [1] * 8)
    assert files.first(2).paths == ["0", "4"] and files.first(9) is files
    one, two = files.shares(2)
    assert one.paths == ["7"] and two.total == 16 and sorted(one.paths + two.paths) == files.paths


def test_our_fastest_is_compared_round_by_round(photos):
    def timed(name: str, *seconds: float) -> Entry:
        return Entry(name, name, lambda: Team([]), seconds=dict(enumerate(seconds, 1)))

    entries = [
        timed("hand-written", 2.0, 3.0, 2.4),
        timed("textbook-pool", 6.0, 6.0, 6.0),
        timed("older:threading", 1.5, 1.8, 1.5),
        timed("ours:threading", 1.0, 1.5, 1.0),
        timed("ours:joblib", 1.2, 1.6, 1.1),
        timed("bound", 0.9, 1.2, 0.9),
    ]
    first, second = comparisons(Measured(Files([], [], [], []), entries))
    assert "`threading`" in first and "2.00 times that of the best peer, hand-written" in first
    assert "6.00 times that of the textbook Pool" in first and "1.50 times that of the older" in first
    assert "0.90 times that of what independent" in first
    assert second == "Times as fast as the same technique of the older build: `threading` 1.50."


def test_the_readme_has_the_table_of_the_results():
    text = (PROJECT / "README.md").read_text()
    shown = text.partition("<!-- peers -->\n")[2].partition("<!-- /peers -->")[0]
    assert shown == readme.markdown(), "python docs/peers.py writes it anew"


def test_a_results_file_without_the_table_is_refused():
    with pytest.raises(ValueError, match="no table of photographs"):
        readme_table("# Results\n\n## mix\n\n| program |\n|---|\n")


def test_programs_do_the_same_operations_as_we():
    assert DEFAULT_OPERATIONS == OPERATIONS
