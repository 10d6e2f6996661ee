"""Dask: a cluster on this machine, or any scheduler that is there already."""

from __future__ import annotations

import importlib.util
import logging
import math
import socket
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from imgproc.backends.base import DEFAULTS, Availability, BackendError, Capabilities, Options
from imgproc.backends.places import OF_ANOTHER, OFF, places
from imgproc.backends.pools.pool import DispatchedBackend, WorkersDied, started
from imgproc.backends.pools.processes import in_background
from imgproc.backends.pools.starting import leave_main_out
from imgproc.backends.surroundings import Needs, check
from imgproc.backends.task import Task
from imgproc.backends.worker_loop import StatusFolder
from imgproc.settings import Settings

if TYPE_CHECKING:  # Dask is loaded when it is started, not when it is listed
    from distributed import Client, LocalCluster

    from imgproc.backends.dask.workers import DaskWorkforce

#: Longest that the workers of a new cluster may take to get ready, and that more workers of a cluster that is there
#: are waited for once there is one, in seconds.
START_SECONDS = 60.0
MORE_SECONDS = 5.0
#: Longest that one which died may take to be back, in seconds.
RENEW_SECONDS = 10.0
#: Longest that a scheduler may take to answer, in seconds.
ANSWER_SECONDS = 3.0
#: How long an answer counts, and what it was: several parts of a page ask for it.
KEPT_SECONDS = 5.0
_answers: dict[str, tuple[float, str]] = {}
START_METHOD = "spawn"
_NEEDS = Needs(files=(16, 12), loopback=True)

_QUIET = logging.CRITICAL + 1
_LOCAL: dict[str, object] = {
    # Without it each image's memory would be given back at once, and fetched again: the work would take half as long
    # again. It would also be put into this process's own environment, for others to inherit.
    "distributed.nanny.pre-spawn-environ": {"PYTHONHASHSEED": "random"},  # as it is where nothing is set
    "distributed.scheduler.work-stealing": False,
    "distributed.worker.multiprocessing-method": START_METHOD,
    "distributed.worker.profile.enabled": False,  # it would interrupt the work every 10 ms
}
#: What Dask asks its configuration for as long as it runs.
_LASTING = {
    # It would keep the last 1000 messages, with the images in them.
    "distributed.admin.low-level-log-length": 0,
    # Images travel with their tasks, which Dask takes for a mistake.
    "distributed.admin.large-graph-warning-threshold": "1 TB",
    # A cluster looks whether a worker that died is back after so long, and if it just died again, does without it.
    "distributed.deploy.lost-worker-timeout": "30000000s",
}
#: Dask listens for browsers in any case; without a dashboard there is nothing to be had there, and that ends as soon as
#: it can.
_NO_PAGES: dict[str, list[str]] = {"distributed.scheduler.http.routes": [], "distributed.worker.http.routes": []}


class DaskCluster(DispatchedBackend):
    """Worker processes of a Dask cluster. Which one the settings say, when it is started.

    Dask's own ways of trying again are not used, since they do not tell of a death.
    """

    name = "dask"
    capabilities = Capabilities(
        memory="copied", killable=True, inner_threads=True, start_methods=(START_METHOD,), chunks=True, splits=True,
        carries=True, unpinned="",
    )  # fmt: skip

    def __init__(self, workers: int, options: Options = DEFAULTS) -> None:
        super().__init__(workers, options)
        self._wanted = self._expected = self.workers
        self._wanted_threads = self.cv2_threads
        if self.settings.DASK_SCHEDULER:
            self.affinity, self.unpinned = OFF, OF_ANOTHER
        self._cluster: DaskWorkforce | None = None
        self._held = ExitStack()

    @classmethod
    def availability(cls, settings: Settings = DEFAULTS.settings) -> Availability:
        if settings.DASK_SCHEDULER:
            why = _unreachable(settings.DASK_SCHEDULER)
            return Availability(not why, why)
        if importlib.util.find_spec("cryptography") is None:
            return Availability(False, "The Python package cryptography is not installed.", "pip install cryptography")
        if settings.DASK_DASHBOARD and importlib.util.find_spec("bokeh") is None:
            return Availability(False, "DASK_DASHBOARD is set, and the dashboard needs bokeh.", "pip install bokeh")
        return Availability(True)

    @property
    def may_be_elsewhere(self) -> bool:
        return bool(self.settings.DASK_SCHEDULER)

    def start(self) -> None:
        try:
            if self._cluster is not None and self.local:
                with suppress(BackendError):
                    self._await_workers(RENEW_SECONDS)
                    return
                self.close(kill=True)  # Dask lost one for good
            if self._cluster is None:
                started(self._open)
            self._await_workers(START_SECONDS)
        except BaseException as problem:
            self.close(kill=True)
            if isinstance(problem, Exception) and not isinstance(problem, BackendError):
                raise BackendError("The Dask workers could not be started.") from problem
            raise

    def _open(self) -> None:
        import dask
        from distributed import Client
        from distributed.utils import silence_logging_cmgr

        from imgproc.backends.dask.workers import DaskWorkforce

        settings = self.settings
        self._held.enter_context(silence_logging_cmgr(_QUIET))
        dask.config.set(_LASTING)
        if settings.DASK_SCHEDULER:
            self.start_method, self.local = None, False
            self._cluster = DaskWorkforce(_connect(settings), self._wanted, self._wanted_threads)
        else:
            check(_NEEDS, self._wanted)
            status = StatusFolder()
            self._held.callback(status.remove)
            cluster = _local(self._wanted, status.folder, settings.DASK_DASHBOARD)
            client = Client(cluster, set_as_default=False, direct_to_workers=True)
            self.places = places(self.affinity, self._wanted, self._wanted_threads)
            self._cluster = DaskWorkforce(client, self._wanted, self._wanted_threads, cluster, status, self.places)
        if settings.DASK_DASHBOARD:
            self.dashboard = self._cluster.dashboard(settings.DASK_DASHBOARD)

    def _await_workers(self, seconds: float) -> None:
        """Until all are ready that were asked for; of a cluster that is there, as many as there are.

        Raises:
            BackendError: there was none, or of this machine not all, after so many seconds.
        """
        cluster, begin = self._cluster, time.monotonic()
        assert cluster is not None
        while len(cluster.look()) < self._expected:
            if not self.local and cluster.joined and time.monotonic() - begin > MORE_SECONDS:
                break
            if cluster.refused:
                raise BackendError(
                    "A Dask worker could not load this program. Install the same version of it, and of Dask, there."
                )
            if time.monotonic() - begin > seconds:
                raise BackendError(f"There was no Dask worker ready within {seconds:g} seconds.")
            time.sleep(0.005)
        self.workers = self._expected = len(cluster.joined)
        self.cv2_threads = min(joined.cv2_threads for joined in cluster.joined)

    def _workforce(self, tasks: Sequence[Task]) -> DaskWorkforce:
        self.start()
        assert self._cluster is not None
        return self._cluster

    def _abandon(self) -> None:
        """Workers of other machines finish what they are at."""
        if self.local:
            self.close(kill=True)

    def sees(self, folder: Path) -> bool:
        self.start()
        assert self._cluster is not None
        return self._cluster.sees(folder)

    def close(self, *, kill: bool = False) -> None:
        """End the workers of this machine; they have nothing to finish or to save, so ``kill`` makes no difference.
        Those of a cluster that is there are left alone."""
        cluster, self._cluster = self._cluster, None
        self._expected = self._wanted
        if cluster is not None:
            cluster.close()
        self._held.close()


