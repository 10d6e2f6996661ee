"""The command line in a shell, in surroundings that are odd: what the tests of situations share."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
PROCESS = '$imgproc process "$photo" --out "$out" --budget 0'


def shell(command, photo, *first, **environment):
    """A shell's command, with ``$imgproc``, a photo ``$photo`` and a folder ``$out``."""
    place = photo.parent.parent
    own = {
        "imgproc": f"{sys.executable} -m imgproc", "photo": str(photo), "out": str(place / "out"),
        "PYTHONPATH": str(PROJECT), "TMPDIR": str(place),
    }  # fmt: skip
    return subprocess.run(
        [*first, "sh", "-c", command], capture_output=True, text=True, check=False, timeout=120, cwd=place,
        env={**os.environ, **own, **environment},
    )  # fmt: skip


def namespace(setup, *kinds):
    """The beginning of a command that runs in namespaces of its own (``--mount``, ``--net``), after a shell's setup."""
    first = ["unshare", *kinds, "sh", "-c", f'{setup} && exec "$@"', "sh"]
    if not shutil.which("unshare") or subprocess.run([*first, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this user may not have namespaces of their own")
    return first


def with_shared_memory(command, photo, options, **environment):
    """In a mount namespace of its own, whose /dev/shm is as the options of its mount say."""
    return shell(command, photo, *namespace(f"mount -t tmpfs -o {options} none /dev/shm", "--mount"), **environment)


def results(photo):
    return len(list((photo.parent.parent / "out").glob("*.png")))
