"""What the pages say about a run, as sentences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from imgproc.backends import BASELINE, TECHNIQUES, default_techniques, technique
from imgproc.measure.curves import Scaling
from imgproc.measure.derive import typical_spans
from imgproc.measure.findings import quicker_with_other_pixels
from imgproc.measure.results import LEVEL, Progress, TechniqueMeasurement
from imgproc.numbers import (
    NBSP,
    counted,
    listed,
    number,
    percent,
    seconds,
    spelled_seconds,
    spelled_times,
    times,
    times_interval,
)
from imgproc.operations import not_in_strips
from imgproc.report import granularity
from imgproc.report.scale import FASTER, SLOWER, beside, faster, many, scaled, scaled_counts, unit
from imgproc.runs.record import Record
from imgproc.runs.splitting import SERIAL_STAGES, images_to_split

#: Labels that are names, and keep their capital in a sentence.
NAMES = {"Dask"}
#: How labels of earlier versions begin: “Futures, threads”, by what stands behind “through” now.
EARLIER = {"Futures": "futures", "asyncio": "asyncio"}
UNDECIDED = "Too few rounds to tell who is fastest; give it more time"
SAME, DIFFERENT = "the same pixels.", "its pixels differ from sequential, so no speedup is shown."


def spoken(label: str) -> str:
    """A label inside a sentence: threads, a process pool, threads through futures, joblib with 2 workers."""
    way, comma, through = label.partition(", ")
    if way in EARLIER:
        what, _, more = through.partition(", ")
        label = f"{what.capitalize()} through {EARLIER[way]}{comma if more else ''}{more}"
    for known in (t.label for t in TECHNIQUES.values()):
        if label.startswith(f"{known}, "):
            return f"{spoken(known)} with {label.removeprefix(f'{known}, ').replace(' with ', ' of ')}"
    named = any(letter.isupper() for letter in label[1:]) or label in NAMES
    plain = label if named else label[:1].lower() + label[1:]
    return f"a {plain}" if plain.partition(" (")[0].endswith("pool") else plain


def sentences(record: Record) -> dict[str, Any]:
    """All sentences of the page of a run that has ended, by their names there."""
    return {
        "split": split(record),
        "ending": ending(record),
        "title": title(record),
        "headline": headline(record) if record.state == "done" else None,
    }


@dataclass(frozen=True)
class Headline:
    """The first sentence of a run: ``lead``, then the figure in the accent colour, then ``rest`` and ``after``."""

    lead: str
    figure: str = ""
    rest: str = ""
    after: str = ""


def headline(record: Record) -> Headline:
    """What came out, for a run that is done."""
    images = counted(record.total, record.unit, words=True).capitalize()
    main, outcome = record.technique, record.found.outcome
    if main is None or main.median_seconds is None:
        return Headline(f"{images} done; the time could not be measured.")
    if outcome == "undecided":
        return Headline(f"{UNDECIDED}.")
    if record.mode == "compare" and outcome != "not compared":
        return _winner(record, main)
    if record.granularity:
        return Headline(*granularity.lead(record, record.granularity))
    if record.mode == "scale" and record.scaling and main.name != BASELINE:
        return _scaled(record, record.scaling, main)
    figure = spelled_seconds(record.seconds or main.median_seconds)
    if main.name == BASELINE:
        return Headline(f"{images} in", figure, ",", "one process, one thread: what every speedup is measured against.")
    compared = _compared(main)
    if record.sample:
        compared = compared.rstrip(".") + f"; measured on {number(len(record.sample))} of them."
    return Headline(f"{images} in", figure, f" with {spoken(main.label)},", compared)


def guess(record: Record) -> str:
    """How what was guessed of the speedup compares with what was measured; empty where nothing was guessed."""
    guessed, main = record.settings.guess, record.technique
    if not guessed or record.state != "done":
        return ""
    said = f"The guess was {spelled_times(guessed)} as fast as sequential"
    if main is not None and main.name == BASELINE and record.found.outcome != "undecided":
        return f"{said}; nothing is measurably faster than sequential here."
    if main is None or main.speedup is None or main.speedup_ci95 is None:
        return f"{said}; without a speedup and its interval nothing says how near that is."
    found = f"{spelled_times(main.speedup)} with {spoken(main.label)}"
    low, high = main.speedup_ci95
    interval = f"95{NBSP}% interval {times_interval(main.speedup_ci95)}"
    if low <= guessed <= high:
        return f"{said}, and it was right: {found}, {interval}, in which the guess lies."
    way, off = ("high", guessed / main.speedup - 1) if guessed > high else ("low", 1 - guessed / main.speedup)
    return f"{said}, which is {percent(off)} too {way}: {found}, {interval}."


def title(record: Record) -> str:
    """The shortest form of the same."""
    images, main, outcome = counted(record.total, record.unit), record.technique, record.found.outcome
    if record.task:
        images += f" of {record.task.function}"
    if record.granularity:
        return f"{granularity.title(record.granularity)}, {images}"
    if outcome == "undecided":
        return f"Too few rounds to tell, {images}"
    if record.mode == "compare" and outcome == "baseline" and quicker_with_other_pixels(record.techniques, main):
        return f"Nothing faster than sequential with the same pixels, {images}"
    if record.mode == "compare" and outcome in LEVEL and (sure := surely_faster(record)):
        return f"{times(sure.speedup or 0.0)} with {spoken(sure.label)}, {images}"
    if record.mode == "compare" and outcome in (*LEVEL, "baseline"):
        return f"Nothing {faster(record, outcome)} than sequential, {images}"
    if main is None or main.speedup is None or main.name == BASELINE:
        return images
    return f"{times(main.speedup)} with {spoken(main.label)}, {images}"


def surely_faster(record: Record) -> TechniqueMeasurement | None:
    """Of the techniques whose verdict is that they are faster the one with the highest speedup: the fastest of all may
    scatter too much for that verdict."""
    faster_ones = [t for t in record.techniques if t.verdict == FASTER and t.identical is not False]
    return max(faster_ones, key=lambda t: t.speedup or 0.0, default=None)


def _winner(record: Record, best: TechniqueMeasurement) -> Headline:
    """Of a comparison: who is fastest, by how much, and who cannot be told from it."""
    timed = [t for t in record.techniques if t.median_seconds is not None]
    same = [t for t in timed if t.identical is not False]
    made = "results" if record.task else "pixels"
    every = "both techniques" if len(timed) == 2 else f"all {counted(len(timed), 'technique', words=True)}"
    pixels = f"the same {made} from {every}." if len(same) == len(timed) else f"not all made the same {made}."
    others = ""
    for verdict in LEVEL:
        level = [spoken(t.label) for t in same if record.found.versus(t.label, best.label).verdict == verdict]
        others += f"{verdict} to {listed(level)}; " if level else ""
    if best.name == BASELINE:
        if wrong := quicker_with_other_pixels(record.techniques, best):
            took = f"{spoken(wrong.label)} took less time, with other {made}."
            return Headline(f"Nothing with the same {made} is faster than", "sequential", " here;", others + took)
        return Headline("Nothing is faster than", "sequential", " here;", others + pixels)
    if best.verdict != FASTER and (sure := surely_faster(record)):
        best, others = sure, ""
    if best.verdict != FASTER:
        return Headline(f"No technique is {faster(record, best.verdict)} than", "sequential", " here;", pixels)
    lead = _are(spoken(best.label))
    after = f"{_interval(best)}{others}{pixels}"
    return Headline(
        f"{lead[0].upper()}{lead[1:]}", spelled_times(best.speedup or 0.0), " as fast as sequential here,", after
    )


def _are(name: str) -> str:
    """threads are, joblib is"""
    way = name.partition(" with ")[0]
    return f"{name} {'are' if way.endswith(('threads', 'processes')) or ' through ' in way else 'is'}"


def _scaled(record: Record, found: Scaling, best: TechniqueMeasurement) -> Headline:
    """Of a scale run: its fastest number of workers, and what the others do."""
    own = [t for t in record.techniques if t.name == found.technique and t.median_seconds is not None]
    what = unit(found.technique)
    way = spoken(TECHNIQUES[found.technique].label if found.technique in TECHNIQUES else found.technique)
    how_many = counted(best.threads, what, words=True)
    if what != "thread" and best.cv2_threads > 1:  # two workers of two OpenCV threads each
        inner = counted(best.cv2_threads, "OpenCV thread", words=True)
        how_many = f"{counted(best.workers, what, words=True)} of {inner}{' each' if best.workers > 1 else ''}"
    lead = f"With {how_many}, {_are(way)}"
    if what == "thread":  # they are the technique
        lead = f"{how_many.partition(' ')[0].capitalize()} of {way} {'is' if best.threads == 1 else 'are'}"
    if best.speedup is None:
        return Headline(f"{lead} fastest:", spelled_seconds(best.median_seconds or 0.0), ",", _compared(best))
    pixels = SAME if all(t.identical for t in own) else "not all made the same pixels."
    if record.sample:
        pixels = pixels.rstrip(".") + f"; measured on a sample of {counted(len(record.sample), 'image')}."
    figure = spelled_times(best.speedup)
    if best.verdict and not any(t.verdict == FASTER for t in own):
        near = f"at the most {figure} as fast, with {how_many}; {_interval(best)}{pixels}"
        return Headline(
            f"No number of {what}s makes {way} {faster(record, best.verdict)} than", "sequential", " here;", near
        )
    on_curve = best.cv2_threads == 1 or what == "thread"
    others = beside(record) if on_curve else ""
    after = f"{others}; " if others else ""
    return Headline(lead, figure, " as fast as sequential,", f"{after}{_interval(best)}{pixels}")


def _interval(t: TechniqueMeasurement) -> str:
    shown = times_interval(t.speedup_ci95)
    return f"95{NBSP}% interval {shown}; " if shown else ""


def _compared(main: TechniqueMeasurement) -> str:
    if main.identical is False:
        return DIFFERENT
    same = SAME if main.identical else "the pixels were not compared."
    if main.speedup is None:
        return f"without a speedup: {main.reason or 'the baseline was not measured'}."
    if main.verdict in LEVEL:
        return f"{main.verdict} from sequential; {same}"
    as_fast = f"{spelled_times(main.speedup)} as fast"
    if main.verdict == SLOWER:
        return f"slower than sequential, {as_fast}; {same}"
    return f"{as_fast} as sequential{'' if main.verdict else ', without an interval'}; {same}"


@dataclass(frozen=True)
class Ending:
    """Why a run has no verdict, and what to do."""

    title: str
    what: str
    then: str


def ending(record: Record) -> Ending | None:
    """None for a run that is done or still going."""
    made = sum(1 for image in record.good_images if any(o.bytes for o in image.outputs))
    kept = (
        f"{counted(made, 'image', words=True).capitalize()} {'is' if made == 1 else 'are'} done and can be downloaded."
        if made
        else "No result was made."
    )
    if made and record.mode != "sequential" and all(t.identical is None for t in record.techniques):
        kept += " Their pixels were not compared with sequential’s yet."
    again = "“Run again” starts it anew with the same images and settings."
    if record.task:
        kept, again = "Nothing was measured.", "“Run again” starts it anew."
    elif record.images and not any(image.stored for image in record.images):
        again = "Choose other files on the form."
    if record.state == "cancelled":
        return Ending("This run was cancelled", kept, again)
    title, what = {
        "failed": ("This run failed", "Something unexpected happened."),
        "interrupted": ("This run was interrupted", "The program that measures was ended in the middle of it."),
    }.get(record.state, ("", ""))
    return Ending(title, record.error or what, f"{kept} {again}") if title else None


def starts(record: Record) -> str:
    """How much of the scatter is between starts, where workers were started anew; empty where they were not."""
    known = [t for t in record.techniques if t.between_starts is not None]
    times_started = max((len({*t.starts}) for t in record.techniques if t.rounds), default=1)
    if times_started < 2:
        return ""
    began = f"Workers were started {counted(times_started, 'time', words=True)}, and each start counts once"
    if not known:
        return f"{began}."
    shares = [f"{percent(t.between_starts)} for {spoken(t.label)}" for t in known]
    return f"{began}. Of the scatter of the speedup (its variance) so much is between starts: {listed(shares)}."


def split(record: Record) -> list[str]:
    """What was cut into strips and why, and how much of it cannot be; a sentence each, none where nothing was."""
    main = record.technique
    if main is not None and (why := not_in_strips(record.settings.operations)):
        able = main.name in TECHNIQUES and TECHNIQUES[main.name].load().capabilities.splits
        wanted = able and images_to_split(record.good_images, main.workers, record.settings.split)
        return [f"Every image stays whole: {why}."] if wanted else []
    if main is None or not main.split:
        return []
    names = {image.index: image.name for image in record.images}
    cut = [names.get(index, f"image {index + 1}") for index in main.split]
    who = listed(cut) if len(cut) <= 3 else counted(len(cut), "image")
    were = "was" if len(cut) == 1 else "were"
    because = f"because left whole {'it' if len(cut) == 1 else 'they'} would have held up the end"
    if record.settings.split == "always":
        because = "as asked for"
    elif len(record.sample or record.good_images) < main.workers:
        because = "because there are fewer images than workers"
    return [f"{who} {were} cut into strips, {because}.", *_limit_of_strips(record, main)]


def _limit_of_strips(record: Record, main: TechniqueMeasurement) -> list[str]:
    """The most that strips can gain by Amdahl's law, from the stages of the baseline."""
    baseline = next((t for t in record.techniques if t.name == BASELINE and t.spans), None)
    if baseline is None:
        return []
    spans = [span for span in typical_spans(baseline) if span.image in main.split]
    whole = sum(span.end - span.start for span in spans)
    in_parts = {span.image for span in main.spans if span.stage in SERIAL_STAGES and span.part is not None}
    serial = sum(s.end - s.start for s in spans if s.stage in SERIAL_STAGES and s.image not in in_parts)
    if not 0 < serial < whole:
        return []
    of = "it" if len(main.split) == 1 else "them"
    return [
        f"Of the {seconds(whole)} that one worker needs for {of}, {seconds(serial)} of reading and decoding cannot be "
        f"split: no more than {spelled_times(whole / serial)} as fast, however many workers."
    ]


