"""The measuring of a run: all contenders take turns over the same images, once they have made the same pixels."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from imgproc.backends import BASELINE
from imgproc.backends.base import BackendError
from imgproc.backends.sharing.transport import TRANSFERS
from imgproc.measure.environment import usable_cores
from imgproc.measure.load import MachineLoad, tree_cpu_seconds
from imgproc.measure.protocol import Contender, Pass, interleave
from imgproc.measure.statistics import LOOKS, enough
from imgproc.runs.amounts import (
    NO_TIME,
    NO_TIME_AT_ONCE,
    Amounts,
    Work,
    amount_of,
    is_over_work,
    largest_batch,
    part_of,
    spread,
)
from imgproc.runs.contenders import Contenders
from imgproc.runs.passes import Hashes, Passes, on_gpu
from imgproc.runs.progress import time_for_rounds
from imgproc.runs.record import ImageRecord, Record, RunSettings
from imgproc.runs.replacing import replace_results

#: On so many images the operations are timed alone.
ALONE_IMAGES = 4


@dataclass(frozen=True)
class Measured:
    """Who was measured to the end, on which images, and how many cores other programs used meanwhile (None: nobody
    can say)."""

    contenders: list[Contender]
    images: list[ImageRecord]
    busy: float | None


def measure(passes: Passes, contenders: Contenders, first: Pass, results_ready: Callable[[], None]) -> Measured:
    """Warm everybody up, prove that all make the same pixels, then time them in interleaved rounds.

    The baseline comes first, so that the results are proven, or made again, before the others warm up.
    A contender that fails costs its own figures: its measurement says why, and the others go on.

    Args:
        first: the pass that made the results.
        results_ready: called when the results are there to stay.

    Raises:
        Cancelled: somebody asked to end the run.
        UserError: the results differ from the baseline's, and none of its own could be had.
    """
    record, settings = passes.record, passes.record.settings
    begin = time.perf_counter()
    images = _sample(passes, contenders, first)
    if not passes.folders.previews:  # else they were read back already
        with passes.ready(contenders.main):
            passes.hash_results(contenders.main, images)
    main = contenders.main
    made: dict[Contender, Hashes] = {main: {i.index: {o.operation: o.pixels_sha256 for o in i.outputs} for i in images}}
    baseline = next((c for c in contenders.same_work if c.technique.name == BASELINE), None)
    whole = Work(passes, images)
    made |= _warm_up(contenders, [c for c in contenders.others if c is baseline], lambda _: whole)
    right = made.get(baseline) if baseline else None
    proven = time.perf_counter()
    if baseline and right is not None and not _prove(main, made[main], right):
        replace_results(passes, main, baseline, made[main], right)
        images = [image for image in images if image.error is None]
        record.sample = record.sample and sorted(image.index for image in images)
    results_ready()
    begin += time.perf_counter() - proven  # what the results take is no measuring
    amounts = Amounts(passes, images)
    some = [c for c in (*contenders.others, *contenders.points) if c is not baseline]
    made |= _warm_up(contenders, some, amounts.of)
    _prove_others(contenders, made, record)
    budget = time_for_rounds(settings.budget, time.perf_counter() - begin)
    left = [c for c in contenders.all if c in made or c.copies > 1]
    images = _fewer(record, left, images, budget)
    amounts.whole = Work(passes, images)
    amounts.note(contenders.points)
    helpers = {pid for c in contenders.all for pid in c.backend.helpers}
    load = MachineLoad(own=lambda: tree_cpu_seconds(helpers))
    load.start()
    _take_turns(contenders, left, amounts, budget)
    busy = load.stop()
    _time_operations(passes, left, images)
    return Measured(left, images, busy)


def _take_turns(contenders: Contenders, left: list[Contender], amounts: Amounts, budget: float) -> None:
    """The rounds of every start, within ``budget`` seconds; who fails is taken out of ``left``."""
    record = amounts.whole.passes.record

    def one_round(contender: Contender, number: int) -> Pass | None:
        return _one_round(contenders, contender, number, amounts.of(contender))

    def anew() -> None:
        _start_anew(contenders, left, amounts)

    rounds_of_starts(left, one_round, anew, settings=record.settings, looks=looks_of(record), budget=budget)


def rounds_of_starts(
    left: list[Contender],
    one_round: Callable[[Contender, int], Pass | None],
    anew: Callable[[], None],
    *,
    settings: RunSettings,
    looks: Sequence[int],
    budget: float,
) -> None:
    """The rounds of every start of the workers, interleaved, within ``budget`` seconds.

    Args:
        one_round: as ``interleave`` has it; rounds are numbered over all starts.
        anew: makes all workers anew, between two starts.
        looks: as of ``looks_of``.
    """
    begin, longest, done = time.perf_counter(), 0.0, 0
    for start in range(1, settings.starts + 1):
        now = time.perf_counter()
        if start > 1 and now - begin + longest > budget:
            return
        if start > 1:
            anew()

        def one_pass(contender: Contender, number: int, start: int = start, before: int = done) -> Pass | None:
            found = one_round(contender, before + number)
            if found:
                found.round.start = start
            return found

        interleave(
            left,
            one_pass,
            rounds=settings.rounds_of_start,
            most=max(looks, default=None),
            enough=lambda: enough({c.measurement.label: c.walls for c in left}, looks),
            budget=budget - (time.perf_counter() - begin),
            seed=settings.seed + start - 1,
        )
        done = max((len(c.passes) for c in left), default=0)
        longest = max(longest, time.perf_counter() - now)


def looks_of(record: Record) -> tuple[int, ...]:
    """After which numbers of rounds the run ends if it is precise, and after the last in any case; empty for one that
    does not go on beyond those that were asked for."""
    settings = record.settings
    if (record.mode not in ("compare", "scale") and not record.task) or settings.starts > 1:
        return ()
    return settings.rounds, *(look for look in LOOKS if look > settings.rounds)


def _start_anew(contenders: Contenders, left: list[Contender], amounts: Amounts) -> None:
    """End all workers and make new ones, each of which has a warm-up that does not count."""
    for contender in left:
        contender.close()
    passes = amounts.whole.passes
    for contender in [c for c in left if c.does_the_same]:  # the others have the same workers
        try:
            with _scratch(passes, "warm-up") as folder, passes.ready(contender):
                _complete(passes.run_pass(contender, amounts.whole.images, folder, "warm-up"))
        except BackendError as problem:
            _give_up(contenders, contender, problem)
            left.remove(contender)
            contender.passes.clear()


def _sample(passes: Passes, contenders: Contenders, first: Pass) -> list[ImageRecord]:
    """The images to measure on: all, or as many as the budget allows, spread evenly over the sizes."""
    record, settings = passes.record, passes.record.settings
    images = record.good_images
    if record.measures_on:  # on the same ones
        return record.measured_images
    # What the workers were busy for in sum is about what one of them alone would take.
    spans = [span for one in first.parts for span in (*one.result.spans, *one.result.caller_spans)]
    alone = sum(span.end - span.start for span in spans)
    per_round = 0.0
    for contender in contenders.all:
        # Where pixels travel, the caller's part is done by nobody else meanwhile.
        shared = 1 if TRANSFERS[contender.transfer].alone else min(contender.measurement.threads, usable_cores())
        per_round += part_of(contender, record, images) * alone / shared
    # The warm-ups and reading back what the first wrote count as well.
    rounds = settings.starts * (settings.rounds_of_start + 1) + 1
    count = max(int(len(images) * settings.budget / (per_round * rounds)), 2 * contenders.main.backend.workers)
    if is_over_work(record) and settings.over == "images":
        count = min(count, largest_batch(record))
        _without_larger(contenders, count)
    if is_over_work(record) and settings.over == "task":
        without_larger(contenders, record, min(count, len(images)))
    if count >= len(images):
        return images
    chosen = spread(images, count)
    record.sample = sorted(image.index for image in chosen)
    return chosen


def _fewer(
    record: Record, contenders: Sequence[Contender], images: list[ImageRecord], budget: float
) -> list[ImageRecord]:
    """The images, or where by the warm-ups the rounds on all of them would not fit into ``budget`` seconds as many as
    do: what ``_sample`` could not know is how long starting takes, and how much workers hinder each other."""
    settings = record.settings
    if record.measures_on or is_over_work(record):
        return images
    per_round = 0.0
    for contender in contenders:
        m, shared = contender.measurement, contender.shares_backend_with
        if m.first_round_seconds is None and shared:  # of weak scaling
            m = shared.measurement
        share = len(images) / (m.first_round_images or len(images))
        per_round += contender.copies * share * (m.first_round_seconds or 0.0)
    startups = sum(c.measurement.startup_seconds or 0.0 for c in contenders if c.does_the_same)
    room = budget - (settings.starts - 1) * startups
    rounds = settings.starts * settings.rounds_of_start + settings.starts - 1
    if not contenders or per_round * rounds <= room:
        return images
    count = max(int(len(images) * room / (per_round * rounds)), 2 * contenders[0].backend.workers)
    if count >= len(images):
        return images
    chosen = spread(images, count)
    record.sample = sorted(image.index for image in chosen)
    return chosen


def _without_larger(contenders: Contenders, count: int) -> None:
    """Take out the batches that are no smaller than the largest one that is measured."""
    for contender in [c for c in contenders.points if (c.point or 0) >= count]:
        contenders.points.remove(contender)
        contender.measurement.reason = NO_TIME


def without_larger(contenders: Contenders, record: Record, count: int) -> None:
    """Take out what hands over so many at a time that, of so many that are measured, not each worker has a batch; what
    was asked for stays, as long as there are so many."""
    most = count if record.settings.points else max(1, count // contenders.main.backend.workers)
    for contender in [c for c in contenders.points if (c.point or 0) > most]:
        contenders.points.remove(contender)
        contender.measurement.reason = NO_TIME_AT_ONCE


def _warm_up(
    contenders: Contenders, some: Sequence[Contender], work_of: Callable[[Contender], Work]
) -> dict[Contender, Hashes]:
    """An uncounted pass of some who have had none; returns what each has made, but for those that do more than the
    whole work."""
    made: dict[Contender, Hashes] = {}
    for contender in some:
        work = work_of(contender)
        passes, images = work.passes, work.images
        try:
            with _scratch(passes, "warm-up") as folder, passes.ready(contender):
                warm = _complete(passes.run_pass(contender, images, folder, "warm-up"))
                made[contender] = passes.read_back(contender, images, folder)
        except BackendError as problem:
            _give_up(contenders, contender, problem)
            continue
        contender.measurement.first_round_seconds = warm.round.wall_seconds
        contender.measurement.first_round_images = len(images)
    return made


def _prove(contender: Contender, made: Hashes, right: Hashes) -> bool:
    """Note whether what a contender made has the baseline's pixels, ``right``, image by image."""
    m = contender.measurement
    differing = sum(hashes != right[index] for index, hashes in made.items())
    m.identical = differing == 0
    if differing:
        m.reason = f"its pixels differ from the baseline’s in {differing} of {len(made)} images"
    return m.identical


