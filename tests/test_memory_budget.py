"""Memory as a budget: what images may take, and when fewer are worked on at a time."""

import gc
import multiprocessing
import os
import platform
import threading
from dataclasses import replace

import numpy as np
import psutil
import pytest

from imgproc.backends.base import DEFAULTS
from imgproc.runs import memory

SETTINGS = DEFAULTS.settings


@pytest.mark.parametrize(("workers", "megabytes"), [(1, 880), (4, 520), (8, 100), (64, 100)])
def test_workers_take_their_part_and_leave_some_for_images(
    workers: int, megabytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "memory_available", lambda: 1_250_000_000)  # of which four fifths may be taken
    assert memory.for_images(SETTINGS, workers) == pytest.approx(megabytes * 1e6)


def test_the_setting_is_a_limit_and_no_promise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "memory_available", lambda: 1_250_000_000)
    assert memory.for_images(replace(SETTINGS, MEMORY_MB=500), 2) == pytest.approx(260e6)
    assert memory.for_images(replace(SETTINGS, MEMORY_MB=5000), 2) == pytest.approx(760e6)


def test_small_images_are_worked_on_by_all_and_large_ones_by_fewer() -> None:
    assert not memory.too_much([500_000] * 100, 64, 100e6)
    assert memory.too_much([250_000_000] * 8, 8, 1e9) and not memory.too_much([250_000_000] * 8, 4, 1e9)
    assert not memory.too_much([250_000_000], 1, 100e6)  # one at a time in any case


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="others return memory by themselves")
def test_what_threads_had_is_given_back() -> None:
    def taken() -> int:
        return int(psutil.Process().memory_info().rss)

    kept = []

    def many_arrays() -> None:
        arrays = [np.ones(1 << 13) for _ in range(1500)]  # 100 MB, of which glibc would keep what lies before the last
        kept.append(np.ones(1 << 13))
        arrays.clear()

    before = taken()
    threads = [threading.Thread(target=many_arrays) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert taken() - before > 100e6
    memory.give_back()
    assert taken() - before < 30e6 and len(kept) == 4


def test_pipes_that_only_refer_to_themselves_are_closed() -> None:
    class Held:
        def __init__(self) -> None:
            self.end, self.other = multiprocessing.Pipe()
            self.itself = self

    held = Held()
    number = held.end.fileno()
    gc.disable()
    try:
        del held
        os.fstat(number)
        memory.give_back()
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(number)
    finally:
        gc.enable()
