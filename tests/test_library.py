"""The library: functions as people write them, measured by every kind of technique, from every kind of program."""

from __future__ import annotations

import functools
import json
import math
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import imgproc
from imgproc import Close, ItemError, UserError, compare, process
from imgproc.report.tasks import advice
from imgproc.runs.tasks.measuring import _time_handing_over
from imgproc.runs.tasks.sameness import Incomparable, digest, sameness
from imgproc.runs.verify import verify
from tests import own_functions as own

LOCK = threading.Lock()
PROJECT = Path(__file__).resolve().parent.parent
SOME = ["threading", "multiprocessing"]


def quickly(function, items, techniques=SOME, **more):
    """A comparison with as few rounds as there may be."""
    asked = {"workers": 2, "rounds": 2, "budget": 1, "progress": False, **more}
    return compare(function, items, techniques=techniques, **asked)


def images(count=6, side=24):
    rng = np.random.default_rng(1)
    return [rng.integers(0, 256, (side, side), np.uint8) for _ in range(count)]


# ---------------------------------------------------------------- functions as people write them


def closure(factor):
    def multiplied(x):
        return factor * x

    return multiplied


def pillow_mirrored(image):
    from PIL import ImageOps

    return ImageOps.mirror(image)


GOOD = {
    "plain": (own.square, range(5)),
    "lambda": (lambda x: x + 0.5, range(5)),
    "closure": (closure(3), range(5)),
    "method": (own.Scaler(2).scaled, range(5)),
    "partial": (functools.partial(pow, 2), range(5)),
    "class with state": (own.Scaler(5), range(5)),
    "decorated": (own.decorated, range(5)),
    "generator input": (own.square, (x for x in range(5))),
    "numpy view in": (own.normalized, [image[::2, 1:] for image in images()]),
    "list of dicts out": (own.facts, images()),
    "cv2 with its own threads": (own.blurred, images()),
    "pure Python": (own.pure_python, range(6)),
    "raises sometimes": (own.raises_sometimes, range(6)),
    "prints": (own.prints, range(4)),
    "sleeps": (own.sleeps, range(6)),
    "NaN arrays": (own.normalized, [np.zeros((4, 4)), np.ones((4, 4)), *images(2)]),
    "random with a seed": (own.random_with_seed, range(5)),
    "recursion": (own.recursive, range(10)),
    "calls exit": (own.exits, range(4)),
    "None out": (print, [1, 2]),
}


@pytest.mark.parametrize("name", GOOD)
def test_functions_as_people_write_them_give_the_same_everywhere(name):
    function, items = GOOD[name]
    found = quickly(function, items)
    for technique in ("sequential", *SOME):
        assert found[technique].identical is True, found.table()
        assert found.speedup(technique) is not None and found.reason(technique) is None
    assert not verify(found.record)


def test_a_function_that_sets_opencvs_threads_is_told_so():
    found = quickly(own.blurred, images())
    assert "sets OpenCV’s own threads to 4 in its calls" in found.table() and cv2.getNumThreads() == 1


def test_images_of_pillow_are_compared_by_their_pixels():
    pillow = pytest.importorskip("PIL.Image")
    found = quickly(pillow_mirrored, [pillow.fromarray(image) for image in images(3)])
    assert all(found[name].identical for name in SOME), found.table()


def test_what_a_function_writes_is_there(tmp_path):
    found = quickly(own.writes, [(str(tmp_path), x) for x in range(4)])
    assert found["multiprocessing"].identical and (tmp_path / "3.txt").read_text() == "3"


UNPROVEN = {
    "random without a seed": (own.random_without_seed, range(4), "gives another result"),
    "counts its calls": (own.remembers, range(4), "gives another result"),
    "changes its input": (own.changes_its_input, [[1], [2, 3], [4]], "changes the items that it is given"),
}


