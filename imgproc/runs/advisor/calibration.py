"""What is known of this machine: the costs of stages and of techniques, kept in a file from run to run.

A file is for one machine with one set of libraries, which its name says; another version begins anew. The package
brings the costs of one machine (``reference.json``), which serve where nothing was measured yet.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from pathlib import Path
from statistics import median
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from imgproc import __version__
from imgproc.backends import TECHNIQUES
from imgproc.files import write_whole
from imgproc.measure.environment import environment
from imgproc.runs.advisor.fit import Fit, solved
from imgproc.runs.serialization import from_plain, to_plain

#: The costs of a stage where nothing is known: seconds for an image, a megapixel, and a megabyte of the file that was
#: read; and by how much they may well differ.
_STAGE, _STAGE_SPREAD = (1e-4, 2e-3, 0.0), (3e-4, 5e-2, 1e-2)
#: The share by which costs on this machine may well differ from those of the reference machine, and the least.
_STAGE_SHARE, _STAGE_LEAST = 0.3, (5e-5, 1e-4, 3e-4)
#: Megabytes of a photograph of one megapixel as a JPEG file.
_TYPICAL = 0.5
#: The costs of a pass where nothing is known: seconds for the pass, for a task, for a second that its slowest worker is
#: at codecs, for one that it is at operations (by the costs of the stages), and for a task of strips beyond those; and
#: by how much they may well differ.
_PASS, _PASS_SPREAD = (5e-4, 1e-4, 1.05, 1.05, 2e-4), (1e-3, 2e-4, 0.1, 0.1, 5e-4)
#: The share of a new measurement in what comes once in a run.
_NEW = 0.4
REFERENCE = Path(__file__).with_name("reference.json")

Known = TypeVar("Known")

log = logging.getLogger(__name__)


class StageSeconds(Protocol):
    """Seconds for each row of amounts (images, megapixels, megabytes of the file) by what is known of a key."""

    def __call__(self, amounts: NDArray[np.float64], *keys: str) -> NDArray[np.float64]: ...


@dataclass
class Overhead:
    """Seconds that come once in a run: ``start`` until all workers are ready, ``first`` what their first pass takes
    longer than later ones."""

    start: float = 0.0
    first: float = 0.0

    def learn(self, start: float, first: float) -> None:
        self.start += _NEW * (start - self.start)
        self.first += _NEW * (first - self.first)


@dataclass
class Calibration:
    """``stages`` by what is done to what, ``passes`` and ``overheads`` by ``way``: a technique and its number of
    threads or processes. All seconds are those of a moment at which ``pace_seconds`` took ``at_pace``, 0 where that is
    not known."""

    at_pace: float = 0.0
    stages: dict[str, Fit] = field(default_factory=dict)
    passes: dict[str, Fit] = field(default_factory=dict)
    overheads: dict[str, Overhead] = field(default_factory=dict)

    # What is known

    def stage_seconds(self) -> StageSeconds:
        """What gives the seconds of a stage for rows of amounts, by the first of some keys of which anything is known
        here; else what the reference machine would take, at this machine's pace."""
        pace, elsewhere = self.pace(), reference().stages

        @cache
        def costs(*keys: str) -> tuple[NDArray[np.float64], bool]:
            known = next((key for key in keys if key in self.stages), None)
            like = next((key for key in (known, *keys) if key in elsewhere), None)
            believed, spread = np.array(_STAGE), np.array(_STAGE_SPREAD)
            if like:
                believed = pace * _own_costs(elsewhere[like])
                spread = _STAGE_SHARE * np.maximum(believed, _STAGE_LEAST)
            return solved(self.stages[known] if known else None, believed, spread), (known or like) == keys[0]

        def seconds(amounts: NDArray[np.float64], *keys: str) -> NDArray[np.float64]:
            found, its_own = costs(*keys)
            if not its_own:  # files of another format say nothing by their length
                amounts = amounts * (1.0, 1.0, 0.0) + amounts[:, 1:2] * (0.0, 0.0, _TYPICAL)
            return np.asarray(amounts @ found)

        return seconds

    def pace(self) -> float:
        """How many times as long as the reference machine this one takes for the stages that both know."""
        known = [
            _typical(fit) / _typical(reference().stages[key])
            for key, fit in self.stages.items()
            if key in reference().stages and fit.weight >= 1
        ]
        return median(known) if known else 1.0

    def way(self, technique: str, threads: int) -> NDArray[np.float64] | None:
        """The costs of a pass; None where nothing is known of the technique."""
        elsewhere, own = _elsewhere(reference().passes, technique, threads), _nearest(self.passes, technique, threads)
        if elsewhere is None and own is None:
            return None
        return solved(own, solved(elsewhere, _PASS, _PASS_SPREAD), _PASS_SPREAD)

    def overhead(self, technique: str, threads: int) -> Overhead:
        """What comes once in a run."""
        own, elsewhere = self.overheads, reference().overheads
        return _nearest(own, technique, threads) or _elsewhere(elsewhere, technique, threads) or Overhead()

    def measured(self, technique: str) -> bool:
        """Whether it was measured on this machine."""
        return any(key.rpartition(" ")[0] == technique for key in self.passes)

    def slower(self, pace_seconds: float | None) -> float:
        """How many times as long as this says work takes at such a pace; 1 where nothing is known of either."""
        known = self.at_pace if self.stages else reference().at_pace
        return pace_seconds / known if pace_seconds and known else 1.0

    # What becomes known

    def save(self, folder: Path) -> None:
        """Raises: OSError: it cannot be written there."""
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(_file(folder), json.dumps(to_plain(self)).encode())

    @classmethod
    def load(cls, folder: Path) -> Calibration:
        """What was kept there for this machine; without anything learned where there is nothing that can be read."""
        try:
            return from_plain(cls, json.loads(_file(folder).read_bytes()))
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError, TypeError):
            log.warning("The calibration of this machine cannot be read and begins anew.", exc_info=True)
            return cls()


