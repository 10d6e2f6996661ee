"""Keeps one runner process alive for as long as the app lives."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from dataclasses import fields
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from imgproc.backends import leftovers
from imgproc.installation import python_path
from imgproc.runs.process_control import kill_group
from imgproc.runs.runner import EXECUTE, RUNNER_LOCK
from imgproc.settings import SECRETS, Settings

#: One thread each: read when the libraries are loaded, so they must stand before the runner begins.
PINNED = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
FIRST_PAUSE = 0.2
LONGEST_PAUSE = 10.0
#: A runner that lived this long was well; the next pause is short again.
WELL_SECONDS = 60.0
STOP_SECONDS = 3.0

log = logging.getLogger(__name__)


def is_served(results: Path) -> bool:
    """Whether a runner takes runs from this results folder, whoever started it; True where nobody can tell."""
    lock = FileLock(results / RUNNER_LOCK)
    try:
        lock.acquire(blocking=False)
    except (Timeout, OSError):
        return True
    lock.release()
    return False


class Supervisor:
    """``start`` launches the runner and restarts it whenever it dies; ``stop`` ends it and all its workers.

    The runner's standard input is a pipe from this process: if this process dies in whatever way, the runner
    notices and ends itself. ``restarts`` counts the runners that died by themselves.
    """

    def __init__(self, settings: Settings, *, execute: str = EXECUTE) -> None:
        self.restarts = 0
        self._command = [sys.executable, "-P", "-m", "imgproc.runs.runner", "--execute", execute]
        self._environment = runner_environment(settings)
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def alive(self) -> bool:
        """Whether a runner process is there now."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """The runner's process id; None while there is none."""
        return self._process.pid if self._process and self.alive else None

    def start(self) -> None:
        """Launch the runner; returns at once. Safe to call twice."""
        if self._thread is None:
            self._stopping.clear()
            self._thread = threading.Thread(target=self._keep, name="supervisor", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the runner, even in the middle of a run, which the next one takes up again. Safe to call twice."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._stopping.set()
        self._let_go()
        thread.join(STOP_SECONDS)
        if thread.is_alive() and self._process:
            kill_group(self._process.pid)
            self._process.kill()
            thread.join()

    def _keep(self) -> None:
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            begin = time.monotonic()
            try:
                self._process = process = self._launch()
            except OSError:
                log.exception("The runner could not be started.")
            else:
                if self._stopping.is_set():
                    self._let_go()
                code = process.wait()
                # Its workers notice by themselves that it is gone; this is for those that hang.
                kill_group(process.pid)
                leftovers.remove_of(process.pid)
                self._let_go()
                if self._stopping.is_set():
                    return
                log.warning("The runner ended with code %d; starting another one.", code)
            self.restarts += 1
            pause = FIRST_PAUSE if time.monotonic() - begin > WELL_SECONDS else min(pause * 2, LONGEST_PAUSE)
            self._stopping.wait(pause)

    def _launch(self) -> subprocess.Popen[bytes]:
        apart: dict[str, Any] = {"start_new_session": True}  # Ctrl-C in the terminal is for the app alone
        if sys.platform == "win32":
            apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
        return subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=self._environment, **apart
        )

    def _let_go(self) -> None:
        """Close our end of the pipe, which ends the runner."""
        if self._process and self._process.stdin:
            self._process.stdin.close()


def runner_environment(settings: Settings) -> dict[str, str]:
    """The runner's environment: ours, the settings by name, and inner threads pinned."""
    own = {item.name: getattr(settings, item.name) for item in fields(settings)}
    values = {name: str(value.absolute() if isinstance(value, Path) else value) for name, value in own.items()}
    everything = {**os.environ, **values, **dict.fromkeys(PINNED, "1"), "PYTHONPATH": python_path()}
    return {name: value for name, value in everything.items() if name not in SECRETS}
