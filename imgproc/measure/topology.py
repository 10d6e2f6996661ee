"""How the cores of this machine hang together, and on what its files lie."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil

_CPU = "sys/devices/system/cpu"
_NODES = "sys/devices/system/node"


def smt(root: Path) -> dict[str, Any] | None:
    """Whether cores have several hardware threads (``active``), and which share a core (``siblings``), as Linux tells
    it in files under ``root``; None where it does not."""
    lists = (root / _CPU).glob("cpu[0-9]*/topology/thread_siblings_list")
    siblings = sorted({_line(file) for file in lists} - {""}, key=_first)
    if not siblings:
        return None
    return {"active": any(not one.isdigit() for one in siblings), "siblings": siblings}


def numa(root: Path) -> dict[str, str] | None:
    """The cores near to each node of memory; None where the system does not say."""
    files = (root / _NODES).glob("node[0-9]*/cpulist")
    return {file.parent.name.removeprefix("node"): _line(file) for file in sorted(files)} or None


def caches(root: Path) -> list[str] | None:
    """Those of the first core, the nearest first: L1 Data 32K; None where the system does not say."""
    folders = sorted((root / _CPU / "cpu0/cache").glob("index[0-9]*"))
    found = [f"L{_line(folder / 'level')} {_line(folder / 'type')} {_line(folder / 'size')}" for folder in folders]
    return found or None


def boost(root: Path) -> bool | None:
    """Whether the clock may go beyond what the processor can keep up; None where the system does not say."""
    allowed, forbidden = _line(root / _CPU / "cpufreq/boost"), _line(root / _CPU / "intel_pstate/no_turbo")
    if allowed or forbidden:
        return allowed == "1" if allowed else forbidden == "0"
    return None


def file_systems(paths: Iterable[Path]) -> list[str]:
    """The types of the file systems on which paths lie, or would; none where the system does not say."""
    try:
        mounted = {Path(part.mountpoint): part.fstype for part in psutil.disk_partitions(all=True)}
    except (OSError, psutil.Error):
        return []
    found = set()
    for path in paths:
        whole = path.resolve()
        found.add(next((mounted[folder] for folder in (whole, *whole.parents) if folder in mounted), ""))
    return sorted(found - {""})


def _first(cores: str) -> int:
    digits = cores.replace(",", "-").partition("-")[0]
    return int(digits) if digits.isdigit() else 0


def _line(path: Path) -> str:
    try:
        return path.read_text(errors="replace").partition("\n")[0].strip()
    except OSError:
        return ""
