"""What the page of a scale run shows of its curves, laws and grid."""

from __future__ import annotations

from dataclasses import dataclass

from imgproc.measure.curves import Cell, Point
from imgproc.report import findings
from imgproc.report.laws import Law, laws
from imgproc.runs.record import Record


@dataclass(frozen=True)
class Section:
    """``what`` is a worker or a thread; ``images`` how many each round had, in weak scaling for each of them.

    ``rows`` of the grid are a number of workers and its cells, one for each of ``inner`` OpenCV threads, None where
    nothing was measured.
    """

    what: str
    cores: int | None
    images: int
    headline: str
    strong: list[Point]
    best: Point | None
    weak: list[Point]
    weak_headline: str
    laws: list[Law]
    inner: list[int]
    rows: list[tuple[int, list[Cell | None]]]
    best_cell: Cell | None
    grid_headline: str
    left_out: list[str]


def section(record: Record) -> Section | None:
    """None where no number of workers was measured."""
    found = record.scaling
    if found is None or not found.strong:
        return None
    inner = sorted({cell.cv2_threads for cell in found.grid})
    cells = {(cell.workers, cell.cv2_threads): cell for cell in found.grid}
    compared = [p for p in found.strong if p.speedup is not None]
    return Section(
        what=findings.unit(found.technique),
        cores=found.cores,
        images=len(record.sample or record.good_images),
        headline=findings.headline(found, record.techniques),
        strong=found.strong,
        best=min(compared, key=lambda p: p.seconds, default=None),
        weak=found.weak,
        weak_headline=findings.weak_headline(found),
        laws=laws(found),
        inner=inner,
        rows=[(w, [cells.get((w, count)) for count in inner]) for w in sorted({cell.workers for cell in found.grid})],
        best_cell=min((c for c in found.grid if c.speedup is not None), key=lambda c: c.seconds, default=None),
        grid_headline=findings.grid_headline(found, record.techniques) if found.grid else "",
        left_out=findings.left_out(record.techniques, record.weak),
    )
