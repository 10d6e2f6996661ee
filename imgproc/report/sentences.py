"""What the pages say about a run, as sentences."""

from __future__ import annotations

from dataclasses import dataclass

from imgproc.backends import BASELINE, TECHNIQUES, technique
from imgproc.measure.breakdown import PARTS
from imgproc.measure.curves import Scaling, versus
from imgproc.measure.results import Progress, TechniqueMeasurement
from imgproc.numbers import listed
from imgproc.operations import PARAMETERS
from imgproc.report import findings, formats
from imgproc.report.text import scaled, scaled_counts
from imgproc.runs.record import Record

#: Labels that are names, and keep their capital in a sentence.
NAMES = {"Dask"}
SAME, DIFFERENT = "the same pixels.", "its pixels differ from sequential, so no speedup is shown."


def spoken(label: str) -> str:
    """A label inside a sentence: threads, a process pool, threads through futures, joblib with 2 workers."""
    for known in (t.label for t in TECHNIQUES.values()):
        if label.startswith(f"{known}, "):
            return f"{spoken(known)} with {label.removeprefix(f'{known}, ').replace(' with ', ' of ')}"
    way, _, through = label.partition(", ")
    if through:
        return f"{through} through {way[0].lower() + way[1:]}"
    named = any(letter.isupper() for letter in label[1:]) or label in NAMES
    plain = label if named else label[:1].lower() + label[1:]
    return f"a {plain}" if plain.endswith("pool") else plain


@dataclass(frozen=True)
class Verdict:
    """The first sentence of a run: ``lead``, then the figure in the accent colour, then ``rest`` and ``after``."""

    lead: str
    figure: str = ""
    rest: str = ""
    after: str = ""


def verdict(record: Record) -> Verdict:
    """What came out, for a run that is done."""
    images = formats.counted(len(record.good_images), "image", words=True).capitalize()
    main = record.technique
    if main is None or main.median_seconds is None:
        return Verdict(f"{images} done; the time could not be measured.")
    figure = _headline_seconds(record.seconds or main.median_seconds)
    if record.mode == "compare":
        return _winner(record, main)
    if record.mode == "scale" and record.scaling and main.name != BASELINE:
        return _scaled(record, record.scaling, main)
    if main.name == BASELINE:
        return Verdict(f"{images} in", figure, ",", "one process, one thread: what every speedup is measured against.")
    compared = _compared(main)
    if record.sample:
        compared = compared.rstrip(".") + f"; measured on {formats.number(len(record.sample))} of them."
    return Verdict(f"{images} in", figure, f" with {spoken(main.label)},", compared)


def _winner(record: Record, best: TechniqueMeasurement) -> Verdict:
    """The verdict of a comparison: who is fastest, by how much, and who cannot be told from it."""
    timed = [t for t in record.techniques if t.median_seconds is not None]
    same = [t for t in timed if t.identical is not False]
    counted = formats.counted(len(timed), "technique", words=True)
    pixels = f"the same pixels from all {counted}." if len(same) == len(timed) else "not all made the same pixels."
    level = [spoken(t.label) for t in same if t is not best and tied(t, best)]
    others = f"no measurable difference to {listed(level)}; " if level else ""
    if best.name == BASELINE:
        return Verdict("Nothing is faster than", "sequential", " here;", others + pixels)
    if best.verdict != "faster" or best.speedup is None:
        return Verdict("No technique is measurably faster than", "sequential", " here;", pixels)
    lead = _are(spoken(best.label))
    figure = f"{best.speedup:.2f}{formats.NBSP}times"
    lead = f"{lead[0].upper()}{lead[1:]}"
    return Verdict(lead, figure, " as fast as sequential here,", f"{_interval(best)}{others}{pixels}")


def _are(name: str) -> str:
    """threads are, joblib is"""
    way = name.partition(" with ")[0]
    return f"{name} {'are' if way.endswith(('threads', 'processes')) or ' through ' in way else 'is'}"


def _scaled(record: Record, found: Scaling, best: TechniqueMeasurement) -> Verdict:
    """The verdict of a scale run: its fastest number of workers, and what the others do."""
    own = [t for t in record.techniques if t.name == found.technique and t.median_seconds is not None]
    what = findings.unit(found.technique)
    way = spoken(TECHNIQUES[found.technique].label if found.technique in TECHNIQUES else found.technique)
    many = _many(best, what)
    lead = f"With {many}, {_are(way)}"
    if what == "thread":  # they are the technique
        lead = f"{many.partition(' ')[0].capitalize()} of {way} {'is' if best.threads == 1 else 'are'}"
    if best.speedup is None:
        return Verdict(f"{lead} fastest:", _headline_seconds(best.median_seconds or 0.0), ",", _compared(best))
    pixels = SAME if all(t.identical for t in own) else "not all made the same pixels."
    if record.sample:
        pixels = pixels.rstrip(".") + f"; measured on a sample of {formats.counted(len(record.sample), 'image')}."
    figure = f"{best.speedup:.2f}{formats.NBSP}times"
    if best.verdict and not any(t.verdict == findings.FASTER for t in own):
        measurably = "measurably " if best.verdict == findings.LEVEL else ""
        near = f"at the most {figure} as fast, with {many}; {_interval(best)}{pixels}"
        return Verdict(f"No number of {what}s makes {way} {measurably}faster than", "sequential", " here;", near)
    on_curve = best.cv2_threads == 1 or what == "thread"
    others = findings.beside(found, record.techniques) if on_curve else ""
    after = f"{others}; " if others else ""
    return Verdict(lead, figure, " as fast as sequential,", f"{after}{_interval(best)}{pixels}")


