"""A worker's side: one thread computes, while the main thread moves messages and gives signs of life."""

from __future__ import annotations

import os
import pickle
import threading
import time
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import NoReturn

from mpi4py import MPI

from imgproc.backends.mpi.messages import Messenger, Pause
from imgproc.backends.mpi.protocol import (
    BEAT,
    EXCHANGES,
    SILENT,
    ClockReading,
    Exchange,
    Message,
    MessageKind,
    Ready,
    ahead,
    begun,
    copy_probe,
    machine,
)
from imgproc.backends.worker_loop import WorkerStatus, begin_loop, run_batch
from imgproc.pixels.inner_threads import pin_threads
from imgproc.pixels.stopwatch import clock, set_clock

MANAGER = 0
_Outgoing = tuple[Message, Callable[[], object]]


def work(comm: MPI.Intracomm, cv2_threads: int) -> NoReturn:
    """Do what rank 0 sends, until it says stop or is not heard of any more."""
    messenger, pause = Messenger(comm), Pause()
    set_clock(_ahead(messenger, pause))
    inbox: SimpleQueue[Message] = SimpleQueue()
    outbox: SimpleQueue[_Outgoing] = SimpleQueue()
    computing = _Computing(comm.rank, inbox, outbox, pause.wake, cv2_threads)
    threading.Thread(target=computing.run, name="image worker", daemon=True).start()
    heard = said = time.monotonic()
    while True:
        moved = False
        for message in messenger.collect():
            moved, heard = True, time.monotonic()
            if message.kind == MessageKind.STOP:
                os._exit(0)
            if message.kind != MessageKind.BEAT:
                inbox.put(message)
        while not outbox.empty():
            moved, said = True, time.monotonic()
            messenger.post(*outbox.get())
        now = time.monotonic()
        if now - said > BEAT:
            said = now
            messenger.post(Message(MessageKind.BEAT, MANAGER))
        if now - heard > 2 * SILENT or messenger.failed:
            os._exit(1)  # nobody could use what is done here
        pause(moved=moved, moving=messenger.moving)


def _ahead(messenger: Messenger, pause: Pause) -> float:
    """By how many seconds rank 0's clock is ahead of this machine's."""
    exchanges = []
    for _ in range(EXCHANGES):
        asked = time.perf_counter()
        messenger.post(Message(MessageKind.CLOCK, MANAGER))
        answer = _answer(messenger, pause)
        exchanges.append(Exchange(asked, answer.seconds, time.perf_counter()))
        if answer.machine == machine():
            return 0.0
    return ahead(exchanges)


def _answer(messenger: Messenger, pause: Pause) -> ClockReading:
    until = time.monotonic() + 2 * SILENT
    while time.monotonic() < until:
        for message in messenger.collect():
            if message.kind == MessageKind.CLOCK:
                answer: ClockReading = pickle.loads(message.data)  # noqa: S301  our own rank 0 sent it
                return answer
            if message.kind == MessageKind.STOP:
                os._exit(0)
        pause(moved=False, moving=messenger.moving)
    os._exit(1)


class _Computing:
    """The thread that computes: it takes from ``inbox`` and puts what is to be sent into ``outbox``."""

    def __init__(
        self,
        rank: int,
        inbox: SimpleQueue[Message],
        outbox: SimpleQueue[_Outgoing],
        wake: threading.Event,
        cv2_threads: int,
    ) -> None:
        self._rank, self._inbox, self._outbox, self._wake = rank, inbox, outbox, wake
        self._wanted = cv2_threads

    def run(self) -> None:
        taken = pin_threads(self._wanted)
        begin_loop(self._report, taken)
        self._say(MessageKind.READY, pickle.dumps(Ready(os.getpid(), machine(), taken)))
        while True:
            message = self._inbox.get()
            if message.kind == MessageKind.PROBE:
                copy_probe(Path(os.fsdecode(bytes(message.data))), self._rank)
                self._say(MessageKind.PROBED)
            else:
                done = run_batch(pickle.loads(message.data))  # noqa: S301  our own caller sent it
                self._say(MessageKind.RESULT, pickle.dumps(done, pickle.HIGHEST_PROTOCOL))

    def _report(self, status: WorkerStatus) -> None:
        """Begin a task only when it is known outside: should this process die of it, it is to blame."""
        if status.busy:
            sent = threading.Event()
            self._say(MessageKind.BEGUN, begun(status.task, max(0.0, status.time - clock())), sent.set)
            sent.wait()

    def _say(self, kind: MessageKind, data: bytes = b"", then: Callable[[], object] = lambda: None) -> None:
        self._outbox.put((Message(kind, MANAGER, data), then))
        self._wake.set()
