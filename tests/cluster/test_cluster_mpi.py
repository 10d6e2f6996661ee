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
from imgproc.image.operations import OPERATIONS
from imgproc.image.samples import draw_many
from imgproc.runs.record import Record
from tests.cluster.hosts import Hosts, missing

ROOT = Path(__file__).resolve().parents[2]
WHY = missing() or Mpi.availability().reason
pytestmark = pytest.mark.skipif(bool(WHY), reason=WHY or "")


@pytest.fixture
def hosts(tmp_path):
    hosts = Hosts(tmp_path, 3)
    yield hosts
    hosts.close()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    list(draw_many(folder, 6, 0.5, 3, 1))
    return folder


def expected(pictures, folder):
    usual = [sys.executable, "-m", "imgproc", "process", pictures, "--out", folder, "--budget", "0"]
    subprocess.run(usual, check=True, cwd=ROOT, capture_output=True, timeout=60)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def start(hosts, pictures, *options, copies=1):
    """The usual command on node1, with a worker on each host; only node1 has the pictures."""
    file = hosts.work.parent / "hosts"
    file.write_text("".join(f"{name}:1\n" for name in hosts.names))
    script = (
        f"mkdir {hosts.work}/in && for n in $(seq {copies}); do cp -r {pictures} {hosts.work}/in/$n; done && "
        f"exec {sys.executable} -m imgproc process {hosts.work}/in --out {hosts.work}/out --technique mpi "
        f"--workers 3 {' '.join(options)} --json"
    )
    environment = {
        **os.environ,
        "MPI_HOSTFILE": str(file),
        "MPI_ARGUMENTS": f"-launcher ssh -launcher-exec {hosts.launcher} -iface eth0",
    }
    command = hosts.command("node1", "sh", "-c", f"cd {ROOT} && {script}")
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True)


def made(hosts, names):
    """The results on node1, of which no other host has any."""
    listed = [subprocess.run(hosts.command(n, "ls", hosts.work), capture_output=True, text=True) for n in hosts.names]
    assert [one.stdout.split() for one in listed] == [["in", "out"], [], []]
    return {
        name: subprocess.run(hosts.command("node1", "cat", hosts.work / "out" / name), capture_output=True).stdout
        for name in names
    }


def test_files_travel_to_three_hosts_and_back(hosts, pictures, tmp_path):
    wanted = expected(pictures, tmp_path / "usual")
    with start(hosts, pictures, "--budget", "5") as running:
        out, err = running.communicate(timeout=100)
    assert (running.returncode, err) == (0, "")
    record = Record.from_dict(json.loads(out))
    mpi = record.techniques[0]
    assert (mpi.workers, mpi.transfer, mpi.identical, mpi.split) == (3, "bytes", True, [])
    assert any("do not see this machine’s files" in one for one in record.warnings)
    assert {span.worker for span in mpi.spans} == {0, 1, 2, 3}
    walls = {number: r.wall_seconds for number, r in enumerate(mpi.rounds, 1)}
    assert all(-0.001 <= span.start <= span.end <= walls[span.round] + 0.001 for span in mpi.spans)
    assert made(hosts, wanted) == wanted
    assert hosts.await_quiet(10) == []


def test_a_cable_that_comes_loose_for_a_while_costs_no_image(hosts, pictures, tmp_path):
    wanted = expected(pictures, tmp_path / "usual")
    with start(hosts, pictures, "--budget", "0", copies=20) as running:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            found = subprocess.run(hosts.command("node1", "ls", hosts.work / "out"), capture_output=True, text=True)
            if len(found.stdout.split()) > 20:
                break
            time.sleep(0.02)
        hosts.cut("node3")
        time.sleep(3)
        assert running.poll() is None  # it is not over yet
        hosts.mend("node3")
        out, err = running.communicate(timeout=100)
    assert (running.returncode, err) == (0, "")
    record = Record.from_dict(json.loads(out))
    assert len(record.images) == 120 and [image.error for image in record.images if image.error] == []
    names = [output.file for image in record.images for output in image.outputs]
    assert len(set(names)) == 120 * len(OPERATIONS)
    assert Counter(made(hosts, names).values()) == dict.fromkeys(wanted.values(), 20)
    assert hosts.await_quiet(10) == []
