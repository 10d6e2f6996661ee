"""The life of a run over items: a trial in expendable processes, proof of equal results, rounds, findings."""

from __future__ import annotations

import pickle
import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from imgproc.backends import AUTO, BASELINE, TECHNIQUES, default_techniques, technique
from imgproc.backends.base import DEFAULTS, FORK_WARNING, BackendError, Options
from imgproc.backends.phases import whole
from imgproc.backends.task import Task, TaskResult
from imgproc.errors import UserError
from imgproc.functions.travel import Carried, Parcel, is_plain
from imgproc.measure import energy
from imgproc.measure.curves import scaling
from imgproc.measure.derive import derive_tasks
from imgproc.measure.environment import environment, usable_cores
from imgproc.measure.granularity import granularity
from imgproc.measure.load import MachineLoad, tree_cpu_seconds
from imgproc.measure.protocol import Contender, Pass, conclude
from imgproc.numbers import counted
from imgproc.runs.amounts import is_over_work, too_large, without_core
from imgproc.runs.contenders import Contenders, find_contenders
from imgproc.runs.measuring import looks_of, rounds_of_starts, without_larger
from imgproc.runs.options import Mode, RunSettings
from imgproc.runs.progress import Cancel, OnProgress, Tracker
from imgproc.runs.record import FailedItem, Record, TaskRecord, new_id
from imgproc.runs.tasks.calls import CANNOT_ARRIVE, CANNOT_RETURN, Call, Failure, Returned, call, size_of
from imgproc.runs.tasks.handing import do_work, seconds_to_work
from imgproc.runs.tasks.identity import MOST_HASHED, content, identify
from imgproc.runs.tasks.sameness import Exact, Incomparable, Sameness, alike, kept
from imgproc.settings import Settings

#: Technique of the trial, in which a crash or a hang costs its item and nothing else.
TRIAL = "multiprocessing"
#: Passes of calls that do nothing, of which the median tells what handing over a task takes.
_IDLE_PASSES = 3
#: Passes of tasks with some work at most, a second of the budget for each; seconds that such a pass is meant to take,
#: and how many tasks a worker has in it at least.
_TRIED_PASSES, _TRIED_SECONDS, _TRIED_TASKS = 5, 0.1, 4
#: Of where a technique begins to pay, and seconds, how long the long ones of them are at least.
_LONG, _LONG_SECONDS = 8, 0.01
_FEW = 3


@dataclass
class TaskRun:
    """A function, its items, how their results are compared, and the record of what came of it."""

    function: Callable[[Any], Any]
    items: Sequence[Any]
    how: Sameness
    record: Record
    deadline: float
    app: Settings = DEFAULTS.settings
    on_progress: OnProgress = lambda _: None
    cancelled: Cancel = lambda: False

    def __post_init__(self) -> None:
        asked = self.record.settings
        self.carried = Carried(self.function)
        self.parcels = {index: Parcel(item) for index, item in enumerate(self.items)}
        self.tracker = Tracker(self.on_progress, self.cancelled, rounds=asked.rounds, budget=asked.budget, contenders=1)

    @property
    def task(self) -> TaskRecord:
        assert self.record.task is not None
        return self.record.task

    # ------------------------------------------------------------ one pass

    def pass_over(
        self,
        contender: Contender,
        indexes: Sequence[int],
        phase: str,
        number: int = 0,
        *,
        function: Carried | None = None,
    ) -> Pass:
        """One pass over the items, as often as the contender has copies of each; with another function if given."""
        function = function or self.carried
        every = len(self.items)
        if contender.schedule.largest_first:
            indexes = sorted(indexes, key=lambda index: -size_of(self.items[index]))
        tasks = [
            Task(index + copy * every, call, Call(function, self.parcels[index]))
            for index in indexes
            for copy in range(contender.copies)
        ]
        self.tracker.phase(phase, contender, images=len(tasks), round=number)
        return contender.run(whole(tasks), self.tracker.image_done, pinned=False)

    def ready(self, contender: Contender) -> None:
        if not contender.started:
            self.tracker.phase("starting", contender)
            contender.start()
            contender.measurement.transfer = None  # of images

    def done(self, contender: Contender) -> None:
        if contender.restart_each_pass:
            contender.close()


