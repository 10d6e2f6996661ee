"""Whether two results of a user's own function are the same: to the bit, by ``==``, within a tolerance, or as the
user's own function says."""

from __future__ import annotations

import hashlib
import io
import math
import pickle
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Protocol

import numpy as np

from imgproc.functions.travel import packed
from imgproc.runs.tasks.calls import Returned

#: Deepest that lists in lists are gone into.
_DEEPEST = 200


class Incomparable(Exception):
    """Nothing can be said of this value; the text says why."""


class Sameness(Protocol):
    """``keep`` makes of a result what it is compared by, ``same`` compares two of those; ``words`` say how, for a
    table."""

    @property
    def words(self) -> str: ...
    def keep(self, value: Any) -> Any: ...
    def same(self, reference: Any, other: Any) -> bool: ...


@dataclass(frozen=True)
class Exact:
    """To the bit, by a hash of all that is in a result; NaN is the same as NaN. Dictionaries and sets have no order."""

    @property
    def words(self) -> str:
        return "identical"

    def keep(self, value: Any) -> str:
        """Raises: Incomparable: it holds what has no content of its own, as a generator."""
        return digest(value)

    def same(self, reference: Any, other: Any) -> bool:
        return bool(reference == other)


@dataclass(frozen=True)
class By:
    """As a function of two results says; it returns true for the same."""

    function: Callable[[Any, Any], Any]
    words: str

    def keep(self, value: Any) -> Any:
        return value

    def same(self, reference: Any, other: Any) -> bool:
        """Raises: Incomparable: the function raised, or its answer is neither true nor false."""
        try:
            return bool(self.function(reference, other))
        except Exception as problem:
            raise Incomparable(f"{self.words} raised {type(problem).__name__}: {problem}") from problem


@dataclass(frozen=True)
class Close:
    """Numbers within ``rtol`` of the reference's size plus ``atol``, as ``numpy.isclose`` has it; all else alike.

    Args:
        rtol, atol: relative and absolute tolerance, at least 0.
    """

    rtol: float = 1e-6
    atol: float = 0.0

    def __post_init__(self) -> None:
        if not (0 <= self.rtol < math.inf and 0 <= self.atol < math.inf):
            raise ValueError(f"Tolerances must be numbers from 0 on, not rtol={self.rtol!r}, atol={self.atol!r}.")

    @property
    def words(self) -> str:
        return f"within rtol={self.rtol:g}, atol={self.atol:g}"

    def keep(self, value: Any) -> Any:
        return value

    def same(self, reference: Any, other: Any) -> bool:
        return self._alike(reference, other, 0)

    def _alike(self, a: Any, b: Any, depth: int) -> bool:
        if depth > _DEEPEST:
            raise Incomparable("it is nested too deeply to be compared")
        if isinstance(a, np.ndarray | np.generic | float | int | complex) and not isinstance(a, bool):
            return self._close(a, b)
        if type(a) is not type(b):
            return False
        if isinstance(a, Mapping):
            return a.keys() == b.keys() and all(self._alike(a[key], b[key], depth + 1) for key in a)
        if isinstance(a, list | tuple):
            return len(a) == len(b) and all(self._alike(x, y, depth + 1) for x, y in zip(a, b, strict=True))
        if is_dataclass(a) and not isinstance(a, type):
            return all(self._alike(getattr(a, f.name), getattr(b, f.name), depth + 1) for f in fields(a))
        return digest(a) == digest(b)

    def _close(self, a: Any, b: Any) -> bool:
        one, other = np.asarray(a), np.asarray(b)
        if one.shape != other.shape or one.dtype.hasobject or other.dtype.hasobject:
            return one.shape == other.shape and digest(a) == digest(b)
        if not (np.issubdtype(one.dtype, np.number) and np.issubdtype(other.dtype, np.number)):
            return digest(a) == digest(b)
        return bool(np.isclose(other, one, rtol=self.rtol, atol=self.atol, equal_nan=True).all())


