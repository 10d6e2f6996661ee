"""What each page is given to show."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from imgproc import numbers
from imgproc.measure import environment
from imgproc.measure.results import IMAGES, MOST_OWNED, NOTHING, RESULTS, Owned, Progress
from imgproc.report import live as live_rounds
from imgproc.report.image_warnings import image_warnings
from imgproc.report.page import asked_gallery, names_in, thumbnail
from imgproc.report.page import done as done
from imgproc.report.sentences import doing, step
from imgproc.runs.record import FINAL_STATES, Record
from imgproc.runs.removal import expires
from imgproc.runs.store import RunRow
from imgproc.settings import Settings

#: Said of a run that goes on, or waits, on a full disk.
DISK_FULL = "The disk is full, so what becomes of this run cannot be written until there is room."


def machine() -> str:
    """This machine in one line, for the foot of every page."""
    env = environment.environment()
    cores = numbers.counted(env["cores_usable"], "core")
    gpu = env["gpu"] or "no GPU"
    opencv = env["versions"].get("opencv-python-headless", "")
    return (
        f"{cores} ({env['cpu']}), {numbers.size(env['memory_bytes'])}, {gpu}. Python {env['python']}, "
        f"OpenCV {opencv}. Measuring one run at a time."
    )


def kept(settings: Settings, finished: datetime | None = None) -> str:
    """Until when the run that ended then is kept; until when any is."""
    words = []
    if settings.KEEP_DAYS:
        until = finished and expires(settings, finished)
        words.append(f"until {numbers.moment(until)}" if until else f"for {settings.KEEP_DAYS:g} days")
    if settings.KEEP_MB:
        words.append(f"until newer runs need the room: {numbers.size(settings.KEEP_MB * 1_000_000)} for all together")
    return ", or ".join(words) or "until somebody deletes it"


def going_on(record: Record, results: Path, query: Mapping[str, str], live: dict[str, Any]) -> dict[str, Any]:
    """The page of a run that waits or goes on, which shows its images, and its results as soon as they are there to
    stay: only then does the record name any.

    Args:
        results: the folder of its results.
        query: the address's, which may ask for one of the images.
        live: where the run stands, as ``live`` says it.
    """
    gallery = asked_gallery(record, results, query)
    small = names_in(results / "previews")
    there = ((image, thumbnail(image, small)) for image in record.good_images)
    pictures = list(itertools.islice(((image, name) for image, name in there if name), MOST_OWNED))
    return {
        "live": live,
        "ready": RESULTS if gallery else IMAGES if pictures else live["ready"],
        "title": doing(record),
        "gallery": gallery,
        "image_warnings": image_warnings(record),
        "pictures": pictures,
        "refused": [image for image in record.images if image.error],
    }


def live(row: RunRow, position: int, checked: tuple[int, int] | None = None, *, full: bool = False) -> dict[str, Any]:
    """What the page of a run asks for again and again. ``checked``: how many of its files are, of how many; ``full``:
    there is no room to write what becomes of it."""
    final = row.state in FINAL_STATES
    answer: dict[str, Any] = {"id": row.id, "state": row.state, "final": final, "ready": NOTHING}
    if row.state == "checking":
        done, total = checked or (0, row.images)
        detail = f"{done:,} of {numbers.counted(total, 'file')}"
        answer |= {"now": "Checking the files", "detail": detail, "share": done / max(1, total), "left": "", "gone": ""}
    elif row.state == "queued":
        before = f"{numbers.counted(position, 'run', words=True)} before it" if position else "it is next"
        answer |= {"position": position, "now": "Waiting", "detail": before, "share": 0, "left": "", "gone": ""}
    elif row.state == "running":
        known = {name: value for name, value in (row.progress or {}).items() if name in Progress.__dataclass_fields__}
        owned = known.pop("owned", None)
        progress = Progress(**{"phase": "", **known}, owned=Owned(**owned) if owned else None)
        now, detail = step(progress, "item" if row.over_items else "image")
        left = f"{numbers.about(progress.seconds_left)} left" if progress.seconds_left is not None else ""
        passes = f"{progress.passes_done} of {progress.passes_total} passes done." if progress.passes_total else ""
        answer |= {
            "progress": row.progress,
            "ready": progress.ready,
            "now": now,
            "detail": detail,
            "share": round(min(max(progress.share, 0), 1), 4),
            "left": left,
            "gone": f"{progress.elapsed:.0f}{numbers.NBSP}s gone" if progress.elapsed >= 1 else "",
            "passes": passes,
            "grid": live_rounds.rounds(progress, row.mode),
            "owners": live_rounds.owners(progress),
        }
    if full and not answer["final"]:
        answer |= {"detail": DISK_FULL[0].lower() + DISK_FULL[1:-1], "left": ""}
    return answer
