"""The workers of a Dask cluster: of one made on this machine, or of a scheduler that is there already.

Every batch is bound to one worker, so that Dask never runs it again by itself: a death would go unseen.
"""

from __future__ import annotations

import asyncio
import pickle
import secrets
import time
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from distributed import Client, LocalCluster

from imgproc.backends.base import BackendError
from imgproc.backends.dask.worker import Joined, answer, join, work
from imgproc.backends.dispatcher import Assignment
from imgproc.backends.places import pin_process
from imgproc.backends.pools.processes import in_background
from imgproc.backends.worker_loop import Batch, StatusFolder

#: A worker of another machine counts as silent when the scheduler has not heard of it for so long, in seconds; they
#: report at least every 5 seconds up to a thousand of them.
SILENT_SECONDS = 10.0
#: Longest that the scheduler may take to answer, in seconds.
ANSWER_SECONDS = 5.0


@dataclass
class _DaskWorker:
    """A worker as the scheduler shows it; ``seen`` in its clock, ``changed`` when that was last new in ours."""

    address: str
    seen: float
    changed: float
    running: bool
    joining: Future[Joined] | None = None
    process: psutil.Process | None = None
    joined: Joined | None = None
    ahead: float = 0.0
    place: int | None = None


class DaskWorkforce:
    """Keeps the contract of ``Workforce``.

    Args:
        wanted: how many workers are used at most.
        cluster: where it is our own; its workers write into the status folder.
        places: the CPUs of each of these workers, where they are to be pinned.
    """

    #: At each worker what it works on, and the next, so that it never waits for one.
    room, held = 2, 3
    shared_fate = True

    def __init__(
        self, client: Client, wanted: int, cv2_threads: int, cluster: LocalCluster | None = None,
        status: StatusFolder | None = None, places: Sequence[Sequence[int]] = (),
    ) -> None:  # fmt: skip
        self.client, self.wanted, self.cv2_threads = client, wanted, cv2_threads
        self.cluster, self.status, self.places = cluster, status, places
        self.refused: set[str] = set()
        self.wake: Callable[[], object] = lambda: None
        self._members: dict[str, _DaskWorker] = {}
        self._past: dict[str, _DaskWorker] = {}
        self._ended: set[str] = set()

    @property
    def joined(self) -> list[Joined]:
        return [member.joined for member in self._members.values() if member.joined]

    def dashboard(self, asked: str) -> str:
        """The address of Dask's dashboard, for browsers."""
        return str(self.cluster.dashboard_link) if self.cluster is not None else f"http://{asked}/status"

    def look(self) -> Mapping[str, bool]:
        self._refresh()
        now = time.perf_counter()
        heard = {name: self._heard(member, now) for name, member in self._members.items()}
        places = self.wanted - sum(heard[name] for name, m in self._members.items() if m.joined or m.joining)
        for name, member in self._members.items():
            if member.joined is None:
                if member.joining is None and places > 0:
                    self._ask_to_join(name, member)
                    places -= 1
                self._take_in(name, member)
        return {name: heard[name] for name, member in self._members.items() if member.joined}

    def _heard(self, member: _DaskWorker, now: float) -> bool:
        # A process of this machine that hangs is known by its status file.
        return self.cluster is not None or (member.running and now - member.changed < SILENT_SECONDS)

    def _refresh(self) -> None:
        """Who is there, as the scheduler knows it."""
        now = time.perf_counter()
        try:
            found = self._ask(self.client.scheduler.identity(n_workers=-1))["workers"]
        except (OSError, TimeoutError):
            if self.client.status != "running":
                raise BackendError("The connection to the Dask scheduler was lost.") from None
            return
        before, self._members = self._members, {}
        for address, worker in found.items():
            name = f"{address} {worker['local_directory']}"  # another one each time that it is started
            if name in self._ended or name in self.refused:
                continue
            seen, running = worker["last_seen"], worker["status"] == "running"
            member = before.pop(name, None) or _DaskWorker(address, seen, now, running)
            if member.seen != seen:
                member.seen, member.changed = seen, now
            member.running = running
            self._members[name] = member
        for name, member in before.items():  # who is gone
            if member.joined:
                self._past[name] = member
            elif member.joining:
                member.joining.cancel()

    def _ask_to_join(self, name: str, member: _DaskWorker) -> None:
        sent = time.perf_counter()
        folder = self.status.folder if self.status else None
        joining = member.joining = self._begin(self._carry(member.address, join, name, folder, self.cv2_threads))

        def note(done: Future[Joined]) -> None:
            if not done.cancelled() and not done.exception():
                now = time.perf_counter()
                ahead = done.result().clock - (sent + now) / 2
                member.ahead = ahead if abs(ahead) > now - sent else 0.0  # else it is the same clock

        joining.add_done_callback(note)

    def _take_in(self, name: str, member: _DaskWorker) -> None:
        """See whether a worker is ready that was asked to join."""
        if member.joining is None or not member.joining.done():
            return
        if member.joining.cancelled() or member.joining.exception():
            self.refused.add(name)
            return
        member.joined = member.joining.result()
        if self.cluster is not None:
            with suppress(psutil.Error):
                member.process = psutil.Process(member.joined.pid)
            self._pin(member, member.joined.pid)

    def _pin(self, member: _DaskWorker, pid: int) -> None:
        """Pin a worker where none is; one that comes in the place of another has its CPUs."""
        taken = {other.place for other in self._members.values()}
        free = [place for place in range(len(self.places)) if place not in taken]
        if free:
            member.place = free[0]
            pin_process(pid, self.places[free[0]])

    def submit(self, assignment: Assignment) -> None:
        data = pickle.dumps(assignment.batch, pickle.HIGHEST_PROTOCOL)
        address = self._members[assignment.worker].address
        assignment.cancel = self._begin(self._work(address, assignment.worker, data, assignment.done)).cancel

    async def _work(self, address: str, worker: str, batch: bytes, done: Callable[[Batch | None], None]) -> None:
        result: Batch | None = None
        with suppress(Exception):  # of Dask's, or our own that it carries
            result = pickle.loads(await self._carry(address, work, worker, batch))  # noqa: S301  our own worker sent it
        done(result)

    def at(self, worker: str) -> Mapping[int, float] | None:
        member = self._members.get(worker) or self._past.get(worker)
        found = self.status.read(member.joined.pid) if self.status and member and member.joined else None
        return found.tasks if found else None

    def ahead(self, worker: str) -> float:
        member = self._members.get(worker) or self._past.get(worker)
        return member.ahead if member else 0.0

    def end(self, worker: str, late: Collection[int]) -> None:
        self._ended.add(worker)
        member = self._members.pop(worker)
        self._past[worker] = member
        if member.process is not None:
            with suppress(psutil.Error):
                member.process.kill()
        else:  # its nanny can, if it has one
            self._begin(self._restart(member.address))

    async def _restart(self, address: str) -> None:
        with suppress(Exception):
            await self.client.restart_workers([address], raise_for_error=False)

    def sees(self, folder: Path) -> bool:
        """Whether every worker reads and writes the same files there as this process."""
        return all(self._shares(member.address, folder) for member in self._members.values() if member.joined)

    def _shares(self, address: str, folder: Path) -> bool:
        question, secret = folder / f".{secrets.token_hex(8)}", secrets.token_hex(16)
        reply = question.with_suffix(".reply")
        try:
            question.write_text(secret)
            self._ask(self._carry(address, answer, str(question), str(reply)))
            return reply.read_text() == secret
        except (OSError, TimeoutError):
            return False
        finally:
            question.unlink(missing_ok=True)
            reply.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the workers; our own are killed, for they have nothing to finish or to save."""
        in_background(self._close).join(ANSWER_SECONDS)

    def _close(self) -> None:
        if self.cluster is not None:
            self._ask(self._stop_nannies())
        with suppress(Exception):
            self.client.close(timeout=1)
        if self.cluster is not None:
            self.cluster.close(timeout=ANSWER_SECONDS)

    async def _stop_nannies(self) -> None:
        """Kill the workers and have nobody start them anew."""
        assert self.cluster is not None
        for nanny in list(self.cluster.workers.values()):
            nanny.close_gracefully()
            if nanny.pid:
                with suppress(psutil.Error):
                    psutil.Process(nanny.pid).kill()

    async def _carry(self, address: str, function: Callable[..., Any], *arguments: object) -> Any:
        future = self.client.submit(
            function, *arguments, workers=[address], allow_other_workers=False, pure=False,
            key=f"imgproc-{secrets.token_hex(8)}",
        )  # fmt: skip
        try:
            return await future
        finally:  # also when this is cancelled: Dask forgets it, and does not begin it
            future.release()

    def _begin(self, doing: Coroutine[Any, Any, Any]) -> Future[Any]:
        try:
            return asyncio.run_coroutine_threadsafe(doing, self.client.loop.asyncio_loop)
        except RuntimeError:  # the loop has ended
            doing.close()
            raise

    def _ask(self, question: Coroutine[Any, Any, Any]) -> Any:
        """The answer, within ``ANSWER_SECONDS``.

        Raises:
            OSError: there is none.
        """
        future = self._begin(question)
        try:
            return future.result(ANSWER_SECONDS)
        finally:
            future.cancel()
