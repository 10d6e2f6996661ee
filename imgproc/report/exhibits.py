"""An exhibit: the runs of its functions side by side, as a table, a figure, and sentences made from their numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from imgproc.backends import BASELINE, TECHNIQUES
from imgproc.exhibits import Exhibit, Part
from imgproc.measure.findings import Pair
from imgproc.measure.results import LEVEL, TechniqueMeasurement, Verdict
from imgproc.numbers import NBSP, counted, listed, percent, seconds, spelled_times, times
from imgproc.report.charts.chart import Chart
from imgproc.report.charts.speedup import side_by_side
from imgproc.report.pictures import Micro, micro
from imgproc.report.scale import FASTER, SLOWER
from imgproc.report.sentences import spoken
from imgproc.runs.record import Record


@dataclass(frozen=True)
class Words:
    """What the page calls a part, and the time of one call or picture on one core; what is done one after another."""

    part: str
    serial: str
    item: str


WORDS = {
    "pixels": Words("Way", "Whole, one core", "picture"),
    "schedules": Words("Schedule", "An image, one core", "image"),
    "pinning": Words("Pictures", "A picture, one core", "picture"),
}
_OF_FUNCTIONS = Words("Function", "A call", "call")

#: So many groups of rows are named in which pixels differ.
_FEW_BANDS = 4


@dataclass(frozen=True)
class Cell:
    """One technique at one function; None where it was not measured."""

    label: str
    t: TechniqueMeasurement | None
    micro: Micro | None


@dataclass(frozen=True)
class Measured:
    """One function and the run that measured it."""

    part: Part
    record: Record

    @property
    def call(self) -> float | None:
        """Seconds of one call, by the baseline."""
        base = self.of(BASELINE)
        return base.median_seconds / max(1, self.record.count) if base and base.median_seconds else None

    def of(self, name: str) -> TechniqueMeasurement | None:
        """What a technique did there, if it was timed."""
        timed = (t for t in self.record.techniques if t.name == name and t.median_seconds is not None)
        return next(timed, None)

    def cells(self, shown: Exhibit, top: float = 0.0) -> list[Cell]:
        """One for each technique; ``top`` is the speedup at which the axes of its marks end."""
        cores = float(self.record.environment.get("cores_usable") or 1)
        found = []
        for name in shown.techniques:
            t = self.of(name)
            mark = micro(t.speedup, t.speedup_ci95, min(t.threads, cores), t.verdict, top=top) if t else None
            found.append(Cell(TECHNIQUES[name].label, t, mark))
        return found

    def wins(self, name: str, others: Sequence[str]) -> bool:
        """Whether the technique is measurably faster than the baseline and than the others."""
        t, rest = self.of(name), [self.of(other) for other in others if other != name]
        found = self.record.found
        beaten = (found.versus(t.label, other.label).verdict == FASTER for other in rest if other) if t else iter(())
        return t is not None and t.verdict == FASTER and all(beaten)


def words(shown: Exhibit) -> Words:
    """What its page calls things."""
    return WORDS.get(shown.lesson, _OF_FUNCTIONS)


def highest(shown: Exhibit, measured: Sequence[Measured]) -> float:
    """The highest speedup of all, with its interval, so that all marks can have the same axis."""
    found = [cell.t for one in measured for cell in one.cells(shown) if cell.t]
    return max((end for t in found for end in (t.speedup or 0.0, *(t.speedup_ci95 or ()))), default=0.0)


def figure(shown: Exhibit, measured: Sequence[Measured]) -> Chart | None:
    """All speedups with their intervals; None where there are none."""
    named = [
        (f"{one.part.label}: {spoken(cell.label).removeprefix('a ')}", cell.t)
        for one in measured
        for cell in one.cells(shown)
        if cell.t and cell.t.speedup is not None
    ]
    cores = [one.record.environment.get("cores_usable") or 1 for one in measured]
    return side_by_side(named, min(cores, default=1)) if named else None


# ---------------------------------------------------------------- what is said of it


def _fastest(shown: Exhibit, measured: Sequence[Measured]) -> str:
    """For which functions which technique is the one to take."""
    winners = {name: [m.part.label for m in measured if m.wins(name, shown.techniques)] for name in shown.techniques}
    rest = [m.part.label for m in measured if not any(m.part.label in labels for labels in winners.values())]
    said = [f"{spoken(TECHNIQUES[name].label)} for {listed(labels)}" for name, labels in winners.items() if labels]
    if not said:
        ways = " nor ".join(spoken(TECHNIQUES[name].label) for name in shown.techniques)
        return f"Here neither {ways} is measurably the fastest for any of these functions."
    said += [f"none measurably for {listed(rest)}"] if rest else []
    return f"The fastest here: {'; '.join(said)}."


def lesson(shown: Exhibit, measured: Sequence[Measured]) -> list[str]:
    """The answer to its question, as the numbers say, the conclusion first; nothing without numbers."""
    if not measured:
        return []
    if shown.lesson == "pixels":
        return list(_pixels(shown, measured))
    if shown.lesson == "baseline":
        return list(_baseline(shown, measured))
    if shown.lesson == "schedules":
        return list(_schedules(shown, measured))
    if shown.lesson == "pinning":
        return list(_pinning(shown, measured))
    return [_fastest(shown, measured), *(" ".join(_of(shown, one)) for one in measured)]


def _pixels(shown: Exhibit, measured: Sequence[Measured]) -> Iterator[str]:
    """Of ways of doing the same of which some may be wrong."""
    name = shown.techniques[0]
    timed = [(one, t) for one in measured if (t := one.of(name))]
    wrong = [one.part.label for one, t in timed if t.identical is False]
    right = [one.part.label for one, t in timed if t.identical]
    if wrong and right:
        yield f"{listed(wrong)}: fast and wrong. Only {listed(right).lower()} have a speedup."
    elif wrong:
        yield f"{listed(wrong)}: fast and wrong."
    else:
        yield "All have the pixels of the whole picture here."
    for one, t in timed:
        yield f"{one.part.label}: it {one.part.what}. {' '.join(_right_or_wrong(one, t))}"


def _right_or_wrong(one: Measured, t: TechniqueMeasurement) -> Iterator[str]:
    if t.identical is False:
        for other in one.record.other_pixels:
            rows = listed([f"{first + 1} to {last + 1}" for first, last in other.bands[:_FEW_BANDS]])
            more = "" if len(other.bands) <= _FEW_BANDS else " and more"
            yield (
                f"{other.pixels:,} of {other.of:,} pixels ({percent(other.pixels / other.of)}) are not those of the "
                f"whole picture, all in the rows near the cuts: {rows}{more}."
            )
        yield "No speedup is shown, since what took that time was other work; the results were made again in one piece."
    elif t.identical:
        yield f"The pixels are those of the whole picture. Compared with one core: {_did(spoken(t.label), t)}."
        if not t.split:
            yield "The picture was not cut, as there was one worker."


def _baseline(shown: Exhibit, measured: Sequence[Measured]) -> Iterator[str]:
    """Of a program and what became of it: the speedup over the one, and over the other."""
    name = shown.techniques[0]
    old, new = measured[0], measured[-1]
    before, t, serial = old.of(BASELINE), new.of(name), new.of(BASELINE)
    if old is new or not (before and t and serial and before.cost and t.cost and serial.cost):
        yield "Both programs have to be measured before anything follows."
        return
    ratio, workers = before.cost / t.cost, t.threads
    claimed = ratio / workers
    if claimed > 1:
        yield f"Nobody is {percent(claimed)} efficient: that baseline has a handicap."
    else:
        yield f"Here the handicap does not show as more than 100{NBSP}%, so nobody would have noticed."
    yield (
        f"As the report has it: {seconds(before.cost)} by the old program, one call after the other, "
        f"{seconds(t.cost)} by the new one with {counted(workers, 'thread')}, so {spelled_times(ratio)} as fast, an "
        f"efficiency of {percent(claimed)}."
    )
    gain = before.cost / serial.cost
    yield (
        f"Without any parallelism the new program takes {seconds(serial.cost)}: leaving out the copy alone makes it "
        f"{spelled_times(gain)} as fast."
    )
    yield f"Compared with the best serial program: {_did(spoken(t.label), t)}{_sure(t)}."


def _sure(t: TechniqueMeasurement) -> str:
    if t.efficiency is None or t.speedup_ci95 is None:
        return ""
    low, high = t.speedup_ci95
    return f": surely {times(low)} to {times(high)}, an efficiency of {percent(t.efficiency)}"


def _schedules(shown: Exhibit, measured: Sequence[Measured]) -> Iterator[str]:
    """Of the same work shared out in several ways, each in a run of its own."""
    name = shown.techniques[0]
    timed = [(one.part.label, t) for one in measured if (t := one.of(name)) and t.speedup is not None]
    if not timed or all(t.workers == 1 for _, t in timed):
        yield "With one thread there is nobody to share anything with: start it with more workers."
        return
    label, best = max(timed, key=lambda pair: pair[1].speedup or 0.0)
    later = [f"{other} ({times(t.speedup)})" for other, t in timed if _surely_less(t, best)]
    alike = [other for other, t in timed if t is not best and not _surely_less(t, best)]
    if later:
        rest = f" Not to be told from it: {listed(alike)}." if alike else ""
        yield f"It does here. The fastest is {label} ({times(best.speedup)}); surely slower: {listed(later)}.{rest}"
    elif all(t.speedup_ci95 for _, t in timed):
        yield f"Here none can be told from the fastest, {label} ({times(best.speedup)})."
    else:
        yield "Too few rounds to tell which is faster; give it more time, or wait until the machine has less to do."
    for one in measured:
        if t := one.of(name):
            yield f"{one.part.label} {one.part.what}: {_did(spoken(t.label), t)}. {_evenness(t)}".rstrip()


def _surely_less(t: TechniqueMeasurement, best: TechniqueMeasurement) -> bool:
    """Whether the intervals of two speedups lie apart."""
    return bool(t.speedup_ci95 and best.speedup_ci95 and t.speedup_ci95[1] < best.speedup_ci95[0])


def _evenness(t: TechniqueMeasurement) -> str:
    if t.imbalance is None:
        return ""
    return (
        f"The busiest thread was at work {spelled_times(t.imbalance)} as long as the mean of all (load imbalance), "
        f"which alone leaves about {times(t.workers / t.imbalance)} of the {t.workers}."
    )


def _pinning(shown: Exhibit, measured: Sequence[Measured]) -> Iterator[str]:
    """Of a pool whose workers have as many threads as cores each, and the same with one each, in the same rounds."""
    names = shown.techniques
    both = [(one, a, b) for one in measured if (a := one.of(names[0])) and (b := one.of(names[1]))]
    if not both:
        yield "Both pools have to be measured before anything follows."
        return
    if all(unpinned.cv2_threads == 1 for _, unpinned, _ in both):
        yield "OpenCV has one thread here in any case, as there is one core: nothing is left to pin."
        return
    pairs = [(one, _versus(one.record, b, a)) for one, a, b in both]
    pays = any(pair.verdict == FASTER for _, pair in pairs)
    gains = [f"{one.part.label.lower()} {_gain(pair)}" for one, pair in pairs]
    yield f"{'Pinning pays here' if pays else 'Here pinning is not seen to pay'}: {'; '.join(gains)}."
    for one, a, b in both:
        cores = one.record.environment.get("cores_usable") or 1
        as_it_is, pinned = (_did(spoken(TECHNIQUES[t.name].label), t) for t in (a, b))
        yield (
            f"{one.part.label}: {counted(a.workers, 'worker')} with {a.cv2_threads} threads of OpenCV each are "
            f"{a.threads} threads on {counted(cores, 'core')}. Compared with sequential: {as_it_is}, and {pinned}, "
            f"which is pinned. {_cpu(a, b)}"
        ).rstrip()


def _versus(record: Record, t: TechniqueMeasurement, other: TechniqueMeasurement) -> Pair:
    """As the record has it; where neither is the one that the run is about, by whether their speedups lie apart."""
    pair = record.found.versus(t.label, other.label)
    if pair.speedup is not None or not (t.cost and other.cost):
        return pair
    told: Verdict | None = LEVEL[0] if t.speedup_ci95 and other.speedup_ci95 else None
    if _surely_less(other, t):
        told = "faster"
    elif _surely_less(t, other):
        told = "slower"
    return Pair(t.label, other.label, other.cost / t.cost, None, told)


def _gain(pair: Pair) -> str:
    if pair.speedup is None:
        return "were not compared"
    if pair.verdict in LEVEL:
        return f"show {pair.verdict} ({times(pair.speedup)})"
    sure = "" if pair.verdict else ", with too few rounds to be sure"
    return f"are done {spelled_times(pair.speedup)} as fast pinned{sure}"


def _cpu(unpinned: TechniqueMeasurement, pinned: TechniqueMeasurement) -> str:
    """What a round took of the cores, by the rounds nearest the medians."""
    used = [t.typical.cpu_seconds for t in (unpinned, pinned) if t.typical and t.typical.cpu_seconds]
    if len(used) < 2:
        return ""
    return f"A round took {seconds(used[0])} of the cores’ time as it is, and {seconds(used[1])} pinned."


def _of(shown: Exhibit, one: Measured) -> Iterator[str]:
    cells = [(spoken(cell.label), cell.t) for cell in one.cells(shown) if cell.t]
    yield f"{one.part.label} {one.part.what}: {', '.join(_did(label, t) for label, t in cells)}."
    call = one.call
    for label, t in cells:
        if call is None or t.idle_task_seconds is None or t.verdict == FASTER:
            continue
        # What a call would have to save is spent on handing it over.
        if t.idle_task_seconds > 0.5 * call:
            yield (
                f"Handing one image to {label} takes {seconds(t.idle_task_seconds)}, the call itself {seconds(call)}."
            )


def _did(label: str, t: TechniqueMeasurement) -> str:
    if t.speedup is None:
        return f"no speedup is shown with {label}, for {t.reason or 'its results were not compared'}"
    if t.verdict in LEVEL:
        return f"{t.verdict} with {label} ({times(t.speedup)})"
    how = {FASTER: "as fast", SLOWER: "as fast, which is slower,"}.get(
        t.verdict or "", "as fast, too few rounds to be sure,"
    )
    return f"{spelled_times(t.speedup)} {how} with {label}"


def text(shown: Exhibit, measured: Sequence[Measured], notes: Sequence[str]) -> str:
    """All of it in plain text, ``notes`` on functions that were not measured included."""
    wide = max(len(part.label) for part in shown.parts) + 2
    lines = [f"{'':<{wide}}{'a call':>10}" + "".join(f"{TECHNIQUES[name].label:>26}" for name in shown.techniques)]
    for one in measured:
        call = seconds(one.call) if one.call else "-"
        lines.append(f"{one.part.label:<{wide}}{call:>10}" + "".join(f"{_short(c):>26}" for c in one.cells(shown)))
    conclusion, *rest = lesson(shown, measured) or [""]
    lines += [*notes, "", *rest]
    if measured:
        lines += ["", conclusion]
    return "\n".join(lines).replace(NBSP, " ") + "\n"


def _short(cell: Cell) -> str:
    if cell.t is None or cell.t.speedup is None:
        return "-"
    ci95 = cell.t.speedup_ci95
    return f"{cell.t.speedup:.2f}x" + (f" ({ci95[0]:.2f} to {ci95[1]:.2f})" if ci95 else "")
