"""What a monitor asks for and a log tells of requests: ``/metrics`` in Prometheus' text format, an id for each request,
and a line in the log for each. Nothing in either is of a person: no name of a file, no link, no token."""

from __future__ import annotations

import logging
import re
import secrets
import shutil
import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

import psutil
from flask import Flask, Response, g, request

import imgproc
from imgproc.errors import UserError
from imgproc.runs.logs import FACTS, request_id
from imgproc.runs.store import Store
from imgproc.runs.supervisor import is_served
from imgproc.settings import Settings

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
ID_HEADER = "X-Request-Id"
_METHODS = {"GET", "HEAD", "POST", "OPTIONS"}
#: Upper ends of the histogram of how long an answer takes, in seconds.
_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
#: A proxy in front may have given the request an id of its own, which is kept if it is harmless.
_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")

log = logging.getLogger("imgproc.requests")

Labels = Mapping[str, str]


class Requests:
    """Counts requests, and how long their answers took to begin. Safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str, int]] = Counter()
        self._buckets = [0] * (len(_BOUNDS) + 1)
        self._seconds = 0.0

    def add(self, method: str, route: str, status: int, seconds: float) -> None:
        with self._lock:
            self._counts[method, route, status] += 1
            self._buckets[bisect_left(_BOUNDS, seconds)] += 1
            self._seconds += seconds

    def lines(self) -> Iterator[str]:
        with self._lock:
            counts, buckets, seconds = sorted(self._counts.items()), list(self._buckets), self._seconds
        labelled = [({"method": m, "route": r, "status": str(s)}, float(n)) for (m, r, s), n in counts]
        yield from _metric("speedup_lab_http_requests_total", "counter", "Requests answered.", labelled)
        name, below = "speedup_lab_http_request_seconds", 0
        yield f"# HELP {name} Seconds until the answer to a request began."
        yield f"# TYPE {name} histogram"
        for bound, count in zip((*_BOUNDS, float("inf")), buckets, strict=True):
            below += count
            end = "+Inf" if bound == float("inf") else f"{bound:g}"
            yield f'{name}_bucket{{le="{end}"}} {below}'
        yield f"{name}_sum {seconds:.6f}"
        yield f"{name}_count {below}"


def install(app: Flask) -> None:
    """Give every request its id, count it and log it. Installed before all else, so that refused ones are in."""
    requests = Requests()
    app.config["REQUESTS"] = requests

    @app.before_request
    def begin() -> None:
        given = request.headers.get(ID_HEADER, "")
        g.began = time.perf_counter()
        request_id.set(given if _ID.fullmatch(given) else secrets.token_hex(8))

    @app.after_request
    def end(answer: Response) -> Response:
        seconds = time.perf_counter() - g.get("began", time.perf_counter())
        method = request.method if request.method in _METHODS else "other"
        route = request.url_rule.rule if request.url_rule else "none"
        requests.add(method, route, answer.status_code, seconds)
        answer.headers[ID_HEADER] = request_id.get()
        facts = {
            "method": method,
            "route": route,
            "run": str((request.view_args or {}).get("run_id", ""))[:8],  # the whole id would be the run's link
            "status": answer.status_code,
            "seconds": round(seconds, 4),
            "bytes": answer.content_length,
            "client": request.remote_addr,
        }
        log.info("%s %s %d", method, route, answer.status_code, extra={FACTS: facts})
        return answer

    @app.teardown_request
    def forget(_: BaseException | None) -> None:
        request_id.set("")


def text(requests: Requests, store: Store, settings: Settings) -> str:
    """All there is to tell, in Prometheus' text format."""
    return "\n".join([*_app(settings), *_runs(store), *requests.lines()]) + "\n"


def _app(settings: Settings) -> Iterator[str]:
    process = psutil.Process()
    with process.oneshot():
        cpu, memory, began = process.cpu_times(), process.memory_info().rss, process.create_time()
    yield from _metric("speedup_lab_info", "gauge", "The version.", [({"version": imgproc.__version__}, 1.0)])
    served = float(is_served(settings.RESULTS_DIR))
    yield from _metric("speedup_lab_runner_up", "gauge", "Whether a process takes the runs.", [({}, served)])
    free = [
        ({"folder": name}, float(shutil.disk_usage(folder).free))
        for name, folder in (("uploads", settings.UPLOADS_DIR), ("results", settings.RESULTS_DIR))
        if folder.is_dir()
    ]
    yield from _metric("speedup_lab_disk_free_bytes", "gauge", "Free room on the disk of a folder.", free)
    yield from _metric(
        "process_cpu_seconds_total", "counter", "CPU time of this process.", [({}, cpu.user + cpu.system)]
    )
    yield from _metric(
        "process_resident_memory_bytes", "gauge", "Resident memory of this process.", [({}, float(memory))]
    )
    yield from _metric("process_start_time_seconds", "gauge", "When this process began.", [({}, began)])


def _runs(store: Store) -> Iterator[str]:
    try:
        counts = store.counts()
    except UserError:
        yield from _metric("speedup_lab_index_up", "gauge", "Whether the index can be used.", [({}, 0.0)])
        return
    yield from _metric("speedup_lab_index_up", "gauge", "Whether the index can be used.", [({}, 1.0)])
    states = [({"state": state}, float(count)) for state, count in counts.items()]
    yield from _metric("speedup_lab_runs", "gauge", "Runs there are now, by state.", states)


def _metric(name: str, kind: str, help: str, values: Iterable[tuple[Labels, float]]) -> Iterator[str]:
    yield f"# HELP {name} {help}"
    yield f"# TYPE {name} {kind}"
    for labels, value in values:
        inside = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        yield f"{name}{{{inside}}} {value!r}" if inside else f"{name} {value!r}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
