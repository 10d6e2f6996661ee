"""What a run says of energy: what an image took, of what that was counted, or why it was not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from imgproc.measure.energy import LEAST_SECONDS
from imgproc.numbers import NBSP, interval, joules, listed
from imgproc.report.sentences import spoken
from imgproc.runs.record import Record

_OF = {"processor": ("processor", "processors"), "gpu": ("GPU", "GPUs")}


def energy(record: Record, names: Collection[str] | None = None) -> str:
    """What an image took with each technique, or with those of these names, in the order of the run; empty where
    nothing was counted."""
    of_label = {t.label: t for t in record.techniques}
    found = [of_label[label] for label in record.found.order if label in of_label]
    each = []
    for t in found:
        if t.joules_per_image is not None and (names is None or t.name in names):
            shown = f"{joules(t.joules_per_image)} with {spoken(t.label)}"
            if t.joules_per_image_ci95:
                sure = interval(t.joules_per_image_ci95, t.joules_per_image).replace("–", " to ")
                shown += f" (95{NBSP}% interval {sure})"
            each.append(shown)
    if not each:
        return ""
    return (
        f"Energy for one {record.unit}: {listed(each)}. That is what the whole machine took, by the counters of "
        f"{_names(record)}; other programs and what idles are in it, and power supplies, disks and fans are not."
    )


def counted(record: Record) -> str:
    """Of what energy was counted, or why not, for the conditions; empty for a record that does not know."""
    known = record.environment.get("energy")
    if not isinstance(known, Mapping):
        return ""
    counters, missing = known.get("counters") or (), known.get("missing") or ()
    if not counters:
        return f"not counted: {'; '.join(missing)}" if missing else ""
    said = f"of the whole machine, by the counters of {_names(record)}"
    timed = [t for t in record.measurements if t.rounds]
    if timed and all(t.joules_per_image is None for t in timed):
        kinds = {name.partition(" ")[0] for name in counters}
        least = max((LEAST_SECONDS.get(kind, 0.0) for kind in kinds), default=0.0)
        said = f"not counted: rounds below {least:g}{NBSP}s are too short for the counters, or workers were elsewhere"
    return "; ".join([said, *missing])


def _names(record: Record) -> str:
    """processors 0 and 1, memory and GPU 0"""
    of: dict[str, list[str]] = defaultdict(list)
    for name in (record.environment.get("energy") or {}).get("counters") or ():
        kind, _, number = str(name).partition(" ")
        of[kind].append(number)
    return listed([_kind(kind, numbers) for kind, numbers in of.items()])


def _kind(kind: str, numbers: Sequence[str]) -> str:
    if kind not in _OF:
        return kind
    return f"{_OF[kind][len(numbers) > 1]} {listed(numbers)}"
