"""Which PNG encoder a run has: one for all its techniques, chosen once, which its record names and its tasks carry."""

from __future__ import annotations

import logging
from functools import cache
from importlib import import_module

from imgproc.pixels.png import HUFFMAN, PNG_ENCODER

#: Megapixels of results for each worker below which loading ``HUFFMAN`` takes longer than it saves in one pass: 0.35
#: seconds of CPU in each process, and 1.5 to 2.5 ms saved per megapixel.
LEAST_MEGAPIXELS = 200.0

log = logging.getLogger(__name__)


def choose(megapixels: float, workers: int, *, elsewhere: bool) -> str:
    """The encoder for a run.

    Args:
        megapixels: of all results that one pass writes as PNG with more than one bit per pixel.
        workers: the most that any of its techniques has, each of which may be a process.
        elsewhere: whether any may be on another machine, of which nobody knows whether it has what ``HUFFMAN`` needs.
    """
    wanted = not elsewhere and megapixels >= LEAST_MEGAPIXELS * max(1, workers)
    return HUFFMAN if wanted and _loads() else PNG_ENCODER


@cache
def _loads() -> bool:
    """Whether this process can load it, and so whatever it starts. The first time on a machine it is compiled, which
    takes some seconds; the machine code is kept for all who come later."""
    try:
        import_module("imgproc.pixels.png_kernels")
    except ImportError:
        return False  # Numba has no wheel for this machine
    except Exception:  # no folder to keep the machine code in, or a Numba that does not work here
        log.warning("PNG is written without Huffman's code alone: what it needs cannot be compiled.", exc_info=True)
        return False
    return True
