"""What to do after a run: which technique for images like these, why, from how many images on, and how to run it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from imgproc.backends import BASELINE, TECHNIQUES
from imgproc.backends.places import OFF
from imgproc.backends.schedules import USUAL
from imgproc.backends.sharing.transport import PATHS, TRANSFERS
from imgproc.measure.derive import break_even
from imgproc.measure.results import LEVEL, TechniqueMeasurement
from imgproc.measure.statistics import LEAST_FOR_INTERVAL, LEAST_STARTS
from imgproc.numbers import NBSP, counted, few, number, seconds, spelled, spelled_times, times_interval
from imgproc.report import granularity
from imgproc.report.commands import ANY_PATHS, command_line, image_flags
from imgproc.report.costs import meanings
from imgproc.report.programs import program, why_none
from imgproc.report.scale import FASTER, SLOWER, faster
from imgproc.report.sentences import spoken
from imgproc.runs.options import options, show
from imgproc.runs.record import Record

# A start-up that is no more than this longer than another one, in seconds, decides nothing.
_SOON = 0.05
# Of its threads, the share that a technique must have kept at work for it to be said that the GIL did no harm.
_BUSY = 0.9


@dataclass(frozen=True)
class Advice:
    """What a run says of images like its own.

    ``use`` says what to do, ``reason`` what decided it and ``pays`` from how many images on it pays; the last two may
    be empty. ``command`` runs ``technique``, by its name; that is None where nothing can be told yet, and the command
    measures more. ``program`` is one of one's own, empty where there is none; ``notes`` are sentences about both.
    """

    use: str
    command: str
    technique: str | None = None
    reason: str = ""
    pays: str = ""
    program: str = ""
    notes: tuple[str, ...] = ()


def advice(record: Record, paths: Sequence[str] = ANY_PATHS) -> Advice | None:
    """None where nothing was measured, and for a run over items: ``tasks.advice`` is what is said of those.

    Args:
        paths: the images, for the command.
    """
    if record.task:
        return None
    told = _told(record, paths)
    antipatterns = {t.label for t in record.techniques if t.antipattern}
    doubts = [alarm for alarm in record.alarms if alarm.who not in antipatterns]  # those are not what is advised
    if told is None or told.technique is None or not doubts:
        return told
    make = "makes" if len(doubts) == 1 else "make"
    alarms = counted(len(doubts), "alarm", words=True).capitalize()
    return replace(told, use=f"{told.use} {alarms} of this run {make} that doubtful.")


def _told(record: Record, paths: Sequence[str]) -> Advice | None:
    main, outcome = record.technique, record.found.outcome
    if record.state != "done" or main is None or not main.rounds or record.settings.budget <= 0:
        return None
    if record.mode == "sequential":
        return Advice(
            "This run measured sequential alone; a comparison tells which technique to use.", _compare(record, paths)
        )
    if outcome in ("undecided", "no interval"):
        rounds = counted(len(main.rounds), "round", words=True)
        was = "was" if len(main.rounds) == 1 else "were"
        few_rounds = f"Nothing can be told yet: {rounds} {was} measured, {spelled(LEAST_FOR_INTERVAL)} are needed."
        if (starts := len({*main.starts})) > 1:
            few_rounds = f"Nothing can be told yet: {spelled(starts)} starts were measured, "
            few_rounds += f"{spelled(LEAST_STARTS)} are needed."
        elif len(main.rounds) >= LEAST_FOR_INTERVAL:
            few_rounds = "Nothing can be told yet: not every technique was measured in every round."
        return Advice(few_rounds, _again(record, paths))
    # However much was handed over at a time, it was the same work.
    same = record.points if record.granularity and record.granularity.over == "task" else []
    of_all = [*record.techniques, *same]
    compared = [t for t in of_all if t.name != BASELINE and t.verdict and not t.antipattern]
    winners = [t for t in compared if t.verdict == FASTER and t.name in TECHNIQUES]
    baseline = next((t for t in record.techniques if t.name == BASELINE and t.median_seconds is not None), None)
    if winners:
        return _faster(record, winners, paths)
    if baseline is None:
        return Advice("Nothing can be told: sequential was not measured.", _again(record, paths))
    if compared:
        return _baseline(record, baseline, compared, paths)
    if any(t.antipattern and t.verdict for t in record.techniques):
        only = (
            "Only an antipattern was measured beside sequential. That is never advised; a comparison tells what to use."
        )
        return Advice(only, _compare(record, paths))
    if record.mode != "compare" and main.identical is False:
        use = f"Do not use {spoken(main.label)}: the pixels differed from those of sequential."
        return Advice(use, _process(record, baseline, paths), BASELINE)
    return None


# ---------------------------------------------------------------- what to use


def _faster(record: Record, winners: list[TechniqueMeasurement], paths: Sequence[str]) -> Advice:
    """Where techniques are measurably faster than sequential: of the fastest and those that cannot be told from it
    one that starts soon; of a scale run the one with the fewest workers."""
    best = min(winners, key=_cost)
    level = [t for t in winners if t is not best and record.found.versus(t.label, best.label).verdict in LEVEL]
    if record.mode == "scale":
        chosen = min([best, *level], key=lambda t: (_in_grid(t), t.threads, _cost(t)))
    else:
        chosen = min([best, *level], key=lambda t: (_starts_late(t, [best, *level]), _cost(t)))
    least, sooner = _pays_from(record, chosen, [t for t in winners if t not in (best, *level)])
    use = f"Use {way(record, chosen)}"
    if record.granularity and record.granularity.over == "task":
        use += f", {counted(chosen.chunk_size or 1, 'image')} at a time"
    if least > len(record.good_images):
        use += f" from {number(least)} images like these on"
    interval = times_interval(chosen.speedup_ci95)
    use += f": {spelled_times(chosen.speedup or 0.0)} as fast as sequential (95{NBSP}% interval {interval})."
    for verdict in LEVEL:
        others = [t.label for t in (best, *level) if t is not chosen]
        alike = [other for other in others if _beside(record, other, chosen, best) == verdict]
        use += f" {_capital(verdict)} to {few([*map(spoken, alike)])}." if alike else ""
    use += _untried(record)
    reason = _start_ups(chosen, best) or " ".join(filter(None, (_lost(record, chosen), _cores(chosen))))
    command, (own, notes) = _process(record, chosen, paths), _program(record, chosen)
    pays = _measured_pays(record) or _pays(least, sooner)
    return Advice(use, command, chosen.name, reason, pays, own, notes)


def _untried(record: Record) -> str:
    """Of a parallel run what is to be said of the techniques that it did not measure; empty of any other."""
    if record.mode != "parallel":
        return ""
    said = " Other techniques were not measured"
    if record.untried is None or record.technique is None:
        return f"{said}."
    if not record.untried:
        return f"{said}; none is expected to take noticeably less time."
    own = record.technique
    expected = (own.predicted_seconds or 0.0) + (own.predicted_startup_seconds or 0.0)
    names = {one.technique: TECHNIQUES[one.technique].label for one in record.untried if one.technique in TECHNIQUES}
    some = few(
        [f"{spoken(names[one.technique])} ({seconds(one.seconds)})" for one in record.untried if one.technique in names]
    )
    by = "measurements on this machine" if all(one.measured for one in record.untried) else "another machine’s figures"
    return (
        f"{said}. Worth trying: {some}; of {spoken(own.label)} {seconds(expected)} were expected, by {by} before. "
        "A comparison tells."
    )


def _beside(record: Record, label: str, chosen: TechniqueMeasurement, best: TechniqueMeasurement) -> str | None:
    """The verdict between the technique with the label and the chosen one; those known are all with the best."""
    one, other = (label, chosen.label) if best.label in (label, chosen.label) else (label, best.label)
    return record.found.versus(one, other).verdict


def _baseline(
    record: Record, baseline: TechniqueMeasurement, compared: list[TechniqueMeasurement], paths: Sequence[str]
) -> Advice:
    """Where nothing is measurably faster than sequential."""
    level = [t for t in compared if t.verdict in LEVEL]
    nearest = min(level or compared, key=_cost)
    if level:
        whose = {"compare": "no technique", "scale": f"no number of {_unit(nearest)}s"}
        who = None if record.granularity else whose.get(record.mode)
        denied = faster(record, next((v for v in LEVEL if any(t.verdict == v for t in level)), None))
        said = f"{who} is {denied}" if who else f"{spoken(nearest.label)} made {nearest.verdict}"
        use = f"Sequential is enough: {said}."
    else:
        other = "the fastest other, " if len(compared) > 1 else ""
        speedup = spelled_times(nearest.speedup or 0.0)
        use = f"Use sequential: {other}{way(record, nearest)}, took longer, {speedup} as fast."
    use += _untried(record)
    own, notes = _program(record, baseline)
    return Advice(use, _process(record, baseline, paths), BASELINE, _lost(record, nearest), "", own, notes)


def way(record: Record, t: TechniqueMeasurement) -> str:
    """A technique with its workers, inside a sentence: threads with 2 workers, two of OpenCV’s own threads."""
    known = TECHNIQUES.get(t.name)
    if t.name == BASELINE or known is None:
        return spoken(t.label)
    name, unit = spoken(known.label), known.unit
    if unit == "thread" and t.threads > t.workers:
        return f"{spelled(t.threads)} of {name}"
    said = f"{name} with {counted(t.workers, unit)}"
    if t.cv2_threads > 1:
        said += f" of {counted(t.cv2_threads, 'OpenCV thread')}{' each' if t.workers > 1 else ''}"
    if t.transfer in TRANSFERS and len(record.settings.transfers) > 1:
        said += f" ({TRANSFERS[t.transfer].label})"
    return said


def _in_grid(t: TechniqueMeasurement) -> bool:
    """Whether each worker had several of OpenCV's threads, which scale alone can be told."""
    return t.cv2_threads > 1 and _unit(t) != "thread"