def _many(t: TechniqueMeasurement, what: str) -> str:
    """two workers of two OpenCV threads each"""
    if what == "thread" or t.cv2_threads == 1:
        return formats.counted(t.threads, what, words=True)
    each = " each" if t.workers > 1 else ""
    inner = formats.counted(t.cv2_threads, "OpenCV thread", words=True)
    return f"{formats.counted(t.workers, what, words=True)} of {inner}{each}"


def _interval(t: TechniqueMeasurement) -> str:
    shown = formats.times_interval(t.speedup_ci95)
    return f"95{formats.NBSP}% interval {shown}; " if shown else ""


def lost(t: TechniqueMeasurement, part: str | None) -> str:
    """What a technique lost of the ideal, and to what most."""
    beyond = sum(t.breakdown.values()) - t.breakdown["ideal"]
    if part is None or beyond <= 0:
        return f"{t.label} lost nothing of the ideal."
    most = f"most of it to {part}" if t.breakdown[part] < 0.9 * beyond else f"to {part}"
    return f"{t.label} lost {formats.start_up(beyond)} of the ideal, {most}: {PARTS[part]}."


def tied(one: TechniqueMeasurement, other: TechniqueMeasurement) -> bool:
    """Whether their rounds, pair by pair, show no measurable difference."""
    return versus(one, other) == findings.LEVEL


def _headline_seconds(value: float) -> str:
    shown = f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"
    return f"{shown}{formats.NBSP}seconds" if value >= 0.05 else f"{value * 1000:.2g}{formats.NBSP}milliseconds"


def _compared(main: TechniqueMeasurement) -> str:
    if main.identical is False:
        return DIFFERENT
    same = SAME if main.identical else "the pixels were not compared."
    if main.speedup is None:
        return "without a speedup: " + (main.reason or "the baseline was not measured") + "."
    if main.verdict == "faster":
        return f"{main.speedup:.1f}{formats.NBSP}times as fast as sequential; {same}"
    if main.verdict == "slower":
        return f"slower than sequential, {main.speedup:.2f}{formats.NBSP}times as fast; {same}"
    if main.verdict == "no measurable difference":
        return f"no measurable difference from sequential; {same}"
    return f"{main.speedup:.1f}{formats.NBSP}times as fast as sequential, without an interval; {same}"


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
        f"{formats.counted(made, 'image', words=True).capitalize()} {'is' if made == 1 else 'are'} done and can be "
        "downloaded."
        if made
        else "No result was made."
    )
    again = "“Run again” starts it anew with the same images and settings."
    if record.state == "failed":
        return Ending("This run failed", record.error or "Something unexpected happened.", f"{kept} {again}")
    if record.state == "cancelled":
        return Ending("This run was cancelled", kept, again)
    if record.state == "interrupted":
        what = record.error or "The program that measures was ended in the middle of it."
        return Ending("This run was interrupted", what, f"{kept} {again}")
    return None


def doing(record: Record) -> str:
    """The title of a run that is queued or running."""
    count = len(record.good_images) or record.settings.samples
    images = formats.counted(count, "sample image" if record.settings.samples else "image")
    if record.mode == "sequential":
        return f"Processing {images} sequentially"
    if record.mode == "compare":
        count = len(record.settings.techniques) or sum(t.availability().ok for t in TECHNIQUES.values())
        return f"Comparing {formats.counted(count, 'technique')} on {images}"
    if record.mode == "scale":
        name = scaled(record)
        counts = findings.many(scaled_counts(record), findings.unit(name))
        inner = record.settings.cv2_threads if findings.unit(name) != "thread" else [1]
        each = f", each with {findings.many(inner, 'OpenCV thread')}" if inner != [1] else ""
        return f"Measuring {spoken(technique(name).label)} with {counts}{each}, on {images}"
    return f"Measuring {spoken(technique(record.settings.technique).label)} against sequential on {images}"


def step(progress: Progress) -> tuple[str, str]:
    """Where a run stands: what is being done, and how far that is."""
    label = progress.label or (TECHNIQUES[progress.technique].label if progress.technique in TECHNIQUES else "")
    named = f", {label}" if label else ""
    if progress.round and progress.rounds:
        what = f"Round {progress.round} of {progress.rounds}{named}"
    else:
        what = f"{PHASES.get(progress.phase, progress.phase.capitalize())}{named}"
    done = ""
    if progress.images_total:
        done = f"image {min(progress.images_done + 1, progress.images_total)} of {progress.images_total}"
        if progress.images_done >= progress.images_total:
            done = f"{progress.images_total} of {formats.counted(progress.images_total, 'image')}"
    return what, done


PHASES = {
    "": "Preparing",
    "drawing": "Drawing sample images",
    "waiting": "Waiting",
    "starting": "Starting the workers",
    "results": "Making the results",
    "warm-up": "Warming up",
    "checking": "Comparing pixels",
    "measuring": "Measuring",
}


def parameter_note(name: str) -> str:
    """The allowed values of a parameter as its field shows them."""
    return PARAMETERS[name].range
