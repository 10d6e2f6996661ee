"""The benchmark of equal copies: which are told apart, of rounds that are known, and one small real run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.equal_copies import told_apart
from imgproc.measure.results import Round, TechniqueMeasurement
from imgproc.runs.options import RunSettings
from imgproc.runs.record import Record

PROJECT = Path(__file__).resolve().parent.parent


def copy(name: str, walls: list[float]) -> TechniqueMeasurement:
    return TechniqueMeasurement(name, name, rounds=[Round(wall) for wall in walls], identical=True)


def record(*copies: TechniqueMeasurement) -> Record:
    return Record("0" * 12, "compare", RunSettings([], {}), techniques=list(copies))


def test_those_that_differ_in_every_round_are_told_apart_and_no_others() -> None:
    walls = [1.0, 1.1, 0.9, 1.05, 0.95, 1.0, 1.02, 0.98]
    one, same = copy("a", walls), copy("b", walls[::-1])
    slow = copy("c", [1.5 * wall for wall in walls])
    assert told_apart(record(one, same), ["a", "b"]) == []
    assert "c slower than a" in told_apart(record(slow, one, same), ["c", "a", "b"])
    with pytest.raises(SystemExit, match="Too few rounds"):
        told_apart(record(copy("a", [1.0]), copy("b", [1.0])), ["a", "b"])


def test_a_real_run_counts_its_comparisons(tmp_path: Path) -> None:
    asked = ["--comparisons", "1", "--copies", "2", "--images", "2", "--megapixels", "0.1", "--budget", "20"]
    done = subprocess.run(
        [sys.executable, str(PROJECT / "benchmarks/equal_copies.py"), *asked],
        capture_output=True, text=True, timeout=120, check=False, cwd=PROJECT,
        env={**os.environ, "TMPDIR": str(tmp_path)},  # and with it a lock for measuring of its own
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    assert "of 1 comparisons told any of 1 pairs apart; at most 1 may." in done.stdout
