"""Who takes part in a run: every way of running a technique that its settings ask for, and who cannot and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from imgproc.backends import AUTO, BASELINE, TECHNIQUES, Technique, cannot_run, default_techniques, technique
from imgproc.backends.base import DEFAULTS, Options
from imgproc.backends.sharing.transport import PATHS, TRANSFERS
from imgproc.errors import UserError
from imgproc.measure.environment import usable_cores
from imgproc.measure.protocol import Contender
from imgproc.measure.results import TechniqueMeasurement
from imgproc.numbers import counted
from imgproc.operations import not_by_numba, not_on_gpu
from imgproc.runs.amounts import amounts_of, called, counts_over_work, grains, is_over_work
from imgproc.runs.record import Record, RunSettings
from imgproc.settings import Settings


@dataclass
class Contenders:
    """``main`` makes the results, ``others`` do the same work; ``weak`` do as much for each of their workers, which
    are those of another one, and ``points`` a part of the work, or all of it handed over otherwise, by the workers of
    these; ``missing`` cannot run
    here."""

    main: Contender
    others: list[Contender] = field(default_factory=list)
    weak: list[Contender] = field(default_factory=list)
    missing: list[TechniqueMeasurement] = field(default_factory=list)
    points: list[Contender] = field(default_factory=list)

    @property
    def same_work(self) -> list[Contender]:
        return [self.main, *self.others]

    @property
    def all(self) -> list[Contender]:
        """All that can run here."""
        return [*self.same_work, *self.weak, *self.points]


@dataclass(frozen=True)
class _Variant:
    """One way of running a technique; ``workers`` is its number of threads where it has but one worker."""

    technique: Technique
    workers: int
    options: Options = Options()
    transfer: str = PATHS
    label: str = ""
    copies: int = 1
    point: float | None = None


def find_contenders(
    record: Record, deadline: float, app: Settings = DEFAULTS.settings, auto: Technique = TECHNIQUES[AUTO]
) -> Contenders:
    """Those that the mode and the settings of a record ask for, none of them started.

    Args:
        deadline: seconds that one task may take.
        app: says where workers on other machines are.
        auto: the technique that ``auto`` stands for in this run.

    Raises:
        UserError: the technique that makes the results cannot run here; says why and what mends it.
    """
    found: list[Contender] = []
    missing = []
    first: dict[tuple[str, int, Options], Contender] = {}
    for one in dict.fromkeys(_variants(record, _main(record, auto), app)):
        why = _cannot_run(one.technique, one.workers, record)
        if why and one.point is not None:  # said once
            continue
        if why:
            label = one.label or one.technique.label
            missing.append(
                TechniqueMeasurement(
                    one.technique.name,
                    label,
                    one.workers,
                    available=False,
                    reason=why,
                    antipattern=one.technique.antipattern,
                )
            )
            continue
        shares = one.technique.load().capabilities.alone or one.copies > 1 or one.point is not None
        key = one.technique.name, one.workers, replace(one.options, chunk_size=1)
        contender = Contender(
            one.technique, one.workers, deadline=deadline, label=one.label, options=one.options, transfer=one.transfer,
            copies=one.copies, point=one.point, shares_backend_with=first.get(key) if shares else None,
        )  # fmt: skip
        first.setdefault(key, contender)
        found.append(contender)
    _restart_exclusive(found)
    same = [one for one in found if one.does_the_same]
    weak, points = [one for one in found if one.copies > 1], [one for one in found if one.point is not None]
    return Contenders(same[0], same[1:], weak, missing, points)


def _restart_exclusive(contenders: Iterable[Contender]) -> None:
    """Techniques of which a process can have only one at a time are started anew for every pass of each."""
    exclusive = [c for c in contenders if c.backend.capabilities.alone]
    for contender in exclusive:
        backends = {id(c.backend) for c in exclusive if c.technique.name == contender.technique.name}
        contender.restart_each_pass = len(backends) > 1


def _variants(record: Record, main: Technique, app: Settings) -> Iterator[_Variant]:
    """What the run goes through, first the variant that makes the results."""
    settings = record.settings
    options = Options(1, settings.start_method, settings.chunk_size, settings.schedule, settings.affinity, app)
    if is_over_work(record):
        yield from _over_work(record, main, options)
    elif record.mode == "scale":
        yield from _scaled(settings, main, options)
    else:
        names = settings.techniques or [one.name for one in default_techniques()] if record.mode == "compare" else []
        for one in dict.fromkeys([main, *map(technique, names)]):
            yield from _transfers(_Variant(one, 1 if one.name == BASELINE else settings.workers, options), settings)
    if settings.budget > 0 and not is_over_work(record):
        yield _Variant(technique(BASELINE), 1, options)


def _transfers(variant: _Variant, settings: RunSettings) -> Iterator[_Variant]:
    """A technique that can move pixels to its workers once for each way of moving them, if that is to be chosen."""
    of = variant.technique
    able = of.load().capabilities if of.availability().ok else None
    if able is None or not able.carries or able.transfer:
        yield variant
        return
    for name in settings.transfers:
        label = f"{of.label}, {TRANSFERS[name].label}" if settings.transfers != [PATHS] else ""
        yield replace(variant, transfer=name, label=label)


def _scaled(settings: RunSettings, main: Technique, options: Options) -> Iterator[_Variant]:
    """Strong scaling, the most workers that have a core each first; weak scaling; OpenCV's threads in each worker."""
    cores = usable_cores()
    counts = sorted(set(settings.worker_counts), key=lambda n: (n > cores, -n if n <= cores else n))
    strong = [
        _Variant(main, count, options, settings.transfers[0], f"{main.label}, {counted(count, main.unit)}")
        for count in counts
    ]
    yield from strong
    if settings.budget <= 0:
        return
    for one in strong:
        if one.workers > 1:
            yield replace(one, copies=one.workers, label=f"{one.label}, {one.workers} times the images")
    if main.load().capabilities.inner_threads:
        for inner in sorted({*settings.cv2_threads} - {1}):
            for one in strong:
                label = f"{one.label} with {inner} OpenCV threads each"
                yield replace(one, options=replace(options, cv2_threads=inner), label=label)


