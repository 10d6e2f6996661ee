"""How figures look, and their files. matplotlib is imported here, at first use: that takes a second.

Only its object interface is used, because pyplot keeps figures of the whole process.
"""

from __future__ import annotations

import io
import logging
import math
import textwrap
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from imgproc.operations import OPERATIONS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from imgproc.report.charts.chart import Chart

DPI, PNG_SCALE = 96, 2
POINT = 72 / DPI  #: a pixel, in points
#: For a wide and a narrow figure: pixels across, and of its font.
WIDTHS, SIZES = (864, 344), (14, 12)
#: The font to measure by: matplotlib brings it, and it is the widest of those that an SVG, which is shown on another
#: machine, asks for.
_FONT = "DejaVu Sans"
_FONTS = (
    f"-apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'Liberation Sans', 'Helvetica Neue', Arial, '{_FONT}', sans-serif"
)
#: The page's colours, on light and on dark ground; ``heat-0`` to ``heat-1`` is a ramp of lightness.
_COLOURS = {
    "paper": ("#fcfcfb", "#14171a"), "solid": ("#ffffff", "#14171a"), "ink": ("#171b1f", "#eceef0"),
    "ink-2": ("#4a525a", "#b9c1c8"), "ink-3": ("#616970", "#98a1a9"), "rule": ("#dcdfe2", "#2c3238"),
    "axis": ("#82898f", "#6f7880"), "accent": ("#0b5cad", "#6fb3f0"), "accent-soft": ("#d3e4f5", "#1d3b57"),
    "gray": ("#c9ced3", "#4a525a"), "warn": ("#a34a04", "#efa261"), "warn-soft": ("#f0c79d", "#6d4521"),
    "io": ("#3f474e", "#c2c9cf"), "decode": ("#6e7881", "#a3acb4"), "encode": ("#cb8527", "#d9993f"),
    "other": ("#915600", "#e6b566"), "heat-0": ("#eaf2fa", "#1b2936"), "heat-1": ("#0b5cad", "#8cc6f8"),
}  # fmt: skip
COLOURS = {theme: {name: pair[k] for name, pair in _COLOURS.items()} for k, theme in enumerate(("light", "dark"))}
#: Colour and hatching of the stages that are no operation. Neighbours differ in lightness, for print and for
#: colour-blind people.
STAGES = {
    **dict.fromkeys(("read", "write"), ("io", "")), "decode": ("decode", ""), "encode": ("encode", ""),
    **dict.fromkeys(("h2d", "d2h", "transfer"), ("paper", "//////")),
    **dict.fromkeys(("kernel", "call"), ("accent", "")), "merge": ("ink", ""),
    "wait": ("none", ""),
}  # fmt: skip
#: matplotlib's settings belong to the whole process.
_LOCK = threading.Lock()


@dataclass(frozen=True)
class Style:
    """One way to draw a figure: its theme, and whether it is for a narrow screen. Sizes are pixels."""

    theme: str = "light"
    narrow: bool = False

    @property
    def width(self) -> int:
        return WIDTHS[self.narrow]

    @property
    def size(self) -> int:
        """Of the font."""
        return SIZES[self.narrow]

    def colour(self, name: str) -> str:
        """Of ``COLOURS``, or ``name`` itself where that is a colour."""
        return COLOURS[self.theme].get(name, name)

    def stage(self, stage: str) -> tuple[str, str]:
        """Colour and hatching: an operation's are its own, those of what nobody knows dotted."""
        if stage in OPERATIONS:
            look = OPERATIONS[stage].look
            return (look.dark if self.theme == "dark" else look.light), ""
        colour, hatch = STAGES.get(stage, ("accent-soft", "....."))
        return self.colour(colour), hatch

    def settings(self) -> dict[str, Any]:
        """matplotlib's, in its units."""
        quiet, axis = self.colour("ink-2"), self.colour("axis")
        size = self.size * POINT
        return {
            "font.family": [_FONT], "font.size": size, "text.color": self.colour("ink"), "text.parse_math": False,
            "svg.fonttype": "none", "svg.hashsalt": "speedup-lab", "hatch.linewidth": 0.9, "figure.dpi": DPI,
            "axes.facecolor": "none", "axes.linewidth": POINT, "axes.edgecolor": axis, "axes.axisbelow": True,
            "axes.labelcolor": quiet, "axes.labelsize": size, "axes.labelpad": 3, "axes.titlecolor": quiet,
            "axes.titlesize": size, "axes.titlelocation": "left", "axes.titley": 1.0,
            **dict.fromkeys(("axes.spines.top", "axes.spines.right"), False),
            "grid.color": self.colour("rule"), "grid.linewidth": POINT,
            **dict.fromkeys(("xtick.color", "ytick.color"), axis), "ytick.major.size": 0, "ytick.major.pad": 6,
            **dict.fromkeys(("xtick.labelcolor", "ytick.labelcolor"), quiet), "xtick.major.width": POINT,
            **dict.fromkeys(("xtick.labelsize", "ytick.labelsize"), size), "xtick.major.size": 3,
            "legend.frameon": False, "legend.fontsize": size, "legend.labelcolor": quiet, "legend.borderpad": 0,
            "legend.borderaxespad": 0, "legend.handletextpad": 0.5, "legend.columnspacing": 1.2,
            "legend.labelspacing": 0.4, "legend.handlelength": 1.5, "legend.handleheight": 0.8,
            "lines.linewidth": 1.5, "lines.markersize": 6, "lines.markeredgewidth": 1.35, "errorbar.capsize": 4,
            "errorbar.capthick": 1.2, "patch.linewidth": POINT,
            **dict.fromkeys(("lines.dash_capstyle", "lines.solid_capstyle"), "butt"),
        }  # fmt: skip

    # ------------------------------------------------------------ text and places

    def breadth(self, text: str, bold: bool = False) -> float:
        """How wide a line of text is."""
        return _breadth(text, "bold" if bold else "normal") * self.size

    def wrapped(self, text: str, room: float, lines: int, bold: bool = False) -> str:
        """A text in at most so many lines that fit; what is too long ends in an ellipsis."""
        letters = max(4, int(0.95 * room / max(self.breadth(text, bold), 1) * len(text)))
        return "\n".join(textwrap.wrap(text, letters, max_lines=lines, placeholder="…"))

    def axes(self, figure: Figure, left: float, top: float, right: float, bottom: float) -> Axes:
        """Axes with their edges so far from those of the figure."""
        width, height = figure.bbox.width, figure.bbox.height
        box = left / width, bottom / height, (width - left - right) / width, (height - top - bottom) / height
        return figure.add_axes(box)

    def columns(self, labels: Sequence[str]) -> int:
        """Of a legend with these labels, by a guess that needs no matplotlib."""
        return max(1, int(self.width / self.size / (0.62 * max(map(len, labels), default=0) + 3.2)))

    def legend_height(self, labels: Sequence[str]) -> int:
        return round(math.ceil(len(labels) / self.columns(labels)) * self.size * 1.55) + 10 if labels else 4

    def legend(
        self, figure: Figure, handles: Mapping[str, Any], left: float = 0, top: float = 3, columns: int = 0
    ) -> None:
        """Labels with what they stand for, by default above everything else."""
        corner = left / figure.bbox.width, 1 - top / figure.bbox.height
        columns = columns or self.columns(list(handles))
        figure.legend(list(handles.values()), list(handles), loc="upper left", bbox_to_anchor=corner, ncols=columns)


