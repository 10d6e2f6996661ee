"""The tables of the run index, and how a record becomes their rows. Portable types only."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, DateTime, Dialect, Double, Index, Integer, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

from imgproc.backends import BASELINE, TECHNIQUES
from imgproc.exhibits import OF_PICTURES
from imgproc.measure.findings import quicker_with_other_pixels
from imgproc.runs.access import Visible
from imgproc.runs.notes import Notes
from imgproc.runs.record import Mode, Record, State


class UtcTime(TypeDecorator[datetime]):
    """Aware times; stored as UTC without a zone, because not every database keeps zones."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC)


class Base(DeclarativeBase):
    pass


class RunRow(Base):
    """A run as the index knows it.

    The table's name carries its version: the index is made anew from the records, never migrated.
    Runs are taken by ``turn``, then by ``number``, and one that is queued again keeps both and so is first in line.
    A turn takes one run of each visitor: whoever has more than one waiting has them in later turns.
    ``visitor`` is whose turn it is, as in ``Access``, but never empty.
    ``budget`` is how long it may be measured, in seconds.
    ``technique`` and ``label`` are the one asked for until something was measured, then the one the run is about
    (of a comparison: the fastest). Times are aware, UTC; ``seconds`` is the median round; ``progress`` is a
    ``Progress`` as a dict while the run is running; ``runner_pid`` is the process that runs it or
    checks its files; ``attempts`` counts how often a runner took it; ``names`` is what
    a search looks through. ``task`` is what a run over items calls, or which part of an exhibit a run over pictures is,
    empty for other runs over images; ``images`` counts its items where it is over items. ``bytes`` are those
    of its files that were accepted and of its results. ``cpu`` and ``cores`` are what
    it was measured on. ``other_pixels`` is the label of the technique that took no longer than the one the run is
    about, and whose pixels differed from the baseline's; empty: there is none. ``owner``, ``visible``, ``class_name``
    and ``shown_as`` as in ``Access``; ``name``, ``note`` and ``tags``, with commas, as in ``Notes``, and ``said`` is
    all of them for a search.
    """

    __tablename__ = "runs_5"

    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(String(64), unique=True)
    created: Mapped[datetime] = mapped_column(UtcTime, index=True)
    started: Mapped[datetime | None] = mapped_column(UtcTime)
    finished: Mapped[datetime | None] = mapped_column(UtcTime)
    state: Mapped[State] = mapped_column(String(16))
    mode: Mapped[Mode] = mapped_column(String(16))
    owner: Mapped[str] = mapped_column(String(64), index=True)
    visible: Mapped[Visible] = mapped_column(String(16))
    visitor: Mapped[str] = mapped_column(String(64))
    turn: Mapped[int] = mapped_column(Integer)
    class_name: Mapped[str] = mapped_column(String(64), index=True)
    shown_as: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(Text)
    tags: Mapped[str] = mapped_column(Text)
    note: Mapped[str] = mapped_column(Text)
    said: Mapped[str] = mapped_column(Text)
    cpu: Mapped[str] = mapped_column(Text)
    cores: Mapped[int | None] = mapped_column(Integer)
    technique: Mapped[str] = mapped_column(String(64))
    label: Mapped[str] = mapped_column(Text)
    workers: Mapped[int] = mapped_column(Integer)
    budget: Mapped[float] = mapped_column(Double)
    images: Mapped[int] = mapped_column(Integer)
    megapixels: Mapped[float] = mapped_column(Double)
    bytes: Mapped[float] = mapped_column(Double)
    seconds: Mapped[float | None] = mapped_column(Double)
    speedup: Mapped[float | None] = mapped_column(Double)
    speedup_low: Mapped[float | None] = mapped_column(Double)
    speedup_high: Mapped[float | None] = mapped_column(Double)
    verdict: Mapped[str | None] = mapped_column(String(32))
    other_pixels: Mapped[str] = mapped_column(Text)
    progress: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    error: Mapped[str | None] = mapped_column(Text)
    names: Mapped[str] = mapped_column(Text)
    task: Mapped[str] = mapped_column(Text)
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    cancel: Mapped[bool] = mapped_column(default=False)
    runner_pid: Mapped[int | None] = mapped_column(Integer)

    __table_args__ = (Index("runs_5_queue", "state", "turn", "number"),)

    @property
    def over_items(self) -> bool:
        """Whether it is over items: those have no pixels that anybody counts."""
        return bool(self.task) and self.task not in OF_PICTURES