def doing(record: Record) -> str:
    """The title of a run that waits or is running."""
    if record.state == "checking":
        return f"Checking {counted(len(record.images), 'file')}"
    count = record.total or record.settings.samples
    images = counted(count, "sample image" if record.settings.samples else "image")
    if record.mode == "sequential":
        return f"Processing {images} sequentially"
    if record.mode == "compare":
        count = len(record.settings.techniques) or sum(t.availability().ok for t in default_techniques())
        if record.task:
            images = f"{counted(record.total, record.unit)} of {record.task.function}"
        return f"Comparing {counted(count, 'technique')} on {images}"
    if record.mode == "scale":
        name = scaled(record)
        counts = many(scaled_counts(record), unit(name))
        if record.settings.over != "workers":
            how = (
                f"ever more of {images} handed over at once"
                if record.settings.over == "task"
                else (f"on more and more of {images}")
            )
            return f"Measuring {spoken(technique(name).label)} with {counts}, {how}"
        inner = record.settings.cv2_threads if unit(name) != "thread" else [1]
        each = f", each with {many(inner, 'OpenCV thread')}" if inner != [1] else ""
        return f"Measuring {spoken(technique(name).label)} with {counts}{each}, on {images}"
    return f"Measuring {spoken(technique(record.settings.technique).label)} against sequential on {images}"