def _unit(t: TechniqueMeasurement) -> str:
    return TECHNIQUES[t.name].unit if t.name in TECHNIQUES else "worker"


def _cost(t: TechniqueMeasurement) -> float:
    return t.cost


# ---------------------------------------------------------------- why, and from when on


def _starts_late(t: TechniqueMeasurement, among: Sequence[TechniqueMeasurement]) -> bool:
    """Whether it takes noticeably longer to start than another one."""
    return (t.startup_seconds or 0.0) > min(one.startup_seconds or 0.0 for one in among) + _SOON


def _start_ups(chosen: TechniqueMeasurement, best: TechniqueMeasurement) -> str:
    """What decided between two that cannot be told apart, if it was that."""
    if not _starts_late(best, [chosen]):
        return ""
    first, later = seconds(chosen.startup_seconds), seconds(best.startup_seconds)
    return f"It is ready to work after {first}, {spoken(best.label)} after {later}."


def _lost(record: Record, t: TechniqueMeasurement) -> str:
    """What a technique lost of the ideal, and the one of the slower that lost most."""
    losses = {loss.technique: loss for loss in record.found.losses}
    if t.label not in losses:
        return ""
    worst = told = losses[t.label]
    for label, loss in losses.items():
        if loss.seconds > worst.seconds and record.found.versus(label, t.label).verdict == SLOWER:
            worst = loss
    reached = told.seconds <= 0
    said = _capital(spoken(t.label)) + (
        " reached the ideal" if reached else f" took {seconds(told.seconds)} more than the ideal"
    )
    if worst is not told and worst.seconds > 0:
        took = f"took {seconds(worst.seconds)} more" if reached else seconds(worst.seconds)
        said += f", {spoken(worst.technique)} {took}"
    if worst.part is None or worst.seconds <= 0:
        return f"{said}."
    return f"{said}, above all through {worst.part}: {meanings(record).get(worst.part, worst.part)}."


