"""Numbers with their units, as pages and figures write them: three digits for seconds, two decimals for a speedup."""

from __future__ import annotations

from collections.abc import Sequence

NBSP = "\u00a0"
NOTHING = "–"
_WORDS = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]


def seconds(value: float | None) -> str:
    """Three digits, in milliseconds below a tenth of a second: 0.274 s, 31.2 s, 62.1 ms."""
    if value is None:
        return NOTHING
    if value < 0.1:
        return f"{value * 1000:.{milli_decimals(value)}f}{NBSP}ms"
    return f"{value:.{decimals(value)}f}{NBSP}s"


def decimals(value: float) -> int:
    """How many decimals of a second to show."""
    return 3 if value < 1 else 2 if value < 10 else 1 if value < 100 else 0


def milli_decimals(value: float) -> int:
    """How many decimals to show of a time in seconds that is written in milliseconds."""
    return 1 if value >= 0.01 else 2


def times(value: float | None) -> str:
    """A speedup: 1.93×."""
    return NOTHING if value is None else f"{value:.2f}×"


def times_interval(low_high: Sequence[float] | None) -> str:
    return f"{low_high[0]:.2f}–{low_high[1]:.2f}" if low_high else ""


def percent(value: float | None) -> str:
    return NOTHING if value is None else f"{round(value * 100)}{NBSP}%"


def number(value: int) -> str:
    return f"{value:,}"


def counted(count: int, thing: str, *, words: bool = False) -> str:
    """``5 images``; in words up to twelve if asked for: ``five images``."""
    shown = _WORDS[count] if words and count < len(_WORDS) else number(count)
    return f"{shown} {thing}{'' if count == 1 else 's'}"


def share(value: float) -> str:
    """A small share of a whole keeps a decimal: 3.1 %, 33 %."""
    if 0 < value < 0.0005:
        return f"under 0.1{NBSP}%"
    shown = f"{100 * value:.0f}" if abs(value) >= 0.0995 or value == 0 else f"{100 * value:.1f}"
    return f"{shown.replace('-', '−')}{NBSP}%"


def listed(names: Sequence[str]) -> str:
    """a, b and c"""
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
