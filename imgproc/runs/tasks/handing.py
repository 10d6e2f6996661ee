"""Work that stands in for a user's function where it is only asked what handing over a task of some length takes."""

from __future__ import annotations

import hashlib
import time
from typing import Any

#: Hashing so many bytes holds no GIL and needs no memory beyond a core's cache.
_BYTES = bytes(1 << 14)
_TRIAL = 200


def do_work(units: int, _: Any) -> None:
    """Keep one core busy for so many units, whatever the item; none: what is left of a task without its function."""
    for _unit in range(units):
        hashlib.sha256(_BYTES).digest()


def seconds_to_work(seconds: float) -> int:
    """How many units take a core about as long, one at least."""
    start = time.perf_counter()
    do_work(_TRIAL, None)
    return max(1, round(seconds * _TRIAL / (time.perf_counter() - start)))
