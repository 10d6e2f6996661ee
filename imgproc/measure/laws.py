"""How time changes with the number of workers: closed forms, and fits that say where their data ends."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, least_squares, minimize_scalar, nnls
from scipy.special import stdtrit

#: Different worker counts below which no fit is made: a fit of two parameters needs one point more to show its error.
LEAST_FOR_FIT = 3
#: The same for the Universal Scalability Law, whose three parameters are easily mistaken for each other.
LEAST_FOR_USL = 6
#: Squared differences of logarithms as small as this come from rounding, not from timing.
ROUNDING = 1e-18

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Prediction:
    """What a fitted law says for a number of workers; ``beyond`` is True outside the worker counts measured."""

    value: float
    beyond: bool


@dataclass(frozen=True)
class SerialFit:
    """A law with one serial fraction, fitted to measured speedups.

    ``serial``: 0 to 1. ``interval``: its 95 % interval, None where no fraction from 0 to 1 fits the data,
    as with speedups above the number of workers. ``scale``: the fitted curve's speedup at one worker, which is
    not quite 1 because the time of one worker is measured with an error too. ``residuals``: measured over
    fitted speedup, less 1. ``workers``: least and most measured.
    """

    serial: float
    interval: tuple[float, float] | None
    scale: float
    residuals: tuple[float, ...]
    workers: tuple[int, int]


@dataclass(frozen=True)
class AmdahlFit(SerialFit):
    """Amdahl's law fitted to strong scaling: the same images for every number of workers."""

    def speedup(self, workers: float) -> Prediction:
        """The fitted speedup."""
        return Prediction(self.scale * amdahl(workers, self.serial), _outside(workers, self.workers))

    @property
    def limit(self) -> Prediction | None:
        """The speedup that no number of workers exceeds, always beyond the data; None without a serial part."""
        return Prediction(self.scale / self.serial, beyond=True) if self.serial > 0 else None


@dataclass(frozen=True)
class GustafsonFit(SerialFit):
    """Gustafson's law fitted to weak scaling: images grow with the workers."""

    def speedup(self, workers: float) -> Prediction:
        """The fitted scaled speedup."""
        return Prediction(self.scale * gustafson(workers, self.serial), _outside(workers, self.workers))


@dataclass(frozen=True)
class UslFit:
    """The Universal Scalability Law fitted to throughputs.

    ``gamma``: throughput of one worker, in the data's unit. ``sigma``: contention, 0 to 1, what waits in a queue.
    ``kappa``: coherency, 0 or more, what grows with every pair of workers. ``peak``: the number of workers with
    the highest throughput, None where the curve only flattens. ``residuals``: measured over fitted, less 1.
    ``workers``: least and most measured.
    """

    gamma: float
    sigma: float
    kappa: float
    peak: Prediction | None
    residuals: tuple[float, ...]
    workers: tuple[int, int]

    def throughput(self, workers: float) -> Prediction:
        """The fitted throughput."""
        value = self.gamma * usl(workers, self.sigma, self.kappa)
        return Prediction(value, _outside(workers, self.workers))


def karp_flatt(speedup: float, workers: int) -> float | None:
    """Experimentally determined serial fraction (1/S - 1/p) / (1 - 1/p). (Karp and Flatt, CACM 33(5), 1990.)

    Negative where S exceeds p. None for one worker, where it is not defined.
    """
    if workers < 2:
        return None
    return (1 / speedup - 1 / workers) / (1 - 1 / workers)


def amdahl(workers: float, serial: float) -> float:
    """Speedup 1 / (s + (1 - s)/p) of work of which the fraction ``serial`` uses one worker.

    (Amdahl, AFIPS 1967; in this form in Gustafson, CACM 31(5), 1988.)
    """
    return 1 / (serial + (1 - serial) / workers)


def gustafson(workers: float, serial: float) -> float:
    """Scaled speedup p + (1 - p) s, ``serial`` being the serial share of the parallel run's time.

    (Gustafson, CACM 31(5), 1988.)
    """
    return workers + (1 - workers) * serial


def usl(workers: float, sigma: float, kappa: float) -> float:
    """Relative capacity N / (1 + sigma (N - 1) + kappa N (N - 1)); without ``kappa`` it is Amdahl's law.

    (Gunther, Guerrilla Capacity Planning, Springer 2007, chapter 4.)
    """
    return workers / (1 + sigma * (workers - 1) + kappa * workers * (workers - 1))


def fit_amdahl(workers: Sequence[int], speedups: Sequence[float]) -> AmdahlFit | None:
    """Amdahl's serial fraction from strong scaling.

    Give the one-worker measurement as a point too, with its speedup (1 where it is itself the baseline):
    its error moves all speedups together, so the fit leaves the curve's height free (``scale``).

    Returns:
        The fit, or None below ``LEAST_FOR_FIT`` different worker counts.

    Raises:
        ValueError: not one speedup per worker count, a count below 1, or a speedup that is not positive.
    """
    p, s = _points(workers, speedups)
    if len(set(workers)) < LEAST_FOR_FIT:
        return None
    # below this the law's time would be negative for the most workers; up to 2 is a clear slow-down by workers
    span = (-0.999 / (float(p.max()) - 1), 2.0)
    return AmdahlFit(*_fit_serial(lambda x: -np.log(x + (1 - x) / p), np.log(s), span), _range(p))


