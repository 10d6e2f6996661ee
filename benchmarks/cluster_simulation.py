"""A run on a cluster, simulated event by event: what ``cluster_model`` says in closed form, without its shortcuts.

Images differ in size and queue wherever they meet. The driver and the relay do one thing at a time, a worker has one
image at work and others waiting, links and file system are shared evenly by all that pass at the time. An image is
bound to a worker when it is sent, as soon as that has room for it; the largest come first.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Generator, Sequence
from itertools import count
from typing import Any

import numpy as np
import simpy

from benchmarks.cluster_model import FILES, Cluster, Costs, Image, Job, image

Steps = Generator[simpy.Event, Any, None]

#: Images for each worker that are simulated of a larger run: so many, and once more as many.
WARM, MORE = 8, 8


class Shared:
    """What all its users share evenly: ``rate`` units of work a second, at most ``most`` for one of them."""

    def __init__(self, env: simpy.Environment, rate: float, most: float = math.inf) -> None:
        self._env, self._rate, self._most = env, rate, most
        self._users: list[tuple[float, int, simpy.Event]] = []  # by what each will have been given at its end
        self._given, self._since, self._alarm = 0.0, 0.0, 0
        self._numbers = count()

    def use(self, amount: float) -> simpy.Event:
        """Happens when so much work is done."""
        done = self._env.event()
        if amount <= 0 or math.isinf(self._rate):
            return done.succeed()
        self._advance()
        heapq.heappush(self._users, (self._given + amount, next(self._numbers), done))
        self._plan()
        return done

    @property
    def _speed(self) -> float:
        return min(self._most, self._rate / len(self._users))

    def _advance(self) -> None:
        """Give each of its users what it got since the last time."""
        if self._users:
            self._given += self._speed * (self._env.now - self._since)
        self._since = self._env.now

    def _plan(self) -> None:
        """Wake up when the next user is done; what was planned before is void."""
        self._alarm += 1
        if self._users:
            left = max(0.0, self._users[0][0] - self._given)
            self._env.timeout(left / self._speed, self._alarm).callbacks.append(self._wake)

    def _wake(self, event: simpy.Event) -> None:
        if event.value != self._alarm:
            return
        self._advance()
        self._given = max(self._given, self._users[0][0])  # rounding
        while self._users and self._users[0][0] <= self._given:
            heapq.heappop(self._users)[2].succeed()
        self._plan()


class _Host:
    def __init__(self, env: simpy.Environment, cluster: Cluster) -> None:
        self.into, self.out = Shared(env, cluster.host_link.into), Shared(env, cluster.host_link.out)


class _Worker:
    def __init__(self, env: simpy.Environment, host: _Host) -> None:
        self.host, self.turn = host, simpy.Resource(env)


class _Run:
    def __init__(self, costs: Costs, cluster: Cluster, job: Job, sizes: Sequence[float]) -> None:
        env = self.env = simpy.Environment()
        self.cluster, self.by_bytes = cluster, job.transfer == "bytes"
        self.images = [image(costs, cluster, size, job.transfer) for size in sizes]
        self.driver, self.relay = simpy.Resource(env), simpy.Resource(env)
        self.out, self.into = Shared(env, cluster.driver_link.out), Shared(env, cluster.driver_link.into)
        self.bytes, self.files = Shared(env, cluster.file_bytes), Shared(env, cluster.files)
        self.cores = Shared(env, cluster.shared_cores, 1.0) if cluster.shared_cores else None
        hosts = [_Host(env, cluster) for _ in range(cluster.hosts)]
        workers = [_Worker(env, host) for _ in range(cluster.workers) for host in hosts]
        #: A worker is in it as often as it has room for an image.
        self.room: simpy.Store = simpy.Store(env)
        self.room.items.extend(workers * cluster.depth)

    def seconds(self) -> float:
        self.env.process(self._dispatch())
        self.env.run()
        return float(self.env.now)

    def _dispatch(self) -> Steps:
        for one in self.images:
            worker = yield self.room.get()
            yield from self._serve(self.driver, one.pack)
            self.env.process(self._carry(one, worker))

    def _carry(self, one: Image, worker: _Worker) -> Steps:
        """One image, from when it is packed until it is unpacked."""
        yield from self._serve(self.relay, one.relay_in)
        yield self.env.timeout(self.cluster.latency)
        if self.by_bytes:
            yield self.out.use(one.source) & worker.host.into.use(one.source)
        with worker.turn.request() as turn:
            yield turn
            yield from self._work(one, worker.host)
        if self.by_bytes:
            yield worker.host.out.use(one.result) & self.into.use(one.result)
        yield self.env.timeout(self.cluster.latency)
        yield from self._serve(self.relay, one.relay_out)
        self.room.put(worker)
        yield from self._serve(self.driver, one.unpack)

    def _work(self, one: Image, host: _Host) -> Steps:
        if self.by_bytes:
            yield self._compute(one.compute)
            return
        yield self.env.timeout(self.cluster.latency)
        yield host.into.use(one.source) & self.bytes.use(one.source) & self.files.use(1)
        yield self._compute(one.compute)
        yield host.out.use(one.result) & self.bytes.use(one.result) & self.files.use(FILES - 1)
        yield self.env.timeout(self.cluster.latency)

    def _serve(self, station: simpy.Resource, seconds: float) -> Steps:
        with station.request() as turn:
            yield turn
            yield self._compute(seconds)

    def _compute(self, seconds: float) -> simpy.Event:
        return self.cores.use(seconds) if self.cores else self.env.timeout(seconds)


def simulate(costs: Costs, cluster: Cluster, job: Job, sizes: Sequence[float]) -> float:
    """Seconds of a run over images of these sizes (megapixels), in this order."""
    return costs.start + _Run(costs, cluster, job, sizes).seconds()


def simulate_many(costs: Costs, cluster: Cluster, job: Job, spread: float, seed: int) -> float:
    """Seconds of a run over any number of images: of one with very many the first part is simulated, and the rest goes
    on as the second half of that part did."""
    warm, part = WARM * cluster.all_workers, (WARM + MORE) * cluster.all_workers
    if job.images <= part:
        return simulate(costs, cluster, job, draw_sizes(job.images, job.megapixels, spread, seed))
    short, long = (
        simulate(costs, cluster, job, draw_sizes(count, job.megapixels, spread, seed)) for count in (warm, part)
    )
    return long + (job.images - part) * (long - short) / (part - warm)


def draw_sizes(images: int, megapixels: float, spread: float, seed: int) -> list[float]:
    """Sizes in megapixels, largest first, which differ by up to the factor ``spread`` and have that mean."""
    factors = spread ** np.random.default_rng(seed).random(images)
    return sorted((factors * megapixels / factors.mean()).tolist(), reverse=True)
