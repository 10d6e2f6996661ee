"""A run over items of a user's own function again: the same function, items and results, told by hashes."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imgproc import Close, UserError, compare, repeat
from imgproc.cli import main
from imgproc.runs.record import Record, TaskRecord
from imgproc.runs.tasks.identity import MOST_HASHED, function_sha256, identify, innermost
from imgproc.runs.verify import verify
from tests import own_functions as own

SOURCE = '''"""A function and its items."""

import numpy as np


def summed(x):
    return int(x.sum()) + helper()


def helper():
    return 1


ITEMS = [np.full(4, k) for k in range(5)]


def more():
    return ITEMS
'''


@pytest.fixture(autouse=True)
def two_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without intervals, which on a busy machine may differ."""
    monkeypatch.setattr("imgproc.runs.measuring.LOOKS", ())


def quickly(function: Callable[..., Any], items: Any, **more: Any) -> Any:
    asked = {"techniques": ["threading"], "workers": 2, "rounds": 2, "budget": 1, "progress": False, **more}
    return compare(function, items, **asked)


# ---------------------------------------------------------------- what a function is known by


def adder(number: Any) -> Callable[[int], Any]:
    def added(x: int) -> Any:
        return x + number

    return added


def recursive_inside() -> Callable[[int], int]:
    def down(x: int) -> int:
        return x if x < 1 else down(x - 1)

    return down


def applied(function: Callable[[int], int]) -> Callable[[int], int]:
    def outer(x: int) -> int:
        return function(x)

    return outer


def one(x: int) -> int:
    return x + 1


def two(x: int) -> int:
    return x + 2


SAME = {
    "plain": (own.square, own.square),
    "closure": (adder(3), adder(3)),
    "partial": (functools.partial(pow, 2), functools.partial(pow, 2)),
    "method": (own.Scaler(2).scaled, own.Scaler(2).scaled),
    "object": (own.Scaler(5), own.Scaler(5)),
    "decorated": (own.decorated, own.decorated),
    "calls itself": (recursive_inside(), recursive_inside()),
    "a function inside": (applied(one), applied(one)),
    "built in": (len, len),
}
OTHERS = {
    "source": (one, two),
    "closure": (adder(3), adder(4)),
    "array in a closure": (adder(np.arange(3)), adder(np.arange(4))),
    "partial": (functools.partial(pow, 2), functools.partial(pow, 3)),
    "method": (own.Scaler(2).scaled, own.Scaler(3).scaled),
    "object": (own.Scaler(5), own.Scaler(6)),
    "a function inside": (applied(one), applied(two)),
    "built in": (len, max),
}


@pytest.mark.parametrize("pair", SAME.values(), ids=SAME)
def test_the_same_function_has_the_same_hash(pair: tuple[Any, Any]) -> None:
    first, second = map(function_sha256, pair)
    assert first is not None and first == second


@pytest.mark.parametrize("pair", OTHERS.values(), ids=OTHERS)
def test_other_source_or_other_bound_values_have_another_hash(pair: tuple[Any, Any]) -> None:
    first, second = map(function_sha256, pair)
    assert first is not None and second is not None and first != second


def test_a_function_without_source_is_not_known() -> None:
    made: dict[str, Any] = {}
    exec("def unseen(x):\n    return x\n", made)
    assert function_sha256(made["unseen"]) is None
    with (Path(__file__)).open() as open_file:
        assert function_sha256(adder(open_file)) is None


def test_what_is_known_of_items_has_a_limit() -> None:
    task = TaskRecord("square", 3)
    identify(task, functools.partial(own.decorated), [1, [2.5], object.__new__(object)])
    assert task.module == "tests.own_functions" and task.file == "own_functions.py" and task.file_sha256
    assert innermost(functools.partial(own.Scaler(2).scaled)) is own.Scaler.scaled
    assert len(set(task.items_sha256)) == 3 and task.items_sha256[0]
    many = TaskRecord("square", MOST_HASHED + 1)
    identify(many, own.square, range(MOST_HASHED + 1))
    assert many.items_sha256 == []


# ---------------------------------------------------------------- repeating


def test_the_same_function_over_the_same_items_reproduces(tmp_path: Path) -> None:
    items = [np.full((3, 3), k, np.uint8) for k in range(4)]
    before = quickly(own.facts, items, seed=5)
    task = before.record.task
    assert task.items_sha256 and all(task.items_sha256) and all(task.results_sha256) and task.file == "own_functions.py"
    assert verify(before.record) == []
    before.save(tmp_path / "run.json")
    now = repeat(tmp_path / "run.json", own.facts, [item.copy() for item in items], progress=False)
    found = now.record.repetition
    assert found.of == before.record.id and found.reproduced and found.function is True and found.file is True
    assert (found.inputs, found.hashed, found.results, found.other_pixels) == (4, 4, 4, [])
    assert [one.technique for one in found.speedups] == ["Threads"] and now.record.settings.seed == 5
    said = now.reproduction()
    assert "Function: facts, the same by its source.\nInputs: 4 items, the same by SHA-256.\n" in said
    assert "Results: the same in all of 4 results.\n" in said
    assert said.splitlines()[-1].startswith("It reproduces: the same results, ")
    again = Record.from_dict(now.record.to_dict())
    assert again.repetition == found and before.reproduction() == ""