def fit_gustafson(workers: Sequence[int], scaled: Sequence[float]) -> GustafsonFit | None:
    """Gustafson's serial share from weak scaling; otherwise as ``fit_amdahl``."""
    p, s = _points(workers, scaled)
    if len(set(workers)) < LEAST_FOR_FIT:
        return None
    span = (-1.0, 1 + 0.999 / (float(p.max()) - 1))
    return GustafsonFit(*_fit_serial(lambda x: np.log(p + (1 - p) * x), np.log(s), span), _range(p))


def fit_usl(workers: Sequence[int], throughput: Sequence[float]) -> UslFit | None:
    """Gunther's Universal Scalability Law by least squares, the three parameters together.

    The curve peaks at sqrt((1 - sigma)/kappa) workers. (Gunther, Guerrilla Capacity Planning, 2007, chapters 4, 5.)

    Args:
        throughput: work per time in any unit, such as images per second.

    Returns:
        The fit, or None below ``LEAST_FOR_USL`` different worker counts.

    Raises:
        ValueError: not one throughput per worker count, a count below 1, or a throughput that is not positive.
    """
    n, x = _points(workers, throughput)
    if len(set(workers)) < LEAST_FOR_USL:
        return None
    unit = float(x.max())

    def misses(parameters: Array) -> Array:
        gamma, sigma, kappa = parameters
        fitted: Array = gamma * n / (1 + sigma * (n - 1) + kappa * n * (n - 1))
        return fitted - x / unit

    # n/x is linear in 1/gamma, sigma/gamma and kappa/gamma: solved exactly, this is close enough to start from
    columns = np.stack([np.ones_like(n), n - 1, n * (n - 1)], axis=1)
    (inverse, *rest), _ = nnls(columns, n * unit / x)
    inverse = max(inverse, 1e-6)
    start = [1 / inverse, min(1.0, rest[0] / inverse), rest[1] / inverse]
    bounds = ([0, 0, 0], [np.inf, 1, np.inf])
    found = least_squares(
        misses, start, bounds=bounds, method="dogbox", x_scale="jac", xtol=1e-12, ftol=1e-12, gtol=1e-12
    )
    gamma, sigma, kappa = (float(v) for v in found.x)
    fitted = unit * (misses(found.x) + x / unit)
    most = max(1.0, math.sqrt((1 - sigma) / kappa)) if kappa > 0 else None
    peak = None if most is None else Prediction(most, _outside(most, _range(n)))
    return UslFit(gamma * unit, sigma, kappa, peak, _residuals(x, fitted), _range(n))


def _fit_serial(
    law: Callable[[float], Array], logs: Array, span: tuple[float, float]
) -> tuple[float, tuple[float, float] | None, float, tuple[float, ...]]:
    """Serial fraction, interval, scale and residuals of a law given by its log speedups at the points.

    Times vary by factors, so squares of log differences are summed; the height is then their mean. The interval
    holds the fractions whose sum exceeds the least one by no more than Student's t allows at 95 % (the profile
    interval: Bates and Watts, Nonlinear Regression Analysis, 1988, chapter 6), so it needs no symmetry.
    """

    def squares(serial: float) -> float:
        rest = logs - law(serial)
        return float(np.sum((rest - rest.mean()) ** 2))

    best = minimize_scalar(squares, bounds=span, method="bounded", options={"xatol": 1e-10})
    serial = min(1.0, max(0.0, float(best.x)))
    freedom = len(logs) - 2
    most = float(best.fun) * (1 + float(stdtrit(freedom, 0.975)) ** 2 / freedom) + ROUNDING
    interval = None
    if squares(serial) <= most:
        interval = (_edge(squares, serial, 0.0, most), _edge(squares, serial, 1.0, most))
    rest = logs - law(serial)
    scale = float(np.exp(rest.mean()))
    return serial, interval, scale, _residuals(np.exp(logs), np.exp(law(serial)) * scale)


def _edge(squares: Callable[[float], float], serial: float, end: float, most: float) -> float:
    """How far from ``serial`` towards ``end`` the sum of squares stays within ``most``."""
    if squares(end) <= most:
        return end
    return float(brentq(lambda x: squares(x) - most, serial, end))


def _points(workers: Sequence[int], values: Sequence[float]) -> tuple[Array, Array]:
    if len(workers) != len(values):
        raise ValueError("there must be one value for each worker count")
    if not all(p >= 1 for p in workers) or not all(0 < v < math.inf for v in values):
        raise ValueError("worker counts must be at least 1 and values positive")
    return np.asarray(workers, float), np.asarray(values, float)


def _range(workers: Array) -> tuple[int, int]:
    return int(workers.min()), int(workers.max())


def _residuals(measured: Array, fitted: Array) -> tuple[float, ...]:
    return tuple(float(r) for r in measured / fitted - 1)


def _outside(workers: float, measured: tuple[int, int]) -> bool:
    return not measured[0] <= workers <= measured[1]
