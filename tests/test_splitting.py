"""Which images are cut into strips, and the plans that do it, on every technique that can."""

import os
import signal
import subprocess
import sys
import tempfile
import textwrap
from contextlib import closing
from dataclasses import replace
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strip_pictures import IN_STRIPS, job, wrong_files, wrong_pixels

from imgproc.backends import TECHNIQUES
from imgproc.backends.phases import after_another, flat, numbered, together, whole
from imgproc.backends.strips.plan import split_image
from imgproc.backends.task import Task, TaskResult
from imgproc.measure.protocol import Contender
from imgproc.operations import OPERATIONS, parse_parameters
from imgproc.pixels.job import ImageJob
from imgproc.runs.passes import Passes, RunFolders
from imgproc.runs.progress import Tracker
from imgproc.runs.record import ImageRecord, OutputRecord, Record, RunSettings
from imgproc.runs.splitting import (
    GAIN,
    OVERHEAD,
    SERIAL,
    SERIAL_IN_PIECES,
    groups_of,
    images_to_split,
    makespan,
    split_of,
    strips_of,
)

CARRY = [name for name, t in TECHNIQUES.items() if t.load().capabilities.carries and t.load().capabilities.splits]
CAN = [name for name, t in TECHNIQUES.items() if t.load().capabilities.splits]
SHM = Path("/dev/shm")
PROJECT = Path(__file__).resolve().parent.parent


def image(index, megapixels, height=1000):
    return ImageRecord(index, f"{index}.jpg", int(megapixels * 1e6 / height), height)


# ---------------------------------------------------------------- which


@pytest.mark.parametrize(
    ("megapixels", "workers", "split", "cut"),
    [
        # Fewer images than workers are all cut.
        ([12], 2, "auto", [0]),
        ([12, 9], 8, "auto", [0, 1]),
        # Even batches stay whole.
        ([8] * 8, 2, "auto", []),
        ([8] * 1000, 16, "auto", []),
        # One giant that would hold up the end is cut.
        ([48, 3, 3, 3, 3, 3], 2, "auto", [0]),
        ([48, 3, 3, 3, 3, 3], 4, "auto", [0]),
        # Small images and single workers are not worth it.
        ([0.5], 4, "auto", []),
        ([50], 1, "always", []),
        ([12, 0.01], 4, "never", []),
        ([12, 0.01], 4, "always", [0, 1]),
    ],
)
def test_which_images_are_split(megapixels, workers, split, cut):
    line = ImageRecord(len(megapixels), "line.png", 500, 1)  # a single row cannot be cut
    batch = [*(image(k, size) for k, size in enumerate(megapixels)), line]
    assert [i.index for i in images_to_split(batch, workers, split)] == cut


def test_files_that_are_decoded_in_pieces_gain_sooner():
    """Of fifteen, one is left over for two workers."""
    batch = [image(k, 12) for k in range(15)]
    assert images_to_split(batch, 2, "auto") == []
    assert images_to_split(batch, 2, "auto", lambda _: True) == batch[:1]
    asked = []
    images_to_split([image(k, 12) for k in range(1000)], 2, "auto", lambda i: bool(asked.append(i)))
    assert len(asked) == 4  # a look into a file takes its time


@pytest.mark.parametrize("transfer", ["paths", "bytes"])
def test_a_pass_looks_into_its_files_for_pieces_where_workers_decode(transfer, tmp_path):
    data = cv2.imencode(".jpg", noise(1250, 1000), [cv2.IMWRITE_JPEG_RST_INTERVAL, 125])[1].tobytes()
    record = Record("0" * 12, "parallel", RunSettings(["gaussian"], parse_parameters({}), workers=2, split="auto"))
    record.images = [ImageRecord(k, f"{k}.jpg", 1000, 1250, "JPEG") for k in range(15)]
    for image in record.images:
        image.outputs = [OutputRecord("gaussian", f"{image.index}.png")]
    files = {k: tmp_path / f"{k}.jpg" for k in range(15)}
    for file in files.values():
        file.write_bytes(data)
    tracker = Tracker(lambda _: None, rounds=1, budget=0, contenders=1)
    passes = Passes(record, RunFolders(files, tmp_path / "out", None, tmp_path / "work"), tracker)
    with closing(Contender(TECHNIQUES["threading"], 2, deadline=60, transfer=transfer)) as contender:
        contender.start()
        passes.run_pass(contender, record.images, tmp_path / "out", "results")
        assert contender.measurement.split == ([0] if transfer == "paths" else [])
        files[0].write_bytes(b"")  # each file is looked into once in a run
        passes.run_pass(contender, record.images, tmp_path / "out", "measured", 1)
        assert contender.measurement.split == ([0] if transfer == "paths" else [])


