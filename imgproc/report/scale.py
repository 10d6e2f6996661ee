"""What a scale run found, in sentences and rows: its curves, the laws of scaling, the grid of threads, and where one
of them says nothing, why."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from imgproc.backends import AUTO, TECHNIQUES
from imgproc.measure.curves import Cell, Point, Scaling, strong_curve
from imgproc.measure.laws import LEAST_FOR_FIT, LEAST_FOR_USL, Fit
from imgproc.measure.results import LEVEL, TechniqueMeasurement
from imgproc.numbers import NBSP, counted, exact_percent, listed, percent, spelled, spelled_times
from imgproc.runs.record import Record

Measurements = Sequence[TechniqueMeasurement]
FASTER, SLOWER, NO_MATTER = "faster", "slower", "no difference that matters"


@dataclass(frozen=True)
class Law:
    """A law of scaling: what it speaks of, what it says of a run or why it says nothing, and on which points it
    rests."""

    name: str
    what: str
    sentence: str
    basis: str = ""


@dataclass(frozen=True)
class Section:
    """``what`` is a worker or a thread; ``images`` how many each round had, in weak scaling for each of them.

    ``rows`` of the grid are a number of workers and its cells, one for each of ``inner`` OpenCV threads, None where
    nothing was measured. ``best`` and ``best_cell`` are the fastest, None without intervals.
    """

    what: str
    cores: int | None
    images: int
    headline: str
    strong: list[Point]
    best: Point | None
    weak: list[Point]
    weak_headline: str
    laws: list[Law]
    inner: list[int]
    rows: list[tuple[int, list[Cell | None]]]
    best_cell: Cell | None
    grid_headline: str
    left_out: list[str]


def section(record: Record) -> Section | None:
    """None where no number of workers was measured."""
    found = record.scaling
    if found is None or not found.strong:
        return None
    inner = sorted({cell.cv2_threads for cell in found.grid})
    cells = {(cell.workers, cell.cv2_threads): cell for cell in found.grid}
    return Section(
        what=unit(found.technique),
        cores=found.cores,
        images=len(record.sample or record.good_images),
        headline=headline(record),
        strong=found.strong,
        best=max((p for p in found.strong if p.speedup_ci95), key=lambda p: p.speedup or 0.0, default=None),
        weak=found.weak,
        weak_headline=weak_headline(found),
        laws=laws(found),
        inner=inner,
        rows=[(w, [cells.get((w, count)) for count in inner]) for w in sorted({cell.workers for cell in found.grid})],
        best_cell=max((c for c in found.grid if c.speedup_ci95), key=lambda c: c.speedup or 0.0, default=None),
        grid_headline=grid_headline(record) if found.grid else "",
        left_out=left_out(record.techniques, record.weak),
    )


def scaled(record: Record) -> str:
    """The name of the technique that a scale run is about."""
    if record.scaling:
        return record.scaling.technique
    if record.settings.technique != "auto":
        return record.settings.technique
    return next((t.name for t in record.techniques), AUTO)


def scaled_counts(record: Record) -> list[int]:
    """The numbers of workers of a scale run, in order."""
    own = {t.threads for t in record.techniques if t.name == scaled(record) and t.cv2_threads == 1}
    if record.settings.over != "workers":
        return sorted(own) or [record.settings.workers]
    return sorted(set(record.settings.worker_counts) or own or {record.settings.workers})


def unit(technique: str) -> str:
    """What a technique's number of workers counts: ``worker``, or ``thread`` where it has but one."""
    return TECHNIQUES[technique].unit if technique in TECHNIQUES else "worker"


def many(counts: Iterable[int], what: str) -> str:
    """1, 2 and 4 workers"""
    shown = sorted(set(counts))
    return f"{listed([str(count) for count in shown])} {what}{'' if shown == [1] else 's'}"


def span(counts: Iterable[int], what: str) -> str:
    """1 to 4 workers"""
    shown = sorted(set(counts))
    return counted(shown[0], what) if len(shown) == 1 else f"{shown[0]} to {shown[-1]} {what}s"


# ---------------------------------------------------------------- the curves


def faster(record: Record, verdict: str | None) -> str:
    """What a technique with this verdict is not: measurably faster, more than 1 % faster, or, if slower, faster."""
    if verdict == NO_MATTER:
        return f"more than {_smallest(record)} faster"
    return "measurably faster" if verdict in LEVEL else "faster"


def near(record: Record, verdicts: Iterable[str | None]) -> str:
    """What others with these verdicts of ``LEVEL`` are beside the fastest: not measurably slower, or within 1 %."""
    return f"within {_smallest(record)} of that" if {*verdicts} == {NO_MATTER} else "not measurably slower"


def _smallest(record: Record) -> str:
    return exact_percent(record.found.smallest_difference or 0.0)


def _curve(record: Record) -> Measurements:
    """Those that can be compared, the fewest workers first."""
    name = record.scaling.technique if record.scaling else ""
    return [m for m in strong_curve(name, record.techniques) if m.speedup is not None]


def _fastest(curve: Measurements) -> TechniqueMeasurement:
    return min(curve, key=lambda m: m.cost)


