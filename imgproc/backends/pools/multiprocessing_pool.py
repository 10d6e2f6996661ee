"""``multiprocessing.Pool``: the classic pool of processes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from multiprocessing.pool import Pool
from operator import attrgetter
from typing import Any

from imgproc.backends.pools.processes import MOMENT, ProcessBackend, hang_up, in_background
from imgproc.backends.pools.watcher import kill
from imgproc.backends.worker_loop import Batch, run_batch


class _Pool(Pool):
    """A pool that can be ended at any moment."""

    @staticmethod
    def _help_stuff_finish(*_: object) -> None:
        """The pool itself unpickles here what is left of the workers' tasks. But half a task is no pickle any more,
        and to get at it takes a lock that an idle worker holds."""


class MultiprocessingPool(ProcessBackend):
    """A ``Pool`` that is given one batch at a time by ``apply_async``.

    The pool itself replaces a dead worker but waits for ever for its result, so the watcher tells of the death.
    """

    name = "multiprocessing"
    _pool: Pool | None = None

    def _open_pool(self, initializer: Callable[[], None]) -> None:
        self._pool = _Pool(self.workers, initializer, context=self.context())

    def _submit(self, batch: Batch, last: bool, done: Callable[[Batch | None], None]) -> None:
        assert self._pool is not None
        self._pool.apply_async(run_batch, (batch,), callback=done, error_callback=lambda _: done(None))

    def _discard_pool(self) -> None:
        pool, self._pool = self._pool, None
        if pool is None:
            kill(self._workers)
            return
        ending = in_background(pool.terminate)
        kill(self._workers)
        ending.join(MOMENT)
        if ending.is_alive():
            kill(getattr(pool, "_pool", ()))
            _unlock(pool)
            hang_up(ending, pool, "_inqueue._reader", "_inqueue._writer", "_outqueue._writer")


def _unlock(pool: Pool) -> None:
    """A worker that was killed at its result keeps the lock of the queue out for ever."""
    with suppress(AttributeError, ValueError):  # another Python may have other names
        lock: Any = attrgetter("_outqueue._wlock")(pool)
        lock.acquire(timeout=0.05)  # where it is free, or will be in a moment
        lock.release()
