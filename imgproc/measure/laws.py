"""How time changes with the number of workers: closed forms, and fits that say where their data ends."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import scipy  # loads its parts when they are called; apps, runners and small jobs would wait for them at every start
from numpy.typing import NDArray

#: Different worker counts below which no fit is made: a fit of two parameters needs one point more to show its error.
LEAST_FOR_FIT = 3
#: The same for the Universal Scalability Law, whose three parameters are easily mistaken for each other.
LEAST_FOR_USL = 6
#: A serial fraction below this cannot be told from none: the limit it would set is no finding.
NEGLIGIBLE = 0.001
#: A peak at more than so many times the most workers measured is none that the data could know of.
FAR = 100
#: Squared differences of logarithms as small as this come from rounding, not from timing.
ROUNDING = 1e-18

Array = NDArray[np.float64]


@dataclass
class Fit:
    """A law with one serial fraction, fitted to measured speedups.

    ``serial``: 0 to 1, with its 95 % interval, None where no fraction from 0 to 1 fits the data, as with speedups
    above the number of workers. ``curve``: fitted speedups, as [workers, speedup], at the numbers of ``workers`` it was
    fitted to; ``scale`` is its height at one worker, which is not quite 1 because the time of one worker is measured
    with an error too. ``limit``: the speedup no number of workers exceeds by Amdahl's law, always beyond the data, None
    where the points show none. ``largest_error``: of a point, as a share.

    Points above the cores are left out, because the laws know no cores and would read missing ones as serial work.
    Where too few points remain they are used all the same: ``oversubscribed`` then says that the fraction is too high.
    """

    serial: float
    serial_ci95: list[float] | None
    curve: list[list[float]]
    limit: float | None
    largest_error: float
    scale: float = 1.0
    workers: list[int] = field(default_factory=list)
    oversubscribed: bool = False

    @property
    def limit_ci95(self) -> list[float] | None:
        """The interval of ``limit`` that follows from that of ``serial``, its high end infinite where the data do not
        exclude that nothing is serial."""
        if self.limit is None or self.serial_ci95 is None:
            return None
        low, high = self.serial_ci95
        return [self.limit * self.serial / high, self.limit * self.serial / low if low >= NEGLIGIBLE else math.inf]


@dataclass
class UslRecord:
    """The Universal Scalability Law fitted to throughputs, of all points, those above the cores too.

    ``sigma``: contention, 0 to 1, what waits in a queue. ``kappa``: coherency, 0 or more, what grows with every pair
    of workers. ``peak``: the number of workers with the most throughput, None where the curve only flattens, and
    whether that lies beyond the measured ones. ``curve`` (in the data's unit) and ``largest_error`` as Fit's.
    """

    sigma: float
    kappa: float
    peak: float | None
    peak_beyond: bool
    curve: list[list[float]]
    largest_error: float


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


def fit_amdahl(workers: Sequence[int], speedups: Sequence[float]) -> Fit | None:
    """Amdahl's serial fraction from strong scaling.

    Give the one-worker measurement as a point too, with its speedup (1 where it is itself the baseline):
    its error moves all speedups together, so the fit leaves the curve's height free (``scale``).

    Returns:
        The fit, or None below ``LEAST_FOR_FIT`` different worker counts.

    Raises:
        ValueError: not one speedup per worker count, a count below 1, or a speedup that is not positive.
    """
    # below this the law's time would be negative for the most workers; up to 2 is a clear slow-down by workers
    found = _fit_serial(amdahl, workers, speedups, lambda most: (-0.999 / (most - 1), 2.0))
    if found and found.serial >= NEGLIGIBLE:
        found.limit = found.scale / found.serial
    return found


def fit_gustafson(workers: Sequence[int], scaled: Sequence[float]) -> Fit | None:
    """Gustafson's serial share from weak scaling; otherwise as ``fit_amdahl``."""
    return _fit_serial(gustafson, workers, scaled, lambda most: (-1.0, 1 + 0.999 / (most - 1)))


def fit_usl(workers: Sequence[int], throughput: Sequence[float]) -> UslRecord | None:
    """Gunther's Universal Scalability Law by least squares, the three parameters together, to throughputs in any unit,
    such as images per second; None below ``LEAST_FOR_USL`` different worker counts. Raises as ``fit_amdahl``.

    The curve peaks at sqrt((1 - sigma)/kappa) workers. (Gunther, Guerrilla Capacity Planning, 2007, chapters 4, 5.)
    """
    n, x = _points(workers, throughput)
    counts = sorted(set(workers))
    if len(counts) < LEAST_FOR_USL:
        return None
    unit = float(x.max())

    def misses(parameters: Array) -> Array:
        gamma, sigma, kappa = parameters
        fitted: Array = gamma * n / (1 + sigma * (n - 1) + kappa * n * (n - 1))
        return fitted - x / unit

    # n/x is linear in 1/gamma, sigma/gamma and kappa/gamma: solved exactly, this is close enough to start from
    columns = np.stack([np.ones_like(n), n - 1, n * (n - 1)], axis=1)
    (inverse, *rest), _ = scipy.optimize.nnls(columns, n * unit / x)
    inverse = max(inverse, 1e-6)
    start = [1 / inverse, min(1.0, rest[0] / inverse), rest[1] / inverse]
    bounds = ([0, 0, 0], [np.inf, 1, np.inf])
    found = scipy.optimize.least_squares(
        misses, start, bounds=bounds, method="dogbox", x_scale="jac", xtol=1e-12, ftol=1e-12, gtol=1e-12
    )
    gamma, sigma, kappa = (float(v) for v in found.x)
    most = max(1.0, math.sqrt((1 - sigma) / kappa)) if kappa > 0 else math.inf
    peak = most if most <= FAR * counts[-1] else None
    curve = [[p, gamma * unit * usl(p, sigma, kappa)] for p in counts]
    beyond = peak is not None and not counts[0] <= peak <= counts[-1]
    return UslRecord(sigma, kappa, peak, beyond, curve, _largest_error(x, unit * (misses(found.x) + x / unit)))


def _fit_serial(
    law: Callable[[float, float], float],
    workers: Sequence[int],
    speedups: Sequence[float],
    span: Callable[[float], tuple[float, float]],
) -> Fit | None:
    """A law of a number of workers and a serial fraction, fitted to points; ``span``: the fractions to try, from the
    most workers.

    Times vary by factors, so squares of log differences are summed; the height is then their mean. The interval
    holds the fractions whose sum exceeds the least one by no more than Student's t allows at 95 % (the profile
    interval: Bates and Watts, Nonlinear Regression Analysis, 1988, chapter 6), so it needs no symmetry.
    """
    p, s = _points(workers, speedups)
    counts, logs = sorted(set(workers)), np.log(s)
    if len(counts) < LEAST_FOR_FIT:
        return None

    def rest(serial: float) -> Array:
        missed: Array = logs - np.log(np.array([law(count, serial) for count in p]))
        return missed

    def squares(serial: float) -> float:
        return float(np.sum((rest(serial) - rest(serial).mean()) ** 2))

    best = scipy.optimize.minimize_scalar(
        squares, bounds=span(float(p.max())), method="bounded", options={"xatol": 1e-10}
    )
    serial = min(1.0, max(0.0, float(best.x)))
    freedom = len(logs) - 2
    most = float(best.fun) * (1 + float(scipy.special.stdtrit(freedom, 0.975)) ** 2 / freedom) + ROUNDING
    interval = None
    if squares(serial) <= most:
        interval = [_edge(squares, serial, 0.0, most), _edge(squares, serial, 1.0, most)]
    scale = float(np.exp(rest(serial).mean()))
    error = _largest_error(s, np.array([scale * law(count, serial) for count in p]))
    return Fit(serial, interval, [[c, scale * law(c, serial)] for c in counts], None, error, scale, counts)


def _edge(squares: Callable[[float], float], serial: float, end: float, most: float) -> float:
    """How far from ``serial`` towards ``end`` the sum of squares stays within ``most``."""
    if squares(end) <= most:
        return end
    return float(scipy.optimize.brentq(lambda x: squares(x) - most, serial, end))


def _points(workers: Sequence[int], values: Sequence[float]) -> tuple[Array, Array]:
    if len(workers) != len(values):
        raise ValueError("there must be one value for each worker count")
    if not all(p >= 1 for p in workers) or not all(0 < v < math.inf for v in values):
        raise ValueError("worker counts must be at least 1 and values positive")
    return np.asarray(workers, float), np.asarray(values, float)


def _largest_error(measured: Array, fitted: Array) -> float:
    return float(np.abs(measured / fitted - 1).max())
