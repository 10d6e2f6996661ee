"""Figure ``what-if``: measured points of a run, and a law of scaling with a chosen serial share laid over them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from imgproc.measure.whatif import WhatIf
from imgproc.numbers import NBSP, counted, exact_percent, times, times_interval
from imgproc.report.charts.chart import Chart
from imgproc.report.charts.style import Style, errors
from imgproc.report.scale import unit
from imgproc.report.whatif import NAMES, label, rows, said

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAME = "what-if"
#: From this many workers on both axes are logarithmic.
LOGARITHMIC = 16
#: Pieces of the curve between one worker and the most.
_SMOOTH = 96
#: Pixels of the plot for a wide and a narrow figure, of the words above it, below it.
_HIGH, _HEAD, _FOOT = (300, 220), 30, 44
MEASURED, OVER, CHOSEN, BEYOND, LIMIT, IDEAL = (
    "measured", "more workers than cores", "chosen workers", "extrapolated", "limit 1/s", "ideal",
)  # fmt: skip


def chart(asked: WhatIf) -> Chart:
    found = said(asked)
    narrow = _HIGH[True] + _HEAD + _FOOT + Style(narrow=True).legend_height(_labels(asked))
    return Chart(
        NAME, "scaling", "What if", found.distance, _alt(asked),
        (_HIGH[False] + _HEAD + _FOOT, narrow), partial(_draw, asked),
        f"{unit(asked.basis.technique).capitalize()}s",
        ("Measured", f"95{NBSP}% interval", "The law", "Measured against it"), tuple(rows(asked)),
    )  # fmt: skip


def _law(asked: WhatIf) -> str:
    return f"{NAMES[asked.basis.law].removesuffix('’s law')}, {exact_percent(round(asked.serial, 6))} serial"


def _alt(asked: WhatIf) -> str:
    what = unit(asked.basis.technique)
    measured = [
        f"{counted(p.workers, what)} {times(p.speedup)}"
        + (f" ({times_interval(p.speedup_ci95)})" if p.speedup_ci95 else "")
        + (", more than cores" if p.oversubscribed else "")
        for p in asked.basis.points
    ]
    limit = f" It never exceeds {times(asked.limit)}." if asked.limit else ""
    return (
        f"Measured speedup of {label(asked.basis)}: {', '.join(measured)}. The line of {_law(asked)}: "
        f"{', '.join(f'{counted(miss.point.workers, what)} {times(miss.predicted)}' for miss in asked.misses)}, and "
        f"for {counted(asked.workers, what)} {times(asked.speedup)}.{limit}"
    )


def _far(asked: WhatIf) -> int:
    """Where the figure ends."""
    return max(asked.workers, asked.basis.most, 2)


def _limit_shown(asked: WhatIf) -> bool:
    """Whether the limit is near enough to be drawn."""
    return asked.limit is not None and asked.limit <= 2 * max(_shown(asked))


def _shown(asked: WhatIf) -> list[float]:
    """Speedups that have to be seen."""
    points = asked.basis.points
    measured = [value for p in points for value in (p.speedup, *(p.speedup_ci95 or ())) if value]
    return [*measured, asked.predicted(1), asked.predicted(_far(asked))]


def _labels(asked: WhatIf) -> list[str]:
    """What the legend says, in its order."""
    points = asked.basis.points
    wanted = {
        MEASURED: any(not p.oversubscribed for p in points),
        OVER: any(p.oversubscribed for p in points),
        CHOSEN: True,
        _law(asked): True,
        BEYOND: _far(asked) > asked.basis.most,
        LIMIT: _limit_shown(asked),
        IDEAL: True,
    }
    return [name for name, is_there in wanted.items() if is_there]


def _curve(asked: WhatIf, low: float, high: float) -> tuple[list[float], list[float]]:
    at = [low * (high / low) ** (k / _SMOOTH) for k in range(_SMOOTH + 1)] if high > low else [low]
    return at, [asked.predicted(p) for p in at]


def _draw(asked: WhatIf, figure: Figure, style: Style) -> None:
    labels, points = _labels(asked), asked.basis.points
    right = 8 if style.narrow else max(map(style.breadth, labels)) + 52
    head = _HEAD + (style.legend_height(labels) if style.narrow else 0)
    left = style.breadth("1,024×") + 8
    axes = style.axes(figure, left, head, right, _FOOT)
    axes.set_xlabel(f"{unit(asked.basis.technique).capitalize()}s")
    axes.set_title("Times as fast as sequential", x=-left / (style.width - left - right), pad=9)
    most, far = asked.basis.most, _far(asked)
    handles: dict[str, Any] = {}
    accent, ink = style.colour("accent"), style.colour("ink")
    ideal = [1.0, *(x for x in _curve(asked, 1, far)[0][1:])]
    (handles[IDEAL],) = axes.plot(ideal, ideal, "--", color=ink, linewidth=0.9)
    if asked.limit is not None and _limit_shown(asked):
        handles[LIMIT] = axes.axhline(asked.limit, linestyle="-.", color=style.colour("other"), linewidth=0.9)
    (handles[_law(asked)],) = axes.plot(*_curve(asked, 1, most), "-", color=accent)
    if far > most:
        (handles[BEYOND],) = axes.plot(*_curve(asked, most, far), ":", color=accent)
    for hollow in (True, False):
        if not (some := [p for p in points if p.oversubscribed == hollow]):
            continue
        values = [p.speedup or 0.0 for p in some]
        made = axes.errorbar(
            [p.workers for p in some], values, errors(values, [p.speedup_ci95 for p in some]), fmt="o", color=ink,
            markerfacecolor=style.colour("paper") if hollow else ink, capsize=3, clip_on=False,
        )  # fmt: skip
        handles[OVER if hollow else MEASURED] = made.lines[0]
    (handles[CHOSEN],) = axes.plot(
        [asked.workers], [asked.speedup], "D", color=accent, markerfacecolor=style.colour("paper"), clip_on=False
    )
    _scales(axes, asked, style)
    beside = (0, 3, 0) if style.narrow else (style.width - right + 14, _HEAD, 1)
    style.legend(figure, {label: handles[label] for label in labels}, *beside)


def _scales(axes: Axes, asked: WhatIf, style: Style) -> None:
    """Limits and ticks; the ideal may leave the figure, what was measured and what the law says may not."""
    far, shown = _far(asked), _shown(asked)
    limit = [asked.limit] if asked.limit is not None and _limit_shown(asked) else []
    low, high = min(1.0, *shown), max(*shown, *limit)
    if far > LOGARITHMIC:
        axes.set_xscale("log", base=2)
        axes.set_yscale("log", base=2)
        margin = far**0.04
        axes.set_xlim(1 / margin, far * margin)
        axes.set_ylim(low / 1.1, max(high * 1.25, 2.2))
        wanted = [2**k for k in range(far.bit_length())]
    else:
        margin = (far - 1) * 0.05
        axes.set_xlim(1 - margin, far + margin)
        axes.set_ylim(0, max(high * 1.08, 1.2))
        axes.locator_params(axis="y", nbins=6, steps=[1, 2, 5, 10])
        wanted = list(range(1, far + 1))
    axes.yaxis.set_major_formatter("{x:,g}×")
    free, named = 0.0, []
    for p in wanted:
        x, half = axes.transData.transform((p, 1))[0], style.breadth(f"{p:,}") / 2
        named.append(f"{p:,}" if x - half >= free else "")
        free = x + half + 4 if named[-1] else free
    axes.set_xticks(wanted, labels=named, minor=False)
    axes.minorticks_off()
    axes.grid(axis="y")
    axes.spines.left.set_visible(False)
    axes.axhline(1, color=style.colour("axis"), linewidth=0.75, zorder=0.9)
