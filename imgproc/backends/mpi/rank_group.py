"""A group of ranks as the caller sees it: started, fed through a socket to rank 0, watched, ended."""

from __future__ import annotations

import logging
import os
import pickle
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

import psutil

from imgproc.backends.base import BackendError
from imgproc.backends.dispatcher import TICK
from imgproc.backends.mpi.launch import prepare
from imgproc.backends.mpi.protocol import Hello, Message, MessageKind, Ready, begun_in, machine, receive, seen_by, send
from imgproc.backends.places import pin_process
from imgproc.backends.pools.pool import WorkerGroup, WorkersDied
from imgproc.backends.sharing import memory as shared_memory
from imgproc.backends.worker_loop import Batch
from imgproc.files import mark, sweep_marked
from imgproc.settings import Settings
from imgproc.temporary import without_socket

LOG = logging.getLogger(__name__)

#: Longest that all ranks together may take to get ready, in seconds.
START_SECONDS = 60.0
#: Longest that ranks may take to read and write a file of a few bytes, in seconds.
PROBE_SECONDS = 10.0
#: Longest that mpiexec may take to end once its ranks are killed, and they to give back their memory, in seconds.
END_SECONDS = 1.0
#: How the name of the folder of its sockets begins, which is short as theirs have to be.
FOLDER = "imgproc-mpi-"
NOT_STARTED = "The MPI ranks could not be started."
#: What is said where there is no more shared memory: of a rank that touched some and was ended by Linux, and by UCX.
OUT_OF_MEMORY = ("Bus error", "Please check that /dev/shm")
#: What MPICH takes of /dev/shm for each rank, in bytes, about.
RANK_BYTES = 1_061_000
NO_MEMORY = (
    "There is not enough shared memory for so many: use fewer workers, or give the system more (in a container: the "
    "option --shm-size)."
)