@cache
def reference() -> Calibration:
    """The costs that the package brings."""
    try:
        return from_plain(Calibration, json.loads(REFERENCE.read_bytes()))
    except FileNotFoundError:
        return Calibration()


def _own_costs(fit: Fit) -> NDArray[np.float64]:
    """The costs of a stage by one machine's measurements alone."""
    return fit.costs(_STAGE, _STAGE_SPREAD)


def _typical(fit: Fit) -> float:
    """Seconds for a photograph of one megapixel."""
    return float(_own_costs(fit) @ (1.0, 1.0, _TYPICAL))


def _nearest(table: dict[str, Known], technique: str, threads: int) -> Known | None:
    """Of a technique what is known of the number of threads nearest to this."""
    counts = [int(key.rpartition(" ")[2]) for key in table if key.rpartition(" ")[0] == technique]
    if not counts:
        return None
    return table[way(technique, min(counts, key=lambda count: (abs(count - threads), count)))]


def _elsewhere(table: dict[str, Known], technique: str, threads: int) -> Known | None:
    """As ``_nearest``; of a technique that was not measured there what is known of the one that it is like."""
    like = TECHNIQUES[technique].like if technique in TECHNIQUES else ""
    return _nearest(table, technique, threads) or (_nearest(table, like, threads) if like else None)


def way(technique: str, threads: int) -> str:
    """The key of a technique with so many threads or processes."""
    return f"{technique} {threads}"


def _file(folder: Path) -> Path:
    return folder / f"calibration-{machine()}.json"


@cache
def machine() -> str:
    """This machine with these libraries, in twelve letters and digits."""
    facts = environment()
    names = ("cpu", "cores_usable", "cpu_quota", "os", "python", "gpu", "versions")
    return sha256(json.dumps([__version__, *(facts[name] for name in names)], sort_keys=True).encode()).hexdigest()[:12]