@pytest.mark.parametrize("name", UNPROVEN)
def test_a_function_of_which_nothing_can_be_proven_gets_no_speedup_and_the_sentence_says_what_to_change(name):
    function, items, said = UNPROVEN[name]
    found = quickly(function, items)
    for technique in SOME:
        assert found.speedup(technique) is None and found[technique].identical is False
        assert said in found.reason(technique)
    assert said in found.table() and not verify(found.record)


def test_a_result_that_only_one_technique_gives_shows_no_speedup():
    main = threading.get_ident()

    def where(x):
        return x if threading.get_ident() == main else -x

    found = quickly(where, range(1, 5), ["threading"])
    assert found.speedup("threading") is None
    assert "differ from the baseline’s in 4 of 4 items (0, 1, 2, …)" in found.reason("threading")


@pytest.mark.parametrize("name", ["an item", "the function"])
def test_what_cannot_travel_leaves_the_threads(name):
    lock = threading.Lock()
    function, items = {
        "an item": (lambda item: 1, [1, lock]),
        "the function": (lambda item: lock.locked(), [1, 2]),
    }[name]
    found = quickly(function, items)
    assert found["threading"].identical and found.speedup("threading") is not None
    assert not found["multiprocessing"].available and "cannot be pickled" in found.reason("multiprocessing")
    assert "Not run: Process pool: " in found.table()


def test_a_result_that_cannot_travel_costs_the_processes_and_says_which():
    found = quickly(lambda x: [x, threading.main_thread()], range(3), same=lambda a, b: a[0] == b[0])
    assert found["threading"].identical
    assert "item 0: what it returned, of type list, cannot be pickled" in found.reason("multiprocessing")


def test_a_generator_as_a_result_is_refused_with_the_way_out():
    with pytest.raises(UserError, match=r"of type generator: .* Return what has a content, such as a list"):
        quickly(lambda x: (y for y in range(x)), range(3), ["threading"])


# ---------------------------------------------------------------- trouble


def test_an_item_that_ends_or_outlasts_its_worker_is_left_out_also_by_threads():
    found = quickly(own.ends_its_process, range(6))
    [failed] = found.record.task.failed
    assert failed.index == 3 and "item 3" in found.table()
    assert found["threading"].identical and found["threading"].speedup
    assert not verify(found.record)
    hung = quickly(own.hangs, range(5), deadline=1.5)
    assert [one.index for one in hung.record.task.failed] == [2]
    assert hung["multiprocessing"].identical


def test_what_a_function_raised_is_told_with_its_traceback():
    found = quickly(own.raises_sometimes, range(6))
    raised = found.record.task.raised
    assert [one.index for one in raised] == [0, 3] and raised[1].error == "ValueError: 3 is a multiple of three"
    assert "own_functions.py" in raised[0].traceback and "calls.py" not in raised[0].traceback
    with pytest.raises(ItemError, match="item 0: ValueError: 0 is a multiple") as problem:
        process(own.raises_sometimes, range(6), technique="threading", workers=2, progress=False)
    assert problem.value.index == 0 and "raise ValueError" in problem.value.traceback


@pytest.mark.parametrize(
    ("given_", "said"),
    [
        ({"items": []}, "There are no items"),
        ({"function": "blur"}, "An operation works on image files"),
        ({"function": 5}, "Give a function, not int"),
        ({"same": "roughly"}, "same must be"),
        ({"techniques": ["thread"]}, "threading"),
        ({"techniques": ["multiprocessing"], "function": lambda x, lock=LOCK: x}, "cannot be pickled"),
        ({"workers": 0}, "workers"),
    ],
)
def test_bad_input_is_one_sentence(given_, said):
    given_ = {"function": own.square, "items": [1, 2], **given_}
    with pytest.raises(UserError, match=said):
        found = quickly(given_.pop("function"), given_.pop("items"), **given_)
        raise UserError(str(found.reason("multiprocessing")))


# ---------------------------------------------------------------- what counts as the same


