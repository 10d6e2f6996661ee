"""MPI over three hosts that share no file: the files travel, and a cable may come loose."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from imgproc.backends.mpi.backend import Mpi
from imgproc.image.operations import OPERATIONS, parse_parameters
from imgproc.image.samples import draw_many
from imgproc.image.task import ImageJob, Stopwatch, process_image
from imgproc.runs.record import Record
from tests.cluster.hosts import Hosts, why_not

ROOT = Path(__file__).resolve().parents[2]
WHY = why_not() or Mpi.availability().reason
pytestmark = pytest.mark.skipif(bool(WHY), reason=WHY)


@pytest.fixture
def hosts(tmp_path):
    with Hosts(3, tmp_path) as hosts:
        yield hosts


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    list(draw_many(folder, 6, 0.5, 3, 1))
    return folder


@pytest.fixture(scope="module")
def expected(pictures, tmp_path_factory):
    """The results' files by name, made without a network."""
    folder = tmp_path_factory.mktemp("expected")
    for picture in pictures.iterdir():
        outputs = tuple((name, str(folder / f"{picture.stem}_{name}.png")) for name in OPERATIONS)
        process_image(ImageJob(str(picture), outputs, parse_parameters({})), Stopwatch())
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def start(hosts, pictures, folder, *options, copies=1):
    """The usual command on h1, with a worker on each host; only h1 has the pictures."""
    file = folder / "mpi-hosts"
    file.write_text("".join(f"{name}:1\n" for name in hosts.names))
    script = (
        f"cd {ROOT} && mkdir {hosts.work}/in && for n in $(seq {copies}); do cp -r {pictures} {hosts.work}/in/$n; done "
        f"&& exec {sys.executable} -m imgproc process {hosts.work}/in --out {hosts.work}/out --technique mpi "
        f"--workers 3 {' '.join(options)} --json"
    )
    environment = {
        **os.environ,
        "MPI_HOSTFILE": str(file),
        "MPI_ARGUMENTS": f"-launcher ssh -launcher-exec {hosts.launcher} -iface eth0",
    }
    pipe = subprocess.PIPE
    return hosts.popen("h1", ["sh", "-c", script], env=environment, stdout=pipe, stderr=pipe, text=True)


def await_results(hosts, count):
    until = time.monotonic() + 60
    while len(hosts.run("h1", ["ls", hosts.work / "out"]).stdout.split()) < count:
        assert time.monotonic() < until
        time.sleep(0.02)


def finished(running, hosts):
    """The record of a run that went well, of which nothing is left running."""
    out, err = running.communicate(timeout=100)
    assert running.returncode == 0, err
    until = time.monotonic() + 10
    while left := [pid for name in hosts.names for pid in hosts.pids(name, "imgproc")]:
        assert time.monotonic() < until, left
        time.sleep(0.1)
    return Record.from_dict(json.loads(out))


def made(hosts, names):
    """These results on h1; the other hosts have none."""
    listed = [hosts.run(name, ["ls", hosts.work]).stdout.split() for name in hosts.names]
    assert listed == [["in", "out"], [], []]
    results = {}
    for name in names:
        with hosts.popen("h1", ["cat", hosts.work / "out" / name], stdout=subprocess.PIPE) as reading:
            results[name] = reading.stdout.read()
    return results


def test_files_travel_to_three_hosts_and_back(hosts, pictures, expected, tmp_path):
    with start(hosts, pictures, tmp_path, "--budget", "5") as running:
        record = finished(running, hosts)
    mpi = record.techniques[0]
    assert (mpi.workers, mpi.transfer, mpi.identical, mpi.split) == (3, "bytes", True, [])
    assert any("do not see this machine’s files" in one for one in record.warnings)
    assert {span.worker for span in mpi.spans} == {0, 1, 2, 3}
    assert {span.host for span in mpi.spans if span.worker} == {None, "h2", "h3"}
    walls = {number: r.wall_seconds for number, r in enumerate(mpi.rounds, 1)}
    assert all(-0.001 <= span.start <= span.end <= walls[span.round] + 0.001 for span in mpi.spans)
    assert made(hosts, expected) == expected


def test_a_cable_that_comes_loose_for_a_while_costs_no_image(hosts, pictures, expected, tmp_path):
    with start(hosts, pictures, tmp_path, "--budget", "0", copies=20) as running:
        await_results(hosts, 20)
        hosts.cut("h3")
        time.sleep(3)
        assert running.poll() is None  # it waits for what h3 has
        hosts.mend("h3")
        record = finished(running, hosts)
    assert len(record.images) == 120 and [image.error for image in record.images if image.error] == []
    names = [output.file for image in record.images for output in image.outputs]
    assert len(set(names)) == 120 * len(OPERATIONS)
    assert Counter(made(hosts, names).values()) == dict.fromkeys(expected.values(), 20)


@pytest.mark.slow
@pytest.mark.parametrize("end", ["cut", "off"])
def test_a_host_that_is_gone_for_good_is_left_out(end, hosts, pictures, expected, tmp_path):
    with start(hosts, pictures, tmp_path, "--budget", "0", copies=20) as running:
        await_results(hosts, 20)
        getattr(hosts, end)("h3")
        out, err = running.communicate(timeout=120)
    assert running.returncode == 0, err
    record = Record.from_dict(json.loads(out))
    assert len(record.images) == 120 and [image.error for image in record.images if image.error] == []
    assert any("h3 did not answer any more" in one for one in record.techniques[0].warnings)
    names = [output.file for image in record.images for output in image.outputs]
    listed = hosts.run("h1", ["ls", hosts.work / "out"]).stdout.split()
    assert sorted(names) == sorted(listed) and len(names) == 120 * len(OPERATIONS)


def test_a_host_that_never_answered_is_named_at_once(hosts, pictures, tmp_path):
    hosts.off("h2")
    with start(hosts, pictures, tmp_path, "--budget", "0") as running:
        _, err = running.communicate(timeout=60)
    assert running.returncode == 1
    assert err == "imgproc: MPI could start nothing on h2, which MPI_HOSTFILE lists.\n"
