"""Numbers with their units, as pages, texts and figures write them: one way for each kind of number."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

NBSP = "\u00a0"
NOTHING = "–"
_WORDS = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]


# ---------------------------------------------------------------- times


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
    factor, places = (1000, _milli_decimals(like)) if like < 0.1 else (1, _decimals(like))
    return f"{low_high[0] * factor:.{places}f}–{low_high[1] * factor:.{places}f}"


def spelled_seconds(value: float) -> str:
    """A time in a sentence: 0.27 seconds, 31.2 seconds, 4.2 milliseconds."""
    if value < 0.1:
        return f"{value * 1000:.{0 if value >= 0.01 else 1}f}{NBSP}milliseconds"
    return f"{value:.{_three_digits(value)}f}{NBSP}seconds"


def plain_seconds(value: float) -> str:
    """Seconds for scripts, with two decimals, more where two would say nothing: 2.41, 0.0042."""
    return f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"


def milliseconds(value: float, decimals: int = 0) -> str:
    """For columns in one unit: 264 ms, −3 ms."""
    shown = f"{value * 1000:.{decimals}f}"
    return f"{shown.lstrip('-') if not float(shown) else shown.replace('-', '−')}{NBSP}ms"


def about(value: float) -> str:
    """A time that does not pretend to be exact: about 20 s, about 3 min."""
    if value < 10:
        return f"about {max(1, round(value))}{NBSP}s"
    if value < 90:
        return f"about {round(value / 5) * 5}{NBSP}s"
    return f"about {round(value / 60)}{NBSP}min"


def moment(value: datetime | str | None) -> str:
    """Day and time of this machine's clock: 22 Nov 2026, 14:32."""
    if value is None:
        return NOTHING
    when = datetime.fromisoformat(value) if isinstance(value, str) else value
    when = when if when.tzinfo else when.replace(tzinfo=UTC)  # a database may forget the zone
    local = when.astimezone()
    return f"{local.day}{NBSP}{local:%b}{NBSP}{local:%Y}, {local:%H:%M}"


def _three_digits(value: float) -> int:
    """The decimals for so many digits of a value from 1 on."""
    return 2 if value < 10 else 1 if value < 100 else 0


def _decimals(value: float) -> int:
    return 3 if value < 1 else _three_digits(value)


def _milli_decimals(value: float) -> int:
    return 1 if value >= 0.01 else 2


# ---------------------------------------------------------------- ratios


def times(value: float | None) -> str:
    """A speedup: 1.93×."""
    return NOTHING if value is None else f"{value:.2f}×"


def spelled_times(value: float) -> str:
    """A ratio in a sentence, with three digits: 1.93 times, 20.5 times."""
    return f"{value:.{_three_digits(value)}f}{NBSP}times"


def times_interval(low_high: Sequence[float] | None) -> str:
    return f"{low_high[0]:.2f}–{low_high[1]:.2f}" if low_high else ""


def percent(value: float | None) -> str:
    """A share of a whole; a small one keeps a decimal: 3.1 %, 33 %."""
    if value is None:
        return NOTHING
    if 0 < value < 0.0005:
        return f"under 0.1{NBSP}%"
    shown = f"{100 * value:.0f}" if abs(value) >= 0.0995 or value == 0 else f"{100 * value:.1f}"
    return f"{shown.replace('-', '−')}{NBSP}%"


def exact_percent(value: float) -> str:
    """A share that somebody chose, as they wrote it: 1 %, 2.5 %."""
    return f"{100 * value:.6g}{NBSP}%"


def rate(value: float | None) -> str:
    """A number of things per second with three digits: 18.2."""
    return NOTHING if value is None else f"{value:.{_three_digits(value)}f}"


def joules(value: float) -> str:
    """An energy with three digits, in millijoules below a tenth: 0.274 J, 31.2 J, 62.1 mJ."""
    return seconds(value).replace("ms", "mJ") if value < 0.1 else f"{value:.{_decimals(value)}f}{NBSP}J"


# ---------------------------------------------------------------- sizes and counts


def size(count: int | None) -> str:
    """Bytes in kB, MB or GB."""
    if count is None:
        return NOTHING
    if count < 1_000_000:
        return f"{max(1, round(count / 1000)) if count else 0}{NBSP}kB"
    return f"{count / 1e6:.1f}{NBSP}MB" if count < 1_000_000_000 else f"{count / 1e9:.1f}{NBSP}GB"


def megapixels(value: float | None) -> str:
    """One decimal below ten, whole from there on, two digits below 0.1; without the unit."""
    if value is None:
        return NOTHING
    if value < 0.095:
        return f"{value:.2g}"
    return f"{value:.1f}" if value < 9.95 else f"{value:,.0f}"


def dimensions(width: int, height: int) -> str:
    return f"{width}{NBSP}×{NBSP}{height}, {megapixels(width * height / 1e6)}{NBSP}MP"


def number(value: int) -> str:
    return f"{value:,}"


def counted(count: int, thing: str, *, words: bool = False) -> str:
    """``5 images``; in words up to twelve if asked for: ``five images``."""
    return f"{spelled(count) if words else number(count)} {thing}{'' if count == 1 else 's'}"


def spelled(count: int) -> str:
    """A number in words up to twelve."""
    return _WORDS[count] if count < len(_WORDS) else number(count)


def listed(names: Sequence[str]) -> str:
    """a, b and c"""
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def few(names: Sequence[str], most: int = 3) -> str:
    """The first names, and how many more there are: a, b, c and 37 more"""
    more = len(names) - most
    return f"{', '.join(names[:most])} and {number(more)} more" if more > 0 else listed(names)


#: What templates can apply to a number.
FILTERS = {
    f.__name__: f
    for f in (seconds, interval, about, times, times_interval, percent, rate, size, number, megapixels, counted, moment)
}