def _over_work(record: Record, main: Technique, options: Options) -> Iterator[_Variant]:
    """The technique, with the most workers first, and the baseline, with the whole work and then with each other
    amount."""
    settings = record.settings
    if settings.over == "task":
        options = replace(options, chunk_size=grains(record)[0])
    first, *others = (
        _Variant(main, count, options, settings.transfers[0], f"{main.label}, {counted(count, main.unit)}")
        for count in counts_over_work(record)
    )
    every = [first, _Variant(technique(BASELINE), 1, options, label=technique(BASELINE).label), *others]
    yield from every
    for amount in amounts_of(record):
        if settings.over == "task":  # the baseline hands nothing over
            own = replace(options, chunk_size=int(amount))
            yield replace(first, point=amount, options=own, label=f"{first.label}, {called(record, amount)}")
            continue
        for one in every:
            yield replace(one, point=amount, label=f"{one.label}, {called(record, amount)}")


def asks_for_auto(record: Record) -> bool:
    """Whether the technique that makes the record's results is left to the app."""
    names = _asked(record)
    return not names or "auto" in names


def most_workers(record: Record) -> int:
    """The most that its settings ask for."""
    settings = record.settings
    if is_over_work(record):
        return settings.workers
    return max(settings.worker_counts) if record.mode == "scale" and settings.worker_counts else settings.workers


def _asked(record: Record) -> list[str]:
    if record.mode == "sequential":
        return [BASELINE]
    return record.settings.techniques if record.mode == "compare" else [record.settings.technique]


def _main(record: Record, auto: Technique) -> Technique:
    """The technique that makes the record's results.

    Raises:
        UserError: it cannot run here; says why and what mends it.
    """
    # A comparison's results come from the technique that is likely to be the fastest.
    chosen = auto if asks_for_auto(record) else technique(_asked(record)[0])
    if why := _cannot_run(chosen, most_workers(record), record):
        raise UserError(f"{chosen.label} cannot run here. {why}", code="unavailable", field="technique")
    return chosen


def _cannot_run(technique: Technique, workers: int, record: Record) -> str | None:
    """As ``cannot_run``, and what of the operations it does not do."""
    return cannot_run(technique, workers, items=record.task is not None) or undone(technique, record.settings) or None


def undone(technique: Technique, settings: RunSettings) -> str:
    """Why a technique that can run here cannot do the operations asked for, in a sentence; empty where it can."""
    able = technique.load().capabilities
    if able.memory == "device":
        return not_on_gpu(settings.operations)
    return not_by_numba(settings.operations) if able.prange else ""
