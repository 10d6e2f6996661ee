"""Drawing a chart with matplotlib, which is imported here and nowhere else: that takes a second.

Only its object interface is used, because pyplot keeps figures of the whole process.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Sequence

import matplotlib
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from imgproc.report.charts.charts import Chart, Dash, Marker

DPI = 96
PNG_SCALE = 2
FONTS = [
    "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "Liberation Sans", "Helvetica Neue", "Arial", "DejaVu Sans",
    "sans-serif",
]  # fmt: skip
#: The page's colours. Stages differ in lightness too, for print and for colour-blind people; ``heat-0`` to ``heat-1``
#: is a ramp of lightness.
COLOURS: dict[str, dict[str, str]] = {
    "light": {
        "paper": "#fcfcfb", "solid": "#ffffff", "ink": "#171b1f", "ink-2": "#4a525a", "ink-3": "#616970",
        "rule": "#dcdfe2", "axis": "#82898f", "accent": "#0b5cad", "accent-soft": "#d3e4f5", "gray": "#c9ced3",
        "warn": "#a34a04", "warn-soft": "#f0c79d", "io": "#3f474e", "decode": "#6e7881", "canny": "#0b5cad",
        "gaussian": "#4f92d1", "equalize": "#aacdec", "encode": "#cb8527", "other": "#915600",
        "heat-0": "#eaf2fa", "heat-1": "#0b5cad",
    },
    "dark": {
        "paper": "#14171a", "solid": "#14171a", "ink": "#eceef0", "ink-2": "#b9c1c8", "ink-3": "#98a1a9",
        "rule": "#2c3238", "axis": "#6f7880", "accent": "#6fb3f0", "accent-soft": "#1d3b57", "gray": "#4a525a",
        "warn": "#efa261", "warn-soft": "#6d4521", "io": "#c2c9cf", "decode": "#a3acb4", "canny": "#2f80cf",
        "gaussian": "#73b3ee", "equalize": "#bedcf6", "encode": "#d9993f", "other": "#e6b566",
        "heat-0": "#1b2936", "heat-1": "#8cc6f8",
    },
}  # fmt: skip
DASHES: dict[Dash, object] = {"": "-", "dashed": (0, (4, 3)), "long": (0, (5, 2.5)), "dotted": (0, (1.2, 2.2))}
MARKERS: dict[Marker, str] = {"dot": "o", "diamond": "D"}

#: matplotlib's settings belong to the whole process.
_LOCK = threading.Lock()


def draw(chart: Chart, format: str, theme: str, narrow: bool, run: str) -> bytes:
    """The chart as SVG (transparent, text as text) or PNG (twice the size, on the theme's ground).

    The same bytes each time. ``run`` is the run's id, which stands in the file's title.
    """
    file = io.BytesIO()
    title = f"{chart.title}, run {run}"
    with _LOCK, matplotlib.rc_context():
        matplotlib.rcdefaults()  # not what a matplotlibrc of this machine says
        matplotlib.rcParams.update({"font.family": FONTS, "svg.fonttype": "none", "svg.hashsalt": "speedup-lab"})
        matplotlib.rcParams["hatch.linewidth"] = 0.9
        figure = Sheet(chart, theme, narrow).figure
        if format == "svg":
            metadata = {"Title": title, **dict.fromkeys(("Date", "Creator", "Format", "Type"))}
            figure.savefig(file, format="svg", transparent=True, metadata=metadata)
        else:
            ground = COLOURS[theme]["solid"]
            metadata = {"Title": title, "Software": None}
            figure.savefig(file, format="png", dpi=DPI * PNG_SCALE, facecolor=ground, metadata=metadata)
    return file.getvalue()


class Sheet:
    """A chart drawn on a single matplotlib Axes that fills the figure: places are pixels from the top left corner.

    Colours are names of ``COLOURS``, or values of their own.
    """

    def __init__(self, chart: Chart, theme: str, narrow: bool) -> None:
        self.chart, self.narrow, self.colours = chart, narrow, COLOURS[theme]
        self.size = 12 if narrow else 14
        self.width, self.height = chart.size(narrow)
        self.figure = Figure(figsize=(self.width / DPI, self.height / DPI), dpi=DPI)
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set_axis_off()
        self.axes.set_xlim(0, self.width)
        self.axes.set_ylim(self.height, 0)
        chart.draw(self)

    def colour(self, name: str) -> str:
        return self.colours.get(name, name)

    def text(
        self, x: float, y: float, text: str, colour: str = "ink", align: str = "left", bold: bool = False,
        size: float = 0.0,
    ) -> None:  # fmt: skip
        """One line with its middle at ``y``."""
        size = size or self.size
        # From the base line, which is the same in every font.
        self.axes.text(
            x, y + size * 0.36, text, color=self.colour(colour), ha=align, va="baseline", size=size * 0.75,
            weight="bold" if bold else "normal", parse_math=False,
        )  # fmt: skip

    def line(self, xs: Sequence[float], ys: Sequence[float], colour: str, width: float = 1, dash: Dash = "") -> None:
        self.axes.add_line(
            Line2D(
                xs, ys, color=self.colour(colour), linewidth=width * 0.75, linestyle=DASHES[dash],  # type: ignore[arg-type]
                solid_capstyle="butt", dash_capstyle="butt",
            )
        )  # fmt: skip

    def block(
        self, x: float, middle: float, width: float, height: float, colour: str, hatch: str = "", edge: str = ""
    ) -> None:
        """A rectangle from ``x`` on; without colour or with hatching it has an outline, which stays inside."""
        edge = edge or ("io" if hatch else "" if colour else "axis")
        inset = 0.5 if edge and width > 2 else 0.0
        self.axes.add_patch(
            Rectangle(
                (x + inset, middle - height / 2 + inset), width - 2 * inset, height - 2 * inset, hatch=hatch or None,
                facecolor=self.colour(colour) if colour else "none", linewidth=0.75,
                edgecolor=self.colour(edge) if edge else "none",
            )
        )  # fmt: skip

    def outline(self, x: float, y: float, width: float, height: float, colour: str, thickness: float) -> None:
        """An empty rectangle from its top left corner on."""
        self.axes.add_patch(
            Rectangle(
                (x, y), width, height, facecolor="none", edgecolor=self.colour(colour), linewidth=thickness * 0.75,
                joinstyle="miter",
            )
        )  # fmt: skip

    def dots(
        self, xs: Sequence[float], ys: Sequence[float], colour: str, fill: str, size: float, edge: float,
        marker: Marker = "dot",
    ) -> None:  # fmt: skip
        self.axes.add_line(
            Line2D(
                xs, ys, linestyle="", marker=MARKERS[marker], markersize=size * 0.75,
                markeredgecolor=self.colour(colour), markerfacecolor=self.colour(fill) if fill else "none",
                markeredgewidth=edge * 0.75,
            )
        )  # fmt: skip
