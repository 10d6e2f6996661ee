"""The child process that has the GPU: threads that take tasks from its parent, and give results back."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any

from imgproc.backends.gpu.on_device import Accelerator, DeviceLost, open_accelerator
from imgproc.backends.worker_loop import Batch, run_envelope
from imgproc.pixels.inner_threads import pin_threads

#: What the child says, each with something: nothing; why; the index of a task; a batch with its result; a sentence
#: for the record; why.
READY, FAILED, BEGUN, DONE, NOTE, LOST = "ready", "failed", "begun", "done", "note", "lost"
Send = Callable[[str, Any], None]


def serve(connection: Connection, adapter: str, threads: int) -> None:
    """Take tasks from the parent until it closes the connection or ends.

    Args:
        adapter: the module of a GPU library (see ``kernels.device.Library``).
        threads: how many tasks are worked on at a time.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this process
    threading.Thread(target=_end_with_parent, daemon=True).start()
    pin_threads()
    lock = threading.Lock()

    def send(kind: str, what: Any) -> None:
        with lock:
            connection.send((kind, what))

    try:
        gpu = open_accelerator(adapter)
    except DeviceLost as problem:
        send(FAILED, str(problem))
        return
    except ImportError as problem:
        send(FAILED, f"the Python package {(problem.name or 'it needs').partition('.')[0]} cannot be loaded")
        return
    inbox: SimpleQueue[Batch] = SimpleQueue()
    for _ in range(threads):
        threading.Thread(target=_work, args=(inbox, send, gpu), name="image worker", daemon=True).start()
    send(READY, None)
    while True:
        try:
            inbox.put(connection.recv())
        except (EOFError, OSError):
            os._exit(0)  # the parent wants no more; threads may be in the middle of something


def _work(inbox: SimpleQueue[Batch], send: Send, gpu: Accelerator) -> None:
    free = time.perf_counter()
    while True:
        batch = inbox.get()
        since = max(free, batch.submitted)
        for envelope in batch.envelopes:
            send(BEGUN, envelope.task)
            done = run_envelope(envelope, since)
            if gpu.lost:
                send(LOST, gpu.lost)
            if note := gpu.take_note():
                send(NOTE, note)
            send(DONE, batch._replace(envelopes=(done,)))
            since = free = time.perf_counter()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
