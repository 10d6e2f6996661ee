"""What there is to know of how images were read: each sentence once, with the images that it is about."""

from __future__ import annotations

from dataclasses import dataclass

from imgproc.numbers import counted, few
from imgproc.runs.record import ImageRecord, Record

#: A text or a page tells so many sentences; thousands of images may each have one of their own.
MOST_SENTENCES = 10


@dataclass(frozen=True)
class ImageWarning:
    """One sentence and the images that it is about."""

    sentence: str
    images: list[ImageRecord]

    @property
    def who(self) -> str:
        """The image, or how many there are."""
        return self.images[0].name if len(self.images) == 1 else counted(len(self.images), "image")

    @property
    def line(self) -> str:
        """For a text: who, the sentence, and of several images the names of a few."""
        names = f" ({few([image.name for image in self.images])})" if len(self.images) > 1 else ""
        return f"{self.who}: {self.sentence}{names}"


@dataclass(frozen=True)
class ImageWarnings:
    """The sentences that are told, those of the most images first, and how many images have others as well."""

    told: list[ImageWarning]
    others: int

    @property
    def lines(self) -> list[str]:
        """All of it for a text, a line each."""
        left = f"further warnings of {counted(self.others, 'image')} are in the record (images[].warnings)."
        return [*(one.line for one in self.told), *([left] if self.others else [])]


def image_warnings(record: Record) -> ImageWarnings:
    """The warnings of all images of a record, by sentence."""
    of_sentence: dict[str, list[ImageRecord]] = {}
    for image in record.images:
        for sentence in dict.fromkeys(image.warnings):
            of_sentence.setdefault(sentence, []).append(image)
    every = sorted((ImageWarning(*one) for one in of_sentence.items()), key=lambda one: -len(one.images))
    others = {image.index for one in every[MOST_SENTENCES:] for image in one.images}
    return ImageWarnings(every[:MOST_SENTENCES], len(others))