def _local(workers: int, folder: str, dashboard: str) -> LocalCluster:
    """A cluster of this machine, that only this machine can reach, and only who has its key: that is made here, and
    known to this process and its workers alone.

    Raises:
        WorkersDied: a worker did not live until it was ready.
    """
    import dask
    from distributed import LocalCluster
    from distributed.security import Security

    leave_main_out("Dask Worker")
    try:
        with dask.config.set({**_LOCAL, **({} if dashboard else _NO_PAGES), "temporary-directory": folder}):
            cluster = LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                security=Security.temporary(),
                memory_limit=0,  # Dask would stop giving work, and kill, by its own idea of how much there is
                scheduler_kwargs={"dashboard": bool(dashboard), "dashboard_address": dashboard or "127.0.0.1:0"},
                silence_logs=_QUIET,
            )
    except RuntimeError as problem:  # what Dask makes of the death of a worker, and of some other things
        raise WorkersDied("The Dask workers could not be started.") from problem
    if not dashboard:
        cluster.scheduler.http_server.stop()
    return cluster


def _connect(settings: Settings) -> Client:
    """A client of the scheduler that the settings name.

    Raises:
        BackendError: it does not answer, or does not take us for who we say.
    """
    from distributed import Client
    from distributed.security import Security

    address = settings.DASK_SCHEDULER
    security = Security(
        tls_ca_file=settings.DASK_TLS_CA or None,
        tls_client_cert=settings.DASK_TLS_CERT or None,
        tls_client_key=settings.DASK_TLS_KEY or None,
        require_encryption=address.startswith("tls:"),
    )
    made: SimpleQueue[Client | None] = SimpleQueue()

    def connect() -> None:
        try:
            made.put(Client(address, security=security, timeout=ANSWER_SECONDS, set_as_default=False))
        except Exception:  # of Dask's, of ssl's and of the system's
            made.put(None)

    # Dask keeps its time limit only where the other side is silent from the beginning.
    in_background(connect)
    with suppress(Empty):
        if client := made.get(timeout=2 * ANSWER_SECONDS):
            return client
    raise BackendError(f"DASK_SCHEDULER: {address} did not take the connection.")


def _unreachable(address: str) -> str:
    """Why a scheduler cannot be reached, empty if it can; asked anew every ``KEPT_SECONDS``, as it may take a while."""
    asked, why = _answers.get(address, (-math.inf, ""))
    if time.monotonic() - asked > KEPT_SECONDS:
        why = _try_to_reach(address)
        _answers[address] = time.monotonic(), why
    return why


def _try_to_reach(address: str) -> str:
    try:
        parts = urlsplit(address)
        if parts.scheme not in ("tcp", "tls") or not parts.hostname or not parts.port:
            raise ValueError
    except ValueError:
        return f"DASK_SCHEDULER must be an address such as tcp://host:8786 or tls://host:8786, not “{address}”."
    try:
        socket.create_connection((parts.hostname, parts.port), ANSWER_SECONDS).close()
    except OSError:
        return f"DASK_SCHEDULER: there is no answer from {address}."
    return ""
