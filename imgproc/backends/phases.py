"""Work as a plan: phases of independent tasks, each made from what came of the one before.

A plan is a generator: it yields the tasks of a phase, is sent their results in the same order, and returns what came
of it all. Who carries it out runs one phase's tasks at a time and knows nothing of what they mean.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from typing import Any

from imgproc.backends.task import Task, TaskResult

#: Yields tasks, is sent as many results, and returns one result per image. Indexes are given by ``numbered``.
Plan = Generator[list[Task], list[TaskResult], list[TaskResult]]


def whole(tasks: Sequence[Task]) -> Plan:
    """A single phase: each task is an image."""
    return (yield list(tasks))


def together(
    plans: Sequence[Generator[list[Task], list[TaskResult], Any]],
) -> Generator[list[Task], list[TaskResult], list[Any]]:
    """Several plans at once: the next phases of all of them are one phase. Returns what each returns.

    What one of them raises ends them all.
    """
    returned: list[Any] = [None] * len(plans)
    open_plans = dict(enumerate(plans))
    sent: dict[int, list[TaskResult] | None] = dict.fromkeys(open_plans)
    try:
        while open_plans:
            phases: dict[int, list[Task]] = {}
            for key, plan in list(open_plans.items()):
                try:
                    phases[key] = plan.send(sent[key])  # type: ignore[arg-type]  # None starts a generator
                except StopIteration as end:
                    returned[key] = end.value
                    del open_plans[key]
            if not phases:
                break
            results = yield [task for phase in phases.values() for task in phase]
            at = 0
            for key, phase in phases.items():
                sent[key] = results[at : at + len(phase)]
                at += len(phase)
    finally:
        for plan in open_plans.values():
            plan.close()
    return returned


def after_another(
    plans: Sequence[Generator[list[Task], list[TaskResult], Any]],
) -> Generator[list[Task], list[TaskResult], list[Any]]:
    """Several plans one after the other. Returns what each returns."""
    returned = []
    for plan in plans:
        result = yield from plan
        returned.append(result)
    return returned


def flat(plan: Generator[list[Task], list[TaskResult], list[Any]]) -> Plan:
    """A plan that returns results in lists, and lists of lists, with all of them in one list."""
    returned = yield from plan
    return list(_flat(returned))


def _flat(found: Any) -> Iterator[TaskResult]:
    if isinstance(found, TaskResult):
        yield found
        return
    for one in found:
        yield from _flat(one)


def numbered(phase: Sequence[Task]) -> list[Task]:
    """The tasks of a phase with indexes of their own, from 0; each still says which image and strip it is of."""
    return [replace(task, index=number, image=task.of_image) for number, task in enumerate(phase)]