def step(progress: Progress, what: str = "image") -> tuple[str, str]:
    """Where a run stands: what is being done, and how far that is; ``what`` is that which it is over."""
    label = progress.label or (TECHNIQUES[progress.technique].label if progress.technique in TECHNIQUES else "")
    named = f", {label}" if label else ""
    if progress.round and progress.rounds:
        now = f"Round {progress.round} of {progress.rounds}{named}"
    else:
        phases = PHASES if what == "image" else {**PHASES, **_PHASES_OF_ITEMS}
        now = f"{phases.get(progress.phase, progress.phase.capitalize())}{named}"
    done = ""
    if progress.images_total:
        done = f"{what} {min(progress.images_done + 1, progress.images_total)} of {progress.images_total}"
        if progress.images_done >= progress.images_total:
            done = f"{progress.images_total} of {counted(progress.images_total, what)}"
    return now, done


PHASES = {
    "": "Preparing",
    "drawing": "Drawing sample images",
    "inspecting": "Checking the sample images",
    "waiting": "Waiting",
    "loading": "Loading the PNG encoder, which is compiled first if it is new to this machine",
    "starting": "Starting the workers",
    "results": "Making the results",
    "warm-up": "Warming up",
    "checking": "Comparing pixels",
    "cutting": "Cutting images to sizes",
    "measuring": "Measuring",
}
_PHASES_OF_ITEMS = {
    "trial": "Trying every item",
    "checking": "Comparing results",
    "idle": "Timing calls that do nothing",
}
