"""What each figure of a record shows: its rows, its axis and what they say in words. Nothing here draws."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from imgproc.backends import BASELINE
from imgproc.measure.results import TechniqueMeasurement
from imgproc.runs.record import Record
from imgproc.runs.units import NBSP, counted, percent, seconds, times, times_interval

Kind = Literal["faster", "slower", "level", "baseline"]
Unit = Literal["×", "s", "ms"]
#: Above this ratio of the longest to the shortest round the axis of time is logarithmic.
LOGARITHMIC = 12
#: The stages before and after the operations, in the order of the work.
BEFORE, AFTER = ("read", "decode"), ("encode", "write", "transfer", "wait")


@dataclass(frozen=True)
class Row:
    """One technique: the value ``at`` with its interval, the single ``dots``, or its ``parts`` by stage."""

    label: str
    value: str
    kind: Kind
    main: bool
    at: float = 0.0
    interval: tuple[float, float] | None = None
    dots: tuple[float, ...] = ()
    parts: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Chart:
    """A figure before it is drawn. ``low`` and ``high`` are the ends of the axis, ``ideal`` a line on it.

    ``axis`` and ``axis_narrow`` say what is along it, in units of ``unit``; ``legend`` are the stages in order.
    """

    name: str
    title: str
    sentence: str
    alt: str
    rows: tuple[Row, ...]
    low: float
    high: float
    axis: str
    axis_narrow: str
    unit: Unit
    logarithmic: bool = False
    ideal: float | None = None
    legend: tuple[str, ...] = ()


def ideal(technique: TechniqueMeasurement, record: Record) -> float:
    """The speedup nobody can beat without luck: its workers and their inner threads, but no more than the cores."""
    cores = record.environment.get("cores_usable")
    return float(min(technique.threads, cores) if isinstance(cores, int) and cores > 0 else technique.threads)


def measured(record: Record) -> list[TechniqueMeasurement]:
    """The techniques with times, in the order of the page's table: the fastest first, or the baseline last."""
    timed = [t for t in record.techniques if t.available and t.median_seconds]
    if record.mode == "compare":
        return sorted(timed, key=lambda t: t.median_seconds or 0.0)
    return sorted(timed, key=lambda t: t.name == BASELINE)


def _row(t: TechniqueMeasurement, record: Record, value: str) -> Row:
    verdicts: dict[str | None, Kind] = {"faster": "faster", "slower": "slower"}
    kind: Kind = "baseline" if t.name == BASELINE else verdicts.get(t.verdict, "level")
    main = record.technique
    return Row(t.label, value, kind, main is not None and t.name == main.name)


def _listed(rows: Sequence[Row], said: Callable[[Row], str]) -> str:
    return ", ".join(f"{row.label} {said(row)}" for row in rows)


def _unit(longest: float) -> tuple[Unit, str]:
    return ("ms", "Milliseconds") if longest < 0.1 else ("s", "Seconds")


# ---------------------------------------------------------------- speedup


def speedup(record: Record) -> Chart | None:
    """None where no technique has a speedup."""
    shown = [t for t in measured(record) if t.speedup is not None]
    others = [t for t in shown if t.name != BASELINE]
    if not others:
        return None
    rows = tuple(_speedup_row(t, record) for t in shown)
    best = max(ideal(t, record) for t in others)
    high = max(best, 1.0, *(value for row in rows for value in (row.at, *(row.interval or ()))))
    beyond = best if best > 1.05 else None
    said = f"; the ideal is {best:g}" if beyond else ""
    return Chart(
        "speedup",
        "Speedup",
        _speedup_sentence(others, record, beyond),
        f"Bars of speedup with 95{NBSP}% intervals: {_listed(rows, lambda row: row.value)}{said}.",
        rows,
        0.0,
        high * 1.04,
        f"Times as fast as sequential, with 95{NBSP}% interval",
        "Times as fast as sequential",
        "×",
        ideal=beyond,
    )


def _speedup_row(t: TechniqueMeasurement, record: Record) -> Row:
    interval = None if t.name == BASELINE or not t.speedup_ci95 else (t.speedup_ci95[0], t.speedup_ci95[1])
    value = times(t.speedup) + (f" ({times_interval(interval)})" if interval else "")
    row = _row(t, record, value)
    return replace(row, at=t.speedup or 0.0, interval=interval)


def _speedup_sentence(others: Sequence[TechniqueMeasurement], record: Record, best: float | None) -> str:
    top = max(others, key=lambda t: t.speedup or 0.0)
    reached = f"{top.label}: {times(top.speedup)}"
    if top.speedup_ci95:
        reached += f" (95{NBSP}% interval {times_interval(top.speedup_ci95)})"
    if best and (top.speedup or 0.0) > best * 1.005:
        reached += f", more than the ideal {best:g}×"
    elif best and (top.speedup or 0.0) > 1:
        reached += f", {percent((top.speedup or 0.0) / best)} of the ideal {best:g}×"
    if len(others) == 1:
        said = {
            "faster": "faster than sequential.",
            "slower": "slower than sequential.",
            "no measurable difference": "no measurable difference to sequential.",
        }
        return f"{reached}; {said.get(top.verdict or '', 'too few rounds to be sure.')}"
    groups = [
        (sum(t.verdict == "faster" for t in others), "faster than sequential"),
        (sum(t.verdict == "slower" for t in others), "slower"),
        (sum(t.verdict == "no measurable difference" for t in others), "without a measurable difference"),
        (sum(t.verdict is None for t in others), "without an interval"),
    ]
    found = [f"{counted(count, 'technique', words=True)} {what}" for count, what in groups if count]
    return f"{reached}; {', '.join(found)}."