class RankGroup(WorkerGroup):
    """``workers``: how many there are; ``cv2_threads``: as many as OpenCV took in each; ``local``: whether all are on
    this machine; ``left_out``: hosts that no longer answered, where there was a group before (``again``).

    Made when every rank is ready; ``close`` ends it. Should this process die, the socket's end ends it as well.

    Raises:
        BackendError: it could not be started.
    """

    def __init__(self, workers: int, cv2_threads: int, settings: Settings, *, again: bool = False) -> None:
        super().__init__()
        self.workers = workers
        self._ready: dict[int, Ready] = {}
        self._mpiexec: subprocess.Popen[bytes] | None = None
        self._processes: list[psutil.Process] = []  # ranks on this machine
        self._busy: dict[int, tuple[int, float]] = {}  # rank -> task and since when
        self._out: dict[int, tuple[list[int], Callable[[Batch], None]]] = {}  # batches with the ranks, by number
        self._probed: set[int] = set()
        self._news = threading.Condition()
        self._connection: Connection | None = None
        self._listener = threading.Thread(target=self._listen, name="MPI ranks", daemon=True)
        sweep_marked(Path(tempfile.gettempdir()), FOLDER)
        folder = Path(tempfile.mkdtemp(prefix=FOLDER))  # nobody else may look into it
        try:
            mark(folder)
            self._start(folder, cv2_threads, settings, again)
        except BaseException:
            self.close()
            raise
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        self.cv2_threads = min(one.cv2_threads for one in self._ready.values())
        self.local = all(one.machine == machine() for one in self._ready.values())

    def submit(self, batch: Batch, done: Callable[[Batch], None]) -> None:
        """Have a worker run a batch, and ``done`` be called with what comes of it.

        Raises:
            OSError: the group is gone.
        """
        self._out[batch.number] = [envelope.task for envelope in batch.envelopes], done
        self._send(Message(MessageKind.BATCH, 0, pickle.dumps(batch, pickle.HIGHEST_PROTOCOL)))

    def pin(self, places: Sequence[Sequence[int]]) -> None:
        """Have each worker run on its CPUs of this machine only."""
        for (_, ready), cpus in zip(sorted(self._ready.items()), places, strict=False):
            pin_process(ready.pid, cpus)

    def busy(self) -> Mapping[int, float]:
        return dict(list(self._busy.values()))

    def sees(self, folder: Path) -> bool:
        """Whether every worker reads and writes the same files there as this process."""

        def ask(probe: Path) -> None:
            self._probed = set()
            self._send(Message(MessageKind.PROBE, 0, os.fsencode(probe)))
            self._await(lambda: len(self._probed) == self.workers, PROBE_SECONDS)

        return seen_by(self._ready, folder, ask)

    def close(self) -> None:
        """End every rank at once. Safe to call twice."""
        self.over.set()
        self._kill()
        if self._listener.is_alive() and self._listener is not threading.current_thread():
            self._listener.join()
        if self._connection is not None:
            self._connection.close()

    def _start(self, folder: Path, cv2_threads: int, settings: Settings, again: bool) -> None:
        until = time.monotonic() + START_SECONDS
        path = folder / "socket"
        launch = prepare(self.workers, folder, [str(path), str(cv2_threads)], settings, again=again)
        self._blames, self.left_out = launch.blames, launch.left_out
        # Ranks that Linux ends for want of it leave behind what they had of it.
        if launch.blames and not _room((self.workers + 1) * RANK_BYTES):
            raise BackendError(f"{NOT_STARTED} {NO_MEMORY}")
        if lack := without_socket(path):
            raise BackendError(f"{NOT_STARTED} {lack}")
        with socket.socket(socket.AF_UNIX) as listener, open(folder / "log", "w+b") as log:
            listener.bind(str(path))
            listener.listen()
            self._mpiexec = subprocess.Popen(
                launch.command,
                env=launch.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C in the terminal is for the caller alone. But no session of their own: Linux gives each session
                # its part of the processor, so that on a busy machine ranks would get more of it than others do.
                process_group=0,
            )
            try:
                self._connection = self._accept(listener, until)
                self._listener.start()
                self._await(lambda: len(self._ready) == self.workers, until - time.monotonic())
                if self.over.is_set():
                    raise WorkersDied(NOT_STARTED)
                if len(self._ready) != self.workers:
                    raise BackendError(f"The MPI ranks were not ready within {START_SECONDS:g} seconds.")
            except (BackendError, EOFError, OSError) as problem:
                log.seek(0)
                said = log.read().decode(errors="replace")
                LOG.info("mpiexec said: %s", said)
                if any(sign in said for sign in OUT_OF_MEMORY):
                    raise BackendError(f"{NOT_STARTED} {NO_MEMORY}") from problem
                raise problem if isinstance(problem, BackendError) else WorkersDied(NOT_STARTED) from problem

    def _accept(self, listener: socket.socket, until: float) -> Connection:
        listener.settimeout(TICK)
        assert self._mpiexec is not None
        while time.monotonic() < until and self._mpiexec.poll() is None:
            with suppress(TimeoutError):
                connection = Connection(listener.accept()[0].detach())
                self._greet(connection)
                return connection
        raise WorkersDied(NOT_STARTED)

    def _greet(self, connection: Connection) -> None:
        hello: Hello = pickle.loads(receive(connection).data)  # noqa: S301  our own rank sent it
        if not hello.workers:
            raise BackendError("The MPI ranks did not find each other: mpiexec is of another MPI than mpi4py’s.")
        self.workers = hello.workers
        self._processes.append(psutil.Process(hello.pid))

    def _send(self, message: Message) -> None:
        assert self._connection is not None
        send(self._connection, message)

    def _await(self, condition: Callable[[], bool], seconds: float) -> None:
        with self._news:
            self._news.wait_for(lambda: condition() or self.over.is_set(), seconds)

    def _listen(self) -> None:
        assert self._connection is not None
        try:
            while not self.over.is_set():
                if self._connection.poll(TICK):
                    self._hear(receive(self._connection))
        except (EOFError, OSError):
            if not self._blames and not self.over.is_set():  # any one of them may have ended a rank, and so all
                self.victims = {task for tasks, _ in self._out.values() for task in tasks}
        finally:
            self._kill()  # whoever writes to it now must not wait
            self.ended()
            with self._news:
                self._news.notify_all()

    def _hear(self, message: Message) -> None:
        match message.kind:
            case MessageKind.BEGUN:
                task, seconds = begun_in(message)
                self._busy[message.rank] = task, time.perf_counter() + seconds
            case MessageKind.RESULT:
                self._busy.pop(message.rank, None)
                batch: Batch = pickle.loads(message.data)  # noqa: S301  our own worker sent it
                self._out.pop(batch.number)[1](batch)
            case MessageKind.LOST:
                if message.rank in self._busy:
                    self.victims.add(self._busy[message.rank][0])
                self.over.set()
            case MessageKind.READY:
                ready: Ready = pickle.loads(message.data)  # noqa: S301  our own worker sent it
                if ready.machine == machine():
                    with suppress(psutil.Error):
                        self._processes.append(psutil.Process(ready.pid))
                with self._news:
                    self._ready[message.rank] = ready
                    self._news.notify_all()
            case MessageKind.PROBED:
                with self._news:
                    self._probed.add(message.rank)
                    self._news.notify_all()

    def _kill(self) -> None:
        for process in self._processes:
            with suppress(psutil.Error):
                process.kill()
        if self._mpiexec is None:
            return
        try:
            # The one that starts ranks on this machine only takes a second to notice, and has nothing to clean up.
            self._mpiexec.wait(0 if self._blames else END_SECONDS)
        except subprocess.TimeoutExpired:
            with suppress(OSError):
                os.killpg(self._mpiexec.pid, signal.SIGKILL)
            self._mpiexec.wait()


def _room(needed: int) -> bool:
    """Whether there is so much shared memory, in bytes. Ranks killed just now have theirs until Linux has ended all
    their threads."""
    until = time.monotonic() + END_SECONDS
    while (lacking := shared_memory.free() < needed) and time.monotonic() < until:
        time.sleep(TICK / 10)
    return not lacking
