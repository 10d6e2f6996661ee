"""Figure ``waterfall``: from the ideal time to the measured one, part by part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from imgproc.backends import BASELINE
from imgproc.measure.breakdown import PARTS
from imgproc.measure.results import TechniqueMeasurement
from imgproc.numbers import NBSP, seconds
from imgproc.report.charts.charts import NARROW, WIDE, Chart, Section, Table, Unit, broadest, measured, ticks, wrapped
from imgproc.runs.record import Record

if TYPE_CHECKING:
    from imgproc.report.charts.drawing import Sheet

MOST = 3
IDEAL, MEASURED = "ideal", "measured"
#: Parts of which every technique has less than this share of its time are left out of the picture.
_NOTHING = 0.0005
_GAP, _FOOT = 30, 26


@dataclass(frozen=True)
class Step:
    """One bar, from ``start`` to ``end`` seconds, and how its value is written."""

    name: str
    start: float
    end: float
    said: str


@dataclass(frozen=True)
class Panel:
    """One technique: its ``parts`` in seconds, the ideal first; together they are ``wall``."""

    label: str
    main: bool
    parts: tuple[tuple[str, float], ...]
    wall: float

    @property
    def largest(self) -> str | None:
        """The part that costs most; None where nothing does."""
        costs = {name: value for name, value in self.parts[1:] if value > 0}
        return max(costs, key=costs.__getitem__) if costs else None

    def steps(self, longest: float) -> list[Step]:
        """The bars from top to bottom; ``longest`` is the longest time beside them."""
        found, at = [], 0.0
        for name, value in self.parts:
            said = seconds(value) if name == IDEAL else change(value, longest)
            found.append(Step(name, at, at + value, said))
            at += value
        return [*found, Step(MEASURED, 0.0, self.wall, seconds(self.wall))]


@dataclass(frozen=True)
class Waterfall(Chart):
    name: ClassVar[str] = "waterfall"
    title: ClassVar[str] = "From the ideal to the measured time"
    section: ClassVar[Section] = "why"
    panels: tuple[Panel, ...]

    @property
    def high(self) -> float:
        return max(max(step.start, step.end) for panel in self.panels for step in self.steps(panel))

    @property
    def low(self) -> float:
        """Left of zero only where a part saved more than there was before it."""
        return min(0.0, *(step.end for panel in self.panels for step in self.steps(panel)))

    def steps(self, panel: Panel) -> list[Step]:
        return panel.steps(max(panel.wall for panel in self.panels))

    def size(self, narrow: bool) -> tuple[int, int]:
        places = Places(self, narrow)
        return places.width, places.height

    def draw(self, sheet: Sheet) -> None:
        places = Places(self, sheet.narrow)
        for number, panel in enumerate(self.panels):
            _panel(sheet, places, self, number, panel)

    def table(self) -> Table:
        names = [name for name, _ in self.panels[0].parts]
        longest = max(panel.wall for panel in self.panels)
        rows = []
        for panel in self.panels:
            parts = [change(value, longest) for _, value in panel.parts[1:]]
            rows.append((panel.label, (seconds(panel.parts[0][1]), *parts, seconds(panel.wall))))
        return Table("Technique", (*(name.capitalize() for name in names), MEASURED.capitalize()), tuple(rows))


class Places:
    """Panels beside each other with the names of the parts at the left, or, if narrow, below each other."""

    def __init__(self, chart: Waterfall, narrow: bool) -> None:
        self.narrow, count = narrow, len(chart.panels)
        self.size, self.pitch, self.bar = (12, 23, 15) if narrow else (14, 26, 16)
        self.width = NARROW if narrow else WIDE
        steps = [chart.steps(panel) for panel in chart.panels]
        names = broadest([step.name for step in steps[0]], self.size)
        self.left = round(names) + 14
        self.low, self.high = chart.low, chart.high
        across = self.width - self.left
        self.panel = across if narrow else (across - _GAP * (count - 1)) / count
        values = broadest([step.said for panel in steps for step in panel], self.size, bold=True)
        self.scale = (self.panel - values - 12) / (self.high - self.low)
        self.rows = len(steps[0])
        room = self.width if narrow else self.panel
        self.titles = [wrapped(panel.label, room, 2, self.size, panel.main) for panel in chart.panels]
        self.head = round(self.size * 1.2 * max(map(len, self.titles)) + 12)
        self.deep = self.head + self.rows * self.pitch + 4
        self.height = round((self.deep + 20) * count - 20 if narrow else self.deep) + _FOOT

    def corner(self, number: int) -> tuple[float, float]:
        """Where zero seconds are in a panel, and its top."""
        x, y = (0.0, (self.deep + 20) * number) if self.narrow else ((self.panel + _GAP) * number, 0.0)
        return self.left + x - self.low * self.scale, y

    def middle(self, row: int) -> float:
        return self.head + (row + 0.5) * self.pitch


def _panel(sheet: Sheet, places: Places, chart: Waterfall, number: int, panel: Panel) -> None:
    zero, top = places.corner(number)
    for k, line in enumerate(places.titles[number]):
        sheet.text(0 if places.narrow else zero, top + places.size * (0.7 + 1.2 * k), line, bold=panel.main)
    steps, bottom = chart.steps(panel), top + places.deep
    for row, step in enumerate(steps):
        middle = top + places.middle(row)
        if places.narrow or not number:
            sheet.text(0, middle, step.name, "ink" if step.name in (IDEAL, MEASURED) else "ink-2")
        _bar(sheet, places, step, zero, middle, panel)
        if row < len(steps) - 1:  # on to where the next one begins
            x = zero + step.end * places.scale
            half = places.bar / 2
            sheet.line((x, x), (middle + half, middle + places.pitch - half), "axis")
    sheet.line((zero, zero), (top + places.head - 2, bottom), "axis")
    _axis(sheet, places, zero, bottom, last=number == len(chart.panels) - 1)


def _bar(sheet: Sheet, places: Places, step: Step, zero: float, middle: float, panel: Panel) -> None:
    left, right = (zero + value * places.scale for value in sorted((step.start, step.end)))
    if step.name in (IDEAL, MEASURED):
        sheet.block(left, middle, right - left, places.bar, "gray" if step.name == IDEAL else "accent")
    elif step.said == "0":
        sheet.line((left, left), (middle - places.bar / 2, middle + places.bar / 2), "axis")
    elif step.end > step.start:
        sheet.block(left, middle, max(right - left, 1.0), places.bar, "warn")
    else:  # a gain: an outline, because colour alone would not tell
        sheet.block(left, middle, max(right - left, 1.0), places.bar, "accent-soft", edge="accent")
    bold = step.name in (MEASURED, panel.largest)
    quiet = step.name == IDEAL or step.said == "0"
    sheet.text(right + 6, middle, step.said, "ink-2" if quiet else "ink", bold=bold)


def _axis(sheet: Sheet, places: Places, zero: float, y: float, last: bool) -> None:
    end = zero + places.high * places.scale
    sheet.line((zero + places.low * places.scale, end), (y, y), "axis")
    unit: Unit = "ms" if places.high < 0.1 else "s"
    room = (places.high - places.low) * places.scale
    for value, said in ticks(places.low, places.high, max(2, min(5, int(room / 36))), unit):
        x = zero + value * places.scale
        sheet.line((x, x), (y, y + 4), "axis")
        if last or not places.narrow:
            sheet.text(x, y + 5 + places.size * 0.75, f"{said}{NBSP}{unit}", "ink-2", "center")


# ---------------------------------------------------------------- what it shows


def chart(record: Record) -> Waterfall | None:
    """None where no technique has a breakdown."""
    shown = _chosen(record)
    if not shown:
        return None
    names = [name for name in (*PARTS, *_unknown(shown)) if any(name in t.breakdown for t in shown)]
    told = [
        name
        for name in names
        if name == IDEAL or any(abs(t.breakdown.get(name, 0.0)) > _NOTHING * _wall(t) for t in shown)
    ]
    panels = tuple(
        Panel(t.label, t is record.technique, tuple((n, t.breakdown.get(n, 0.0)) for n in told), _wall(t))
        for t in shown
    )
    longest = max(panel.wall for panel in panels)
    values = ((panel.label, ", ".join(f"{step.name} {step.said}" for step in panel.steps(longest))) for panel in panels)
    said = "; ".join(f"{label}: {listed}" for label, listed in values)
    return Waterfall(_sentence(panels), f"Waterfalls from the ideal to the measured time. {said}.", panels)


def _chosen(record: Record) -> list[TechniqueMeasurement]:
    """The technique that the run is about, one that moves data or lies between, and the one that lost most."""
    able = [t for t in measured(record) if t.breakdown and t.name != BASELINE and len(t.rounds) >= t.typical_round]
    if record.mode == "scale":  # one worker has nothing to lose: its ideal is the baseline's own time
        able = [t for t in able if t.threads > 1] or able
    able.sort(key=lambda t: (t is not record.technique, _wall(t) - t.breakdown.get(IDEAL, 0.0)))
    if len(able) <= MOST:
        return able
    main, *between, worst = able
    # Those that move something between processes lose in other ways than threads.
    moving = [t for t in between if t.breakdown.get("transfer", 0.0) > 0 or t.transfer is not None]
    middle = (moving or between)[len(moving or between) // 2]
    return [main, middle, worst]


def _wall(t: TechniqueMeasurement) -> float:
    return t.rounds[t.typical_round - 1].wall_seconds


def _unknown(shown: Sequence[TechniqueMeasurement]) -> list[str]:
    """Parts that are not in the table, in the order they come."""
    return [name for name in dict.fromkeys(name for t in shown for name in t.breakdown) if name not in PARTS]


def _sentence(panels: Sequence[Panel]) -> str:
    longest = max(panel.wall for panel in panels)
    said = []
    for panel in panels:
        over, most = panel.wall - panel.parts[0][1], panel.largest
        more = f"{panel.label} {change(over, longest)}"
        if most and over > 0:
            more += f", above all {most} ({change(dict(panel.parts)[most], longest)})"
        said.append(more)
    return f"From the ideal to the measured time of a typical round: {'; '.join(said)}."


def change(value: float, longest: float) -> str:
    """What a part adds, as exactly as ``longest``, the longest time beside it, makes sensible: +35 ms, −0.4 ms, 0."""
    unit, factor = ("s", 1.0) if longest >= 20 else ("ms", 1000.0)
    decimals = 2 if longest >= 20 else 0 if longest >= 0.2 else 1 if longest >= 0.02 else 2 if longest >= 0.002 else 3
    text = f"{abs(value) * factor:,.{decimals}f}"
    if not float(text.replace(",", "")):
        return "0"
    return f"{'+' if value > 0 else '−'}{text}{NBSP}{unit}"
