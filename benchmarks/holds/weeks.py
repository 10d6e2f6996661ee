"""Rows 11 and 12: many runs one after another, and large downloads."""

from __future__ import annotations

import os
import tempfile
import threading
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import cycle
from pathlib import Path

import httpx
import numpy as np
import psutil

from benchmarks.holds.watching import MB, Leftovers, app_of, held
from benchmarks.web_load import Promise, drawn, exactly, told, under
from tests.backend_kinds import AVAILABLE
from tests.live_app import Live

#: The room for all runs in the soak, in megabytes, and what one run may take beyond until it is seen to.
QUOTA_MB, BEYOND_MB = 100, 30
#: Of the soak, what is not counted: caches fill.
WARM_UP = 0.2


def soak(scale: float, seed: int) -> Iterator[Promise]:
    """Row 11: runs of every technique one after another for 30 minutes, with a quota for the disk."""
    seconds = max(20.0, 1800 * scale)
    samples: list[dict[str, float]] = []
    states: list[str] = []
    with (
        tempfile.TemporaryDirectory(prefix="holds-") as place,
        Leftovers(Path(place)) as left,
        app_of(Path(place), KEEP_MB=QUOTA_MB) as live,
    ):
        live.start()
        begin = time.monotonic()
        for name in cycle(AVAILABLE):
            mode = {"mode": "sequential"} if name == "sequential" else {"mode": "parallel", "technique": name}
            answer = live.post([], samples="6", sample_megapixels="0.5", workers="2", budget="1", **mode)
            states.append(live.finished(answer.json()["id"], 300)["state"])
            time.sleep(0.5)  # the runner tidies up after a run
            samples.append({"hours": (time.monotonic() - begin) / 3600, **_taken(live, Path(place))})
            if time.monotonic() - begin > seconds and len(states) >= 3:
                break
        live.stop()
        others = left.elsewhere()
    yield exactly(f"{len(states)} runs in {seconds / 60:.1f} minutes: done", len(states), states.count("done"))
    for what, limit in (("web MB", 1.0), ("runner MB", 1.0), ("web descriptors", 1.0), ("runner descriptors", 1.0)):
        slope = _slope(samples, what)
        reached = f"{slope:+.2f} an hour, {samples[-1][what]:.0f} in the end"
        yield Promise(f"… {what}", f"under {limit:g} an hour", reached, slope < limit)
    most = max(sample["disk MB"] for sample in samples)
    yield Promise(f"… disk, with KEEP_MB={QUOTA_MB}", f"under {QUOTA_MB + BEYOND_MB} MB", f"{most:.0f} MB",
                  most < QUOTA_MB + BEYOND_MB)  # fmt: skip
    yield exactly(f"… left in temporary folders and shared memory {others or ''}".strip(), 0, len(others))


def _taken(live: Live, place: Path) -> dict[str, float]:
    found = {f"{name} MB": size for name, size in held(live).items()}
    found["web descriptors"] = psutil.Process(live.process.pid).num_fds()
    found["runner descriptors"] = live.runner().num_fds()
    found["disk MB"] = (_size(place / "uploads") + _size(place / "results")) / MB
    return found


def _size(folder: Path) -> int:
    """Bytes of the files in and below a folder, some of which may be removed meanwhile."""
    size = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                size += os.stat(os.path.join(place, name)).st_size  # noqa: PTH116, PTH118 - as os.walk has it
    return size


def _slope(samples: list[dict[str, float]], what: str) -> float:
    """By the median of the slopes between any two samples (Theil and Sen), which single ones far off do not move."""
    kept = samples[int(WARM_UP * len(samples)) :]
    hours, values = (np.array([sample[name] for sample in kept]) for name in ("hours", what))
    first, second = np.triu_indices(len(kept), 1)
    if not len(first):
        return 0.0
    return float(np.median((values[second] - values[first]) / (hours[second] - hours[first])))


# ---------------------------------------------------------------- downloads


def zips(scale: float, seed: int) -> Iterator[Promise]:
    """Row 12: the zip of 3,000 results, 20 times at once."""
    files, downloads = max(4, round(1_000 * scale)), max(4, round(20 * scale))
    with tempfile.TemporaryDirectory(prefix="holds-") as place, app_of(Path(place)) as live:
        live.start()
        picture = drawn(Path(place), 6.0)
        answer = live.post([(f"{n}.jpg", picture) for n in range(files)], mode="sequential", budget="0")
        run_id = answer.json()["id"]
        record = live.finished(run_id, 3_600)
        results = sum(len(image["outputs"]) for image in record["images"])
        size = int(live.http.head(f"/runs/{run_id}/results.zip").headers["Content-Length"])
        before, over, most = held(live)["web"], threading.Event(), [0.0]

        def watch() -> None:
            while not over.wait(0.2):
                most[0] = max(most[0], held(live)["web"])

        def download(_: int) -> tuple[float, int, int]:
            """Seconds to the first byte, length, checksum."""
            begin, first, length, checksum = time.perf_counter(), 0.0, 0, 0
            with httpx.stream("GET", f"{live.url}/runs/{run_id}/results.zip", timeout=600,
                              cookies=live.http.cookies) as answer:  # fmt: skip
                for piece in answer.iter_raw():
                    first = first or time.perf_counter() - begin
                    length += len(piece)
                    checksum = zlib.crc32(piece, checksum)
            return first, length, checksum

        watching = threading.Thread(target=watch)
        watching.start()
        with ThreadPoolExecutor(downloads) as threads:
            begin = time.perf_counter()
            found = list(threads.map(download, range(downloads)))
            seconds = time.perf_counter() - begin
        over.set()
        watching.join()
        live.stop()
    yield exactly(f"{downloads} downloads at once of {results} results, {size / MB:.0f} MB: whole", downloads,
                  [length for _, length, _ in found].count(size))  # fmt: skip
    yield exactly("… that differ", 0, len({checksum for _, _, checksum in found}) - 1)
    yield under("… first byte after, at most", 1.0, max(first for first, _, _ in found))
    extra = max(0.0, most[0] - before)
    yield Promise("… what the web process took beyond", "under 100 MB", f"{extra:.0f} MB", extra < 100)
    yield told("… all were there after", f"{seconds:.1f} s, {downloads * size / MB / seconds:.0f} MB a second")
