"""The model of a cluster against its simulation, its limits, and a warm technique on this machine."""

import math
import random
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import simpy
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from benchmarks import cluster_costs, simulate_cluster
from benchmarks.cluster_model import IN_FLIGHT, LEAST_IMAGES, Cluster, Costs, Job, Link, predict
from benchmarks.cluster_simulation import Shared, draw_sizes, simulate, simulate_many
from imgproc.backends.mpi.backend import Mpi
from imgproc.intake.samples import draw_many
from tests.cluster.hosts import why_not

PROJECT = Path(__file__).resolve().parents[1]
WITHIN = 0.2
#: A megapixel takes a worker 20 ms; nothing else takes any time, and a megapixel is 1 MB to it and 2 MB back.
PLAIN = Costs(0.0, 0.0, 0.0, 0.0, 0.0, 0.02, 0.0, 0.0, 1e6, 2e6, 1000.0)
JOB = Job(400, 5.0, "bytes")


def simulated(costs, cluster, job, spread=1.0):
    return simulate(costs, cluster, job, draw_sizes(job.images, job.megapixels, spread, 1))


def agree(costs, cluster, job=JOB, within=0.02):
    """What limits, where prediction and simulation are the same; and the seconds."""
    said = predict(costs, cluster, job)
    assert simulated(costs, cluster, job) == pytest.approx(said.seconds, rel=within)
    return said.limit, said.seconds


# Limits that can be told by hand


def test_one_worker_takes_what_the_images_take():
    limit, seconds = agree(PLAIN, Cluster(1, 1))
    assert (limit, seconds) == ("workers", pytest.approx(400 * 5 * 0.02))


def test_with_an_infinite_network_ten_workers_take_a_tenth():
    limit, seconds = agree(PLAIN, Cluster(5, 2))
    assert (limit, seconds) == ("workers", pytest.approx(4.0, rel=0.02))


def test_further_workers_on_a_host_slow_each_other_down():
    slower = replace(PLAIN, contention=0.1)
    assert agree(slower, Cluster(1, 5))[1] == pytest.approx(1.4 * agree(PLAIN, Cluster(5, 1))[1])
    assert agree(slower, Cluster(5, 1))[1] == agree(PLAIN, Cluster(5, 1))[1]


@pytest.mark.parametrize("workers", [30, 100])
def test_a_driver_that_is_busy_all_the_time_is_the_limit(workers):
    limit, seconds = agree(replace(PLAIN, driver_task=0.004, driver_byte=1e-9), Cluster(workers, 1), within=0.1)
    assert (limit, seconds) == ("driver", pytest.approx(400 * (0.004 + 15e6 * 1e-9), rel=0.1))


def test_a_slow_relay_is_the_limit():
    assert agree(replace(PLAIN, relay_task=0.02), Cluster(30, 1), within=0.1)[0] == "relay"


@pytest.mark.parametrize(
    ("cluster", "limit", "seconds"),
    [
        (Cluster(20, 1, driver_link=Link(into=100e6)), "link into driver", 400 * 10e6 / 100e6),
        (Cluster(20, 1, driver_link=Link(out=50e6)), "link out of driver", 400 * 5e6 / 50e6),
        (Cluster(4, 4, host_link=Link(into=10e6)), "links into hosts", 100 * 5e6 / 10e6),
        (Cluster(4, 4, host_link=Link(out=20e6)), "links out of hosts", 100 * 10e6 / 20e6),
    ],
)
def test_a_narrow_link_is_the_limit(cluster, limit, seconds):
    assert agree(PLAIN, cluster, within=0.1) == (limit, pytest.approx(seconds, rel=0.1))


def test_the_file_system_is_the_limit_of_paths_only():
    cluster = Cluster(40, 1, file_bytes=100e6)
    assert agree(PLAIN, cluster, replace(JOB, transfer="paths"), 0.1)[0] == "file system"
    assert agree(PLAIN, cluster, within=0.1)[0] == "workers"
    few = Cluster(40, 1, files=100)
    limit, seconds = agree(PLAIN, few, replace(JOB, transfer="paths"), 0.1)
    assert (limit, seconds) == ("file system", pytest.approx(400 * 4 / 100, rel=0.1))


def test_one_task_in_flight_waits_for_a_distant_driver():
    far = Cluster(2, 1, latency=0.2, depth=1)
    limit, seconds = agree(PLAIN, far)
    assert (limit, seconds) == ("in flight", pytest.approx(200 * (0.1 + 0.4)))
    assert predict(PLAIN, replace(far, depth=8), JOB).limit == "workers"


def test_hosts_on_one_machine_share_its_cores():
    limit, seconds = agree(replace(PLAIN, driver_task=0.02), Cluster(4, 1, shared_cores=2), within=0.05)
    assert (limit, seconds) == ("cores", pytest.approx(400 * 0.12 / 2, rel=0.02))