def test_a_tolerance_is_printed_beside_the_speedups():
    main = threading.get_ident()

    def nearly(x):
        return {"value": x * (1.0 if threading.get_ident() == main else 1.0 + 1e-9), "list": [x]}

    assert quickly(nearly, range(1, 4), ["threading"]).speedup("threading") is None
    found = quickly(nearly, range(1, 4), ["threading"], same=1e-6)
    assert found.speedup("threading") is not None and "within rtol=1e-06, atol=0" in found.table()
    assert quickly(nearly, range(1, 4), ["threading"], same=Close(1e-12)).speedup("threading") is None
    assert quickly(nearly, range(1, 4), ["threading"], same=lambda a, b: a["list"] == b["list"]).speedup("threading")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner) | st.frozensets(st.integers())
    ),
    max_leaves=12,
)


@given(VALUES)
def test_a_copy_has_the_digest_of_its_original(value):
    import copy
    import pickle

    assert digest(value) == digest(copy.deepcopy(value)) == digest(pickle.loads(pickle.dumps(value)))


@given(VALUES, VALUES)
def test_values_that_differ_have_other_digests(one, other):
    def plain(value):
        return repr(value)

    if digest(one) == digest(other):
        assert type(one) is type(other)
        assert one == other or "nan" in plain(one)


def test_digests_tell_apart_what_looks_alike():
    a = np.arange(6, dtype=np.int64)
    numbers = [1, 1.0, True, "1", b"1", None, math.nan, 0.0, -0.0, np.int64(1)]
    arrays = [a, a.astype(np.int32), a.reshape(2, 3), a.astype(object), a.tolist(), tuple(a.tolist())]
    looks = [*numbers, *arrays, {0: 1}, {1: 0}, {"0": 1}, own.Scaler(1), own.Scaler(2)]
    assert len({digest(value) for value in looks}) == len(looks)


def test_what_is_the_same_in_another_order_in_memory_has_the_same_digest():
    a = np.arange(6).reshape(2, 3)
    assert digest(a[::-1]) == digest(a[::-1].copy()) and digest(np.asfortranarray(a)) == digest(a)
    assert digest(np.array([math.nan, -math.nan])) == digest(np.array([-math.nan, math.nan]))
    assert digest({1, 2, 300}) == digest({300, 2, 1}) and digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})


def test_what_has_no_content_has_no_digest():
    inside = []
    inside.append(inside)
    for value in (inside, (x for x in ()), [sys.__stdout__]):
        with pytest.raises(Incomparable):
            digest(value)


@given(st.floats(1e-9, 1e-3), st.floats(0.1, 10))
def test_a_tolerance_is_kept_on_both_sides(rtol, factor):
    value = {"a": [np.array([1.0, 2.0]), 3], "b": "text"}
    other = {"a": [np.array([1.0, 2.0 * (1 + rtol * factor)]), 3], "b": "text"}
    if not 0.99 < factor < 1.01:
        assert Close(rtol).same(value, other) == (factor < 1)
    assert not sameness(rtol).same(value, {**value, "b": "other"})
    assert sameness("==").same([1, (2,)], [1, (2,)]) and not sameness("==").same([1], [2])


# ---------------------------------------------------------------- what comes back


@pytest.fixture(scope="module")
def found():
    return compare(own.pure_python, range(12), techniques=SOME, workers=2, rounds=6, budget=3, progress=False)


