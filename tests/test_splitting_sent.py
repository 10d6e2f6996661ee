"""Strips whose rows are sent to the workers: the same pixels, and nothing sent that is not needed."""

import json
import pickle
import tempfile
from pathlib import Path

import numpy as np
import pytest
from file_contents import contents
from hypothesis import given, settings
from hypothesis import strategies as st
from strip_pictures import DEFAULTS, IN_STRIPS, PICTURES, job, parameters, wrong_files, wrong_pixels

from imgproc.backends.phases import flat, numbered, together
from imgproc.backends.sharing.buffers import LocalBuffers
from imgproc.backends.strips.plan import split_image
from imgproc.backends.task import run_task
from imgproc.cli import main
from imgproc.operations import OPERATIONS, parse_parameters
from imgproc.pixels.job import ImageJob
from imgproc.pixels.stopwatch import Stopwatch


@pytest.fixture(autouse=True)
def garbage(monkeypatch):
    """What was not sent to a worker is not there, which zeros could hide."""
    rng = np.random.default_rng(0)

    def make(self, slot):
        self._slots[slot] = rng.integers(0, 256, self.slot_bytes, np.uint8)

    monkeypatch.setattr(LocalBuffers, "make", make)


def carry_out(plan):
    """As a technique with worker processes does, without any; returns the results and the largest batch's bytes."""
    results, largest = None, 0
    while True:
        try:
            phase = numbered(plan.send(results))
        except StopIteration as end:
            return end.value, largest
        results = []
        for task in phase:
            carrier, caller = task.carrier(), Stopwatch()
            sent = pickle.dumps(carrier.send(task, caller))
            result = pickle.loads(pickle.dumps(run_task(pickle.loads(sent))))
            largest = max(largest, len(sent))
            assert result.error is None
            results.append(type(result)(task.of_image, carrier.receive(result.value, caller)))


def carry_out_one(work, size, strips, index=0):
    """The result of an image, and the largest batch's bytes."""
    plan = split_image(index, work, size, strips, across_processes=True, sent=True)
    [result], largest = carry_out(flat(together([plan])))
    return result, largest


@settings(max_examples=120, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 60), st.integers(1, 60), st.integers(2, 12), st.booleans(), st.data())
def test_any_picture_any_strips_any_parameters(seed, height, width, strips, color, data):
    rng = np.random.default_rng(seed)
    paint = data.draw(st.sampled_from(PICTURES))
    pixels = paint(rng, height, width)
    if color:
        pixels = np.dstack([pixels, pixels[::-1], pixels[:, ::-1]])
    with tempfile.TemporaryDirectory() as folder:
        work = job(Path(folder), pixels, {**DEFAULTS, **parameters(rng)}, color=color)
        assert carry_out_one(work, (height, width), strips)[0].error is None
        assert wrong_pixels(work, pixels) == {}


@pytest.mark.parametrize("format", ["jpeg", "webp"])
def test_formats_without_pieces_are_encoded_by_the_caller(format, tmp_path):
    pixels = np.random.default_rng(3).integers(0, 256, (70, 50), np.uint8)
    work = job(tmp_path, pixels, format=format)
    carry_out_one(work, (70, 50), 3)
    assert wrong_files(work, pixels) == []


@pytest.mark.parametrize("name", IN_STRIPS)
def test_a_strip_and_its_borders_are_all_that_is_sent(name, tmp_path):
    pixels = np.random.default_rng(3).integers(0, 256, (400, 500), np.uint8)
    work = job(tmp_path, pixels, parse_parameters({"kernel": "31"}), operations=(name,))
    _, largest = carry_out_one(work, (400, 500), 8)
    rows = 400 // 8 + 1 + 2 * OPERATIONS[name].strips.border(work.parameters)
    assert 50 * 500 < largest <= rows * 500 + 1500


def test_what_cannot_be_read_or_written_is_the_images_error(tmp_path):
    pixels = np.random.default_rng(3).integers(0, 256, (70, 50), np.uint8)
    work = job(tmp_path, pixels)
    nowhere = ImageJob(work.source, (("gaussian", str(tmp_path / "no" / "a.png")),), work.parameters)
    result, _ = carry_out_one(nowhere, (70, 50), 3, index=7)
    assert (result.index, result.error) == (7, "A file could not be read or written: No such file or directory.")
    Path(work.source).write_bytes(Path(work.source).read_bytes()[:200])
    result, _ = carry_out_one(work, (70, 50), 3, index=7)
    assert result.error == "The file ends in the middle of the picture. Copy it again from where it came."


@pytest.mark.parametrize("technique", ["multiprocessing", "dask"])
def test_a_run_with_bytes_splits_a_large_image(technique, tmp_path, capsys):
    main(["sample", str(tmp_path / "in"), "--count", "1", "--megapixels", "3"])
    capsys.readouterr()
    records = {}
    for transfer in ("paths", "bytes"):
        options = ["--technique", technique, "--workers", "2", "--transfer", transfer, "--budget", "4", "--json"]
        assert main(["process", str(tmp_path / "in"), "--out", str(tmp_path / transfer), *options]) == 0
        records[transfer] = json.loads(capsys.readouterr().out)
    for record in records.values():
        assert record["techniques"][0]["split"] == [0] and record["techniques"][0]["identical"]
    moved = {transfer: record["techniques"][0]["rounds"][0]["bytes_moved"] for transfer, record in records.items()}
    assert moved["paths"] < 500_000 < 3_000_000 < moved["bytes"] < 40_000_000
    files = [sorted((tmp_path / transfer).iterdir()) for transfer in records]
    assert len(files[0]) == 3 and [contents(f) for f in files[0]] == [contents(f) for f in files[1]]
