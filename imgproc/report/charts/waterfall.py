"""Figure ``waterfall``: from the ideal time to the measured one, part by part."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from imgproc.backends import BASELINE
from imgproc.measure.breakdown import PARTS, largest
from imgproc.measure.results import TechniqueMeasurement
from imgproc.numbers import NBSP, seconds
from imgproc.report.charts.chart import Chart, highlighted, measured
from imgproc.report.charts.style import POINT, Style, ticks, time_unit
from imgproc.runs.record import Record

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 3
IDEAL, MEASURED = "ideal", "measured"
#: Parts of which every technique has less than this share of its time are left out of the picture.
_NOTHING = 0.0005
#: Pixels: from bar to bar and of the title, for a wide and a narrow figure; between panels, below them.
_PITCH, _HEAD, _GAP, _FOOT = (26, 23), (42, 34), 30, 26
_BAR = 0.62


class Step(NamedTuple):
    """One bar, from ``start`` to ``end`` seconds, and how its value is written."""

    name: str
    start: float
    end: float
    said: str


class Panel(NamedTuple):
    """One technique: its bars from top to bottom, the ideal first, the measured time last. ``largest`` is the part
    that costs most, None where nothing does."""

    label: str
    main: bool
    largest: str | None
    steps: list[Step]


def chart(record: Record) -> Chart | None:
    """None where no technique has a breakdown."""
    panels = _panels(record)
    if not panels:
        return None
    values = (f"{panel.label}: {', '.join(f'{step.name} {step.said}' for step in panel.steps)}" for panel in panels)
    return Chart(
        "waterfall", "why", "From the ideal to the measured time", _sentence(panels),
        f"Waterfalls from the ideal to the measured time. {'; '.join(values)}.",
        (_deep(panels, False) + _FOOT, _deep(panels, True) * len(panels) + _FOOT),
        partial(_draw, panels), "Technique", tuple(step.name.capitalize() for step in panels[0].steps),
        tuple((panel.label, tuple(step.said for step in panel.steps)) for panel in panels),
    )  # fmt: skip


def _panels(record: Record) -> list[Panel]:
    shown = _chosen(record)
    walls = [t.rounds[t.typical_round - 1].wall_seconds for t in shown]
    unknown = (name for t in shown for name in t.breakdown if name not in PARTS)
    parts = [name for name in dict.fromkeys((*PARTS, *unknown)) if any(name in t.breakdown for t in shown)]
    each = [
        (t, wall, {name: t.breakdown.get(name, 0.0) for name in parts}) for t, wall in zip(shown, walls, strict=True)
    ]
    told = [n for n in parts if n == IDEAL or any(abs(values[n]) > _NOTHING * wall for _, wall, values in each)]
    found = []
    for t, wall, every in each:
        values, steps, at = {name: every[name] for name in told}, [], 0.0
        for name, value in values.items():
            steps.append(Step(name, at, at + value, seconds(value) if name == IDEAL else change(value, max(walls))))
            at += value
        steps.append(Step(MEASURED, 0.0, wall, seconds(wall)))
        found.append(Panel(t.label, highlighted(t, record), largest(values), steps))
    return found


def _chosen(record: Record) -> list[TechniqueMeasurement]:
    """The technique that the run is about, one that moves data or lies between, and the one that lost most."""
    able = [t for t in measured(record) if t.breakdown and t.name != BASELINE and len(t.rounds) >= t.typical_round]
    if record.mode == "scale":  # one worker has nothing to lose: its ideal is the baseline's own time
        able = [t for t in able if t.threads > 1] or able
    lost = {id(t): t.rounds[t.typical_round - 1].wall_seconds - t.breakdown.get(IDEAL, 0.0) for t in able}
    if len(able) <= MOST:
        return able
    main, *between, worst = sorted(able, key=lambda t: (not highlighted(t, record), lost[id(t)]))
    # Those that move something between processes lose in other ways than threads.
    moving = [t for t in between if t.breakdown.get("transfer", 0.0) > 0 or t.transfer is not None] or between
    chosen = main, moving[len(moving) // 2], worst
    return [t for t in able if any(t is one for one in chosen)]


def _sentence(panels: Sequence[Panel]) -> str:
    longest, said = max(panel.steps[-1].end for panel in panels), []
    for panel in panels:
        over = panel.steps[-1].end - panel.steps[0].end
        said.append(f"{panel.label} {change(over, longest)}")
        if panel.largest and over > 0:
            costs = next(step.said for step in panel.steps if step.name == panel.largest)
            said[-1] += f", above all {panel.largest} ({costs})"
    return f"From the ideal to the measured time of a typical round: {'; '.join(said)}."


def change(value: float, longest: float) -> str:
    """What a part adds, as exactly as ``longest``, the longest time beside it, makes sensible: +35 ms, −0.4 ms, 0."""
    unit, factor = ("s", 1.0) if longest >= 20 else ("ms", 1000.0)
    decimals = 2 if longest >= 20 else 0 if longest >= 0.2 else 1 if longest >= 0.02 else 2 if longest >= 0.002 else 3
    text = f"{abs(value) * factor:,.{decimals}f}"
    if not float(text.replace(",", "")):
        return "0"
    return f"{'+' if value > 0 else '−'}{text}{NBSP}{unit}"


# ---------------------------------------------------------------- drawn


def _deep(panels: Sequence[Panel], narrow: bool) -> int:
    """Pixels of a panel with its title."""
    return _HEAD[narrow] + len(panels[0].steps) * _PITCH[narrow] + 4


def _draw(panels: Sequence[Panel], figure: Figure, style: Style) -> None:
    """Panels beside each other or, if narrow, below each other, in the same axes: a second is as long in all."""
    from matplotlib.collections import LineCollection

    narrow, pitch, count, rows = style.narrow, _PITCH[style.narrow], len(panels), len(panels[0].steps)
    steps = [step for panel in panels for step in panel.steps]
    low, high = min(0.0, *(step.end for step in steps)), max(max(step.start, step.end) for step in steps)
    names = max(style.breadth(step.name) for step in panels[0].steps) + 14
    values = max(style.breadth(step.said, bold=True) for step in steps) + 12
    wide = style.width - names if narrow else (style.width - names - _GAP * (count - 1)) / count
    pixel = (high - low) / (wide - values)  # in seconds
    axes = style.axes(figure, names, 0, 0, _FOOT)
    top = -(_HEAD[narrow] + 2) / pitch - 0.5
    axes.set_ylim(top + axes.bbox.height / pitch, top)
    axes.set_xlim(low, low + (style.width - names) * pixel)
    axes.spines[:].set_visible(False)
    rights = [0.0 if narrow else (wide + _GAP) * pixel * k for k in range(count)]
    downs = [_deep(panels, narrow) / pitch * k if narrow else 0.0 for k in range(count)]
    places = [down + k for down in downs for k in range(rows)]
    named = len(places) if narrow else rows
    axes.set_yticks(places[:named], labels=[step.name for step in steps[:named]], ha="left", va="center")
    axes.tick_params(axis="y", pad=(names - 1) * POINT)
    unit, _ = time_unit(high)
    marks, said = ticks(low, high, min(5, int((wide - values) / 44)))
    shown = rights[-1:] if narrow else rights
    axes.set_xticks(
        [right + v for right in shown for v in marks], labels=[f"{v}{NBSP}{unit}" for v in said] * len(shown)
    )
    axes.tick_params(axis="x", length=0, pad=5)
    lines = []
    for panel, right, down in zip(panels, rights, downs, strict=True):
        title = style.wrapped(panel.label, style.width if narrow else wide, 2 - narrow, panel.main)
        x, head, foot = (
            low - names * pixel if narrow else low + right,
            down - 0.5 - 2 / pitch,
            down + rows - 0.5 + 2 / pitch,
        )
        axes.text(x, head - 8 / pitch, title, weight="bold" if panel.main else "normal")
        lines += [[(right, head), (right, foot)], [(right + low, foot), (right + high, foot)]]
        lines += [[(right + v, foot), (right + v, foot + 4 / pitch)] for v in marks]
        for k, step in enumerate(panel.steps):
            quiet = step.name == IDEAL or step.said == "0"
            bold = step.name in (MEASURED, panel.largest) and not quiet
            ink, weight = style.colour("ink-2" if quiet else "ink"), "bold" if bold else "normal"
            end, row = right + step.end, down + k
            axes.text(max(right + step.start, end) + 6 * pixel, row, step.said, va="center", color=ink, weight=weight)
            if step.name != MEASURED:  # on to where the next one begins
                lines.append([(end, row + _BAR / 2), (end, row + 1 - _BAR / 2)])
    starts = [right + step.start for panel, right in zip(panels, rights, strict=True) for step in panel.steps]
    widths = [0.0 if step.said == "0" else step.end - step.start for step in steps]
    colours, edges = zip(*(map(style.colour, _tone(step)) for step in steps), strict=True)
    axes.barh(places, widths, _BAR, left=starts, color=colours, edgecolor=edges)
    axes.add_collection(LineCollection(lines, colors=style.colour("axis"), linewidths=POINT, clip_on=False))


def _tone(step: Step) -> tuple[str, str]:
    """Colour and outline of a bar."""
    if step.name in (IDEAL, MEASURED):
        return "gray" if step.name == IDEAL else "accent", "none"
    if step.said == "0":
        return "none", "axis"
    # A gain has an outline, because colour alone would not tell.
    return ("warn", "none") if step.end > step.start else ("accent-soft", "accent")
