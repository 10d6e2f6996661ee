"""The tutorial and the examples of own functions, run as they stand."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest

from tests.live_app import serving

PROJECT = Path(__file__).resolve().parent.parent
TUTORIAL = PROJECT / "docs" / "own-functions.md"


def run(command, folder, **more):
    env = {
        "PYTHONPATH": str(PROJECT),
        "PATH": "/usr/bin:/bin",
        "TMPDIR": tempfile.gettempdir(),
        "HOME": str(folder),
        **more,
    }
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(3):
        image = np.random.default_rng(number).integers(0, 256, (50, 70), np.uint8)
        cv2.imwrite(str(folder / f"{number}.jpg"), image)
    return folder


def test_the_tutorial_runs_as_one_program(photos):
    code = "\n".join(re.findall(r"```python\n(.*?)```", TUTORIAL.read_text(), re.DOTALL))
    assert code.count("compare(") == 3
    said = run([sys.executable, "-c", code], photos.parent)
    assert "[1, 8, 27]" in said and "roughness over 40 items" in said
    assert (photos.parent / "run.json").is_file() and len(list((photos.parent / "out").iterdir())) == 3


def test_a_function_in_a_file_is_an_operation_of_the_command_line(photos):
    command = [sys.executable, "-m", "imgproc"]
    own = f"--operation={PROJECT / 'examples' / 'own_operation.py'}:posterize"
    out = photos.parent / "out"
    for technique in ("threading", "multiprocessing"):
        run(
            [*command, "process", "photos", own, "--levels", "2", "--out", "out", "--technique", technique],
            photos.parent,
        )
        made = cv2.imread(str(out / "1_posterize.png"), 0)
        assert set(np.unique(made)) == {0, 255} and len(list(out.iterdir())) == 3
        for file in out.iterdir():
            file.unlink()
    both = [*command, "process", "photos", own, "--operations", "gaussian", "--out", "out", "--budget", "0"]
    run(both, photos.parent)
    assert {file.name.split("_")[1] for file in out.iterdir()} == {"posterize.png", "gaussian.png"}
    assert "--levels" in run([*command, "process", own, "--help"], photos.parent)


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("mine.py", "There is no operation"),
        ("mine.py:", "names no function"),
        ("none.py:f", "There is no file none.py"),
        ("mine.py:blurr", "Did you mean “blur”?"),
        ("mine.py:NUMBER", "not a function"),
        ("mine.py:needs", "“needs” has a parameter “radius” without a default"),
        ("mine.py:nothing", "takes no image"),
        ("broken.py:f", "ZeroDivisionError"),
        ("not_a_module:f", "There is no module “not_a_module”"),
        ("mine:blur", ""),
    ],
)
def test_what_cannot_be_an_operation_is_said_in_a_sentence(photos, reference, said):
    folder = photos.parent
    (folder / "mine.py").write_text(
        "NUMBER = 3\ndef blur(image): return image\ndef needs(image, radius): return image\ndef nothing(): pass\n"
    )
    (folder / "broken.py").write_text("1 / 0\n")
    env = {"PYTHONPATH": str(PROJECT), "PATH": "/usr/bin:/bin", "TMPDIR": tempfile.gettempdir(), "HOME": str(folder)}
    command = [
        sys.executable,
        "-m",
        "imgproc",
        "process",
        "photos",
        "--operation",
        reference,
        "--out",
        "out",
        "--budget",
        "0",
    ]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == (2 if said else 0), done.stderr
    assert said in done.stderr and (said == "ZeroDivisionError" or "Traceback" not in done.stderr)


@pytest.mark.slow
def test_the_exhibits_of_the_gil_tell_threads_from_processes(tmp_path):
    pytest.importorskip("numba")
    said = run([sys.executable, str(PROJECT / "examples" / "gil.py"), "--seconds", "1", "--workers", "2"], tmp_path)
    rows = {line.split()[0]: line for line in said.splitlines()[1:]}
    assert list(rows) == ["pure_python", "in_numpy", "by_numba", "by_opencv"]


def installed(folder):
    """The example package as pip leaves it: its module, and the metadata with its entry points."""
    import tomllib

    package = PROJECT / "examples" / "speedup-lab-erode"
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    site = folder / "site"
    (info := site / "speedup_lab_erode-1.0.dist-info").mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    lines = [
        f"[{group}]\n" + "".join(f"{name} = {where}\n" for name, where in points.items())
        for group, points in project["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))
    module = "speedup_lab_erode.py"
    (site / module).write_text((package / "src" / module).read_text())
    return site


def test_an_installed_package_adds_an_operation_and_a_technique(photos):
    folder = photos.parent
    path = f"{PROJECT}:{installed(folder)}"
    command = [sys.executable, "-m", "imgproc"]
    assert "(speedup-lab-erode 1.0)" in run([*command, "operations"], folder, PYTHONPATH=path)
    assert "reversed" in run([*command, "techniques"], folder, PYTHONPATH=path)
    compare = [*command, "compare", "photos", "--operation", "erode", "--size", "5", "--budget", "1", "--rounds", "2"]
    said = run([*compare, "--techniques", "reversed,multiprocessing", "--workers", "2"], folder, PYTHONPATH=path)
    assert "reversed" in said and "All made the same pixels." in said


def test_an_operation_that_the_operator_lists_is_offered_by_the_app_and_no_other(photos):
    reference = f"{PROJECT / 'examples' / 'own_operation.py'}:posterize"
    sent = [("0.jpg", (photos / "0.jpg").read_bytes())]
    with serving(photos.parent, OWN_OPERATIONS=reference) as live:
        page = httpx.get(live.url, timeout=60).text
        assert 'value="posterize"' in page and 'name="levels"' in page
        answer = live.post(sent, mode="parallel", operations="posterize", levels="2", budget="1")
        record = live.finished(answer.json()["id"])
        assert record["state"] == "done" and record["settings"]["levels"] == 2, record
        assert [output["operation"] for output in record["images"][0]["outputs"]] == ["posterize"]
        refused = live.post(sent, mode="parallel", operations=reference)
        assert (refused.status_code == 400 and "There is no" in refused.text) or "cannot be" in refused.text