def _capital(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"


def _cores(t: TechniqueMeasurement) -> str:
    """How many cores threads of one process kept busy, which the GIL could have limited to one."""
    known = TECHNIQUES[t.name].load().capabilities if t.name in TECHNIQUES else None
    typical = t.typical
    if known is None or known.memory != "shared" or known.inline or t.workers < 2 or t.cv2_threads > 1:
        return ""
    if typical is None or not typical.cpu_seconds or not typical.wall_seconds:
        return ""
    busy = typical.cpu_seconds / typical.wall_seconds
    said = f"Its {counted(t.workers, 'thread')} kept {busy:.2g}{NBSP}cores busy"
    return f"{said}, so the GIL did not hold them up." if busy >= _BUSY * t.workers else f"{said}."


def _pays_from(
    record: Record, t: TechniqueMeasurement, others: Sequence[TechniqueMeasurement]
) -> tuple[int, TechniqueMeasurement | None]:
    """From how many images on nothing else is better for as many, start-up included; and what is better for fewer,
    None for the baseline."""
    least = t.break_even_images or 1
    sooner = [o for o in others if (o.break_even_images or 1) < least]
    other = min(sooner, key=lambda o: (o.break_even_images or 1, _cost(o)), default=None)
    if other is None:
        return least, None
    images = len(record.sample or record.good_images)
    return max(least, break_even(t, other, images) or least), other


def _pays(least: int, sooner: TechniqueMeasurement | None) -> str:
    if least <= 1:
        return "It pays from the first image on, start-up included."
    fewer = f"{spoken(sooner.label)} would do" if sooner else "sequential is enough"
    return (
        f"Its start-up pays off from {number(least)} images like these on, the first round included; for fewer {fewer}."
    )


def _measured_pays(record: Record) -> str:
    """The same as it was measured, in a run that did; empty in any other."""
    found = record.granularity
    if found is None or not found.pays_with_startup.reached:
        return ""
    return f"As measured, start-up included, it {granularity.pays(found, found.pays_with_startup)}."


# ---------------------------------------------------------------- how


def _program(record: Record, t: TechniqueMeasurement) -> tuple[str, tuple[str, ...]]:
    """A program of one's own, and what is to be known of it and of the command."""
    notes = []
    if _in_grid(t):
        notes.append(f"The command gives each worker one OpenCV thread instead of {number(t.cv2_threads)}.")
    if why := why_none(record, t):
        return "", (*notes, why)
    try:
        return program(record, t, way(record, t)), tuple(notes)
    except (KeyError, TypeError, ValueError):  # a run.json may hold anything
        return "", (*notes, "There is no short program: the settings of this run are none of this version.")


def _process(record: Record, t: TechniqueMeasurement, paths: Sequence[str]) -> str:
    """The command that runs this technique."""
    asked = record.settings
    words = ["process", *paths, "--technique", t.name]
    if t.name != BASELINE:
        words += ["--workers", str(t.threads if _unit(t) == "thread" else t.workers)]
    if t.transfer not in (None, PATHS):
        words += ["--transfer", t.transfer or ""]
    if t.transfer is not None and asked.start_method:
        words += ["--start-method", asked.start_method]
    if (t.chunk_size or 1) > 1:
        words += ["--chunk-size", str(t.chunk_size)]
    words += _how(t.schedule, asked.affinity if t.affinity else OFF)
    return command_line([*words, *image_flags(asked), "--out", "results"])


def _how(schedule: str | None, affinity: str) -> list[str]:
    """The flags of what is not as usual."""
    words = ["--schedule", schedule] if schedule and schedule != USUAL else []
    return words + (["--affinity", affinity] if affinity != OFF else [])


def _compare(record: Record, paths: Sequence[str]) -> str:
    """The command that compares all techniques."""
    return command_line(["compare", *paths, "--workers", str(record.settings.workers), *image_flags(record.settings)])


def _again(record: Record, paths: Sequence[str]) -> str:
    """The command that measures the techniques of this run again, in time enough for intervals."""
    asked, timed = record.settings, [t for t in record.techniques if t.median_seconds is not None]
    names = [name for name in dict.fromkeys(t.name for t in timed) if name != BASELINE]
    words = [
        "scale" if record.mode == "scale" else "compare",
        *paths,
        *(["--technique", ",".join(names)] * bool(names)),
    ]
    if record.mode == "scale":
        for flag, counts in (("--workers", asked.worker_counts), ("--cv2-threads", asked.cv2_threads)):
            words += [flag, ",".join(map(str, counts))]
        if asked.over != "workers":
            words += ["--over", asked.over, *(["--points", show(asked.points).replace(", ", ",")] * bool(asked.points))]
    else:
        words += ["--workers", str(asked.workers)]
    if asked.transfers != [PATHS]:
        words += ["--transfer", ",".join(asked.transfers)]
    words += _how(asked.schedule, asked.affinity)
    needed = 2 * (LEAST_FOR_INTERVAL + 1) * sum(map(_cost, (*timed, *record.weak, *record.points)))
    budget = options()["budget"].maximum
    words += ["--budget", str(min(max(60, math.ceil(needed / 10) * 10), int(budget)))]
    return command_line([*words, *image_flags(asked)])
