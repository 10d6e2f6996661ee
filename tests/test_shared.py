from __future__ import annotations

import gc
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from imgproc.web.shared import Shared


class Thing:
    pass


def test_all_who_want_it_at_the_same_time_get_one() -> None:
    shared, made, together = Shared[Thing](), list[int](), threading.Barrier(8)

    def want(_: int) -> Thing:
        together.wait()
        return shared.get("key", lambda: made.append(1) or Thing())

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(want, range(8)))
    assert len(made) == 1 and all(thing is found[0] for thing in found)
    assert shared.get("other", Thing) is not found[0]


def test_nothing_is_kept_that_nobody_has() -> None:
    shared = Shared[Thing]()
    first = id(shared.get("key", Thing)), shared.get("key", Thing)
    kept = first[1]
    assert shared.get("key", Thing) is kept
    del kept, first
    gc.collect()
    made = list[int]()
    shared.get("key", lambda: made.append(1) or Thing())
    assert made == [1]


def test_what_cannot_be_made_is_tried_again() -> None:
    shared = Shared[Thing]()
    with pytest.raises(ZeroDivisionError):
        shared.get("key", lambda: 1 // 0)  # type: ignore[arg-type, return-value]
    assert isinstance(shared.get("key", Thing), Thing)
