"""Whole runs of the command line, beside a program that keeps a core busy and on a machine that is theirs alone."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from conftest import jpeg

from imgproc.measure.alarms import BUSY_CORES

PROJECT = Path(__file__).resolve().parent.parent
PROGRAM = "import sys; from imgproc.cli import main; sys.exit(main(sys.argv[1:]))"
#: As if only the run’s own processes were at work on this machine, whoever else is.
ALONE = """
from functools import partial
from imgproc.measure import load
from imgproc.runs import measuring
measuring.MachineLoad = partial(load.MachineLoad, busy=load.tree_cpu_seconds, kernel=dict)
"""


@pytest.fixture
def burner():
    """Another program, at work on one core."""
    process = psutil.Popen([sys.executable, "-c", "while True: pass"])
    until = time.monotonic() + 20
    while process.cpu_times().user < 0.1:
        assert time.monotonic() < until
        time.sleep(0.02)
    yield process
    process.kill()
    process.wait()


def compare(folder, setup=""):
    """What a comparison of some photographs says, and its record."""
    photos, file = folder / "photos", folder / "run.json"
    photos.mkdir()
    for number in range(4):
        (photos / f"{number}.jpg").write_bytes(jpeg(1500, 1000, seed=number))
    chosen = ["--technique", "threading", "--technique", "multiprocessing", "--workers", "2", "--rounds", "10"]
    done = subprocess.run(
        [sys.executable, "-c", setup + PROGRAM, "compare", photos, *chosen, "--budget", "6", "--json", file],
        capture_output=True, text=True, timeout=120, cwd=PROJECT, env={**os.environ, "TMPDIR": str(folder)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads(file.read_text())


def test_a_run_beside_a_busy_program_carries_the_alarm(burner, tmp_path):
    text, record = compare(tmp_path)
    assert burner.is_running()
    others = record["environment"]["cores_used_by_others"]
    assert others > BUSY_CORES
    alarm = f"Other programs used {others:.2f} of this machine’s {os.cpu_count()} core"
    assert [w for w in record["warnings"] if w.startswith(alarm)]
    assert f"Warning: {alarm}" in text


def test_a_run_that_is_alone_does_not(tmp_path):
    text, record = compare(tmp_path, ALONE)
    assert record["environment"]["cores_used_by_others"] < 0.05
    assert "Other programs" not in text + " ".join(record["warnings"])
