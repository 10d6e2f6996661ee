"""The page of a run that has ended: all that it shows, from the record and the folder of its results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imgproc.backends import BASELINE
from imgproc.measure.results import TechniqueMeasurement
from imgproc.numbers import counted, dimensions
from imgproc.operations import OPERATIONS
from imgproc.pixels.previews import PREVIEW_SIDE
from imgproc.report import advice, conditions, costs, scale, sentences, timeline
from imgproc.report.image_warnings import image_warnings
from imgproc.report.text import summary
from imgproc.runs.record import ImageRecord, Record


@dataclass(frozen=True)
class ShownOutput:
    operation: str
    label: str
    file: str
    bytes: int
    preview: str | None


@dataclass(frozen=True)
class ShownImage:
    """One image in the gallery; ``width`` and ``height`` are those of its preview."""

    number: int
    name: str
    dims: str
    width: int
    height: int
    preview: str | None
    outputs: list[ShownOutput]
    warnings: list[str]


def gallery(record: Record, results: Path, number: int, operation: str) -> dict[str, Any] | None:
    """The images with results, which one is open, and which result of it; None where nothing was made."""
    present, small = ({path.name for path in (results / folder).glob("*")} for folder in ("images", "previews"))
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


def _shown(image: ImageRecord, present: set[str], small: set[str]) -> ShownImage:
    scale = min(1.0, PREVIEW_SIDE / max(image.width, image.height, 1))
    outputs = []
    for output in image.outputs:
        if output.file in present:
            label = OPERATIONS[output.operation].result if output.operation in OPERATIONS else output.operation
            preview = output.preview if output.preview in small else None
            outputs.append(ShownOutput(output.operation, label, output.file, output.bytes, preview))
    return ShownImage(
        image.index + 1,
        image.name,
        dimensions(image.width, image.height),
        max(1, round(image.width * scale)),
        max(1, round(image.height * scale)),
        image.preview if image.preview in small else None,
        outputs,
        image.warnings,
    )


@dataclass(frozen=True)
class TechniqueRow:
    """One row of the table of techniques; ``best`` is the one that is measurably the fastest, if any."""

    t: TechniqueMeasurement
    baseline: bool
    best: bool
    peak: int | None


def table(record: Record) -> list[TechniqueRow]:
    """The technique the run is about first, the baseline last; of a comparison the fastest first."""
    found = record.found
    rows = {
        t.label: TechniqueRow(
            t,
            t.name == BASELINE,
            t.label == found.technique and found.outcome == "faster",
            max((r.peak_memory_bytes for r in t.rounds if r.peak_memory_bytes), default=None),
        )
        for t in record.techniques
    }
    return [rows[label] for label in found.order if label in rows]


def measured_note(record: Record) -> str:
    """How the numbers came about, in one sentence."""
    rounds = max((len(t.rounds) for t in record.techniques), default=0)
    many = len([t for t in record.techniques if t.rounds]) > 1
    if rounds < 2:
        return "One pass; more rounds would show how sure this is."
    return f"Medians of {counted(rounds, 'round', words=True)} after one warm-up{', interleaved' if many else ''}."


def done(record: Record, results: Path, query: Mapping[str, str]) -> dict[str, Any]:
    """What ``query``, the address's, asks for and there is not is left out."""
    image, operation = query.get("image", ""), query.get("operation", "")
    return {
        "refused": [image for image in record.images if image.error],
        "image_warnings": image_warnings(record),
        "gallery": gallery(record, results, int(image) if image.isdecimal() and len(image) < 10 else 1, operation),
        "rows": table(record),
        "note": measured_note(record),
        "timeline": timeline.timeline(record, query.get("round", ""), query.get("with", "")),
        **costs.costs(record),
        **conditions.conditions(record),
        "summary": summary(record).rstrip("\n"),
        **sentences.sentences(record),
        "scaling": scale.section(record),
        "advice": advice.advice(record),
    }
