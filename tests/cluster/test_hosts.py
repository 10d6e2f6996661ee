"""The hosts of these tests are what they claim to be."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from hosts import Hosts, why_not

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not() or "-")


@pytest.fixture
def hosts(tmp_path):
    with Hosts(3, tmp_path) as made:
        yield made


def reaches(hosts, one, other):
    code = f"import socket; socket.create_connection(('{hosts.address(other)}', 7000), 0.7)"
    return hosts.run(one, [sys.executable, "-c", code]).returncode == 0


@pytest.fixture
def listening(hosts):
    code = "import socket, time; s = socket.create_server(('0.0.0.0', 7000)); print('x', flush=True); time.sleep(99)"
    with hosts.popen("h2", [sys.executable, "-c", code], stdout=subprocess.PIPE) as server:
        assert server.stdout.readline() == b"x\n"
        yield server
        server.kill()


def test_they_have_names_addresses_and_folders_of_their_own(hosts):
    for name in hosts.names:
        assert hosts.run(name, ["hostname"]).stdout == f"{name}\n"
        hosts.run(name, ["touch", hosts.work / name])
        assert hosts.run(name, ["ls", hosts.work]).stdout == f"{name}\n"
    assert not list(hosts.work.iterdir())
    assert "10.77.0.2" in hosts.run("h1", ["getent", "hosts", "h2"]).stdout


def test_a_cable_can_be_cut_and_mended(hosts, listening):
    assert reaches(hosts, "h1", "h2")
    hosts.cut("h2")
    assert not reaches(hosts, "h1", "h2")
    hosts.mend("h2")
    assert reaches(hosts, "h1", "h2")


@pytest.mark.skipif(not Path("/dev/net/tun").exists(), reason="there is no /dev/net/tun to make a cable of")
def test_a_cable_can_be_slow_and_limited(hosts, listening):
    code = (
        "import socket, time; begin = time.perf_counter();"
        f"socket.create_connection(('{hosts.address('h2')}', 7000), 5); print(time.perf_counter() - begin)"
    )

    def seconds():
        return float(hosts.run("h1", [sys.executable, "-c", code]).stdout)

    assert seconds() < 0.05
    hosts.limit("h1", "100mbit")
    hosts.delay("h2", 0.05)
    assert 0.1 <= seconds() < 0.5


def test_a_host_can_be_powered_off(hosts, listening):
    assert hosts.pids("h2", "socket.create_server")
    hosts.off("h2")
    assert listening.wait(5) != 0
    assert not reaches(hosts, "h1", "h2")


def test_nothing_of_them_is_reached_from_outside(hosts, listening):
    code = f"import socket; socket.create_connection(('{hosts.address('h2')}', 7000), 0.7)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode != 0


def test_one_starts_programs_on_another(hosts):
    started = hosts.run("h1", [hosts.launcher, "h3", "hostname", "&&", "exit", "7"], timeout=20)
    assert (started.stdout, started.returncode) == ("h3\n", 7)


def test_what_was_started_ends_with_who_asked(hosts):
    with hosts.popen("h1", [hosts.launcher, "h3", "sleep", "77"]) as asking:
        until = time.monotonic() + 10
        while not hosts.pids("h3", "sleep 77"):
            assert time.monotonic() < until
            time.sleep(0.05)
        asking.kill()
    until = time.monotonic() + 10
    while hosts.pids("h3", "sleep 77"):
        assert time.monotonic() < until
        time.sleep(0.05)
