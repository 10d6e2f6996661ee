"""The check of what came in: texts of a form or a command line as the settings of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from imgproc.backends import BASELINE, TECHNIQUES, technique
from imgproc.backends.base import Capabilities
from imgproc.backends.sharing.transport import PATHS
from imgproc.errors import UserError
from imgproc.operations import parse_parameters
from imgproc.parameters import Value
from imgproc.runs.options import Mode, RunSettings, options
from imgproc.settings import Settings


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
    chosen = RunSettings(parameters=parse_parameters(parameters), **values)
    if mode == "scale":
        chosen.workers = max(chosen.worker_counts)
    if mode == "sequential":
        chosen.technique = BASELINE
    check_options(mode, chosen)
    return chosen


def check_options(mode: Mode, chosen: RunSettings) -> None:
    """Refuse what none of the techniques asked for can do.

    Raises:
        UserError: names the field and who could.
    """
    if mode == "compare":
        asked = [technique(name) for name in chosen.techniques] or list(TECHNIQUES.values())
    else:
        asked = [technique(BASELINE if mode == "sequential" else chosen.technique)]

    def able(name: str, can: Callable[[Capabilities], bool]) -> bool:
        return TECHNIQUES[name].availability().ok and can(TECHNIQUES[name].load().capabilities)

    for name, what, can in _wanted(chosen):
        if not any(able(one.name, can) for one in asked):
            who = ", ".join(other for other in TECHNIQUES if able(other, can))
            labels = ", ".join(one.label for one in asked)
            raise UserError(f"{labels} cannot {what}. What can: {who}.", field=name, limit=who)
    if mode == "scale" and asked[0].name == BASELINE:
        raise UserError(f"{asked[0].label} has no workers to vary. Choose another technique.", field="technique")
    if len(chosen.transfers) > 1 and mode != "compare":
        raise UserError(
            "Several transfers can be compared only in mode compare; choose one here.", field="transfer", limit=1
        )


def _wanted(chosen: RunSettings) -> list[tuple[str, str, Callable[[Capabilities], bool]]]:
    """The options that are not left at their defaults: field, what a technique has to do, and whether one can."""
    wanted: list[tuple[str, str, Callable[[Capabilities], bool]]] = []
    if chosen.transfers != [PATHS]:
        wanted.append(("transfer", "move pixels to worker processes", lambda able: able.carries))
    if chosen.chunk_size != 1:
        wanted.append(("chunk_size", "hand out several images at once", lambda able: able.chunks))
    if chosen.start_method is not None:
        method = chosen.start_method
        wanted.append(("start_method", f"start its workers by {method}", lambda able: method in able.start_methods))
    return wanted
