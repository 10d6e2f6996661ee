"""The app of a row, and what is watched meanwhile: memory, ``/healthz``, files that stay."""

from __future__ import annotations

import re
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

import httpx
import psutil

from benchmarks.web_load import Promise, percentile
from imgproc.backends.sharing import memory as shared
from imgproc.measure.peak_memory import full
from tests.live_app import Live

MB = 1_000_000
#: Between two looks at memory, and between two questions to ``/healthz``, in seconds.
LOOK, ASK = 0.05, 0.1
#: A younger child may still be a copy of its parent, with its command line and its memory, in seconds.
JUST_FORKED = 0.2
#: The most that one process may take, in megabytes.
MOST_MB = 700
#: In names of things that belong to a process.
_PID = re.compile(r"(?<=[-_])[0-9]{2,7}(?=[-_])")
#: What the command line of a process has, and what it then is to the app.
_ROLES = {"imgproc.runs.runner": "runner", "imgproc.intake.inspector_child": "vetting", "imgproc serve": "web"}


def app_of(folder: Path, **settings: object) -> Live:
    """An app that is not started yet, with its folders, its log and what is temporary in this folder. As a context it
    is gone at the end, whatever went wrong."""
    live = Live(folder, CACHE_DIR=folder / "cache", **settings)
    live.log = folder / "server.log"
    return live


def role(process: psutil.Process, app: int) -> str:
    """What a process is to the app of this number: web, runner, vetting, or a worker, which all others of its family
    are. A child just forked still has the command line of its parent, so it is a worker."""
    words = " ".join(process.cmdline())
    name = next((name for part, name in _ROLES.items() if part in words), "worker")
    is_it = {"web": process.pid == app, "runner": process.ppid() == app}
    return name if is_it.get(name, True) else "worker"


def peak(process: psutil.Process) -> int:
    """The most memory that a process ever had, in bytes; where the system does not tell, what it has."""
    with suppress(OSError, StopIteration):
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])
    return int(process.memory_info().rss)


class Watch:
    """What the app took and how it answered as long as the ``with`` block ran.

    ``peaks``: the most that a process of each role ever had, in megabytes; ``most_together``: that of all at a moment;
    ``runners``: as many as there were; ``health``: seconds of each answer of ``/healthz``, infinite where none came.
    """

    def __init__(self, live: Live) -> None:
        self._live = live
        self._over = threading.Event()
        self._threads = [threading.Thread(target=look) for look in (self._look, self._ask)]
        self._runners: set[int] = set()
        self.peaks: dict[str, float] = {}
        self.most_together = 0.0
        self.health: list[float] = []

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    @property
    def runners(self) -> int:
        return len(self._runners)

    def within(self) -> list[Promise]:
        """That no process took too much, none was started anew, and the app answered meanwhile."""
        found = [
            Promise(f"… {name}: most memory", f"under {MOST_MB} MB", f"{reached:.0f} MB", reached < MOST_MB)
            for name, reached in sorted(self.peaks.items())
        ]
        slow = percentile(self.health, 0.99)
        return [
            *found,
            Promise("… all together: most memory", "", f"{self.most_together:.0f} MB", kept=True),
            Promise("… runners", "1", str(self.runners), self.runners == 1),
            Promise("… /healthz, p99", "under 0.5 s", f"{slow:.3f} s", slow < 0.5),
        ]

    def _look(self) -> None:
        roles: dict[psutil.Process, str] = {}
        while not self._over.wait(LOOK):
            together = 0
            for process in self._family():
                with suppress(psutil.Error):
                    name = roles.get(process) or role(process, self._live.process.pid)
                    if name != "worker" or time.time() - process.create_time() > JUST_FORKED:
                        roles[process] = name
                        self.peaks[name] = max(self.peaks.get(name, 0.0), peak(process) / MB)
                    if name == "runner":
                        self._runners.add(process.pid)
                    together += process.memory_info().rss
            self.most_together = max(self.most_together, together / MB)

    def _family(self) -> list[psutil.Process]:
        with suppress(psutil.Error):
            return self._live.family()
        return []

    def _ask(self) -> None:
        with httpx.Client(base_url=self._live.url, timeout=60) as http:
            while not self._over.wait(ASK):
                begin = time.perf_counter()
                try:
                    http.get("/healthz")
                    self.health.append(time.perf_counter() - begin)
                except httpx.HTTPError:
                    self.health.append(float("inf"))


def held(live: Live) -> dict[str, float]:
    """What web and runner have to themselves now, in megabytes."""
    found = {"web": live.process.pid, "runner": live.runner().pid}
    return {name: reading.own / MB for name, pid in found.items() if (reading := full(pid))}


class Leftovers:
    """Files that stay in a folder that is also the app's for temporary ones, and in shared memory."""

    #: What the app and this script have there on purpose.
    _KEPT = frozenset({"uploads", "results", "cache", "server.log"})

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> Self:
        self._before = self._shared()
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def of_runs(self) -> list[str]:
        """Half written files, scratch folders, uploads that no run has."""
        results, uploads = self._folder / "results", self._folder / "uploads"
        found = [*self._folder.rglob("*.part"), *results.glob("*/work")]
        found += [one for one in uploads.glob("[!.]*") if not (results / one.name / "run.json").exists()]
        return [str(path.relative_to(self._folder)) for path in found]

    def elsewhere(self) -> list[str]:
        """What is left of workers; not what is of a process that lives, which is another program's by then."""
        found = {path.name for path in self._folder.iterdir()} - self._KEPT
        locks = {name for name in found if name.startswith("speedup-lab")}  # of the machine, which stays
        shared_now = {name for name in self._shared() if not name.startswith("sem.mp-")}  # ours have names of our own
        left = (found - locks) | (shared_now - self._before)
        return sorted(name for name in left if not any(psutil.pid_exists(int(n)) for n in _PID.findall(name)))

    @staticmethod
    def _shared() -> set[str]:
        return {path.name for path in shared.FOLDER.iterdir()} if shared.FOLDER.is_dir() else set()
