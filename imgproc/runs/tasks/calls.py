"""One call of a user's own function: what every worker does with it, and what comes of it."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from typing import Any

from imgproc.functions.travel import CannotArrive, Carried, Parcel
from imgproc.pixels.inner_threads import opencv_threads
from imgproc.pixels.stopwatch import Stopwatch

#: The stage of a call.
CALL = "call"
#: Types of failures that are those of a technique, not of the function.
CANNOT_ARRIVE, CANNOT_RETURN = "CannotArrive", "CannotReturn"


@dataclass(frozen=True, slots=True)
class Failure:
    """An exception of the user's code: its type, its text, and where it was raised."""

    type: str
    message: str
    traceback: str = ""

    @property
    def text(self) -> str:
        """As the last line of a traceback."""
        return f"{self.type}: {self.message}" if self.message else self.type


def size_of(item: Any) -> int:
    """Bytes of an array, by which it is expected to take longer or less long than others; 0 of anything else."""
    return int(getattr(item, "nbytes", 0))


class Returned:
    """What a call returned, or why it did not; ``cv2_threads``: to how many the function set OpenCV's own threads, 0
    where it left them alone. One that cannot be pickled says so once it has travelled."""

    __slots__ = ("cv2_threads", "failure", "value")

    def __init__(self, value: Any = None, failure: Failure | None = None, cv2_threads: int = 0) -> None:
        self.value, self.failure, self.cv2_threads = value, failure, cv2_threads

    def __reduce__(self) -> tuple[Any, ...]:
        if self.failure:
            return Returned, (None, self.failure, self.cv2_threads)
        parcel = Parcel(self.value)
        try:
            how, arguments = parcel.__reduce__()
        except Exception as problem:
            kind = type(self.value).__name__
            why = (
                f"what it returned, of type {kind}, cannot be pickled, so no other process can hand it back: {problem}"
            )
            return Returned, (None, Failure(CANNOT_RETURN, why))
        return _returned, (how, arguments, self.cv2_threads)


def _returned(how: Any, arguments: tuple[Any, ...], cv2_threads: int) -> Returned:
    return Returned(how(*arguments).value, cv2_threads=cv2_threads)


@dataclass(frozen=True, slots=True)
class Call:
    """``function`` is to be called with ``item``."""

    function: Carried
    item: Parcel


def call(payload: Call, stopwatch: Stopwatch) -> Returned:
    """The function's result, or what it raised: that is a result as well, the same for all techniques. Its own
    ``exit()`` is one more exception; Ctrl-C is not for it."""
    with stopwatch.stage(CALL):
        result = _called(payload)
    if (threads := opencv_threads()) != 1:
        import cv2

        cv2.setNumThreads(1)  # as every worker began
        result.cv2_threads = threads
    return result


def _called(payload: Call) -> Returned:
    try:
        return Returned(payload.function.value(payload.item.value))
    except KeyboardInterrupt:
        raise
    except CannotArrive as problem:
        return Returned(failure=Failure(CANNOT_ARRIVE, str(problem)))
    except BaseException as problem:
        return Returned(failure=_failure(problem))


def _failure(problem: BaseException) -> Failure:
    """Without this module's own part of the traceback."""
    at = problem.__traceback__.tb_next if problem.__traceback__ else None
    lines = traceback.format_exception(type(problem), problem, at)
    return Failure(type(problem).__name__, str(problem), "".join(lines))
