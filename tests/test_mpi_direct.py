"""``mpiexec -n N python -m imgproc.backends.mpi process …``: the command line's results and record, with ranks."""

import hashlib
import json
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest

from imgproc.backends.mpi.backend import Mpi
from imgproc.backends.mpi.launch import mpiexec
from imgproc.intake.samples import draw_many
from imgproc.operations import DEFAULT_OPERATIONS, parse_parameters
from imgproc.pixels.codecs import encode
from imgproc.pixels.job import ImageJob, process_image
from imgproc.pixels.stopwatch import Stopwatch
from imgproc.runs.record import Record
from imgproc.runs.verify import verify
from tests.file_contents import contents

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.skipif(not Mpi.availability().ok, reason=Mpi.availability().reason)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    list(draw_many(folder, 7, 0.4, 3, 1))
    return folder


def run(*command):
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=100, cwd=ROOT)


def direct(*arguments):
    return run(mpiexec(), "-n", 3, sys.executable, "-m", "imgproc.backends.mpi", *arguments)


def files(folder):
    return {path.name: hashlib.sha256(contents(path)).hexdigest() for path in folder.iterdir()}


@pytest.mark.parametrize("options", [[], ["--split", "always", "--color"], ["--kernel", "9", "--format", "jpeg"]])
def test_the_same_files_as_the_usual_command(options, pictures, tmp_path):
    chosen = ["process", pictures, "--budget", "0", *options]
    done = direct(*chosen, "--out", tmp_path / "direct")
    assert (done.returncode, done.stderr) == (0, "")
    assert run(sys.executable, "-m", "imgproc", *chosen, "--out", tmp_path / "usual").returncode == 0
    made = files(tmp_path / "direct")
    assert len(made) == 21 and made == files(tmp_path / "usual")
    assert done.stdout.startswith("Processing Mode: Parallel (mpi, 3 workers)\nNumber of Images: 7\n")


def test_the_same_record_in_which_every_rank_took_part(pictures, tmp_path):
    done = direct("process", pictures, "--out", tmp_path, "--json", "--budget", "5")
    assert (done.returncode, done.stderr) == (0, "")
    record = Record.from_dict(json.loads(done.stdout))
    assert verify(record) == []
    mpi = record.techniques[0]
    assert (mpi.name, mpi.workers, mpi.identical) == ("mpi", 3, True)
    assert mpi.speedup and {span.worker for span in mpi.spans if span.round == 1} >= {1, 2, 3}
    measured = [image for image in record.images if record.sample is None or image.index in record.sample]
    assert all(output.pixels_sha256 for image in measured for output in image.outputs)


def test_an_image_that_fails_is_named(pictures, tmp_path):
    good = sorted(pictures.iterdir())[0]
    broken = tmp_path / "broken.png"
    broken.write_bytes(good.read_bytes()[:-500] if good.suffix == ".png" else good.read_bytes()[:2000])
    done = direct("process", pictures, broken, "--out", tmp_path / "out", "--budget", "0")
    assert done.returncode == 1
    assert "broken.png: " in done.stdout + done.stderr and len(files(tmp_path / "out")) == 21


@pytest.mark.parametrize(("arguments", "says"), [
    (["compare", "x"], "the only command"), ([], "the only command"),
    (["process", "x", "--out", "y", "--workers", "4"], "--workers cannot be chosen"),
    (["process", "x", "--out", "y", "--technique=dask"], "cannot be chosen"),
    (["process", "nowhere", "--out", "y"], "There is no file or folder nowhere."),
    (["process", "x"], "arguments are required: --out"),
])  # fmt: skip
def test_wrong_use_ends_all_ranks(arguments, says):
    done = direct(*arguments)
    assert done.returncode == 2 and done.stderr.count(says) == 1 and "Traceback" not in done.stderr


def test_a_killed_rank_ends_the_command(pictures, tmp_path):
    command = [mpiexec(), "-n", "3", sys.executable, "-m", "imgproc.backends.mpi", "process", pictures]
    with subprocess.Popen(
        [*command, "--out", tmp_path, "--budget", "60", "--rounds", "100"],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as running:
        ranks = []
        until = time.monotonic() + 30
        while len(list(tmp_path.glob("*.png"))) < 21 and time.monotonic() < until:
            time.sleep(0.05)
            family = psutil.Process(running.pid).children(recursive=True)
            ranks = [process for process in family if "imgproc.backends.mpi" in process.cmdline()]
        ranks[-1].kill()
        assert running.wait(timeout=20) != 0
    assert not psutil.wait_procs(ranks, timeout=20)[1]


# Strips with MPI's own means, as the documents show it


@pytest.mark.parametrize(("ranks", "height"), [(3, 301), (4, 7), (2, 1), (1, 50)])
def test_the_documented_program_for_one_image_makes_the_same_files(ranks, height, tmp_path):
    noise = np.random.default_rng(height).integers(0, 256, (height, 403), np.uint8)
    photo = tmp_path / "photo.png"
    photo.write_bytes(encode(cv2.blur(noise, (3, 3)), "png"))
    done = run(mpiexec(), "-n", ranks, sys.executable, "docs/mpi_strips.py", photo, tmp_path / "out")
    assert (done.returncode, done.stderr) == (0, "")
    busy = min(ranks, max(1, height // 2))  # a border of Canny and of the blur is two rows
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == list(DEFAULT_OPERATIONS)
    assert done.stdout.count(f"on {busy} ranks") == len(DEFAULT_OPERATIONS)
    (tmp_path / "expected").mkdir()
    outputs = tuple((name, str(tmp_path / f"expected/photo_{name}.png")) for name in DEFAULT_OPERATIONS)
    process_image(ImageJob(str(photo), outputs, parse_parameters({})), Stopwatch())
    assert files(tmp_path / "out") == files(tmp_path / "expected")
