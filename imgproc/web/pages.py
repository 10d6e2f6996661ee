"""What each page is given to show."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from werkzeug.datastructures import MultiDict

from imgproc import numbers
from imgproc.backends import AUTO, AUTO_REASON, BASELINE, TECHNIQUES
from imgproc.backends.base import Availability
from imgproc.backends.sharing.transport import TRANSFERS
from imgproc.errors import UserError
from imgproc.measure import environment
from imgproc.measure.results import Progress
from imgproc.operations import OPERATIONS, PARAMETERS
from imgproc.pixels.codecs import FORMATS
from imgproc.report import live as live_rounds
from imgproc.report.page import done as done
from imgproc.report.sentences import step
from imgproc.runs import options
from imgproc.runs.record import FINAL_STATES
from imgproc.runs.splitting import SPLITS
from imgproc.runs.store import RunRow
from imgproc.settings import Settings
from imgproc.web import form as asked

PER_PAGE = 20
#: Most pictures on the page of a run that is still going.
LIVE_PICTURES = 24


def availability(name: str) -> Availability:
    """Whether a technique can run here now: a scheduler may come up at any time. What takes long, backends keep."""
    return TECHNIQUES[name].availability()


def machine() -> str:
    """This machine in one line, for the foot of every page."""
    env = environment.environment()
    cores = numbers.counted(env["cores_usable"], "core")
    gpu = env["gpu"] or "no GPU"
    opencv = env["versions"].get("opencv-python-headless", "")
    return (
        f"{cores} ({env['cpu']}), {numbers.size(env['memory_bytes'])}, {gpu}. Python {env['python']}, "
        f"OpenCV {opencv}. Measuring one run at a time."
    )


# ---------------------------------------------------------------- the form


def form(settings: Settings, fields: MultiDict[str, str], problem: UserError | None = None) -> dict[str, Any]:
    """The form: every choice from the tables, with the values of ``fields`` where it has some."""
    cores = min(environment.usable_cores(), settings.MAX_WORKERS)
    chosen = fields.getlist("operations") if "operations" in fields else list(OPERATIONS)
    chosen = [name.strip() for names in chosen for name in names.split(",")]
    values: dict[str, Any] = {name: p.default for name, p in PARAMETERS.items()}
    values |= {"workers": cores, "worker_list": options.scale_counts(settings.MAX_WORKERS)}
    values |= {"cv2_threads": options.scale_threads(), **asked.DEFAULTS}
    values |= {name: items[-1] for name, items in fields.lists()}
    mode = str(values.get("mode", asked.DEFAULT_MODE))
    return {
        "operations": OPERATIONS.values(),
        "chosen": chosen,
        "values": values,
        "on": _on(values),
        "mode": mode if mode in asked.MODES else asked.DEFAULT_MODE,
        "techniques": [(t, availability(t.name)) for t in TECHNIQUES.values() if t.name != BASELINE],
        "available": sum(availability(name).ok for name in TECHNIQUES),
        "total": len(TECHNIQUES),
        "auto": TECHNIQUES[AUTO],
        "auto_reason": AUTO_REASON,
        "formats": FORMATS.values(),
        "transfers": _transfers(),
        "splits": [(name, f"{name}: {what}", True) for name, what in SPLITS.items()],
        "start_methods": [("default", "the usual one", True), *((m, m, True) for m in options.start_methods())],
        "most_in_chunk": options.MOST_IN_CHUNK,
        "cores": cores,
        "settings": settings,
        "problem": problem,
        "has_picture": _operation_pictures(),
    }


def _transfers() -> list[tuple[str, str, bool]]:
    """The ways for pixels to reach worker processes as choices, and all of them together."""
    each = [(name, transfer.label, True) for name, transfer in TRANSFERS.items()]
    return [*each, (",".join(TRANSFERS), "all, to compare", True)]


def _on(values: Mapping[str, Any]) -> set[str]:
    """The names of the boxes that are ticked."""
    on = set()
    for name in (*(p.name for p in PARAMETERS.values() if p.kind == "flag"), "color"):
        if str(values.get(name, "")).lower() in ("1", "true", "on", "yes"):
            on.add(name)
    return on


@cache
def _operation_pictures() -> set[str]:
    """Operations with a picture of what they do; one without is shown in words only."""
    folder = Path(__file__).resolve().parents[2] / "static" / "img"
    return {name for name in OPERATIONS if (folder / f"op-{name}.webp").is_file()}


# ---------------------------------------------------------------- one run


def live(row: RunRow, position: int) -> dict[str, Any]:
    """What the page of a run asks for again and again."""
    answer: dict[str, Any] = {"id": row.id, "state": row.state, "final": row.state in FINAL_STATES}
    if row.state == "queued":
        before = f"{numbers.counted(position, 'run', words=True)} before it" if position else "it is next"
        answer |= {"position": position, "now": "Waiting", "detail": before, "share": 0, "left": "", "gone": ""}
    elif row.state == "running":
        known = {name: value for name, value in (row.progress or {}).items() if name in Progress.__dataclass_fields__}
        progress = Progress(**{"phase": "", **known})
        now, detail = step(progress)
        left = f"{numbers.about(progress.seconds_left)} left" if progress.seconds_left is not None else ""
        passes = f"{progress.passes_done} of {progress.passes_total} passes done." if progress.passes_total else ""
        answer |= {
            "progress": row.progress,
            "now": now,
            "detail": detail,
            "share": round(min(max(progress.share, 0), 1), 4),
            "left": left,
            "gone": f"{progress.elapsed:.0f}{numbers.NBSP}s gone" if progress.elapsed >= 1 else "",
            "passes": passes,
            "grid": live_rounds.rounds(progress, row.mode),
        }
    return answer


def former_settings(fields: MultiDict[str, str]) -> str:
    """The settings of a form as the query of an address that fills it in again."""
    return "&".join(
        f"{name}={quote(value)}" for name, value in fields.items(multi=True) if name != "samples" and len(value) < 100
    )
