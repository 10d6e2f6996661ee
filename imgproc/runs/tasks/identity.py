"""Which function a run over items was of, and over which items: hashes, by which another run tells whether it is of the
same."""

from __future__ import annotations

import functools
import hashlib
import inspect
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from imgproc.files import sha256_of
from imgproc.runs.record import TaskRecord
from imgproc.runs.tasks.sameness import Incomparable, digest

#: Of more items than this no hashes are kept: the record would be little else.
MOST_HASHED = 10_000
#: Deepest that functions inside of functions are gone into.
_DEEPEST = 20


def identify(task: TaskRecord, function: Callable[..., Any], items: Sequence[Any]) -> None:
    """Note in the record of a run what its function and its items are, before any of it is called: a function may
    change what it is given."""
    inner = innermost(function)
    task.module = getattr(inner, "__module__", None) or ""
    task.function_sha256 = function_sha256(function)
    file = _file(inner)
    if file is not None:
        task.file, task.file_sha256 = file.name, sha256_of(file)
    if len(items) <= MOST_HASHED:
        task.items_sha256 = [content(item) for item in items]


def content(value: Any) -> str | None:
    """A hash of what a value holds; None where it has no content that could be looked at."""
    try:
        return digest(value)
    except Incomparable:
        return None


def innermost(function: Callable[..., Any]) -> Any:
    """What was written of a function: without bound arguments and decorators; the class of an object that is called."""
    for _ in range(_DEEPEST):
        if hasattr(function, "func"):  # a partial, or ours
            function = function.func
        elif inspect.ismethod(function):
            function = function.__func__
        elif hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        else:
            break
    return function if inspect.isroutine(function) or inspect.isclass(function) else type(function)


def _file(inner: Any) -> Path | None:
    """The file that a function is written in; None where there is none, as in a notebook."""
    try:
        file = Path(inspect.getsourcefile(inner) or "")
    except TypeError:
        return None
    return file if file.is_file() else None


def function_sha256(function: Callable[..., Any]) -> str | None:
    """A hash of a function's source and of what is bound to it: arguments, variables of the function around it, the
    state of an object. What it calls is no part of it. None where any of that cannot be looked into."""
    try:
        return hashlib.sha256(repr(_parts(function, 0)).encode()).hexdigest()
    except (Incomparable, OSError, TypeError):  # without source, as what is built in
        return None


def _parts(function: Any, depth: int) -> tuple[Any, ...]:
    """Raises: Incomparable, OSError, TypeError: a part cannot be looked into."""
    if depth > _DEEPEST:
        raise Incomparable("its functions are nested too deeply")
    if isinstance(function, functools.partial):
        return "partial", _parts(function.func, depth + 1), digest((function.args, function.keywords))
    if hasattr(function, "func") and hasattr(function, "parameters"):  # parameters by name
        return "with", _parts(function.func, depth + 1), digest(function.parameters)
    if inspect.ismethod(function):
        return "method", _parts(function.__func__, depth + 1), digest(function.__self__)
    if hasattr(function, "__wrapped__"):
        return "wrapped", _parts(function.__wrapped__, depth + 1)
    if inspect.isbuiltin(function):
        return "built in", function.__module__, function.__qualname__
    if not inspect.isfunction(function):
        kind = function if inspect.isclass(function) else type(function)
        state = None if inspect.isclass(function) else digest(vars(function) if hasattr(function, "__dict__") else None)
        return "object", textwrap.dedent(inspect.getsource(kind)), state
    bound = [
        _parts(value, depth + 1)
        if inspect.isfunction(value) and value is not function
        else digest(_plain(value, function))
        for value in (cell.cell_contents for cell in function.__closure__ or ())
    ]
    return "function", textwrap.dedent(inspect.getsource(function)), bound, digest(function.__defaults__)


def _plain(value: Any, function: Any) -> Any:
    """What is bound to a function, where that is not itself, as in one that calls itself."""
    return None if value is function else value
