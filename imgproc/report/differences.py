"""Runs side by side: what each technique took in each of them, and what differs between them besides."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from imgproc.backends import BASELINE
from imgproc.measure.between import between
from imgproc.measure.results import LEVEL, TechniqueMeasurement, Verdict
from imgproc.numbers import NBSP, counted, interval, listed, number, seconds, spelled, spelled_times, times
from imgproc.operations import OPERATIONS
from imgproc.report.blocks import Block, Column, Drawn, as_text, ends
from imgproc.report.blocks import Row as DrawnRow
from imgproc.report.conditions import facts
from imgproc.report.pictures import Micro, micro
from imgproc.report.scale import FASTER, SLOWER
from imgproc.report.sentences import spoken
from imgproc.runs.options import Option, options, show
from imgproc.runs.record import ImageRecord, Record

#: Rows of the machine that are of the moment: they differ from run to run on one machine.
_OF_THE_MOMENT = {"Used by others", "Load before"}
#: Settings beside those of pixels that change what a pass does.
_OF_THE_WORK = {"format", "split", "transfer", "start_method", "chunk_size", "schedule", "affinity", "durable"}
#: Settings that change only how it is measured.
_OF_MEASURING = {"rounds", "starts", "budget", "smallest_difference", "seed", "guess"}


@dataclass(frozen=True)
class Side:
    """One of the runs, by the ``name`` that is short enough for a column; ``wrong`` are figures of a record from
    elsewhere that do not follow from its raw samples."""

    name: str
    record: Record
    elsewhere: bool = False
    wrong: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Row:
    """A fact with its text in each run; empty where a run does not say."""

    label: str
    texts: list[str]
    differs: bool


@dataclass(frozen=True)
class Cell:
    """A technique in one run; None where it was not timed there. ``verdict``: its time against that of the first run,
    and ``ratio``: how many times as fast; neither in the first run, nor where the work was not the same."""

    t: TechniqueMeasurement | None
    verdict: Verdict | None
    ratio: float | None
    mark: Micro | None


@dataclass(frozen=True)
class Line:
    label: str
    cells: list[Cell]


@dataclass(frozen=True)
class Comparison:
    """``same_work``: whether the times of all can be compared with the first's; ``warnings`` say why not, and what else
    is to be known."""

    sides: list[Side]
    same_work: bool
    warnings: list[str]
    headlines: list[str]
    lines: list[Line]
    machine: list[Row]
    settings: list[Row]
    versions: list[Row]

    @property
    def slower(self) -> bool:
        """Whether any technique is measurably slower in a run than in the first."""
        return any(cell.verdict == SLOWER for line in self.lines for cell in line.cells)


def compared(sides: Sequence[Side]) -> Comparison:
    """Two runs or more side by side, each against the first; one by itself is compared with nothing."""
    first, records = sides[0], [side.record for side in sides]
    settings = _settings(records)
    of_work = [_different_work(first, side) for side in sides]
    lines = _lines(sides, [not said for said in of_work])
    machine, versions = (_facts(records, title) for title in ("Machine", "Versions"))
    wrong = [_wrong(side) for side in sides if side.wrong]
    return Comparison(
        list(sides),
        not any(of_work),
        [*wrong, *(text for said in of_work for text in said), *_else_to_know(first, sides[1:], settings)],
        [_headline(sides, k, lines, not of_work[k]) for k in range(1, len(sides))],
        lines,
        machine,
        settings,
        versions,
    )


def short_names(names: Sequence[str]) -> list[str]:
    """Names of files, as short as they still differ; numbered where they are the same."""
    parts = [re.split(r"[\\/]", name) for name in names]
    for depth in range(1, max(map(len, parts)) + 1):
        short = ["/".join(one[-depth:]) for one in parts]
        if len(set(short)) == len(short):
            return short
    return [f"{name} ({k})" for k, name in enumerate(names, 1)]


# ---------------------------------------------------------------- the techniques


def _lines(sides: Sequence[Side], same_work: Sequence[bool]) -> list[Line]:
    """One for each technique of any run, the baseline last, those first that the first run found the fastest."""
    of_label = [{t.label: t for t in side.record.techniques if t.median_seconds is not None} for side in sides]
    order = [label for side in sides for label in (*side.record.found.order, *_labels(side.record))]
    labels = [label for label in dict.fromkeys(order) if any(label in known for known in of_label)]
    labels.sort(key=lambda label: all(known[label].name == BASELINE for known in of_label if label in known))
    ends = [e for known in of_label for t in known.values() for e in (t.speedup or 0.0, *(t.speedup_ci95 or ()))]
    top = max(ends, default=1.0)
    return [Line(label, list(_cells(label, sides, of_label, same_work, top))) for label in labels]


def _labels(record: Record) -> list[str]:
    return [t.label for t in record.techniques]


def _cells(
    label: str,
    sides: Sequence[Side],
    of_label: list[dict[str, TechniqueMeasurement]],
    same_work: Sequence[bool],
    top: float,
) -> Iterator[Cell]:
    first = of_label[0].get(label)
    for k, (side, known) in enumerate(zip(sides, of_label, strict=True)):
        t = known.get(label)
        said, ratio = None, None
        if k and t and first and same_work[k]:
            said, ratio = between(t.ci95, first.ci95), (first.median_seconds or 0.0) / (t.median_seconds or 1.0)
        cores = side.record.environment.get("cores_usable") or 1
        shown = t is not None and t.name != BASELINE
        mark = micro(t.speedup, t.speedup_ci95, min(t.threads, cores), t.verdict, top=top) if t and shown else None
        yield Cell(t, said, ratio, mark)


def _headline(sides: Sequence[Side], k: int, lines: Sequence[Line], same_work: bool) -> str:
    """What came of one run against the first."""
    one, first = sides[k].name, sides[0].name
    both = [(line, line.cells[k]) for line in lines if line.cells[k].t and line.cells[0].t]
    if not both:
        return f"{one} and {first} have no technique in common."
    if not same_work:
        return f"{one} and {first} did not do the same work, so their times do not compare."
    if len(both) == 1:
        return f"{one}: {_one(*both[0], first)}."
    counts = Counter(cell.verdict for _, cell in both)
    words = {FASTER: f"faster than {first}", SLOWER: f"slower than {first}", None: "too few rounds to tell"}
    parts = [f"{words.get(v, LEVEL[0])} with {_some(count, len(both))}" for v, count in counts.items()]
    ratios = sorted(cell.ratio or 0.0 for _, cell in both)
    low, high = f"{ratios[0]:.2f}", spelled_times(ratios[-1])
    return f"{one}: {', '.join(parts)}; {high if high.startswith(low) else f'{low} to {high}'} as fast."


def _some(count: int, of: int) -> str:
    every = f"{'both' if of == 2 else f'all {spelled(of)}'} techniques"
    return every if count == of else counted(count, "technique", words=True)


def _one(line: Line, cell: Cell, first: str) -> str:
    label, ratio = spoken(line.label), spelled_times(cell.ratio or 0.0)
    if cell.verdict in (FASTER, SLOWER):
        return f"{cell.verdict} than {first} with {label}, {ratio} as fast"
    why = LEVEL[0] if cell.verdict else "too few rounds to tell"
    return f"{why} with {label} ({ratio} as fast as {first})"


# ---------------------------------------------------------------- what else differs


def _facts(records: Sequence[Record], title: str) -> list[Row]:
    known = [dict(_facts_of(record).get(title, [])) for record in records]
    return [
        _row(label, [one.get(label, "") for one in known], label not in _OF_THE_MOMENT)
        for label in dict.fromkeys(label for one in known for label in one)
    ]


def _facts_of(record: Record) -> Mapping[str, list[tuple[str, str]]]:
    """None of a record from elsewhere whose facts make no sense."""
    try:
        return facts(record)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return {}


def _row(label: str, texts: list[str], matters: bool = True) -> Row:
    return Row(label, texts, matters and len(set(filter(None, texts))) > 1)


def _settings(records: Sequence[Record]) -> list[Row]:
    """The mode, and every setting that means something to one of them."""
    rows = [_row("Mode", [record.mode for record in records])]
    if any(record.task for record in records):
        rows.append(_row("Function", [record.task.name if record.task else "images" for record in records]))
    for option in options().values():
        if option.group != "samples" and option.name != "seed":
            texts = [_setting(option, record) for record in records]
            rows += [_row(option.label, texts)] if any(texts) else []
    return rows


def _setting(option: Option, record: Record) -> str:
    asked = record.settings
    if option.parameter:
        used = {p.name for name in asked.operations if name in OPERATIONS for p in OPERATIONS[name].parameters}
        value = asked.parameters.get(option.name, option.parameter.default)
        return show(value) if option.name in used and not record.task else ""
    if record.mode not in option.modes or (record.task and option.name not in ("workers", "rounds", "budget")):
        return ""
    value = getattr(asked, option.stored)
    return show(value) if value not in (None, []) else ""


def _different_work(first: Side, side: Side) -> list[str]:
    """Why times of two runs do not compare; nothing where they do."""
    rows = _settings([first.record, side.record])
    work = {o.label for o in options().values() if o.pixels or o.name in _OF_THE_WORK} | {"Function"}
    differing = [row.label for row in rows if row.differs and row.label in work]
    verb = "differs" if len(differing) == 1 else "differ"
    said = [f"{side.name} does other work than {first.name}: {listed(differing)} {verb}."] if differing else []
    images = _different_images(first, side)
    return [*said, images] if images else said


def _different_images(first: Side, side: Side) -> str:
    one, other = first.record, side.record
    if one.task or other.task:
        same = bool(one.task and other.task) and one.total == other.total
        return "" if same else f"{side.name} and {first.name} are not over the same number of items."
    hashed = all(image.sha256 for image in (*one.measured_images, *other.measured_images))
    ours, theirs = _measured(one, hashed), _measured(other, hashed)
    if ours == theirs:
        return ""
    parts = [
        f"{number(sum(n.values()))} only in {name}"
        for name, n in ((side.name, theirs - ours), (first.name, ours - theirs))
        if n
    ]
    return f"The measured images differ, by {'SHA-256' if hashed else 'name, size and bytes'}: {listed(parts)}."


def _measured(record: Record, hashed: bool) -> Counter[object]:
    """The images that the rounds went over, as far as records know them: those of earlier versions have no hash."""
    return Counter(image.sha256 if hashed else _known_by(image) for image in record.measured_images)


def _known_by(image: ImageRecord) -> tuple[object, ...]:
    """What an image is told by: folders are left out, as they differ."""
    return re.split(r"[\\/]", image.name)[-1], image.width, image.height, image.bytes


def _else_to_know(first: Side, others: Sequence[Side], settings: Sequence[Row]) -> Iterator[str]:
    """What does not keep times from being compared, but has to be known."""
    work = {o.label for o in options().values() if o.pixels or o.name in _OF_THE_WORK} | {"Function"}
    measuring = {o.label for o in options().values() if o.name in _OF_MEASURING}
    if differing := [row.label for row in settings if row.differs and row.label not in work | measuring | {"Mode"}]:
        yield f"Settings differ: {listed(differing)}."
    for side in others:
        if count := _other_pixels(first.record, side.record):
            yield f"{counted(count, 'result')} of {side.name} and {first.name} have other pixels, of the same files."
    for side in (first, *others):
        if side.record.state != "done":
            yield f"{side.name} is {side.record.state}."
        if side.record.alarms:
            count = len(side.record.alarms)
            alarms = counted(count, "alarm", words=True)
            yield f"{side.name} raised {alarms}, which {'makes' if count == 1 else 'make'} its numbers doubtful."


def _other_pixels(one: Record, other: Record) -> int:
    """How many results of the same files, done in the same way, are not the same pixels; other versions of a decoder
    may be why."""
    of_pixels = {o.label for o in options().values() if o.pixels}
    if any(row.differs and row.label in of_pixels for row in _settings([one, other])):
        return 0
    known = {(_known_by(i), o.operation): o.pixels_sha256 for i in one.good_images for o in i.outputs}
    here = [(known.get((_known_by(i), o.operation)), o.pixels_sha256) for i in other.good_images for o in i.outputs]
    return sum(bool(theirs and ours and theirs != ours) for theirs, ours in here)


def _wrong(side: Side) -> str:
    count = len(side.wrong)
    do = "figure does" if count == 1 else "figures do"
    return f"{side.name}: {number(count)} {do} not follow from its raw samples, such as: {side.wrong[0]}"


# ---------------------------------------------------------------- as plain text


def text(found: Comparison) -> str:
    """All of it in plain text: the headlines, warnings, a block for each run's column, and what differs."""
    return as_text(blocks(found))


