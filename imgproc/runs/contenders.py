"""Who takes part in a run: every way of running a technique that its settings ask for, and who cannot and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from imgproc.backends import BASELINE, TECHNIQUES, Technique, cannot_run, technique
from imgproc.backends.base import Options
from imgproc.backends.sharing.transport import PATHS, TRANSFERS
from imgproc.errors import UserError
from imgproc.measure.environment import usable_cores
from imgproc.measure.protocol import Contender
from imgproc.measure.results import TechniqueMeasurement
from imgproc.numbers import counted
from imgproc.runs.record import Record, RunSettings
from imgproc.settings import Settings


@dataclass
class Entrants:
    """``main`` makes the results, ``others`` do the same work; ``weak`` do as much for each of their workers, which
    are those of another one; ``missing`` cannot run here."""

    main: Contender
    others: list[Contender] = field(default_factory=list)
    weak: list[Contender] = field(default_factory=list)
    missing: list[TechniqueMeasurement] = field(default_factory=list)

    @property
    def same(self) -> list[Contender]:
        """All that do the same work."""
        return [self.main, *self.others]


@dataclass(frozen=True)
class _Way:
    """One way of running a technique; ``workers`` is its number of threads where it has but one worker."""

    technique: Technique
    workers: int
    options: Options = Options()
    transfer: str = PATHS
    label: str = ""
    copies: int = 1


def entrants(record: Record, deadline: float) -> Entrants:
    """Those that the mode and the settings of a record ask for, none of them started.

    Args:
        deadline: seconds that one task may take.

    Raises:
        UserError: the technique that makes the results cannot run here; says why and what mends it.
    """
    found: list[Contender] = []
    missing = []
    twins: dict[tuple[str, int, Options], Contender] = {}
    for way in dict.fromkeys(_ways(record, choose(record))):
        if why := cannot_run(way.technique, way.workers):
            label = way.label or way.technique.label
            missing.append(TechniqueMeasurement(way.technique.name, label, way.workers, available=False, reason=why))
            continue
        alone = way.technique.load().capabilities.alone
        key = way.technique.name, way.workers, way.options
        one = Contender(
            way.technique, way.workers, deadline=deadline, label=way.label, options=way.options,
            transfer=way.transfer, copies=way.copies, twin=twins.get(key) if alone or way.copies > 1 else None,
        )  # fmt: skip
        twins.setdefault(key, one)
        found.append(one)
    _take_turns(found)
    same = [one for one in found if one.copies == 1]
    return Entrants(same[0], same[1:], [one for one in found if one.copies > 1], missing)


def _take_turns(contenders: Iterable[Contender]) -> None:
    """Techniques of which a process can have only one at a time are started anew for every pass of each."""
    alone = [c for c in contenders if c.backend.capabilities.alone]
    for name in {c.technique.name for c in alone}:
        of_name = [c for c in alone if c.technique.name == name]
        for contender in of_name:
            contender.fleeting = len({id(c.backend) for c in of_name}) > 1


def _ways(record: Record, main: Technique) -> Iterator[_Way]:
    """What the run goes through, first the way that makes the results."""
    asked = record.settings
    options = Options(1, asked.start_method, asked.chunk_size, Settings.from_environment())
    if record.mode == "scale":
        yield from _scaled(asked, main, options)
    else:
        names = asked.techniques or list(TECHNIQUES) if record.mode == "compare" else []
        for one in dict.fromkeys([main, *map(technique, names)]):
            yield from _transfers(_Way(one, 1 if one.name == BASELINE else asked.workers, options), asked)
    if asked.budget > 0:
        yield _Way(technique(BASELINE), 1, options)


def _transfers(way: _Way, asked: RunSettings) -> Iterator[_Way]:
    """A technique that can move pixels to its workers once for each way of moving them."""
    available = way.technique.availability().ok
    if not available or not way.technique.load().capabilities.carries:
        yield way
        return
    for name in asked.transfers:
        said = f"{way.technique.label}, {TRANSFERS[name].label}" if asked.transfers != [PATHS] else ""
        yield replace(way, transfer=name, label=said)


def _scaled(asked: RunSettings, main: Technique, options: Options) -> Iterator[_Way]:
    """Strong scaling, the most workers that have a core each first; weak scaling; OpenCV's threads in each worker."""
    cores = usable_cores()
    counts = sorted(set(asked.worker_counts), key=lambda count: (count > cores, -count if count <= cores else count))
    strong = [
        _Way(main, count, options, asked.transfers[0], f"{main.label}, {counted(count, main.unit)}") for count in counts
    ]
    yield from strong
    if asked.budget <= 0:
        return
    for way in strong:
        if way.workers > 1:
            yield replace(way, copies=way.workers, label=f"{way.label}, {way.workers} times the images")
    if main.load().capabilities.inner_threads:
        for inner in sorted({*asked.cv2_threads} - {1}):
            for way in strong:
                label = f"{way.label} with {inner} OpenCV threads each"
                yield replace(way, options=replace(options, cv2_threads=inner), label=label)


def choose(record: Record) -> Technique:
    """The technique that makes the record's results.

    Raises:
        UserError: it cannot run here; says why and what mends it.
    """
    asked = record.settings
    names = asked.techniques if record.mode == "compare" else [asked.technique]
    if record.mode == "sequential":
        names = [BASELINE]
    # A comparison's results come from the technique that is likely to be the fastest.
    chosen = technique("auto" if not names or "auto" in names else names[0])
    workers = max(asked.worker_counts) if record.mode == "scale" and asked.worker_counts else asked.workers
    if why := cannot_run(chosen, workers):
        raise UserError(f"{chosen.label} cannot run here. {why}", code="unavailable", field="technique")
    return chosen
