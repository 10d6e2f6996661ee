"""One image in strips: for every operation, the same pixels as of the whole image, to the last.

An image is cut into strips of rows. Each phase of an operation works on every strip by itself, and what the strips
found is merged before the next. Who runs the strips, and how they reach the pixels, is not decided here:

    strips = cut(height, 2 * workers)
    out = numpy.empty(STRIPS[name].result_shape(source.shape), numpy.uint8)
    given = None
    for phase in STRIPS[name].phases:
        partials = [phase.work(source, rows.of(out), rows, parameters, given) for rows in strips]   # in parallel
        given = phase.merge(out, strips, partials)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np

from imgproc.operations import filters
from imgproc.operations.canny import strips as edges
from imgproc.operations.contract import Image
from imgproc.operations.rows import Phase, Rows, StripOperation, cut
from imgproc.parameters import Parameters

__all__ = ["STRIPS", "Phase", "Rows", "StripOperation", "apply", "cut"]

STRIPS: dict[str, StripOperation] = {
    "canny": StripOperation((Phase(edges.edges, edges.finish),), gray=True, border=edges.border),
    "gaussian": StripOperation((Phase(filters.blur),), border=filters.border),
    "equalize": StripOperation((Phase(filters.histogram, filters.table, writes=False), Phase(filters.equalize))),
}

Map = Callable[[Callable[[Rows], Any], Sequence[Rows]], Iterable[Any]]


def apply(name: str, source: Image, parameters: Parameters, strips: Sequence[Rows], run: Map = map) -> Image:
    """The operation on strips within this process.

    Args:
        name: a key of ``STRIPS``.
        source: uint8 of shape (height, width) or (height, width, 3) in BGR order.
        parameters: every parameter of the operation.
        strips: of ``cut``, or any that cover all rows in order.
        run: how the strips of a phase are done; the ``map`` of an executor of threads does them at once.

    Returns:
        What ``OPERATIONS[name].apply`` gives on the whole image.
    """
    operation = STRIPS[name]
    out = np.empty(operation.result_shape(source.shape), np.uint8)
    given = None
    for phase in operation.phases:
        work = partial(_work, phase, source, out, parameters, given)
        given = phase.merge(out, strips, list(run(work, strips)))
    return out


def _work(phase: Phase, source: Image, out: Image, parameters: Parameters, given: Any, rows: Rows) -> Any:
    return phase.work(source, rows.of(out), rows, parameters, given)
