"""How long a run on a cluster takes and what limits it: predicted, simulated, and run.

    python benchmarks/simulate_cluster.py [--images N,...] [--megapixels M] [--hosts H] [--workers W]
        [--transfer paths|bytes] [--technique mpi|dask] [--measure] [--real] ...

For numbers of workers up to H hosts with W workers each it prints the predicted time of ``cluster_model``, the part
of the cluster that limits it, how busy the next one is, and the time of the simulation (``cluster_simulation``) beside
it. A time with “>” is where two parts limit it together, or where there are fewer than 16 images for each worker: then
it is a bound that is not reached. Of runs with many images the simulation makes 16 for each worker and goes on from
there.

What work costs is read from ``cluster_costs.json``; ``--measure`` measures it on this machine first, through the real
techniques, and keeps it there. Links and the file system are as the options say: they are assumed, not measured.

``--real`` runs the real engine, files travelling, on 1 to 4 hosts with a worker each and a driver beside them. The
hosts are namespaces on this machine, whose cores they all share, which the model is told; slow down the links with
``--host-mbit`` and ``--driver-mbit``, or those cores are all that limits. It needs root.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import cluster_costs
from benchmarks.cluster_model import Cluster, Costs, Job, Link, predict
from benchmarks.cluster_simulation import simulate_many
from imgproc.intake.samples import draw_many
from imgproc.measure.environment import environment, usable_cores
from imgproc.measure.lock import machine_lock

COSTS = Path(__file__).with_name("cluster_costs.json")
TECHNIQUES = ("mpi", "dask")
#: The largest picture of a folder has so many times the pixels of the smallest.
SPREAD = 5.0
MEGABIT = 1e6 / 8
_UNITS = ((365.25 * 86400, "years"), (86400, "days"), (3600, "h"), (60, "min"), (1, "s"))


@dataclass(frozen=True)
class Row:
    """A time predicted, and simulated."""

    workers: int
    predicted: float
    limit: str
    second: tuple[str, float]
    clear: bool
    simulated: float


def clusters(hosts: int, workers: int, like: Cluster) -> list[Cluster]:
    """One worker alone, then hosts with so many workers each: 1, 2, 5, 10, … and at last all."""
    series = (step * 10**power for power in range(1 + int(math.log10(hosts))) for step in (1, 2, 5))
    counts = sorted({*(count for count in series if count < hosts), hosts})
    found = [replace(like, hosts=count, workers=workers) for count in counts]
    return found if workers == 1 else [replace(like, hosts=1, workers=1), *found]


def row(costs: Costs, cluster: Cluster, job: Job, seed: int) -> Row:
    said = predict(costs, cluster, job)
    simulated = simulate_many(costs, cluster, job, SPREAD, seed)
    return Row(cluster.all_workers, said.seconds, said.limit, said.second, said.clear, simulated)


def span(seconds: float) -> str:
    """A time as people say it."""
    size, unit = next((one for one in _UNITS if seconds >= 2 * one[0]), _UNITS[-1])
    return f"{seconds / size:.3g} {unit}"


def table(rows: list[Row]) -> str:
    lines = [f"{'workers':>7}{'predicted':>12}  {'limit':<20}{'next':<28}{'simulated':>11}{'ratio':>7}"]
    for one in rows:
        said = f"{'' if one.clear else '> '}{span(one.predicted)}"
        following = f"{one.second[0]}, {100 * one.second[1]:.0f} % busy"
        lines.append(
            f"{one.workers:>7}{said:>12}  {one.limit:<20}{following:<28}{span(one.simulated):>11}"
            f"{one.predicted / one.simulated:>7.2f}"
        )
    return "\n".join(lines)


def show_costs(name: str, costs: Costs) -> str:
    """What work costs, in lines."""
    lines = (
        f"worker: {1e3 * costs.worker_megapixel:.1f} ms per megapixel, {1e3 * costs.worker_task:.2f} ms per task, "
        f"{100 * costs.contention:.1f} % more for each further worker on its host",
        f"driver: {1e3 * costs.driver_task:.2f} ms per task, {1e9 * costs.driver_byte:.2f} ns per byte",
        f"relay: {1e3 * costs.relay_task:.2f} ms per task, {1e9 * costs.relay_byte:.2f} ns per byte",
        f"bytes per megapixel: {costs.source_bytes_megapixel:.0f} in, {costs.result_bytes_megapixel:.0f} out; "
        f"messages per task: {costs.message_bytes:.0f} bytes",
        f"start-up: {costs.start:.1f} s",
    )
    return f"{name}, CPU time\n  " + "\n  ".join(lines)


def measured(chosen: argparse.Namespace) -> dict[str, dict[cluster_costs.Transfer, Costs]]:
    """The costs on this machine, measured now."""
    with tempfile.TemporaryDirectory(prefix="cluster-pictures-") as folder, machine_lock(lambda _: None):
        files = list(draw_many(Path(folder), chosen.pictures, chosen.picture_megapixels, 0, usable_cores()))
        pictures = cluster_costs.look_at(files)
        return {name: cluster_costs.measure(name, pictures, chosen.rounds, usable_cores()) for name in TECHNIQUES}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", default="10000", help="how many, or several numbers with commas between them")
    parser.add_argument("--megapixels", type=float, default=12.0, help="of an image, on average")
    parser.add_argument("--hosts", type=int, default=100)
    parser.add_argument("--workers", type=int, default=10, help="on each host")
    parser.add_argument("--transfer", choices=cluster_costs.TRANSFERS, default="paths")
    parser.add_argument("--technique", choices=TECHNIQUES, default="mpi")
    parser.add_argument("--driver-mbit", type=float, default=10_000, help="of the driver's link, each way")
    parser.add_argument("--host-mbit", type=float, default=10_000, help="of each host's link, each way")
    parser.add_argument("--latency", type=float, default=0.0002, help="of the network, in seconds")
    parser.add_argument(
        "--file-mbyte", type=float, default=10_000, help="of the file system, megabytes a second in all"
    )
    parser.add_argument("--files", type=float, default=20_000, help="that the file system opens or makes a second")
    parser.add_argument("--depth", type=int, default=2, help="images in flight for each worker")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--measure", action="store_true", help="measure first what work costs here")
    parser.add_argument("--pictures", type=int, default=24, help="for --measure and --real")
    parser.add_argument("--picture-megapixels", type=float, default=3.0, help="of each, on average")
    parser.add_argument("--rounds", type=int, default=5, help="of --measure, and runs of --real")
    parser.add_argument("--costs", type=Path, default=COSTS, help="the file to read costs from, or to keep them in")
    parser.add_argument("--real", action="store_true", help="run the real engine on hosts made of namespaces")
    chosen = parser.parse_args()
    numbers = (chosen.megapixels, chosen.hosts, chosen.workers, chosen.driver_mbit, chosen.host_mbit, chosen.file_mbyte)
    if min(*numbers, chosen.files, chosen.depth, chosen.pictures, chosen.picture_megapixels, chosen.rounds) <= 0:
        parser.error("numbers must be above 0")
    if chosen.latency < 0:
        parser.error("--latency must not be below 0")
    if not all(one.isdigit() and int(one) for one in chosen.images.split(",")):
        parser.error("--images must be whole numbers above 0 with commas between them")
    if not chosen.measure and not chosen.costs.exists():
        parser.error(f"there is no {chosen.costs.name}: measure with --measure")
    return chosen


def busy() -> str:
    """How busy the machine is, in words."""
    facts = environment()
    return f"{facts['cpu']}, {facts['cores_usable']} cores; load average {os.getloadavg()[0]:.1f}"


def main() -> int:
    chosen = arguments()
    if chosen.measure:
        print(f"Measuring on this machine: {busy()}", flush=True)
        cluster_costs.save(measured(chosen), chosen.costs)
    every = cluster_costs.load(chosen.costs)
    transfer = "bytes" if chosen.real else chosen.transfer
    costs = every[chosen.technique][transfer]
    print(show_costs(f"{chosen.technique}, transfer={transfer}", costs))
    if chosen.real:
        from benchmarks import cluster_real  # it needs what is only on Linux

        return cluster_real.main(chosen, costs)
    link, host = (Link(rate * MEGABIT, rate * MEGABIT) for rate in (chosen.driver_mbit, chosen.host_mbit))
    like = Cluster(1, 1, link, host, chosen.latency, chosen.file_mbyte * 1e6, chosen.files, depth=chosen.depth)
    for images in map(int, chosen.images.split(",")):
        job = Job(images, chosen.megapixels, chosen.transfer)
        print(f"\n{images} images of {chosen.megapixels:g} megapixels, {chosen.technique}, transfer={chosen.transfer}")
        print(
            table([row(costs, one, job, chosen.seed) for one in clusters(chosen.hosts, chosen.workers, like)]),
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
