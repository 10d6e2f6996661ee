"""A record in plain text: the summary that scripts read, and the tables of a comparison and of a scale run."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from imgproc.backends import BASELINE, TECHNIQUES
from imgproc.measure.curves import Cell, Point
from imgproc.measure.results import LEVEL, TechniqueMeasurement
from imgproc.numbers import NBSP, counted, percent, plain_seconds, seconds
from imgproc.report.advice import advice
from imgproc.report.bounds import bounds
from imgproc.report.commands import ANY_PATHS
from imgproc.report.costs import tails
from imgproc.report.image_warnings import image_warnings
from imgproc.report.scale import Section, scaled, scaled_counts, section, span, unit
from imgproc.report.schedules import affinity, schedules
from imgproc.report.sentences import UNDECIDED, guess, split, starts
from imgproc.report.tasks import advice as advice_for_items
from imgproc.runs.record import Record


def summary(record: Record, most_failed: int | None = None) -> str:
    """The four lines that scripts read, then one line per thing the reader must know, and in the end what to use.

    Args:
        most_failed: so many failed images are named, and the others counted; None: all are named.
    """
    told = advice(record)
    use = told.use if told else next(advice_for_items(record), "")
    return _summary(record, most_failed) + (f"Advice: {use}\n".replace(NBSP, " ") if use else "")


def _summary(record: Record, most_failed: int | None = None) -> str:
    technique = record.technique
    lines = [f"Processing Mode: {_mode(record)}", f"Number of {record.unit.capitalize()}s: {record.total}"]
    if technique is None or technique.median_seconds is None:
        lines.append(f"Time Taken: not measured ({record.state})")
    else:
        lines.append(f"Time Taken: {plain_seconds(record.seconds or technique.median_seconds)} seconds")
        lines.append(f"Speedup: {_speedup(record, technique)}")
    if record.error:
        lines.append(f"Error: {record.error}")
    if technique and record.found.outcome == "undecided":
        lines.append(f"Note: the time is that of {technique.label}.")
    if record.mode == "scale" and technique and technique.name != BASELINE and technique.median_seconds is not None:
        lines.append(f"Note: the time and the speedup are those of the fastest: {technique.label}.")
    if record.sample:
        sample = f"{len(record.sample)} of the {record.total} {record.unit}s"
        every = technique is not None and record.seconds == technique.first_round_seconds
        both = "speedup was" if every else "time and the speedup were"
        lines.append(f"Note: the {both} measured on a sample of {sample}.")
    if record.settings.durable:
        lines.append("Note: every result was on the disk (fsync of file and folder) before it counted as written.")
    notes = [guess(record), *split(record), *schedules(record), *affinity(record)]
    lines += [f"Note: {sentence}" for sentence in notes if sentence]
    failed = [image for image in record.images if image.error]
    lines += [f"Failed: {image.name}: {image.error}" for image in failed[:most_failed]]
    if more := len(failed[most_failed:]) if most_failed is not None else 0:
        lines.append(f"Failed: {counted(more, 'more image')}")
    lines += [f"Warning: {warning}" for warning in (*record.warnings, *image_warnings(record).lines)]
    return "\n".join(lines) + "\n"


def _mode(record: Record) -> str:
    technique = record.technique
    if record.mode == "sequential":
        return "Sequential"
    if record.mode == "scale":
        name = scaled(record)
        return f"Scale ({name}, {span(scaled_counts(record), unit(name))})"
    if record.found.outcome == "undecided":
        timed = sum(t.median_seconds is not None for t in record.techniques)
        return f"{record.mode.capitalize()} ({counted(timed, 'technique')})"
    if technique is None:
        return record.mode.capitalize()
    what = "worker" if technique.threads == technique.workers else "thread"
    return f"{record.mode.capitalize()} ({technique.name}, {counted(technique.threads, what)})"


def _speedup(record: Record, technique: TechniqueMeasurement) -> str:
    baseline = TECHNIQUES[BASELINE].label
    if record.found.outcome == "undecided":
        return f"not shown ({UNDECIDED[0].lower()}{UNDECIDED[1:]})"
    if technique.name == BASELINE:
        return f"1.0x over {baseline} (this is the baseline)"
    if technique.speedup is None:
        return f"not shown ({technique.reason or 'the baseline was not measured'})"
    interval = technique.speedup_ci95
    shown = f"{technique.speedup:.1f}x over {baseline}"
    if interval:
        said = f": {technique.verdict}" if technique.verdict in LEVEL else ""
        return f"{shown} (95% CI {interval[0]:.1f} to {interval[1]:.1f}){said}"
    return f"{shown} ({counted(len(technique.rounds), 'round')}, too few for an interval)"


def comparison(record: Record, paths: Sequence[str] = ANY_PATHS) -> str:
    """The summary, then a line per technique, the fastest first, then what could not run and why, and in the end what
    to use for images like these; ``paths`` stand for them in its command."""
    of_label = {t.label: t for t in record.techniques}
    timed = [t for label in record.found.order if (t := of_label.get(label)) and t.median_seconds is not None]
    names = {t.label: _called(t, record.techniques) for t in record.techniques}
    wide = max(20, *(len(names[t.label]) + 1 for t in timed)) if timed else 20
    lines = [f"{'technique':<{wide}}{'start-up':>10}{_HEAD}verdict"]
    for t in timed:
        said = "baseline" if t.name == BASELINE else t.reason or t.verdict or "too few rounds"
        said += ", an antipattern" if t.antipattern else ""
        startup = f"{(t.startup_seconds or 0.0) * 1000:.0f} ms"
        lines.append(f"{names[t.label]:<{wide}}{startup:>10}{_measured(t.median_seconds or 0.0, t)}{said}")
    rounds = max((len(t.rounds) for t in timed), default=0)
    same = "All made the same pixels." if all(t.identical for t in timed) else "Not all made the same pixels."
    lines.append(f"{rounds} rounds, seed {record.settings.seed}. {same}")
    lines += filter(None, [starts(record), tails(record), *bounds(record)])
    lines += [
        f"{t.label}: its start-up pays off from {t.break_even_images} images like these on."
        for t in timed
        if t.break_even_images and t.break_even_images > 1
    ]
    lines += [
        f"{t.label}: the operations alone, with the pixels on the GPU, are {t.operations_speedup:.3g}x as fast as the "
        "baseline’s; the rest stays on the CPU."
        for t in timed
        if t.operations_speedup and t.name != BASELINE
    ]
    if predicted := [t for t in timed if t.predicted_seconds is not None]:
        shown = (
            f"{names[t.label]} {seconds(t.predicted_seconds)} (measured {seconds(t.median_seconds)})" for t in predicted
        )
        lines.append(f"Predicted before: {', '.join(shown)}.")
    lines += [f"Not run: {names[t.label]}: {t.reason}" for t in record.techniques if t.median_seconds is None]
    return "\n".join([_summary(record), *lines, *_advice(record, paths)]) + "\n"


def _advice(record: Record, paths: Sequence[str]) -> Iterator[str]:
    """What to use, why, from how many images on, and how; none where nothing was measured."""
    told = advice(record, paths)
    if told is None:
        return
    yield ""
    lines = (("Advice", told.use), ("Why", told.reason), ("Pays", told.pays), *(("Note", note) for note in told.notes))
    for head, text in (*lines, ("Command", told.command)):
        if text:
            yield f"{head}: {text}".replace(NBSP, " ")


def _called(t: TechniqueMeasurement, all_: Sequence[TechniqueMeasurement]) -> str:
    """Its name, as in the commands; its label where several share the name."""
    if sum(other.name == t.name for other in all_) > 1:
        return t.label
    return t.name if t.threads == 1 or t.median_seconds is None else f"{t.name} x{t.threads}"


# ---------------------------------------------------------------- scaling


def scale_table(record: Record) -> str:
    """The summary, then strong and weak scaling, what the laws say of them, and the grid of threads; in the end what to
    use for images like these."""
    part = section(record)
    if part is None:
        return summary(record)
    what, images = part.what, part.images
    parts = [
        [
            f"Strong scaling, {counted(images, 'image')} for every number of {what}s",
            *_points(part.strong, what, serial=True),
            part.headline,
        ]
    ]
    if part.weak:
        parts.append(
            [
                f"Weak scaling, {counted(images, 'image')} for each {what}; the speedup is the scaled one",
                *_points(part.weak, what, serial=False),
                part.weak_headline,
            ]
        )
    parts.append([_wrapped(f"{law.name}: {law.sentence} {law.basis}".rstrip()) for law in part.laws])
    if part.rows:
        parts.append([*_grid(part), _wrapped(part.grid_headline)])
    parts.append(part.left_out)
    parts.append([*_advice(record, ANY_PATHS)][1:])
    text = "\n\n".join("\n".join(filter(None, lines)) for lines in parts if lines)
    return f"{_summary(record)}\n{text}\n".replace(NBSP, " ")


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 100, subsequent_indent="  ", break_on_hyphens=False)


_HEAD = f"{'median':>10}  {'95% interval':<17}{'speedup':>8}  {'95% interval':<15}"


def _measured(seconds: float, of: Point | TechniqueMeasurement) -> str:
    """The columns of ``_HEAD``."""
    spread = f"{of.ci95[0]:.3f} to {of.ci95[1]:.3f}" if of.ci95 else "-"
    speedup = f"{of.speedup:.2f}x" if of.speedup else "-"
    sure = f"{of.speedup_ci95[0]:.2f} to {of.speedup_ci95[1]:.2f}" if of.speedup_ci95 else "-"
    return f"{seconds:>8.3f} s  {spread:<17}{speedup:>8}  {sure:<15}"


def _points(points: Sequence[Point], what: str, *, serial: bool) -> Iterator[str]:
    """A head and a line per point, with its Karp-Flatt share if ``serial``."""
    yield f"{what + 's':<10}{_HEAD}{'efficiency':>10}{'Karp-Flatt' if serial else '':>{12 * serial}}"
    for p in points:
        shares = [(p.efficiency, 10), *([(p.karp_flatt, 12)] if serial else [])]
        shown = "".join(f"{'-' if value is None else percent(value):>{wide}}" for value, wide in shares)
        over = "  oversubscribed" if p.oversubscribed else ""
        yield f"{p.workers:<10}{_measured(p.seconds, p)}{shown}{over}"


def _grid(part: Section) -> list[str]:
    return [
        "Workers with OpenCV’s own threads in each, as speedups (*: fastest, +: more threads than cores)",
        f"{'workers':<10}" + "".join(f"{counted(count, 'thread'):>12}" for count in part.inner),
        *(
            f"{workers:<10}" + "".join(f"{_cell(cell, part.best_cell):>12}" for cell in cells)
            for workers, cells in part.rows
        ),
    ]


def _cell(cell: Cell | None, best: Cell | None) -> str:
    if cell is None:
        return "-"
    speedup = f"{cell.speedup:.2f}x" if cell.speedup else f"{cell.seconds:.3f} s"
    return f"{speedup}{'*' if cell is best else ' '}{'+' if cell.oversubscribed else ' '}"
