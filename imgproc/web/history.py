"""The history of runs, and the table of techniques with what the runs say of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, get_args
from urllib.parse import quote

from imgproc.backends import AUTO, BASELINE, TECHNIQUES, Technique
from imgproc.backends.base import Availability
from imgproc.measure import environment
from imgproc.numbers import counted
from imgproc.pixels.previews import thumbnail_of
from imgproc.report import pictures
from imgproc.report.glossary import terms
from imgproc.report.sentences import spoken
from imgproc.report.tables import Cell, Table
from imgproc.runs.options import MODES
from imgproc.runs.record import State
from imgproc.runs.store import RunRow, Store, Visitor
from imgproc.web import pages
from imgproc.web.security import is_owner

PER_PAGE = 20
#: A run is shown by one of so many images, the first that was accepted.
_FIRST = 3
#: What the history as CSV says of a run, by the names of the index.
CSV_COLUMNS = (
    "id", "created", "state", "mode", "task", "images", "megapixels", "technique", "label", "workers", "seconds",
    "speedup", "speedup_low", "speedup_high", "name", "tags", "note",
)  # fmt: skip


@dataclass(frozen=True)
class RunEntry:
    """One row of the history."""

    row: RunRow
    micro: pictures.Micro | None
    note: str
    deletable: bool
    thumbnail: str | None


def history(store: Store, args: Mapping[str, str], visitor: Visitor, results: Path) -> dict[str, Any]:
    """The visitor's runs that match the filters in the address, and the timing summary of all of them.

    Args:
        results: the folder of all results.
    """
    wanted = _wanted(args)
    page = int(args["page"]) if args.get("page", "").isdecimal() else 1
    page = min(max(1, page), 1_000_000)
    rows, total = _matching(store, wanted, visitor, page, PER_PAGE)
    times = store.by_technique(visitor)
    kept = "&".join(f"{name}={quote(value)}" for name, value in wanted.items() if value)
    return {
        "shared": visitor.shared,
        "entries": [_entry(store, row, results) for row in rows],
        "total": total,
        "taken": store.taken(visitor),
        "first": (page - 1) * PER_PAGE + 1,
        "last": (page - 1) * PER_PAGE + len(rows),
        "page": page,
        "more": page * PER_PAGE < total,
        "wanted": wanted,
        "filtered": any(wanted.values()),
        "kept": kept,
        "modes": MODES,
        "states": get_args(State),
        "techniques": TECHNIQUES.values(),
        "times": [(t, _range(t.speedup, t.speedup_min, t.speedup_max)) for t in times],
    }


def _wanted(args: Mapping[str, str]) -> dict[str, str]:
    return {name: args.get(name, "").strip() for name in ("q", "mode", "technique", "state", "from")}


def _matching(
    store: Store, wanted: Mapping[str, str], visitor: Visitor, page: int, per_page: int
) -> tuple[list[RunRow], int]:
    chosen = {name: None if wanted[name] in ("", "any") else wanted[name] for name in ("mode", "technique", "state")}
    since = _day(wanted["from"])
    return store.history(q=wanted["q"] or None, **chosen, since=since, visitor=visitor, page=page, per_page=per_page)


def as_csv(store: Store, args: Mapping[str, str], visitor: Visitor) -> str:
    """The same runs, all of them (the newest 100,000) in one table; times are in seconds."""
    rows, _ = _matching(store, _wanted(args), visitor, 1, 100_000)
    return Table(CSV_COLUMNS, [tuple(_cell(getattr(row, name)) for name in CSV_COLUMNS) for row in rows]).csv()


def _cell(value: Any) -> Cell:
    return value.isoformat() if isinstance(value, datetime) else value


def _day(text: str) -> datetime | None:
    """Midnight of a day by this machine's clock."""
    try:
        return datetime.fromisoformat(text).astimezone() if text else None
    except (ValueError, OverflowError):
        return None


def _range(middle: float | None, low: float | None, high: float | None) -> pictures.Micro | None:
    ends = (low, high) if low is not None and high is not None else None
    return pictures.micro(middle, ends, float(environment.usable_cores()), width=128)


def _entry(store: Store, row: RunRow, results: Path) -> RunEntry:
    low, high, mark = row.speedup_low, row.speedup_high, None
    if row.state == "done" and row.technique != BASELINE:
        ends = (low, high) if low is not None and high is not None else None
        mark = pictures.micro(row.speedup, ends, float(min(row.workers, environment.usable_cores())), row.verdict)
    if row.state == "checking":
        note = "its files are being checked"
    elif row.state == "queued":
        before = store.position(row.id)
        note = f"{counted(before, 'run')} before it" if before else "next"
    elif row.state == "running":
        live_row = pages.live(row, 0)
        note = ", ".join(filter(None, (live_row["now"].lower(), live_row["left"])))
    elif row.state == "done":
        note = _outcome(row)
    else:
        note = row.error or {"cancelled": "on request"}.get(row.state, "")
    return RunEntry(row, mark, note, is_owner(row.owner) and row.state != "running", _thumbnail(results / row.id))


def _thumbnail(folder: Path) -> str | None:
    """The file, in its folder of previews, of one of the first images of a run; None where there is none."""
    names = (thumbnail_of(f"{index:04d}.jpg") for index in range(_FIRST))
    return next((name for name in names if (folder / "previews" / name).is_file()), None)


def _outcome(row: RunRow) -> str:
    """What a run that is done found, where that is no speedup."""
    if row.technique != BASELINE:
        return "its pixels differ from sequential’s" if row.other_pixels else "no speedup shown"
    if row.mode != "compare":
        return "baseline only"
    if row.speedup is not None and row.other_pixels:
        return f"{spoken(row.other_pixels)}: quicker, with other pixels; nothing else is faster"
    return "too few rounds to tell" if row.speedup is None else "nothing is faster"


@dataclass(frozen=True)
class TechniqueEntry:
    technique: Technique
    available: Availability
    runs: int
    speedup: float | None
    micro: pictures.Micro | None


def techniques(store: Store, visitor: Visitor) -> dict[str, Any]:
    """The table of techniques with what the visitor's runs say of each."""
    known = {t.technique: t for t in store.by_technique(visitor)}
    entries = []
    for technique in TECHNIQUES.values():
        times, speedup, mark = known.get(technique.name), None, None
        if times and technique.name != BASELINE:
            speedup, mark = times.speedup, _range(times.speedup, times.speedup_min, times.speedup_max)
        runs = times.runs if times else 0
        entries.append(TechniqueEntry(technique, technique.availability(), runs, speedup, mark))
    here = [entry for entry in entries if entry.available.ok]
    here.sort(key=lambda e: (e.technique.antipattern, e.technique.name == BASELINE, e.technique.name != AUTO))
    return {
        "here": here,
        "missing": [entry for entry in entries if not entry.available.ok],
        "total": len(entries),
        "meant": terms(),
        "measured": any(entry.micro for entry in entries),
        "cores": environment.usable_cores(),
    }
