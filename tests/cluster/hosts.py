"""Hosts on one machine: namespaces with their own network address, name, shared memory and work folder, on a switch."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

NETWORK = "10.88.0"


def missing():
    """Why there can be no such hosts here; None if there can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "hosts as namespaces need root on Linux"
    for program in ("unshare", "nsenter", "ip", "mount"):
        if shutil.which(program) is None:
            return f"hosts as namespaces need the program {program}"
    tried = subprocess.run(
        ["unshare", "--net", "--mount", "--uts", "ip", "link", "add", "br0", "type", "bridge"], capture_output=True
    )
    return "namespaces or bridges are not permitted here" if tried.returncode else None


class Hosts:
    """``count`` hosts called node1, node2 …; ``work`` is a folder of which each has its own."""

    def __init__(self, folder, count):
        self.work = folder / "work"
        self.work.mkdir()
        self.names = [f"node{number}" for number in range(1, count + 1)]
        self._folder = folder
        self._table = folder / "etc-hosts"
        lines = [f"{NETWORK}.{number} {name}" for number, name in enumerate(self.names, 1)]
        self._table.write_text("\n".join(["127.0.0.1 localhost", *lines, ""]))
        self._switch = self._namespace("--net", "ip link set lo up; ip link add br0 type bridge; ip link set br0 up")
        self._first = {name: self._host(number, name) for number, name in enumerate(self.names, 1)}
        self.launcher = self._launcher()

    def _namespace(self, kinds, setting_up):
        """The process that keeps a namespace."""
        command = ["unshare", *kinds.split(), "sh", "-c", f"set -e; {setting_up}; echo ready; exec sleep 100000"]
        first = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert first.stdout.readline() == b"ready\n"
        return first

    def _host(self, number, name):
        first = self._namespace(
            "--net --mount --uts --ipc",
            f"hostname {name}; mount --make-rprivate /; mount -t tmpfs tmpfs {self.work}; "
            f"mount -t tmpfs tmpfs /dev/shm; mount --bind {self._table} /etc/hosts; ip link set lo up",
        )
        port = f"port{number}"
        ends = ["type", "veth", "peer", "name", port, "netns", str(self._switch.pid)]
        subprocess.run(["ip", "link", "add", "eth0", "netns", str(first.pid), *ends], check=True)
        self._at_switch("ip", "link", "set", port, "master", "br0", "up")
        inside = ["nsenter", "-t", str(first.pid), "-n", "ip"]
        subprocess.run([*inside, "addr", "add", f"{NETWORK}.{number}/24", "dev", "eth0"], check=True)
        subprocess.run([*inside, "link", "set", "eth0", "up"], check=True)
        return first

    def _launcher(self):
        """A program that is called as ssh is, and enters the host."""
        program = self._folder / "enter"
        cases = "".join(f"{name}) pid={first.pid};; " for name, first in self._first.items())
        program.write_text(
            '#!/bin/sh\nwhile [ "${1#-}" != "$1" ]; do shift; done\n'
            f'case "$1" in {cases}*) exit 1;; esac\nshift\n'
            'exec nsenter -t "$pid" -m -u -n -i -- sh -c "$*"\n'
        )
        program.chmod(0o755)
        return program

    def command(self, name, *command):
        """The command, to be run on a host."""
        return ["nsenter", "-t", str(self._first[name].pid), "-m", "-u", "-n", "-i", "--", *map(str, command)]

    def cut(self, name):
        """Pull a host's cable out at the switch: the host is not told."""
        self._at_switch("ip", "link", "set", f"port{self.names.index(name) + 1}", "down")

    def mend(self, name):
        self._at_switch("ip", "link", "set", f"port{self.names.index(name) + 1}", "up")

    def _at_switch(self, *command):
        subprocess.run(["nsenter", "-t", str(self._switch.pid), "-n", *command], check=True)

    def processes(self, name):
        """The ids of what runs on a host but its first process."""
        own = Path(f"/proc/{self._first[name].pid}/ns/net").readlink()
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if (process / "ns/net").readlink() == own and int(process.name) != self._first[name].pid:
                    found.append(int(process.name))
            except OSError:
                pass
        return found

    def await_quiet(self, seconds):
        """What still runs on any host after so long."""
        until = time.monotonic() + seconds
        while (left := [pid for name in self.names for pid in self.processes(name)]) and time.monotonic() < until:
            time.sleep(0.1)
        return left

    def close(self):
        for pid in self.await_quiet(0):
            os.kill(pid, 9)
        for first in (*self._first.values(), self._switch):
            first.kill()
            first.wait()
            first.stdout.close()