def sameness(same: str | float | Sameness | Callable[[Any, Any], Any] | None) -> Sameness:
    """What the argument ``same`` of the library means.

    Raises:
        ValueError: it is none of these.
    """
    if same is None or same == "identical":
        return Exact()
    if same == "==":
        return By(_equal, "==")
    if isinstance(same, float | int) and not isinstance(same, bool):
        return Close(float(same))
    if isinstance(same, Exact | By | Close):
        return same
    if callable(same):
        return By(same, getattr(same, "__name__", None) or type(same).__name__)
    raise ValueError(
        f'same must be "identical", "==", a tolerance, Close(…) or a function of two results, not {same!r}.'
    )


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return bool(np.array_equal(a, b))
    return bool(a == b)


def kept(result: Returned, how: Sameness) -> Any:
    """What a call's result is compared by: an exception by its type and text.

    Raises:
        Incomparable: as ``Sameness.keep``.
    """
    if result.failure:
        return ("raised", result.failure.type, result.failure.message)
    return ("returned", how.keep(result.value))


def alike(reference: Any, other: Any, how: Sameness) -> bool:
    """Whether two that are ``kept`` are the same."""
    if reference[0] != other[0]:
        return False
    if reference[0] == "raised":
        return bool(reference == other)
    return how.same(reference[1], other[1])


def digest(value: Any) -> str:
    """A hash of what a value is made of.

    Raises:
        Incomparable: it has no content that could be looked at.
    """
    return _hash(value, 0, ()).hex()


def _hash(value: Any, depth: int, inside: tuple[int, ...]) -> bytes:
    if depth > _DEEPEST or id(value) in inside:
        raise Incomparable("it is nested too deeply, or holds itself")
    inside = (*inside, id(value))

    def parts(values: Any) -> bytes:
        return b"".join(_hash(part, depth + 1, inside) for part in values)

    kind = type(value)
    match value:
        case int():
            content = f"{int(value):x}".encode()
        case str():
            content = value.encode("utf-8", "surrogatepass")
        case None | bytes() | bytearray():
            content = bytes(value or b"")
        case np.ndarray():
            return _of_array(value, parts)
        case np.generic():
            content = value.dtype.str.encode() + (b"nan" if value != value else value.tobytes())
        case float():
            content = b"nan" if math.isnan(value) else value.hex().encode()
        case complex():
            content = parts((value.real, value.imag))
        case Mapping():
            content = b"".join(
                sorted(_hash(k, depth + 1, inside) + _hash(v, depth + 1, inside) for k, v in value.items())
            )
        case Set():
            content = b"".join(sorted(_hash(part, depth + 1, inside) for part in value))
        case list() | tuple():
            content = parts(value)
        case io.IOBase():
            raise Incomparable("an open file has no content of its own")
        case _ if hasattr(value, "__array_interface__"):  # an image of Pillow
            content = _of_array(np.asarray(value), parts)
        case _ if is_dataclass(value) and not isinstance(value, type):
            content = parts(getattr(value, f.name) for f in fields(value))
        case _:
            content = _of_object(value, parts)
    return hashlib.sha256(f"{kind.__qualname__} {len(content)} ".encode() + content).digest()


def _of_array(array: Any, parts: Callable[[Any], bytes]) -> bytes:
    """By type, shape and content, whatever its order in memory."""
    if array.dtype.hasobject:
        content = parts(array.ravel().tolist())
    else:
        if np.issubdtype(array.dtype, np.inexact):
            array = np.where(np.isnan(array), array.dtype.type(np.nan), array)  # there are many bit patterns of NaN
        content = hashlib.sha256(np.ascontiguousarray(array).data).digest() if array.size else b""
    return hashlib.sha256(f"array {array.dtype.str} {array.shape} ".encode() + content).digest()


def _of_object(value: Any, parts: Callable[[Any], bytes]) -> bytes:
    """By its attributes, or as it is pickled."""
    state = getattr(value, "__dict__", None)
    if state and type(value).__module__ != "builtins" and not callable(value):
        return parts(state.items())
    try:  # twice, for the first depends on which of its parts are the same object
        return pickle.dumps(pickle.loads(pickle.dumps(value, 4)), 4)  # noqa: S301  what was just written
    except Exception:
        try:
            return packed(value)
        except Exception as problem:
            raise Incomparable(f"a {type(value).__name__} cannot be looked into ({problem})") from problem
