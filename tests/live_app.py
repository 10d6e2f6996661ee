"""The real app, as ``python -m imgproc serve`` starts it, for tests and benchmarks."""

import os
import re
import subprocess
import sys
import time
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

import httpx
import psutil

from imgproc.runs.record import FINAL_STATES

PROJECT = Path(__file__).resolve().parent.parent


class Live:
    """A served app; ``start`` after a kill gives the next one in the same folders."""

    command, place = (sys.executable, "-m", "imgproc"), PROJECT
    #: The file that its standard error is added to; None: it goes where this process's goes.
    log = None

    def __init__(self, folder, **settings):
        self.folder = folder
        self.environment = {
            **os.environ,
            "UPLOADS_DIR": str(folder / "uploads"),
            "RESULTS_DIR": str(folder / "results"),
            "TMPDIR": str(folder),  # also where the machine's lock lies: these runs need not wait for others
            **{name: str(value) for name, value in settings.items()},
        }

    process = None

    def __enter__(self):
        return self

    def __exit__(self, *problem):
        """Whatever became of the test or the benchmark, no process is left."""
        if self.process is None or self.process.poll() is not None:
            return
        for process in self.family():
            with suppress(psutil.Error):
                process.kill()
        self.process.wait(20)
        self.process.stdout.close()

    def start(self):
        command = [*map(str, self.command), "serve", "--port", "0"]
        with open(self.log, "ab") if self.log else nullcontext() as log:
            self.process = subprocess.Popen(
                command, cwd=self.place, env=self.environment, stdout=subprocess.PIPE, stderr=log, text=True
            )
        line = self.process.stdout.readline()
        self.url = re.search(r"http://\S+?:\d+", line)[0]
        self.http = httpx.Client(base_url=self.url, timeout=120)

    def family(self):
        """The app and all it started."""
        app = psutil.Process(self.process.pid)
        return [app, *app.children(recursive=True)]

    def runner(self):
        return self.wait(lambda: next(filter(is_runner, self.family()), None), "a runner", 20)

    def post(self, files, accept="application/json", **fields):
        parts = [("images", (name, data)) for name, data in files] or None
        return self.http.post("/process", files=parts, data=fields, headers={"Accept": accept})

    def ask(self, run_id, deed):
        """Posts that something is to be done with a run."""
        return self.http.post(f"/runs/{run_id}/{deed}", headers={"Accept": "application/json"})

    def record(self, run_id):
        return self.http.get(f"/runs/{run_id}.json").json()

    def wait(self, condition, what, seconds=90):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if value := condition():
                return value
            time.sleep(0.05)
        raise AssertionError(f"waited {seconds} s for {what}")

    def finished(self, run_id, seconds=90):
        def ended():
            record = self.record(run_id)
            return record if record["state"] in FINAL_STATES else None

        return self.wait(ended, "the run's end", seconds)

    def kill(self):
        self.process.kill()
        self.close()

    def stop(self):
        family = self.family() if self.process.poll() is None else []
        self.process.terminate()
        assert self.close() == 0
        assert not gone(family)

    def close(self):
        code = self.process.wait(20)
        self.process.stdout.close()
        self.http.close()
        return code


def is_runner(process):
    try:
        return "imgproc.runs.runner" in process.cmdline()
    except psutil.Error:  # it has just ended
        return False


def gone(processes, seconds=15):
    """Those of the processes that still live after a while."""
    return psutil.wait_procs(processes, timeout=seconds)[1]


@contextmanager
def serving(folder, **settings):
    live = Live(folder, **settings)
    live.start()
    try:
        yield live
    finally:
        if live.process.poll() is None:
            live.stop()
