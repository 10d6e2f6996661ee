"""What each command loads: Flask, matplotlib, clusters, compilers and the database only where they are needed."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

PROJECT = Path(__file__).resolve().parent.parent
HEAVY = (
    "flask", "matplotlib", "distributed", "dask", "numba", "cupy", "mpi4py", "sqlalchemy", "waitress", "rich", "shtab",
)  # fmt: skip
#: Only commands that show progress, or compute, need these.
LESS = (*HEAVY, "cv2", "numpy", "scipy", "PIL", "tqdm", "joblib", "psutil", "multiprocessing")
PROGRAM = """
import json, sys
from contextlib import redirect_stdout
from io import StringIO
status = None
with redirect_stdout(StringIO()):
    try:
        {program}
    except SystemExit as end:
        status = end.code
print(json.dumps([status or 0, sorted({{name.partition(".")[0] for name in sys.modules}})]))
"""


def loaded(program, cwd):
    """Exit status of a program, what it loaded, and the seconds of CPU it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(program=program)],
        capture_output=True, text=True, timeout=100, cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(PROJECT), "TMPDIR": str(cwd)},
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.stdout, done.stderr
    status, modules = json.loads(done.stdout)
    return status, modules, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def command(*words):
    return f"from imgproc.cli import main; status = main({list(words)!r})"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A picture, and the record of a run over it."""
    made = tmp_path_factory.mktemp("loads")
    cv2.imwrite(str(made / "a.png"), np.arange(48 * 64, dtype=np.uint8).reshape(48, 64))
    done = command("process", "a.png", "--out", "first", "--technique", "threading", "--json=run.json")
    assert loaded(done, made)[0] == 0
    return made


SHORT = [
    "import imgproc", command("--help"), command("--version"), command("fly"), command("serve", "--help"),
]  # fmt: skip
USUAL = [
    command("process", "a.png", "--out", "out", "--technique", "threading", "--budget", "1"),
    command("compare", "a.png", "--technique", "threading", "--budget", "1"),
    command("scale", "a.png", "--technique", "threading", "--workers", "1,2", "--budget", "1"),
    command("process", "--help"), command("compare", "--help"), command("scale", "a.png", "--workrs", "2"),
    command("verify", "run.json"), command("sample", "drawn", "--count", "1", "--megapixels", "0.1"),
]  # fmt: skip


@pytest.mark.parametrize("program", SHORT)
def test_what_does_nothing_loads_next_to_nothing(program, folder):
    _, modules, seconds = loaded(program, folder)
    assert not set(modules) & set(LESS)
    if program == "import imgproc":
        assert seconds < 0.2
    if "help" in program or "fly" in program:
        assert seconds < 0.25


@pytest.mark.parametrize("program", USUAL)
def test_commands_load_only_what_they_need(program, folder):
    status, modules, _ = loaded(program, folder)
    assert status == (2 if "workrs" in program else 0)
    assert not set(modules) & set(HEAVY)


def test_the_list_of_techniques_needs_no_web_and_no_figures(folder):
    status, modules, _ = loaded(command("techniques", "--json"), folder)
    assert status == 0 and not set(modules) & {"flask", "matplotlib", "sqlalchemy", "waitress"}
