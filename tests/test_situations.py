"""The command line where something is closed, full, missing or in another encoding: results stay, words are true."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from conftest import jpeg
from file_contents import contents
from shells import PROCESS, PROJECT, results, shell, with_shared_memory

from imgproc.backends import TECHNIQUES

pytestmark = pytest.mark.skipif(os.name != "posix", reason="by a POSIX shell")


PROCESSES = [
    name for name in ("multiprocessing", "futures-processes", "joblib", "mpi", "dask")
    if TECHNIQUES[name].availability().ok
]  # fmt: skip

# ---------------------------------------------------------------- closed


def test_with_standard_output_closed_the_results_are_there_and_it_is_said(photo):
    done = shell(f"{PROCESS} --json run.json >&-", photo)
    assert done.returncode == 1 and results(photo) == 3
    assert done.stderr == "imgproc: all is done, but standard output is closed, so nothing of it was printed.\n"
    assert json.loads((photo.parent.parent / "run.json").read_text())["state"] == "done"


@pytest.mark.parametrize("technique", ["joblib", "multiprocessing", "threading"])
def test_with_standard_error_closed_workers_start_and_nothing_is_said_elsewhere(technique, photo):
    done = shell(f"{PROCESS} --technique {technique} --workers 2 2>&-", photo)
    assert done.returncode == 0 and results(photo) == 3
    assert done.stdout.startswith(f"Processing Mode: Parallel ({technique}, 2 workers)\nNumber of Images: 1\n")
    wrong = shell("$imgproc process nothing.jpg --out out 2>&-", photo)
    assert wrong.returncode == 2 and wrong.stdout == ""


def test_with_all_streams_closed_the_results_are_whole(photo):
    assert shell(f"{PROCESS} <&- >&- 2>&-", photo).returncode == 1
    whole = {path.name: contents(path) for path in (photo.parent.parent / "out").iterdir()}
    shell(PROCESS, photo)
    assert whole == {path.name: contents(path) for path in (photo.parent.parent / "out").iterdir()}


def test_the_web_app_with_standard_error_closed_takes_images(photo, tmp_path):
    folders = {"UPLOADS_DIR": str(tmp_path / "uploads"), "RESULTS_DIR": str(tmp_path / "results")}
    app = subprocess.Popen(
        ["sh", "-c", f'exec "{sys.executable}" -m imgproc serve --port 0 2>&-'],
        stdout=subprocess.PIPE, text=True, cwd=PROJECT, env={**os.environ, **folders, "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    try:
        address = re.search(r"http://\S+", app.stdout.readline())[0]
        with open(photo, "rb") as file:
            told = httpx.post(
                f"{address}process", files={"images": file}, data={"mode": "sequential"}, timeout=100
            ).text
        assert told.startswith("Processing Mode: Sequential\nNumber of Images: 1\n")
    finally:
        app.terminate()
        app.wait(20)
        app.stdout.close()


# ---------------------------------------------------------------- full, and in another encoding


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a device that is full")
def test_on_a_full_disk_the_record_is_still_written_where_it_was_to_go(photo):
    done = shell(f"{PROCESS} --json run.json > /dev/full", photo, PYTHONUNBUFFERED="")
    assert done.returncode == 1 and results(photo) == 3
    assert done.stderr == "imgproc: No space left on device: output\n"
    assert json.loads((photo.parent.parent / "run.json").read_text())["state"] == "done"


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "ascii", "utf-8"])
def test_a_record_on_standard_output_is_json_in_every_encoding(encoding, photo):
    done = shell(f"{PROCESS} --json > run.json && $imgproc verify run.json", photo, PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr
    record = json.loads((photo.parent.parent / "run.json").read_bytes())
    assert record["images"][0]["name"] == str(photo)


@pytest.mark.parametrize(("encoding", "shown"), [("ascii", "??d?'s"), ("cp1252", "?ód?’s"), ("utf-8", "Łódź’s")])
def test_text_in_an_encoding_that_lacks_letters_is_readable(encoding, shown, photo):
    photo.with_name("no.jpg").write_text("no image")
    command = '$imgproc process "$(dirname "$photo")" --out "$out" --budget 0 > told'
    done = shell(command, photo, PYTHONIOENCODING=encoding)
    assert done.returncode == 1 and done.stderr == ""
    assert f"/{shown}/no.jpg: This is a text file" in (photo.parent.parent / "told").read_bytes().decode(encoding)


# ---------------------------------------------------------------- too little shared memory


@pytest.mark.parametrize("technique", PROCESSES)
def test_without_shared_memory_processes_say_why_they_cannot_be_started(technique, photo):
    done = with_shared_memory(f"{PROCESS} --technique {technique} --workers 2", photo, "ro,size=1k")
    assert done.returncode == 1 and done.stdout == "" and done.stderr.count("\n") == 1
    assert "/dev/shm, which they share memory through, cannot be written to. Choose threads." in done.stderr
    done = with_shared_memory(f"{PROCESS} --workers 2", photo, "ro,size=1k")
    assert done.returncode == 0 and done.stderr == "" and "(threading, 2 workers)" in done.stdout


def test_an_image_too_large_for_the_shared_memory_can_stay_whole(photo):
    photo.write_bytes(jpeg(3000, 2000))
    process = f"{PROCESS} --technique multiprocessing --workers 2"
    done = with_shared_memory(f"{process} --split always", photo, "size=4m")
    assert done.returncode == 1 and "Leave images whole (--split never)" in done.stderr and results(photo) == 0
    done = with_shared_memory(f"{process} --split never", photo, "size=4m")
    assert done.returncode == 0 and results(photo) == 3 and "Warning" not in done.stdout


@pytest.mark.parametrize("technique", PROCESSES)
def test_too_little_shared_memory_for_strips_loses_no_image(technique, photo):
    """As a container has it: 64 MB unless told otherwise."""
    photo.write_bytes(jpeg(3000, 2000))
    process = f"{PROCESS} --technique {technique} --workers 2"
    for size, whole in (("24m", True), ("64m", False)):
        done = with_shared_memory(process, photo, f"size={size}")
        assert done.returncode == 0 and results(photo) == 3, done.stdout + done.stderr
        assert ("were left whole" in done.stdout and "--split never" in done.stdout) == whole


@pytest.mark.skipif(not TECHNIQUES["joblib"].availability().ok, reason="joblib is not installed")
def test_joblib_says_that_the_environment_forbids_it_processes(photo):
    done = shell(f"{PROCESS} --technique joblib", photo, JOBLIB_MULTIPROCESSING="0")
    assert done.returncode == 1 and "JOBLIB_MULTIPROCESSING is 0. Unset it." in done.stderr
