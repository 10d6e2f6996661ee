"""Drawing a chart with matplotlib, which is imported here and nowhere else: that takes a second.

Only its object interface is used, because pyplot keeps figures of the whole process.
"""

from __future__ import annotations

import io
import math
import threading
from collections.abc import Callable, Iterator, Sequence

import matplotlib
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from imgproc.runs.charts import Chart, Row
from imgproc.runs.layout import SWATCH, Layout, look

DPI = 96
PNG_SCALE = 2
FONTS = [
    "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "Liberation Sans", "Helvetica Neue", "Arial", "DejaVu Sans",
    "sans-serif",
]  # fmt: skip
#: The page's colours. Stages differ in lightness too, for print and for colour-blind people.
COLOURS: dict[str, dict[str, str]] = {
    "light": {
        "paper": "#fcfcfb", "solid": "#ffffff", "ink": "#171b1f", "ink-2": "#4a525a", "ink-3": "#616970",
        "rule": "#dcdfe2", "axis": "#82898f", "accent": "#0b5cad", "accent-soft": "#d3e4f5", "gray": "#c9ced3",
        "warn": "#a34a04", "warn-soft": "#f0c79d", "io": "#3f474e", "decode": "#6e7881", "canny": "#0b5cad",
        "gaussian": "#4f92d1", "equalize": "#aacdec", "encode": "#cb8527",
    },
    "dark": {
        "paper": "#14171a", "solid": "#14171a", "ink": "#eceef0", "ink-2": "#b9c1c8", "ink-3": "#98a1a9",
        "rule": "#2c3238", "axis": "#6f7880", "accent": "#6fb3f0", "accent-soft": "#1d3b57", "gray": "#4a525a",
        "warn": "#efa261", "warn-soft": "#6d4521", "io": "#c2c9cf", "decode": "#a3acb4", "canny": "#2f80cf",
        "gaussian": "#73b3ee", "equalize": "#bedcf6", "encode": "#d9993f",
    },
}  # fmt: skip
#: Colour of the bar and of the marks on it.
TONES = {
    "faster": ("accent-soft", "accent"),
    "slower": ("warn-soft", "warn"),
    "level": ("gray", "ink-3"),
    "baseline": ("gray", "ink-3"),
}

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
    """A chart drawn: names at the left (or above each bar, if narrow), values at the right, the axis below.

    Places are pixels of a single matplotlib Axes that fills the figure.
    """

    def __init__(self, chart: Chart, theme: str, narrow: bool) -> None:
        self.chart, self.colours = chart, COLOURS[theme]
        self.layout = Layout(chart, narrow)
        width, height = self.layout.width, self.layout.height
        self.figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set_axis_off()
        self.axes.set_xlim(0, width)
        self.axes.set_ylim(height, 0)
        _DRAWN[chart.name](self)
        self.names()
        self.axis()

    def x(self, value: float) -> float:
        """Where a value of the axis lies."""
        low, high = self.chart.low, self.chart.high
        if self.chart.logarithmic:
            low, high, value = math.log(low), math.log(high), math.log(value)
        return self.layout.left + (value - low) / (high - low) * (self.layout.right - self.layout.left)

    def rows(self) -> Iterator[tuple[Row, float]]:
        """Each row and where the middle of its bar lies."""
        return zip(self.chart.rows, self.layout.middles, strict=True)

    # ------------------------------------------------------------ marks

    def text(self, x: float, y: float, text: str, colour: str = "ink", align: str = "left", bold: bool = False) -> None:
        """One line with its middle at ``y``."""
        size = self.layout.size
        # From the base line, which is the same in every font.
        self.axes.text(
            x, y + size * 0.36, text, color=self.colours[colour], ha=align, va="baseline", size=size * 0.75,
            weight="bold" if bold else "normal", parse_math=False,
        )  # fmt: skip

    def line(
        self, xs: Sequence[float], ys: Sequence[float], colour: str, width: float = 1, dashed: bool = False
    ) -> None:
        self.axes.add_line(
            Line2D(
                xs, ys, color=self.colours[colour], linewidth=width * 0.75, linestyle=(0, (4, 3)) if dashed else "-",
                solid_capstyle="butt", dash_capstyle="butt",
            )
        )  # fmt: skip

    def block(self, x: float, middle: float, width: float, height: float, colour: str, hatch: str = "") -> None:
        """A rectangle from ``x`` on; without colour or with hatching it has an outline, which stays inside."""
        outlined = not colour or bool(hatch)
        inset = 0.5 if outlined and width > 2 else 0.0
        self.axes.add_patch(
            Rectangle(
                (x + inset, middle - height / 2 + inset), width - 2 * inset, height - 2 * inset, hatch=hatch or None,
                facecolor=self.colours[colour] if colour else "none", linewidth=0.75,
                edgecolor=self.colours["io" if hatch else "axis"] if outlined else "none",
            )
        )  # fmt: skip

    def dots(self, xs: Sequence[float], ys: Sequence[float], colour: str, fill: str, size: float, edge: float) -> None:
        self.axes.add_line(
            Line2D(
                xs, ys, linestyle="", marker="o", markersize=size * 0.75, markeredgecolor=self.colours[colour],
                markerfacecolor=self.colours[fill] if fill else "none", markeredgewidth=edge * 0.75,
            )
        )  # fmt: skip

    # ------------------------------------------------------------ what every figure has

    def names(self) -> None:
        layout = self.layout
        for row, middle in self.rows():
            if layout.narrow:
                above = middle - layout.bar / 2 - layout.size * 0.8
                room = layout.width - layout.estimate(row.value, row.main) - 12
                self.text(0, above, layout.wrapped(row, room, 1)[0], bold=row.main)
                self.text(layout.width, above, row.value, align="right", bold=row.main)
                continue
            lines = layout.wrapped(row, layout.left - 10, 2)
            for k, line in enumerate(lines):
                y = middle + (k - (len(lines) - 1) / 2) * layout.size * 1.15
                self.text(0, y, line, bold=row.main)
            self.text(layout.right + 16, middle, row.value, bold=row.main)

    def axis(self) -> None:
        layout, y = self.layout, self.layout.bottom
        self.line((layout.left, layout.right), (y, y), "axis")
        for value, said in self.ticks():
            self.line((self.x(value),) * 2, (y, y + 4), "axis")
            self.text(self.x(value), y + 5 + layout.size * 0.75, said, "ink-2", "center")
        label = self.chart.axis_narrow if layout.narrow else self.chart.axis
        self.text((layout.left + layout.right) / 2, layout.height - layout.size * 0.7, label, "ink-2", "center")

    def ticks(self) -> list[tuple[float, str]]:
        """Round values along the axis, and how they are written."""
        factor = 1000.0 if self.chart.unit == "ms" else 1.0
        low, high = self.chart.low * factor, self.chart.high * factor
        most = 6 if self.layout.narrow else 7
        if self.chart.logarithmic:
            values = _logarithmic(low, high, most)
            decimals = 0
        else:
            every = MaxNLocator(most - 1, steps=[1, 2, 5, 10]).tick_values(low, high)
            values = [float(value) for value in every if low <= value <= high]
            decimals = max(0, -math.floor(math.log10(every[1] - every[0]) + 1e-9))
        sign = "×" if self.chart.unit == "×" else ""
        fixed = decimals and low > 0
        said = [f"{value:.{decimals}f}" if fixed else f"{value:,.10g}" for value in values]
        return [(value / factor, text + sign) for value, text in zip(values, said, strict=True)]


