"""How long a run on a cluster takes, in closed form.

    time = start-up + the largest of the bounds + the tail

Every image visits the same stations: the driver, which packs and unpacks, the relay that hands on (rank 0 of MPI),
links, a file system, a worker. A station that spends d seconds on each of n images needs n * d, and s of its kind
n * d / s. The largest of these bounds is the time, once all stations are at work. The tail is what the others still
take before the first and after the last image. These are the asymptotic bounds of queueing networks with a fixed number
of jobs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

#: Files of one image on the file system: itself and its three results.
FILES = 4

#: A station that is busy for a larger share of the time than this hinders the one that limits.
CLEAR = 0.5
#: The same where there could be more images in flight for the workers.
MOST_IN_FLIGHT = 0.7
#: Images for every worker, with fewer of which a run is mostly beginning and end.
LEAST_IMAGES = 16
IN_FLIGHT = "in flight"

Transfer = Literal["paths", "bytes"]


@dataclass(frozen=True)
class Costs:
    """What work costs with one technique and transfer, in CPU seconds of one core and in bytes.

    ``driver`` is the caller's process, ``relay`` a process between it and the workers. What they do for a task depends
    on the bytes that pass through them. ``contention``: the share by which every further worker that is busy on a host
    makes each of them slower. ``message_bytes``: of a task without files, there and back.
    """

    driver_task: float
    driver_byte: float
    relay_task: float
    relay_byte: float
    worker_task: float
    worker_megapixel: float
    contention: float
    start: float
    source_bytes_megapixel: float
    result_bytes_megapixel: float
    message_bytes: float


@dataclass(frozen=True)
class Link:
    """Bytes a second that one end of a cable takes in and lets out."""

    into: float = math.inf
    out: float = math.inf


@dataclass(frozen=True)
class Cluster:
    """``hosts`` with so many ``workers`` each, a core for each worker, and a driver with cores of its own.

    ``shared_cores``: what there is instead where all of it runs on one machine. ``latency``: seconds that anything
    takes through the network. ``file_bytes`` and ``files``: bytes and files a second of the shared file system.
    ``depth``: tasks in flight for each worker.
    """

    hosts: int
    workers: int
    driver_link: Link = Link()
    host_link: Link = Link()
    latency: float = 0.0
    file_bytes: float = math.inf
    files: float = math.inf
    shared_cores: int | None = None
    depth: int = 2

    @property
    def all_workers(self) -> int:
        return self.hosts * self.workers

    def slowdown(self, contention: float) -> float:
        """How many times as long a worker takes as one that is alone on its host."""
        beside = self.workers if self.shared_cores is None else min(self.all_workers, self.shared_cores)
        return 1 + contention * (beside - 1)


@dataclass(frozen=True)
class Job:
    """``megapixels``: of an image, on average."""

    images: int
    megapixels: float
    transfer: Transfer


@dataclass(frozen=True)
class Image:
    """What one image of some size asks of each station; seconds where not said otherwise."""

    pack: float
    unpack: float
    relay_in: float
    relay_out: float
    compute: float
    source: float  # bytes
    result: float  # bytes

    @property
    def cpu(self) -> float:
        return self.pack + self.unpack + self.relay_in + self.relay_out + self.compute


@dataclass(frozen=True)
class Prediction:
    """``bounds``: seconds that each kind of station needs; ``limit`` names the largest. ``each``: images for every
    worker."""

    seconds: float
    limit: str
    bounds: dict[str, float]
    tail: float
    each: float

    @property
    def second(self) -> tuple[str, float]:
        """The station that is the next to limit, and how busy it is meanwhile: a share of the time."""
        others = {name: bound for name, bound in self.bounds.items() if name not in (self.limit, IN_FLIGHT)}
        name = max(others, key=lambda name: others[name])
        return name, others[name] / self.bounds[self.limit]

    @property
    def clear(self) -> bool:
        """Whether one station alone sets the pace, for long enough. Otherwise images wait for several in turn, and it
        takes longer than is predicted."""
        in_flight = 0.0 if self.limit == IN_FLIGHT else self.bounds[IN_FLIGHT] / self.bounds[self.limit]
        return self.second[1] <= CLEAR and in_flight <= MOST_IN_FLIGHT and self.each >= LEAST_IMAGES


def image(costs: Costs, cluster: Cluster, megapixels: float, transfer: Transfer) -> Image:
    """What an image of that size asks of the stations of a cluster."""
    source, result = costs.source_bytes_megapixel * megapixels, costs.result_bytes_megapixel * megapixels
    out, back = (source, result) if transfer == "bytes" else (costs.message_bytes / 2, costs.message_bytes / 2)
    return Image(
        pack=costs.driver_task / 2 + costs.driver_byte * out,
        unpack=costs.driver_task / 2 + costs.driver_byte * back,
        relay_in=costs.relay_task / 2 + costs.relay_byte * out,
        relay_out=costs.relay_task / 2 + costs.relay_byte * back,
        compute=(costs.worker_task + costs.worker_megapixel * megapixels) * cluster.slowdown(costs.contention),
        source=source,
        result=result,
    )


def predict(costs: Costs, cluster: Cluster, job: Job) -> Prediction:
    """The time of a run, which part of the cluster limits it, and what each would need by itself."""
    one = image(costs, cluster, job.megapixels, job.transfer)
    services = _services(one, cluster, job.transfer)
    servers = {
        "links into hosts": cluster.hosts,
        "links out of hosts": cluster.hosts,
        "workers": cluster.all_workers,
        "cores": cluster.shared_cores or 1,
    }
    bounds = {name: job.images * seconds / servers.get(name, 1) for name, seconds in services.items()}
    trip = _round_trip(one, cluster, services)
    bounds[IN_FLIGHT] = job.images * trip / (cluster.depth * cluster.all_workers)
    limit = max(bounds, key=lambda name: bounds[name])
    tail = trip - services.get(limit, trip) / (servers["cores"] if limit == "cores" else 1)
    if limit == "workers":  # they do not all end at once
        tail += services["workers"] * (1 - 1 / cluster.all_workers) / 2
    return Prediction(costs.start + bounds[limit] + tail, limit, bounds, tail, job.images / cluster.all_workers)


def _services(one: Image, cluster: Cluster, transfer: Transfer) -> dict[str, float]:
    """Seconds for which an image keeps one station of each kind busy."""
    driver, host = cluster.driver_link, cluster.host_link
    services = {
        "driver": one.pack + one.unpack,
        "relay": one.relay_in + one.relay_out,
        "links into hosts": one.source / host.into,
        "links out of hosts": one.result / host.out,
        "workers": one.compute,
    }
    if transfer == "bytes":
        services |= {"link out of driver": one.source / driver.out, "link into driver": one.result / driver.into}
    else:
        services["file system"] = max((one.source + one.result) / cluster.file_bytes, FILES / cluster.files)
        services["workers"] += _reading(one, cluster) + _writing(one, cluster)
    if cluster.shared_cores:
        services["cores"] = one.cpu
    return services


def _reading(one: Image, cluster: Cluster) -> float:
    """Seconds until a worker has an image from the file system, with nobody else at it."""
    return max(one.source / min(cluster.host_link.into, cluster.file_bytes), 1 / cluster.files) + cluster.latency


def _writing(one: Image, cluster: Cluster) -> float:
    rate = min(cluster.host_link.out, cluster.file_bytes)
    return max(one.result / rate, (FILES - 1) / cluster.files) + cluster.latency


def _round_trip(one: Image, cluster: Cluster, services: dict[str, float]) -> float:
    """Seconds for an image from the driver and back to it, with nobody else on the way."""
    trip = services["driver"] + services["relay"] + services["workers"] + 2 * cluster.latency
    if "link into driver" in services:
        trip += one.source / min(cluster.driver_link.out, cluster.host_link.into)
        trip += one.result / min(cluster.driver_link.into, cluster.host_link.out)
    return trip