def test_what_was_found_is_there_as_figures_text_data_and_in_a_notebook(found, tmp_path):
    assert found.best in ("sequential", *SOME) and found.speedup("sequential") == 1.0
    low, high = found.interval("threading")
    assert low <= found.speedup("threading") <= high
    assert set(found.verdicts) == {"Sequential", "Threads", "Process pool"}
    table = found.table()
    assert "pure_python over 12 items; results compared: identical" in table and "a 95" not in table
    assert repr(found) == table
    assert found.figures["speedup"].lstrip().startswith(b"<") and b"<svg" in found.figures["speedup"]
    assert found.figures.png("rounds").startswith(b"\x89PNG") and len(found.figures) == len(list(found.figures)) > 1
    with pytest.raises(KeyError, match="no figure 'grid'"):
        found.figures["grid"]
    assert "<pre>" in found._repr_html_() and "<svg" in found._repr_html_()
    found.save(tmp_path / "run.json")
    again = imgproc.load(tmp_path / "run.json")
    assert again == found.record and imgproc.load(tmp_path) == again and not verify(again)
    assert json.loads((tmp_path / "run.json").read_text())["task"]["items"] == 12
    with pytest.raises(KeyError, match="did not take part"):
        found.speedup("dask")
    with pytest.raises(UserError, match="cannot be read"):
        imgproc.load(tmp_path / "other.json")


def test_records_are_tables_of_pandas_where_it_is_installed(found):
    pytest.importorskip("pandas")
    frame = found.to_dataframe()
    assert (
        list(frame["name"]) == ["threading", "multiprocessing", "sequential"] and frame["median_seconds"].notna().all()
    )


def test_every_technique_takes_part_where_none_is_named():
    found = quickly(own.square, range(8), None, budget=2)
    done = {t.name for t in found.record.techniques if t.identical}
    assert {"sequential", "threading", "multiprocessing", "futures-threads", "asyncio", "futures-processes"} <= done
    for t in found.record.techniques:
        assert t.identical or t.reason, t.name
        assert t.name not in ("opencv", "cupy")


def test_scale_goes_through_numbers_of_workers():
    found = imgproc.scale(
        own.sleeps, range(12), technique="threading", workers=[1, 2], rounds=6, budget=2, progress=False
    )
    two = found["Threads, 2 workers"]
    assert two.identical and two.speedup > 1.3 and found.record.scaling is not None
    assert "Strong scaling" in found.table() and not verify(found.record)


def test_process_returns_the_results_in_order():
    for technique in ("sequential", "threading", "futures-processes"):
        assert process(own.square, range(9), technique=technique, workers=2, progress=False) == [
            x * x for x in range(9)
        ]
    assert process(own.Scaler.scaled.__get__(own.Scaler(3)), [2], progress=False) == [7]


def test_parameters_are_given_by_name():
    def power(x, exponent=2):
        return x**exponent

    assert process(power, [1, 2, 3], exponent=3, progress=False) == [1, 8, 27]


def test_from_calls_of_which_length_a_technique_pays_is_what_a_sweep_finds():
    found = quickly(time.sleep, [0.03] * 14, ["multiprocessing"])
    pays = found["multiprocessing"].pays_from_task_seconds
    assert found.speedup("multiprocessing") > 1.2 and 1e-5 < pays < 0.03
    assert "Process pool: pays from calls of" in found.table()
    assert quickly(time.sleep, [0.0] * 200, ["multiprocessing"]).speedup("multiprocessing") < 1.0


def test_handing_over_calls_far_shorter_than_that_is_measured_by_other_work():
    found = quickly(own.pure_python, [0] * 200, ["multiprocessing"])
    pool = found["multiprocessing"]
    (near, near_task), (far, far_task) = pool.tried_tasks
    assert pool.speedup < 1 and near < far and near_task < far_task
    if "pays from calls of" in found.table():
        assert pool.pays_from_task_seconds > (pool.idle_task_seconds or 0.0)
    else:
        assert pool.pays_from_task_seconds is None
    assert not verify(found.record)


def test_where_no_work_ran_at_the_same_time_nothing_is_claimed_of_short_calls():
    record = quickly(own.square, [1] * 20, ["multiprocessing"]).record
    pool = next(t for t in record.techniques if t.name == "multiprocessing")
    pool.tried_tasks, pool.calls_overlap, pool.pays_from_task_seconds = [[1e-3, 2e-3], [1e-2, 1.1e-2]], None, None
    said = " ".join(advice(record))
    assert "cannot be told; no work ran at the same time" in said and "however long" not in said


