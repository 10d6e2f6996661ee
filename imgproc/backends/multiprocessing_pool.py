"""``multiprocessing.Pool``: the classic pool of processes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from multiprocessing.pool import Pool

from imgproc.backends.board import Parcel, run_parcel
from imgproc.backends.processes import ProcessBackend, hang_up, in_background
from imgproc.backends.watcher import kill


class MultiprocessingPool(ProcessBackend):
    """A ``Pool`` that is given one parcel at a time by ``apply_async``.

    The pool itself replaces a dead worker but waits for ever for its result, so the watcher tells of the death.
    """

    name = "multiprocessing"
    _pool: Pool | None = None

    def _open_pool(self, initializer: Callable[[], None]) -> None:
        self._pool = self.context().Pool(self.workers, initializer)

    def _submit(self, parcel: Parcel, done: Callable[[Parcel | BaseException], None]) -> None:
        assert self._pool is not None
        self._pool.apply_async(run_parcel, (parcel,), callback=done, error_callback=done)

    def _discard_pool(self) -> None:
        pool, self._pool = self._pool, None
        if pool is None:
            kill(self._workers)
            return
        # terminate() first stops the pool from replacing workers. Then it waits for a lock that a killed
        # worker keeps for ever: an idle one always holds that of the queue in, one in a thousand that of the queue out.
        ending = in_background(pool.terminate)
        kill(self._workers)
        _unlock(pool, "_inqueue", "_rlock")
        ending.join(0.2)
        kill(getattr(pool, "_pool", ()))  # those that it had replaced
        # Nobody else is left, so whoever still waits here for a lock, or for the rest of a large parcel, waits in vain.
        _unlock(pool, "_inqueue", "_rlock")
        _unlock(pool, "_outqueue", "_wlock")
        hang_up(pool, "_inqueue._reader", "_inqueue._writer", "_outqueue._writer")
        ending.join(5)


def _unlock(pool: Pool, queue: str, lock: str) -> None:
    with suppress(AttributeError, ValueError):  # another Python may have other names
        semaphore = getattr(getattr(pool, queue), lock)
        # Taken first where it is free: terminate() may have slept through a release that woke a dying worker.
        semaphore.acquire(block=False)
        semaphore.release()
