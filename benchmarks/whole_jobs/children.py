"""Child processes that programs run in, as the one who measures them sees them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.whole_jobs.workloads import Files

PROJECT = Path(__file__).resolve().parent.parent.parent
#: Seconds that a child may take for one answer.
PATIENCE = 600.0
#: Dask's scheduler must not give workers up that were suspended along with it.
ENVIRONMENT = {"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "None"}


class ChildFailed(Exception):
    """A child could not do its job; says why."""


@dataclass(frozen=True)
class Answer:
    """Of one pass: wall seconds, and bytes that processes had which came and went in it."""

    seconds: float
    memory: int


class Child:
    """A job in a process of its own; it begins to start at once.

    Args:
        make: ``module:function`` that makes the job, called with ``arguments``.
        project: the folder that ``imgproc`` is taken from.
    """

    def __init__(self, make: str, arguments: Sequence[Any], project: Path = PROJECT) -> None:
        places = [str(project), str(PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])]
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("child.py")), make, json.dumps(list(arguments))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            env={**os.environ, **ENVIRONMENT, "PYTHONPATH": os.pathsep.join(dict.fromkeys(places))},
            cwd=project,  # which comes first where it starts a module by ``python -m``
            text=True,
        )

    def pids(self) -> list[int]:
        """The process and all below it."""
        return [process.pid for process in self._tree()]

    def _tree(self) -> list[psutil.Process]:
        try:
            top = psutil.Process(self._process.pid)
            return [top, *top.children(recursive=True)]
        except psutil.Error:
            return []

    def suspend(self) -> None:
        """Stop it and all below it where they are: idle workers of Dask and MPI look for work all the time."""
        for process in self._tree():
            with suppress(psutil.Error):
                process.suspend()

    def resume(self) -> None:
        """Have them go on."""
        for process in self._tree():
            with suppress(psutil.Error):
                process.resume()

    def wait_until_ready(self) -> None:
        """Raises: ChildFailed."""
        self._answer()

    def begin(self, files: Sequence[str], out: Path) -> None:
        """Have it do its job once. Raises: ChildFailed: it has ended."""
        assert self._process.stdin
        try:
            self._process.stdin.write(json.dumps({"files": list(files), "out": str(out)}) + "\n")
            self._process.stdin.flush()
        except OSError:
            raise ChildFailed(f"it ended: {self._last_words()}") from None

    def end(self) -> Answer:
        """What came of what ``begin`` began. Raises: ChildFailed."""
        found = self._answer()
        return Answer(found["seconds"], found["memory"])

    def close(self) -> None:
        """End it and all below it."""
        self.resume()
        below = self._tree()[1:]
        assert self._process.stdin
        try:
            self._process.stdin.close()
            self._process.wait(20)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        for process in below:  # those that outlived it, as joblib's do for a while
            with suppress(psutil.Error):
                process.kill()
        assert self._process.stdout
        self._process.stdout.close()
        self._said.close()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout
        late = threading.Timer(PATIENCE, self._process.kill)
        late.start()
        try:
            line = self._process.stdout.readline()
        finally:
            late.cancel()
        if not line:
            raise ChildFailed(f"it ended without an answer: {self._last_words()}")
        found: dict[str, Any] = json.loads(line)
        if "error" in found:
            raise ChildFailed(found["error"])
        return found

    def _last_words(self) -> str:
        self._process.wait()
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"exit status {self._process.returncode}"


class Team:
    """Children that begin at the same time and share the files; mostly it is one child, which gets all of them."""

    def __init__(self, children: Sequence[Child]) -> None:
        self._children = list(children)

    def pids(self) -> list[int]:
        return [pid for child in self._children for pid in child.pids()]

    def suspend(self) -> None:
        """Stop them until ``resume``, so that they do not disturb others."""
        for child in self._children:
            child.suspend()

    def resume(self) -> None:
        """Have them go on."""
        for child in self._children:
            child.resume()

    def wait_until_ready(self) -> None:
        """Raises: ChildFailed."""
        for child in self._children:
            child.wait_until_ready()

    def one_pass(self, files: Files, out: Path) -> Answer:
        """The time of the slowest child, and what their processes had that came and went.

        Results of one child are in ``out``, of several in a folder for each. Raises: ChildFailed.
        """
        alone = len(self._children) == 1
        shares = [files] if alone else files.shares(len(self._children))
        for number, (child, share) in enumerate(zip(self._children, shares, strict=True)):
            folder = out if alone else out / str(number)
            folder.mkdir(parents=True, exist_ok=True)
            child.begin(share.paths, folder)
        answers = [child.end() for child in self._children]
        return Answer(max(answer.seconds for answer in answers), sum(answer.memory for answer in answers))

    def close(self) -> None:
        for child in self._children:
            child.close()
