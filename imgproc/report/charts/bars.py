"""Axes with a row per measurement: names at the left (or above each bar, if narrow), values at the right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from imgproc.backends import BASELINE
from imgproc.measure.results import TechniqueMeasurement
from imgproc.report.charts.style import Style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Kind = Literal["faster", "slower", "level", "baseline"]
#: Colour of the bar and of the marks on it.
TONES: dict[Kind, tuple[str, str]] = {
    "faster": ("accent-soft", "accent"),
    "slower": ("warn-soft", "warn"),
    "level": ("gray", "ink-3"),
    "baseline": ("gray", "ink-3"),
}
#: For a wide and a narrow figure: pixels from row to row, and the height of a bar in rows; pixels below the rows.
_PITCH, BAR, _FOOT = (36, 46), (0.53, 0.35), 44


class Row(NamedTuple):
    """One measurement: its name and its value in words, also where there is less room; ``main`` is the one that the
    run is about. A name may stand for several measurements, so this is told by identity."""

    label: str
    value: str
    brief: str
    main: bool


def kind(t: TechniqueMeasurement) -> Kind:
    verdicts: dict[str | None, Kind] = {"faster": "faster", "slower": "slower"}
    return "baseline" if t.name == BASELINE else verdicts.get(t.verdict, "level")


def listed(rows: Sequence[Row]) -> str:
    return ", ".join(f"{row.label} {row.value}" for row in rows)


def heights(rows: Sequence[Row], labels: Sequence[str] = ()) -> tuple[int, int]:
    """Of the wide and the narrow figure with a legend of these labels above the rows."""
    heads = [Style(narrow=narrow).legend_height(labels) for narrow in (False, True)]
    wide, narrow = (head + pitch * len(rows) + _FOOT for head, pitch in zip(heads, _PITCH, strict=True))
    return wide, narrow


def axes(figure: Figure, style: Style, rows: Sequence[Row], head: int = 4) -> Axes:
    """The row ``k`` has its bar at the height ``k``, the first one at the top."""
    narrow = style.narrow
    left, right = 14.0, 14.0
    if not narrow:
        left = min(max(*(style.breadth(row.label, row.main) + 14 for row in rows), 120.0), 230.0)
        right = max(style.breadth(row.value, row.main) for row in rows) + 20
    axes = style.axes(figure, left, head, right, _FOOT)
    axes.set_ylim(len(rows) - (0.34 if narrow else 0.5), -0.66 if narrow else -0.5)
    axes.yaxis.set_visible(False)
    axes.spines.left.set_visible(False)
    place, across = axes.get_yaxis_transform(), style.width - left - right  # in shares of the axes, and in rows
    for k, row in enumerate(rows):
        room = style.width - style.breadth(row.brief, row.main) - 12 if narrow else left - 10
        label = style.wrapped(row.label, room, 1 if narrow else 2, row.main)
        y = k - BAR[narrow] / 2 - 3 / _PITCH[True] if narrow else k
        look: dict[str, Any] = {"weight": "bold" if row.main else "normal", "va": "bottom" if narrow else "center"}
        axes.text(-left / across, y, label, transform=place, linespacing=1.1, **look)
        x, align = (1 + right / across, "right") if narrow else (1 + 16 / across, "left")
        axes.text(x, y, row.brief if narrow else row.value, transform=place, ha=align, **look)
    return axes