def test_another_function_is_measured_and_does_not_reproduce() -> None:
    before = quickly(one, range(5))
    now = repeat(before, two, range(5), progress=False)
    found = now.record.repetition
    assert found.function is False and not found.reproduced and len(found.other_pixels) == 5
    said = now.reproduction()
    assert "Function: two for one, another by its source.\n" in said
    assert "Results: 5 of 5 results differ: item 0, item 1, item 2, item 3, item 4.\n" in said
    assert said.splitlines()[-1] == "It does not reproduce: another function; other results."


def test_other_items_are_not_measured() -> None:
    before = quickly(own.square, range(5))
    with pytest.raises(UserError, match="2 of 5 items hold something else than was measured, by place: 0, 4"):
        repeat(before, own.square, [9, 1, 2, 3, 9], progress=False)
    with pytest.raises(UserError, match="The run was over 5 items, and here are 6"):
        repeat(before, own.square, range(6), progress=False)


def test_results_that_need_not_be_the_same_to_the_bit_are_not_compared_by_hashes() -> None:
    how = Close(rtol=1e-6)
    before = quickly(own.square, range(4), same=how)
    assert before.record.task.results_sha256 == []
    with pytest.raises(UserError, match="compared results so: within rtol=1e-06"):
        repeat(before, own.square, range(4), progress=False)
    now = repeat(before, own.square, range(4), same=how, progress=False)
    assert now.record.repetition.reproduced and "no result could be compared" in now.reproduction()


def test_parameters_are_part_of_the_function() -> None:
    before = quickly(pow_of, [1, 2, 3], exponent=3)
    assert repeat(before, pow_of, [1, 2, 3], exponent=3, progress=False).record.repetition.function is True
    assert repeat(before, pow_of, [1, 2, 3], exponent=2, progress=False).record.repetition.function is False


def pow_of(x: int, exponent: int = 2) -> int:
    return x**exponent


def test_a_record_of_an_earlier_version_knows_no_hashes() -> None:
    before = quickly(own.square, range(3)).record
    data = json.loads(json.dumps(before.to_dict()))
    for name in ("module", "file", "function_sha256", "file_sha256", "items_sha256", "results_sha256"):
        del data["task"][name]
    now = repeat(Record.from_dict(data), own.square, range(3), progress=False)
    assert now.record.repetition.function is None and now.record.repetition.hashed == 0
    assert (
        "Function: square, whether it is the same is not known.\nInputs: 3 items, 0 the same by" in now.reproduction()
    )


# ---------------------------------------------------------------- on the command line


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of the function and the items of a file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(SOURCE)
    from imgproc.functions.loading import load, named

    quickly(load("mine.py:summed"), named("mine.py:ITEMS")).save("run.json")
    return tmp_path / "run.json"


def again(*words: str) -> int:
    return main(["repeat", "run.json", "--no-wait", *words])


@pytest.mark.usefixtures("record")
def test_function_and_items_are_named_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    for items in ("mine.py:ITEMS", "mine.py:more"):
        assert again("--function", "mine.py:summed", "--items", items, "--json=again.json") == 0
    said = capsys.readouterr().out
    assert "Function: summed, the same by its source.\nInputs: 5 items, the same by SHA-256." in said
    assert "It reproduces: the same results" in said
    now = Record.from_dict(json.loads(Path("again.json").read_text()))
    assert now.repetition and now.repetition.reproduced and now.command
    assert again("--function", "mine.py:helper", "--items", "mine.py:ITEMS") == 1
    assert "It does not reproduce: another function" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "over items of the function summed (in mine.py). Its record has hashes of both alone, so name them"),
        (("--function", "mine.py:summed", "--items", "mine.py:helper"), "names int, of which there are no items"),
        (("--function", "mine.py:ITEMS", "--items", "mine.py:ITEMS"), "“ITEMS” in mine.py is list, not a function"),
        (("--function", "mine.py:summed", "--items", "mine.py:nothing"), "mine.py has no function “nothing”"),
        (("--measure-on",), "measured on by imgproc.compare"),
    ],
)
@pytest.mark.usefixtures("record")
def test_what_is_wrong_is_said(capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str) -> None:
    assert again(*words) == 2
    assert said in " ".join(capsys.readouterr().err.split())