def test_where_every_technique_failed_there_is_nobody_to_hand_over_to():
    _time_handing_over(None, [], [])


def test_calls_that_hold_the_gil_pay_for_no_thread_however_long():
    found = quickly(own.pure_python, [20_000] * 20, ["threading"])
    assert found["threading"].pays_from_task_seconds is None or found.speedup("threading") > 1.05


# ---------------------------------------------------------------- images


def photo(folder, name="photo.png", side=60):
    image = np.random.default_rng(3).integers(0, 256, (side, side), np.uint8)
    cv2.imwrite(str(folder / name), image)
    return image


def inverted(image, strength: float = 1.0, twice: bool = False):
    """The negative of an image."""
    made = 255 - image if not twice else image
    return (made * strength).astype(np.uint8)


def test_a_function_of_an_image_makes_files_by_every_kind_of_worker(tmp_path):
    image = photo(tmp_path)
    for technique in ("threading", "multiprocessing", "futures-processes"):
        done = process(
            inverted,
            tmp_path / "photo.png",
            tmp_path / technique,
            technique=technique,
            workers=2,
            progress=False,
            strength=0.5,
        )
        [files] = done.files
        made = cv2.imread(str(files["inverted"]), cv2.IMREAD_UNCHANGED)
        assert (made == ((255 - image) * 0.5).astype(np.uint8)).all()
    assert "inverted" not in imgproc.operations.OPERATIONS


def test_a_function_of_an_image_is_compared_with_proof_of_its_pixels(tmp_path):
    for number in range(4):
        photo(tmp_path, f"{number}.png")
    found = quickly(inverted, f"{tmp_path}/*.png")
    assert all(found[name].identical and found.speedup(name) for name in SOME), found.table()
    assert "inverted" in found.record.settings.operations and not verify(found.record)


def test_an_operation_of_the_house_can_be_named(tmp_path):
    photo(tmp_path)
    done = process("gaussian", tmp_path / "photo.png", tmp_path / "out", kernel=3, progress=False)
    assert done.files[0]["gaussian"].is_file() and done.record.settings.parameters["kernel"] == 3


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda image: image.astype(float), "returned an array of float64, not of uint8"),
        (lambda image: [1], "returned a list, not an image"),
        (lambda image: image[:, :, None, None], "of shape"),
        (lambda image: 1 / 0, "raised ZeroDivisionError in line"),
    ],
)
def test_what_is_no_image_is_told(tmp_path, function, said):
    photo(tmp_path)
    with pytest.raises(UserError, match="None of the images could be processed"):
        process(function, tmp_path / "photo.png", tmp_path / "out", technique="threading", workers=2, progress=False)
    done = None

    def sometimes(image):
        return function(image) if image.shape[0] == 60 else image

    photo(tmp_path, "small.png", 20)
    done = process(
        sometimes, str(tmp_path / "*.png"), tmp_path / "out", technique="multiprocessing", workers=2, progress=False
    )
    [failed] = [image for image in done.images if image.error]
    assert said in failed.error and done.files[1]["sometimes"].is_file()


def test_masks_and_other_sizes_are_images(tmp_path):
    image = photo(tmp_path)
    done = process(lambda image: image > 100, tmp_path / "photo.png", tmp_path / "out", progress=False)
    assert (cv2.imread(str(done.files[0]["lambda"]), 0) == (image > 100) * 255).all()
    half = process(lambda image: image[::2, ::3], tmp_path / "photo.png", tmp_path / "out", progress=False)
    assert cv2.imread(str(half.files[0]["lambda"]), 0).shape == (30, 20)


# ---------------------------------------------------------------- every kind of program

