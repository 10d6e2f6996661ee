"""Rank 0: hands batches from the caller to workers and their results back, and never waits for any of them."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from queue import SimpleQueue
from typing import NoReturn

from mpi4py import MPI

from imgproc.backends.mpi.messages import Messenger, Pause
from imgproc.backends.mpi.protocol import (
    BEAT,
    DEPTH,
    SILENT,
    ClockReading,
    Hello,
    Message,
    MessageKind,
    Ready,
    machine,
    receive,
    send,
)

#: Longest that workers on other hosts are told to stop, in seconds, before they are left to their own silence.
STOP_SECONDS = 0.5


@dataclass
class _RankState:
    heard: float
    ready: Ready | None = None
    holds: int = 0  # batches
    lost: bool = False


class Manager:
    """``serve`` returns never: the group ends with the caller."""

    def __init__(self, comm: MPI.Intracomm, caller: Connection) -> None:
        self._comm, self._caller = comm, caller
        self._messenger, self._pause = Messenger(comm), Pause()
        now = time.monotonic()
        self._workers = {rank: _RankState(now) for rank in range(1, comm.size)}
        self._waiting: deque[Message] = deque()
        #: From the caller; None: it is gone.
        self._orders: SimpleQueue[Message | None] = SimpleQueue()
        #: Ranks on this host that died.
        self._died: SimpleQueue[int] = SimpleQueue()
        self._last_beat = now

    def serve(self) -> NoReturn:
        threading.Thread(target=self._listen, daemon=True).start()
        self._send_caller(Message(MessageKind.HELLO, 0, pickle.dumps(Hello(os.getpid(), len(self._workers)))))
        while True:
            moved = self._pass_on()
            self._take_orders()
            self._hand_out()
            self._look()
            self._pause(moved=moved, moving=self._messenger.moving)

    def _listen(self) -> None:
        try:
            while True:
                self._orders.put(receive(self._caller))
                self._pause.wake.set()
        except (EOFError, OSError):
            self._orders.put(None)
            self._pause.wake.set()

    def _send_caller(self, message: Message) -> None:
        try:
            send(self._caller, message)
        except OSError:
            self._end()

    def _pass_on(self) -> bool:
        """What workers say goes to the caller; returns whether there was something."""
        messages = self._messenger.collect()
        for message in messages:
            worker = self._workers[message.rank]
            worker.heard = time.monotonic()
            if worker.lost or message.kind == MessageKind.BEAT:
                continue
            if message.kind == MessageKind.CLOCK:
                self._messenger.post(message._replace(data=pickle.dumps(ClockReading(machine(), time.perf_counter()))))
                continue
            if message.kind == MessageKind.READY:
                worker.ready = pickle.loads(message.data)  # noqa: S301  our own worker sent it
                if all(one.ready for one in self._workers.values()):
                    self._watch()
            elif message.kind == MessageKind.RESULT:
                worker.holds -= 1
            self._send_caller(message)
        return bool(messages)

    def _take_orders(self) -> None:
        while not self._orders.empty():
            message = self._orders.get()
            if message is None:
                self._end()
            if message.kind == MessageKind.BATCH:
                self._waiting.append(message)
            else:
                for rank in self._living():
                    self._messenger.post(message._replace(rank=rank))

    def _hand_out(self) -> None:
        """To whoever holds least, so that nobody gets a second batch as long as another one has none."""
        while self._waiting and (living := self._living()):
            rank = min(living, key=lambda one: self._workers[one].holds)
            if self._workers[rank].holds >= DEPTH:
                return
            self._workers[rank].holds += 1
            self._messenger.post(self._waiting.popleft()._replace(rank=rank))

    def _look(self) -> None:
        """Who is lost, and a sign of life to all others."""
        if not self._died.empty():
            self._pass_on()  # what they said before comes first
            while not self._died.empty():
                self._lose(self._died.get())
        now = time.monotonic()
        if now - self._last_beat > BEAT:
            self._last_beat = now
            for rank in self._living():
                self._messenger.post(Message(MessageKind.BEAT, rank))
                if now - self._workers[rank].heard > SILENT:
                    self._lose(rank)
        for rank in self._messenger.failed:
            self._lose(rank)

    def _lose(self, rank: int) -> None:
        if not self._workers[rank].lost:
            self._workers[rank].lost = True
            self._send_caller(Message(MessageKind.LOST, rank))

    def _living(self) -> list[int]:
        return [rank for rank, worker in self._workers.items() if not worker.lost]

    def _here(self) -> dict[int, int]:
        """The workers on this host: process id -> rank."""
        return {w.ready.pid: rank for rank, w in self._workers.items() if w.ready and w.ready.machine == machine()}

    def _watch(self) -> None:
        """Learn at once of a death on this host, where the system can tell."""
        if sys.platform == "linux":
            watched = {}
            for pid, rank in self._here().items():
                with suppress(OSError):
                    watched[os.pidfd_open(pid)] = rank
            threading.Thread(target=self._await_deaths, args=(watched,), daemon=True).start()

    def _await_deaths(self, watched: dict[int, int]) -> None:
        while watched:
            for pidfd in wait(watched):
                assert isinstance(pidfd, int)
                self._died.put(watched.pop(pidfd))
                os.close(pidfd)
            self._pause.wake.set()

    def _end(self) -> NoReturn:
        """End all workers, stopped or not, and this process."""
        here = self._here()
        for pid in here:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        elsewhere = [rank for rank in self._living() if rank not in here.values()]
        for rank in elsewhere:
            self._messenger.post(Message(MessageKind.STOP, rank))
        until = time.monotonic() + STOP_SECONDS
        while elsewhere and self._messenger.moving and time.monotonic() < until:
            self._messenger.collect()
            time.sleep(0.001)
        if elsewhere:
            self._comm.Abort(0)
        os._exit(0)
