"""What the laws of scaling say of a scale run, in words; and where one says nothing, why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from imgproc.measure.curves import NEGLIGIBLE, Fit, Point, Scaling
from imgproc.measure.scaling import LEAST_FOR_FIT, LEAST_FOR_USL, karp_flatt
from imgproc.numbers import NBSP, counted, share
from imgproc.report.findings import many, span, unit, word


@dataclass(frozen=True)
class Law:
    """A law of scaling: what it speaks of, what it says of a run or why it says nothing, and on which points it
    rests."""

    name: str
    what: str
    sentence: str
    basis: str = ""


def laws(found: Scaling) -> list[Law]:
    """Every law, also those that could not be fitted."""
    return [
        Law("Amdahl’s law", "The same work, of which a part can only ever use one worker.", *_amdahl(found)),
        Law("Karp-Flatt", "The serial share that would explain one speedup all by itself.", _karp_flatt(found)),
        Law(
            "Gustafson’s law",
            "Work that grows with the workers, so that its serial part weighs less and less.",
            *_gustafson(found),
        ),
        Law(
            "Universal Scalability Law",
            "Workers wait for each other (contention) and spend time on agreeing (coherency), the latter with each "
            "pair of them, so that from some number on more of them make it slower.",
            *_usl(found),
        ),
    ]


def _amdahl(found: Scaling) -> tuple[str, str]:
    fit, what = found.amdahl, unit(found.technique)
    if fit is None:
        return _too_few(found.strong, LEAST_FOR_FIT, what), ""
    said = f"{share(fit.serial)} of the work {'looks' if fit.oversubscribed else 'is'} serial {_sure(fit)}."
    if fit.serial_ci95 is None:
        said = f"No serial share explains these speedups: they {_odd(fit)}."
    elif fit.limit:
        least, most = (fit.limit * fit.serial / max(end, NEGLIGIBLE) for end in reversed(fit.serial_ci95))
        ends = f"{_times(least)} {'or more' if fit.serial_ci95[0] < NEGLIGIBLE else f'to {_times(most)}'}"
        said += (
            f" Then no number of {what}s would exceed {_times(fit.limit)}{NBSP}times ({ends} by the interval): that "
            f"is beyond what was measured, {span(fit.workers, what)}."
        )
    elif not fit.oversubscribed:
        said += f" So small a share sets no limit that {span(fit.workers, what)} could show."
    return said, _basis(found, found.strong, fit)


def _gustafson(found: Scaling) -> tuple[str, str]:
    fit, what = found.gustafson, unit(found.technique)
    if fit is None and len(found.weak) < 2:
        return "No fit: work that grows with the workers was not measured, or with one number of them only.", ""
    if fit is None:
        return _too_few(found.weak, LEAST_FOR_FIT, what), ""
    said = f"{share(fit.serial)} of a round’s time {'looks' if fit.oversubscribed else 'is'} serial {_sure(fit)}."
    if fit.serial_ci95 is None:
        said = f"No serial share explains these speedups: they {_odd(fit)}."
    else:
        said += (
            f" So each further {what} adds {share(1 - fit.serial)} of what one does alone, as far as was measured, "
            f"{span(fit.workers, what)}."
        )
    return said, _basis(found, found.weak, fit)


def _usl(found: Scaling) -> tuple[str, str]:
    fit, what = found.usl, unit(found.technique)
    if fit is None:
        return _too_few(found.strong, LEAST_FOR_USL, what), ""
    counts = [p.workers for p in found.strong if p.speedup is not None]
    kappa = fit.kappa if fit.kappa >= 1e-6 else 0.0
    said = f"Contention is {share(fit.sigma)}, coherency {100 * kappa:.2g}{NBSP}%."
    if fit.peak is None:
        said += f" The curve has no peak that {span(counts, what)} could show."
    else:
        where = "beyond" if fit.peak_beyond else "within"
        peak = counted(round(fit.peak), what)
        said += f" The throughput is highest at about {peak}, {where} what was measured, {span(counts, what)}."
    return said, f"Fitted to {many(counts, what)}; no point is off by more than {_error(fit.largest_error)}."


def _karp_flatt(found: Scaling) -> str:
    points = [p for p in found.strong if p.workers > 1 and p.speedup_ci95 and not p.oversubscribed]
    what = unit(found.technique)
    if len({p.workers for p in points}) < 2:
        return f"No trend: that needs two numbers of {what}s above one, within the cores and with intervals."
    (first, low), (last, high) = ((p, _karp_flatt_interval(p)) for p in (points[0], points[-1]))
    change = f"from {share(first.karp_flatt or 0.0)} with {first.workers} to {share(last.karp_flatt or 0.0)} with "
    change += counted(last.workers, what)
    if high[0] > low[1]:
        return (
            f"It grows {change}: what is lost is overhead that grows with the {what}s, not a serial part of the work."
        )
    if high[1] < low[0]:
        return f"It falls {change}: what is lost weighs less with more {what}s, so it is no serial part of the work."
    return f"It goes {change}, which is no measurable change: that is what a serial part of the work looks like."


def _karp_flatt_interval(point: Point) -> tuple[float, float]:
    low, high = (karp_flatt(end, point.workers) or 0.0 for end in point.speedup_ci95 or (1.0, 1.0))
    return high, low  # the higher the speedup, the less is serial


def _sure(fit: Fit) -> str:
    low, high = fit.serial_ci95 or (0.0, 1.0)
    little = "; so few points say little" if high - low > 0.5 else ""
    ends = "0" if low < 0.0005 else share(low).removesuffix(f"{NBSP}%")
    return f"(95{NBSP}% interval {ends} to {share(high)}{little})"


def _odd(fit: Fit) -> str:
    return "grow faster than the workers" if fit.serial < 0.5 else "fall with more workers"


def _basis(found: Scaling, points: Sequence[Point], fit: Fit) -> str:
    """Which points a fit rests on, and which not and why."""
    what = unit(found.technique)
    cores = counted(found.cores or 0, "core")
    said = f"Fitted to {many(fit.workers, what)}; no point is off by more than {_error(fit.largest_error)}."
    above = [p.workers for p in points if p.oversubscribed and p.speedup is not None]
    if fit.oversubscribed:
        return (
            f"{said} {many(above, what).capitalize()} on {cores} had to be among them, or there would be too few: the "
            "law knows no cores and takes the missing ones for serial work, so the share is too high"
            f"{' and sets no limit' if points is found.strong else ''}."
        )
    if above:
        return (
            f"{said} Left out: {many(above, what)}, more than the {cores}; the law knows no cores and would take the "
            "missing ones for serial work."
        )
    return said


def _too_few(points: Sequence[Point], least: int, what: str) -> str:
    count = len({p.workers for p in points if p.speedup is not None})
    there = "there is none" if count == 0 else "there is one" if count == 1 else f"there are {word(count)}"
    return f"No fit: it needs speedups of {word(least)} numbers of {what}s, and {there}."


def _error(value: float) -> str:
    return share(max(value, 0.001))


def _times(value: float) -> str:
    return f"{value:.2f}" if value < 3 else f"{value:.1f}" if value < 10 else f"{value:.0f}"
