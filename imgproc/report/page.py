"""The page of a run that has ended: all that it shows, from the record and the folder of its results."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imgproc.backends import BASELINE
from imgproc.errors import UserError
from imgproc.exhibits import Exhibit, Part, exhibit
from imgproc.measure.results import TechniqueMeasurement
from imgproc.numbers import counted, dimensions
from imgproc.operations import OPERATIONS
from imgproc.pixels.previews import PREVIEW_SIDE, thumbnail_of
from imgproc.report import advice, conditions, costs, granularity, owners, scale, sentences, tasks, timeline, whatif
from imgproc.report.energy import energy
from imgproc.report.glossary import CONDITIONS, NUMBERS, terms
from imgproc.report.image_warnings import image_warnings
from imgproc.report.schedules import affinity, schedules
from imgproc.report.text import summary
from imgproc.runs.record import ImageRecord, Record

#: Images on one page of the gallery.
PAGE_IMAGES = 100
#: Failed images that the summary on the page names; the one as text names all.
MOST_FAILED = 3
#: A picture shows something where at least this share of its pixels is not of its most common gray.
SHOWS = 0.25


@dataclass(frozen=True)
class ShownOutput:
    """One result; ``shown``: how much of it shows something, 0 where that is not known."""

    operation: str
    label: str
    file: str
    bytes: int
    preview: str | None
    shown: float


@dataclass(frozen=True)
class ShownImage:
    """One image in the gallery; ``width`` and ``height`` are those of its preview. ``thumbnail``: a file among the
    previews; that of a run of an earlier version is the preview itself."""

    number: int
    name: str
    dims: str
    width: int
    height: int
    preview: str | None
    thumbnail: str | None
    outputs: list[ShownOutput]
    warnings: list[str]


@dataclass(frozen=True)
class Gallery:
    """A page of the images that have results, one of which is open.

    ``images`` are those on this page, ``start`` of all ``total`` come before it; ``at`` is the place of the open one
    among them, from 0, and ``output`` the result of it that is shown. ``before`` and ``after`` are the numbers of the
    images that adjoin the page. ``pages`` lead to the other pages: a text and the number of the first image there,
    None where this is that page. ``bytes`` are those of all results. ``histograms``: the operations beside whose
    results it stands how many of each gray there are.
    """

    images: list[ShownImage]
    start: int
    total: int
    at: int
    output: ShownOutput
    before: int | None
    after: int | None
    labels: list[tuple[str, str]]
    pages: list[tuple[str, int | None]]
    bytes: int
    histograms: set[str]

    @property
    def current(self) -> ShownImage:
        return self.images[self.at]

    @property
    def position(self) -> int:
        """The place of the open image among all, from 1."""
        return self.start + self.at + 1

    @property
    def previous(self) -> int | None:
        """The number of the image before the open one."""
        return self.images[self.at - 1].number if self.at else self.before

    @property
    def next(self) -> int | None:
        """The number of the image after the open one."""
        return self.images[self.at + 1].number if self.at + 1 < len(self.images) else self.after


def gallery(record: Record, results: Path, number: int, operation: str) -> Gallery | None:
    """The page of images on which the one with that number is, open at the result of that operation; where there is
    none such, at what shows most. None where nothing was made."""
    present, small = (names_in(results / folder) for folder in ("images", "previews"))
    there = [i for i in record.good_images if any(output.file in present for output in i.outputs)]
    if not there:
        return None
    place = next((k for k, image in enumerate(there) if image.index + 1 == number), _first_to_show(there))
    start = place - place % PAGE_IMAGES
    stop = min(start + PAGE_IMAGES, len(there))
    images = [_shown(image, present, small) for image in there[start:stop]]
    current = images[place - start]
    return Gallery(
        images,
        start,
        len(there),
        place - start,
        next((o for o in current.outputs if o.operation == operation), max(current.outputs, key=lambda o: o.shown)),
        there[start - 1].index + 1 if start else None,
        there[stop].index + 1 if stop < len(there) else None,
        [(name, OPERATIONS[name].result.capitalize()) for name in record.settings.operations if name in OPERATIONS],
        _pages(there, start),
        sum(output.bytes for image in there for output in image.outputs if output.file in present),
        {name for name in record.settings.operations if name in OPERATIONS and OPERATIONS[name].look.histogram},
    )


def _first_to_show(images: Sequence[ImageRecord]) -> int:
    """The place of the first image of which a result shows something; where none does, of the one that shows most."""
    shares = [max((output.shown or 0.0 for output in image.outputs), default=0.0) for image in images]
    return next((k for k, share in enumerate(shares) if share >= SHOWS), shares.index(max(shares)))


def _has_inputs(record: Record) -> bool:
    """Whether there is something to run again: a file that was accepted, or samples, which are drawn anew."""
    return not record.images or any(image.stored for image in record.images)


def names_in(folder: Path) -> set[str]:
    """Of all files there and in folders below, which their names then say; none where there is no such folder."""
    names: set[str] = set()
    for inside, _, files in os.walk(folder):  # there may be tens of thousands
        below = Path(inside).relative_to(folder).as_posix()
        names.update(files if below == "." else (f"{below}/{file}" for file in files))
    return names


def _pages(images: Sequence[ImageRecord], start: int) -> list[tuple[str, int | None]]:
    """Links to the first page, the one before that which begins at ``start``, the one after it, and the last; none
    where there is only one."""
    last = (len(images) - 1) // PAGE_IMAGES * PAGE_IMAGES
    if not last:
        return []
    places = {"First": 0, "Previous": start - PAGE_IMAGES, "Next": start + PAGE_IMAGES, "Last": last}
    return [(text, images[k].index + 1 if 0 <= k <= last and k != start else None) for text, k in places.items()]


def _shown(image: ImageRecord, present: set[str], small: set[str]) -> ShownImage:
    scale = min(1.0, PREVIEW_SIDE / max(image.width, image.height, 1))
    outputs = []
    for output in image.outputs:
        if output.file in present:
            label = OPERATIONS[output.operation].result if output.operation in OPERATIONS else output.operation
            preview = output.preview if output.preview in small else None
            outputs.append(
                ShownOutput(output.operation, label, output.file, output.bytes, preview, output.shown or 0.0)
            )
    return ShownImage(
        image.index + 1,
        image.name,
        dimensions(image.width, image.height),
        max(1, round(image.width * scale)),
        max(1, round(image.height * scale)),
        image.preview if image.preview in small else None,
        thumbnail(image, small),
        outputs,
        image.warnings,
    )


def thumbnail(image: ImageRecord, small: set[str]) -> str | None:
    """The file, among those that are there, that shows an image smallest."""
    names = (thumbnail_of(image.preview), image.preview) if image.preview else ()
    return next((name for name in names if name in small), None)


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
    after = "a warm-up of each start" if (anew := sentences.starts(record)) else "one warm-up"
    note = f"Medians of {counted(rounds, 'round', words=True)} after {after}{', interleaved' if many else ''}."
    return f"{note} {anew}".rstrip()


def _has_numbers(record: Record) -> bool:
    """Whether any technique was timed, or says why not; of a run that was cancelled before, there is no table."""
    return any(t.median_seconds is not None or (t.available and t.reason) for t in record.techniques)


@dataclass(frozen=True)
class OfExhibit:
    """Which exhibit a run is of, and which of its functions it measures."""

    shown: Exhibit
    part: Part


def of_exhibit(record: Record) -> OfExhibit | None:
    """None for any other run, also for one of an exhibit that this version does not have."""
    name, _, part = record.of_exhibit.partition("/")
    try:
        shown = exhibit(name)
        return OfExhibit(shown, shown.part(part))
    except UserError:
        return None


def told(record: Record) -> dict[str, Any]:
    """What is said of a run that has ended, without its files."""
    return {
        "refused": [image for image in record.images if image.error],
        "image_warnings": image_warnings(record),
        "rows": table(record) if _has_numbers(record) else [],
        "note": measured_note(record),
        "energy": energy(record),
        "guess": sentences.guess(record),
        "schedules": [*schedules(record), *affinity(record)],
        **costs.costs(record),
        **conditions.conditions(record),
        "summary": summary(record, MOST_FAILED).rstrip("\n"),
        **sentences.sentences(record),
        "scaling": scale.section(record),
        "granularity": granularity.section(record, costs.meanings(record)),
        "advice": advice.advice(record),
        "use_items": list(tasks.advice(record)),
        "item_notes": list(tasks.notes(record.task)) if record.task else [],
        "words": {"numbers": terms(*NUMBERS), "conditions": terms(*CONDITIONS)},
    }


def asked_gallery(record: Record, results: Path, query: Mapping[str, str]) -> Gallery | None:
    """The gallery with the image and the result open that ``query``, the address's, asks for, where they are there."""
    image = query.get("image", "")
    number = int(image) if image.isdecimal() and len(image) < 10 else 0
    return gallery(record, results, number, query.get("operation", ""))


def done(record: Record, results: Path, query: Mapping[str, str]) -> dict[str, Any]:
    """What ``query``, the address's, asks for and there is not is left out."""
    return {
        **told(record),
        "gallery": asked_gallery(record, results, query),
        "timeline": timeline.timeline(record, query.get("round", ""), query.get("with", "")),
        "owners": owners.owners(record, query.get("round", ""), query.get("with", "")) if record.images else None,
        "exhibit": of_exhibit(record),
        "what_if": bool(whatif.bases(record)),
        "can_repeat": bool(record.task.exhibit) if record.task else _has_inputs(record),
    }