def headline(record: Record) -> str:
    """What came of more workers for the same work."""
    what, curve = unit(scaled(record)), _curve(record)
    if not curve:
        return "No speedup can be shown: sequential was not measured, or the pixels differ from its own."
    best = _fastest(curve)
    who = counted(best.threads, what, words=True)
    are = "is" if best.threads == 1 else "are"
    figure = f"{spelled_times(best.speedup or 0.0)} as fast as sequential"
    if best.verdict and not any(m.verdict == FASTER for m in curve):
        none = f"No number of {what}s is" if len(curve) > 1 else f"{who.capitalize()} {are} not"
        closest = f"; {who} {are} {figure}" if best.verdict == SLOWER else ""
        return f"{none} {faster(record, best.verdict)} than sequential{closest}."
    unsure = {None: ", by rounds too few for an interval", LEVEL[0]: ", by rounds that scatter too much to be sure"}
    rest = beside(record)
    return f"{who.capitalize()} {are} {figure}{unsure.get(best.verdict, '')}{f'; {rest}' if rest else ''}."


def beside(record: Record) -> str:
    """How the other numbers of workers compare with the fastest: four add nothing; empty where nothing is known."""
    curve = _curve(record)
    if len(curve) < 2:
        return ""
    best = _fastest(curve)
    alike: dict[tuple[bool, str | None], list[int]] = defaultdict(list)
    for p, verdict in {m.threads: _versus(record, m, best) for m in curve if m.threads != best.threads}.items():
        alike[p > best.threads, verdict].append(p)
    fewer = [(alike[False, verdict], verdict) for verdict in LEVEL]
    told = [
        *((counts, f"{'is' if counts == [1] else 'are'} {near(record, [verdict])}") for counts, verdict in fewer),
        (sorted(p for verdict in LEVEL for p in alike[True, verdict]), "add nothing"),
        (alike[True, SLOWER], "are slower"),
    ]
    parts = [f"{listed([spelled(count) for count in counts])} {what}" for counts, what in told if counts]
    return ", ".join([*parts, "more were not measured"] if best is curve[-1] else parts)


def _versus(record: Record, one: TechniqueMeasurement, other: TechniqueMeasurement) -> str | None:
    return record.found.versus(one.label, other.label).verdict


def weak_headline(found: Scaling) -> str:
    """What came of more workers with as many times the work; empty where that was not measured."""
    many_times = [p for p in found.weak if p.workers > 1]
    one = next((p for p in found.weak if p.workers == 1), None)
    if not many_times:
        return ""
    last = next((p for p in reversed(many_times) if not p.oversubscribed), many_times[0])
    what = unit(found.technique)
    times = {2: "twice"}.get(last.workers, f"{spelled(last.workers)} times")
    who = f"{counted(last.workers, what, words=True).capitalize()} with {times} the images"
    if one:
        longer = f"{spelled_times(last.seconds / one.seconds)} as long as one {what} with the images once"
        return f"{who} take {longer}; ideal would be 1.00."
    if last.speedup is None:
        return ""
    return f"{who} do {spelled_times(last.speedup)} as much as sequential in the same time."


# ---------------------------------------------------------------- the grid


def grid_headline(record: Record) -> str:
    """Where OpenCV's threads inside the workers help, and where the two levels of threads fight."""
    name = scaled(record)
    own = {(m.workers, m.cv2_threads): m for m in record.techniques if m.name == name and m.median_seconds}
    pairs = [
        (m, record.found.versus(m.label, own[workers, 1].label))
        for (workers, inner), m in sorted(own.items())
        if inner > 1 and (workers, 1) in own
    ]
    parts = []
    if fights := [(m, 1 / (pair.speedup or 1.0)) for m, pair in pairs if pair.verdict == SLOWER]:
        parts.append(f"Two levels of threads fight: {_by_inner(fights, 'takes', 'take', 'as long')}.")
    if helps := [(m, pair.speedup or 1.0) for m, pair in pairs if pair.verdict == FASTER]:
        parts.append(f"More OpenCV threads help: {_by_inner(helps, 'is', 'are', 'as fast')}.")
    if pairs and all(pair.verdict is None for _, pair in pairs):
        parts.append("The rounds are too few to tell what OpenCV’s threads inside the workers change.")
    elif not parts:
        none = NO_MATTER if all(pair.verdict == NO_MATTER for _, pair in pairs) else LEVEL[0]
        parts.append(f"OpenCV’s threads inside the workers make {none if pairs else LEVEL[0]}.")
    best = next((m for m in own.values() if record.scaling and m.label == record.scaling.best), None)
    if best:
        level = [said for m in own.values() if m is not best and (said := _versus(record, m, best)) in LEVEL]
        others = f"{spelled(len(level))} {'other is' if len(level) == 1 else 'others are'}"
        tied = f"; {others} {near(record, level)}" if level else ""
        inner = f"{counted(best.cv2_threads, 'OpenCV thread')}{' each' if best.workers > 1 else ''}"
        parts.append(f"Fastest: {counted(best.workers, 'worker')} with {inner}{tied}.")
    return " ".join(parts)


