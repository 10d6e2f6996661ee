"""``Latest``: the newest answer to a slow question, for threads that may not wait."""

from __future__ import annotations

import threading
import time

import pytest

from imgproc.web.latest import Latest

PATIENCE = 30.0


def test_nobody_waits_for_what_hangs_and_what_is_known_is_told_meanwhile() -> None:
    hangs, go_on, calls = threading.Event(), threading.Event(), []

    def find() -> int:
        calls.append(1)
        if hangs.is_set():
            assert go_on.wait(PATIENCE)
        return len(calls)

    latest = Latest(find, wait=5.0, fresh=0.0, stale=60.0)
    assert [latest.get(), latest.get()] == [1, 2]
    hangs.set()
    latest = Latest(find, wait=0.05, fresh=0.0, stale=60.0)
    begin = time.monotonic()
    for _ in range(100):  # one search for all of them, for which only the first waits
        with pytest.raises(TimeoutError):
            latest.get()
    assert len(calls) == 3 and time.monotonic() - begin < PATIENCE / 10
    go_on.set()
    until = time.monotonic() + PATIENCE
    while True:
        try:
            assert latest.get() >= 3
            break
        except TimeoutError:
            assert time.monotonic() < until
    go_on.clear()  # it hangs again
    assert latest.get() in (len(calls) - 1, len(calls))
    go_on.set()


def test_what_is_fresh_is_not_looked_for_again_until_it_is_forgotten() -> None:
    numbers = iter(range(10))
    latest = Latest(lambda: next(numbers), wait=PATIENCE, fresh=PATIENCE, stale=PATIENCE)
    assert [latest.get(), latest.get()] == [0, 0]
    latest.forget()
    assert latest.get() == 1


def test_an_error_is_everybodys_and_the_next_one_looks_again() -> None:
    answers = iter([ValueError("no"), 7])

    def find() -> int:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    latest = Latest(find, wait=PATIENCE, fresh=0.0, stale=0.0)
    with pytest.raises(ValueError, match="no"):
        latest.get()
    assert latest.get() == 7
