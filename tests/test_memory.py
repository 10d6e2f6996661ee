"""Peak memory: real processes against what they are known to hold, and what sampling costs."""

import gc
import itertools
import mmap
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from multiprocessing import shared_memory

import numpy as np
import psutil
import pytest

from imgproc.backends.sharing import memory as shared
from imgproc.measure import peak_memory as memory
from imgproc.measure.peak_memory import PeakMemory, full, resident
from imgproc.measure.process_tree import own_tree, started_since

MB = 1_000_000
SIZE = 60 * MB
#: Libraries are shared with the processes of other tests: as those come and go, what counts as this one's part changes
#: by 11 MB.
NOISE = 15 * MB
linux = pytest.mark.skipif(not memory.Path("/proc/self/smaps_rollup").exists(), reason="only Linux tells PSS")


def hold(pipe, name):
    """Tells that it is ready; then takes memory of its own, or looks at all of what is shared; then waits."""
    pipe.send(os.getpid())
    pipe.recv()
    if name:
        shared = shared_memory.SharedMemory(name)
        held = np.frombuffer(shared.buf, np.uint8)[::1024].copy()
    else:
        shared, held = None, np.ones(SIZE, np.uint8)
    pipe.send(int(held[0]))
    pipe.recv()
    if shared:
        shared.close()


def take():
    """Memory of this process's own, from the system and not from what is left of earlier tests; ``close`` gives it
    back."""
    if os.name == "nt":
        return mmap.mmap(-1, SIZE)
    held = mmap.mmap(-1, SIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for page in range(0, SIZE, mmap.PAGESIZE):
        held[page] = 1
    return held


class Workers:
    """Processes that take memory when told to."""

    def __init__(self, count, name=""):
        context = multiprocessing.get_context("spawn")
        pairs = [context.Pipe() for _ in range(count)]
        self.pipes = [ours for ours, _ in pairs]
        self.processes = [context.Process(target=hold, args=(theirs, name)) for _, theirs in pairs]
        for process in self.processes:
            process.start()
        self.pids = [pipe.recv() for pipe in self.pipes]

    def take(self):
        for pipe in self.pipes:
            pipe.send("take")
        for pipe in self.pipes:
            pipe.recv()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for pipe, process in zip(self.pipes, self.processes, strict=True):
            pipe.send("end")
            process.join(20)


def in_use(*pids):
    """What these processes have, as the best reading tells."""
    return sum(reading.own for pid in pids if (reading := full(pid)))


def take_for_a_while(peak):
    held = take()
    let_it_sample(peak)
    held.close()


def let_it_sample(peak):
    """Until it has looked once more, from beginning to end, which it does the more seldom the longer it takes."""
    seen, until = peak.samples + peak.full_readings, time.monotonic() + 60
    while peak.samples + peak.full_readings < seen + 2:  # it may be in the middle of one now
        assert time.monotonic() < until
        time.sleep(0.01)


def test_what_this_process_takes_and_gives_back_is_seen():
    before = in_use(os.getpid())
    assert before > 10 * MB  # Python and its libraries
    with PeakMemory(lambda: [os.getpid()]) as peak:
        take_for_a_while(peak)
        let_it_sample(peak)
    assert peak.bytes - before == pytest.approx(SIZE, abs=NOISE)


def test_processes_are_known_by_when_they_began():
    old = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    time.sleep(1.2)
    moment = time.time()
    new = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        found = started_since(moment)
        assert new.pid in found and old.pid not in found and os.getpid() not in found
    finally:
        for process in (old, new):
            process.communicate(b"\n")


def test_workers_are_summed_and_only_the_processes_asked_for_count():
    with Workers(2) as workers:
        watched = [os.getpid(), workers.pids[0]]
        before, before_of_watched = in_use(*own_tree()), in_use(*watched)
        with PeakMemory() as peak, PeakMemory(lambda: watched) as peak_of_watched:
            workers.take()
            let_it_sample(peak)
            let_it_sample(peak_of_watched)
        assert peak.bytes - before == pytest.approx(2 * SIZE, abs=NOISE)
        assert peak_of_watched.bytes - before_of_watched == pytest.approx(SIZE, abs=NOISE)
        assert set(workers.pids) < set(own_tree())


def test_all_descendants_are_found(tmp_path):
    code = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'input()']).wait()"
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
    sleep, others = [sys.executable, "-c", "import time; time.sleep(60)"], []
    # A child that a thread other than the main one made.
    make = threading.Thread(target=lambda: others.append(subprocess.Popen(sleep)))
    make.start()
    try:
        until = time.monotonic() + 20
        while not (grandchildren := psutil.Process(child.pid).children()):
            assert time.monotonic() < until
            time.sleep(0.02)
        make.join()
        wanted = {os.getpid(), child.pid, grandchildren[0].pid, others[0].pid}
        assert wanted <= set(own_tree())
        assert set(own_tree()) == set(own_tree(proc=tmp_path))  # where Linux does not tell
        grandchildren[0].kill()
        child.wait(20)
        assert child.pid not in own_tree()
    finally:
        child.kill()
        child.communicate()
        others[0].kill()
        others[0].wait()