def new_run(
    mode: Mode,
    function: Callable[[Any], Any],
    items: Sequence[Any],
    settings: RunSettings,
    how: Sameness,
    app: Settings,
    *,
    deadline: float,
    progress: OnProgress = lambda _: None,
    cancelled: Cancel = lambda: False,
) -> TaskRun:
    """A run over items, nothing of it done yet.

    Raises:
        UserError: there are no items.
    """
    if not items:
        raise UserError("There are no items: the iterable is empty.", field="items")
    record = Record(new_id(), mode, settings)
    record.task = TaskRecord(name_of(function), len(items), how.words)
    return TaskRun(function, items, how, record, deadline, app, progress, cancelled)


def name_of(function: Callable[..., Any]) -> str:
    """As tables call it."""
    inner = getattr(function, "func", function)  # of a partial
    name = getattr(inner, "__qualname__", None) or type(inner).__qualname__
    return str(name).replace("<locals>.", "")


def measure_tasks(run: TaskRun) -> Record:
    """Try the items, prove that all techniques give the same results, time them in shuffled rounds; fills the record.

    Raises:
        UserError: nothing could be done.
        Cancelled: ``cancelled`` said so.
    """
    record, settings = run.record, run.record.settings
    contenders = _contenders(run)
    try:
        settings.seed = settings.seed or random.SystemRandom().randrange(1, 2**31)
        record.environment = {**environment(), "energy": energy.facts()}
        identify(run.task, run.function, run.items)
        record.techniques = [*(c.measurement for c in contenders.same_work), *contenders.missing]
        record.weak = [c.measurement for c in contenders.weak]
        record.points = [c.measurement for c in contenders.points]
        record.warnings += filter(None, [too_large(record), without_core(record)])
        if any(m.start_method == "fork" for m in record.techniques):
            record.warnings.append(FORK_WARNING)
        _try_items(run, contenders)
        made = _warm_up(run, contenders)
        _prove(run, contenders, made)
        left = _time(run, contenders, [c for c in contenders.all if c in made or c.copies > 1])
    finally:
        for contender in contenders.all:
            contender.close()
    conclude(left, images=record.count, megapixels=0.0, rules=record.rules)
    derive_tasks(record.techniques, record.count, record.environment["cores_usable"])
    record.warn()
    main = contenders.main.technique.name
    if is_over_work(record):
        record.granularity = granularity(
            record.settings.over, main, record.techniques, record.points, images=record.count, megapixels=0.0,
            unit=record.unit, rules=record.rules,
        )  # fmt: skip
    elif record.mode == "scale":
        record.scaling = scaling(main, record.techniques, record.weak, cores=record.environment.get("cores_usable"))
    record.conclude()
    record.state = "done"
    return record


def do_tasks(run: TaskRun) -> list[Returned]:
    """The results of all items by the technique asked for, in order, and nothing measured but its pass.

    Raises:
        UserError: the technique cannot run here, or the function or an item cannot travel to its workers.
    """
    run.record.settings.budget = 0.0
    contenders = _contenders(run)
    main = contenders.main
    try:
        run.ready(main)
        done = run.pass_over(main, range(len(run.items)), "results")
    except BackendError as problem:
        raise UserError(f"{main.technique.label} failed: {problem}", code="unavailable", field="technique") from problem
    finally:
        main.close()
    main.measurement.first_round_seconds = done.round.wall_seconds
    return [_returned(result) for result in sorted(done.results, key=lambda result: result.index)]


# ---------------------------------------------------------------- who takes part


def can_call(name: str) -> bool:
    """Whether a technique can call functions of a user's own: one whose workers are its threads, OpenCV's or a GPU's,
    does the work of this package."""
    return TECHNIQUES[name].unit != "thread"


