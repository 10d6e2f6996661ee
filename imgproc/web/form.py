"""The form: the table of settings as fields, and its fields as the mode and the settings of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any
from urllib.parse import quote

from werkzeug.datastructures import MultiDict

from imgproc.backends import BASELINE, TECHNIQUES, cannot_run, default_techniques, technique
from imgproc.errors import UserError, did_you_mean
from imgproc.installation import PAGES
from imgproc.measure.environment import usable_cores
from imgproc.operations import DEFAULT_OPERATIONS, OPERATIONS
from imgproc.operations.chain import MOST_PARTS, SIGN
from imgproc.operations.contract import Operation
from imgproc.runs.options import MODES, Mode, Option, RunSettings, names, options
from imgproc.runs.parsing import parse_settings
from imgproc.settings import Settings
from imgproc.web.multipart import FILES_FIELD

DEFAULT_MODE: Mode = "parallel"
#: Names an image that was sent before, see ``runs/kept.py``.
KEPT_FIELD = "token"
#: Names a run whose images are to be used, where none are sent.
IMAGES_OF = "images_of"
#: The class that a run is posted to when it is done, and what it is called there.
CLASS, SHOWN_AS = "class", "shown_as"
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
    known = {FILES_FIELD, IMAGES_OF, CLASS, SHOWN_AS, "mode", *more, *names()}
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
    """What the page of the form shows: every row of the table, with the values of ``fields`` where it has some, be they
    those of an address (docs/lab.md) or what was posted."""
    rows = options()
    given = fields.getlist("operations") if "operations" in fields else list(DEFAULT_OPERATIONS)
    ticked = [name.strip() for names in given for name in names.split(",")]
    mode = fields.get("mode", DEFAULT_MODE)
    works = {name: t.availability(settings).ok for name, t in TECHNIQUES.items()}
    return {
        "operations": OPERATIONS.values(),
        "ticked": ticked,
        "chains": ", ".join(name for name in ticked if name and name not in list(OPERATIONS)),
        "chain_example": SIGN.join(reversed(list(OPERATIONS)[:2])),
        "most_parts": MOST_PARTS,
        "others_open": any(_is_meant(one, ticked, problem) for one in OPERATIONS.values() if not one.default),
        "values": {name: _value(option, fields, settings, mode) for name, option in rows.items()},
        "to_compare": _to_compare(fields, mode),
        "mode": mode if mode in MODES else DEFAULT_MODE,
        "rows": rows,
        "head": [row for row in rows.values() if row.group == "technique" and row.name != "techniques"],
        "advanced": [row for row in rows.values() if row.group == "measurement"],
        "samples": [row for row in rows.values() if row.group == "samples"],
        "choices": {name: _choices(option, works) for name, option in rows.items()},
        "available": sum(works.values()),
        "compared": sum(works[t.name] for t in default_techniques()),
        "total": len(TECHNIQUES),
        "cores": usable_cores(),
        "settings": settings,
        "problem": problem,
        "has_picture": _operation_pictures(),
        "class_name": fields.get(CLASS, "").strip().lower(),
        "shown_as": fields.get(SHOWN_AS, ""),
    }


def _is_meant(operation: Operation, ticked: Sequence[str], problem: UserError | None) -> bool:
    """Whether it was chosen, or what is wrong is a parameter of it."""
    return operation.name in ticked or any(problem and problem.field == p.name for p in operation.parameters)


def _value(option: Option, fields: Fields, settings: Settings, mode: str) -> str:
    given = _in_fields(option, fields, mode)
    return option.refill(given, settings) if any(given) else option.suggested or option.start(settings)


def _in_fields(option: Option, fields: Fields, mode: str) -> list[str]:
    """What there is for a row, by another name of it only where that means it in this mode."""
    others = option.also if mode in option.modes or option.group == "samples" else ()
    spelled = (spelling for name in (option.name, *others) for spelling in (name, name.replace("_", "-")))
    values = next((found for name in spelled if any(found := fields.getlist(name))), [])
    return [] if values == [AS_COUNTED] else values


def _to_compare(fields: Fields, mode: str) -> list[tuple[str, str, bool, bool]]:
    """The techniques that can be ticked for a comparison: name, label, whether it works here, and whether it is."""
    given = _in_fields(options()["techniques"], fields, mode)
    ticked = {name.strip().lower() for value in given for name in value.split(",")}
    others = [(t, t.availability().ok) for t in TECHNIQUES.values() if t.name != BASELINE]
    return [(t.name, t.label, ok, t.name in ticked) for t, ok in others]


def _choices(option: Option, works: Mapping[str, bool]) -> list[tuple[str, str, bool]]:
    """What can be chosen: value, what is shown, and whether it works here; ``works`` says so of techniques."""
    if option.name == "technique":
        others = [(t, works[t.name]) for t in TECHNIQUES.values() if t.name != BASELINE]
        each = [(t.name, t.label if ok else f"{t.label} (cannot run here)", ok) for t, ok in others]
        return [("auto", option.choices()["auto"], True), *each]
    if option.parameter:
        return [(str(choice), str(choice), True) for choice in option.parameter.choices]
    every = [(name, shown, True) for name, shown in option.choices().items()]
    return [*every, (", ".join(option.choices()), "all, to compare", True)] if option.kind == "names" else every


@cache
def _operation_pictures() -> set[str]:
    """Operations with a picture of what they do; one without is shown in words only."""
    folder = PAGES / "static" / "img"
    return {name for name in OPERATIONS if (folder / f"op-{name}.webp").is_file()}


def query(fields: Fields) -> str:
    """The settings of a form as the query of an address that fills it in again."""
    return "&".join(
        f"{name}={quote(value)}" for name, value in fields.items(multi=True) if name != "samples" and len(value) < 100
    )
