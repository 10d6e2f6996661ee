"""The hosts of a group: the file that lists them, and which of them answer."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

from imgproc.backends.base import BackendError

#: Longest that starting a program on a host that is well may take, in seconds.
ANSWER_SECONDS = 10.0
#: So many hosts are asked at a time.
AT_ONCE = 16


def read(file: Path) -> list[str]:
    """The lines of a file of hosts, as ``mpiexec -f`` takes it, that name one.

    Raises:
        BackendError: it cannot be read, or names none.
    """
    try:
        lines = [line.partition("#")[0].strip() for line in file.read_text().splitlines()]
    except (OSError, ValueError):
        raise BackendError("The file that MPI_HOSTFILE names cannot be read.") from None
    if not any(lines):
        raise BackendError("The file that MPI_HOSTFILE names lists no host.")
    return [line for line in lines if line]


def name_of(line: str) -> str:
    """The host that a line is about."""
    return re.split(r"[:\s]", line, maxsplit=1)[0]


def silent(lines: Sequence[str], mpiexec: Sequence[str], *, tries: int = 1) -> list[str]:
    """The hosts on which ``mpiexec``, a program with its arguments, starts nothing in so many tries."""
    names = list(dict.fromkeys(map(name_of, lines)))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for _ in range(tries):
            answers = list(pool.map(partial(_answers, mpiexec), names))
            names = [name for name, answered in zip(names, answers, strict=True) if not answered]
    return names


def _answers(mpiexec: Sequence[str], name: str) -> bool:
    command = [*mpiexec, "-hosts", name, "-n", "1", "true"]
    null = subprocess.DEVNULL
    with subprocess.Popen(command, stdin=null, stdout=null, stderr=null, start_new_session=True) as asking:
        try:
            return asking.wait(ANSWER_SECONDS) == 0
        except subprocess.TimeoutExpired:
            return False
        finally:
            with suppress(OSError):  # and whatever it started
                os.killpg(asking.pid, signal.SIGKILL)