def _contenders(run: TaskRun) -> Contenders:
    """Who takes part; of those with other processes nobody, where the function or an item cannot travel.

    Raises:
        UserError: the technique that was asked for cannot.
    """
    settings = run.record.settings
    if run.record.mode == "compare" and not settings.techniques:
        settings.techniques = [one.name for one in default_techniques() if can_call(one.name)]
        ready = [name for name in settings.techniques if TECHNIQUES[name].availability().calls]
        settings.techniques.sort(key=lambda name: (name != AUTO, name not in ready))
    found = find_contenders(run.record, run.deadline, run.app)
    run.task.cannot_travel = why = _cannot_travel(run)
    stay = [c for c in found.all if why and c.backend.capabilities.memory == "copied"]
    if not stay:
        return found
    if found.main in stay and (run.record.mode != "compare" or settings.budget <= 0):
        raise UserError(f"{found.main.technique.label} cannot do this: {why}.", code="unavailable", field="technique")
    for contender in stay:
        m = contender.measurement
        m.available, m.reason = False, why
        found.missing.append(m)
    same, points = ([c for c in some if c not in stay] for some in (found.same_work, found.points))
    if not same:
        raise UserError(f"No technique that was asked for can do this: {why}.", code="unavailable", field="techniques")
    return Contenders(same[0], same[1:], [c for c in found.weak if c not in stay], found.missing, points)


def _cannot_travel(run: TaskRun) -> str:
    """Why the function or an item cannot be sent to another process; empty where all can."""
    try:
        _ = run.carried.data
    except Exception as problem:
        return f"the function cannot be pickled, so no other process can be given it: {_short(problem)}"
    for index, parcel in run.parcels.items():
        if is_plain(parcel.value):
            continue
        try:
            pickle.dumps(parcel)
        except Exception as problem:
            kind = type(parcel.value).__name__
            why = _short(problem)
            return f"item {index}, of type {kind}, cannot be pickled, so no other process can be given it: {why}"
    return ""


def _short(problem: Exception) -> str:
    return f"{type(problem).__name__}: {problem}".partition("\n")[0].rstrip(".")


# ---------------------------------------------------------------- what is done


def _returned(result: TaskResult) -> Returned:
    if isinstance(result.value, Returned):
        return result.value
    return Returned(failure=Failure("WorkerFailed", result.error or "It gave no result."))


def _try_items(run: TaskRun, contenders: Contenders) -> None:
    """One pass in processes that may die: what crashes or hangs there is not tried where it would end the program, or
    could not be ended."""
    if run.task.cannot_travel or not technique(TRIAL).availability().ok:
        return
    if all(c.backend.capabilities.killable for c in contenders.all):
        return
    workers = max(1, min(run.record.settings.workers, usable_cores()))
    own = next((c for c in contenders.same_work if c.technique.name == TRIAL), None)
    trial = own or Contender(technique(TRIAL), workers, deadline=run.deadline, options=Options(settings=run.app))
    try:
        run.ready(trial)
        done = run.pass_over(trial, range(len(run.items)), "trial")
    except BackendError:
        return  # whoever takes part will say why
    finally:
        if trial is not own:
            trial.close()
    for result in done.results:
        if result.error is not None:
            run.task.failed.append(FailedItem(result.index, result.error))
        elif (failure := _returned(result).failure) is not None:
            run.task.raised.append(FailedItem(result.index, failure.text, failure.traceback))
    if not run.record.good_items:
        raise UserError(f"None of the items could be done: {run.task.failed[0].error}")


def _warm_up(run: TaskRun, contenders: Contenders) -> dict[Contender, dict[int, Any]]:
    """An uncounted pass of everybody; returns what each one's results are compared by."""
    made: dict[Contender, dict[int, Any]] = {}
    order = [*sorted(contenders.same_work, key=lambda c: c.technique.name != BASELINE), *contenders.points]
    for contender in order:
        try:
            run.ready(contender)
            first = run.pass_over(contender, run.record.good_items, "warm-up")
            if contender.technique.name == BASELINE:
                _note_threads(run, first)
            made[contender] = _kept(run, contender, first)
            run.done(contender)
        except BackendError as problem:
            contender.measurement.reason = str(problem)
            continue
        contender.measurement.first_round_seconds = first.round.wall_seconds
        contender.measurement.first_round_images = len(run.record.good_items)
        contender.measurement.split = []
    return made


def _note_threads(run: TaskRun, first: Pass) -> None:
    """Say so where the function sets OpenCV's threads itself, which then are not one in each worker."""
    found = {_returned(result).cv2_threads for result in first.results} - {0}
    if found:
        run.record.warnings.append(
            f"The function sets OpenCV’s own threads to {max(found)} in its calls, in every technique: more threads "
            "than cores make each other slower. Leave them alone, and each worker has one."
        )


