"""Measures what it takes to hand data to a worker and get it back, for each way that techniques do so, and keeps it for
this machine."""

from __future__ import annotations

import json
import logging
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from imgproc.backends import TECHNIQUES
from imgproc.backends.base import Backend, BackendError, Options
from imgproc.backends.sharing.echo import SharedEcho, echo
from imgproc.backends.task import Carrier, Task
from imgproc.files import write_whole
from imgproc.measure.communication import Fitted, Size, fit
from imgproc.measure.load import MachineLoad, tree_cpu_seconds
from imgproc.measure.statistics import LEAST_FOR_INTERVAL
from imgproc.operations.contract import Image
from imgproc.runs.advisor.calibration import machine
from imgproc.runs.record import now
from imgproc.runs.serialization import from_plain, to_plain
from imgproc.settings import Settings

#: Bytes that are handed over, 1 kB to 16 MB.
SIZES = tuple(1 << exponent for exponent in range(10, 25, 2))
#: Rounds at most, each over all sizes in shuffled order; seconds after which no further one begins.
ROUNDS, SECONDS = 21, 4.0
_DEADLINE = 60.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Way:
    """A way of handing data over: the technique that is asked, what carries the data if anything does, what it is."""

    technique: str
    label: str
    what: str
    carrier: Callable[[], Carrier] | None = None


#: THE table of transports.
WAYS: dict[str, Way] = {
    "memory": Way("threading", "threads", "Threads see the caller’s memory: only the task is handed over."),
    "pickled": Way(
        "multiprocessing",
        "pickled, Pool",
        "Pickled into bytes, written to a pipe of the Pool, read and unpickled by its process, and all of it back.",
    ),
    "shared": Way(
        "multiprocessing",
        "shared memory, Pool",
        "Copied into shared memory that is made for the task, copied there by the process, copied out of it.",
        SharedEcho,
    ),
    "mpi": Way("mpi", "MPI", "Pickled, and sent as a message to another rank, and back."),
    "dask": Way("dask", "Dask", "Pickled, and sent through Dask’s client, scheduler and worker, and back."),
}


@dataclass
class Transport:
    """A key of ``WAYS``, with what was measured of it, or the ``reason`` why it was not."""

    name: str
    sizes: list[Size] = field(default_factory=list)
    fitted: Fitted | None = None
    reason: str = ""

    @property
    def way(self) -> Way:
        return WAYS[self.name]


@dataclass
class Communication:
    """All transports of this machine. ``measured``: when, as in records; ``busy``: how many cores others used
    meanwhile, None where nobody can say."""

    measured: str = ""
    busy: float | None = None
    transports: list[Transport] = field(default_factory=list)

    @property
    def there(self) -> list[Transport]:
        """Those that were measured."""
        return [one for one in self.transports if one.fitted]

    def save(self, folder: Path) -> None:
        """Raises: OSError: it cannot be written there."""
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(_file(folder), json.dumps(to_plain(self)).encode())

    @classmethod
    def load(cls, folder: Path) -> Communication:
        """What was kept there for this machine, with nothing in it where there is nothing that can be read."""
        try:
            found = from_plain(cls, json.loads(_file(folder).read_bytes()))
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError, TypeError):
            log.warning("What communication costs on this machine cannot be read; measure it again.", exc_info=True)
            return cls()
        found.transports = [one for one in found.transports if one.name in WAYS]
        return found


def measure(
    settings: Settings,
    names: Sequence[str] = tuple(WAYS),
    sizes: Sequence[int] = SIZES,
    *,
    rounds: int = ROUNDS,
    seconds: float = SECONDS,
    doing: Callable[[str], None] = lambda _: None,
) -> Communication:
    """Measure transports one after the other, each with one worker.

    Args:
        sizes: bytes, rising.
        rounds: at most; no further one begins after so many ``seconds``, but at least as many as an interval takes.
        doing: is told the label of each.
    """
    found, helpers = Communication(now()), set[int]()
    load = MachineLoad(own=lambda: tree_cpu_seconds(helpers))
    load.start()
    for name in names:
        doing(WAYS[name].label)
        found.transports.append(_measured(name, settings, sizes, rounds, seconds, helpers))
    found.busy = load.stop()
    return found


def _measured(
    name: str, settings: Settings, sizes: Sequence[int], rounds: int, seconds: float, helpers: set[int]
) -> Transport:
    """``helpers`` learns which processes work for it."""
    made, way = Transport(name), WAYS[name]
    available = TECHNIQUES[way.technique].availability(settings)
    if not available.ok:
        made.reason = available.reason
        return made
    backend = TECHNIQUES[way.technique].load()(1, Options(settings=settings))
    try:
        backend.start()
        helpers.update(backend.helpers)
        made.sizes = list(_rounds(backend, way, sizes, rounds, seconds))
        made.fitted = fit(made.sizes)
    except BackendError as problem:
        made.reason = str(problem)
    finally:
        backend.close()
    return made


def _rounds(backend: Backend, way: Way, sizes: Sequence[int], rounds: int, seconds: float) -> Iterator[Size]:
    """Each size once in each round, in shuffled order, after a round that proves that all comes back as it went.

    Raises:
        BackendError: it did not.
    """
    chance = np.random.default_rng(1)
    data = {size: chance.integers(0, 256, size, np.uint8) for size in sizes}  # which nothing can compress
    for size in sizes:
        _, back = _there_and_back(backend, way, data[size])
        if not np.array_equal(back, data[size]):
            raise BackendError(f"{size} bytes came back from a worker as others.")
    times: dict[int, list[float]] = {size: [] for size in sizes}
    order, start = random.Random(1), time.perf_counter()
    for number in range(rounds):
        if number >= LEAST_FOR_INTERVAL and time.perf_counter() - start > seconds:
            break
        for size in order.sample(list(sizes), len(sizes)):
            took, _ = _there_and_back(backend, way, data[size])
            times[size].append(took)
    return (Size(size, times[size]) for size in sizes)


def _there_and_back(backend: Backend, way: Way, data: Image) -> tuple[float, Image]:
    """Seconds of one task while nothing else goes on, and what came back.

    Raises:
        BackendError: the task failed.
    """
    task = Task(0, echo, data, way.carrier)
    start = time.perf_counter()
    (result,) = backend.run([task], deadline=_DEADLINE)
    took = time.perf_counter() - start
    if result.error is not None:
        raise BackendError(result.error)
    back: Image = result.value
    return took, back


def _file(folder: Path) -> Path:
    return folder / f"communication-{machine()}.json"