SCRIPT = """
import imgproc
FACTOR = 2
class Thing:
    def __init__(self, x): self.x = x
    def __eq__(self, other): return self.x == other.x
def own(thing):
    return Thing(FACTOR * thing.x)
FACTOR = 3
found = imgproc.compare(own, [Thing(x) for x in range(6)], techniques=TECHNIQUES, workers=2, rounds=2, budget=1,
                        start_method=METHOD, progress=False)
for t in found.record.techniques:
    assert t.identical and t.speedup, found.table()
assert imgproc.process(own, [Thing(1)], technique="multiprocessing", progress=False)[0].x == 3
print("runs once")
"""
METHODS = [m for m in ("forkserver", "spawn", "fork") if m in __import__("multiprocessing").get_all_start_methods()]


def run_program(how, text, folder):
    script = folder / "program.py"
    script.write_text(text)
    commands = {
        "script": [str(script)],
        "-c": ["-c", text],
        "stdin": ["-"],
        "-m": ["-m", "program"],
        "repl": ["-i", "-q"],
    }
    env = {"PYTHONPATH": f"{PROJECT}", "PATH": "/usr/bin:/bin", "TMPDIR": tempfile.gettempdir(), "HOME": str(folder)}
    typed = text if how == "stdin" else f"exec({text!r})\n" if how == "repl" else None
    return subprocess.run(
        [sys.executable, *commands[how]], input=typed, cwd=folder, env=env, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("how", "method"),
    [*(("script", method) for method in METHODS), ("-c", None), ("stdin", None), ("-m", None), ("repl", None)],
)
def test_a_program_without_a_guarded_main_works(how, method, tmp_path):
    techniques = ["multiprocessing", "futures-processes"] if how == "script" else ["multiprocessing"]
    text = f"METHOD, TECHNIQUES = {method!r}, {techniques!r}\n{SCRIPT}"
    done = run_program(how, text, tmp_path)
    assert done.stdout.count("runs once") == 1, done.stdout + done.stderr
    assert how == "repl" or done.returncode == 0


def test_a_program_without_a_guarded_main_works_with_joblib_mpi_and_dask(tmp_path):
    names = ("joblib", "mpi", "dask")
    techniques = [t.name for t in imgproc.techniques() if t.name in names and t.available]
    if not techniques:
        pytest.skip("none of them is installed")
    done = run_program("script", f"METHOD, TECHNIQUES = None, {techniques!r}\n{SCRIPT}", tmp_path)
    assert done.stdout.count("runs once") == 1 and done.returncode == 0, done.stdout + done.stderr


LOADED = """
import os
HERE = os.getpid()
def tell(queue):
    queue.put("loaded here" if HERE == os.getpid() else "loaded by the server")
"""
GUARDED = """
import multiprocessing, os, sys
import imgproc
import loaded_first
def own(x):
    loaded = sys.modules.get("loaded_first")
    if loaded and loaded.HERE != os.getpid():
        raise RuntimeError("a copy of a server that loaded it")
    return x + 1
if __name__ == "__main__":
    theirs = multiprocessing.get_context("forkserver")
    theirs.set_forkserver_preload(["__main__", "loaded_first"])  # the first is what Python 3.14 does by itself
    queue = theirs.SimpleQueue()
    for what in ("before", "after"):
        if what == "after":
            techniques = ["multiprocessing", "futures-processes"]
            found = imgproc.compare(own, range(6), techniques=techniques, workers=2, rounds=2, budget=1,
                                    start_method="forkserver", progress=False)
            assert all(t.identical and t.speedup for t in found.record.techniques), found.table()
        process = theirs.Process(target=loaded_first.tell, args=(queue,))
        process.start()
        print(what, queue.get())
        process.join()
"""


@pytest.mark.skipif("forkserver" not in METHODS, reason="no fork server on this system")
def test_what_the_callers_fork_server_loaded_is_not_in_our_workers(tmp_path):
    (tmp_path / "loaded_first.py").write_text(LOADED)
    done = run_program("script", GUARDED, tmp_path)
    assert done.stdout.split("\n")[:2] == ["before loaded by the server", "after loaded by the server"], done.stderr
    assert done.returncode == 0
