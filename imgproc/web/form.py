"""The form: the table of settings as fields, and its fields as the mode and the settings of a run."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from werkzeug.datastructures import MultiDict

from imgproc.backends import BASELINE, TECHNIQUES, cannot_run, technique
from imgproc.errors import UserError, did_you_mean
from imgproc.measure.environment import usable_cores
from imgproc.operations import OPERATIONS
from imgproc.runs.options import MODES, Mode, Option, RunSettings, names, options
from imgproc.runs.parsing import parse_settings
from imgproc.settings import PROJECT, Settings
from imgproc.web.multipart import FILES_FIELD

DEFAULT_MODE: Mode = "parallel"
#: Names an image that was sent before, see ``runs/kept.py``.
KEPT_FIELD = "token"
#: ``samples`` with this value means: as many as ``sample_count`` says. The form's button sends it.
AS_COUNTED = "form"

Fields = MultiDict[str, str]


def parse_run(fields: Fields, settings: Settings) -> tuple[Mode, RunSettings]:
    """Mode and settings of a run from the fields of a form; what is not given has its default.

    Raises:
        UserError: a field is unknown or its value not allowed; names the field.
    """
    given = _given(fields)
    mode = parse_mode(given.get("mode", [DEFAULT_MODE])[-1].strip())
    run_settings = parse_settings(mode, _with_samples(given), settings)
    for name in run_settings.techniques or ([] if mode == "sequential" else [run_settings.technique]):
        found = technique(name)
        if why := cannot_run(found, run_settings.workers):
            raise UserError(f"{found.label} cannot run here. {why}", field="technique")
    return mode, run_settings


def parse_trial(fields: Fields, settings: Settings) -> RunSettings:
    """What decides about pixels, from the fields of a form. The others may be anything, since nothing is measured.

    Raises:
        UserError: as ``parse_run``.
    """
    given = _given(fields, KEPT_FIELD)
    rows = [row for row in options().values() if row.pixels]
    wanted = {name: given[name] for row in rows for name in row.names if name in given}
    return parse_settings("sequential", wanted, settings)


def _given(fields: Fields, *more: str) -> dict[str, list[str]]:
    """The fields by their names in the table of settings; ``more`` are others that may be there.

    Raises:
        UserError: a field is unknown.
    """
    known = {FILES_FIELD, "mode", *more, *names()}
    given: dict[str, list[str]] = {}
    for field, values in fields.lists():
        name = field.replace("-", "_")
        if name not in known:
            hint = did_you_mean(field, known) or f" Known are {', '.join(sorted(known))}."
            raise UserError(f"There is no field “{field}”.{hint}", field=field)
        given[name] = values
    return given


def _with_samples(given: dict[str, list[str]]) -> dict[str, list[str]]:
    """The fields, with number and size of the pictures to draw only if some are to be drawn, and then both."""
    drawn = [option for option in options().values() if option.group == "samples"]
    wanted = given.get("samples", [""])[-1].strip()
    rest = {name: values for name, values in given.items() if not any(name in option.names for option in drawn)}
    for option in drawn if wanted else ():
        name = "samples" if wanted != AS_COUNTED and "samples" in option.names else option.name
        rest[name] = [option.suggested or "", *given.get(name, [])]
    return rest


def parse_mode(value: str) -> Mode:
    """Raises: UserError: there is no such mode."""
    for mode in MODES:
        if value == mode:
            return mode
    known = " or ".join(MODES)
    raise UserError(f"There is no mode “{value}”. Choose {known}.", field="mode", limit=known)


def form(settings: Settings, fields: Fields, problem: UserError | None = None) -> dict[str, Any]:
    """What the page of the form shows: every row of the table, with the values of ``fields`` where it has some."""
    rows = options()
    ticked = fields.getlist("operations") if "operations" in fields else list(OPERATIONS)
    mode = fields.get("mode", DEFAULT_MODE)
    return {
        "operations": OPERATIONS.values(),
        "ticked": [name.strip() for names in ticked for name in names.split(",")],
        "values": {name: _value(option, fields, settings) for name, option in rows.items()},
        "mode": mode if mode in MODES else DEFAULT_MODE,
        "rows": rows,
        "head": [row for row in rows.values() if row.group == "technique" and row.name != "techniques"],
        "advanced": [row for row in rows.values() if row.group == "measurement"],
        "samples": [row for row in rows.values() if row.group == "samples"],
        "choices": {name: _choices(option) for name, option in rows.items()},
        "available": sum(t.availability().ok for t in TECHNIQUES.values()),
        "total": len(TECHNIQUES),
        "cores": usable_cores(),
        "settings": settings,
        "problem": problem,
        "has_picture": _operation_pictures(),
    }


def _value(option: Option, fields: Fields, settings: Settings) -> str:
    given = fields.getlist(option.name) or fields.getlist(option.name.replace("_", "-"))
    return option.refill(given, settings) if any(given) else option.suggested or option.start(settings)


def _choices(option: Option) -> list[tuple[str, str, bool]]:
    """What can be chosen: value, what is shown, and whether it works here."""
    if option.name == "technique":
        others = [(t, t.availability().ok) for t in TECHNIQUES.values() if t.name != BASELINE]
        each = [(t.name, t.label if ok else f"{t.label} (cannot run here)", ok) for t, ok in others]
        return [("auto", option.choices()["auto"], True), *each]
    if option.parameter:
        return [(str(choice), str(choice), True) for choice in option.parameter.choices]
    every = [(name, shown, True) for name, shown in option.choices().items()]
    return [*every, (", ".join(option.choices()), "all, to compare", True)] if option.kind == "names" else every


@cache
def _operation_pictures() -> set[str]:
    """Operations with a picture of what they do; one without is shown in words only."""
    folder = Path(PROJECT, "static", "img")
    return {name for name in OPERATIONS if (folder / f"op-{name}.webp").is_file()}


def query(fields: Fields) -> str:
    """The settings of a form as the query of an address that fills it in again."""
    return "&".join(
        f"{name}={quote(value)}" for name, value in fields.items(multi=True) if name != "samples" and len(value) < 100
    )
