"""Every command of README and docs: read by the parser it is for, and, in the slow tests, run as it stands."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import cv2
import numpy as np
import pytest

from docs.declared import parser_of
from imgproc.cli import COMMANDS
from imgproc.runs.options import Mode, flag_of, options
from imgproc.runs.parsing import parse_settings
from imgproc.settings import Settings
from tests.docs_commands import ELSEWHERE, PAGES, PROJECT, Step, inline, programs, steps
from tests.live_app import serving

BLOCKS = [step for page in PAGES for step in steps(page)]
OURS = [step for step in (*BLOCKS, *(one for page in PAGES for one in inline(page))) if step.ours and not step.python]
#: The tutorial whose Python test_own_docs.py runs as one program.
OWN = "docs/own-functions.md"
#: What the Python of a page takes for granted.
GIVEN = {"README.md": "def my_function(image):\n    return 255 - image\n"}


def test_commands_are_found() -> None:
    """Those of each tutorial among them."""
    found = {step.text for step in BLOCKS}
    assert len(found) > 80 and len(OURS) > 60
    assert (
        "python3 run.py compare photos --techniques threading,multiprocessing --workers 2 --guess 2 --json first.json"
        in found
    )
    assert {step.page for step in BLOCKS if step.page.startswith("docs/tutorials/")} == {
        f"docs/tutorials/{name}.md"
        for name in ("cluster", "first-speedup", "gpu", "one-big-image", "scaling", "why-processes-lost")
    }


def test_what_is_not_run_is_there_and_says_what_is_tried_instead() -> None:
    unused = [start for start in ELSEWHERE if not any(re.match(start, step.text) for step in BLOCKS)]
    assert not unused
    for why in ELSEWHERE.values():
        for file in re.findall(r"\w+\.py", why):
            assert any((folder / file).is_file() for folder in (PROJECT, PROJECT / "tests")), why


@pytest.mark.parametrize("step", OURS, ids=lambda step: step.text)
def test_a_command_is_one_that_its_parser_takes(step: Step) -> None:
    assert step.ours
    name, words = step.ours
    assert name in COMMANDS
    if "--help" in words or any(word.startswith("--operation=") or word == "--operation" for word in words):
        return  # whose options are known when the function is loaded, as when the page's commands are run
    arguments = parser_of(name).parse_args(words)
    if name in ("process", "compare", "scale", "advise"):
        mode = {"process": "parallel", "advise": "parallel"}.get(name, name)
        check_settings(next(one for one in get_args(Mode) if one == mode), arguments)


def check_settings(mode: Mode, arguments: Namespace) -> None:
    """Raises: UserError: a value of a setting is not allowed."""
    given = {}
    for option in options().values():
        value = getattr(arguments, option.name, None)
        if value is not None:
            given[option.names[-1]] = value if isinstance(value, list) else [value]
    parse_settings(mode, given, Settings(MAX_WORKERS=64), flag_of)


@pytest.mark.parametrize("step", [s for s in BLOCKS if not s.python and " benchmarks/" in s.text], ids=lambda s: s.text)
def test_a_benchmark_is_there(step: Step) -> None:
    [file] = re.findall(r"benchmarks/\w+\.py", step.text)
    assert (PROJECT / file).is_file()


# ---------------------------------------------------------------- run as they stand


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("app")) as live:
        yield live.url.removeprefix("http://")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the commands name: pictures, and the record of a run."""
    rng = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("filled")
    for photos in ("PHOTOS", "photos", "PART"):
        (folder / photos).mkdir(parents=True)
        for number in range(3):
            cv2.imwrite(str(folder / photos / f"{number}.jpg"), rng.integers(0, 256, (90, 120), np.uint8))
    for name in ("a.jpg", "b.jpg", "b.png", "PANORAMA.tif", "PHOTO.jpg"):
        cv2.imwrite(str(folder / name), rng.integers(0, 256, (90, 120), np.uint8))
    (folder / "PHOTO").write_bytes((folder / "PHOTO.jpg").read_bytes())
    compare = [
        sys.executable,
        "-m",
        "imgproc",
        "compare",
        "PHOTOS",
        "--techniques=threading",
        "--rounds=2",
        "--budget=2",
    ]
    env = {**os.environ, "PYTHONPATH": str(PROJECT), "TMPDIR": str(folder)}
    subprocess.run([*compare, "--quiet", "--json=run.json"], cwd=folder, env=env, timeout=100, check=True)
    for name in ("mine.json", "yours.json"):
        shutil.copy(folder / "run.json", folder / name)
    return folder


@pytest.fixture
def place(filled: Path, tmp_path: Path) -> Path:
    """A folder of its own with all of it, and with what is named of the project."""
    folder = Path(shutil.copytree(filled, tmp_path / "place"))
    for name in ("benchmarks", "docs", "examples"):
        (folder / name).symlink_to(PROJECT / name)
    return folder


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", [p for p in PAGES if steps(p)], ids=lambda page: page.relative_to(PROJECT).as_posix())
def test_the_commands_of_a_page_do_what_they_say(page: Path, place: Path, tmp_path: Path, address: str) -> None:
    env = {
        **os.environ,
        "PATH": programs(tmp_path / "bin", address),
        "PYTHONPATH": str(PROJECT),
        "TMPDIR": str(tmp_path),  # also where the machine's lock lies: these runs need not wait for others
    }
    for step in steps(page):
        if step.elsewhere or (step.python and step.page == OWN):
            continue
        command = f"python -c {shlex.quote(GIVEN.get(step.page, '') + step.text)}" if step.python else step.text
        done = subprocess.run(
            ["bash", "-c", command], cwd=place, env=env, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode in step.statuses, f"{step.text}\n{done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr, f"{step.text}\n{done.stderr}"
