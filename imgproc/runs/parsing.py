"""The check of what came in: texts of a form or a command line as the settings of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from imgproc.backends import BASELINE, TECHNIQUES, default_techniques, technique
from imgproc.backends.base import Capabilities
from imgproc.backends.places import CAN_PIN, OFF, ONLY_LINUX
from imgproc.backends.schedules import SCHEDULES
from imgproc.backends.sharing.transport import PATHS
from imgproc.backends.table import least_workers
from imgproc.errors import UserError
from imgproc.measure.environment import usable_cores
from imgproc.operations import parse_parameters
from imgproc.parameters import Value
from imgproc.runs.options import Mode, RunSettings, options, scale_counts, show
from imgproc.settings import Settings

#: What ``auto`` is in a run over how much is handed over at once: it has to be a technique that can hand over several.
IN_BATCHES = "multiprocessing"


def parse_settings(
    mode: Mode, given: Mapping[str, Sequence[str]], settings: Settings, spell: Callable[[str], str] = str
) -> RunSettings:
    """The settings of a run from the texts of a form or a command line; what is not given has its default, and what
    means nothing in this mode is passed over.

    Args:
        given: what came in, by the names of rows.
        spell: how a person wrote such a name, for messages.

    Raises:
        UserError: a value is not allowed, or none of the techniques asked for can do as it says.
    """
    values: dict[str, Any] = {}
    parameters: dict[str, Value] = {}
    for option in options().values():
        if mode not in option.modes:
            continue
        name = next((name for name in option.names if any(text.strip() for text in given.get(name, ()))), None)
        if option.name == "operations" and name is None and option.name in given:
            name = option.name  # none of them is wrong, not the default
        if name is not None:
            value = option.parse(given[name], spell(name), settings, mode)
        elif option.default:
            value = option.parse([option.default(settings)], spell(option.names[-1]), settings, mode)
        else:
            continue
        (parameters if option.parameter else values)[option.name if option.parameter else option.stored] = value
    run_settings = RunSettings(parameters=parse_parameters(parameters), **values)
    if not any(text.strip() for text in given.get("workers", ())):
        named = run_settings.techniques if mode == "compare" else [run_settings.technique]
        least = max((least_workers(technique(name)) for name in named), default=1)
        run_settings.workers = max(run_settings.workers, min(least, settings.MAX_WORKERS))
    if mode == "scale":
        _settle_scale(run_settings, settings)
    if mode == "sequential":
        run_settings.technique = BASELINE
    check_options(mode, run_settings)
    return run_settings


def _settle_scale(asked: RunSettings, settings: Settings) -> None:
    """Leave of the settings of scale mode what means something to that which it goes over.

    Raises:
        UserError: a batch is to have a part of an image, or of a task.
    """
    if asked.over == "workers":
        asked.points = []
    else:
        asked.cv2_threads = [1]
        nobody_chose = show(asked.worker_counts) == scale_counts(settings.MAX_WORKERS)
        if nobody_chose or asked.over == "task":
            asked.worker_counts = [_one_count(asked)]
    parts = [point for point in asked.points if not point.is_integer()]
    if asked.over == "images" and parts:
        raise UserError(f"Batches have whole numbers of images, not {parts[0]:g}.", field="points")
    if asked.over == "task":
        if parts:
            raise UserError(f"Whole numbers are handed over at once, not {parts[0]:g}.", field="points")
        asked.technique = IN_BATCHES if asked.technique == "auto" else asked.technique
        asked.chunk_size = 1
    asked.workers = max(asked.worker_counts) if asked.over == "workers" else _one_count(asked)


def _one_count(asked: RunSettings) -> int:
    """Of the numbers of workers the most that have a core each and are enough for the technique."""
    least = least_workers(technique(asked.technique))
    able = [count for count in asked.worker_counts if count >= least] or asked.worker_counts
    return max([count for count in able if count <= usable_cores()], default=min(able))


def check_options(mode: Mode, run_settings: RunSettings) -> None:
    """Refuse what none of the techniques asked for can do.

    Raises:
        UserError: names the field and who could.
    """
    if mode == "compare":
        techniques = [technique(name) for name in run_settings.techniques] or default_techniques()
    else:
        techniques = [technique(BASELINE if mode == "sequential" else run_settings.technique)]

    def able(name: str, can: Callable[[Capabilities], bool]) -> bool:
        return TECHNIQUES[name].availability().ok and can(TECHNIQUES[name].load().capabilities)

    if run_settings.affinity != OFF and not CAN_PIN:
        raise UserError(f"{ONLY_LINUX} Choose {OFF}.", field="affinity", limit=OFF)
    method = run_settings.start_method
    wanted: tuple[tuple[str, bool, str, Callable[[Capabilities], bool]], ...] = (
        (
            "transfer",
            run_settings.transfers != [PATHS],
            "choose how pixels move to worker processes",
            _leaves_transfer_open,
        ),
        (
            "over" if run_settings.over == "task" else "chunk_size",
            run_settings.over == "task" or run_settings.chunk_size != 1,
            "hand out several images at once",
            lambda can: can.chunks,
        ),
        ("start_method", bool(method), f"start its workers by {method}", lambda can: method in can.start_methods),
    )
    for name, asked, what, can in wanted:
        if asked and not any(able(one.name, can) for one in techniques):
            who = ", ".join(other for other in TECHNIQUES if able(other, can))
            labels = ", ".join(one.label for one in techniques)
            raise UserError(f"{labels} cannot {what}. What can: {who}.", field=name, limit=who)
    if mode == "scale" and techniques[0].name == BASELINE:
        raise UserError(f"{techniques[0].label} has no workers to vary. Choose another technique.", field="technique")
    if mode == "scale" and techniques[0].antipattern:
        raise UserError(
            f"{techniques[0].label} can be compared, but not scaled: the threads in each of its workers are not "
            "pinned. Choose another technique.",
            field="technique",
        )
    if run_settings.over == "task" and SCHEDULES[run_settings.schedule].shares:
        able_to = ", ".join(name for name, schedule in SCHEDULES.items() if not schedule.shares)
        raise UserError(
            f"The schedule {run_settings.schedule} decides itself how much is handed over at once. For a run over task "
            f"choose one of these: {able_to}.",
            field="schedule",
        )
    if len(run_settings.transfers) > 1 and mode != "compare":
        only = "Several transfers can be compared only in mode compare; choose one here."
        raise UserError(only, field="transfer", limit=1)


def _leaves_transfer_open(can: Capabilities) -> bool:
    return can.carries and not can.transfer