def test_memory_that_ended_before_the_end_is_not_forgotten():
    workers = Workers(1)
    before = in_use(*own_tree())
    with PeakMemory() as peak:
        workers.take()
        let_it_sample(peak)
        workers.__exit__()
        let_it_sample(peak)
    assert peak.bytes - before > 0.85 * SIZE


@linux
def test_shared_memory_counts_once():
    block = shared_memory.SharedMemory(create=True, size=SIZE)
    np.frombuffer(block.buf, np.uint8)[:] = 1
    try:
        with Workers(2, block.name) as workers:
            before = in_use(*own_tree())
            assert before > SIZE
            with PeakMemory() as peak:
                workers.take()
                let_it_sample(peak)
            assert peak.kind == "pss"
            assert peak.bytes - before < NOISE
            # The way that counts it for everyone.
            everyone = sum(psutil.Process(pid).memory_info().rss for pid in (os.getpid(), *workers.pids))
            assert everyone > peak.bytes + 1.8 * SIZE
    finally:
        block.close()
        block.unlink()


@linux
def test_blocks_of_images_count_once_whoever_maps_them_and_when():
    """They were there for a part of the time only, and a full reading in between met one that was mapped twice."""
    image = np.ones(SIZE, np.uint8)
    with PeakMemory() as peak:
        pass
    before = peak.bytes
    with peak:
        block = shared.create(SIZE, 2)
        block.put(0, image)  # as a file: it is in memory, but nobody has mapped it
        let_it_sample(peak)
        others = [shared.attach(block.name, SIZE) for _ in range(2)]
        for other in others:
            assert other.get(0, (SIZE,))[::1024].sum() > 0
        peak._full()
        block.reserve(1, 0, SIZE // 2)
        let_it_sample(peak)
        for other in others:
            other.close()
        block.remove()
        let_it_sample(peak)
    assert peak.kind == "pss"
    assert peak.bytes - before == pytest.approx(1.5 * SIZE, abs=NOISE)


def test_sampling_is_cheap_and_goes_on_to_the_end():
    start = time.perf_counter()
    with PeakMemory(lambda: [os.getpid()]) as peak:
        time.sleep(2.5)
    seconds = time.perf_counter() - start
    assert peak.cost_seconds < 0.02 * seconds
    assert peak.samples >= 5


def test_a_long_block_is_read_in_full_in_between(tmp_path):
    process(tmp_path, 10, 8192 * 1024, 3000 * 1024)
    with PeakMemory(lambda: [10], proc=tmp_path) as peak:
        time.sleep(1.5)
    assert peak.full_readings == 1
    assert peak.bytes == 3000 * 1024


def test_every_block_has_its_own_peak():
    with PeakMemory(lambda: [os.getpid()]) as first:
        take_for_a_while(first)
    before = in_use(os.getpid())
    with first as second:
        let_it_sample(second)
    assert first is second
    assert second.bytes < before + NOISE
    with second:
        take_for_a_while(second)
    assert second.bytes - before == pytest.approx(SIZE, abs=NOISE)


def test_a_block_that_is_freed_while_a_process_is_read_is_no_shared_memory(tmp_path, monkeypatch):
    process(tmp_path, 10, 8192 * 1024, 3000 * 1024)
    seen = iter([8192 * 1024, 4096 * 1024])
    monkeypatch.setattr(memory, "resident", lambda *_: next(seen, 4096 * 1024))
    reads = []
    plain = memory.Path.read_bytes
    monkeypatch.setattr(memory.Path, "read_bytes", lambda path: reads.append(path) or plain(path))
    assert memory.full(10, tmp_path).resident == 4096 * 1024 and len(reads) == 2


def test_short_blocks_are_read_in_full_once_in_a_while(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "FULL_SECONDS", 0.6)
    watched = [10]
    for pid in (10, 11):
        process(tmp_path, pid, 8192 * 1024, 3000 * 1024)
    peak = PeakMemory(lambda: watched, proc=tmp_path)
    readings = []
    for _ in range(8):
        with peak:
            time.sleep(0.15)
        readings.append(peak.full_readings)
        assert peak.bytes == 3000 * 1024
    assert readings[:2] == [1, 1] and readings[-1] in (2, 3)
    watched.append(11)  # what a new worker shares with the others is not known
    with peak:
        pass
    assert peak.full_readings == readings[-1] + 1
    assert peak.bytes == 2 * 3000 * 1024


def test_dear_readings_are_made_seldom(monkeypatch):
    def dear(pid, proc):
        end = time.thread_time() + 0.01
        while time.thread_time() < end:
            pass
        return 7

    monkeypatch.setattr(memory, "resident", dear)
    with PeakMemory(lambda: [os.getpid()]) as peak:
        time.sleep(0.9)
    assert peak.samples == 2  # one as it began, one after a while; then 10 ms may be spent every 4 seconds


def test_one_dear_reading_among_cheap_ones_is_not_followed_by_a_long_rest(monkeypatch):
    """The machine stood still meanwhile, say: the peak may come in that rest."""
    readings = itertools.count()

    def held_up_once(pid, proc):
        end = time.thread_time() + (0.05 if next(readings) == 3 else 0.0)  # for which 20 seconds would be rested
        while time.thread_time() < end:
            pass
        return 7

    monkeypatch.setattr(memory, "resident", held_up_once)
    with PeakMemory(lambda: [os.getpid()]) as peak:
        time.sleep(1.5)
    assert peak.samples > 5


def test_a_short_pass_and_one_that_fails_leave_no_thread():
    with PeakMemory() as peak:
        pass
    assert peak.bytes > 0
    with pytest.raises(ZeroDivisionError), PeakMemory() as peak:
        1 / 0  # noqa: B018
    assert not any(thread.name == "memory watch" for thread in memory.threading.enumerate())


def process(proc, pid, rss, pss):
    """A process whose figures are what we say."""
    folder = proc / str(pid)
    folder.mkdir(exist_ok=True)
    status = {"VmRSS": rss // 1024 + 9, "RssAnon": rss // 1024 - 5, "RssFile": 5, "RssShmem": 9}
    folder.joinpath("status").write_text("".join(f"{name}:\t  {kb} kB\n" for name, kb in status.items()))
    header = "55d0-7fff ---p 00000000 00:00 0    [rollup]\n"
    text = f"{header}Rss:   {rss // 1024} kB\nPss:    {pss // 1024} kB\nPss_Shmem:  3 kB\nSwap:  0 kB\n"
    folder.joinpath("smaps_rollup").write_text(text)


def test_the_peak_is_resident_memory_less_what_is_counted_twice(tmp_path):
    unit = 1024 * 1024
    process(tmp_path, 10, 100 * unit, 80 * unit)
    process(tmp_path, 11, 50 * unit, 30 * unit)
    peak = PeakMemory(lambda: [10, 11], proc=tmp_path)
    peak._full()
    assert peak.bytes == 110 * unit
    process(tmp_path, 10, 300 * unit, 0)  # a full reading would be too dear now
    peak._sample()
    process(tmp_path, 10, 90 * unit, 75 * unit)
    process(tmp_path, 11, 60 * unit, 35 * unit)
    peak._full()
    assert peak.bytes == (350 - 40) * unit
    assert peak.kind == "pss"


def test_what_linux_shows_of_a_process(tmp_path):
    process(tmp_path, 10, 8192 * 1024, 3000 * 1024)
    assert full(10, tmp_path) == (8192 * 1024, 3000 * 1024, 3 * 1024, "pss")
    assert resident(10, tmp_path) == 8192 * 1024


def test_a_process_that_ended_counts_nothing():
    with Workers(1) as gone:
        gone.take()
    assert full(gone.pids[0]) is None
    assert resident(gone.pids[0]) == 0


@pytest.mark.parametrize("text", ["", "garbage\nRss: many kB\n", "head\nRss: 5 kB\n"])
def test_other_systems_give_what_they_can_and_say_what_it_is(tmp_path, text):
    if text:
        (tmp_path / str(os.getpid())).mkdir()
        (tmp_path / str(os.getpid()) / "smaps_rollup").write_text(text)
    gc.collect()  # what other tests left would go in the meantime
    before = full(os.getpid(), tmp_path).own
    with PeakMemory(lambda: [os.getpid()], proc=tmp_path) as peak:
        held = take()
        let_it_sample(peak)
        now = full(os.getpid(), tmp_path).own
        held.close()
    assert peak.kind == "uss"
    # As exact as it claims to be, which after many other tests is more than a tenth of what is held here.
    assert now > SIZE and abs(peak.bytes - now) < 0.1 * SIZE + 0.03 * now
    assert peak.bytes > before + 0.5 * SIZE  # what was held is seen


def test_where_even_that_is_denied_it_is_resident_memory(tmp_path, monkeypatch):
    def denied(self):
        raise psutil.AccessDenied(self.pid)

    monkeypatch.setattr(psutil.Process, "memory_full_info", denied)
    with PeakMemory(lambda: [os.getpid()], proc=tmp_path) as peak:
        pass
    assert peak.kind == "rss"
    assert peak.bytes > 10 * MB