def _prove_others(contenders: Contenders, made: dict[Contender, Hashes], record: Record) -> None:
    """The same of all but the one that made the results, where there is a baseline that did as much."""
    right = {amount_of(c, record): hashes for c, hashes in made.items() if c.technique.name == BASELINE}
    for contender in made.keys() - {contenders.main}:
        if (amount := amount_of(contender, record)) in right:
            _prove(contender, made[contender], right[amount])
    for contender in contenders.weak:  # the same workers on the same images
        same = contender.shares_backend_with
        contender.measurement.identical = same.measurement.identical if same else None


def _one_round(contenders: Contenders, contender: Contender, number: int, work: Work) -> Pass | None:
    passes = work.passes
    try:
        with _scratch(passes, "round") as folder, passes.ready(contender):
            done = _complete(passes.run_pass(contender, work.images, folder, "rounds", number))
    except BackendError as problem:
        _give_up(contenders, contender, problem)
        return None
    passes.note_replacements(done, f"{contender.measurement.label}, round {number}")
    passes.tracker.pass_done(done.round.wall_seconds)
    return done


@contextmanager
def _scratch(passes: Passes, name: str) -> Iterator[Path]:
    """A folder for one pass: each writes new files, as a real run does; its time is without removing the old ones."""
    folder = passes.folders.work / name
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _complete(done: Pass) -> Pass:
    """The pass; ``BackendError`` if an image failed, because the time of less work would be no measurement."""
    failed = [result.error for result in done.results if result.error is not None]
    if failed:
        raise BackendError(f"{len(failed)} of {len(done.results)} images failed while it was measured: {failed[0]}")
    return done


def _give_up(contenders: Contenders, contender: Contender, problem: BackendError) -> None:
    """A technique that fails once the results are there costs its own figures, and the baseline all speedups."""
    contender.measurement.reason = str(problem)
    if contender.technique.name == BASELINE and contender is not contenders.main and contender.does_the_same:
        contenders.main.measurement.reason = f"the baseline failed: {problem}"


def _time_operations(passes: Passes, contenders: Sequence[Contender], images: Sequence[ImageRecord]) -> None:
    """Where a GPU takes part, also what the operations alone take there and in the baseline: on few images, so that a
    student sees what of a fast kernel is left in the whole job."""
    if not any(map(on_gpu, contenders)):
        return
    few = spread(images, ALONE_IMAGES)
    for contender in contenders:
        m = contender.measurement
        if not contender.does_the_same or not (on_gpu(contender) or m.name == BASELINE):
            continue
        try:
            with passes.ready(contender):
                m.operations_seconds = passes.time_operations(contender, few)
            m.operations_images = [image.index for image in few]
        except BackendError as problem:
            m.warnings.append(f"{m.label}: {problem}")
