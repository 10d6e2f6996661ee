"""Which images of a pass are cut into strips: those that would hold up its end if they were left whole."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from imgproc.backends import BASELINE, TECHNIQUES
from imgproc.errors import UserError
from imgproc.measure.derive import typical_spans
from imgproc.measure.results import TechniqueMeasurement
from imgproc.numbers import counted, listed, seconds
from imgproc.operations import not_in_strips
from imgproc.runs.record import ImageRecord, Record, RunSettings

#: What ``split`` may be, and what it means.
SPLITS = {"auto": "where it is faster", "never": "whole images", "always": "every image"}
#: The stages of an image that strips do not shorten.
SERIAL_STAGES = ("read", "decode")
#: Share of an image's work that strips do not shorten: reading and decoding it.
SERIAL = 0.18
#: What strips cost beyond that, as a share of the rest: borrowed rows, more tasks, waiting between the phases.
OVERHEAD = 0.06
#: Share of the time that must be gained, or whole images are simpler.
GAIN = 0.05
#: Megapixels below which an image, and a strip, is not worth the handing over.
LEAST_IMAGE, LEAST_STRIP = 1.0, 0.2
#: Megapixels in strips at the same time, unless one image alone has more.
MOST_AT_ONCE = 200.0
#: Strips for each worker: with one, the slowest would hold up the others; each cut makes edges take longer. Measured on
#: 24 megapixels, 2 give 1.5 times the speed of one worker and 3 give 1.35.
PER_WORKER = 2


def images_to_split(images: Sequence[ImageRecord], workers: int, split: str) -> list[ImageRecord]:
    """The largest images, as many as it pays to split; none with one worker.

    Args:
        split: a key of ``SPLITS``.
    """
    if split == "never" or workers < 2:
        return []
    order = sorted(images, key=lambda image: (-image.megapixels, image.index))
    if split == "always":
        return [image for image in order if image.height > 1]
    costs = [image.megapixels for image in order]
    least, count = makespan(costs, workers), 0
    needed = least * (1 - GAIN)
    for k in range(1, 1 + sum(cost >= LEAST_IMAGE for cost in costs[: 2 * workers])):
        serial = [cost * SERIAL for cost in costs[:k]]
        shared = sum(costs[:k]) * (1 - SERIAL) * (1 + OVERHEAD) / workers
        time = makespan(serial + costs[k:], workers) + shared
        if time < least and time < needed:
            least, count = time, k
    return order[:count]


def split_of(settings: RunSettings) -> str:
    """What ``split`` comes to: an operation that is not cut into strips keeps the images whole for all."""
    return "never" if not_in_strips(settings.operations) else settings.split


def strips_of(image: ImageRecord, workers: int) -> int:
    """How many strips an image is cut into."""
    return max(2, min(PER_WORKER * workers, int(image.megapixels / LEAST_STRIP)))


def groups_of(images: Sequence[ImageRecord]) -> list[list[ImageRecord]]:
    """The images in groups that are worked on in strips at the same time, within ``MOST_AT_ONCE``."""
    groups: list[list[ImageRecord]] = []
    for image in images:
        if groups and sum(i.megapixels for i in groups[-1]) + image.megapixels <= MOST_AT_ONCE:
            groups[-1].append(image)
        else:
            groups.append([image])
    return groups


def makespan(costs: Sequence[float], workers: int) -> float:
    """When the last worker is done, each taking the next task as soon as it is free."""
    free = [0.0] * workers
    for cost in costs:
        heapq.heapreplace(free, free[0] + cost)
    return max(free)


def parse_split(value: str) -> str:
    """A key of ``SPLITS``.

    Raises:
        UserError: there is no such choice.
    """
    if value not in SPLITS:
        known = ", ".join(SPLITS)
        raise UserError(f"split must be one of {known}, not “{value}”.", field="split", limit=known)
    return value


def explain(record: Record) -> list[str]:
    """What was cut into strips and why, and how much of it cannot be; a sentence each, none where nothing was."""
    main = record.technique
    if main is not None and (why := not_in_strips(record.settings.operations)):
        able = main.name in TECHNIQUES and TECHNIQUES[main.name].load().capabilities.splits
        wanted = able and images_to_split(record.good_images, main.workers, record.settings.split)
        return [f"Every image stays whole: {why}."] if wanted else []
    if main is None or not main.split:
        return []
    names = {image.index: image.name for image in record.images}
    cut = [names.get(index, f"image {index + 1}") for index in main.split]
    who = listed(cut) if len(cut) <= 3 else f"{counted(len(cut), 'image')}"
    were = "was" if len(cut) == 1 else "were"
    if record.settings.split == "always":
        why = "as asked for"
    elif len(record.sample or record.good_images) < main.workers:
        why = "because there are fewer images than workers"
    else:
        why = (
            "because left whole it would have held up the end"
            if len(cut) == 1
            else ("because left whole they would have held up the end")
        )
    return [f"{who} {were} cut into strips, {why}.", *_limit(record, main)]


def _limit(record: Record, main: TechniqueMeasurement) -> list[str]:
    """The most that strips can gain by Amdahl's law, from the stages of the baseline."""
    baseline = next((t for t in record.techniques if t.name == BASELINE and t.spans), None)
    if baseline is None:
        return []
    spans = [span for span in typical_spans(baseline) if span.image in main.split]
    whole = sum(span.end - span.start for span in spans)
    in_parts = {span.image for span in main.spans if span.stage in SERIAL_STAGES and span.part is not None}
    serial = sum(s.end - s.start for s in spans if s.stage in SERIAL_STAGES and s.image not in in_parts)
    if not 0 < serial < whole:
        return []
    of = "it" if len(main.split) == 1 else "them"
    return [
        f"Of the {seconds(whole)} that one worker needs for {of}, {seconds(serial)} of reading and decoding cannot be "
        f"split: no more than {whole / serial:.1f} times as fast, however many workers."
    ]
