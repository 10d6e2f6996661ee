"""A record in plain text: the summary that scripts read, and the tables of a comparison and of a scale run."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from imgproc.backends import BASELINE, TECHNIQUES
from imgproc.measure.curves import Cell, Point
from imgproc.measure.granularity import Amount
from imgproc.measure.results import LEVEL, TechniqueMeasurement
from imgproc.numbers import NBSP, counted, percent, plain_seconds, seconds
from imgproc.report import granularity
from imgproc.report.advice import advice
from imgproc.report.blocks import Block, Column, Drawn, Paragraph, Row, as_text, ends
from imgproc.report.bounds import bounds
from imgproc.report.commands import ANY_PATHS
from imgproc.report.costs import meanings, tails
from imgproc.report.energy import energy
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


def process_blocks(record: Record) -> Iterator[Block]:
    """The summary; a terminal is shown the technique beside the baseline as well."""
    yield from _lines(summary(record))
    timed = [t for t in _timed(record) if t.speedup]
    if len(timed) > 1 and any(t.speedup_ci95 for t in timed):
        names = {t.label: _called(t, record.techniques) for t in timed}
        yield Drawn([], _COLUMNS, [_row(record, t, names[t.label]) for t in timed])


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
    if record.granularity:
        found = record.granularity
        first = granularity.amount(found, found.amounts[0].size)
        what = {"images": "largest batch", "task": f"run with {first}"}.get(found.over, "images as they are")
        lines.append(
            f"Note: the time and the speedup are those of the {what}. {granularity.headline(record.granularity)}"
        )
    elif record.mode == "scale" and technique and technique.name != BASELINE and technique.median_seconds is not None:
        lines.append(f"Note: the time and the speedup are those of the fastest: {technique.label}.")
    if record.sample:
        sample = f"{len(record.sample)} of the {record.total} {record.unit}s"
        every = technique is not None and record.seconds == technique.first_round_seconds
        both = "speedup was" if every else "time and the speedup were"
        lines.append(f"Note: the {both} measured on a sample of {sample}.")
    if record.settings.durable:
        lines.append("Note: every result was on the disk (fsync of file and folder) before it counted as written.")
    used = "" if record.mode == "compare" else energy(record, [BASELINE, technique.name if technique else ""])
    notes = [guess(record), used, *split(record), *schedules(record), *affinity(record)]
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
        batches = f", {granularity.span(record.granularity)}" if record.granularity else ""
        return f"Scale ({name}, {span(scaled_counts(record), unit(name))}{batches})"
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
    return as_text(comparison_blocks(record, paths))


def comparison_blocks(record: Record, paths: Sequence[str] = ANY_PATHS) -> Iterator[Block]:
    """The same, as blocks."""
    timed = _timed(record)
    names = {t.label: _called(t, record.techniques) for t in record.techniques}
    wide = max(20, *(len(names[t.label]) + 1 for t in timed)) if timed else 20
    table = [f"{'technique':<{wide}}{'start-up':>10}{_HEAD}verdict"]
    for t in timed:
        measured = _measured(t.median_seconds or 0.0, t)
        table.append(f"{names[t.label]:<{wide}}{_startup(t):>10}{measured}{_said(t)}")
    yield from _lines(_summary(record))
    yield ""
    yield Drawn(table, _COLUMNS, [_row(record, t, names[t.label]) for t in timed])
    rounds = max((len(t.rounds) for t in timed), default=0)
    same = "All made the same pixels." if all(t.identical for t in timed) else "Not all made the same pixels."
    yield f"{rounds} rounds, seed {record.settings.seed}. {same}"
    yield from filter(None, [starts(record), tails(record), energy(record).replace(NBSP, " "), *bounds(record)])
    yield from (
        f"{t.label}: its start-up pays off from {t.break_even_images} images like these on."
        for t in timed
        if t.break_even_images and t.break_even_images > 1
    )
    yield from (
        f"{t.label}: the operations alone, with the pixels on the GPU, are {t.operations_speedup:.3g}x as fast as the "
        "baseline’s; the rest stays on the CPU."
        for t in timed
        if t.operations_speedup and t.name != BASELINE
    )
    if predicted := [t for t in timed if t.predicted_seconds is not None]:
        shown = (
            f"{names[t.label]} {seconds(t.predicted_seconds)} (measured {seconds(t.median_seconds)})" for t in predicted
        )
        yield f"Predicted before: {', '.join(shown)}."
    yield from (f"Not run: {names[t.label]}: {t.reason}" for t in record.techniques if t.median_seconds is None)
    yield from _advice(record, paths)


def _lines(text: str) -> list[str]:
    return text.removesuffix("\n").split("\n")


def _timed(record: Record) -> list[TechniqueMeasurement]:
    """Those that were timed, in the order of what was found."""
    of_label = {t.label: t for t in record.techniques}
    return [t for label in record.found.order if (t := of_label.get(label)) and t.median_seconds is not None]


_COLUMNS = (
    Column("technique"), Column("start-up", right=True, rank=4), Column("median", right=True, rank=1),
    Column("95% interval", rank=5), Column("speedup", right=True), Column("95% interval", rank=2),
    Column("verdict", wraps=True),
)  # fmt: skip


def _row(record: Record, t: TechniqueMeasurement, name: str) -> Row:
    best = t.label == record.found.technique and record.found.outcome == "faster"
    cells = (name, _startup(t), *_figures(t.median_seconds or 0.0, t), _said(t))
    return Row(cells, t.speedup, ends(t.speedup_ci95), t.verdict, best)


def _startup(t: TechniqueMeasurement) -> str:
    return f"{(t.startup_seconds or 0.0) * 1000:.0f} ms"


def _said(t: TechniqueMeasurement) -> str:
    said = "baseline" if t.name == BASELINE else t.reason or t.verdict or "too few rounds"
    return f"{said}, an antipattern" if t.antipattern else said


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
    return as_text(scale_blocks(record))


def scale_blocks(record: Record) -> Iterator[Block]:
    """The same, as blocks."""
    parts = _parts(record)
    if parts is None:
        yield from _lines(summary(record))
        return
    yield from _lines(_summary(record).replace(NBSP, " "))
    for blocks in parts:
        if said := [block for block in blocks if block]:
            yield ""
            yield from (block.replace(NBSP, " ") if isinstance(block, str) else block for block in said)


def _parts(record: Record) -> list[list[Block]] | None:
    """What stands below the summary; None where nothing was measured."""
    if record.granularity:
        work = granularity.section(record, meanings(record))
        return _granularity_parts(record, work) if work else None
    part = section(record)
    return _scale_parts(record, part) if part else None


def _scale_parts(record: Record, part: Section) -> list[list[Block]]:
    what, images = part.what, part.images
    parts: list[list[Block]] = [
        [
            f"Strong scaling, {counted(images, 'image')} for every number of {what}s",
            _points(part.strong, what, part.best, serial=True),
            part.headline,
        ]
    ]
    if part.weak:
        parts.append(
            [
                f"Weak scaling, {counted(images, 'image')} for each {what}; the speedup is the scaled one",
                _points(part.weak, what, None, serial=False),
                part.weak_headline,
            ]
        )
    parts.append([Paragraph(f"{law.name}: {law.sentence} {law.basis}".rstrip()) for law in part.laws])
    if part.rows:
        title = "Workers with OpenCV’s own threads in each, as speedups (*: fastest, +: more threads than cores)"
        parts.append([title, _grid(part), Paragraph(part.grid_headline)])
    parts.append([*part.left_out])
    parts.append([*itertools.islice(_advice(record, ANY_PATHS), 1, None)])
    return parts


def _granularity_parts(record: Record, part: granularity.Section) -> list[list[Block]]:
    """A line for each amount of work, from which on parallel work pays and why; in the end what to use."""
    plain = [
        f"{'work':<15}{_HEAD}{'efficiency':>10}  with start-up",
        *(_amount(name, one) for name, _, one in part.rows),
    ]
    rows = [
        Row((name, *_figures(one.seconds, one), *_shares(one)), one.speedup, ends(one.speedup_ci95), one.verdict)
        for name, _, one in part.rows
    ]
    columns = (
        Column("work"), *_COLUMNS[2:6], Column("efficiency", right=True, rank=3), Column("with start-up", rank=3),
    )  # fmt: skip
    told = [
        part.headline,
        *filter(None, (part.startup, part.efficiency, part.length, part.why)),
        *part.notes,
        *part.left_out,
    ]
    needs = [
        f"{one.workers}: {one.reached}{f' ({one.reached_efficiency})' if one.reached_efficiency else ''}"
        f"{f', not with {one.missed} ({one.missed_efficiency})' if one.missed else ''}."
        for one in part.needs
    ]
    of_each: list[Block] = ["Work for an efficiency of 80 %", *map(Paragraph, (*needs, part.growth))]
    return [
        [f"{part.who}, by the amount of work", Drawn([line.replace(NBSP, " ") for line in plain], columns, rows)],
        [*map(Paragraph, told)],
        *([of_each] if needs else []),
        [*itertools.islice(_advice(record, ANY_PATHS), 1, None)],
    ]


def _amount(name: str, amount: Amount) -> str:
    share, started = _shares(amount)
    return f"{name:<15}{_measured(amount.seconds, amount)}{share:>10}  {started}"


def _shares(amount: Amount) -> tuple[str, str]:
    """The efficiency, and the speedup with the start-up."""
    started = f"{amount.with_startup:.2f}x" if amount.with_startup else "-"
    if amount.with_startup_ci95:
        started += f"  {amount.with_startup_ci95[0]:.2f} to {amount.with_startup_ci95[1]:.2f}"
    return "-" if amount.efficiency is None else percent(amount.efficiency), started


_HEAD = f"{'median':>10}  {'95% interval':<17}{'speedup':>8}  {'95% interval':<15}"


def _measured(seconds: float, of: Amount | Point | TechniqueMeasurement) -> str:
    """The columns of ``_HEAD``."""
    median, spread, speedup, sure = _figures(seconds, of)
    return f"{median:>10}  {spread:<17}{speedup:>8}  {sure:<15}"


def _figures(seconds: float, of: Amount | Point | TechniqueMeasurement) -> tuple[str, str, str, str]:
    """A time with its interval, and a speedup with its own."""
    spread = f"{of.ci95[0]:.3f} to {of.ci95[1]:.3f}" if of.ci95 else "-"
    speedup = f"{of.speedup:.2f}x" if of.speedup else "-"
    sure = f"{of.speedup_ci95[0]:.2f} to {of.speedup_ci95[1]:.2f}" if of.speedup_ci95 else "-"
    return f"{seconds:.3f} s", spread, speedup, sure


def _points(points: Sequence[Point], what: str, best: Point | None, *, serial: bool) -> Drawn:
    """A head and a line per point, with its Karp-Flatt share if ``serial``."""
    plain = [f"{what + 's':<10}{_HEAD}{'efficiency':>10}{'Karp-Flatt' if serial else '':>{12 * serial}}"]
    rows = []
    for p in points:
        shares = [percent(value) if value is not None else "-" for value in (p.efficiency, p.karp_flatt)[: 1 + serial]]
        shown = "".join(f"{share:>{wide}}" for share, wide in zip(shares, (10, 12), strict=False))
        over = "oversubscribed" if p.oversubscribed else ""
        line = f"{p.workers:<10}{_measured(p.seconds, p)}{shown}{'  ' if over else ''}{over}"
        plain.append(line.replace(NBSP, " "))
        cells = (str(p.workers), *_figures(p.seconds, p), *shares, over)
        rows.append(Row(cells, p.speedup, ends(p.speedup_ci95), best=p is best))
    shares_of = [
        Column("efficiency", right=True, rank=3),
        *([Column("Karp-Flatt", right=True, rank=4)] if serial else []),
    ]
    columns = (Column(f"{what}s", right=True), *_COLUMNS[2:6], *shares_of, Column("", wraps=True, rank=6))
    return Drawn(plain, columns, rows)


def _grid(part: Section) -> Drawn:
    heads = [counted(count, "thread").replace(NBSP, " ") for count in part.inner]
    rows = [(str(workers), *(_cell(cell, part.best_cell) for cell in cells)) for workers, cells in part.rows]
    lines = [f"{line[0]:<10}" + "".join(f"{cell:>12}" for cell in line[1:]) for line in [("workers", *heads), *rows]]
    columns = (Column("workers", right=True), *(Column(head, right=True) for head in heads))
    return Drawn([line.replace(NBSP, " ") for line in lines], columns, [Row(cells) for cells in rows])


def _cell(cell: Cell | None, best: Cell | None) -> str:
    if cell is None:
        return "-"
    speedup = f"{cell.speedup:.2f}x" if cell.speedup else f"{cell.seconds:.3f} s"
    return f"{speedup}{'*' if cell is best else ' '}{'+' if cell.oversubscribed else ' '}"
