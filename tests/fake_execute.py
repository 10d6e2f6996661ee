"""Stand-ins for the work of a run, for the runner's tests; also loaded by real runner processes by name.

What a stand-in does is told by the name of the run's first image, so that one runner can be given many kinds.
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from imgproc.errors import UserError
from imgproc.measure.results import Progress, Round, TechniqueMeasurement
from imgproc.runs.record import OutputRecord, Record
from imgproc.settings import Settings

Tell = Callable[[Progress], None]
Ask = Callable[[], bool]


def execute(
    record: Record, uploads: Path, results: Path, settings: Settings, *, progress: Tell, cancelled: Ask
) -> None:
    assert Record.load(results).state == "running"
    with open(settings.RESULTS_DIR / "order.txt", "a") as order:
        order.write(f"{record.id}\n")
    kind = record.images[0].name
    (results / "images").mkdir(exist_ok=True)
    (results / "work").mkdir(exist_ok=True)
    if kind == "slow":
        _be_slow(results, settings, progress, cancelled)
    elif kind == "hang":
        time.sleep(600)
    elif kind == "refuse":
        raise UserError("None of the images could be processed.")
    elif kind == "crash":
        raise ValueError("a library's own words in /some/server/path")
    elif kind == "full":
        raise OSError(errno.ENOSPC, "No space left on device", str(results))
    elif kind == "die":
        os._exit(9)
    (results / "images" / "a_canny.png").write_bytes(b"result")
    record.images[0].outputs = [OutputRecord("canny", "a_canny.png", 6)]
    record.techniques = [TechniqueMeasurement("threading", "Threads", 2, rounds=[Round(0.5)], median_seconds=0.5)]
    record.state = "cancelled" if cancelled() else "done"


def _be_slow(results: Path, settings: Settings, progress: Tell, cancelled: Ask) -> None:
    """Work until the file ``go`` is there, with a worker, half a file and scratch files lying about."""
    worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        (results / "images" / "a_canny.png.part").write_bytes(b"half")
        (results / "work" / "scratch").write_bytes(b"scratch")
        (settings.RESULTS_DIR / "pids.txt").write_text(f"{os.getpid()} {worker.pid}\n")
        done = 0
        while not (settings.RESULTS_DIR / "go").exists() and not cancelled():
            done += 1
            progress(Progress("rounds", images_done=done, images_total=1_000_000))
            time.sleep(0.02)
    finally:
        worker.kill()
        worker.wait()