def blocks(found: Comparison) -> list[Block]:
    """The same, as blocks."""
    names = [side.name for side in found.sides]
    wide = max(len("technique"), *(len(line.label) for line in found.lines), 0) + 2
    head = f"{'technique':<{wide}}{'run':<{_column(names)}}{'median':>10}  {'95% interval':<19}{'speedup':>8}  verdict"
    of_runs = [(line.label, name, cell) for line in found.lines for name, cell in zip(names, line.cells, strict=True)]
    table = [f"{label:<{wide}}{name:<{_column(names)}}{_told(cell)}" for label, name, cell in of_runs]
    drawn = Drawn([_printable(line) for line in (head, *table)], _COLUMNS, [_row_of(*one) for one in of_runs])
    lines = ["", "What differs"]
    differing = [row for row in (*found.machine, *found.settings, *found.versions) if row.differs]
    lines += [f"{row.label}: {' | '.join(t or '-' for t in row.texts)}" for row in differing]
    if not differing:
        lines[-1] = "Machine, settings and versions are the same."
    before = [*found.headlines, *(f"Warning: {warning}" for warning in found.warnings), ""]
    return [*map(_printable, before), drawn, *map(_printable, lines)]


def _printable(line: str) -> str:
    """A line without signs that would tell a terminal to do something: a record may be from anywhere."""
    return "".join(sign if sign.isprintable() else "?" for sign in line.replace(NBSP, " "))


def _column(names: Sequence[str]) -> int:
    return max(map(len, names)) + 2


def _told(cell: Cell) -> str:
    if cell.t is None:
        return f"{'-':>10}  not measured"
    median, spread, speedup, said = _figures(cell, cell.t)
    return f"{median:>10}  {spread:<19}{speedup:>8}  {said}".rstrip()


def _figures(cell: Cell, t: TechniqueMeasurement) -> tuple[str, str, str, str]:
    spread = interval(t.ci95, t.median_seconds) or "-"
    said = "" if cell.ratio is None else f"{cell.verdict or 'too few rounds'}, {cell.ratio:.2f}x as fast"
    return seconds(t.median_seconds), spread, times(t.speedup), said


_COLUMNS = (
    Column("technique"), Column("run"), Column("median", right=True, rank=1), Column("95% interval", rank=2),
    Column("speedup", right=True), Column("against the first", wraps=True),
)  # fmt: skip


def _row_of(label: str, name: str, cell: Cell) -> DrawnRow:
    if (t := cell.t) is None:
        return DrawnRow((label, name, "-", "", "", "not measured"))
    return DrawnRow((label, name, *_figures(cell, t)), t.speedup, ends(t.speedup_ci95), cell.verdict)