def test_start_up_is_added_once():
    slow = replace(PLAIN, start=7.0)
    assert agree(slow, Cluster(1, 1))[1] == pytest.approx(agree(PLAIN, Cluster(1, 1))[1] + 7)


# Over everything


def over(low, high):
    return st.floats(math.log(low), math.log(high)).map(math.exp)


links = st.builds(Link, over(1e6, 1e10), over(1e6, 1e10))
costs = st.builds(
    Costs, over(1e-5, 1e-2), over(1e-10, 1e-8), over(1e-5, 1e-3), over(1e-11, 1e-9), over(1e-5, 1e-3), over(0.005, 0.1),
    st.floats(0, 0.1), st.floats(0, 3), over(1e5, 1e6), over(1e5, 2e6), st.just(1000.0),
)  # fmt: skip
clusters = st.builds(
    Cluster, st.integers(1, 10), st.integers(1, 8), links, links, st.sampled_from([0, 1e-4, 1e-2]), over(1e7, 1e10),
    over(1e2, 1e5), st.sampled_from([None, 2, 16]),
)  # fmt: skip


anything = given(costs, clusters, over(0.5, 20), st.sampled_from(["paths", "bytes"]), st.floats(1, 5))


def _compared(costs, cluster, megapixels, transfer, spread):
    """What is predicted, the simulated seconds, and what of them the stations need of themselves."""
    job = Job(LEAST_IMAGES * cluster.all_workers, megapixels, transfer)
    said = predict(costs, cluster, job)
    needs = [bound for name, bound in said.bounds.items() if name != IN_FLIGHT]
    return said, simulated(costs, cluster, job, spread), needs


@anything
@settings(max_examples=40, deadline=None)
def test_no_run_is_faster_than_its_largest_bound(costs, cluster, megapixels, transfer, spread):
    _, seconds, needs = _compared(costs, cluster, megapixels, transfer, spread)
    assert seconds >= (costs.start + max(needs)) * (1 - 1e-9)


@anything
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
def test_where_one_part_takes_nearly_all_the_time_it_is_predicted_within_a_fifth(
    costs, cluster, megapixels, transfer, spread
):
    said, seconds, needs = _compared(costs, cluster, megapixels, transfer, spread)
    assume(sum(needs) < (1 + WITHIN) * max(needs))  # however the others wait for each other
    assert seconds == pytest.approx(said.seconds, rel=WITHIN)


def test_where_one_part_limits_nearly_all_predictions_are_within_a_fifth():
    ratios = []
    for seed in range(600):
        said, seconds, _ = _compared(*_drawn(random.Random(seed)))
        if said.clear:
            ratios.append(said.seconds / seconds)
    assert len(ratios) > 200
    assert sum(abs(1 - ratio) <= WITHIN for ratio in ratios) > 0.99 * len(ratios)
    assert min(ratios) > 0.7 and max(ratios) < 1.1


def _drawn(chance):
    """A cluster of which no size is more likely than another."""

    def over(low, high):
        return math.exp(chance.uniform(math.log(low), math.log(high)))

    costs = Costs(
        over(1e-5, 1e-2), over(1e-10, 1e-8), over(1e-5, 1e-3), over(1e-11, 1e-9), over(1e-5, 1e-3), over(0.005, 0.1),
        chance.uniform(0, 0.1), chance.uniform(0, 3), over(1e5, 1e6), over(1e5, 2e6), 1000.0,
    )  # fmt: skip
    driver, host = (Link(over(1e6, 1e10), over(1e6, 1e10)) for _ in range(2))
    latency, cores = chance.choice([0, 1e-4, 1e-2]), chance.choice([None, 2, 16])
    cluster = Cluster(
        chance.randint(1, 6), chance.randint(1, 4), driver, host, latency, over(1e7, 1e10), over(1e2, 1e5), cores
    )
    return costs, cluster, over(0.5, 20), chance.choice(["paths", "bytes"]), chance.uniform(1.5, 5)


def test_two_parts_that_limit_together_are_not_claimed():
    together = Cluster(1, 4, host_link=Link(into=100e6))  # reading 0.05 s, working 0.1 s
    said = predict(PLAIN, together, replace(JOB, transfer="paths"))
    assert not said.clear
    assert simulated(PLAIN, together, replace(JOB, transfer="paths")) > said.seconds * (1 + WITHIN)


def test_of_a_long_run_a_part_is_simulated():
    cluster, job = Cluster(3, 2, Link(60e6, 60e6)), replace(JOB, images=600)
    short = simulate_many(PLAIN, cluster, job, 1.0, 1)
    assert short == pytest.approx(simulated(PLAIN, cluster, job), rel=0.02)


