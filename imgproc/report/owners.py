"""The owner map: which worker did each image, or each strip of one, and how long it took, as tints and as text."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from imgproc.measure.breakdown import CALLER
from imgproc.measure.results import SpanRecord
from imgproc.numbers import counted, listed, seconds
from imgproc.report.timeline import Names, ShownRound, shown_rounds, worker_name
from imgproc.runs.record import Record

#: So many colours are told apart; the worker after the last has the first one again, and its name.
TONES = 8
#: How strong the tint can be: three steps up to the longest time.
STRENGTHS = 3
#: Of so many images in strips the map is drawn.
MOST_CUT = 4

#: Stages of an image in strips that are of all of it.
_OF_THE_WHOLE = ("read", "decode")


@dataclass(frozen=True)
class Tint:
    """Who did something, in words with the time, and the classes of its colour and of its strength, from 1."""

    text: str
    tone: int
    strength: int


@dataclass(frozen=True)
class OwnedImage:
    """A whole image by its number on the page."""

    number: int
    name: str
    tint: Tint


@dataclass(frozen=True)
class OwnedStrip:
    """A strip of an image: its place from the top and its height, in percent."""

    number: int
    top: float
    height: float
    tint: Tint


@dataclass(frozen=True)
class CutImage:
    """An image in strips; ``before`` says who read and decoded it."""

    number: int
    name: str
    strips: list[OwnedStrip]
    before: str


@dataclass(frozen=True)
class WorkerTotal:
    """A worker of the legend."""

    text: str
    tone: int


@dataclass(frozen=True)
class Owners:
    """``whose``: of which technique and round. ``left_out``: how many more images there are in strips."""

    whose: str
    workers: list[WorkerTotal]
    images: Mapping[int, OwnedImage]
    cut: list[CutImage]
    left_out: int


def owners(record: Record, round: str = "", techniques: str = "") -> Owners | None:
    """Of the first technique with several workers that the timeline shows by the same values of an address; None where
    there is none.

    Whole images are by their number, from 1, those in strips in their order.
    """
    passes = shown_rounds(record, round, techniques)
    done = next((one for one in passes if one.technique.copies == 1 and len(_workers(one)) > 1), None)
    if done is None:
        return None
    of_image: dict[int, list[SpanRecord]] = defaultdict(list)
    for span in done.spans:
        if span.stage != "wait" and span.worker != CALLER:
            of_image[span.image].append(span)
    cut = {image: spans for image, spans in sorted(of_image.items()) if any(s.part is not None for s in spans)}
    whole = {image: spans for image, spans in sorted(of_image.items()) if image not in cut}
    map_of = _Map(record, done)
    longest = max((_time(spans) for spans in whole.values()), default=0.0)
    return Owners(
        f"{done.technique.label}, {'round ' + str(done.number) if len(done.technique.rounds) > 1 else 'one round'}",
        map_of.legend(whole, cut),
        {
            image + 1: OwnedImage(image + 1, map_of.names.names.get(image, ""), map_of.tint(spans, longest))
            for image, spans in whole.items()
        },
        [map_of.cut_image(image, spans) for image, spans in list(cut.items())[:MOST_CUT]],
        max(0, len(cut) - MOST_CUT),
    )


def _workers(done: ShownRound) -> set[int]:
    return {span.worker for span in done.spans if span.worker != CALLER}


def _time(spans: Sequence[SpanRecord]) -> float:
    return sum(span.end - span.start for span in spans)


def _by_worker(spans: Sequence[SpanRecord]) -> dict[int, float]:
    """Seconds of each worker, the one with most first."""
    found: dict[int, float] = defaultdict(float)
    for span in spans:
        found[span.worker] += span.end - span.start
    return dict(sorted(found.items(), key=lambda item: -item[1]))


class _Map:
    """Tints of one pass."""

    def __init__(self, record: Record, done: ShownRound) -> None:
        self.done, self.names = done, Names(record)
        self.hosts = {span.worker: span.host for span in done.spans}

    def who(self, worker: int) -> str:
        return worker_name(self.done.technique, worker, self.hosts.get(worker))

    def tint(self, spans: Sequence[SpanRecord], longest: float) -> Tint:
        """The colour is that of the worker that was longest at it; the text names all."""
        times = _by_worker(spans)
        total = sum(times.values())
        text = listed([f"{self.who(worker)}, {seconds(time)}" for worker, time in times.items()])
        share = total / longest if longest > 0 else 1.0
        return Tint(text, tone(next(iter(times))), max(1, min(STRENGTHS, 1 + int(share * STRENGTHS))))

    def cut_image(self, image: int, spans: Sequence[SpanRecord]) -> CutImage:
        """Its strips are as equal as can be, one below the other."""
        parts: dict[int, list[SpanRecord]] = defaultdict(list)
        for span in spans:
            if span.part is not None and span.stage not in _OF_THE_WHOLE:
                parts[span.part].append(span)
        longest = max(map(_time, parts.values()), default=0.0)
        height = 100 / (max(parts, default=0) + 1)
        before = _by_worker([span for span in spans if span.stage in _OF_THE_WHOLE])
        read = [f"{self.who(worker)} in {seconds(time)}" for worker, time in before.items()]
        return CutImage(
            image + 1,
            self.names.names.get(image, ""),
            [
                OwnedStrip(part + 1, round(part * height, 3), round(height, 3), self.tint(own, longest))
                for part, own in sorted(parts.items())
            ],
            f"Read and decoded by {listed(read)}." if read else "",
        )

    def legend(
        self, whole: Mapping[int, Sequence[SpanRecord]], cut: Mapping[int, Sequence[SpanRecord]]
    ) -> list[WorkerTotal]:
        """Every worker with what it did."""
        found = []
        for worker in sorted(_workers(self.done)):
            images, pieces = ([s for of in every.values() for s in of if s.worker == worker] for every in (whole, cut))
            strips = {(s.image, s.part) for s in pieces if s.part is not None and s.stage not in _OF_THE_WHOLE}
            did = [counted(len({s.image for s in images}), "image")] if whole else []
            did += [counted(len(strips), "strip")] if cut else []
            found.append(
                WorkerTotal(
                    f"{self.who(worker)}: {listed(did)}, {seconds(_time(images) + _time(pieces))}", tone(worker)
                )
            )
        return found


def tone(worker: int) -> int:
    """The colour of a worker, by its number from 1."""
    return (worker - 1) % TONES + 1