@pytest.mark.parametrize("split", ["auto", "always"])
def test_with_an_operation_that_has_no_strips_images_stay_whole(split, monkeypatch):
    whole = replace(OPERATIONS["gaussian"], name="emboss", strips=None)
    monkeypatch.setitem(OPERATIONS, "emboss", whole)
    asked = RunSettings(["gaussian", "emboss"], {}, split=split)
    assert split_of(replace(asked, operations=["gaussian"])) == split
    assert split_of(asked) == "never"


@given(st.lists(st.tuples(st.floats(0.1, 60), st.booleans()), min_size=1, max_size=40), st.integers(2, 16))
def test_splitting_is_expected_to_gain_or_not_done(files, workers):
    batch = [image(k, size) for k, (size, _) in enumerate(files)]
    split = images_to_split(batch, workers, "auto", lambda i: files[i.index][1])
    if not split:
        return
    costs = {i.index: i.megapixels for i in batch}
    cut = [costs[i.index] for i in split]
    rest = sorted((costs[i.index] for i in batch if i not in split), reverse=True)
    serial = [costs[i.index] * (SERIAL_IN_PIECES if files[i.index][1] else SERIAL) for i in split]
    expected = makespan(serial + rest, workers)
    expected += (sum(cut) - sum(serial)) * (1 + OVERHEAD) / workers
    assert expected < (1 - GAIN) * makespan(sorted(costs.values(), reverse=True), workers) + 1e-9
    assert min(cut) >= max(rest, default=0)  # the largest ones


@given(st.lists(st.floats(0.1, 60), max_size=40), st.integers(1, 16))
def test_makespan_is_between_its_bounds(costs, workers):
    span = makespan(costs, workers)
    assert max([*costs, sum(costs) / workers]) - 1e-9 <= span <= sum(costs) / workers + max(costs, default=0) + 1e-9


def test_strips_are_two_per_worker_but_not_tiny():
    assert strips_of(image(0, 24), 2) == 4
    assert strips_of(image(0, 1.0), 16) == 5
    assert strips_of(image(0, 0.01), 16) == 2


def test_groups_keep_within_memory():
    groups = groups_of([image(k, size) for k, size in enumerate([500, 90, 90, 90, 5])])
    assert [[round(i.megapixels) for i in group] for group in groups] == [[500], [90, 90], [90, 5]]
    narrow = groups_of([image(k, 20) for k in range(5)], lambda i: 4 * i.megapixels, 170)
    assert [len(group) for group in narrow] == [2, 2, 1]


# ---------------------------------------------------------------- plans


def carry_out(plan):
    """The phases of a plan as lists of (image, part), and what it returned."""
    phases, results = [], None
    while True:
        try:
            phase = numbered(plan.send(results))
        except StopIteration as end:
            return phases, end.value
        assert [task.index for task in phase] == list(range(len(phase)))
        phases.append([(task.of_image, task.part) for task in phase])
        results = [TaskResult(task.index, (task.of_image, task.part)) for task in phase]


def steps(name, count):
    seen = []
    for k in range(count):
        results = yield [Task(name, print, None, part=k), Task(name, print, None, part=k + 10)]
        seen += [r.value for r in results]
    return seen


def test_plans_at_once_share_their_phases():
    phases, returned = carry_out(together([steps(1, 2), steps(2, 1)]))
    assert phases == [[(1, 0), (1, 10), (2, 0), (2, 10)], [(1, 1), (1, 11)]]
    assert returned == [[(1, 0), (1, 10), (1, 1), (1, 11)], [(2, 0), (2, 10)]]


def test_plans_after_another():
    phases, _ = carry_out(after_another([steps(1, 1), steps(2, 2)]))
    assert [phase[0][0] for phase in phases] == [1, 2, 2]


def test_nested_plans_become_one_list_of_results():
    tasks = [Task(k, print, None) for k in (4, 2)]
    phases, results = carry_out(flat(after_another([together([whole(tasks)]), together([whole(tasks[:1])])])))
    assert phases == [[(4, None), (2, None)], [(4, None)]]
    assert [r.value for r in results] == [(4, None), (2, None), (4, None)]


def test_an_empty_plan_has_no_phase():
    assert carry_out(together([])) == ([], [])


def test_a_plan_that_raises_ends_the_others():
    closed = []

    def careful():
        try:
            yield [Task(1, print, None)]
        finally:
            closed.append(True)

    def failing():
        yield [Task(2, print, None)]
        raise ValueError

    with pytest.raises(ValueError):
        carry_out(together([failing(), careful()]))
    assert closed == [True]


# ---------------------------------------------------------------- one image on every technique


@pytest.fixture(scope="module", params=[*product(CAN, ["paths"]), *product(CARRY, ["bytes"])], ids="-".join)
def contender(request):
    """Each technique with its own way of sharing an image, and those that carry with rows that are sent."""
    name, transfer = request.param
    made = Contender(TECHNIQUES[name], 2, deadline=60, transfer=transfer)
    made.start()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def no_shared_memory_is_left():
    yield
    assert not list(SHM.glob(f"imgproc-*-{os.getpid()}-*"))


