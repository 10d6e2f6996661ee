"""What the runner of the web app holds after many runs.

    python benchmarks/runner_memory.py [--runs 50] [--images 12] [--megapixels 0.3] [--budget 2] [--technique NAME ...]

Starts the app with folders of its own and sends one run after the other, in turn a sequential one, a comparison, a
scale run, and a parallel one of each technique that can run here. After every five, when the runner has nothing to do,
it prints the runner's memory: resident (RSS), its own share of it (PSS; USS without the shared pages), the largest it
ever was (peak), and the processes that it still has. The exit status is 1 where the runner holds more than 1.3 times
in the end what it held after five runs, or was started anew meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from imgproc.backends import TECHNIQUES

PROJECT = Path(__file__).resolve().parent.parent
EVERY = 5
MOST_GROWTH = 1.3
#: Longest that one run may take, in seconds.
LONGEST = 600.0
JSON = {"Accept": "application/json"}
MB = 1e6


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """The app at an address, and its process."""
    environment = {**os.environ, "UPLOADS_DIR": str(folder / "uploads"), "RESULTS_DIR": str(folder / "results")}
    command = [sys.executable, "-m", "imgproc", "serve", "--port", "0"]
    with subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout
            line = server.stdout.readline()
            yield next(word for word in line.split() if word.startswith("http")).rstrip("/"), psutil.Process(server.pid)
        finally:
            server.terminate()


def runner_of(server: psutil.Process) -> psutil.Process:
    """The process that works off the queue.

    Raises:
        StopIteration: there is none.
    """
    return next(child for child in server.children() if "imgproc.runs.runner" in " ".join(child.cmdline()))


def done(address: str, fields: dict[str, str]) -> str:
    """Send a run and wait for its end; returns its state."""
    with urlopen(Request(f"{address}/process", urlencode(fields).encode(), JSON)) as answer:
        url = json.load(answer)["url"]
    until = time.monotonic() + LONGEST
    while time.monotonic() < until:
        with urlopen(Request(f"{address}{url}.json?view=progress", headers=JSON)) as answer:
            now = json.load(answer)
        if now["final"]:
            return str(now["state"])
        time.sleep(0.3)
    return "too long"


def kinds(names: list[str]) -> Iterator[dict[str, str]]:
    """The modes in turn, the parallel ones with the techniques in turn."""
    modes: list[dict[str, str]] = [{"mode": "sequential"}, {"mode": "compare"}, {"mode": "scale", "workers": "1,2"}]
    techniques = cycle(names)
    while True:
        yield from modes
        for _ in names[:3]:
            yield {"mode": "parallel", "technique": next(techniques)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--images", type=int, default=12)
    parser.add_argument("--megapixels", type=float, default=0.3)
    parser.add_argument("--budget", type=float, default=2.0, help="seconds, at least 1, the least of a comparison")
    parser.add_argument("--technique", action="append", default=[], help="one of the parallel runs, repeated for more")
    chosen = parser.parse_args()
    able = [name for name, technique in TECHNIQUES.items() if name != "sequential" and technique.availability().ok]
    names = chosen.technique or able
    asked = {
        "samples": str(chosen.images), "sample_megapixels": str(chosen.megapixels), "budget": str(chosen.budget),
        "workers": "2",
    }  # fmt: skip
    held: dict[int, float] = {}
    with tempfile.TemporaryDirectory(prefix="runner-memory-") as folder, serving(Path(folder)) as (address, server):
        pid = None
        print(f"{'runs':>5}{'RSS MB':>9}{'PSS MB':>9}{'USS MB':>9}{'peak MB':>9}{'processes':>11}  last run")
        for number, kind in enumerate(islice(kinds(names), chosen.runs), 1):
            state = done(address, {**asked, **kind})
            if number % EVERY and number != chosen.runs:
                continue
            time.sleep(1)  # it tidies up after a run
            runner = runner_of(server)
            if pid not in (None, runner.pid):
                print("The runner was started anew.")
                return 1
            pid, memory = runner.pid, runner.memory_full_info()
            held[number] = memory.pss
            peak = next(
                int(line.split()[1]) * 1024
                for line in Path(f"/proc/{pid}/status").read_text().splitlines()
                if line.startswith("VmHWM")
            )
            row = "".join(f"{size / MB:>9.1f}" for size in (memory.rss, memory.pss, memory.uss, peak))
            others = len(runner.children(recursive=True))
            print(f"{number:>5}{row}{others:>11}  {' '.join(kind.values())}: {state}", flush=True)
    first, last = held[min(held)], held[max(held)]
    print(f"In the end {last / first:.2f} times what it was after {min(held)} runs (at most {MOST_GROWTH}).")
    return int(last > MOST_GROWTH * first)


if __name__ == "__main__":
    sys.exit(main())
