"""Numbers as the pages write them, a unit on everything; those that figures write too are in ``runs/units.py``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from imgproc.numbers import NBSP as NBSP
from imgproc.numbers import NOTHING, decimals, milli_decimals
from imgproc.numbers import counted as counted
from imgproc.numbers import number as number
from imgproc.numbers import percent as percent
from imgproc.numbers import seconds as seconds
from imgproc.numbers import times as times
from imgproc.numbers import times_interval as times_interval


def interval(low_high: Sequence[float] | None, like: float | None = None) -> str:
    """An interval of seconds with as many decimals as the value ``like`` it belongs to: 0.269–0.281."""
    if not low_high or like is None:
        return ""
    factor, places = (1000, milli_decimals(like)) if like < 0.1 else (1, decimals(like))
    return f"{low_high[0] * factor:.{places}f}–{low_high[1] * factor:.{places}f}"


def about(value: float) -> str:
    """A time in words that does not pretend to be exact: about 20 s, about 3 min."""
    if value < 10:
        return f"about {max(1, round(value))}{NBSP}s"
    if value < 90:
        return f"about {round(value / 5) * 5}{NBSP}s"
    return f"about {round(value / 60)}{NBSP}min"


def start_up(value: float | None) -> str:
    """Whole milliseconds below a second: 312 ms, 1.20 s."""
    if value is None:
        return NOTHING
    if value >= 1:
        return seconds(value)
    return f"{round(value * 1000)}{NBSP}ms" if value >= 0.0005 else f"under 1{NBSP}ms"


def rate(value: float | None) -> str:
    """A number of things per second with three digits: 18.2."""
    return NOTHING if value is None else f"{value:.{decimals(value) if value >= 1 else 2}f}"


def size(count: int | None) -> str:
    """Bytes in kB, MB or GB."""
    if count is None:
        return NOTHING
    if count < 1_000_000:
        return f"{max(1, round(count / 1000)) if count else 0}{NBSP}kB"
    if count < 1_000_000_000:
        return f"{count / 1e6:.1f}{NBSP}MB"
    return f"{count / 1e9:.1f}{NBSP}GB"


def megapixels(value: float | None) -> str:
    """One decimal below ten, whole from there on, two digits below 0.1; without the unit."""
    if value is None:
        return NOTHING
    if value < 0.095:
        return f"{value:.2g}"
    return f"{value:.1f}" if value < 9.95 else f"{value:,.0f}"


def dimensions(width: int, height: int) -> str:
    pixels = width * height / 1e6
    shown = f"{pixels:.1f}" if pixels >= 0.95 else f"{pixels:.2g}"
    return f"{width}{NBSP}×{NBSP}{height}, {shown}{NBSP}MP"


def moment(value: datetime | str | None) -> str:
    """Day and time of this machine's clock: 22 Nov 2026, 14:32."""
    if value is None:
        return NOTHING
    when = datetime.fromisoformat(value) if isinstance(value, str) else value
    when = when if when.tzinfo else when.replace(tzinfo=UTC)  # a database may forget the zone
    local = when.astimezone()
    return f"{local.day}{NBSP}{local:%b}{NBSP}{local:%Y}, {local:%H:%M}"


FILTERS = {
    f.__name__: f
    for f in (
        seconds, interval, about, start_up, times, times_interval, percent, rate, size, number, megapixels, counted,
        moment,
    )
}  # fmt: skip
