"""Runs that the web app may queue for an exhibit: a function over its images, or a run over drawn pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from imgproc.backends.schedules import OF_ITEMS
from imgproc.errors import UserError
from imgproc.exhibits import Exhibit, Part, exhibit, own_operation
from imgproc.runs.parsing import parse_settings
from imgproc.runs.progress import Cancel, OnProgress
from imgproc.runs.record import Record, RunSettings, TaskRecord, new_id
from imgproc.runs.tasks.measuring import TaskRun, measure_tasks
from imgproc.runs.tasks.sameness import Exact
from imgproc.settings import Settings

#: The settings of a run that whoever starts an exhibit may give; the rest is the exhibit's.
GIVEN = ("workers", "rounds", "budget", "seed")


def exhibit_settings(shown: Exhibit, part: Part, given: Mapping[str, Sequence[str]], app: Settings) -> RunSettings:
    """Raises: UserError: a setting is not one of ``GIVEN``, or its value is not allowed."""
    for name in given:
        if name not in GIVEN:
            raise UserError(f"There is no field “{name}” here. Known are {', '.join(GIVEN)}.", field=name)
    own = {name: [value] for name, value in part.settings.items()}
    order = {} if part.pictures else {"schedule": [OF_ITEMS]}
    asked = {"techniques": list(shown.techniques), "budget": [str(shown.budget)], **order, **own, **given}
    settings = parse_settings("compare", asked, app)
    settings.cv2_threads = [1]
    operation = own_operation(part)
    if operation or not part.pictures:
        settings.operations = [operation.name] if operation else []
    return settings


def exhibit_run(shown: Exhibit, part: Part, settings: RunSettings) -> Record:
    """A run of one of its functions, or over its pictures, to be queued."""
    record = Record(new_id(), "compare", settings)
    if part.pictures:
        record.exhibit = f"{shown.name}/{part.name}"
    else:
        record.task = TaskRecord(part.name, shown.items, Exact().words, exhibit=shown.name)
    return record


def measure_exhibit(record: Record, app: Settings, progress: OnProgress, cancelled: Cancel) -> None:
    """Measure the function that the record names; fills the record.

    Raises:
        UserError: it is of no exhibit, or cannot run here.
        Cancelled: ``cancelled`` said so.
    """
    assert record.task is not None
    shown = exhibit(record.task.exhibit)
    part = shown.part(record.task.function)
    function, images = part.function(), shown.images(part)
    measure_tasks(TaskRun(function, images, Exact(), record, app.TASK_SECONDS, app, progress, cancelled))
