"""An exhibit: the runs of its functions side by side, as a table, a figure, and sentences made from their numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from imgproc.backends import BASELINE, TECHNIQUES
from imgproc.exhibits import Exhibit, Part
from imgproc.measure.results import LEVEL, TechniqueMeasurement
from imgproc.numbers import NBSP, listed, seconds, spelled_times, times
from imgproc.report.charts.chart import Chart
from imgproc.report.charts.speedup import side_by_side
from imgproc.report.pictures import Micro, micro
from imgproc.report.scale import FASTER, SLOWER
from imgproc.report.sentences import spoken
from imgproc.runs.record import Record


@dataclass(frozen=True)
class Cell:
    """One technique at one function; None where it was not measured."""

    label: str
    t: TechniqueMeasurement | None
    micro: Micro | None


@dataclass(frozen=True)
class Measured:
    """One function and the run that measured it."""

    part: Part
    record: Record

    @property
    def call(self) -> float | None:
        """Seconds of one call, by the baseline."""
        base = self.of(BASELINE)
        return base.median_seconds / max(1, self.record.count) if base and base.median_seconds else None

    def of(self, name: str) -> TechniqueMeasurement | None:
        """What a technique did there, if it was timed."""
        timed = (t for t in self.record.techniques if t.name == name and t.median_seconds is not None)
        return next(timed, None)

    def cells(self, shown: Exhibit, top: float = 0.0) -> list[Cell]:
        """One for each technique; ``top`` is the speedup at which the axes of its marks end."""
        cores = float(self.record.environment.get("cores_usable") or 1)
        found = []
        for name in shown.techniques:
            t = self.of(name)
            mark = micro(t.speedup, t.speedup_ci95, min(t.threads, cores), t.verdict, top=top) if t else None
            found.append(Cell(TECHNIQUES[name].label, t, mark))
        return found

    def wins(self, name: str, others: Sequence[str]) -> bool:
        """Whether the technique is measurably faster than the baseline and than the others."""
        t, rest = self.of(name), [self.of(other) for other in others if other != name]
        found = self.record.found
        beaten = (found.versus(t.label, other.label).verdict == FASTER for other in rest if other) if t else iter(())
        return t is not None and t.verdict == FASTER and all(beaten)


def highest(shown: Exhibit, measured: Sequence[Measured]) -> float:
    """The highest speedup of all, with its interval, so that all marks can have the same axis."""
    found = [cell.t for one in measured for cell in one.cells(shown) if cell.t]
    return max((end for t in found for end in (t.speedup or 0.0, *(t.speedup_ci95 or ()))), default=0.0)


def figure(shown: Exhibit, measured: Sequence[Measured]) -> Chart | None:
    """All speedups with their intervals; None where there are none."""
    named = [
        (f"{one.part.label}: {spoken(cell.label).removeprefix('a ')}", cell.t)
        for one in measured
        for cell in one.cells(shown)
        if cell.t and cell.t.speedup is not None
    ]
    cores = [one.record.environment.get("cores_usable") or 1 for one in measured]
    return side_by_side(named, min(cores, default=1)) if named else None


# ---------------------------------------------------------------- what is said of it


def conclusion(shown: Exhibit, measured: Sequence[Measured]) -> str:
    """For which functions which technique is the one to take."""
    winners = {name: [m.part.label for m in measured if m.wins(name, shown.techniques)] for name in shown.techniques}
    rest = [m.part.label for m in measured if not any(m.part.label in labels for labels in winners.values())]
    said = [f"{spoken(TECHNIQUES[name].label)} for {listed(labels)}" for name, labels in winners.items() if labels]
    if not said:
        ways = " nor ".join(spoken(TECHNIQUES[name].label) for name in shown.techniques)
        return f"Here neither {ways} is measurably the fastest for any of these functions."
    said += [f"none measurably for {listed(rest)}"] if rest else []
    return f"The fastest here: {'; '.join(said)}."


def sentences(shown: Exhibit, measured: Sequence[Measured]) -> list[str]:
    """One for each function, as its numbers say."""
    return [" ".join(_of(shown, one)) for one in measured]


def _of(shown: Exhibit, one: Measured) -> Iterator[str]:
    cells = [(spoken(cell.label), cell.t) for cell in one.cells(shown) if cell.t]
    yield f"{one.part.label} {one.part.what}: {', '.join(_did(label, t) for label, t in cells)}."
    call = one.call
    for label, t in cells:
        if call is None or t.idle_task_seconds is None or t.verdict == FASTER:
            continue
        # What a call would have to save is spent on handing it over.
        if t.idle_task_seconds > 0.5 * call:
            yield (
                f"Handing one image to {label} takes {seconds(t.idle_task_seconds)}, the call itself {seconds(call)}."
            )


def _did(label: str, t: TechniqueMeasurement) -> str:
    if t.speedup is None:
        return f"no speedup is shown with {label}, for {t.reason or 'its results were not compared'}"
    if t.verdict in LEVEL:
        return f"{t.verdict} with {label} ({times(t.speedup)})"
    how = {FASTER: "as fast", SLOWER: "as fast, which is slower,"}.get(
        t.verdict or "", "as fast, too few rounds to be sure,"
    )
    return f"{spelled_times(t.speedup)} {how} with {label}"


def text(shown: Exhibit, measured: Sequence[Measured], notes: Sequence[str]) -> str:
    """All of it in plain text, ``notes`` on functions that were not measured included."""
    wide = max(len(part.label) for part in shown.parts) + 2
    lines = [f"{'':<{wide}}{'a call':>10}" + "".join(f"{TECHNIQUES[name].label:>26}" for name in shown.techniques)]
    for one in measured:
        call = seconds(one.call) if one.call else "-"
        lines.append(f"{one.part.label:<{wide}}{call:>10}" + "".join(f"{_short(c):>26}" for c in one.cells(shown)))
    lines += [*notes, "", *sentences(shown, measured)]
    if measured:
        lines += ["", conclusion(shown, measured)]
    return "\n".join(lines).replace(NBSP, " ") + "\n"


def _short(cell: Cell) -> str:
    if cell.t is None or cell.t.speedup is None:
        return "-"
    ci95 = cell.t.speedup_ci95
    return f"{cell.t.speedup:.2f}x" + (f" ({ci95[0]:.2f} to {ci95[1]:.2f})" if ci95 else "")
