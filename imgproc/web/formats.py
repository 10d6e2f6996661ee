"""Numbers as the pages write them: three digits for seconds, two decimals for a speedup, a unit on everything."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

NBSP = "\u00a0"
NOTHING = "–"
_WORDS = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]


def seconds(value: float | None) -> str:
    """Three digits, in milliseconds below a tenth of a second: 0.274 s, 31.2 s, 62.1 ms."""
    if value is None:
        return NOTHING
    if value < 0.1:
        return f"{value * 1000:.{_milli_decimals(value)}f}{NBSP}ms"
    return f"{value:.{_decimals(value)}f}{NBSP}s"


def interval(low_high: Sequence[float] | None, like: float | None = None) -> str:
    """An interval of seconds with as many decimals as the value ``like`` it belongs to: 0.269–0.281."""
    if not low_high or like is None:
        return ""
    factor, decimals = (1000, _milli_decimals(like)) if like < 0.1 else (1, _decimals(like))
    return f"{low_high[0] * factor:.{decimals}f}–{low_high[1] * factor:.{decimals}f}"


def _decimals(value: float) -> int:
    return 3 if value < 1 else 2 if value < 10 else 1 if value < 100 else 0


def _milli_decimals(value: float) -> int:
    return 1 if value >= 0.01 else 2


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


def times(value: float | None) -> str:
    """A speedup: 1.93×."""
    return NOTHING if value is None else f"{value:.2f}×"


def times_interval(low_high: Sequence[float] | None) -> str:
    return f"{low_high[0]:.2f}–{low_high[1]:.2f}" if low_high else ""


def percent(value: float | None) -> str:
    return NOTHING if value is None else f"{round(value * 100)}{NBSP}%"


def rate(value: float | None) -> str:
    """A number of things per second with three digits: 18.2."""
    return NOTHING if value is None else f"{value:.{_decimals(value) if value >= 1 else 2}f}"


def size(count: int | None) -> str:
    """Bytes in kB, MB or GB."""
    if count is None:
        return NOTHING
    if count < 1_000_000:
        return f"{max(1, round(count / 1000)) if count else 0}{NBSP}kB"
    if count < 1_000_000_000:
        return f"{count / 1e6:.1f}{NBSP}MB"
    return f"{count / 1e9:.1f}{NBSP}GB"


def number(value: int) -> str:
    return f"{value:,}"


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


def counted(count: int, thing: str, *, words: bool = False) -> str:
    """``5 images``; in words up to twelve if asked for: ``five images``."""
    shown = _WORDS[count] if words and count < len(_WORDS) else number(count)
    return f"{shown} {thing}{'' if count == 1 else 's'}"


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
