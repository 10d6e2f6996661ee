"""What a form asks for: its fields as the mode and the settings of a run."""

from __future__ import annotations

import difflib
import math

from werkzeug.datastructures import MultiDict

from imgproc.backends import BASELINE, cannot_run, technique
from imgproc.errors import UserError
from imgproc.measure.environment import usable_cores
from imgproc.operations import OPERATIONS, PARAMETERS, parse_operations, parse_parameters
from imgproc.pixels.codecs import parse_format
from imgproc.runs.options import (
    MOST_IN_CHUNK,
    check_options,
    parse_counts,
    parse_start_method,
    parse_transfers,
    scale_counts,
    scale_threads,
)
from imgproc.runs.record import Mode, RunSettings
from imgproc.runs.splitting import parse_split
from imgproc.settings import Settings
from imgproc.web.multipart import FILES_FIELD

MODES: tuple[Mode, ...] = ("sequential", "parallel", "compare", "scale")
DEFAULT_MODE: Mode = "parallel"
DEFAULTS = {"rounds": 6, "budget": 60, "sample_count": 12, "sample_megapixels": 3, "chunk_size": 1}
#: ``samples`` with this value means: as many as ``sample_count`` says. The form's button sends it.
AS_COUNTED = "form"
_MAX_SEED = 2**31 - 1
_FIELDS = {
    FILES_FIELD, "mode", "technique", "workers", "operations", "rounds", "budget", "seed", "format", "color", "split",
    "samples", "sample_count", "sample_megapixels", "worker_list", "cv2_threads", "transfer", "start_method",
    "chunk_size", *PARAMETERS,
}  # fmt: skip

Fields = MultiDict[str, str]


def parse_run(fields: Fields, settings: Settings) -> tuple[Mode, RunSettings]:
    """Mode and settings of a run from the fields of a form; what is not given has its default.

    Raises:
        UserError: a field is unknown or its value not allowed; names the field.
    """
    for name in fields:
        if name not in _FIELDS:
            near = difflib.get_close_matches(name, _FIELDS, 1)
            hint = f" Did you mean “{near[0]}”?" if near else f" Known are {', '.join(sorted(_FIELDS))}."
            raise UserError(f"There is no field “{name}”.{hint}", field=name)
    # The last one counts: a form sends "off" in a hidden field before each box that can be ticked.
    given = {name: values[-1].strip() for name, values in fields.lists() if name not in (FILES_FIELD, "operations")}
    mode = parse_mode(given.get("mode", DEFAULT_MODE))
    samples, megapixels = _samples(given)
    cores = min(usable_cores(), settings.MAX_WORKERS)
    counts = _counts(given, mode, settings)
    workers = max(counts) if counts else _whole(given, "workers", "Workers", cores, 1, settings.MAX_WORKERS)
    name = _technique(given.get("technique") or "auto", mode, workers)
    asked_for = [name.strip() for name in fields.getlist("technique") if name.strip() not in ("", "auto")]
    compared = [_technique(name, mode, workers) for name in asked_for]
    asked = RunSettings(
        operations=list(parse_operations(fields.getlist("operations") if "operations" in fields else OPERATIONS)),
        parameters=parse_parameters({key: given[key] for key in PARAMETERS if key in given}),
        technique="auto" if mode == "compare" else name,
        techniques=list(dict.fromkeys(compared)) if mode == "compare" else [],
        workers=1 if mode == "sequential" else workers,
        format=parse_format(given.get("format") or "png"),
        color=_color(given.get("color", "")),
        rounds=_whole(given, "rounds", "Rounds", DEFAULTS["rounds"], 1, 100),
        budget=_number(given, "budget", "The time budget", DEFAULTS["budget"], 1, 3600),
        seed=_whole(given, "seed", "The seed", 0, 0, _MAX_SEED),
        samples=samples,
        sample_megapixels=megapixels,
        split=parse_split(given.get("split") or "auto"),
        worker_counts=counts,
        cv2_threads=_cv2_threads(given, mode, settings),
        transfers=parse_transfers(fields.getlist("transfer")),
        start_method=parse_start_method(given.get("start_method", "")),
        chunk_size=_whole(given, "chunk_size", "The chunk size", DEFAULTS["chunk_size"], 1, MOST_IN_CHUNK),
    )
    check_options(mode, asked)
    return mode, asked


def _counts(given: dict[str, str], mode: Mode, settings: Settings) -> list[int]:
    """The numbers of workers that scale mode goes through; none in another mode."""
    if mode != "scale":
        return []
    name = "worker_list" if given.get("worker_list") else "workers"
    return parse_counts(given.get(name) or scale_counts(settings.MAX_WORKERS), name, settings.MAX_WORKERS)


def _cv2_threads(given: dict[str, str], mode: Mode, settings: Settings) -> list[int]:
    if mode != "scale":
        return [1]
    return parse_counts(given.get("cv2_threads") or scale_threads(), "cv2_threads", settings.MAX_WORKERS)


def parse_mode(value: str) -> Mode:
    """Raises: UserError: there is no such mode."""
    for mode in MODES:
        if value == mode:
            return mode
    known = " or ".join(MODES)
    raise UserError(f"There is no mode “{value}”. Choose {known}.", field="mode", limit=known)


def _technique(name: str, mode: Mode, workers: int) -> str:
    found = technique(name)
    if mode == "sequential":
        return BASELINE
    if why := cannot_run(found, workers):
        raise UserError(f"{found.label} cannot run here. {why}", field="technique")
    return name


def _samples(given: dict[str, str]) -> tuple[int, float]:
    """How many images to draw and how large; (0, 0) where files were sent instead."""
    if not given.get("samples"):
        return 0, 0.0
    name = "sample_count" if given["samples"] == AS_COUNTED else "samples"
    count = _whole(given, name, "The number of sample images", DEFAULTS["sample_count"], 1, 100)
    size = _number(given, "sample_megapixels", "The size of the sample images", DEFAULTS["sample_megapixels"], 0.1, 24)
    return count, size


def _whole(given: dict[str, str], name: str, label: str, default: int, low: int, high: int) -> int:
    number = _read_number(given, name, default)
    if number != number // 1 or not low <= number <= high:
        raise _refused(given[name], name, label, "a whole number", low, high)
    return int(number)


def _number(given: dict[str, str], name: str, label: str, default: float, low: float, high: float) -> float:
    number = _read_number(given, name, default)
    if not low <= number <= high:
        raise _refused(given[name], name, label, "a number", low, high)
    return number


def _read_number(given: dict[str, str], name: str, default: float) -> float:
    """The number in a field; not a number for what is none."""
    if not given.get(name):
        return default
    try:
        number = float(given[name])
    except ValueError:
        return math.nan
    return number if math.isfinite(number) else math.nan


def _refused(value: str, name: str, label: str, kind: str, low: float, high: float) -> UserError:
    return UserError(
        f"{label} ({name}) must be {kind} from {low:g} to {high:g}, not “{value}”.",
        field=name,
        limit=f"{low:g} to {high:g}",
    )


def _color(value: str) -> bool:
    if value.lower() in ("1", "true", "on", "yes", "color", "colour"):
        return True
    if value.lower() in ("", "0", "false", "off", "no", "gray", "grey"):
        return False
    raise UserError(f"Colour (color) must be on or off, not “{value}”.", field="color", limit="on or off")