# The parts of the simulation


def test_what_is_shared_is_shared_evenly():
    env = simpy.Environment()
    shared, ends = Shared(env, 10.0, 6.0), {}

    def user(name, begin, amount):
        yield env.timeout(begin)
        yield shared.use(amount)
        ends[name] = env.now

    for one in (("a", 0, 11.0), ("b", 1, 15.0), ("c", 9, 12.0)):
        env.process(user(*one))
    env.run()
    # a: 6 in the first second, then 5 at the half of 10; b: 5 until then, and 10 at 6; c: alone, at 6.
    assert ends == pytest.approx({"a": 2.0, "b": 2 + 10 / 6, "c": 11.0})


def test_sizes_have_the_mean_and_the_spread():
    sizes = draw_sizes(2000, 12.0, 5.0, 1)
    assert sum(sizes) / 2000 == pytest.approx(12) and sizes == sorted(sizes, reverse=True)
    assert 4.5 < sizes[0] / sizes[-1] <= 5


# The command, and this machine


def test_the_command_prints_a_table():
    command = [
        sys.executable,
        "benchmarks/simulate_cluster.py",
        "--images",
        "100,1000",
        "--hosts",
        "2",
        "--workers",
        "2",
    ]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=60, check=True)
    rows = [line.split() for line in done.stdout.splitlines() if line.strip().startswith(("1 ", "2 ", "4 "))]
    assert [row[0] for row in rows] == ["1", "2", "4"] * 2
    assert all(abs(float(row[-1]) - 1) < WITHIN for row in rows)


def test_costs_are_kept_in_a_file(tmp_path):
    kept = {"mpi": {"paths": PLAIN, "bytes": replace(PLAIN, contention=0.25)}}
    cluster_costs.save(kept, tmp_path / "costs.json")
    assert cluster_costs.load(tmp_path / "costs.json") == kept


def test_times_are_said_as_people_say_them():
    assert [simulate_cluster.span(s) for s in (0.5, 90, 150, 9000, 3e5, 1e8)] == [
        "0.5 s", "90 s", "2.5 min", "2.5 h", "3.47 days", "3.17 years",
    ]  # fmt: skip


def test_the_tables_in_the_docs_are_what_the_model_says():
    rows = re.findall(r"^\| ([\d ]+) \| (\d+) \| (.*) \|$", (PROJECT / "docs" / "scaling.md").read_text(), re.MULTILINE)
    assert len(rows) == 3 * 4
    kept = cluster_costs.load(simulate_cluster.COSTS)["mpi"]
    link = Link(10_000 * simulate_cluster.MEGABIT, 10_000 * simulate_cluster.MEGABIT)
    for images, workers, cells in rows:
        hosts, each = divmod(int(workers), 10) if int(workers) > 1 else (1, 1)
        cluster = Cluster(hosts, each or 10, link, link, 0.0002, 10e9, 20_000)
        said = cells.split(" | ")
        for transfer, (predicted, _, limit) in zip(("paths", "bytes"), (said[:3], said[3:]), strict=True):
            found = predict(kept[transfer], cluster, Job(int(images.replace(" ", "")), 12.0, transfer))
            assert (predicted.removeprefix("> "), limit) == (simulate_cluster.span(found.seconds), found.limit)
            assert predicted.startswith("> ") != found.clear


@pytest.mark.slow
@pytest.mark.skipif(not Mpi.availability().ok, reason=Mpi.availability().reason or "-")
def test_costs_measured_here_predict_the_cpu_time_of_another_run(tmp_path):
    """CPU time, since how long it takes depends on what else this machine does."""
    first, other = (cluster_costs.look_at(list(draw_many(tmp_path / str(seed), 12, 2.0, seed, 2))) for seed in (1, 2))
    costs = cluster_costs.measure("mpi", first, 3, 2)["bytes"]
    used = cluster_costs.passes("mpi", 2, other, 3, tmp_path)[0]["bytes"]
    cluster = Cluster(1, 2, shared_cores=2)
    job = Job(12, sum(other.megapixels) / 12, "bytes")
    predicted = predict(costs, cluster, job).bounds["cores"] * 2
    assert used.driver + used.relay + used.workers == pytest.approx(predicted, rel=WITHIN)


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.skipif(bool(why_not() or Mpi.availability().reason), reason=why_not() or Mpi.availability().reason or "-")
def test_real_runs_on_one_to_four_hosts_are_predicted_within_a_fifth():
    """On links so narrow that nothing else on this machine can be the limit."""
    narrow = ["--host-mbit", "10", "--driver-mbit", "400", "--pictures", "16", "--rounds", "1"]
    command = [sys.executable, "benchmarks/simulate_cluster.py", "--real", *narrow]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=390, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()[-4:]] == ["1", "2", "3", "4"]
