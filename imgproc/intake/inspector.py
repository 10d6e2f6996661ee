"""Is this untrusted file an image we accept, and what do the operations make of it?

These questions are answered by child processes (``inspector_child.py``) that are expected to die: decoders crash, hang
and eat memory on hostile files. What a child does to itself costs the one file it was looking at.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import LifoQueue
from typing import Any

from imgproc.errors import UserError
from imgproc.installation import python_path
from imgproc.pixels.formats.depth import HIGH_BYTE
from imgproc.settings import SECRETS

#: How long a child may take to import its libraries, on a busy machine.
_READY_SECONDS = 60.0
_LONGEST_ANSWER = 65_536

_CRASHED = (
    "The file is damaged in a way that stops the decoder, or needs too much memory. "
    "Open it in an image editor and save it again as JPEG or PNG."
)
_SLOW = (
    "Reading the image took longer than {seconds:g} seconds. Open it in an image editor and save it again "
    "as JPEG or PNG, or make it smaller."
)
_TRIAL_CRASHED = "A preview of this image needs too much memory here, or stops the decoder. Make the image smaller."
_TRIAL_SLOW = (
    "The preview took longer than {seconds:g} seconds, so it was given up. A run has no such limit; "
    "for a preview, make the image smaller."
)


@dataclass(frozen=True, slots=True)
class Inspection:
    """What became of one file.

    ``format`` is a key of ``filetypes.ACCEPTED``, empty where the file is of no accepted type or was not
    recognized before its inspection ended; ``width`` and ``height`` are upright, in pixels, 0 where unknown;
    ``error`` says why the file is refused and what to do, None if it is accepted; ``code`` is that of ``UserError``.
    """

    format: str = ""
    width: int = 0
    height: int = 0
    error: str | None = None
    code: str | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """What the operations made of one file.

    ``width`` and ``height`` are those of the whole image. ``shares`` has, by bilevel operation, the share of the
    pixels of its whole result that are white, 0 to 1. ``notes`` are those of ``Processed``; ``error`` and ``code`` are
    as in ``Inspection``.
    """

    width: int = 0
    height: int = 0
    shares: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    error: str | None = None
    code: str | None = None


class Inspector:
    """Inspects files, and tries operations on accepted ones, in up to ``processes`` child processes, each started
    when first needed.

    Thread-safe: each call takes one idle child and waits while there is none. Use as a context manager,
    or call ``close``.
    """

    def __init__(self, max_pixels: int, max_side: int, seconds: float, processes: int = 1) -> None:
        """
        Args:
            max_pixels: the largest image, width times height.
            max_side: its longest side in pixels.
            seconds: the longest that one file may take.
        """
        self._limits = (max_pixels, max_side)
        self._seconds = seconds
        self._lock = threading.Lock()
        self._children: set[_Child] = set()
        self._closed = False
        # Last in, first out: a child that runs already is taken before another one is started.
        self._idle: LifoQueue[_Child | None] = LifoQueue()
        for _ in range(processes):
            self._idle.put(None)

    def __enter__(self) -> Inspector:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all children at once; what is being inspected raises RuntimeError. Safe to call twice."""
        with self._lock:
            self._closed = True
            children, self._children = self._children, set()
        for child in children:
            child.end()

    def inspect(self, path: Path, preview: Path | None = None, depth: str = HIGH_BYTE) -> Inspection:
        """Decide about one file, which is to be decoded by this ``depth``; of an accepted one also write a small JPEG
        to ``preview``, and its thumbnail beside it.

        An accepted PNG is rewritten in place without the chunks that its still picture does not need.

        Raises:
            OSError: the preview or the rewritten file could not be written.
            UserError: no child can be started.
            RuntimeError: the inspector is closed.
        """
        request = {
            "path": str(path.absolute()),
            "preview": str(preview.absolute()) if preview else None,
            "depth": depth,
        }
        answer, slow = self._ask(request)
        if answer is None:
            return Inspection(error=_SLOW.format(seconds=self._seconds) if slow else _CRASHED, code="refused_image")
        return _inspection(answer)

    def attempt(self, path: Path, wanted: Mapping[str, Any], folder: Path) -> Trial:
        """Try operations on an accepted file; the small pictures that ``trial.py`` names are written into the folder.

        Args:
            wanted: as for ``trial.try_operations``.

        Raises: as ``inspect``.
        """
        places = {"path": str(path.absolute()), "folder": str(folder.absolute())}
        answer, slow = self._ask({**places, "wanted": dict(wanted)})
        if answer is None:
            why = _TRIAL_SLOW.format(seconds=self._seconds) if slow else _TRIAL_CRASHED
            return Trial(error=why, code="refused_image")
        return _trial(answer)

    def draw(self, path: Path) -> None:
        """Write a sample picture.

        Raises:
            UserError: it could not be drawn, or as ``inspect``.
        """
        if self._ask({"path": str(path.absolute()), "draw": True})[0] is None:
            raise UserError("The sample picture could not be drawn. Choose an image.", code="unavailable")

    def _ask(self, request: Mapping[str, Any]) -> tuple[dict[str, Any] | None, bool]:
        """A child's answer; None if it died of the request, and whether that was because it took too long.

        Raises: as ``inspect``.
        """
        line = json.dumps(request).encode() + b"\n"
        child, answer = self._idle.get(), None
        slow = False
        try:
            if child is not None:
                answer, slow = child.ask(line, self._seconds), child.timed_out
            # An earlier file may have done the damage: only a fresh child's death is this file's doing.
            if answer is None and not slow:
                self._discard(child)
                child = self._start()
                answer, slow = child.ask(line, self._seconds), child.timed_out
        finally:
            if answer is None:  # interrupted, perhaps: a later answer would pass for the next file's
                self._discard(child)
                child = None
            self._idle.put(child)
        if answer is None:
            self._check_open()
        elif "errno" in answer:
            raise OSError(int(answer["errno"]), os.strerror(int(answer["errno"])))
        return answer, slow

    def _start(self) -> _Child:
        with self._lock:
            self._check_open()
            child = _Child(*self._limits)
            self._children.add(child)
        if child.ask(b"", _READY_SECONDS) is None:
            self._discard(child)
            self._check_open()
            raise UserError(
                "Images cannot be checked at the moment. Try again later, or tell whoever runs this app.",
                code="unavailable",
            )
        return child

    def _discard(self, child: _Child | None) -> None:
        if child is not None:
            with self._lock:
                self._children.discard(child)
            child.end()

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("this inspector is closed")


