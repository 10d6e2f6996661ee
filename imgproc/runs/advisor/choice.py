"""Which technique is likely to be done first with a run's images, and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from imgproc.backends import AUTO, BASELINE, TECHNIQUES, cannot_run, default_techniques
from imgproc.numbers import counted, seconds
from imgproc.pixels.png_encoders import expected
from imgproc.runs.advisor.calibration import Calibration
from imgproc.runs.advisor.prediction import Batch, Prediction, predict, predicted_costs
from imgproc.runs.contenders import undone
from imgproc.runs.record import ImageRecord, RunSettings, png_megapixels

#: Predictions that differ by less are as good; the simplest technique is taken then.
ALIKE = 0.06
#: A start-up that is a larger share of the whole is told.
_NOTICEABLE = 0.05


def batch_of(images: Sequence[ImageRecord], settings: RunSettings) -> Batch:
    """The images with what is to be done, and the PNG encoder that this makes likely."""
    return Batch(images, settings, expected(png_megapixels(images, settings), settings.workers))


def predictions(
    calibration: Calibration, batch: Batch, workers: int, pace_seconds: float | None = None
) -> list[Prediction]:
    """Of every technique that can run here with so many workers and of which something is known, fastest first.

    Args:
        pace_seconds: of the machine now, by the function of that name.
    """
    slower = calibration.slower(pace_seconds)
    return sorted(_known(calibration, batch, workers, slower), key=lambda one: one.job_seconds)


def _known(calibration: Calibration, batch: Batch, workers: int, slower: float) -> Iterator[Prediction]:
    costs = predicted_costs(calibration, batch)
    for technique in default_techniques():
        if cannot_run(technique, workers) or undone(technique, batch.settings):
            continue
        count = 1 if technique.name == BASELINE else workers
        if found := predict(calibration, batch, costs, technique, count, slower=slower):
            yield found


def pick(found: Sequence[Prediction], *, baseline: bool) -> Prediction | None:
    """The one to take of predictions that begin with the fastest; None where there are none.

    Until ``AUTO`` was measured on this machine nothing is known of what is faster than that.

    Args:
        baseline: it may be taken as well; else a speedup is wanted, for which it is no answer.
    """
    able = [one for one in found if baseline or one.technique != BASELINE]
    known = [one for one in able if one.measured]
    if not any(one.technique == AUTO for one in known):
        return next((one for one in able if one.technique == AUTO), next(iter(able), None))
    as_good = [one for one in known if one.job_seconds <= known[0].job_seconds * (1 + ALIKE)]
    return min(as_good, key=lambda one: (one.technique != BASELINE, one.technique != AUTO), default=None)


def why(chosen: Prediction, found: Sequence[Prediction], batch: Batch) -> str:
    """What a technique and others are predicted to take, and from which measurements, in two sentences."""
    megapixels = sum(image.megapixels for image in batch.images)
    others = [one for one in found if one.technique != chosen.technique]
    shown = [one for one in others if one.technique == BASELINE] + [o for o in others if o.technique != BASELINE][:2]
    said = f"{_label(chosen)}: {seconds(chosen.job_seconds)} predicted for {counted(len(batch.images), 'image')} of "
    said += f"{megapixels:.3g} megapixels in all"
    if chosen.start_seconds > _NOTICEABLE * chosen.job_seconds:
        said += f", of which starting takes {seconds(chosen.start_seconds)}"
    if shown:
        said += f", against {' and '.join(f'{seconds(one.job_seconds)} with {_label(one)}' for one in shown)}"
    if chosen.measured:
        return f"{said}. The prediction is from measurements on this machine."
    return f"{said}. The prediction is from another machine’s figures; “calibrate” measures this one."


def _label(one: Prediction) -> str:
    technique = TECHNIQUES[one.technique]
    return technique.label if one.workers == 1 else f"{technique.label}, {counted(one.workers, technique.unit)}"
