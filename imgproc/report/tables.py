"""Tables as data for other programs: as CSV with raw numbers, as Markdown with short ones."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from imgproc.report.differences import Comparison
from imgproc.runs.record import Record

Cell = str | int | float | bool | None


@dataclass(frozen=True)
class Table:
    """Names of columns, and rows with a value for each; None is empty. Times are in seconds."""

    columns: tuple[str, ...]
    rows: list[tuple[Cell, ...]]

    def csv(self) -> str:
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows([[_harmless(_plain(value)) for value in row] for row in self.rows])
        return out.getvalue()

    def dicts(self) -> list[dict[str, Cell]]:
        """The rows by the names of the columns."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]

    def markdown(self) -> str:
        """Without columns that are empty; numbers have four digits, and stand at the right where a column has nothing
        else."""
        kept = [k for k in range(len(self.columns)) if any(row[k] not in (None, "") for row in self.rows)]
        lines = [[self.columns[k] for k in kept]]
        lines += [["---:" if all(_is_number(row[k]) for row in self.rows) else "---" for k in kept]]
        lines += [_short([row[k] for k in kept]) for row in self.rows]
        return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _is_number(value: Cell) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _plain(value: Cell) -> str | int | float:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else value


def _harmless(value: str | int | float) -> str | int | float:
    """Text that a spreadsheet would take for a formula, told to be text: names come from anybody."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def _short(row: Sequence[Cell]) -> list[str]:
    shown = (f"{value:.4g}" if isinstance(value, float) else str(_plain(value)) for value in row)
    return [" ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|") for text in shown]


def of_dicts(rows: Sequence[dict[str, Any]]) -> Table:
    """Of data that is printed as JSON as well: each with the same names, lists joined by commas."""
    columns = tuple(rows[0]) if rows else ()
    return Table(columns, [tuple(_joined(row.get(name)) for name in columns) for row in rows])


def _joined(value: Any) -> Cell:
    if isinstance(value, list):
        return ", ".join(str(one.get("name", one)) if isinstance(one, dict) else str(one) for one in value)
    return value if value is None or isinstance(value, str | int | float) else str(value)


def techniques(record: Record) -> Table:
    """A row for each way of running a technique, in the order of the record's findings; ``copies``: how often each
    image was in a round, more than once in weak scaling; ``images`` and ``megapixels``: how many a round had of a run
    over more and more work."""
    columns = (
        "technique", "label", "workers", "cv2_threads", "copies", "startup_seconds", "first_round_seconds", "rounds",
        "median_seconds", "median_low", "median_high", f"{record.unit}s_per_second", "speedup", "speedup_low",
        "speedup_high", "efficiency", "karp_flatt", "identical", "verdict", "reason", f"{record.unit}s", "megapixels",
        f"joules_per_{record.unit}",
    )  # fmt: skip
    return Table(columns, list(_measurements(record)))


def _measurements(record: Record) -> Iterator[tuple[Cell, ...]]:
    of_label = {t.label: t for t in record.measurements}
    for t in (of_label[label] for label in record.found.order if label in of_label):
        yield (
            t.name, t.label, t.workers, t.cv2_threads, t.copies, t.startup_seconds, t.first_round_seconds,
            len(t.rounds), t.median_seconds, *_ends(t.ci95), t.images_per_second, t.speedup, *_ends(t.speedup_ci95),
            t.efficiency, t.karp_flatt, t.identical, t.verdict, t.reason, t.images, t.megapixels,
            t.joules_per_image,
        )  # fmt: skip


def _ends(interval: Sequence[float] | None) -> tuple[float | None, float | None]:
    return (interval[0], interval[1]) if interval else (None, None)


def sides(found: Comparison) -> Table:
    """A row for each technique in each run; ``ratio``: how many times as fast as in the first."""
    columns = (
        "technique", "run", "workers", "median_seconds", "median_low", "median_high", "speedup", "speedup_low",
        "speedup_high", "ratio", "verdict",
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = []
    for line in found.lines:
        for side, cell in zip(found.sides, line.cells, strict=True):
            if t := cell.t:
                times = (t.median_seconds, *_ends(t.ci95), t.speedup, *_ends(t.speedup_ci95))
                rows.append((line.label, side.name, t.workers, *times, cell.ratio, cell.verdict))
    return Table(columns, rows)
