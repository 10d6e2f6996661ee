"""Where the parts of a figure lie, in pixels from its top left corner.

Text is measured by a rule of thumb and with room to spare, because an SVG is shown in fonts of another machine.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from imgproc.runs.charts import Chart, Row

WIDE, NARROW = 864, 344
#: Widths of letters as shares of the font's size, those of DejaVu Sans: the widest of the fonts asked for, and the
#: one that matplotlib has where a machine has none.
_LETTERS = {
    **dict.fromkeys("ijl.,:;|'’ \u00a0", 0.33),
    **dict.fromkeys("frt()/-", 0.41),
    **dict.fromkeys("mwMW%", 0.96),
}
_CAPITAL, _OTHER, _BOLD = 0.72, 0.63, 1.13
FOOT = 44
SWATCH = 11


@dataclass(frozen=True)
class Entry:
    """One entry of the legend: its swatch begins at ``x``, its middle is at ``y``."""

    stages: tuple[str, ...]
    text: str
    x: float
    y: float


class Layout:
    """``left`` to ``right`` is the axis, which lies at ``bottom``; ``middles`` are those of the rows' bars."""

    def __init__(self, chart: Chart, narrow: bool = False) -> None:
        self.narrow = narrow
        self.width = NARROW if narrow else WIDE
        self.size = 12 if narrow else 14
        self.pitch, self.bar = (46, 16) if narrow else (36, 19)
        if narrow:
            self.left, self.right = 10.0, self.width - 12.0
        else:
            names = max(self.estimate(row.label, row.main) for row in chart.rows)
            values = max(self.estimate(row.value, row.main) for row in chart.rows)
            self.left = min(max(names + 14, 120.0), 230.0)
            self.right = self.width - values - 18
        self.legend = self._legend(chart)
        lines = len({entry.y for entry in self.legend})
        head = 28 if chart.ideal or chart.name == "speedup" else lines * self.size * 1.6 + (10 if lines else 4)
        self.top = round(head)
        self.bottom = self.top + self.pitch * len(chart.rows) + 2
        self.height = self.bottom + FOOT
        below = 0.66 if narrow else 0.5  # the narrow figure has the name above the bar
        self.middles = [self.top + self.pitch * (k + below) for k in range(len(chart.rows))]

    def estimate(self, text: str, bold: bool = False) -> float:
        """About how wide a text will be."""
        widths = sum(_LETTERS.get(letter, _CAPITAL if letter.isupper() else _OTHER) for letter in text)
        return widths * self.size * (_BOLD if bold else 1.0)

    def wrapped(self, row: Row, room: float, lines: int) -> list[str]:
        """The name of a row in at most so many lines that fit; what is too long ends in an ellipsis."""
        average = self.estimate(row.label, row.main) / max(1, len(row.label))
        letters = max(4, int(room / max(average, 1)))
        return textwrap.wrap(row.label, letters, max_lines=lines, placeholder="…") or [""]

    def _legend(self, chart: Chart) -> list[Entry]:
        """Stages that look alike share an entry; the entries flow into as many lines as they need."""
        groups: dict[object, list[str]] = {}
        for stage in chart.legend:
            groups.setdefault(look(stage), []).append(stage)
        entries, x, y = [], self.left, self.size * 0.8
        for stages in groups.values():
            text = ", ".join(SAID.get(stage, stage) for stage in stages)
            wide = SWATCH + 6 + self.estimate(text)
            if x > self.left and x + wide > self.width:
                x, y = self.left, y + self.size * 1.6
            entries.append(Entry(tuple(stages), text, x, y))
            x += wide + 14
        return entries


#: What a stage is called in a figure, where not by its name.
SAID = {"wait": "waiting"}
#: Colour (none: only an outline) and hatching of a stage.
LOOKS: dict[str, tuple[str, str]] = {
    "read": ("io", ""),
    "decode": ("decode", ""),
    "canny": ("canny", ""),
    "gaussian": ("gaussian", ""),
    "equalize": ("equalize", ""),
    "encode": ("encode", ""),
    "write": ("io", ""),
    "transfer": ("paper", "//////"),
    "wait": ("", ""),
}


def look(stage: str) -> tuple[str, str]:
    """Stages without a look of their own, such as a new operation, are dotted."""
    return LOOKS.get(stage, ("equalize", "....."))
