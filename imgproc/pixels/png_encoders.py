"""Which PNG encoder a run has: one for all its techniques, chosen once, which its record names and its tasks carry."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import NamedTuple

from imgproc.numbers import seconds
from imgproc.pixels.png import HUFFMAN, PNG_ENCODER

#: Megapixels of results for each worker below which loading ``HUFFMAN`` takes longer than it saves in one pass. All
#: workers wait for it, so that many of them gain nothing by loading it only once: 0.35 seconds of CPU, and 1.5 to 2.5
#: ms saved per megapixel.
LEAST_MEGAPIXELS = 200.0

log = logging.getLogger(__name__)


class Choice(NamedTuple):
    """An encoder, and what people are to know of how it came to it, in a sentence; empty where that is nothing."""

    encoder: str
    note: str = ""


class _Loaded(NamedTuple):
    """Whether ``HUFFMAN`` is there; if not, why, in words; else the seconds that compiling it took, if it was."""

    there: bool
    problem: str = ""
    compiled: float = 0.0


def choose(megapixels: float, workers: int, *, elsewhere: bool, loading: Callable[[], None] = lambda: None) -> Choice:
    """The encoder for a run.

    Args:
        megapixels: of all results that one pass writes as PNG with more than one bit per pixel.
        workers: the most that any of its techniques has.
        elsewhere: whether any may be on another machine, of which nobody knows whether it has what ``HUFFMAN`` needs.
        loading: called before ``HUFFMAN`` is loaded into this process, which takes long if it must be compiled.
    """
    if elsewhere or not _pays(megapixels, workers):
        return Choice(PNG_ENCODER)
    new = not _load.cache_info().currsize
    if new:
        loading()
    found = _load()
    if found.problem:
        return Choice(PNG_ENCODER, f"PNG was not written by the encoder made for photographs: {found.problem}.")
    if new and found.compiled:
        took = seconds(found.compiled)
        return Choice(
            HUFFMAN,
            f"The PNG encoder for photographs was compiled before the first image, in {took}, which no other time here "
            "includes; its machine code is kept, so that later runs need not.",
        )
    return Choice(HUFFMAN if found.there else PNG_ENCODER)


def expected(megapixels: float, workers: int) -> str:
    """What ``choose`` is likely to answer where no worker is on another machine; found without loading anything."""
    return HUFFMAN if _pays(megapixels, workers) and find_spec("numba") else PNG_ENCODER


def _pays(megapixels: float, workers: int) -> bool:
    return megapixels >= LEAST_MEGAPIXELS * max(1, workers)


@cache
def _load() -> _Loaded:
    """Load it, which shows that whatever this process starts can load it as well. The first time on a machine it is
    compiled; the machine code is kept for all who come later."""
    start = time.perf_counter()
    try:
        kernels = import_module("imgproc.pixels.png_kernels")
    except ImportError:
        return _Loaded(False)  # Numba has no wheel for this machine
    except Exception as problem:
        log.warning("The PNG encoder for photographs cannot be loaded.", exc_info=True)
        return _Loaded(False, _why(problem))
    return _Loaded(True, compiled=time.perf_counter() - start if kernels.newly_compiled() else 0.0)


def _why(problem: Exception) -> str:
    """Why it could not be compiled, or loaded."""
    match problem:
        case RuntimeError() if "cannot cache" in str(problem):  # Numba's words
            return "no folder can be written to for its machine code; NUMBA_CACHE_DIR can name one"
        case OSError():
            return f"its machine code could not be kept or read ({problem.strerror or type(problem).__name__})"
        case _:
            return f"Numba could not compile or load it ({type(problem).__name__})"


if __name__ == "__main__":  # as run.py does when it sets up
    choose(LEAST_MEGAPIXELS, 1, elsewhere=False)
