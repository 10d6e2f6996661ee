"""Worker processes that do not run the main script of whoever starts them.

A process that is spawned, or comes from a fork server, runs the caller's main script once more, so that what is defined
there can be unpickled. A script that uses this package without ``if __name__ == "__main__":`` would begin anew in each
of its workers. Nothing of ours stands in a main script, and what a user's functions need travels with them.

From Python 3.14 on, and in late releases of 3.13, a fork server runs the main script too, and its processes are copies
of it: where it used threads, its copies lack them and may wait for them for ever. The caller may have started such a
server, or have it load modules. So ours is another, which loads nothing.
"""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from multiprocessing import context, spawn
from multiprocessing.context import BaseContext
from typing import Any

_ours = threading.local()


def context_without_main(start_method: str | None) -> Any:
    """As ``multiprocessing.get_context``, with processes that leave the main script alone."""
    plain = multiprocessing.get_context(start_method)
    process = _PROCESSES.get(plain.get_start_method())
    return _context(plain, process) if process else plain  # a forked one runs nothing anew


@cache
def _context(plain: BaseContext, process: Any) -> Any:
    return type("Context", (type(plain),), {"Process": process})()


class SpawnProcess(context.SpawnProcess):
    """A spawned one."""

    @staticmethod
    def _Popen(process_obj: Any) -> Any:
        with _starting():
            return context.SpawnProcess._Popen(process_obj)


_PROCESSES: dict[str, Any] = {"spawn": SpawnProcess}

if hasattr(context, "ForkServerProcess"):  # not on Windows
    from multiprocessing import forkserver

    class ForkServerProcess(context.ForkServerProcess):
        """One from a fork server."""

        @staticmethod
        def _Popen(process_obj: Any) -> Any:
            use_own_fork_server()
            with _starting():
                return context.ForkServerProcess._Popen(process_obj)

    @cache
    def use_own_fork_server() -> None:
        """Let ``multiprocessing`` take our processes, and only ours, from a fork server of their own."""
        own, theirs = forkserver.ForkServer(), forkserver.connect_to_new_process
        own.set_forkserver_preload([])

        def connect(fds: Sequence[int]) -> tuple[int, int]:
            return (own.connect_to_new_process if getattr(_ours, "starting", False) else theirs)(fds)

        forkserver.connect_to_new_process = connect

    _PROCESSES["forkserver"] = ForkServerProcess


@contextmanager
def _starting() -> Iterator[None]:
    leave_main_out()
    _ours.starting = True
    try:
        yield
    finally:
        _ours.starting = False


@cache
def leave_main_out(named: str = "") -> None:
    """Let ``multiprocessing`` tell our processes, and only ours, nothing of the main script.

    Args:
        named: those whose names begin so are ours as well; a library starts them.
    """
    told = spawn.get_preparation_data

    def preparation(name: str) -> dict[str, Any]:
        data: dict[str, Any] = told(name)
        if getattr(_ours, "starting", False) or (named and name.startswith(named)):
            data = {key: value for key, value in data.items() if not key.startswith("init_main")}
        return data

    spawn.get_preparation_data = preparation
