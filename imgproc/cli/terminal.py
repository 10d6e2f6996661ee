"""What the command line shows on a terminal while it works."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tqdm import tqdm

from imgproc.measure.lock import holder
from imgproc.measure.results import Progress
from imgproc.numbers import NBSP, about
from imgproc.report.sentences import step


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """What decoders print about damaged files goes nowhere: each such file has its reason in our own words.

    They write to the descriptor of standard error, so that is what is moved away; ``sys.stderr`` goes on.
    """
    ours = sys.stderr
    if ours is None:  # closed by whoever started us
        yield
        return
    ours.flush()
    terminal, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    with open(os.dup(terminal), "w", encoding=ours.encoding, errors="replace", buffering=1) as kept:
        os.dup2(nowhere, 2)
        sys.stderr = kept
        try:
            yield
        finally:
            sys.stderr = ours
            os.dup2(terminal, 2)
            os.close(terminal)
            os.close(nowhere)


_BAR = "{desc} |{bar}| {n:.0f} % [{elapsed}{postfix}]"


class ProgressBar:
    """A progress bar on a terminal, nothing elsewhere."""

    def __init__(self, quiet: bool, silent: bool = False) -> None:
        """Args: quiet: without a bar; silent: without a word on who is waited for either."""
        self._bar: tqdm[None] | None = None
        self._off = quiet or sys.stderr is None or not sys.stderr.isatty()
        self._waited = silent
        self._now = ""

    def __enter__(self) -> ProgressBar:
        return self

    def show(self, progress: Progress) -> None:
        if self._off:
            return
        if self._bar is None:
            self._bar = tqdm(total=100, file=sys.stderr, bar_format=_BAR, leave=False)
        now, done = step(progress)
        left = f", {about(progress.seconds_left)} left" if progress.seconds_left is not None else ""
        self._bar.set_description_str(f"{now}, {done}" if done else now, refresh=False)
        self._bar.set_postfix_str(left.replace(NBSP, " "), refresh=False)
        self._bar.n = round(100 * progress.share)
        if now != self._now:  # a new phase is named at once, numbers ten times a second at most
            self._now = now
            self._bar.refresh()
        else:
            self._bar.update(0)

    def waiting(self, seconds: float) -> None:
        """Somebody else is measuring; said once."""
        if not self._waited:
            self._waited = True
            print(f"imgproc: waiting until {_whose()} has ended; --no-wait measures at once", file=sys.stderr)

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()


def _whose() -> str:
    """Whose measurement is waited for, and for how long at most, as far as it is known."""
    found = holder()
    if found is None:
        return "another measurement on this machine"
    return f"the measurement of process {found.pid}, which begins no round after {found.budget:g} seconds of them,"
