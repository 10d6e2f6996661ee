"""What a scale run found, in sentences: for its page and for the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from imgproc.backends import TECHNIQUES
from imgproc.measure.curves import Scaling, strong_curve, versus
from imgproc.measure.results import TechniqueMeasurement
from imgproc.numbers import NBSP, counted, listed

Measurements = Sequence[TechniqueMeasurement]
FASTER, SLOWER, LEVEL = "faster", "slower", "no measurable difference"


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


def headline(found: Scaling, techniques: Measurements) -> str:
    """What came of more workers for the same work."""
    what = unit(found.technique)
    curve = [m for m in strong_curve(found.technique, techniques) if m.speedup is not None]
    if not curve:
        return "No speedup can be shown: sequential was not measured, or the pixels differ from its own."
    best = min(curve, key=lambda m: m.median_seconds or 0.0)
    who = counted(best.threads, what, words=True)
    are = "is" if best.threads == 1 else "are"
    figure = f"{best.speedup:.2f}{NBSP}times as fast as sequential"
    if best.verdict and not any(m.verdict == FASTER for m in curve):
        none = f"No number of {what}s is" if len(curve) > 1 else f"{who.capitalize()} {are} not"
        near = f"; {who} {are} {figure}" if best.verdict == SLOWER else ""
        return f"{none} {'measurably ' if best.verdict == LEVEL else ''}faster than sequential{near}."
    unsure = {None: ", by rounds too few for an interval", LEVEL: ", by rounds that scatter too much to be sure"}
    rest = beside(found, techniques)
    return f"{who.capitalize()} {are} {figure}{unsure.get(best.verdict, '')}{f'; {rest}' if rest else ''}."


def beside(found: Scaling, techniques: Measurements) -> str:
    """How the other numbers of workers compare with the fastest: four add nothing; empty where nothing is known."""
    curve = [m for m in strong_curve(found.technique, techniques) if m.speedup is not None]
    if len(curve) < 2:
        return ""
    best = min(curve, key=lambda m: m.median_seconds or 0.0)
    said = {m.threads: versus(m, best) for m in curve if m.threads != best.threads}
    fewer = [p for p, verdict in said.items() if p < best.threads and verdict == LEVEL]
    more = [p for p, verdict in said.items() if p > best.threads and verdict == LEVEL]
    worse = [p for p, verdict in said.items() if p > best.threads and verdict == SLOWER]
    parts = []
    if fewer:
        parts.append(f"{_in_words(fewer)} {'is' if fewer == [1] else 'are'} not measurably slower")
    if more:
        parts.append(f"{_in_words(more)} add nothing")
    if worse:
        parts.append(f"{_in_words(worse)} are slower")
    if best.threads == max(m.threads for m in curve):
        parts.append("more were not measured")
    return ", ".join(parts)


def weak_headline(found: Scaling) -> str:
    """What came of more workers with as many times the work; empty where that was not measured."""
    many_times = [p for p in found.weak if p.workers > 1]
    one = next((p for p in found.weak if p.workers == 1), None)
    if not many_times:
        return ""
    last = next((p for p in reversed(many_times) if not p.oversubscribed), many_times[0])
    what = unit(found.technique)
    times = {2: "twice"}.get(last.workers, f"{word(last.workers)} times")
    who = f"{counted(last.workers, what, words=True).capitalize()} with {times} the images"
    if one:
        longer = f"{last.seconds / one.seconds:.2f}{NBSP}times as long as one {what} with the images once"
        return f"{who} take {longer}; ideal would be 1.00."
    if last.speedup is None:
        return ""
    return f"{who} do {last.speedup:.2f}{NBSP}times as much as sequential in the same time."


def word(count: int) -> str:
    """A number in words up to twelve."""
    return counted(count, "", words=True).split(" ")[0]


def _in_words(counts: Sequence[int]) -> str:
    return listed([word(count) for count in sorted(set(counts))])


# ---------------------------------------------------------------- the grid


def grid_headline(found: Scaling, techniques: Measurements) -> str:
    """Where OpenCV's threads inside the workers help, and where the two levels of threads fight."""
    own = {(m.workers, m.cv2_threads): m for m in techniques if m.name == found.technique and m.median_seconds}
    pairs = [(m, own[workers, 1]) for (workers, inner), m in sorted(own.items()) if inner > 1 and (workers, 1) in own]
    said = [(m, versus(m, alone)) for m, alone in pairs]
    fights, helps = ([m for m, verdict in said if verdict == wanted] for wanted in (SLOWER, FASTER))
    parts = []
    if fights:
        longer = _by_inner(fights, lambda m: _ratio(m, own[m.workers, 1]), "takes", "take", "as long")
        parts.append(f"Two levels of threads fight: {longer} as with one each.")
    if helps:
        faster = _by_inner(helps, lambda m: _ratio(own[m.workers, 1], m), "is", "are", "as fast")
        parts.append(f"More OpenCV threads help: {faster} as with one each.")
    if said and all(verdict is None for _, verdict in said):
        parts.append("The rounds are too few to tell what OpenCV’s threads inside the workers change.")
    elif not parts:
        parts.append("OpenCV’s threads inside the workers make no measurable difference.")
    best = next((m for m in own.values() if m.label == found.best), None)
    if best:
        level = sum(m is not best and versus(m, best) == LEVEL for m in own.values())
        tied = f"; {word(level)} {'other is' if level == 1 else 'others are'} not measurably slower" if level else ""
        parts.append(f"Fastest: {_ways(best)}{tied}.")
    return " ".join(parts)


def _by_inner(
    ms: Measurements, ratio: Callable[[TechniqueMeasurement], float], one: str, several: str, how: str
) -> str:
    """with 2 OpenCV threads each, 2 and 4 workers take 1.10 to 1.31 times as long; with 4 …"""
    parts = []
    for inner in sorted({m.cv2_threads for m in ms}):
        own = [m for m in ms if m.cv2_threads == inner]
        low, high = (f"{end(map(ratio, own)):.2f}" for end in (min, max))
        times = low if low == high else f"{low} to {high}"
        who = f"{many([m.workers for m in own], 'worker')} {one if [m.workers for m in own] == [1] else several}"
        parts.append(f"with {counted(inner, 'OpenCV thread')} each, {who} {times}{NBSP}times {how}")
    return "; ".join(parts)


def _ratio(one: TechniqueMeasurement, other: TechniqueMeasurement) -> float:
    return (one.median_seconds or 0.0) / (other.median_seconds or 1.0)


def _ways(m: TechniqueMeasurement) -> str:
    each = " each" if m.workers > 1 else ""
    return f"{counted(m.workers, 'worker')} with {counted(m.cv2_threads, 'OpenCV thread')}{each}"


# ---------------------------------------------------------------- what is not there


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
