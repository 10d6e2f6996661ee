"""Measures what a machine is like, in about a minute, on pictures drawn for it: what every stage costs on one
thread, and how every technique does with few and many, small and large images, compared with the baseline beside it."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2

from imgproc.backends import BASELINE
from imgproc.backends.base import BackendError
from imgproc.files import own_folder
from imgproc.intake.samples import JPEG_QUALITY, KINDS, draw
from imgproc.measure.environment import environment
from imgproc.measure.load import MachineLoad, tree_cpu_seconds
from imgproc.measure.protocol import Contender, conclude
from imgproc.operations import DEFAULT_OPERATIONS, OPERATIONS, parse_parameters
from imgproc.operations.contract import Image
from imgproc.pixels.codecs import FORMATS
from imgproc.runs.advisor.calibration import Calibration
from imgproc.runs.advisor.learning import Kept, learn
from imgproc.runs.advisor.pace import pace_seconds
from imgproc.runs.contenders import find_contenders
from imgproc.runs.headers import look_at
from imgproc.runs.passes import Passes, RunFolders
from imgproc.runs.progress import OnProgress, Tracker
from imgproc.runs.record import Record, RunSettings
from imgproc.settings import Settings
from imgproc.temporary import temporary_folder

#: Batches that every technique does: how many images of how many megapixels each.
BATCHES = (((4, 1.0), (12, 0.1)), ((1, 0.1),), ((120, 0.03),), ((6, 3.0),), ((1, 12.0),))
#: One of which every image is cut into strips, which are many for so little work.
STRIPS = ((12, 0.2), (2, 1.5))
#: The images on which the codecs of other formats, and other operations, are timed, as above.
CODECS = ((3, 0.1), (2, 2.0))
#: Files that cameras, scanners and other programs write, and what writes them.
INPUTS = {"JPEG": ".jpg", "PNG": ".png", "TIFF": ".tif", "BMP": ".bmp", "WebP": ".webp"}
_ROUNDS = 3
_WORK = ".imgproc-calibration"


@dataclass(frozen=True)
class _Pictures:
    """Drawn pictures as files in a folder, each drawn once and encoded once in a format."""

    folder: Path
    drawn: dict[tuple[int, float], Image] = field(default_factory=dict)

    def files(self, megapixels: float, count: int, suffix: str = ".jpg") -> Iterator[Path]:
        """So many files, the kinds of pictures taking turns."""
        for number in range(count):
            file = self.folder / f"{megapixels:g}-{number}{suffix}"
            if not file.exists():
                first = self.folder / f"{megapixels:g}-{number % len(KINDS)}{suffix}"
                file.write_bytes(
                    _encoded(self._drawn(number, megapixels), suffix) if file == first else first.read_bytes()
                )
            yield file

    def _drawn(self, kind: int, megapixels: float) -> Image:
        if (kind, megapixels) not in self.drawn:
            self.drawn[kind, megapixels] = draw(kind, megapixels)
        return self.drawn[kind, megapixels]


def _encoded(image: Image, suffix: str) -> bytes:
    quality = {".jpg": [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY], ".webp": [cv2.IMWRITE_WEBP_QUALITY, JPEG_QUALITY]}
    _, data = cv2.imencode(suffix, image, quality.get(suffix, []))
    return data.tobytes()


def calibrate(
    settings: Settings, workers: int, progress: OnProgress = lambda _: None
) -> tuple[Calibration, float | None]:
    """Measure this machine anew. Returns what it is like, and how many cores others used meanwhile (None: nobody can
    say).

    Args:
        workers: of each technique.

    Raises:
        OSError: there is no room for the pictures.
    """
    usual = RunSettings(list(DEFAULT_OPERATIONS), parse_parameters({}), workers=workers, budget=1.0)
    contenders = find_contenders(Record("", "compare", usual), settings.TASK_SECONDS, settings).all
    with own_folder(temporary_folder(), _WORK) as folder, ExitStack() as stack:
        for contender in contenders:
            stack.callback(contender.close)
        load = MachineLoad(own=lambda: tree_cpu_seconds({pid for c in contenders for pid in c.backend.helpers}))
        load.start()
        rounds, pictures = _Rounds(settings, folder, progress), _Pictures(folder)
        for number, batch in enumerate(BATCHES):
            files = [file for count, megapixels in batch for file in pictures.files(megapixels, count)]
            rounds.measure(contenders, files, usual, first=number == 0)
        files = [file for count, megapixels in STRIPS for file in pictures.files(megapixels, count)]
        rounds.measure(contenders, files, replace(usual, split="always"))
        baseline = [c for c in contenders if c.technique.name == BASELINE]
        for changed, suffix in _baseline_runs(usual):
            files = [file for count, megapixels in CODECS for file in pictures.files(megapixels, count, suffix)]
            rounds.measure(baseline, files, changed)
        return rounds.calibration, load.stop()


def _baseline_runs(usual: RunSettings) -> Iterator[tuple[RunSettings, str]]:
    """What the batches of all techniques leave out: other files, other results, other operations, and colours."""
    others = [name for name in OPERATIONS if name not in usual.operations]
    for color in (False, True):
        if others:
            yield replace(usual, color=color, operations=others), INPUTS["JPEG"]
        for suffix in INPUTS.values():
            if color or suffix != INPUTS["JPEG"]:
                yield replace(usual, color=color), suffix
        for format in FORMATS:
            if format != usual.format:
                yield replace(usual, color=color, format=format), INPUTS["JPEG"]


@dataclass
class _Rounds:
    """Rounds in a folder, and what they teach."""

    settings: Settings
    folder: Path
    progress: OnProgress
    calibration: Calibration = field(default_factory=Calibration)

    def measure(
        self, contenders: list[Contender], files: Sequence[Path], asked: RunSettings, *, first: bool = False
    ) -> None:
        """Rounds of one batch; one before them for workers that are new. Who cannot work here is taken out of the
        contenders."""
        record = Record("", "compare", asked, look_at(files, self.settings))
        record.environment = {**environment(), "pace_seconds": pace_seconds()}
        folders = RunFolders(dict(enumerate(files)), self.folder / "out", None, self.folder / "work")
        tracker = Tracker(self.progress, rounds=_ROUNDS, budget=asked.budget, contenders=len(contenders))
        passes = Passes(record, folders, tracker)
        passes.name_outputs()
        for contender in contenders:
            contender.passes.clear()
            contender.measurement.first_round_seconds = None
        for number in range(_ROUNDS + first):
            for contender in random.Random(number).sample(contenders, len(contenders)):
                try:
                    with passes.ready(contender):
                        done = passes.run_pass(contender, record.good_images, folders.work, "rounds", number)
                except BackendError:  # a run will say why
                    contenders.remove(contender)
                    continue
                if first and number == 0:
                    contender.measurement.first_round_seconds = done.round.wall_seconds
                    contender.measurement.first_round_images = len(files)
                else:
                    contender.passes.append(done)
        conclude(contenders, images=len(files), megapixels=record.megapixels)
        record.techniques = [contender.measurement for contender in contenders]
        learn(self.calibration, record, kept=Kept(1.0, 1.0))
