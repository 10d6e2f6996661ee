"""What the pages say about a run, as sentences."""

from __future__ import annotations

from dataclasses import dataclass

from imgproc.backends import BASELINE, TECHNIQUES, technique
from imgproc.image.operations import OPERATIONS, PARAMETERS
from imgproc.measure.breakdown import PARTS
from imgproc.measure.results import Progress, TechniqueMeasurement
from imgproc.measure.statistics import paired_speedup
from imgproc.measure.statistics import verdict as measured_verdict
from imgproc.runs.record import Record
from imgproc.web import formats

SAME, DIFFERENT = "the same pixels.", "its pixels differ from sequential, so no speedup is shown."


def spoken(label: str) -> str:
    """A technique's label inside a sentence: threads, a process pool, threads through futures, joblib."""
    way, _, through = label.partition(", ")
    if through:
        return f"{through} through {way[0].lower() + way[1:]}"
    plain = label if any(letter.isupper() for letter in label[1:]) else label[:1].lower() + label[1:]
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
    interval = f"95{formats.NBSP}% interval {formats.times_interval(best.speedup_ci95)}; " if best.speedup_ci95 else ""
    lead = spoken(best.label)
    verb = "are" if lead.endswith(("threads", "processes")) or "threads through" in lead else "is"
    figure = f"{best.speedup:.2f}{formats.NBSP}times"
    lead = f"{lead[0].upper()}{lead[1:]} {verb}"
    return Verdict(lead, figure, " as fast as sequential here,", f"{interval}{others}{pixels}")


def lost(t: TechniqueMeasurement, part: str | None) -> str:
    """What a technique lost of the ideal, and to what most."""
    beyond = sum(t.breakdown.values()) - t.breakdown["ideal"]
    if part is None or beyond <= 0:
        return f"{t.label} lost nothing of the ideal."
    most = f"most of it to {part}" if t.breakdown[part] < 0.9 * beyond else f"to {part}"
    return f"{t.label} lost {formats.start_up(beyond)} of the ideal, {most}: {PARTS[part]}."


def tied(one: TechniqueMeasurement, other: TechniqueMeasurement) -> bool:
    """Whether their rounds, pair by pair, show no measurable difference."""
    walls = [[r.wall_seconds for r in t.rounds] for t in (one, other)]
    if not walls[0] or len(walls[0]) != len(walls[1]):
        return False
    return measured_verdict(paired_speedup(*walls)[1]) == "no measurable difference"


def listed(names: list[str]) -> str:
    """a, b and c"""
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


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


def conditions(record: Record) -> list[tuple[str, str]]:
    """The machine and the settings of a run, label and text; what is not known is left out."""
    facts: list[tuple[str, str]] = []
    env = record.environment
    versions = env.get("versions") or {}
    if env:
        cores = f"{env['cores_usable']} usable" if env.get("cores_usable") else ""
        physical = f"{env['cores_physical']} physical cores" if env.get("cores_physical") else ""
        facts += [
            ("Processor", ", ".join(filter(None, (env.get("cpu"), physical, cores)))),
            ("Memory", formats.size(env["memory_bytes"]) if env.get("memory_bytes") else ""),
            ("Load before", f"{env['load_before']:.2f}" if env.get("load_before") is not None else ""),
            ("GPU", env.get("gpu") or "none"),
            ("System", env.get("os") or ""),
            ("Python", env.get("python") or ""),
            ("OpenCV", versions.get("opencv-python-headless") or versions.get("opencv") or ""),
            ("PNG encoder", {"isal": "ISA-L", "opencv": "OpenCV"}.get(env.get("png_encoder", ""), "")),
        ]
    facts += _settings(record)
    return [(label, text) for label, text in facts if text]


def _settings(record: Record) -> list[tuple[str, str]]:
    asked = record.settings
    facts = []
    for name in asked.operations:
        if name not in OPERATIONS:
            continue
        operation = OPERATIONS[name]
        parts = [
            f"{p.label.lower() if p.label[1:].islower() else p.label} {_value(asked.parameters.get(p.name, p.default))}"
            for p in operation.parameters
        ]
        facts.append((operation.label, ", ".join(parts) or "nothing to set"))
    least = "at least " if record.mode == "compare" else ""
    facts += [
        ("Output", f"{asked.format.upper()}, {'colour' if asked.color else 'gray'}"),
        ("Rounds and seed", f"{least}{asked.rounds}, within {asked.budget:g}{formats.NBSP}s, seed {asked.seed}"),
    ]
    return facts


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)


def parameter_note(name: str) -> str:
    """The allowed values of a parameter as its field shows them."""
    return PARAMETERS[name].range
