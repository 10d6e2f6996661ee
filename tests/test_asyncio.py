"""What is asyncio's own: an event loop between the caller and the threads. The contract's tests do the rest."""

import asyncio
import threading
from concurrent.futures import Future
from contextlib import closing

import pytest

from imgproc.backends import TECHNIQUES
from imgproc.backends.task import Task
from tests import backend_faults as faults

LONG = 60.0
#: A piece of work waits for ``GO`` and tells by ``BEGUN`` that it does.
GO, BEGUN = threading.Event(), threading.Semaphore(0)


def wait_for_go(_, stopwatch):
    BEGUN.release()
    return GO.wait(LONG)


@pytest.fixture
def backend():
    GO.clear()
    with closing(TECHNIQUES["asyncio"].load()(2)) as backend:
        backend.start()
        yield backend
        GO.set()


def running(backend, tasks):
    """The results of tasks that wait, from a thread."""
    results = Future()
    threading.Thread(
        target=lambda: results.set_result(
            list(backend.run([Task(n, wait_for_go, None) for n in range(tasks)], deadline=LONG))
        )
    ).start()
    return results


def in_loop(backend, function):
    """What a function returns in the event loop."""
    answer = Future()
    backend._loop.call_soon_threadsafe(lambda: answer.set_result(function()))
    return answer.result(10)


def test_every_task_goes_through_to_thread_in_the_loop(backend, monkeypatch):
    loops, to_thread = [], asyncio.to_thread

    async def counted(function, *arguments):
        loops.append(asyncio.get_running_loop())
        return await to_thread(function, *arguments)

    monkeypatch.setattr(asyncio, "to_thread", counted)
    results = list(backend.run([Task(n, faults.double, n) for n in range(7)], deadline=LONG))
    assert sorted(result.value for result in results) == [0, 2, 4, 6, 8, 10, 12]
    assert len(loops) == 7 and set(loops) == {backend._loop}
    assert backend._loop_thread.ident not in {result.worker.thread for result in results}


def test_the_loop_is_free_while_all_workers_work_and_no_more_work_than_were_asked_for(backend):
    results = running(backend, 9)
    for _ in range(2):
        assert BEGUN.acquire(timeout=10)
    assert in_loop(backend, threading.get_ident) == backend._loop_thread.ident
    assert not BEGUN.acquire(timeout=0.3)  # the executor that a loop makes has 4 threads more than there are cores
    GO.set()
    assert [result.value for result in results.result(10)] == [True] * 9
    for _ in range(7):
        assert BEGUN.acquire(timeout=10)


def test_close_ends_the_loop_and_its_threads(backend):
    threads = [*backend._threads, backend._loop_thread]
    backend.close()
    assert not any(thread.is_alive() for thread in threads) and backend._loop.is_closed()


def test_a_loop_that_was_closed_at_work_ends_with_it(backend):
    with closing(backend.run([Task(0, faults.double, 0), Task(1, wait_for_go, None)], deadline=LONG)) as results:
        next(results)
        assert BEGUN.acquire(timeout=10)
    backend.close(kill=True)
    assert backend._loop_thread.is_alive()  # Python has no way to end a thread
    GO.set()
    backend._loop_thread.join(10)
    assert backend._loop.is_closed()
