"""Which images of a pass are cut into strips: those that would hold up its end if they were left whole."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Sequence

from imgproc.operations import not_in_strips
from imgproc.runs.record import ImageRecord, RunSettings

#: The stages of an image that strips do not shorten.
SERIAL_STAGES = ("read", "decode")
#: Share of an image's work that strips do not shorten: reading and decoding it; of one that is decoded in pieces,
#: finding these.
SERIAL, SERIAL_IN_PIECES = 0.18, 0.01
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


def images_to_split(
    images: Sequence[ImageRecord],
    workers: int,
    split: str,
    in_pieces: Callable[[ImageRecord], bool] = lambda _: False,
) -> list[ImageRecord]:
    """The largest images, as many as it pays to split; none with one worker.

    Args:
        split: a key of ``options.SPLITS``.
        in_pieces: whether an image's file can be decoded in pieces; asked of a few of the largest ones.
    """
    if split == "never" or workers < 2:
        return []
    order = sorted(images, key=lambda image: (-image.megapixels, image.index))
    if split == "always":
        return [image for image in order if image.height > 1]
    costs = [image.megapixels for image in order]
    least, count = makespan(costs, workers), 0
    needed = least * (1 - GAIN)
    serial: list[float] = []
    for k in range(1, 1 + sum(cost >= LEAST_IMAGE for cost in costs[: 2 * workers])):
        serial.append(costs[k - 1] * (SERIAL_IN_PIECES if in_pieces(order[k - 1]) else SERIAL))
        shared = (sum(costs[:k]) - sum(serial)) * (1 + OVERHEAD) / workers
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


def groups_of(
    images: Sequence[ImageRecord],
    taken: Callable[[ImageRecord], float] = lambda _: 0,
    room: float = math.inf,
    fits: Callable[[Sequence[ImageRecord]], bool] = lambda _: True,
) -> list[list[ImageRecord]]:
    """The images in groups that are worked on in strips at the same time, within ``MOST_AT_ONCE`` and, with the bytes
    ``taken`` by each, within ``room``; and, where more than one, only those that ``fits`` says can be."""
    groups: list[list[ImageRecord]] = []
    for image in images:
        larger = [*groups[-1], image] if groups else []
        within = sum(i.megapixels for i in larger) <= MOST_AT_ONCE and sum(map(taken, larger)) <= room
        if larger and within and fits(larger):
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