def split(contender, work, size, strips, on_result=lambda _: None):
    across, sent = contender.backend.capabilities.memory == "copied", contender.transfer == "bytes"
    plan = split_image(0, work, size, strips, across_processes=across, sent=sent)
    return contender.run(flat(together([plan])), on_result)


def noise(height, width, color=False):
    rng = np.random.default_rng(height * 7 + width)
    shape = (height, width, 3) if color else (height, width)
    return cv2.blur(rng.integers(0, 256, shape, np.uint8), (3, 3)).reshape(shape)


@pytest.mark.parametrize(
    ("height", "width", "strips"), [(1, 1, 2), (2, 300, 2), (97, 61, 7), (640, 480, 4), (31, 5, 31)]
)
@pytest.mark.parametrize("color", [False, True])
def test_the_files_hold_whole_opencvs_pixels(contender, height, width, strips, color, tmp_path):
    pixels = noise(height, width, color)
    work = job(tmp_path, pixels, parse_parameters({"canny_low": 20, "canny_high": 60, "kernel": 9}), color=color)
    [result] = split(contender, work, (height, width), strips).results
    assert result.error is None and (result.value.height, result.value.width) == (height, width)
    assert tuple((o.operation, o.path) for o in result.value.outputs) == work.outputs
    assert all(Path(o.path).stat().st_size == o.bytes for o in result.value.outputs)
    assert wrong_pixels(work, pixels) == {}
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("transfer", ["paths", "bytes"])
@pytest.mark.parametrize("rows", [30, 90], ids=["in pieces", "whole"])
def test_how_an_image_was_read_is_told_of_the_whole_by_all_who_decoded_it(rows, transfer, tmp_path):
    """The largest sample is in the last piece, and each piece has levels that the others lack."""
    deep = np.linspace(0, 4095, 90 * 64).astype(np.uint16).reshape(90, 64)
    work = job(tmp_path, deep)
    Path(work.source).write_bytes(cv2.imencode(".tiff", deep, [cv2.IMWRITE_TIFF_ROWSPERSTRIP, rows])[1].tobytes())
    contender = Contender(TECHNIQUES["threading"], 1, deadline=60, transfer=transfer)
    contender.start()
    [result] = split(contender, work, deep.shape, 3).results
    contender.close()
    assert result.error is None
    assert [note.partition(";")[0] for note in result.value.notes] == ["It uses only 12 of 16 bits"]
    assert "; 16 gray levels are left." in result.value.notes[0]


@pytest.mark.parametrize("format", ["jpeg", "webp"])
def test_other_formats_are_the_same_files_as_of_whole_images(contender, format, tmp_path):
    pixels = noise(200, 300)
    work = job(tmp_path, pixels, format=format)
    split(contender, work, pixels.shape, 4)
    assert wrong_files(work, pixels) == []


def test_spans_say_which_strip_and_what_the_caller_did(contender, tmp_path):
    pixels = noise(300, 200)
    found = split(contender, job(tmp_path, pixels), pixels.shape, 4)
    canny = {part.part for part in found.parts if any(s.stage == "canny" for s in part.result.spans)}
    assert canny == {0, 1, 2, 3}
    assert any(span.stage == "merge" for span in found.results[0].caller_spans)
    if contender.transfer == "bytes":  # the caller decodes and writes
        assert {s.stage for s in found.results[0].caller_spans} >= {"read", "decode", "write"}
    phases = 2 if contender.transfer == "bytes" else 4
    assert len(found.round.phase_ends) == phases and found.round.phase_ends == sorted(found.round.phase_ends)
    assert found.round.phase_ends[-1] <= found.round.wall_seconds


def test_a_damaged_image_and_a_full_folder_are_that_images_error(contender, tmp_path):
    pixels = noise(120, 90)
    work = job(tmp_path, pixels)
    Path(work.source).write_bytes(Path(work.source).read_bytes()[:300])
    assert split(contender, work, (120, 90), 2).results[0].error
    work = job(tmp_path, pixels)
    nowhere = tuple((name, str(tmp_path / "no" / "such" / name)) for name in IN_STRIPS)
    broken = ImageJob(work.source, nowhere, work.parameters)
    assert "could not be read or written" in split(contender, broken, (120, 90), 2).results[0].error


def test_a_header_that_lies_about_the_size_is_no_crash(contender, tmp_path):
    pixels = noise(400, 300)
    result = split(contender, job(tmp_path, pixels), (20, 15), 2).results[0]
    assert result.error is None or "larger than its header says" in result.error


