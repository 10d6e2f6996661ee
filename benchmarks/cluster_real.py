"""Real runs on hosts made of namespaces of this machine, beside what is predicted and simulated for them."""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.cluster_costs import Pictures, look_at
from benchmarks.cluster_model import CLEAR, Cluster, Costs, Job, Link, Prediction, predict
from benchmarks.cluster_simulation import simulate
from imgproc.intake.samples import draw_many
from imgproc.measure.environment import usable_cores
from tests.cluster.hosts import Hosts, why_not

ROOT = Path(__file__).resolve().parent.parent
MOST_HOSTS = 4
#: Longest that one run may take, in seconds.
LONGEST = 120.0
#: Of a full frame on the cable, what is left for data when Ethernet, IP and TCP have taken theirs.
PAYLOAD = 1448 / 1514
#: Furthest that a prediction may be from what was measured: this share of it.
MOST_OFF = 0.2
DRIVER = "h1"
PORT = 8786
#: Until Dask's scheduler and workers know of each other, in seconds.
READY_SECONDS = 6.0
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def main(chosen: argparse.Namespace, costs: Costs) -> int:
    """Run, predict and simulate, and print the table; the exit status is 1 where prediction and measurement are more
    than 20 % apart."""
    if why := why_not():
        print(f"There are no real runs: {why}.")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # no host is left behind
    print(
        f"Real runs of {chosen.technique}, transfer=bytes, {chosen.pictures} images, {chosen.rounds} times: a driver, "
        f"and 1 to {MOST_HOSTS} hosts with a worker each, all namespaces on {usable_cores()} cores. "
        f"{chosen.host_mbit:g} Mbit/s into each host, {chosen.driver_mbit:g} into the driver. Start-up is not counted."
    )
    print("hosts  predicted  simulated   measured          range  pred/meas  sim/meas  start-up  load  limit")
    far = 0
    with tempfile.TemporaryDirectory(prefix="cluster-real-") as folder:
        pictures = _pictures(Path(folder, "pictures"), chosen)
        for hosts in range(1, MOST_HOSTS + 1):
            far += _row(chosen, costs, pictures, hosts, Path(folder))
    return 1 if far else 0


def _pictures(folder: Path, chosen: argparse.Namespace) -> Pictures:
    return look_at(list(draw_many(folder, chosen.pictures, chosen.picture_megapixels, 0, usable_cores())))


def _row(chosen: argparse.Namespace, costs: Costs, pictures: Pictures, hosts: int, folder: Path) -> bool:
    """Print what came of so many hosts; returns whether the prediction was more than 20 % off."""
    said, simulated = _expected(chosen, costs, pictures, hosts)
    loads, runs = [], []
    for number in range(chosen.rounds):
        loads.append(os.getloadavg()[0])
        runs.append(_run(chosen, pictures, hosts, folder / f"{hosts}-{number}"))
    seconds = [run["first_round_seconds"] for run in runs]
    start, measured = (
        statistics.median(run[key] for run in runs) for key in ("startup_seconds", "first_round_seconds")
    )
    print(
        f"{hosts:>5}{said.seconds:>9.2f} s{simulated:>9.2f} s{measured:>9.2f} s{min(seconds):>8.2f}-{max(seconds):.2f}"
        f"{said.seconds / measured:>11.2f}{simulated / measured:>10.2f}{start:>8.1f} s{statistics.median(loads):>6.1f}"
        f"  {said.limit}{'' if said.second[1] <= CLEAR else f' and {said.second[0]}'}",
        flush=True,
    )
    return abs(said.seconds / measured - 1) > MOST_OFF


