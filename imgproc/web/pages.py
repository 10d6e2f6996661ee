"""What each page is given to show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from imgproc.backends import BASELINE, TECHNIQUES
from imgproc.backends.base import Availability
from imgproc.measure import environment
from imgproc.measure.results import Progress, TechniqueMeasurement
from imgproc.operations import OPERATIONS
from imgproc.pixels.previews import PREVIEW_SIDE
from imgproc.report import alarms as doubts
from imgproc.report import breakdown as why
from imgproc.report import conditions, formats, grid, pictures, scaling, timeline
from imgproc.report import sentences as words
from imgproc.report.text import summary
from imgproc.runs import splitting
from imgproc.runs.record import FINAL_STATES, ImageRecord, Record
from imgproc.runs.store import RunRow

PER_PAGE = 20
#: Most pictures on the page of a run that is still going.
LIVE_PICTURES = 24


@cache
def availability(name: str) -> Availability:
    """Whether a technique can run here, found out once: importing its packages takes long the first time."""
    return TECHNIQUES[name].availability()


def machine() -> str:
    """This machine in one line, for the foot of every page."""
    env = environment.environment()
    cores = formats.counted(env["cores_usable"], "core")
    gpu = env["gpu"] or "no GPU"
    opencv = env["versions"].get("opencv-python-headless", "")
    return (
        f"{cores} ({env['cpu']}), {formats.size(env['memory_bytes'])}, {gpu}. Python {env['python']}, "
        f"OpenCV {opencv}. Measuring one run at a time."
    )


# ---------------------------------------------------------------- one run


def live(row: RunRow, position: int) -> dict[str, Any]:
    """What the page of a run asks for again and again."""
    answer: dict[str, Any] = {"id": row.id, "state": row.state, "final": row.state in FINAL_STATES}
    if row.state == "queued":
        before = f"{formats.counted(position, 'run', words=True)} before it" if position else "it is next"
        answer |= {"position": position, "now": "Waiting", "detail": before, "share": 0, "left": "", "gone": ""}
    elif row.state == "running":
        known = {name: value for name, value in (row.progress or {}).items() if name in Progress.__dataclass_fields__}
        progress = Progress(**{"phase": "", **known})
        now, detail = words.step(progress)
        left = f"{formats.about(progress.seconds_left)} left" if progress.seconds_left is not None else ""
        passes = f"{progress.passes_done} of {progress.passes_total} passes done." if progress.passes_total else ""
        answer |= {
            "progress": row.progress,
            "now": now,
            "detail": detail,
            "share": round(min(max(progress.share, 0), 1), 4),
            "left": left,
            "gone": f"{progress.elapsed:.0f}{formats.NBSP}s gone" if progress.elapsed >= 1 else "",
            "passes": passes,
            "grid": grid.rounds(progress, row.mode),
        }
    return answer


@dataclass(frozen=True)
class Output:
    operation: str
    label: str
    file: str
    bytes: int
    preview: str | None


@dataclass(frozen=True)
class Shown:
    """One image in the gallery; ``width`` and ``height`` are those of its preview."""

    number: int
    name: str
    dims: str
    width: int
    height: int
    preview: str | None
    outputs: list[Output]


def gallery(record: Record, results: Path, number: int, operation: str) -> dict[str, Any] | None:
    """The images with results, which one is open, and which result of it; None where nothing was made."""
    images = results / "images"
    present = {path.name for path in images.iterdir()} if images.is_dir() else set()
    previews = results / "previews"
    small = {path.name for path in previews.iterdir()} if previews.is_dir() else set()
    shown = [s for image in record.good_images if (s := _shown(image, present, small)).outputs]
    if not shown:
        return None
    labels = [(name, OPERATIONS[name].result.capitalize()) for name in record.settings.operations if name in OPERATIONS]
    at = next((k for k, image in enumerate(shown) if image.number == number), 0)
    current = shown[at]
    output = next((o for o in current.outputs if o.operation == operation), current.outputs[0])
    return {
        "images": shown,
        "labels": labels,
        "current": current,
        "output": output,
        "previous": shown[at - 1] if at else None,
        "next": shown[at + 1] if at + 1 < len(shown) else None,
        "bytes": sum(o.bytes for image in shown for o in image.outputs),
    }


def _shown(image: ImageRecord, present: set[str], small: set[str]) -> Shown:
    scale = min(1.0, PREVIEW_SIDE / max(image.width, image.height, 1))
    outputs = []
    for output in image.outputs:
        if output.file not in present:
            continue
        preview = getattr(output, "preview", None)
        label = OPERATIONS[output.operation].result if output.operation in OPERATIONS else output.operation
        outputs.append(
            Output(output.operation, label, output.file, output.bytes, preview if preview in small else None)
        )
    return Shown(
        image.index + 1,
        image.name,
        formats.dimensions(image.width, image.height),
        max(1, round(image.width * scale)),
        max(1, round(image.height * scale)),
        image.preview if image.preview in small else None,
        outputs,
    )


@dataclass(frozen=True)
class Line:
    """One row of the table of techniques."""

    t: TechniqueMeasurement
    baseline: bool
    best: bool
    kind: str
    peak: int | None
    moved: int | None
    moving: float


def table(record: Record) -> list[Line]:
    """The technique the run is about first, the baseline last; of a comparison the fastest first."""
    best = record.best or (record.technique.name if record.technique else None)
    lines = [
        Line(
            t,
            t.name == BASELINE,
            t is record.technique and t.name == best and t.name != BASELINE,
            {"faster": "is-faster", "slower": "is-slower"}.get(t.verdict or "", "is-level"),
            max((r.peak_memory_bytes for r in t.rounds if r.peak_memory_bytes), default=None),
            *why.moving(t),
        )
        for t in record.techniques
    ]
    if record.mode == "compare":
        return sorted(lines, key=lambda line: (line.t.median_seconds is None, line.t.median_seconds or 0.0))
    return sorted(lines, key=lambda line: line.baseline)


def measured_note(record: Record) -> str:
    """How the numbers came about, in one sentence."""
    rounds = max((len(t.rounds) for t in record.techniques), default=0)
    counted = formats.counted(rounds, "round", words=True)
    many = len([t for t in record.techniques if t.rounds]) > 1
    if rounds < 2:
        return "One pass; more rounds would show how sure this is."
    return f"Medians of {counted} after one warm-up{', interleaved' if many else ''}."


def done(record: Record, results: Path, query: Mapping[str, str]) -> dict[str, Any]:
    """The page of a run that has ended; what ``query``, the address's, asks for and there is not is left out."""
    number, operation = query.get("image", ""), query.get("operation", "")
    found = why.reasons(record)
    return {
        "verdict": words.verdict(record) if record.state == "done" else None,
        "ending": words.ending(record),
        "bars": pictures.speedup_bars(record),
        "gallery": gallery(record, results, int(number) if number.isdecimal() and len(number) < 10 else 1, operation),
        "lines": table(record),
        "note": measured_note(record),
        "timeline": timeline.timeline(record, query.get("round", ""), query.get("with", "")),
        "reasons": found,
        "headline": why.headline(found) if found else None,
        "parts": why.parts(found),
        "transfers": why.transfers(record),
        "scopes": why.scopes(record),
        "scaling": scaling.section(record),
        "split": splitting.explain(record),
        "facts": conditions.conditions(record),
        "summary": summary(record).rstrip("\n"),
        "doubts": doubts.doubts(record),
        "checked": doubts.checked(record),
        "refused": [image for image in record.images if image.error],
    }
