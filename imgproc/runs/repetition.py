"""A run again, from its record: the same settings on the same files, and what of it came out the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from imgproc.backends import BASELINE
from imgproc.errors import UserError
from imgproc.files import sha256_of
from imgproc.measure.results import TechniqueMeasurement
from imgproc.numbers import counted
from imgproc.runs.record import Again, Difference, ImageRecord, Record, Repetition, TaskRecord, new_id

#: What of the environment is of the moment, not of the machine.
_OF_THE_MOMENT = (
    "load_before",
    "cores_used_by_others",
    "pace_seconds",
    "copy_bytes_per_second",
    "copy_bytes_per_second_of_one",
    "arithmetic_per_second",
    "arithmetic_per_second_of_one",
)
_FEW = 5


def check_repeatable(record: Record) -> None:
    """Raises: UserError: its record does not say enough to run it again; says why."""
    if record.state != "done" or not record.total:
        raise UserError(f"This run has nothing to reproduce: its state is “{record.state}”.")


def settings_again(record: Record) -> Record:
    """A new record that asks for the same, with the techniques that took part named; its images are not there yet."""
    timed = list(dict.fromkeys(t.name for t in record.techniques if t.available))
    own = next((name for name in timed if name != BASELINE), BASELINE)
    technique = own if record.settings.technique == "auto" else record.settings.technique
    settings = replace(record.settings, technique=technique, samples=0, sample_megapixels=0.0)
    if record.mode == "compare":
        settings.techniques = timed
    return Record(new_id(), record.mode, settings)


# ---------------------------------------------------------------- the same files


def find_inputs(record: Record, beside: Path, uploads: Path, given: Sequence[Path]) -> list[Path]:
    """The files of its good images, in their order: those given, by their content, or those that it names.

    Args:
        beside: the folder of its run.json, where they are looked for after the current one.
        uploads: where the web app keeps those that were sent to it.

    Raises:
        UserError: some are not there, or hold something else now; names them, and how to name others.
    """
    by_content = {sha256_of(file): file for file in given}
    by_name = {file.name: file for file in reversed(given)}
    found: list[Path] = []
    missing: list[str] = []
    changed: list[str] = []
    for image in record.good_images:
        places = [by_content.get(image.sha256), by_name.get(Path(image.name).name)] if given else []
        if not given:
            names = (Path(image.name), beside / image.name, beside / Path(image.name).name)
            places = [*names, uploads / record.id / image.stored] if image.stored else [*names]
        there = [place for place in places if place is not None and place.is_file()]
        same = next((place for place in there if image.sha256 in (None, sha256_of(place))), None)
        if same is not None:
            found.append(same)
        else:
            (changed if there else missing).append(image.name)
    if missing or changed:
        raise UserError(_not_the_same(missing, changed), code="refused_image", field="images")
    return found


def _not_the_same(missing: Sequence[str], changed: Sequence[str]) -> str:
    said = [
        f"{counted(len(names), 'image')} {what if len(names) == 1 else several}: {', '.join(names[:_FEW])}"
        f"{', …' if len(names) > _FEW else ''}."
        for names, what, several in (
            (missing, "of this run is not here", "of this run are not here"),
            (changed, "holds something else than was measured", "hold something else than was measured"),
        )
        if names
    ]
    return f"{' '.join(said)} Name files or folders with --images; they are told by their content."


def check_items(record: Record, hashes: Sequence[str | None], count: int) -> None:
    """Raises: UserError: these are other items than those of the run, by their number or by what they hold."""
    task = record.task
    assert task is not None
    if count != task.items:
        raise UserError(f"The run was over {counted(task.items, 'item')}, and here are {count:,}.", field="items")
    both = enumerate(zip(task.items_sha256, hashes, strict=False))
    others = [str(place) for place, (old, new) in both if old and new and old != new]
    if others:
        some = ", ".join(others[:_FEW]) + (", …" if len(others) > _FEW else "")
        holds = "holds" if len(others) == 1 else "hold"
        raise UserError(
            f"{len(others)} of {counted(count, 'item')} {holds} something else than was measured, by place: {some}. "
            "Give the same items in the same order.",
            field="items",
        )


# ---------------------------------------------------------------- what came out the same


def compare(before: Record, now: Record) -> Repetition:
    """What a run found of the one that it repeats."""
    if before.task and now.task:
        found = _of_items(before.id, before.task, now.task)
        found.speedups = [*_speedups(before, now)]
        found.environment = [*_differences(before.environment, now.environment)]
        agree = all(one.agrees is not False for one in found.speedups)
        found.reproduced = agree and found.function is not False and not found.other_pixels
        return found
    pairs = [*zip(before.good_images, now.images, strict=True)]
    results = [*_results(pairs)]
    found = Repetition(
        before.id,
        inputs=len(pairs),
        hashed=sum(old.sha256 is not None and old.sha256 == new.sha256 for old, new in pairs),
        results=len(results),
        other_pixels=[name for name, same in results if not same],
        speedups=[*_speedups(before, now)],
        environment=[*_differences(before.environment, now.environment)],
    )
    found.reproduced = not found.other_pixels and all(one.agrees is not False for one in found.speedups)
    return found


def _of_items(of: str, old: TaskRecord, new: TaskRecord) -> Repetition:
    """What two runs over items have in common."""

    def same(one: str | None, other: str | None) -> bool | None:
        return one == other if one and other else None

    results = [same(*pair) for pair in zip(old.results_sha256, new.results_sha256, strict=False)]
    return Repetition(
        of,
        same(old.function_sha256, new.function_sha256),
        same(old.file_sha256, new.file_sha256),
        inputs=new.items,
        hashed=sum(same(*pair) is True for pair in zip(old.items_sha256, new.items_sha256, strict=False)),
        results=sum(one is not None for one in results),
        other_pixels=[f"item {place}" for place, one in enumerate(results) if one is False],
    )


def _results(pairs: Sequence[tuple[ImageRecord, ImageRecord]]) -> Iterator[tuple[str, bool]]:
    """Each result whose pixels both runs know, and whether they are the same. One that failed now is another one."""
    for old, new in pairs:
        hashes = {output.operation: output.pixels_sha256 for output in new.outputs}
        for output in old.outputs:
            known = hashes.get(output.operation)
            if output.pixels_sha256 and (known or new.error):
                yield f"{old.name}: {output.operation}", output.pixels_sha256 == known


def _speedups(before: Record, now: Record) -> Iterator[Again]:
    of_label = {t.label: t for t in now.measurements}
    for old in before.measurements:
        if old.name == BASELINE or old.speedup is None:
            continue
        new = of_label.get(old.label) or TechniqueMeasurement(old.name, old.label, reason="it took no part")
        agrees = _agree(old, new) if new.speedup is not None else False
        reason = None if new.speedup is not None else new.reason or "it has no speedup"
        yield Again(old.label, old.speedup, old.speedup_ci95, new.speedup, new.speedup_ci95, agrees, reason)


def _agree(old: TechniqueMeasurement, new: TechniqueMeasurement) -> bool | None:
    found = [
        ci95[0] <= speedup <= ci95[1]
        for speedup, ci95 in ((new.speedup, old.speedup_ci95), (old.speedup, new.speedup_ci95))
        if ci95 and speedup is not None
    ]
    return any(found) if found else None


def _differences(before: Mapping[str, Any], now: Mapping[str, Any], path: str = "") -> Iterator[Difference]:
    """Of what both say; a version that did not know a fact says nothing of it."""
    for name in before:
        if name in _OF_THE_MOMENT and not path:
            continue
        old, new, where = before[name], now.get(name), f"{path}{name}"
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from _differences(old, new, f"{where}.")
            yield from (Difference(f"{where}.{key}", None, new[key]) for key in new if key not in old)
        elif old != new:
            yield Difference(where, old, new)