def _by_inner(changed: Sequence[tuple[TechniqueMeasurement, float]], one: str, several: str, how: str) -> str:
    """with 2 OpenCV threads each, 2 and 4 workers take 1.10 to 1.31 times as long as with one each; with 4 …"""
    parts = []
    for inner in sorted({m.cv2_threads for m, _ in changed}):
        ratios = {m.workers: ratio for m, ratio in changed if m.cv2_threads == inner}
        low, high = (f"{end(ratios.values()):.2f}" for end in (min, max))
        times = low if low == high else f"{low} to {high}"
        who = f"{many(ratios, 'worker')} {one if list(ratios) == [1] else several}"
        parts.append(f"with {counted(inner, 'OpenCV thread')} each, {who} {times}{NBSP}times {how}")
    return f"{'; '.join(parts)} as with one each"


def left_out(techniques: Measurements, weak: Measurements) -> list[str]:
    """What was asked for and is on no curve, or has no speedup, and why."""
    said = []
    for m in (*techniques, *weak):
        why = (m.reason or "no reason is known").rstrip(".")
        if m.median_seconds is None:
            said.append(f"{m.label} was not measured: {why}.")
        elif m.identical is False:
            said.append(f"{m.label} has no speedup: {why}.")
    return said


# ---------------------------------------------------------------- the laws


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
    then = ""
    if fit.limit and fit.limit_ci95:
        least, most = fit.limit_ci95
        ends = f"{least:.3g} {f'to {most:.3g}' if math.isfinite(most) else 'or more'}"
        then = (
            f" Then no number of {what}s would exceed {spelled_times(fit.limit)} ({ends} by the interval): that "
            f"is beyond what was measured, {span(fit.workers, what)}."
        )
    elif not fit.oversubscribed:
        then = f" So small a share sets no limit that {span(fit.workers, what)} could show."
    return _serial(fit, "the work", then), _basis(found, found.strong, fit)


def _gustafson(found: Scaling) -> tuple[str, str]:
    fit, what = found.gustafson, unit(found.technique)
    if fit is None and len(found.weak) < 2:
        return "No fit: work that grows with the workers was not measured, or with one number of them only.", ""
    if fit is None:
        return _too_few(found.weak, LEAST_FOR_FIT, what), ""
    then = (
        f" So each further {what} adds {percent(1 - fit.serial)} of what one does alone, as far as was measured, "
        f"{span(fit.workers, what)}."
    )
    return _serial(fit, "a round’s time", then), _basis(found, found.weak, fit)


def _usl(found: Scaling) -> tuple[str, str]:
    fit, what = found.usl, unit(found.technique)
    if fit is None:
        return _too_few(found.strong, LEAST_FOR_USL, what), ""
    counts = [p.workers for p in found.strong if p.speedup is not None]
    kappa = fit.kappa if fit.kappa >= 1e-6 else 0.0
    said = f"Contention is {percent(fit.sigma)}, coherency {100 * kappa:.2g}{NBSP}%."
    if fit.peak is None:
        said += f" The curve has no peak that {span(counts, what)} could show."
    else:
        where = "beyond" if fit.peak_beyond else "within"
        peak = counted(round(fit.peak), what)
        said += f" The throughput is highest at about {peak}, {where} what was measured, {span(counts, what)}."
    return said, f"Fitted to {many(counts, what)}; no point is off by more than {_error(fit.largest_error)}."


def _karp_flatt(found: Scaling) -> str:
    what, trend = unit(found.technique), found.trend
    if trend is None:
        return f"No trend: that needs two numbers of {what}s above one, within the cores and with intervals."
    shares = [percent(p.karp_flatt or 0.0) for p in (trend.first, trend.last)]
    path = f"from {shares[0]} with {trend.first.workers} to {shares[1]} with {counted(trend.last.workers, what)}"
    if trend.change == "grows":
        return f"It grows {path}: what is lost is overhead that grows with the {what}s, not a serial part of the work."
    if trend.change == "falls":
        return f"It falls {path}: what is lost weighs less with more {what}s, so it is no serial part of the work."
    return f"It goes {path}, which is no measurable change: that is what a serial part of the work looks like."


def _serial(fit: Fit, of: str, then: str) -> str:
    """How much of it is serial and how sure that is, and what follows from it."""
    if fit.serial_ci95 is None:
        odd = "grow faster than the workers" if fit.serial < 0.5 else "fall with more workers"
        return f"No serial share explains these speedups: they {odd}."
    low, high = fit.serial_ci95
    little = "; so few points say little" if high - low > 0.5 else ""
    interval = f"{'0' if low < 0.0005 else percent(low).rstrip(f'{NBSP}%')} to {percent(high)}"
    is_serial = f"{'looks' if fit.oversubscribed else 'is'} serial (95{NBSP}% interval {interval}{little})"
    return f"{percent(fit.serial)} of {of} {is_serial}.{then}"


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
    there = "there is none" if count == 0 else "there is one" if count == 1 else f"there are {spelled(count)}"
    return f"No fit: it needs speedups of {spelled(least)} numbers of {what}s, and {there}."


def _error(value: float) -> str:
    return percent(max(value, 0.001))
