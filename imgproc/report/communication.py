"""What handing data over costs on this machine: in sentences, as a table, as plain text."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from imgproc.measure.communication import OFF, Fitted, Line, Size
from imgproc.numbers import NBSP, listed, percent, seconds, size
from imgproc.runs.communication import Communication, Transport

COLUMNS = ("transport", "latency", "95 % interval", "bandwidth", "95 % interval", "half is latency at")
#: Others that used more of the cores than this make the figures doubtful.
_BUSY = 0.1


def gigabytes(rate: float) -> str:
    """A rate of bytes a second: 1.23 GB/s."""
    return f"{rate / 1e9:.3g}{NBSP}GB/s"


def short(value: float) -> str:
    """A time with three digits, in microseconds below a millisecond: 38.6 µs, 1.25 ms."""
    return f"{value * 1e6:.3g}{NBSP}µs" if value < 0.9995e-3 else seconds(value)


def rows(found: Communication) -> list[tuple[str, ...]]:
    """A row for each line that was fitted, by ``COLUMNS``; two for a transport of which one line does not hold."""
    made: list[tuple[str, ...]] = []
    for one in found.there:
        lines = one.fitted.lines if one.fitted else []
        for line in lines:
            reach = f", {_reach(line, lines)}" if len(lines) > 1 else ""
            made.append((f"{one.way.label}{reach}", *_cells(line)))
    return made


def _cells(line: Line) -> tuple[str, ...]:
    low, high = line.latency_ci95
    latency = short(line.latency), f"{short(low)} to {short(high)}"
    if line.bandwidth is None or line.bandwidth_ci95 is None:
        return *latency, "no cost for a byte found", "–", "–"
    ends = " to ".join(map(gigabytes, line.bandwidth_ci95))
    return *latency, gigabytes(line.bandwidth), ends, size(round(line.half or 0))


def _reach(line: Line, lines: Sequence[Line]) -> str:
    return f"up to {size(line.high)}" if line is lines[0] else f"from {size(line.low)}"


def headline(found: Communication) -> str:
    """Who is quickest with little and with much, of those that were measured and cross a process border."""
    across = [one for one in found.there if one.way.technique != "threading"]
    if not across:
        return "No transport between processes was measured."
    least, most = min(across, key=lambda one: one.sizes[0].median), min(across, key=lambda one: one.sizes[-1].median)
    little, much = least.sizes[0], most.sizes[-1]
    first = f"Between processes {size(little.bytes)} goes there and back in {short(little.median)} at best"
    then = f"{size(much.bytes)} in {short(much.median)}"
    same = "both" if least is most else ""
    if same:
        return f"{first}, {then}: {same} by {least.way.label}."
    return f"{first}, by {least.way.label}, and {then}, by {most.way.label}."


def sentences(found: Communication) -> Iterator[str]:
    """One for each transport: the costs, and where they do not describe what was measured."""
    for one in found.transports:
        if one.fitted:
            yield f"{_capital(one.way.label)}: {_costs(one.fitted)}{_holds(one.fitted)}"
        else:
            yield f"{_capital(one.way.label)} was not measured: {one.reason or 'no reason is known.'}"
    if found.busy is not None and found.busy > _BUSY:
        yield (
            f"Other programs used {found.busy:.1f} cores meanwhile, so these are too long; measure again when the "
            "machine is quiet."
        )


def _capital(label: str) -> str:
    return label[:1].upper() + label[1:]


def _costs(fitted: Fitted) -> str:
    if not fitted.pieces:
        return f"{_cost(fitted.line)}."
    first, second = fitted.pieces
    return (
        f"no one line describes it. Up to {size(first.high)} it is {_cost(first)}; from {size(second.low)} on "
        f"{_cost(second)}."
    )


def _cost(line: Line) -> str:
    if line.bandwidth is None:
        return f"{short(line.latency)}, however much it is"
    half = f", half of it latency at {size(round(line.half))}" if line.half else ""
    return f"{short(line.latency)} and then {gigabytes(line.bandwidth)}{half}"


def _holds(fitted: Fitted) -> str:
    """Where the lines are off by more than the measurements allow."""
    if not fitted.misses:
        most = percent(max(0.001, *(line.largest_error for line in fitted.lines)))
        if max(line.largest_error for line in fitted.lines) > OFF:
            return f" Sizes are off by up to {most}, which their intervals are wide enough for."
        return f" No size is off by more than {most}."
    where = listed([size(one) for one in fitted.misses])
    are = "is" if len(fitted.misses) == 1 else "are"
    return f" That does not hold for {where}, which {are} off by more than {percent(OFF)}."


def table(found: Communication) -> tuple[tuple[str, ...], list[tuple[str, tuple[str, ...]]]]:
    """Medians by size: the columns, and a row for each transport."""
    sizes = sorted({one.bytes for transport in found.there for one in transport.sizes})
    return tuple(size(count) for count in sizes), [
        (transport.way.label, tuple(_median(transport, count) for count in sizes)) for transport in found.there
    ]


def _median(transport: Transport, count: int) -> str:
    found = next((one.median for one in transport.sizes if one.bytes == count), None)
    return seconds(None) if found is None else short(found)


def text(found: Communication) -> str:
    """All of it in plain text."""
    cells = [COLUMNS, *rows(found)]
    wide = [max(len(row[k]) for row in cells) for k in range(len(COLUMNS))]
    lines = ["  ".join(f"{cell:<{w}}" for cell, w in zip(row, wide, strict=True)).rstrip() for row in cells]
    columns, medians = table(found)
    name = max((len(label) for label, _ in medians), default=0)
    lines += ["", f"{'median by size':<{name}}  " + "  ".join(f"{column:>8}" for column in columns)] if medians else []
    lines += [f"{label:<{name}}  " + "  ".join(f"{value:>8}" for value in values) for label, values in medians]
    return "\n".join([*lines, "", *sentences(found)]).replace(NBSP, " ") + "\n"


def as_dict(found: Communication) -> dict[str, Any]:
    """All of it as data."""
    return {
        "measured": found.measured,
        "cores_used_by_others": found.busy,
        "transports": [
            {
                "name": one.name,
                "technique": one.way.technique,
                "reason": one.reason,
                "sizes": [_size(each) for each in one.sizes],
                "lines": [_line(line) for line in one.fitted.lines] if one.fitted else [],
                "does_not_hold_for_bytes": one.fitted.misses if one.fitted else [],
            }
            for one in found.transports
        ],
    }


def _size(one: Size) -> dict[str, Any]:
    return {"bytes": one.bytes, "median_seconds": one.median, "ci95": one.ci95, "seconds": one.seconds}


def _line(line: Line) -> dict[str, Any]:
    ends = line.bandwidth_ci95
    return {
        "from_bytes": line.low,
        "to_bytes": line.high,
        "latency_seconds": line.latency,
        "latency_ci95": line.latency_ci95,
        "bytes_per_second": line.bandwidth,
        "bytes_per_second_ci95": ends and [end if math.isfinite(end) else None for end in ends],
        "largest_error": line.largest_error,
    }
