"""What machine this is, as far as it bears on a measurement."""

from __future__ import annotations

import logging
import math
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import psutil

from imgproc.backends.pools.processes import ProcessBackend
from imgproc.measure import topology
from imgproc.measure.program import allocator, program, versions
from imgproc.pixels.png import PNG_ENCODER

#: Where the system's files are; tests put a folder of their own in its place.
ROOT = Path("/")
#: Version 1 of control groups says so many bytes for "no limit", or a little less.
_UNLIMITED = 2**62

log = logging.getLogger(__name__)


def usable_cores() -> int:
    """Cores this process may use: affinity and CPU quotas taken into account; part of a core counts as one."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cpu_quota()
    return min(allowed, math.ceil(quota) if quota else allowed)


def environment() -> dict[str, Any]:
    """The facts for run.json; ``load_before`` and ``gil`` are read now. Unknown is None; never raises."""
    return {**_fixed(), "load_before": _known(_load), "gil": _known(gil)}


@cache
def _fixed() -> dict[str, Any]:
    facts: dict[str, Callable[[], Any]] = {
        "cpu": cpu_model,
        "cores_physical": lambda: psutil.cpu_count(logical=False),
        "cores_logical": psutil.cpu_count,
        "cores_usable": usable_cores,
        "cpu_quota": cpu_quota,
        "cpu_frequency": cpu_frequency,
        "cpu_boost": lambda: topology.boost(ROOT),
        "cpu_caches": lambda: topology.caches(ROOT),
        "smt": lambda: topology.smt(ROOT),
        "numa": lambda: topology.numa(ROOT),
        "memory_bytes": lambda: psutil.virtual_memory().total,
        "memory_limit_bytes": memory_limit,
        "virtual_machine": virtual_machine,
        "container": container,
        "os": lambda: f"{platform.system()} {platform.release()}",
        "python": platform.python_version,
        "start_method": lambda: ProcessBackend.capabilities.start_methods[0],
        "program": program,
        "versions": versions,
        "allocator": allocator,
        "gpu": _gpu,
        "opencv": _opencv_build,
        "png_encoder": lambda: PNG_ENCODER,
    }
    return {name: _known(find) for name, find in facts.items()}


def _known(find: Callable[[], Any]) -> Any:
    try:
        return find()
    except Exception:  # a fact may be missing; a run may not fail for it
        log.warning("A fact about this machine could not be found out.", exc_info=True)
        return None


def gil() -> dict[str, bool]:
    """Of the interpreter's lock: whether this Python was built to do without it (``optional``), and whether it is on
    now (``enabled``): on such a Python too, once a module is imported that does not say that it needs no lock."""
    enabled = getattr(sys, "_is_gil_enabled", None)  # from Python 3.13 on
    return {
        "optional": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
        "enabled": bool(enabled()) if enabled else True,
    }


def _load() -> float | None:
    """Processes wanting a core, averaged over the last minute; None where the system does not say."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def cpu_model(root: Path = ROOT) -> str | None:
    """The processor's name, as Linux tells it in files under ``root``."""
    for line in _lines(root / "proc/cpuinfo"):
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    if sys.platform == "darwin":
        return _output(["sysctl", "-n", "machdep.cpu.brand_string"]) or platform.machine()
    return platform.processor() or platform.machine()


def cpu_quota(root: Path = ROOT) -> float | None:
    """Cores of CPU time per second that the control groups of this process allow, the tightest of all; None
    without a limit."""
    found = []
    for folder in _control_groups("cpu", root):
        quota, period = (*" ".join(_lines(folder / "cpu.max")).split(), "", "")[:2]
        if not quota:  # the first version of control groups
            quota, period = _line(folder / "cpu.cfs_quota_us"), _line(folder / "cpu.cfs_period_us")
        if quota.isdigit() and period.isdigit() and int(period):  # else "max", or -1
            found.append(int(quota) / int(period))
    return min(found, default=None)