# ---------------------------------------------------------------- rounds


def rounds(record: Record) -> Chart | None:
    """None where no technique was timed twice."""
    shown = [t for t in measured(record) if t.rounds]
    if max((len(t.rounds) for t in shown), default=0) < 2:
        return None
    rows = tuple(_rounds_row(t, record) for t in shown)
    every = [value for row in rows for value in (*row.dots, *(row.interval or ()))]
    shortest, longest = min(every), max(every)
    logarithmic = shortest > 0 and longest / shortest > LOGARITHMIC
    if logarithmic:
        low, high = shortest / 1.15, longest * 1.15
    else:
        span = max(longest - shortest, longest * 0.02)
        low = shortest - span * 0.06 if shortest > longest / 3 else 0.0
        high = longest + span * 0.06
    unit, words = _unit(high)
    images = counted(len(record.sample or record.good_images), "image")
    scale = ", logarithmic axis" if logarithmic else ", axis not from zero" if low > 0 else ""
    return Chart(
        "rounds",
        "Every round",
        _rounds_sentence(shown),
        f"Dots of the time of every round. Medians: {_listed(rows, lambda row: row.value)}.",
        rows,
        low,
        high,
        f"{words} for {images}{scale}",
        f"{words} for {images}{scale}",
        unit,
        logarithmic,
    )


def _rounds_row(t: TechniqueMeasurement, record: Record) -> Row:
    row = _row(t, record, seconds(t.median_seconds))
    interval = (t.ci95[0], t.ci95[1]) if t.ci95 else None
    walls = tuple(r.wall_seconds for r in t.rounds)
    return replace(row, at=t.median_seconds or 0.0, interval=interval, dots=walls)


def _rounds_sentence(shown: Sequence[TechniqueMeasurement]) -> str:
    band = f"the band its 95{NBSP}% interval" if any(t.ci95 for t in shown) else "too few for an interval"
    spreads = [(_spread(t), t.label) for t in shown if len(t.rounds) > 1]
    (least, calm), (most, restless) = min(spreads), max(spreads)
    if len(spreads) == 1:
        within = f"{_share(most)} of it"
    else:
        within = f"{_share(least)} ({calm}) to {_share(most)} ({restless}) of their median"
    other = [t.label for t in shown if t.identical is False]
    return f"Each dot is a round, the line the median, {band}; the rounds lie within {within}." + (
        f" Other pixels, so no speedup: {', '.join(other)}." if other else ""
    )


def _share(value: float) -> str:
    return percent(value) if value >= 0.01 else f"under 1{NBSP}%"


def _spread(t: TechniqueMeasurement) -> float:
    """How far the round farthest from the median is from it, as a share of it."""
    walls = [r.wall_seconds for r in t.rounds]
    middle = statistics.median(walls)
    return max(abs(wall - middle) for wall in walls) / middle


# ---------------------------------------------------------------- stages


def stages(record: Record) -> Chart | None:
    """None where no stage was recorded."""
    shown = [t for t in measured(record) if _work(t) > 0]
    if not shown:
        return None
    rows = tuple(_stages_row(t, record) for t in shown)
    high = max(sum(value for _, value in row.parts) for row in rows) * 1.02
    unit, words = _unit(high)
    present = {stage for row in rows for stage, _ in row.parts}
    order = tuple(stage for stage in stage_order(record, present) if stage in present)
    return Chart(
        "stages",
        "Stages",
        _stages_sentence(shown),
        f"Stacked bars of the seconds of work in each stage: {_listed(rows, lambda row: row.value)}.",
        rows,
        0.0,
        high,
        f"{words} of all workers together, in the round nearest the median",
        f"{words} of all workers together",
        unit,
        legend=order,
    )


def stage_order(record: Record, present: set[str]) -> list[str]:
    """The stages in the order of the work; those nobody knows stand before waiting."""
    known = [*BEFORE, *record.settings.operations, *AFTER[:-1]]
    return [*known, *sorted(present - {*known, "wait"}), "wait"]


def _stages_row(t: TechniqueMeasurement, record: Record) -> Row:
    work, wait = _work(t), t.stages.get("wait", 0.0)
    row = _row(t, record, f"{seconds(work)}, {_share(wait / (work + wait))} waiting")
    order = stage_order(record, set(t.stages))
    parts = tuple((stage, t.stages[stage]) for stage in order if t.stages.get(stage, 0.0) > 0)
    return replace(row, at=work, parts=parts)


def _stages_sentence(shown: Sequence[TechniqueMeasurement]) -> str:
    model = next((t for t in shown if t.name == BASELINE), shown[0])
    largest = max((name for name in model.stages if name != "wait"), key=lambda name: model.stages[name])
    most = f"The stage {largest} takes most of the work, {_share(model.stages[largest] / _work(model))}"
    if len(shown) == 1:
        return f"{most} of it; workers wait {_share(_waits(model))} of the time."
    idle = max(shown, key=_waits)
    return f"{most} with {model.label}; workers wait longest with {idle.label}, {_share(_waits(idle))} of the time."


def _work(t: TechniqueMeasurement) -> float:
    return sum(value for stage, value in t.stages.items() if stage != "wait")


def _waits(t: TechniqueMeasurement) -> float:
    wait = t.stages.get("wait", 0.0)
    return wait / (_work(t) + wait)


#: The figures in the order they are shown.
CHARTS: dict[str, Callable[[Record], Chart | None]] = {"speedup": speedup, "rounds": rounds, "stages": stages}