@lru_cache(1024)
def _breadth(text: str, weight: str) -> float:
    """Of a line of text, as a multiple of the font's size."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(family=_FONT, weight=weight, size=100)
    return float(text_to_path.get_text_width_height_descent(text, font, ismath=False)[0]) / 100


def errors(values: Sequence[float], intervals: Sequence[Sequence[float] | None]) -> list[list[float]]:
    """What an interval has below and above its value, as ``errorbar`` takes it; nothing where there is none."""
    ends = [interval or (math.nan, math.nan) for interval in intervals]
    below = [value - low for value, (low, _) in zip(values, ends, strict=True)]
    return [below, [high - value for value, (_, high) in zip(values, ends, strict=True)]]


def time_unit(longest: float) -> tuple[str, str]:
    """The unit for an axis of seconds that ends at ``longest``, and its name."""
    return ("ms", "Milliseconds") if longest < 0.1 else ("s", "Seconds")


def ticks(low: float, high: float, most: int, logarithmic: bool = False) -> tuple[list[float], list[str]]:
    """About so many round values between ``low`` and ``high``, in seconds, and as written in ``time_unit``."""
    from matplotlib.ticker import LogLocator, MaxNLocator

    steps = (1, 2, 5) if high / (low or high) < 60 else (1, 3) if high / low < 1000 else (1,)
    locator = LogLocator(subs=steps, numticks=most) if logarithmic else MaxNLocator(most, steps=[1, 2, 5, 10])
    values = [v for v in (round(float(value), 12) for value in locator.tick_values(low, high)) if low <= v <= high]
    shown = [v * (1000 if time_unit(high)[0] == "ms" else 1) for v in values]
    decimals = 0 if logarithmic or not low else max(len(f"{v:.10g}".partition(".")[2]) for v in shown)
    return values, [f"{v:,.{decimals}f}" if decimals else f"{v:,.10g}" for v in shown]


# ---------------------------------------------------------------- files


def drawn(chart: Chart, style: Style) -> Figure:
    """The chart as matplotlib's figure; the settings of the process become the style's."""
    import matplotlib
    from matplotlib.figure import Figure

    matplotlib.rcdefaults()  # not what a matplotlibrc of this machine says
    matplotlib.rcParams.update(cast("Any", style.settings()))
    figure = Figure(figsize=(style.width / DPI, chart.heights[style.narrow] / DPI))
    chart.draw(figure, style)
    return figure


def save(chart: Chart, format: str, style: Style, run: str) -> bytes:
    """The chart as SVG (transparent, text as text) or PNG (twice the size, on the theme's ground).

    The same bytes each time. ``run`` is the run's id, which stands in the file's title.
    """
    file = io.BytesIO()
    title = f"{chart.title}, run {run}"
    with _LOCK:
        # A missing font or folder is nothing that anybody could mend here.
        logging.getLogger("matplotlib").setLevel(logging.ERROR)
        import matplotlib

        with matplotlib.rc_context():
            figure = drawn(chart, style)
            if format == "svg":
                nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
                figure.savefig(file, format="svg", transparent=True, metadata={"Title": title, **nothing})
            else:
                ground = style.colour("solid")
                metadata = {"Title": title, "Software": None}
                figure.savefig(file, format="png", dpi=DPI * PNG_SCALE, facecolor=ground, metadata=metadata)
    made = file.getvalue()
    return made.replace(f"'{_FONT}'".encode(), _FONTS.encode()) if format == "svg" else made
