"""Rows 9 and 10: a disk that is full, and an index that is not as it was left."""

from __future__ import annotations

import errno
import io
import shutil
import sqlite3
import subprocess
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from benchmarks.holds.watching import MB, app_of
from benchmarks.web_load import Promise, drawn, exactly, told, under
from imgproc.runs.reserve import NAME as RESERVED
from imgproc.runs.tables import RunRow
from tests.live_app import Live

DISK_MB = 60
#: What is to stay free of it, in megabytes: an app takes no more uploads then.
RESERVE_MB = 5


def disk_full(scale: float, seed: int) -> Iterator[Promise]:
    """Row 9: uploads, results, records and the index are on a disk of 60 MB, which is full again and again."""
    with tempfile.TemporaryDirectory(prefix="holds-") as place, small_disk(Path(place) / "disk") as disk:
        if disk is None:
            yield told("a small disk cannot be mounted here (needs Linux and its administrator)", "not tried")
            return
        folders = {"UPLOADS_DIR": disk / "uploads", "RESULTS_DIR": disk / "results"}
        with app_of(Path(place), DISK_RESERVE_MB=RESERVE_MB, **folders) as live:
            yield from _on_small_disk(live, Path(place), disk)


def _on_small_disk(live: Live, place: Path, disk: Path) -> Iterator[Promise]:
    live.start()
    picture = drawn(place, 3.0)
    done = live.post([("a.jpg", picture)] * 3, mode="sequential", budget="0").json()["id"]
    yield _is("a run while there is room", "done", live.finished(done)["state"])

    fill(disk, (RESERVE_MB + 10) * MB)
    answer = live.post([(f"{n}.jpg", picture) for n in range(20 * MB // len(picture))], mode="sequential")
    yield _is("an upload that does not fit", "507", str(answer.status_code))
    yield exactly("… uploads that are there: those of the run before", 1, len(list((disk / "uploads").glob("[!.]*"))))

    free(disk)
    run_id = live.post([("a.jpg", picture)] * 12, mode="sequential", budget="20", rounds="100").json()["id"]
    live.wait(lambda: live.record(run_id)["state"] == "running", "a run that runs")
    fill(disk)
    until = time.monotonic() + 10
    while (record := live.record(run_id))["state"] == "running" and time.monotonic() < until:
        time.sleep(0.2)
    reached = f"{record['state']}: {record['error'] or 'no reason yet'}"
    full = "disk" in (record["error"] or "").lower()
    yield Promise("a disk that fills up in a run, within 10 s", "failed, with the disk as reason", reached, full)

    answer = live.http.get(f"/runs/{done}/results.zip")
    yield _is("a zip on the full disk", "200, whole", f"{answer.status_code}, {_zip_state(answer.content)}")
    answer = live.post([("a.jpg", picture)], mode="sequential")
    yield _is("a post to the full disk", "507", str(answer.status_code))
    yield _is("a page on the full disk", "200", str(live.http.get("/runs").status_code))
    free(disk)
    state = live.finished(run_id, 300)["state"]
    yield Promise("the run, when there is room again", "done or failed", state, state in ("done", "failed"))
    live.wait((disk / "results" / RESERVED).exists, "the room that is kept back")

    live.stop()
    fill(disk)
    live.start()
    answers = [live.http.get(path).status_code for path in ("/", "/healthz", f"/runs/{done}")]
    yield _is("an app started on the full disk: its form, /healthz, a run", "200, 503, 200",
              ", ".join(map(str, answers)))  # fmt: skip

    yield _is("delete on the full disk", "200", str(_delete_when_full(live, disk, picture)))
    run_id = live.post([("a.jpg", picture)], mode="sequential", budget="0").json()["id"]
    yield _is("a run when there is room again, without a restart", "done", live.finished(run_id)["state"])
    live.stop()
    log = (place / "server.log").read_text(errors="replace")
    yield exactly("tracebacks on the terminal", 0, log.count("Traceback"))


def _delete_when_full(live: Live, disk: Path, picture: bytes) -> int:
    """The status of deleting a run of this client while the disk is full; then there is room."""
    free(disk)
    run_id = live.post([("a.jpg", picture)], mode="sequential", budget="0").json()["id"]
    live.finished(run_id)
    fill(disk)
    status = live.ask(run_id, "delete").status_code
    free(disk)
    return status


def _zip_state(data: bytes) -> str:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as zipped:
            return "whole" if zipped.namelist() and zipped.testzip() is None else "empty or damaged"
    except zipfile.BadZipFile:
        return "no zip"


def _is(what: str, wanted: str, reached: str) -> Promise:
    return Promise(what, wanted, reached, reached == wanted)


@contextmanager
def small_disk(folder: Path) -> Iterator[Path | None]:
    """A disk of ``DISK_MB``; None where none can be mounted."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True, check=False).returncode:
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path, left: int = 0) -> None:
    """Leave so many bytes of it."""
    with open(disk / "filler", "ab", buffering=0) as file:
        for size in (MB, 4096, 1):
            try:
                while shutil.disk_usage(disk).free - left >= size:
                    file.write(bytes(size))
            except OSError as problem:
                if problem.errno != errno.ENOSPC:
                    raise


def free(disk: Path) -> None:
    (disk / "filler").unlink()


# ---------------------------------------------------------------- the index


def index_damaged(scale: float, seed: int) -> Iterator[Promise]:
    """Row 10: the index of an app that runs, and of one that is started, is not as it was left."""
    runs, locked = max(3, round(20 * scale)), max(1.0, 15 * scale)
    with tempfile.TemporaryDirectory(prefix="holds-") as place, app_of(Path(place), HISTORY="shared") as live:
        live.start()  # each start has another client
        picture, file = drawn(Path(place), 0.3), Path(place) / "results" / "index.sqlite"

        def run() -> str:
            run_id = live.post([("a.jpg", picture)], mode="sequential", budget="0").json()["id"]
            return str(live.finished(run_id)["state"])

        yield exactly(f"{runs} runs: done", runs, [run() for _ in range(runs)].count("done"))
        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            begin = time.monotonic()
            pages = []
            while time.monotonic() - begin < locked:
                asked = time.monotonic()
                assert live.http.get("/runs").status_code == 200
                pages.append(time.monotonic() - asked)
            other.execute("ROLLBACK")
        yield under(f"locked for {locked:g} s: slowest page", 1.0, max(pages))
        yield _is("… a run afterwards", "done", run())
        runs += 1
        for name, damage in DAMAGES.items():
            for stopped in (False, True):
                if stopped:
                    live.stop()
                damage(file)
                if stopped:
                    live.start()
                begin = time.monotonic()
                live.wait(lambda wanted=runs: _listed(live) >= wanted, f"all runs after {name}", 30)
                seconds = time.monotonic() - begin
                what = f"{name}, while the app {'is stopped' if stopped else 'runs'}"
                yield under(f"{what}: all {runs} runs are listed after", 5.0, seconds)
                yield _is("… a run afterwards", "done", run())
                runs += 1
        live.stop()


def _listed(live: Live) -> int:
    """The runs that the history has."""
    answer = live.http.get("/runs.csv")
    return len(answer.text.splitlines()) - 1 if answer.status_code == 200 else -1


def _missing(file: Path) -> None:
    for one in file.parent.glob(f"{file.name}*"):
        one.unlink()


def _cut(file: Path) -> None:
    file.write_bytes(b"")


def _garbage(file: Path) -> None:
    file.write_bytes(b"this is no database" * 1_000)


def _corrupt(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray(file.read_bytes())
    data[4096 : len(data) - 4096] = b"\xa5" * (len(data) - 8192)
    file.write_bytes(data)


def _older(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(f"ALTER TABLE {RunRow.__tablename__} DROP COLUMN megapixels")
        connection.commit()


DAMAGES: dict[str, Callable[[Path], None]] = {
    "missing": _missing, "cut to nothing": _cut, "no database": _garbage, "corrupt in the middle": _corrupt,
    "older: a column is missing": _older,
}  # fmt: skip
