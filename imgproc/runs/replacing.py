"""Results that are known to have other pixels than the baseline's do not stay: the baseline makes them again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from imgproc.backends.base import BackendError
from imgproc.errors import UserError
from imgproc.measure.protocol import Contender
from imgproc.numbers import counted, few
from imgproc.runs.other_pixels import WrongResults
from imgproc.runs.passes import Hashes, Passes
from imgproc.runs.progress import Cancelled
from imgproc.runs.record import ImageRecord


def replace_results(passes: Passes, main: Contender, baseline: Contender, made: Hashes, right: Hashes) -> None:
    """Have the baseline make every result again that was not found to have its pixels: where only a sample was
    compared, a technique that errs in it may have erred in any other image. Says so in the record.

    An image whose right result cannot be had has failed, and has none.

    Args:
        made: what ``main`` made, of the images that were compared.
        right: what the baseline made of the same images.

    Raises:
        UserError: no image is left.
        Cancelled: somebody asked to end the run; what was found to differ is no result then.
    """
    record = passes.record
    wrong = [image for image in record.good_images if image.index in right and made[image.index] != right[image.index]]
    others = [image for image in record.good_images if image.index not in right]
    rest = f"the {counted(len(others), 'image')} that were not compared"
    set_aside = WrongResults(passes, main.measurement.label, wrong, made, right)
    try:
        _make_again(passes, baseline, [*wrong, *others])
    except Cancelled:
        _withdraw(passes, wrong, others, "Its result had other pixels than the baseline’s, and the run was cancelled.")
        raise
    except BackendError as problem:
        _withdraw(passes, wrong, others, f"Its result had other pixels than the baseline’s, which failed: {problem}")
        then = "The baseline, which was to make these results again, failed, so there are none."
        if others:
            then += f" The results of {rest} may differ as well."
    else:
        record.other_pixels += set_aside.compare()
        failed = sum(image.error is not None for image in (*wrong, *others))
        then = f"The baseline made these results again{f', and those of {rest}' if others else ''}"
        then += f"; {counted(failed, 'image')} failed." if failed else "."
    names = few([image.name for image in wrong])
    of_name = {image.index: image.name for image in wrong}
    counts = "".join(
        f" In the {one.operation} of {of_name[one.image]} {one.pixels:,} of {one.of:,} pixels differ."
        for one in record.other_pixels
    )
    record.warnings.append(
        f"{main.measurement.label}: its pixels differed from the baseline’s in {len(wrong)} of the "
        f"{counted(len(right), 'image')} compared ({names}).{counts} {then}"
    )
    if not record.good_images:
        raise UserError("None of the images could be processed.", code="refused_image")


def _make_again(passes: Passes, baseline: Contender, images: Sequence[ImageRecord]) -> None:
    """Raises: BackendError: the baseline failed as a whole."""
    with passes.ready(baseline):
        done = passes.run_pass(baseline, images, passes.folders.outputs, "results")
        passes.note_outputs(done, images)
        passes.hash_results(baseline, [image for image in images if image.error is None])


def _withdraw(passes: Passes, wrong: Sequence[ImageRecord], others: Sequence[ImageRecord], why: str) -> None:
    """Remove results that differ; of the others nobody knows any more what pixels they have."""
    for image in wrong:
        for output in image.outputs:
            Path(passes.folders.outputs / output.file).unlink(missing_ok=True)
        image.error, image.outputs = image.error or why, []
    for output in (output for image in others for output in image.outputs):
        output.pixels_sha256 = None
        output.bytes = Path(passes.folders.outputs / output.file).stat().st_size