def memory_limit(root: Path = ROOT) -> int | None:
    """Bytes of memory that the control groups of this process allow; None without a limit."""
    found = []
    for folder in _control_groups("memory", root):
        limit = _line(folder / "memory.max") or _line(folder / "memory.limit_in_bytes")
        if limit.isdigit() and int(limit) < _UNLIMITED:
            found.append(int(limit))
    return min(found, default=None)


def memory_available(root: Path = ROOT) -> int:
    """Bytes of memory that processes can still take, by the system and by the control groups of this process."""
    found = [int(psutil.virtual_memory().available)]
    for folder in _control_groups("memory", root):
        limit = _line(folder / "memory.max") or _line(folder / "memory.limit_in_bytes")
        used = _line(folder / "memory.current") or _line(folder / "memory.usage_in_bytes")
        if limit.isdigit() and int(limit) < _UNLIMITED and used.isdigit():
            # What is kept of files, and was not used lately, is given up when it is needed.
            cached = dict(line.split()[:2] for line in _lines(folder / "memory.stat") if " " in line)
            files = int(cached.get("inactive_file") or cached.get("total_inactive_file") or 0)
            found.append(max(0, int(limit) - int(used) + files))
    return min(found)


def _control_groups(controller: str, root: Path) -> Iterator[Path]:
    """The folders of this process's control groups that may limit it, and of those they lie in."""
    mounts = root / "sys/fs/cgroup"
    for line in _lines(root / "proc/self/cgroup"):
        number, controllers, path = (*line.split(":", 2), "", "")[:3]
        if number == "0" and not controllers:  # version 2, by itself or beside version 1
            tops = [mounts, mounts / "unified"]
        elif controller in controllers.split(","):
            tops = [mounts / controllers, mounts / controller]
        else:
            continue
        # In a container the path may be the host's and lead nowhere here; the top is the container's own then.
        parts = [part for part in path.split("/") if part not in ("", "..")]
        for top in tops:
            for depth in range(len(parts) + 1):
                folder = top.joinpath(*parts[:depth])
                if folder.is_dir():
                    yield folder


def cpu_frequency(root: Path = ROOT) -> dict[str, Any] | None:
    """Whether the first core's clock can change (``changes``), between which MHz, and by which rule; None where
    the system does not say, as in most virtual machines."""
    folder = root / "sys/devices/system/cpu/cpu0/cpufreq"
    low, high = _line(folder / "scaling_min_freq"), _line(folder / "scaling_max_freq")
    if not (low.isdigit() and high.isdigit()):
        return None
    return {
        "changes": low != high,
        "min_mhz": int(low) // 1000,
        "max_mhz": int(high) // 1000,
        "governor": _line(folder / "scaling_governor") or None,
    }


def virtual_machine(root: Path = ROOT) -> bool | None:
    """Whether this is a virtual machine; None where the processor is not asked, as outside Linux on x86."""
    flags = next((line for line in _lines(root / "proc/cpuinfo") if line.startswith("flags")), None)
    return None if flags is None else "hypervisor" in flags.split()


def container(root: Path = ROOT) -> bool:
    """Whether this runs in a container, as far as the usual signs tell."""
    if (root / ".dockerenv").exists() or (root / "run/.containerenv").exists():
        return True
    groups = " ".join(_lines(root / "proc/self/cgroup"))
    return any(sign in groups for sign in ("docker", "kubepods", "containerd", "libpod", "/lxc"))


def _lines(path: Path) -> list[str]:
    """The lines of a file of the system; none where it cannot be read."""
    try:
        return path.read_text(errors="replace").splitlines()
    except OSError:
        return []


def _line(path: Path) -> str:
    return "".join(_lines(path)[:1]).strip()


def _gpu() -> str | None:
    if not shutil.which("nvidia-smi"):
        return None
    return _output(["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]) or None


def _output(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _opencv_build() -> dict[str, str]:
    """Lines of OpenCV's build report that bear on speed."""
    lines = (line.partition(":") for line in cv2.getBuildInformation().splitlines())
    report = {name.strip(): value.strip() for name, _, value in lines}
    return {name: report[name] for name in ("Parallel framework", "Intel IPP") if name in report}
