"""A run over items once more: the same settings, with the function and the items that its record has hashes of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from imgproc.errors import UserError
from imgproc.exhibits import exhibit
from imgproc.runs.progress import OnProgress
from imgproc.runs.record import Record
from imgproc.runs.repetition import check_items, check_repeatable, compare, settings_again
from imgproc.runs.tasks.identity import MOST_HASHED, content
from imgproc.runs.tasks.measuring import TaskRun, measure_tasks, new_run
from imgproc.runs.tasks.sameness import Sameness, sameness
from imgproc.settings import Settings


def repeat_tasks(
    before: Record,
    function: Callable[[Any], Any],
    items: Sequence[Any],
    same: Any,
    app: Settings,
    *,
    deadline: float,
    progress: OnProgress = lambda _: None,
    typed: str | None = None,
) -> Record:
    """Measure again what a record is of; ``repetition`` of the new one says what is the same.

    Args:
        same: how results are compared, where the record's word for it does not say.
        typed: the command, if one was.

    Raises:
        UserError: these are other items, or it cannot be measured here.
    """
    check_repeatable(before)
    task = before.task
    assert task is not None
    hashes = [content(item) for item in items] if len(items) <= MOST_HASHED else []
    check_items(before, hashes, len(items))
    run = _again(before, function, items, _how(task.same, same), app, deadline, progress)
    run.record.command = typed
    record = measure_tasks(run)
    record.repetition = compare(before, record)
    return record


def _again(
    before: Record,
    function: Callable[[Any], Any],
    items: Sequence[Any],
    how: Sameness,
    app: Settings,
    deadline: float,
    progress: OnProgress,
) -> TaskRun:
    asked = settings_again(before)
    run = new_run(before.mode, function, items, asked.settings, how, app, deadline=deadline, progress=progress)
    run.record.id = asked.id
    if before.task and run.record.task:
        run.record.task.exhibit = before.task.exhibit
        if before.task.exhibit:
            run.record.task.function = before.task.function
    return run


def _how(words: str, same: Any) -> Sameness:
    """Raises: UserError: results were compared in another way, which has to be given again."""
    try:
        how = sameness(words if same is None and words in ("identical", "==") else same)
    except ValueError as problem:
        raise UserError(str(problem), field="same") from None
    if how.words != words:
        raise UserError(
            f"The run compared results so: {words}. Give the same again by same=, of imgproc.repeat.", field="same"
        )
    return how


def of_exhibit(record: Record) -> tuple[Callable[[Any], Any], list[Any]] | None:
    """Function and items of a run of an exhibit, which this program has itself; None for any other run."""
    task = record.task
    if task is None or not task.exhibit:
        return None
    shown = exhibit(task.exhibit)
    part = shown.part(task.function)
    return part.function(), list(shown.images(part))
