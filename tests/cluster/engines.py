"""The two techniques on several hosts: the usual command on h1, with a worker on every host, and only h1 has the
pictures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from imgproc.pixels.codecs import decode
from imgproc.pixels.proof import pixels_sha256
from imgproc.runs.record import Record
from tests.cluster.hosts import Hosts

ROOT = Path(__file__).resolve().parents[2]
_PORT = 8786


@contextmanager
def engine(technique: str, hosts: Hosts, folder: Path) -> Iterator[dict[str, str]]:
    """What the technique needs on these hosts, and the settings by which it is found."""
    if technique == "mpi":
        file = folder / "mpi-hosts"
        file.write_text("".join(f"{name}:1\n" for name in hosts.names))
        arguments = f"-launcher ssh -launcher-exec {hosts.launcher} -iface eth0"
        yield {"MPI_HOSTFILE": str(file), "MPI_ARGUMENTS": arguments}
        return
    address = f"tcp://{hosts.address('h1')}:{_PORT}"
    here = ("scheduler", "--host", hosts.address("h1"), "--port", str(_PORT), "--no-dashboard")
    running = [_dask(hosts, "h1", folder, *here)]
    _await_scheduler(folder)
    for name in hosts.names:
        place = ("--host", hosts.address(name), "--local-directory", str(hosts.work))
        how = ("--nthreads", "1", "--memory-limit", "0", "--no-dashboard", "--no-nanny")
        running.append(_dask(hosts, name, folder, "worker", address, *place, *how))
    try:
        yield {"DASK_SCHEDULER": address}
    finally:
        for process in running:
            process.kill()
            process.wait()


def _dask(hosts: Hosts, name: str, folder: Path, *arguments: str) -> subprocess.Popen[Any]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "DASK_DISTRIBUTED__ADMIN__LOW_LEVEL_LOG_LENGTH": "0"}
    with open(folder / f"dask-{arguments[0]}-{name}.log", "wb") as log:
        return hosts.popen(name, [sys.executable, "-m", "dask", *arguments], env=environment, stdout=log, stderr=log)


def _await_scheduler(folder: Path) -> None:
    """Until it listens: the command takes one that does not for one that is not there."""
    until = time.monotonic() + 60
    while b"Scheduler at:" not in (folder / "dask-scheduler-h1.log").read_bytes():
        assert time.monotonic() < until
        time.sleep(0.05)


@contextmanager
def started(
    technique: str, hosts: Hosts, pictures: Path, folder: Path, *options: str, copies: int = 1
) -> Iterator[subprocess.Popen[str]]:
    """The command under way, on so many copies of the pictures, which are copied to h1 first."""
    copied = f"mkdir {hosts.work}/in && for n in $(seq {copies}); do cp -r {pictures} {hosts.work}/in/$n; done"
    assert hosts.run("h1", ["sh", "-c", copied]).returncode == 0
    command = [
        sys.executable, "-m", "imgproc", "process", hosts.work / "in", "--out", hosts.work / "out",
        "--technique", technique, "--workers", str(len(hosts.names)), *options, "--json",
    ]  # fmt: skip
    pipe = subprocess.PIPE
    with engine(technique, hosts, folder) as settings:
        environment = {**os.environ, **settings, "PYTHONPATH": str(ROOT)}
        with hosts.popen("h1", command, env=environment, stdout=pipe, stderr=pipe, text=True) as running:
            try:
                yield running
            finally:
                running.kill()


def await_results(hosts: Hosts, running: subprocess.Popen[str], count: int) -> None:
    """Until so many files are there."""
    until = time.monotonic() + 60
    while len(listed(hosts, "h1", "out")) < count:
        assert running.poll() is None, running.communicate()
        assert time.monotonic() < until
        time.sleep(0.02)


def finished(running: subprocess.Popen[str], seconds: float = 100) -> Record:
    """The record of a run that went well."""
    out, err = running.communicate(timeout=seconds)
    assert running.returncode == 0, err
    return Record.from_dict(json.loads(out))


def left_behind(hosts: Hosts, pattern: str = "imgproc") -> list[int]:
    """Processes of the program that are there after a moment, and should not be."""
    until = time.monotonic() + 10
    while (left := [pid for name in hosts.names for pid in hosts.pids(name, pattern)]) and time.monotonic() < until:
        time.sleep(0.1)
    return left


def listed(hosts: Hosts, name: str, folder: str = "") -> list[str]:
    """The files in and below a folder of a host's own, by their paths in it."""
    return hosts.run(name, ["find", hosts.work / folder, "-type", "f", "-printf", "%P\\n"]).stdout.split()


def pixels(hosts: Hosts) -> dict[str, str]:
    """``pixels_of`` the results on h1."""
    answer = hosts.run(
        "h1", ["env", f"PYTHONPATH={ROOT}", sys.executable, "-m", "tests.cluster.engines", hosts.work / "out"]
    )
    assert answer.returncode == 0, answer.stderr
    found: dict[str, str] = json.loads(answer.stdout)
    return found


def pixels_of(folder: Path) -> dict[str, str]:
    """SHA-256 of the pixels of each picture in and below a folder, by its path in it."""
    pictures = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): pixels_sha256(decode(path.read_bytes(), color=True)) for path in pictures}


if __name__ == "__main__":  # on a host, of a folder that only it has
    print(json.dumps(pixels_of(Path(sys.argv[1]))))
