"""What machine this is, as far as it bears on a measurement."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import cv2
import joblib
import psutil

from imgproc.image.codecs import PNG_ENCODER

_PACKAGES = ("opencv-python-headless", "numpy", "isal", "joblib", "pillow", "scipy", "flask")


def usable_cores() -> int:
    """Cores this process may use: affinity and the container's CPU quota taken into account."""
    return int(joblib.cpu_count())


def environment() -> dict[str, Any]:
    """The facts for run.json; ``load_before`` is read now."""
    return {**_fixed(), "load_before": _load()}


@cache
def _fixed() -> dict[str, Any]:
    return {
        "cpu": _cpu_model(),
        "cores_physical": psutil.cpu_count(logical=False),
        "cores_usable": usable_cores(),
        "memory_bytes": psutil.virtual_memory().total,
        "os": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": _versions(),
        "gpu": _gpu(),
        "opencv": _opencv_build(),
        "png_encoder": PNG_ENCODER,
    }


def _load() -> float | None:
    """Processes wanting a core, averaged over the last minute; None where the system does not say."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    if sys.platform == "darwin":
        return _output(["sysctl", "-n", "machdep.cpu.brand_string"]) or platform.machine()
    return platform.processor() or platform.machine()


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


def _versions() -> dict[str, str]:
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _opencv_build() -> dict[str, str]:
    """Lines of OpenCV's build report that bear on speed."""
    wanted = ("Parallel framework", "Intel IPP")
    found = {}
    for line in cv2.getBuildInformation().splitlines():
        name, _, value = line.strip().partition(":")
        if name in wanted:
            found[name] = value.strip()
    return found
