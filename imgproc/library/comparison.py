"""What came of a run, for scripts and notebooks."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgproc.measure.results import TechniqueMeasurement
from imgproc.report.repetition import told
from imgproc.report.tasks import table
from imgproc.report.text import comparison, scale_table
from imgproc.runs.record import Record

if TYPE_CHECKING:
    import pandas


class Figures(Mapping[str, bytes]):
    """The figures of a run by name (``speedup``, ``rounds``, ``stages`` …), each as SVG; drawn when asked for.

    Raises:
        KeyError: the run has no such figure.
        ModuleNotFoundError: matplotlib is not installed.
    """

    def __init__(self, record: Record) -> None:
        self._record = record

    def __getitem__(self, name: str) -> bytes:
        from imgproc.report.charts import figure  # matplotlib is loaded for figures only

        if name not in self.names:
            raise KeyError(f"This run has no figure {name!r}; it has {', '.join(self.names) or 'none'}.")
        return figure(self._record, name)

    def png(self, name: str) -> bytes:
        """The same as PNG, 1,728 pixels wide."""
        from imgproc.report.charts import figure

        return figure(self._record, name, "png")

    @property
    def names(self) -> list[str]:
        """Those that the run has."""
        from imgproc.report.charts import CHARTS

        return [name for name, make in CHARTS.items() if make(self._record)]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


class Comparison:
    """A measured run. ``record`` holds all of it, as run.json does; a notebook shows its table and its speedups."""

    def __init__(self, record: Record, before: Record | None = None) -> None:
        """
        Args:
            before: the run that it repeats.
        """
        self.record, self._before = record, before
        self.figures = Figures(record)

    @property
    def best(self) -> str | None:
        """The name of the fastest technique; None where too few rounds were measured to say."""
        return self.record.best

    @property
    def verdicts(self) -> dict[str, str | None]:
        """By technique: ``faster``, ``slower``, ``no measurable difference`` or ``no difference that matters`` to the
        baseline; None where its results differ, it could not run, or the rounds were too few."""
        return {t.label: t.verdict for t in self.record.techniques}

    def speedup(self, technique: str) -> float | None:
        """How many times as fast as the baseline, ``sequential``; None where no speedup can be shown, which
        ``reason`` then explains.

        Raises:
            KeyError: it did not take part.
        """
        return self[technique].speedup

    def interval(self, technique: str) -> tuple[float, float] | None:
        """The 95 % interval of its speedup; None where there were too few rounds for one."""
        ci95 = self[technique].speedup_ci95
        return (ci95[0], ci95[1]) if ci95 else None

    def reason(self, technique: str) -> str | None:
        """Why a technique was not run, or shows no speedup; None where nothing was in the way."""
        return self[technique].reason

    def __getitem__(self, technique: str) -> TechniqueMeasurement:
        """All that was measured of a technique, by its name or, where it took part in several ways, its label."""
        for one in self.record.techniques:
            if technique in (one.name, one.label):
                return one
        known = ", ".join(t.name for t in self.record.techniques)
        raise KeyError(f"{technique!r} did not take part. These did: {known}.")

    def table(self) -> str:
        """What was found, as plain text."""
        if self.record.mode == "scale":
            return scale_table(self.record)
        return table(self.record) if self.record.task else comparison(self.record)

    def reproduction(self) -> str:
        """What of the run that this one repeats is the same, as plain text; empty where it repeats none."""
        found = self.record.repetition
        return told(found, self._before, self.record) if found and self._before else ""

    def save(self, file: str | Path) -> None:
        """Write run.json, which ``Record.load`` and ``verify`` read.

        Raises:
            OSError: it cannot be written.
        """
        self.record.write(Path(file))

    def to_dataframe(self) -> pandas.DataFrame:
        """A row for each technique, with all its figures.

        Raises:
            ModuleNotFoundError: pandas is not installed.
        """
        import pandas

        return pandas.DataFrame([_row(t) for t in self.record.techniques])

    def __repr__(self) -> str:
        return self.table()

    def _repr_html_(self) -> str:
        """Table and chart of speedups, in a notebook."""
        shown = f"<pre>{html.escape(self.table())}</pre>"
        try:
            chart = self.figures["speedup"].decode()
        except (KeyError, ModuleNotFoundError):  # nothing to draw, or nothing to draw it with
            return shown
        return shown + chart[chart.find("<svg") :]


def _row(t: TechniqueMeasurement) -> dict[str, Any]:
    skipped = ("spans", "rounds", "stages", "breakdown", "warnings", "split", "operations_seconds", "operations_images")
    row = {name: value for name, value in asdict(t).items() if name not in skipped}
    row["rounds"] = len(t.rounds)
    for name in ("ci95", "speedup_ci95"):
        low, high = row.pop(name) or (None, None)
        row[f"{name}_low"], row[f"{name}_high"] = low, high
    return row
