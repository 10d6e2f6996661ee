"""``asyncio.to_thread``: threads behind an event loop, as asynchronous web servers have their blocking work done."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future, ThreadPoolExecutor

from imgproc.backends.base import DEFAULTS, BackendError, Options
from imgproc.backends.dispatcher import Assignment
from imgproc.backends.pools.futures import make_daemon_threads
from imgproc.backends.pools.threaded import ThreadBackend

_START_SECONDS = 30.0


class AsyncioThreads(ThreadBackend):
    """An event loop on a thread of its own, and as many consumers of an ``asyncio.Queue`` as there are workers. Each
    awaits ``asyncio.to_thread`` for one image at a time.

    ``to_thread`` runs on the loop's default executor, which would have ``min(32, cores + 4)`` threads whatever was
    asked for; here it is set to one with a thread for each consumer. As with ``ThreadPoolExecutor`` a hung thread costs
    the executor. ``asyncio.run`` waits in the end for the threads of its executor: here it does so on a daemon.
    """

    name = "asyncio"

    def __init__(self, workers: int, options: Options = DEFAULTS) -> None:
        super().__init__(workers, options)
        self._threads: list[threading.Thread] = []

    def _open(self) -> None:
        executor = self._make_executor()
        opened: Future[asyncio.AbstractEventLoop] = Future()
        self._inbox: asyncio.Queue[Assignment] = asyncio.Queue()
        self._closing, self._given_up = asyncio.Event(), set[threading.Thread]()
        self._consumers: set[asyncio.Task[None]] = set()
        serving = self._serve(executor, opened, self._closing)
        self._loop_thread = threading.Thread(target=asyncio.run, args=(serving,), name="event loop", daemon=True)
        self._loop_thread.start()
        try:
            self._loop = opened.result(_START_SECONDS)
        except TimeoutError:
            raise BackendError("The event loop could not be started.") from None

    def _make_executor(self) -> ThreadPoolExecutor:
        self._executor = ThreadPoolExecutor(self.workers, thread_name_prefix="image worker")
        self._threads = make_daemon_threads(self._executor, self.workers)
        return self._executor

    async def _serve(
        self, executor: ThreadPoolExecutor, opened: Future[asyncio.AbstractEventLoop], closing: asyncio.Event
    ) -> None:
        """What the loop runs until ``close``; ``asyncio.run`` then cancels the consumers."""
        loop = asyncio.get_running_loop()
        loop.set_default_executor(executor)
        for _ in range(self.workers):
            self._add_consumer()
        opened.set_result(loop)
        await closing.wait()

    def _add_consumer(self) -> None:
        # The loop itself keeps no task alive.
        self._consumers.add(asyncio.create_task(self._consume(self._inbox, self._given_up)))

    async def _consume(self, inbox: asyncio.Queue[Assignment], given_up: set[threading.Thread]) -> None:
        """Takes the next image as soon as its thread is free, until that is given up: then another has its place."""
        while True:
            assignment = await inbox.get()
            if await asyncio.to_thread(self._work, assignment) in given_up:
                return

    def _work(self, assignment: Assignment) -> threading.Thread:
        self.work_on(assignment)
        return threading.current_thread()

    def submit(self, assignment: Assignment) -> None:
        # The queue is the loop's: no other thread may touch it.
        self._loop.call_soon_threadsafe(self._inbox.put_nowait, assignment)

    def _replace(self, thread: threading.Thread) -> None:
        self._given_up.add(thread)
        self._loop.call_soon_threadsafe(self._take_over, self._executor, self._make_executor())

    def _take_over(self, old: ThreadPoolExecutor, new: ThreadPoolExecutor) -> None:
        """In the loop, where no consumer can be about to hand the old executor something."""
        asyncio.get_running_loop().set_default_executor(new)
        old.shutdown(wait=False)
        self._add_consumer()

    def _let_go(self) -> list[threading.Thread]:
        self._loop.call_soon_threadsafe(self._closing.set)
        return [*self._threads, self._loop_thread]