def _kept(run: TaskRun, contender: Contender, done: Pass) -> dict[int, Any]:
    """Raises: BackendError: a task failed that did not fail in the trial."""
    failed = [result for result in done.results if result.error is not None]
    if failed:
        raise BackendError(f"{len(failed)} of {len(done.results)} items failed: {failed[0].error}")
    found = {}
    for result in done.results:
        returned = _returned(result)
        if returned.failure and returned.failure.type in (CANNOT_ARRIVE, CANNOT_RETURN):
            raise BackendError(f"item {result.index}: {returned.failure.message}")
        try:
            found[result.index] = kept(returned, run.how)
        except Incomparable as problem:
            raise UserError(
                f"The results cannot be compared: that of item {result.index}, of type "
                f"{type(returned.value).__name__}: {problem}. Return what has a content, such as a list, or give same=."
            ) from problem
    return found


def _prove(run: TaskRun, contenders: Contenders, made: dict[Contender, dict[int, Any]]) -> None:
    """Note whose results are the baseline's."""
    baseline = next((c for c in made if c.technique.name == BASELINE), None)
    if baseline is None:
        return
    reference = made[baseline]
    if len(run.items) <= MOST_HASHED and run.how == Exact():  # else it is no matter of each bit
        each = (reference.get(index) for index in range(len(run.items)))
        run.task.results_sha256 = [None if one is None else content(one) for one in each]
    doubt = _unsteady(run, baseline, reference)
    for contender, found in made.items():
        m = contender.measurement
        differing = [index for index, wanted in reference.items() if not _alike(run, wanted, found[index])]
        m.identical = contender is baseline or not (differing or doubt)
        if doubt and contender is not baseline:
            m.reason = doubt
        elif differing:
            which = ", ".join(map(str, differing[:_FEW])) + (", …" if len(differing) > _FEW else "")
            m.reason = f"its results differ from the baseline’s in {len(differing)} of {len(reference)} items ({which})"
    for contender in contenders.weak:
        same = contender.shares_backend_with
        contender.measurement.identical = same.measurement.identical if same else None


def _alike(run: TaskRun, reference: Any, other: Any) -> bool:
    try:
        return alike(reference, other, run.how)
    except Incomparable as problem:
        raise UserError(f"The results cannot be compared: {problem}.") from problem


def _unsteady(run: TaskRun, baseline: Contender, reference: dict[int, Any]) -> str:
    """Why nothing can be proven of this function: it gives other results when it is called again, or changes what it is
    given; empty where neither is seen."""
    before = {index: content(run.items[index]) for index in run.record.good_items}
    again = _kept(run, baseline, run.pass_over(baseline, run.record.good_items, "checking"))
    changed = [index for index, held in before.items() if held != content(run.items[index])]
    if changed:
        count = f"{counted(len(changed), 'item')} of {len(before)}"
        return (
            f"the function changes the items that it is given ({count}), so that a round works on what the one before "
            "left: let it work on a copy"
        )
    differing = [index for index, wanted in reference.items() if not _alike(run, wanted, again[index])]
    if differing:
        return (
            f"called again with the same item the function gives another result ({counted(len(differing), 'item')} of "
            f"{len(reference)}), so nothing can be proven: give its random numbers a seed for each item, keep nothing "
            "from call to call, or say by same= what counts as the same"
        )
    return ""


# ---------------------------------------------------------------- timing


