"""Hosts as namespaces on this machine: each with its own network, name, processes and a folder nobody else sees.

A bridge in a namespace of its own joins them, so that they reach each other and nothing else. Needs root, iproute2 and
util-linux; ``why_not`` says what is missing. All of it is gone when the ``with`` block ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

NET = "10.77.0"
_READY_SECONDS = 10.0
_NEEDED = ("ip", "unshare", "nsenter", "mount", "setpriv")


def why_not() -> str:
    """Why there can be no hosts here; empty where there can."""
    missing = [name for name in _NEEDED if not shutil.which(name)]
    if missing:
        return f"{missing[0]} is not installed"
    if sys.platform != "linux" or os.geteuid() != 0:
        return "only root may make namespaces"
    tried = subprocess.run(["unshare", "--net", "--mount", "--pid", "--fork", "true"], capture_output=True, check=False)
    return "" if tried.returncode == 0 else "namespaces are not permitted here"


class Hosts:
    """``count`` hosts h1, h2, …, with the addresses ``NET``.1, .2, … The folder ``work`` is another one on each."""

    def __init__(self, count: int, folder: Path) -> None:
        self.names = [f"h{number}" for number in range(1, count + 1)]
        self.work = folder / "host-work"
        self._folder = folder
        self._prefix = f"t{os.getpid() % 10_000}"
        self._outer: dict[str, subprocess.Popen[bytes]] = {}
        self._inits: dict[str, int] = {}
        self._slow: list[subprocess.Popen[bytes]] = []
        self._launcher = Launcher(self)

    def __enter__(self) -> Self:
        self.work.mkdir(parents=True, exist_ok=True)
        lines = ["127.0.0.1 localhost", *(f"{self.address(name)} {name}" for name in self.names)]
        (self._folder / "hosts").write_text("\n".join(lines) + "\n")
        try:
            self._make()
        except BaseException:
            self.down()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, why: BaseException | None, where: TracebackType | None
    ) -> None:
        self.down()

    def address(self, name: str) -> str:
        return f"{NET}.{name.removeprefix('h')}"

    def _make(self) -> None:
        # What is sent to them from outside ends here, and not at this machine's gateway.
        subprocess.run(["ip", "route", "add", "unreachable", f"{NET}.0/24"], capture_output=True, check=False)
        ip("netns", "add", self._switch)
        self._in_switch("ip", "link", "set", "lo", "up")
        self._in_switch("ip", "link", "add", "br0", "type", "bridge", "forward_delay", "0")
        self._in_switch("ip", "link", "set", "br0", "up")
        for name in self.names:
            self._plug_in(name)
            self._start(name)

    def _plug_in(self, name: str) -> None:
        net, port = self._net(name), self._port(name)
        ip("netns", "add", net)
        ip("link", "add", "eth0", "netns", net, "type", "veth", "peer", "name", port, "netns", self._switch)
        self._in_switch("ip", "link", "set", port, "master", "br0", "up")
        ip("-n", net, "addr", "add", f"{self.address(name)}/24", "dev", "eth0")
        ip("-n", net, "link", "set", "lo", "up")
        ip("-n", net, "link", "set", "eth0", "up")

    def _start(self, name: str) -> None:
        """Its first process, in namespaces of its own; when that ends, all its processes do."""
        ready = self._folder / f"{name}.ready"
        script = (
            "mount --make-rprivate / && mount -t tmpfs -o mode=1777 tmpfs /dev/shm && "
            f"mount -t tmpfs -o mode=1777 tmpfs {self.work} && mount --bind {self._folder}/hosts /etc/hosts && "
            f"hostname {name} && touch {ready} && exec sleep infinity"
        )
        # Should this process be killed, its hosts end with it.
        ends = ["setpriv", "--pdeathsig", "KILL"]
        spaces = ["unshare", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc"]
        self._outer[name] = subprocess.Popen(
            [*ends, "ip", "netns", "exec", self._net(name), *spaces, "sh", "-c", script], start_new_session=True
        )
        until = time.monotonic() + _READY_SECONDS
        while not ready.exists():
            if time.monotonic() > until or self._outer[name].poll() is not None:
                raise RuntimeError(f"host {name} did not start")
            time.sleep(0.02)
        outer = self._outer[name].pid
        self._inits[name] = int(Path(f"/proc/{outer}/task/{outer}/children").read_text().split()[0])

    # What is done on them

    def popen(self, name: str, command: Sequence[str | Path], **options: Any) -> subprocess.Popen[Any]:
        """Start a program on a host; it ends with the process returned."""
        inside = ["setpriv", "--pdeathsig", "KILL", *map(str, command)]
        return subprocess.Popen(
            ["nsenter", "-t", str(self._inits[name]), "-m", "-u", "-i", "-n", "-p", "--", *inside], **options
        )

    def run(self, name: str, command: Sequence[str | Path], **options: Any) -> subprocess.CompletedProcess[str]:
        with self.popen(name, command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            out, err = process.communicate(**options)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def pids(self, name: str, pattern: str) -> list[int]:
        """Processes of a host whose command line has the pattern, by their ids outside, the newest last."""
        found, todo = [], [self._inits[name]]
        while todo:
            for file in Path(f"/proc/{todo.pop()}/task").glob("*/children"):
                with contextlib.suppress(OSError):
                    todo += [int(pid) for pid in file.read_text().split()]
        mine = _pid_namespace(self._inits[name])
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                line = process.joinpath("cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if _pid_namespace(int(process.name)) == mine and pattern in line:
                    found.append(int(process.name))
        return sorted(found)

    @property
    def launcher(self) -> Path:
        """A program ``launcher HOST COMMAND…`` that starts something on another host, in the place of ssh."""
        return self._launcher.program

    # What is done to them

    def cut(self, name: str) -> None:
        """Pull its cable out of the switch; the host is not told."""
        self._in_switch("ip", "link", "set", self._port(name), "nomaster")

    def mend(self, name: str) -> None:
        self._in_switch("ip", "link", "set", self._port(name), "master", "br0")

    def limit(self, name: str, rate: str) -> None:
        """How much may go to the host, such as ``100mbit``."""
        self._in_switch(
            *("tc", "qdisc", "replace", "dev", self._port(name), "root", "tbf", "rate", rate),
            *("burst", "128kb", "latency", "100ms"),
        )

    def delay(self, name: str, seconds: float) -> None:
        """Have all that goes to the host and comes from it take longer, each way."""
        net, cable = self._net(name), str(Path(__file__).with_name("slow_cable.py"))
        ip("netns", "exec", net, sys.executable, cable, "--finish-frames", "eth0")
        process = subprocess.Popen(
            ["ip", "netns", "exec", self._switch, sys.executable, cable, self._port(name), str(seconds)],
            stdout=subprocess.PIPE,
        )
        self._slow.append(process)
        if process.stdout is None or process.stdout.readline() != b"ready\n":
            raise RuntimeError(f"the cable of {name} cannot be made slow")

    def off(self, name: str) -> None:
        """Power it off: all its processes end at once, and its cable is dead."""
        self.cut(name)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._inits[name], signal.SIGKILL)
        self._outer[name].wait(10)

    def down(self) -> None:
        self._launcher.close()
        for process in self._slow:
            process.kill()
            process.communicate()
        for name, outer in self._outer.items():
            with contextlib.suppress(ProcessLookupError):
                if name in self._inits:
                    os.kill(self._inits[name], signal.SIGKILL)
            outer.kill()
            outer.wait(10)
        for net in (*map(self._net, self.names), self._switch):
            subprocess.run(["ip", "netns", "del", net], capture_output=True, check=False)
        subprocess.run(["ip", "route", "del", "unreachable", f"{NET}.0/24"], capture_output=True, check=False)

    @property
    def _switch(self) -> str:
        return f"{self._prefix}-sw"

    def _net(self, name: str) -> str:
        return f"{self._prefix}-{name}"

    def _port(self, name: str) -> str:
        return f"p{name.removeprefix('h')}"

    def _in_switch(self, *command: str) -> None:
        ip("netns", "exec", self._switch, *command)


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def _pid_namespace(pid: int) -> int:
    return Path(f"/proc/{pid}/ns/pid").stat().st_ino


class Launcher:
    """Starts programs on hosts for programs on other hosts, which cannot reach them but over the network.

    They ask over a Unix socket, which is no part of a network namespace, and send their own standard streams along.
    """

    def __init__(self, hosts: Hosts) -> None:
        self._hosts = hosts
        self._folder = Path(tempfile.mkdtemp(prefix="launcher-"))
        self.program = self._folder / "launch"
        self.program.write_text(f"#!{sys.executable}\n{_CLIENT.format(socket=str(self._folder / 'socket'))}")
        self.program.chmod(0o755)
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(self._folder / "socket"))
        self._socket.listen(32)
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._socket.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _serve(self) -> None:
        while True:
            try:
                asking, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(asking,), daemon=True).start()

    def _answer(self, asking: socket.socket) -> None:
        with asking, contextlib.suppress(OSError, KeyError):
            data, streams, _, _ = socket.recv_fds(asking, 1 << 20, 3)
            name, *command = json.loads(data)
            process = self._hosts.popen(
                name, ["sh", "-c", " ".join(command)], stdin=streams[0], stdout=streams[1], stderr=streams[2]
            )
            for stream in streams:
                os.close(stream)
            with _ended_with(asking, process):
                asking.sendall(str(process.wait()).encode())


@contextlib.contextmanager
def _ended_with(asking: socket.socket, process: subprocess.Popen[Any]) -> Iterator[None]:
    """A program ends when whoever asked for it does."""

    def watch() -> None:
        with contextlib.suppress(OSError, psutil.Error):
            if not asking.recv(1):
                for one in (*psutil.Process(process.pid).children(recursive=True), process):
                    one.kill()

    threading.Thread(target=watch, daemon=True).start()
    yield


_CLIENT = """
import json, socket, sys
asking = socket.socket(socket.AF_UNIX)
asking.connect({socket!r})
words = [word for word in sys.argv[1:] if not word.startswith("-x")]
socket.send_fds(asking, [json.dumps(words).encode()], [0, 1, 2])
sys.exit(abs(int(asking.recv(20) or b"255")))
"""
