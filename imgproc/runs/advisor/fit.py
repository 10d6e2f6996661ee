"""Seconds as a sum of amounts times costs: a least-squares fit that learns one measurement after the other."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: A measurement is true to about this share.
NOISE = 0.06
_STEPS = 300


@dataclass
class Fit:
    """The normal equations of a fit by relative error, in which each cost is at least 0.

    ``gram`` and ``moment`` are the sums of x·xᵀ and x over the measurements, x being their amounts divided by their
    seconds; ``weight`` is how many they were, older ones counting less.
    """

    gram: list[list[float]] = field(default_factory=list)
    moment: list[float] = field(default_factory=list)
    weight: float = 0.0

    def learn(self, amounts: ArrayLike, seconds: float, *, noise: float = 0.0, weight: float = 1.0) -> None:
        """One measurement.

        Args:
            noise: seconds by which it may be wrong beyond its share; one of a shorter time counts less.
            weight: as how many it counts.
        """
        if seconds <= 0:
            return
        weight *= (seconds / (seconds + noise)) ** 2
        x = np.asarray(amounts, float) / seconds
        size = len(x)
        gram = np.array(self.gram, float) if self.gram else np.zeros((size, size))
        moment = np.array(self.moment, float) if self.moment else np.zeros(size)
        self.gram = (gram + weight * np.outer(x, x)).tolist()
        self.moment = (moment + weight * x).tolist()
        self.weight += weight

    def age(self, kept: float) -> None:
        """Let what was learned count less than what is learned from now on."""
        self.gram = [[kept * value for value in row] for row in self.gram]
        self.moment = [kept * value for value in self.moment]
        self.weight *= kept

    def costs(self, believed: ArrayLike, spread: ArrayLike) -> NDArray[np.float64]:
        """Seconds for each amount; what was never measured stays as believed.

        Args:
            believed: the costs without any measurement.
            spread: by how much each may well differ from that, as a standard deviation.
        """
        prior = np.asarray(believed, float)
        if not self.gram:
            return prior
        stiffness = (NOISE / np.asarray(spread, float)) ** 2
        gram = np.array(self.gram, float) + np.diag(stiffness)
        moment = np.array(self.moment, float) + stiffness * prior
        costs: NDArray[np.float64] = np.linalg.solve(gram, moment)
        if (costs >= 0).all():
            return costs
        # Each cost in turn takes its best value that is not negative: this ends at the least squares within that limit.
        costs = np.maximum(costs, 0.0)
        for _ in range(_STEPS):
            before = costs.copy()
            for at in range(len(costs)):
                rest = moment[at] - gram[at] @ costs + gram[at, at] * costs[at]
                costs[at] = max(0.0, rest / gram[at, at])
            if np.allclose(before, costs, rtol=1e-9, atol=0.0):
                break
        return costs


def solved(fit: Fit | None, believed: ArrayLike, spread: ArrayLike) -> NDArray[np.float64]:
    """The costs of a fit that may not be there."""
    return (fit or Fit()).costs(believed, spread)
