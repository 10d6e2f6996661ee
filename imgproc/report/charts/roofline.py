"""Figure ``roofline``: the measured operations below what memory and arithmetic allow."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from imgproc.backends import BASELINE
from imgproc.measure.roofline import Roof, Spot
from imgproc.numbers import counted, percent
from imgproc.report.charts.chart import Chart
from imgproc.report.charts.style import Style
from imgproc.report.roofline import found, per_byte
from imgproc.runs.record import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Pixels of the plot for a wide and a narrow figure, of the words above it, below it.
_HIGH, _HEAD, _FOOT = (300, 240), 30, 44
ONE = "roof of one core"


def chart(record: Record) -> Chart | None:
    """None where the run did not measure the roofs, or no operation is counted."""
    known = found(record)
    if known is None:
        return None
    made, one, every = known
    narrow = _HIGH[True] + _HEAD + _FOOT + Style(narrow=True).legend_height(_labels(made, every))
    return Chart(
        "roofline", "bounds", "Roofline", _sentence(made, one), _alt(made, one, every),
        (_HIGH[False] + _HEAD + _FOOT, narrow), partial(_draw, made, one, every), "Operation",
        ("With", "Operations for each byte", "Billion operations a second", "Share of the roof", "Lower roof"),
        tuple((spot.operation, _cells(spot)) for spot in made),
    )  # fmt: skip


def _cells(spot: Spot) -> tuple[str, ...]:
    return (spot.technique, per_byte(spot.intensity), f"{spot.rate / 1e9:.3g}", percent(spot.reached), spot.bound)


def _sentence(made: list[Spot], one: Roof) -> str:
    best = max((spot for spot in made if spot.technique == BASELINE), key=lambda spot: spot.reached)
    return (
        f"On one core the nearest to its roof is {best.operation}, with {percent(best.reached)} of it. Left of "
        f"{per_byte(one.ridge)} operations for each byte memory is the lower roof, right of it arithmetic."
    )


def _alt(made: list[Spot], one: Roof, every: Roof) -> str:
    parts = [
        f"The roof of {counted(roof.threads, 'core')}: {roof.copied / 1e9:.3g} billion bytes a second times the "
        f"operations for each byte, at most {roof.peak / 1e9:.3g} billion operations a second."
        for roof in ([one, every] if every.threads > 1 else [one])
    ]
    points = [
        f"{spot.operation} with {spot.technique} {spot.rate / 1e9:.3g} billion a second at "
        f"{per_byte(spot.intensity)} for each byte"
        for spot in made
    ]
    return " ".join([*parts, f"Below them: {', '.join(points)}."])


def _labels(made: list[Spot], every: Roof) -> list[str]:
    names = list(dict.fromkeys(spot.technique for spot in made))
    return [*names, ONE, *([_all(every)] if every.threads > 1 else [])]


def _all(every: Roof) -> str:
    return f"roof of all {every.threads} cores"


def _draw(made: list[Spot], one: Roof, every: Roof, figure: Figure, style: Style) -> None:
    labels = _labels(made, every)
    right = 8 if style.narrow else max(map(style.breadth, labels)) + 52
    head = _HEAD + (style.legend_height(labels) if style.narrow else 0)
    left = style.breadth("1,000") + 14
    axes = style.axes(figure, left, head, right, _FOOT)
    axes.set_xlabel("Operations for each byte moved")
    axes.set_title("Billion operations a second", x=-left / (style.width - left - right), pad=9)
    low, high = _limits(axes, made, one, every)
    handles: dict[str, Any] = {}
    for roof, name, dash in ((one, ONE, "-"), (every, _all(every), "--")):
        if name not in labels:
            continue
        at = sorted({low, min(max(low, roof.ridge), high), high})
        (handles[name],) = axes.plot(at, [roof.at(x) / 1e9 for x in at], dash, color=style.colour("ink"), linewidth=1.2)
    for name, colour, marker in zip(labels[:2], ("accent", "other"), ("o", "D"), strict=False):
        some = [spot for spot in made if spot.technique == name]
        if some:
            rates = [spot.rate / 1e9 for spot in some]
            (handles[name],) = axes.plot(
                [spot.intensity for spot in some], rates, marker, color=style.colour(colour), clip_on=False
            )
    _name(axes, [spot for spot in made if spot.technique == BASELINE], style)
    beside = (0, 3, 0) if style.narrow else (style.width - right + 14, _HEAD, 1)
    style.legend(figure, {label: handles[label] for label in labels}, *beside)


def _limits(axes: Axes, made: list[Spot], one: Roof, every: Roof) -> tuple[float, float]:
    """Both axes logarithmic; returns the ends of the one across."""
    across = [spot.intensity for spot in made] + [one.ridge, every.ridge]
    low, high = min(across) / 2.5, max(across) * 2.5
    up = [spot.rate / 1e9 for spot in made] + [one.at(low) / 1e9, every.peak / 1e9, one.peak / 1e9]
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(low, high)
    axes.set_ylim(min(up) / 2.5, max(up) * 1.5)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:,g}")
    axes.minorticks_off()
    axes.grid(axis="y")
    axes.spines.left.set_visible(False)
    return low, high


def _name(axes: Axes, some: list[Spot], style: Style) -> None:
    """The operation's name below each point, else beside it, where there is room for it."""
    points = [axes.transData.transform((spot.intensity, spot.rate / 1e9)) for spot in some]
    taken = [(float(x) - 6, float(x) + 6, float(y)) for x, y in points]
    for spot in sorted(some, key=lambda one: one.intensity):
        place = spot.intensity, spot.rate / 1e9
        x, y = axes.transData.transform(place)
        wide, high = style.breadth(spot.operation), 1.4 * style.size
        for left, middle, offset, across, up in (
            (x - wide / 2, y - high, (0, -9), "center", "top"),
            (x + 10, y, (8, 0), "left", "center"),
        ):
            if any(abs(middle - at) < 0.9 * high and left < end and left + wide > begin for begin, end, at in taken):
                continue
            taken.append((left, left + wide, middle))
            colour = style.colour("ink-2")
            axes.annotate(spot.operation, place, offset, textcoords="offset points", ha=across, va=up, color=colour)
            break