def _expected(chosen: argparse.Namespace, costs: Costs, pictures: Pictures, hosts: int) -> tuple[Prediction, float]:
    """What is predicted, and the seconds of the simulation."""
    into_driver, into_host = (PAYLOAD * mbit * 1e6 / 8 for mbit in (chosen.driver_mbit, chosen.host_mbit))
    cluster = Cluster(hosts, 1, Link(into=into_driver), Link(into=into_host), shared_cores=usable_cores())
    megapixels, images = sum(pictures.megapixels), len(pictures.files)
    costs = replace(costs, start=0.0, source_bytes_megapixel=pictures.bytes / megapixels)
    job = Job(images, megapixels / images, "bytes")
    return predict(costs, cluster, job), simulate(costs, cluster, job, pictures.megapixels)


def _run(chosen: argparse.Namespace, pictures: Pictures, count: int, folder: Path) -> dict[str, Any]:
    """The technique's entry in the record of one run of the usual command on the driver."""
    folder.mkdir()
    with Hosts(1 + count, folder) as hosts:
        hosts.limit(DRIVER, f"{chosen.driver_mbit}mbit")
        for name in hosts.names[1:]:
            hosts.limit(name, f"{chosen.host_mbit}mbit")
        with ENGINES[chosen.technique](hosts, folder) as settings:
            words = ["process", pictures.files[0].parent, "--out", hosts.work / "out", "--budget", "0", "--json"]
            words += ["--technique", chosen.technique, "--workers", str(count)]
            with hosts.popen(
                DRIVER, [sys.executable, "-m", "imgproc", *words], env={**ENVIRONMENT, **settings}, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            ) as running:  # fmt: skip
                try:
                    out, err = running.communicate(timeout=LONGEST)
                except subprocess.TimeoutExpired:
                    raise SystemExit(f"A run on {count} hosts took longer than {LONGEST:g} seconds.") from None
                finally:
                    running.kill()  # else it would be waited for
    if running.returncode:
        raise SystemExit(f"A run on {count} hosts failed: {err.strip()[-300:]}")
    entry: dict[str, Any] = json.loads(out)["techniques"][0]
    if (entry["transfer"], entry["workers"]) != ("bytes", count):
        raise SystemExit(f"A run on {count} hosts had {entry['workers']} workers and transfer={entry['transfer']}.")
    return entry


@contextmanager
def _mpi(hosts: Hosts, folder: Path) -> Iterator[dict[str, str]]:
    """The settings with which ranks start on the hosts other than the driver."""
    file = folder / "mpi-hosts"
    file.write_text("".join(f"{name}:1\n" for name in hosts.names[1:]))
    arguments = f"-launcher ssh -launcher-exec {hosts.launcher} -iface eth0"
    yield {"MPI_HOSTFILE": str(file), "MPI_ARGUMENTS": arguments}


@contextmanager
def _dask(hosts: Hosts, folder: Path) -> Iterator[dict[str, str]]:
    """The settings with which a scheduler is found on the driver, and workers of it on the other hosts."""
    address = f"tcp://{hosts.address(DRIVER)}:{PORT}"
    common = ["--no-dashboard", "--local-directory", str(hosts.work)]
    scheduler = ["dask_scheduler", "--host", hosts.address(DRIVER), "--port", str(PORT), "--no-dashboard"]
    begun = [_begin(hosts, DRIVER, scheduler)]
    try:
        for name in hosts.names[1:]:
            worker = ["dask_worker", address, "--host", hosts.address(name), "--nthreads", "1", "--no-nanny", *common]
            begun.append(_begin(hosts, name, worker))
        time.sleep(READY_SECONDS)  # they try again until the scheduler is there
        yield {"DASK_SCHEDULER": address}
    finally:
        for process in begun:
            process.kill()
            process.wait()


def _begin(hosts: Hosts, name: str, words: list[str]) -> subprocess.Popen[Any]:
    program, *options = words
    command = [sys.executable, "-m", f"distributed.cli.{program}", *options]
    nowhere = subprocess.DEVNULL
    return hosts.popen(name, command, env=ENVIRONMENT, stdout=nowhere, stderr=nowhere)


ENGINES = {"mpi": _mpi, "dask": _dask}