class _Child:
    """One child process: a line of JSON goes in, a line of JSON comes out."""

    def __init__(self, max_pixels: int, max_side: int) -> None:
        self.timed_out = False
        self._ending = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "imgproc.intake.inspector_child", str(max_pixels), str(max_side)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,  # stderr is ours until the child is ready, so that a broken set-up shows in the log
            env=_environment(max_pixels),
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )

    def ask(self, line: bytes, seconds: float) -> dict[str, Any] | None:
        """The answer to a request; None if the child died or was killed because it took too long."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        timer = threading.Timer(seconds, self._too_slow)
        timer.daemon = True
        timer.start()
        try:
            self._process.stdin.write(line)
            self._process.stdin.flush()
            answer = self._process.stdout.readline(_LONGEST_ANSWER)
            parsed = json.loads(answer) if answer.endswith(b"\n") else None
        except (OSError, ValueError):  # its pipe is closed, or it no longer makes sense
            parsed = None
        finally:
            timer.cancel()
            timer.join()
        return parsed if isinstance(parsed, dict) and not self.timed_out else None

    def _too_slow(self) -> None:
        self.timed_out = True
        self._process.kill()

    def end(self) -> None:
        """Kill the process and reap it. It has nothing to lose: its requests are over or given up."""
        with self._ending:
            self._process.kill()
            self._process.wait()
            for pipe in filter(None, (self._process.stdin, self._process.stdout)):
                with suppress(OSError):  # a request that it did not read any more
                    pipe.close()


def _environment(max_pixels: int) -> dict[str, str]:
    """The environment of a child: without our secrets, and with what libraries read before they start."""
    environment = {name: value for name, value in os.environ.items() if name not in {*SECRETS, "DATABASE_URL"}}
    return {
        **environment,
        "PYTHONPATH": python_path(),
        "OPENCV_IO_MAX_IMAGE_PIXELS": str(max_pixels),
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }


def _inspection(answer: dict[str, Any]) -> Inspection:
    error, code = answer.get("error"), answer.get("code")
    return Inspection(
        str(answer.get("format", "")),
        int(answer.get("width", 0)),
        int(answer.get("height", 0)),
        None if error is None else str(error),
        None if code is None else str(code),
    )


def _trial(answer: dict[str, Any]) -> Trial:
    if answer.get("error") is not None:
        return Trial(error=str(answer["error"]), code=str(answer.get("code")))
    shares = {str(name): float(share) for name, share in answer.get("shares", {}).items()}
    notes = tuple(map(str, answer.get("notes", ())))
    return Trial(int(answer.get("width", 0)), int(answer.get("height", 0)), shares, notes)