class TimingRow(Base):
    """One technique of one done run."""

    __tablename__ = "timings_5"

    run_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    technique: Mapped[str] = mapped_column(String(64), primary_key=True)
    label: Mapped[str] = mapped_column(Text)
    images: Mapped[int] = mapped_column(Integer)
    seconds: Mapped[float] = mapped_column(Double)
    seconds_per_megapixel: Mapped[float | None] = mapped_column(Double)
    speedup: Mapped[float | None] = mapped_column(Double)


def run_values(record: Record) -> dict[str, Any]:
    """The columns of a run that its record decides.

    Raises:
        ValueError, TypeError, AttributeError, OverflowError: the record holds values of the wrong kind.
    """
    measured = record.technique
    name = measured.name if measured else BASELINE if record.mode == "sequential" else record.settings.technique
    known = measured or TECHNIQUES.get(name)
    decided = measured if record.found.outcome != "undecided" else None
    low, high = (decided and decided.speedup_ci95) or (None, None)
    task = record.task.name if record.task else record.exhibit
    cores = record.environment.get("cores_usable")
    other = quicker_with_other_pixels(record.techniques, measured)
    return {
        "id": record.id,
        "created": moment(record.created),
        "started": record.started and moment(record.started),
        "finished": record.finished and moment(record.finished),
        "state": record.state,
        "mode": record.mode,
        "technique": name,
        "label": text(known.label if known else name.capitalize()),
        "workers": int(measured.threads if measured else record.settings.workers),
        "budget": _finite(record.settings.budget) or 0.0,
        "images": record.total,
        "megapixels": float(record.megapixels),
        "bytes": float(sum(i.bytes + sum(o.bytes for o in i.outputs) for i in record.images if i.stored)),
        "seconds": _finite(record.seconds),
        "speedup": _finite(decided.speedup if decided else None),
        "speedup_low": _finite(low),
        "speedup_high": _finite(high),
        "verdict": decided.verdict if decided else None,
        "other_pixels": text(other.label) if other else "",
        "cpu": text(str(record.environment.get("cpu") or "")),
        "cores": cores if isinstance(cores, int) and 0 < cores < 1_000_000 else None,
        "error": record.error and text(record.error),
        "names": text("\n".join([*(image.name for image in record.images), task])).casefold(),
        "task": text(task),
    }


def notes_values(notes: Notes) -> dict[str, str]:
    """The columns that its owner's notes decide."""
    said = "\n".join((notes.name, *notes.tags, notes.note)).casefold()
    return {"name": text(notes.name), "tags": text(",".join(notes.tags)), "note": text(notes.note), "said": text(said)}


def timings(record: Record) -> list[TimingRow]:
    """A row for every technique that a done run has timed, without a speedup that has no interval; of one that ran in
    several ways the fastest. None for a run over items, whose speedups say nothing of images."""
    if record.state != "done" or record.task or record.exhibit:
        return []
    images = record.sample or record.good_images
    timed = [t for t in record.techniques if t.available and _finite(t.median_seconds) is not None]
    fastest = {t.name: t for t in sorted(timed, key=lambda t: -t.cost)}
    return [
        TimingRow(
            run_id=record.id,
            technique=t.name,
            label=text(t.label),
            images=len(images),
            seconds=float(t.median_seconds or 0.0),
            seconds_per_megapixel=_finite(1 / t.megapixels_per_second) if t.megapixels_per_second else None,
            speedup=1.0 if t.name == BASELINE else _finite(t.speedup if t.speedup_ci95 else None),
        )
        for t in fastest.values()
    ]


def moment(value: str) -> datetime:
    """A record's time, aware; one without a zone is UTC."""
    time = datetime.fromisoformat(value)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def text(value: str) -> str:
    """Text that every database takes: no NUL, no halves of surrogate pairs."""
    return value.replace("\0", "").encode("utf-8", "replace").decode()


def plain(values: dict[str, Any]) -> dict[str, Any]:
    """The same values with None for what JSON has no number for."""
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()}


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None
