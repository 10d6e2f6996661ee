"""One folder more in ``imgproc/operations``, and nothing else touched: an operation that is everywhere."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent
ERODE = """
import cv2
import numpy as np

from imgproc.operations.contract import Operation, Phase, Strips
from imgproc.parameters import Parameter


def erode(image, p):
    return cv2.erode(image, np.ones((int(p["erode_size"]),) * 2, np.uint8))


def border(p):
    return int(p["erode_size"]) // 2


def erode_rows(source, out, rows, p, given):
    window = rows.around(border(p), len(source))
    first = rows.start - window.start
    out[:] = erode(window.of(source), p)[first : first + len(out)]


SIZE = Parameter("erode_size", "Size", "integer", 5, minimum=1, maximum=31, step=2, odd=True, help="Of the window.")
OPERATION = Operation(
    "erode", "Erosion", "eroded", "Makes bright parts smaller.", (SIZE,), erode, strips=STRIPS, default=True
)
"""
STRIPS = {"whole": "None", "strips": "Strips((Phase(erode_rows),), border)"}


@pytest.fixture(scope="module", params=STRIPS)
def kind(request):
    """Without strips, and with them."""
    return request.param


@pytest.fixture(scope="module")
def project(kind, tmp_path_factory):
    """A copy of the project with one folder more."""
    copy = tmp_path_factory.mktemp("project")
    for name in ("imgproc", "templates", "static"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "app.py", copy)
    (copy / "imgproc/operations/erode").mkdir()
    (copy / "imgproc/operations/erode/__init__.py").write_text(ERODE.replace("STRIPS", STRIPS[kind]))
    return copy


def program(project: Path, *arguments: object) -> str:
    command = [sys.executable, *map(str, arguments)]
    paths = os.pathsep.join([str(project), str(TESTS)])
    environment = {**os.environ, "PYTHONPATH": paths}
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def check(project: Path, name: str, folder: Path) -> dict[str, object]:
    """What one of ``erode_checks`` found."""
    out = program(project, TESTS / "erode_checks.py", folder, name)
    found: dict[str, object] = json.loads(out.rpartition("= ")[2])
    return found


def test_one_large_picture_alone_with_default_options(project, kind, tmp_path):
    image = cv2.blur(np.random.default_rng(0).integers(0, 256, (3000, 4000), np.uint8), (9, 9))
    cv2.imwrite(str(tmp_path / "large.png"), image)
    arguments = ["-m", "imgproc", "process", tmp_path / "large.png", "--out", tmp_path / "out", "--workers", 2]
    said = program(project, *arguments)
    found = cv2.imread(str(tmp_path / "out/large_erode.png"), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(found, cv2.erode(image, np.ones((5, 5), np.uint8)))
    assert len(list((tmp_path / "out").glob("large_*.png"))) == 4
    whole = "Every image stays whole: Erosion is not cut into strips."
    assert (whole in said) == (kind == "whole") and ("was cut into strips" in said) == (kind == "strips")


def test_the_command_line_has_its_parameter(project):
    assert "--erode-size N" in program(project, "-m", "imgproc", "process", "--help")


def test_every_technique_makes_its_pixels(project, kind, tmp_path):
    found = check(project, "techniques", tmp_path)
    assert {"sequential", "threading", "futures-processes", "joblib"} <= found.keys()
    assert {name: wrong for name, (wrong, _) in found.items()} == dict.fromkeys(found, 0)
    assert any(cut for _, cut in found.values()) == (kind == "strips")


@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no g++ here")
def test_a_gpu_does_the_others_and_refuses_it_in_words(project, tmp_path):
    found = check(project, "gpu", tmp_path)
    why = "Erosion is not on the GPU."
    assert found == {
        "others": 0,
        "refused": f"Shim cannot run here. {why}",
        "compared": [False, why],
        "threading": True,
    }


def test_the_form_and_the_page_of_a_run_show_it(project, kind, tmp_path):
    found = check(project, "web", tmp_path)
    assert found == {"form": True, "page": [200, True], "whole": kind == "whole", "text": 200}
