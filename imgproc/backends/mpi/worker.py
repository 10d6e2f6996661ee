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

from imgproc.backends.mpi.messages import Mail, Pause
from imgproc.backends.mpi.protocol import (
    BEAT,
    EXCHANGES,
    SILENT,
    Clock,
    Exchange,
    Kind,
    Message,
    Ready,
    ahead,
    copy_probe,
    machine,
    number,
)
from imgproc.backends.worker_loop import Entry, report_by, run_parcel
from imgproc.pixels.inner_threads import pin_threads
from imgproc.pixels.stopwatch import set_clock

MANAGER = 0
_Letter = tuple[Message, Callable[[], object]]


def work(comm: MPI.Intracomm, cv2_threads: int) -> NoReturn:
    """Do what rank 0 sends, until it says stop or is not heard of any more."""
    mail, pause = Mail(comm), Pause()
    set_clock(_ahead(mail, pause))
    inbox: SimpleQueue[Message] = SimpleQueue()
    outbox: SimpleQueue[_Letter] = SimpleQueue()
    computing = _Computing(comm.rank, inbox, outbox, pause.wake, cv2_threads)
    threading.Thread(target=computing.run, name="image worker", daemon=True).start()
    heard = said = time.monotonic()
    while True:
        moved = False
        for message in mail.collect():
            moved, heard = True, time.monotonic()
            if message.kind == Kind.STOP:
                os._exit(0)
            if message.kind != Kind.BEAT:
                inbox.put(message)
        while not outbox.empty():
            moved, said = True, time.monotonic()
            mail.post(*outbox.get())
        now = time.monotonic()
        if now - said > BEAT:
            said = now
            mail.post(Message(Kind.BEAT, MANAGER))
        if now - heard > 2 * SILENT or mail.failed:
            os._exit(1)  # nobody could use what is done here
        pause(moved=moved, moving=mail.moving)


def _ahead(mail: Mail, pause: Pause) -> float:
    """By how many seconds rank 0's clock is ahead of this machine's."""
    exchanges = []
    for _ in range(EXCHANGES):
        asked = time.perf_counter()
        mail.post(Message(Kind.CLOCK, MANAGER))
        answer = _answer(mail, pause)
        exchanges.append(Exchange(asked, answer.seconds, time.perf_counter()))
        if answer.machine == machine():
            return 0.0
    return ahead(exchanges)


def _answer(mail: Mail, pause: Pause) -> Clock:
    until = time.monotonic() + 2 * SILENT
    while time.monotonic() < until:
        for message in mail.collect():
            if message.kind == Kind.CLOCK:
                answer: Clock = pickle.loads(message.data)  # noqa: S301  our own rank 0 sent it
                return answer
            if message.kind == Kind.STOP:
                os._exit(0)
        pause(moved=False, moving=mail.moving)
    os._exit(1)


class _Computing:
    """The thread that computes: it takes from ``inbox`` and puts what is to be sent into ``outbox``."""

    def __init__(
        self,
        rank: int,
        inbox: SimpleQueue[Message],
        outbox: SimpleQueue[_Letter],
        wake: threading.Event,
        cv2_threads: int,
    ) -> None:
        self._rank, self._inbox, self._outbox, self._wake = rank, inbox, outbox, wake
        self._wanted = cv2_threads

    def run(self) -> None:
        taken = pin_threads(self._wanted)
        report_by(self._report, taken)
        self._say(Kind.READY, pickle.dumps(Ready(os.getpid(), machine(), taken)))
        while True:
            message = self._inbox.get()
            if message.kind == Kind.PROBE:
                copy_probe(Path(os.fsdecode(bytes(message.data))), self._rank)
                self._say(Kind.PROBED)
            else:
                done = run_parcel(pickle.loads(message.data))  # noqa: S301  our own caller sent it
                self._say(Kind.RESULT, pickle.dumps(done, pickle.HIGHEST_PROTOCOL))

    def _report(self, entry: Entry) -> None:
        """Begin a task only when it is known outside: should this process die of it, it is to blame."""
        if entry.busy:
            sent = threading.Event()
            self._say(Kind.BEGUN, number(entry.task), sent.set)
            sent.wait()

    def _say(self, kind: Kind, data: bytes = b"", then: Callable[[], object] = lambda: None) -> None:
        self._outbox.put((Message(kind, MANAGER, data), then))
        self._wake.set()
