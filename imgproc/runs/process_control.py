"""Ending processes for sure: the ones we started, ourselves, and ourselves with the app."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import suppress
from typing import NoReturn

import psutil

from imgproc.backends.leftovers import remove_own


def kill_children() -> None:
    """Kill every process that this one started, and theirs."""
    with suppress(psutil.Error):
        for child in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                child.kill()


def kill_group(leader: int) -> None:
    """Kill what is left of the process group of a leader, which may be dead already. Nothing where there are none."""
    if sys.platform != "win32":
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(leader, signal.SIGKILL)


def end_process(code: int) -> NoReturn:
    """End this process and everything it started, now."""
    kill_children()
    remove_own()
    # A pool may start a new worker while we kill the old ones; the group ends all of them in one go.
    if sys.platform != "win32" and os.getpgrp() == os.getpid():
        kill_group(os.getpid())
    os._exit(code)


def end_with_stdin() -> None:
    """From now on this process ends, with everything it started, when its standard input does.

    Whoever holds the other end of that pipe need not do anything for it: the system closes the pipe even after
    kill -9. A terminal as standard input is left alone.
    """
    if os.isatty(0):
        return
    # The pipe is moved out of the way, so that no child can read from it or keep it open.
    pipe = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)

    def watch() -> None:
        with suppress(OSError):
            while os.read(pipe, 1024):
                pass
        end_process(0)

    threading.Thread(target=watch, name="stdin watch", daemon=True).start()
