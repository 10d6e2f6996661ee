"""Records that were never measured, for the figures."""

from __future__ import annotations

import random
from functools import cache

from matplotlib.backends.backend_agg import RendererAgg
from scale_runs import scale_run

from imgproc.measure.derive import derive
from imgproc.measure.laws import amdahl, gustafson
from imgproc.measure.results import Round, SpanRecord, TechniqueMeasurement
from imgproc.report.charts import figures, style
from imgproc.runs.record import ImageRecord, Record, RunSettings

SHARES = {"read": 0.01, "decode": 0.17, "canny": 0.19, "gaussian": 0.07, "equalize": 0.09, "encode": 0.42}
# Name, label, workers, how long the work takes against the baseline's.
SEVEN = [
    ("sequential", "Sequential", 1, 1.0),
    ("opencv", "OpenCV’s own threads", 1, 1.0),
    ("multiprocessing", "Process pool", 2, 1.12),
    ("threading", "Threads", 2, 1.01),
    ("futures-threads", "Futures, threads", 2, 1.015),
    ("futures-processes", "Futures, processes", 2, 1.14),
    ("joblib", "joblib", 2, 1.2),
]
TWO = [SEVEN[0], SEVEN[3]]
TWELVE = [
    *SEVEN,
    ("slow", "A technique with a label that is really much too long for its column", 2, 2.6),
    ("mpi", "Message passing, two ranks of one machine (MPI)", 2, 1.3),
    ("dask", "Dask, $distributed$ cluster & <more>", 2, 1.5),
    ("gpu", "GPU pipeline", 1, 0.12),
    ("cuda", "CUDA through Numba", 1, 0.0006),
]
#: One technique in three ways under one name.
TRANSFERS = [
    SEVEN[0],
    ("multiprocessing", "Process pool, paths", 2, 1.1),
    ("multiprocessing", "Process pool, pickled arrays", 2, 2.3),
    ("multiprocessing", "Process pool, shared memory", 2, 1.3),
]
GONE = TechniqueMeasurement("cupy", "CuPy", available=False, reason="The Python package cupy is not installed.")


def measured(name, label, workers, factor, *, images=12, rounds=9, base=1.7, noise=0.015):
    chance = random.Random(label)
    technique = TechniqueMeasurement(name, label, workers=workers, identical=True, startup_seconds=0.001)
    for number in range(1, rounds + 1):
        scale = factor * chance.lognormvariate(0, noise)
        ends = [0.0] * workers
        for image in range(images):
            worker = image % workers
            for stage, share in SHARES.items():
                start = ends[worker]
                ends[worker] += share * base / images * scale
                technique.spans.append(SpanRecord(worker + 1, image, stage, start, ends[worker], number))
        technique.rounds.append(Round(max(ends) * 1.01))
    return technique


def fabricated(techniques=tuple(SEVEN), *, mode="compare", images=12, cores=2, **changes):
    record = Record("0123456789ab", mode, RunSettings(["canny", "gaussian", "equalize"], {}, workers=2, seed=7))
    record.state, record.environment = "done", {"cores_usable": cores}
    record.images = [ImageRecord(k, f"photo {k}.jpg", 96, 64, "JPEG") for k in range(images)]
    record.techniques = [measured(*row, images=images, **changes) for row in techniques]
    derive(record.techniques, images=images, megapixels=1.0)
    record.best = min(record.techniques, key=lambda t: t.median_seconds).name
    return record


def scaled(cores, counts, serial, *, weak=True, pairs=0.0, **more):
    """A scale run whose speedups follow Amdahl's law up to the cores; every pair of workers costs ``pairs``."""

    def strong(workers, inner=1):
        speedup = amdahl(min(workers * inner**0.5, cores), serial) / (1 + pairs * workers * (workers - 1))
        return speedup * (0.97 if workers * inner > cores else 1)

    grown = (lambda p: gustafson(min(p, cores), serial * 0.6)) if weak else None
    return scale_run(counts, strong, grown, grid=strong, cores=cores, **{"noise": 0.015, "rounds": 9, **more})


BARS = {
    "two": fabricated(TWO, mode="parallel"),
    "seven": fabricated(),
    "twelve": fabricated(TWELVE),
    "transfers": fabricated(TRANSFERS),
    "no intervals": fabricated(rounds=3),
    "instant": fabricated(base=0.0004),
    "many rounds": fabricated(rounds=60, images=2),
    "sixty-four cores": fabricated([SEVEN[0], ("threading", "Threads", 64, 1.3)], images=128, cores=64),
}
SCALES = {
    "two cores": scaled(2, [1, 2, 3, 4], 0.03, inner=(1, 2)),
    "eight cores": scaled(8, [1, 2, 4, 6, 8, 12], 0.06, inner=(1, 2, 4)),
    "many cores": scaled(64, [1, 2, 4, 8, 16, 32, 48, 64, 128], 0.02, inner=(1, 64), pairs=0.00002, rounds=6),
    "two counts": scaled(4, [1, 2], 0.1, weak=False),
    "wide intervals": scaled(4, [1, 2, 3, 4], 0.4, noise=0.12, rounds=6),
    "one worker only": scaled(2, [1, 2, 4], 0.7, technique="opencv", weak=False),
    "few rounds": scaled(2, [1, 2, 4], 0.05, inner=(1, 2), rounds=3),
}
CASES = {**BARS, **{f"scale, {name}": record for name, record in SCALES.items()}}


def of(record, name):
    """The chart of that name, None where the record has none."""
    return next((chart for chart in figures(record) if chart.name == name), None)


def drawn(record, name, narrow=False, theme="light"):
    """matplotlib's figure, and its first axes."""
    figure = style.drawn(of(record, name), style.Style(theme, narrow))
    return figure, figure.axes[0]


def marks(axes):
    """Those with room for an interval: marker, x, y, the ends of the interval if there is one, and whether hollow."""
    found = []
    for line, _, (intervals,) in (made.lines for made in axes.containers if hasattr(made, "has_xerr")):
        hollow = line.get_markerfacecolor() == style.COLOURS["light"]["paper"]
        for x, y, ends in zip(*line.get_data(), intervals.get_segments(), strict=True):
            found.append((line.get_marker(), x, y, list(ends) if len(ends) > 1 else [], hollow))
    return found


def words(figure):
    """Every line of text that is drawn, with its left, top, right and bottom edge in pixels from the top left."""
    found = []
    renderer = RendererAgg(figure.bbox.width, figure.bbox.height, figure.dpi)

    def draw_text(gc, x, y, text, prop, angle, ismath=False, mtext=None):
        width, height, descent = renderer.get_text_width_height_descent(text, prop, ismath)
        found.append((text, x, y - height + descent, x + width, y + descent))

    renderer.draw_text = draw_text
    figure.draw(renderer)
    return found


@cache
def words_of(case, name, narrow):
    """``words`` of a figure of one of the ``CASES``, and the figure's width and height in pixels."""
    figure, _ = drawn(CASES[case], name, narrow)
    return words(figure), figure.bbox.width, figure.bbox.height


def texts(record, name, narrow=False):
    return [text for text, *_ in words(drawn(record, name, narrow)[0])]
