"""Functions named on a command line: FILE.py:FUNCTION or MODULE:FUNCTION."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable
from hashlib import sha256
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import Any

from imgproc.errors import UserError, did_you_mean
from imgproc.functions.travel import take_along


def load(reference: str) -> Callable[..., Any]:
    """The function that a reference names; its file, or its module, is run once.

    Raises:
        UserError: as ``named``, or it is no function.
    """
    function = named(reference)
    if not callable(function):
        place, _, name = reference.rpartition(":")
        raise UserError(f"“{name}” in {place} is {type(function).__name__}, not a function.", field="operation")
    return function  # type: ignore[no-any-return]


def named(reference: str) -> Any:
    """What a reference names; its file, or its module, is run once.

    Raises:
        UserError: there is none; names what was looked for, and what is there. What the file raises is shown whole: it
            is the user's own.
    """
    place, colon, name = reference.rpartition(":")
    if not colon or not place or not name:
        raise UserError(
            f"“{reference}” names no function. Write FILE.py:FUNCTION or MODULE:FUNCTION, such as mine.py:denoise.",
            field="operation",
        )
    module = _from_file(Path(place)) if place.endswith(".py") else _from_module(place)
    try:
        return attrgetter(name)(module)
    except AttributeError:
        known = [word for word, value in vars(module).items() if callable(value) and not word.startswith("_")]
        raise UserError(f"{place} has no function “{name}”.{did_you_mean(name, known)}", field="operation") from None


def _from_file(file: Path) -> ModuleType:
    """A file's module, which no worker could import by its name."""
    if not file.is_file():
        raise UserError(f"There is no file {file}.", field="operation")
    path = file.resolve()
    name = f"{path.stem}_{sha256(str(path).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(path.parent))  # as Python does for a script, for what lies beside it
    try:
        spec.loader.exec_module(module)
    except BaseException as problem:
        del sys.modules[name]
        if isinstance(problem, KeyboardInterrupt):
            raise
        raise _raised(file, problem) from problem
    take_along(module)
    return module


def _from_module(name: str) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:  # a console script does not look there, as python -m does
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as problem:
        if problem.name and (name == problem.name or name.startswith(f"{problem.name}.")):
            raise UserError(
                f"There is no module “{name}” for this Python ({sys.executable}).", field="operation"
            ) from None
        raise _raised(name, problem) from problem
    except Exception as problem:
        raise _raised(name, problem) from problem


def _raised(what: object, problem: BaseException) -> UserError:
    at = problem.__traceback__
    while (at is not None and "importlib" in at.tb_frame.f_code.co_filename) or (
        at and at.tb_frame.f_globals is globals()
    ):
        at = at.tb_next
    trace = "".join(traceback.format_exception(type(problem), problem, at)).rstrip()
    return UserError(f"{what} could not be loaded:\n{trace}", field="operation")