def _logarithmic(low: float, high: float, most: int) -> list[float]:
    """At most so many values of 1, 2 and 5 times powers of ten; fewer steps where the axis is long."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    every: list[float] = []
    for steps in ((1, 2, 5), (1, 3), (1,)):
        every = [value for k in decades for step in steps if low <= (value := float(f"{step}e{k}")) <= high]
        if len(every) <= most:
            break
    return every[:: math.ceil(len(every) / most)] if every else []


# ---------------------------------------------------------------- what each figure has


def _speedup(sheet: Sheet) -> None:
    layout, bar = sheet.layout, sheet.layout.bar
    for row, middle in sheet.rows():
        sheet.block(layout.left, middle, sheet.x(row.at) - layout.left, bar, TONES[row.kind][0])
    lines = [(1.0, "sequential", "ink-3", False)]
    if sheet.chart.ideal:
        lines.append((sheet.chart.ideal, f"ideal {sheet.chart.ideal:g}×", "ink", True))
    for value, _, colour, dashed in lines:
        x = sheet.x(value)
        if layout.narrow:  # through the bars only: the names are between them
            for middle in layout.middles:
                sheet.line((x, x), (middle - bar / 2 - 3, middle + bar / 2 + 3), colour, 1.2, dashed)
        else:
            sheet.line((x, x), (layout.top - 4, layout.bottom), colour, 1.2, dashed)
    _line_names(sheet, [(sheet.x(value), said, colour) for value, said, colour, _ in lines])
    for row, middle in sheet.rows():
        if row.kind == "baseline":
            continue
        mark = TONES[row.kind][1]
        if row.interval:
            low, high = (sheet.x(value) for value in row.interval)
            sheet.line((low, high), (middle, middle), mark, 2.5)
            for x in (low, high):
                sheet.line((x, x), (middle - bar * 0.3, middle + bar * 0.3), mark, 1.6)
        sheet.dots((sheet.x(row.at),), (middle,), mark, "paper" if row.kind == "level" else mark, 8, 1.8)


def _line_names(sheet: Sheet, lines: list[tuple[float, str, str]]) -> None:
    """The names above the lines: in the middle of them, or to both sides where they would meet."""
    layout, y, gap = sheet.layout, sheet.layout.top - 4 - sheet.layout.size * 0.7, 10
    widths = [layout.estimate(said) for _, said, _ in lines]
    lefts = [max(0.0, x - width / 2) for (x, _, _), width in zip(lines, widths, strict=True)]
    if len(lines) == 2 and lefts[0] + widths[0] + gap > lefts[1]:
        lefts[0] = max(0.0, lines[0][0] + 4 - widths[0])
        lefts[1] = max(lines[1][0] - 4, lefts[0] + widths[0] + gap)
    lefts[-1] = min(lefts[-1], layout.width - widths[-1])
    for (_, said, colour), left, width in zip(lines, lefts, widths, strict=True):
        sheet.text(left + width / 2, y, said, colour, "center")


def _rounds(sheet: Sheet) -> None:
    layout, bar = sheet.layout, sheet.layout.bar
    for row, middle in sheet.rows():
        fill, mark = TONES[row.kind]
        sheet.line((layout.left, layout.right), (middle, middle), "rule")
        if row.interval:
            low, high = (sheet.x(value) for value in row.interval)
            sheet.block(low, middle, max(high - low, 1), bar, fill)
        # Spread evenly over the height whatever their number, so that equal times stay apart.
        heights = [middle + ((k * 0.618034) % 1 - 0.5) * bar * 0.7 for k in range(len(row.dots))]
        sheet.dots([sheet.x(value) for value in row.dots], heights, "ink-2", "", 5.5, 1.1)
        x = sheet.x(row.at)
        sheet.line((x, x), (middle - bar * 0.62, middle + bar * 0.62), "ink" if mark == "ink-3" else mark, 2.5)


def _stages(sheet: Sheet) -> None:
    layout = sheet.layout
    for entry in layout.legend:
        colour, hatch = look(entry.stages[0])
        sheet.block(entry.x, entry.y, SWATCH, SWATCH, colour, hatch)
        sheet.text(entry.x + SWATCH + 6, entry.y, entry.text, "ink-2")
    for row, middle in sheet.rows():
        at = 0.0
        for stage, value in row.parts:
            left, right = sheet.x(at), sheet.x(at + value)
            gap = 1.0 if right - left > 3 else 0.0  # keeps neighbours of like lightness apart
            colour, hatch = look(stage)
            sheet.block(left, middle, right - left - gap, layout.bar, colour, hatch)
            at += value


_DRAWN: dict[str, Callable[[Sheet], None]] = {"speedup": _speedup, "rounds": _rounds, "stages": _stages}