def _time(run: TaskRun, contenders: Contenders, left: list[Contender]) -> list[Contender]:
    """Rounds over all items, or as many as the time is enough for; then passes of calls that do nothing."""
    record, settings = run.record, run.record.settings
    indexes = _sample(run, left)
    if is_over_work(record):
        without_larger(contenders, record, len(indexes))
        left = [c for c in left if c.point is None or c in contenders.points]
    helpers = {pid for c in left for pid in c.backend.helpers}
    load = MachineLoad(own=lambda: tree_cpu_seconds(helpers))
    looks = looks_of(record)
    run.tracker = Tracker(
        run.on_progress,
        run.cancelled,
        rounds=settings.starts * settings.rounds_of_start,
        budget=settings.budget,
        contenders=len(left),
        looks=looks,
    )
    load.start()

    def one_round(contender: Contender, number: int) -> Pass | None:
        try:
            run.ready(contender)
            done = run.pass_over(contender, indexes, "rounds", number)
            failed = [result.error for result in done.results if result.error is not None]
            if failed:
                raise BackendError(f"{len(failed)} of {len(done.results)} items failed: {failed[0]}")
            run.done(contender)
        except BackendError as problem:
            contender.measurement.reason = str(problem)
            return None
        run.tracker.pass_done(done.round.wall_seconds)
        return done

    def anew() -> None:
        _start_anew(run, left, indexes)

    rounds_of_starts(left, one_round, anew, settings=settings, looks=looks, budget=settings.budget)
    record.environment["cores_used_by_others"] = load.stop()
    _time_handing_over(run, [contender for contender in left if contender.does_the_same], indexes)
    return left


def _start_anew(run: TaskRun, left: list[Contender], indexes: Sequence[int]) -> None:
    """End all workers and make new ones, each of which has a warm-up that does not count."""
    for contender in left:
        contender.close()
    for contender in [c for c in left if c.does_the_same]:  # the others have the same workers
        try:
            run.ready(contender)
            run.pass_over(contender, indexes, "warm-up")
            run.done(contender)
        except BackendError as problem:
            contender.measurement.reason = str(problem)
            left.remove(contender)
            contender.passes.clear()


def _sample(run: TaskRun, left: Sequence[Contender]) -> list[int]:
    """The items to measure on: all, or so many, evenly spread, that the rounds fit into the budget."""
    record, settings = run.record, run.record.settings
    items = record.good_items
    per_round = sum((c.measurement.first_round_seconds or 0.0) * c.copies for c in left)
    rounds = settings.starts * (settings.rounds_of_start + 1) - 1  # with the warm-ups of the later starts
    if per_round <= 0 or rounds * per_round <= settings.budget:
        return items
    count = max(2 * settings.workers, int(len(items) * settings.budget / (rounds * per_round)))
    if count >= len(items):
        return items
    record.sample = sorted({items[int((k + 0.5) * len(items) / count)] for k in range(count)})
    return record.sample


def _time_handing_over(run: TaskRun, contenders: Sequence[Contender], indexes: Sequence[int]) -> None:
    """Fill what tasks with the same items take that have no work; and some about as long as where the technique begins
    to pay, and some much longer: workers that have work answer later than those that have none."""
    for contender in contenders:
        idle = _seconds_of_each(run, [contender], indexes, passes=_IDLE_PASSES)
        contender.measurement.idle_task_seconds = idle[0] if idle else None
    baseline = next((c for c in contenders if c.measurement.name == BASELINE), None)
    if baseline is None:
        return
    passes = max(1, min(_TRIED_PASSES, int(run.record.settings.budget / len(contenders))))
    for contender in contenders:
        m, idle_seconds = contender.measurement, contender.measurement.idle_task_seconds
        if contender is baseline or not idle_seconds:
            continue
        lanes = max(2, min(m.threads, usable_cores()))
        begins = idle_seconds * lanes / (lanes - 1)
        for wanted in (begins, max(_LONG * begins, _LONG_SECONDS)):
            count = max(_TRIED_TASKS * m.threads, min(len(indexes), int(_TRIED_SECONDS / wanted)))
            chosen = [indexes[k % len(indexes)] for k in range(count)]
            pair = _seconds_of_each(run, [baseline, contender], chosen, passes=passes, work=seconds_to_work(wanted))
            if pair:
                m.tried_tasks.append(pair)


def _seconds_of_each(
    run: TaskRun, contenders: Sequence[Contender], indexes: Sequence[int], *, passes: int, work: int = 0
) -> list[float]:
    """What each takes for each task of so much work, as the median of passes in turns; nothing where one fails."""
    function = Carried(partial(do_work, work))
    walls: list[list[float]] = [[] for _ in contenders]
    try:
        for _ in range(passes):
            for contender, found in zip(contenders, walls, strict=True):
                run.ready(contender)
                found.append(run.pass_over(contender, indexes, "idle", function=function).round.wall_seconds)
                run.done(contender)
    except BackendError:
        return []
    return [statistics.median(found) / len(indexes) for found in walls]
