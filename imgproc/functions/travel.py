"""Objects of a user's program on their way to worker processes and back.

Plain pickle writes functions and classes as names, which another process cannot look up where they stand in the main
script, in a notebook or in another function. cloudpickle takes those along whole, and names the rest.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudpickle

#: Of these exactly, plain pickle is as good, and a fifth of the time.
_PLAIN = (type(None), bool, int, float, complex, str, bytes, bytearray)


class Parcel:
    """A value that is pickled by cloudpickle where it needs that, each time it travels."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __reduce__(self) -> tuple[Any, ...]:
        if is_plain(self.value):
            return Parcel, (self.value,)
        return _open, (packed(self.value),)


class Carried:
    """A function that is pickled once, however many tasks it travels with, and unpickled once in each worker.

    Where a worker cannot unpickle it, calling it there says why.
    """

    def __init__(self, value: Callable[..., Any]) -> None:
        self.value = value

    @cached_property
    def data(self) -> bytes:
        """Raises: TypeError, pickle.PicklingError or any other that an object raises: it cannot be pickled."""
        return packed(self.value)

    def __reduce__(self) -> tuple[Any, ...]:
        return _arrived, (self.data, tuple(sys.path))


class CannotArrive(Exception):
    """A function could not be unpickled in a worker."""


def packed(value: Any) -> bytes:
    """The value as cloudpickle writes it."""
    return bytes(cloudpickle.dumps(value, pickle.HIGHEST_PROTOCOL))


def is_plain(value: Any) -> bool:
    """Whether plain pickle writes it whole: numbers, text, bytes, and arrays of numbers."""
    if type(value) in _PLAIN:
        return True
    np = sys.modules.get("numpy")  # where it is not loaded, and it cannot be everywhere, nobody has arrays
    if np is None:
        return False
    if type(value) is np.ndarray:
        return not value.dtype.hasobject
    return isinstance(value, np.generic)


def take_along(module: ModuleType) -> None:
    """From now on what stands in this module travels whole: workers could not import it."""
    cloudpickle.register_pickle_by_value(module)


def _open(data: bytes) -> Parcel:
    return Parcel(pickle.loads(data))  # noqa: S301  our own parent, or our own worker, sent it


#: What arrived in this process, by its bytes.
_known: dict[bytes, Carried] = {}


def _arrived(data: bytes, path: tuple[str, ...]) -> Carried:
    if data not in _known:
        _known[data] = Carried(_loaded(data, path))
    return _known[data]


def _loaded(data: bytes, path: tuple[str, ...]) -> Callable[..., Any]:
    try:
        return _function(data)
    except ModuleNotFoundError:  # workers of MPI and Dask look elsewhere for modules than who started them
        sys.path += [folder for folder in path if folder not in sys.path and Path(folder or ".").exists()]
    except Exception as problem:
        return _missing(problem)
    try:
        return _function(data)
    except Exception as problem:
        return _missing(problem)


def _function(data: bytes) -> Callable[..., Any]:
    function: Callable[..., Any] = pickle.loads(data)  # noqa: S301  our own parent sent it
    return function


def _missing(problem: BaseException) -> Callable[..., Any]:
    while isinstance(problem.__cause__, ImportError):  # a page of a package’s words hides it
        problem = problem.__cause__
    why = f"{type(problem).__name__}: {problem}".strip()

    def cannot(*_: Any) -> None:
        raise CannotArrive(f"a worker could not load the function ({why})")

    return cannot