def test_ending_early_leaves_no_shared_memory(contender, tmp_path):
    pixels = noise(900, 900)

    def stop(_):
        raise RuntimeError

    with pytest.raises(RuntimeError):
        split(contender, job(tmp_path, pixels), pixels.shape, 4, stop)


KILLABLE = [name for name in CAN if TECHNIQUES[name].load().capabilities.killable]


@pytest.mark.parametrize("contender", [*product(KILLABLE, ["paths", "bytes"])], indirect=True, ids="-".join)
def test_a_worker_killed_in_a_strip_costs_that_strip_only(contender, tmp_path):
    pixels = noise(1000, 1500)
    work = job(tmp_path, pixels)
    killed = []

    def kill(result):
        if not killed and result.worker and any(s.stage == "gaussian" for s in result.spans):
            killed.append(result.worker.pid)
            os.kill(result.worker.pid, signal.SIGKILL)

    found = split(contender, work, pixels.shape, 4, kill)
    assert killed and found.results[0].error is None
    assert sum(part.result.attempts > 1 for part in found.parts) <= 2  # what it was at, and what it had just begun
    assert wrong_pixels(work, pixels) == {}


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 90), st.integers(1, 90), st.integers(2, 12), st.integers(0, 255), st.integers(1, 15), st.booleans()
)
def test_any_size_any_strips_any_parameters(height, width, strips, low, kernel, color):
    with tempfile.TemporaryDirectory() as folder, closing(Contender(TECHNIQUES["threading"], 2, deadline=60)) as c:
        pixels = noise(height, width, color)
        chosen = parse_parameters({"canny_low": low, "canny_high": min(255, low + 40), "kernel": kernel | 1})
        work = job(Path(folder), pixels, chosen, color=color)
        assert split(c, work, (height, width), strips).results[0].error is None
        assert wrong_pixels(work, pixels) == {}


def test_threads_may_be_many(tmp_path):
    """Several split images at once, from several threads."""
    jobs = []
    for k in range(3):
        (tmp_path / str(k)).mkdir()
        jobs.append(job(tmp_path / str(k), noise(150 + k, 160)))
    with closing(Contender(TECHNIQUES["threading"], 4, deadline=60)) as c:
        plans = [split_image(k, work, (150 + k, 160), 5, across_processes=False) for k, work in enumerate(jobs)]
        found = c.run(flat(together(plans)), lambda _: None)
    assert [r.index for r in found.results] == [0, 1, 2] and all(r.error is None for r in found.results)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("height", "width"), [(13_000, 13_000), (31_250, 32_000)])
@pytest.mark.parametrize("technique", ["threading", "multiprocessing"])
def test_a_huge_image_takes_little_memory(technique, height, width, tmp_path):
    """At most 3 bytes for each pixel of a gray image, and 300 MB for the rest; up to a gigapixel."""
    pixels = height * width
    if psutil.virtual_memory().available < 4 * pixels + 1e9:
        pytest.skip(f"{pixels / 1e6:.0f} megapixels need more memory than is free here")
    source = tmp_path / "huge.jpg"
    write_huge(source, height, width)
    watched = (
        "import sys\n"
        "from imgproc.cli import main\n"
        "from imgproc.measure.peak_memory import PeakMemory\n"
        "from imgproc.measure.process_tree import own_tree\n"
        "with PeakMemory(own_tree) as memory:\n"
        "    status = main(sys.argv[1:])\n"
        "print(status, memory.bytes)\n"
    )
    options = ["process", source, "--out", tmp_path / "out", "--technique", technique, "--workers", "2"]
    limits = ["--budget", "0", "--max-megapixels", "1000"]
    ran = subprocess.run(
        [sys.executable, "-c", f"if __name__ == '__main__':\n{textwrap.indent(watched, '    ')}", *options, *limits],
        capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": str(PROJECT)}, timeout=500,
    )  # fmt: skip
    assert "was cut into strips" in ran.stdout
    status, peak = ran.stdout.splitlines()[-1].split()
    assert status == "0"
    assert pixels < int(peak) <= 3 * pixels + 300e6  # the image itself is in memory, so less would be wrong


def write_huge(file, height, width):
    """A gray JPEG of any size, in a process of its own, which gives the memory back."""
    code = (
        "import sys, cv2, numpy as np\n"
        "height, width = map(int, sys.argv[2:])\n"
        "noise = np.random.default_rng(0).integers(0, 256, (1000, 1000), np.uint8)\n"
        "tile = cv2.GaussianBlur(noise, (9, 9), 0)\n"
        "image = np.tile(tile, (-(-height // 1000), -(-width // 1000)))[:height, :width]\n"
        "done, data = cv2.imencode('.jpg', np.ascontiguousarray(image))\n"
        "open(sys.argv[1], 'wb').write(data)\n"
    )
    subprocess.run([sys.executable, "-c", code, file, str(height), str(width)], check=True)
