"""Whether the queue takes another run: there is room in it, and its visitor has not too much waiting already."""

from __future__ import annotations

from collections.abc import Mapping

from imgproc.errors import UserError
from imgproc.runs.store import Store, Waiting
from imgproc.settings import Settings
from imgproc.web.latest import Latest

#: Before a body is stored, what waits is looked at for so long at most, and not again for the other time.
WAIT_SECONDS, FRESH_SECONDS = 0.1, 0.5

_NOBODY = Waiting(0, 0.0)
_ONE = "one visitor (a browser by its cookie, programs without one by their address) may have"
_WAY_OUT = "Try again when some are done, or cancel some in the history"


class Admission:
    """Safe to use from many threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._latest = Latest(store.waiting_by_visitor, wait=WAIT_SECONDS, fresh=FRESH_SECONDS, stale=FRESH_SECONDS)

    def check(self, settings: Settings, visitor: str, runs: int = 1, seconds: float = 0.0) -> None:
        """Whether so many runs of a visitor, measured for so many seconds together, may wait as well.

        Raises:
            UserError: they may not (``queue_full``), or never could.
        """
        _check(settings, self._store.waiting_by_visitor(), visitor, runs, seconds)

    def look(self, settings: Settings, visitor: str) -> None:
        """The same of one run of which nothing is known yet, for a caller that may not wait: where the index takes
        long to answer, the run is let pass, and ``check`` follows.

        Raises:
            UserError: it may not wait.
        """
        try:
            waiting = self._latest.get()
        except (TimeoutError, UserError):
            return
        _check(settings, waiting, visitor, 1, 0.0)

    def changed(self) -> None:
        """A run was put into the queue."""
        self._latest.forget()


def _check(settings: Settings, waiting: Mapping[str, Waiting], visitor: str, runs: int, seconds: float) -> None:
    most, most_of_one, minutes = settings.MAX_QUEUED, settings.MAX_QUEUED_PER_VISITOR, settings.MAX_MINUTES_PER_VISITOR
    if sum(one.runs for one in waiting.values()) + runs > most:
        raise UserError(
            f"{most} runs are waiting already, so the queue is full. Try again when some are done.",
            code="queue_full",
            limit=most,
        )
    own = waiting.get(visitor, _NOBODY)
    if own.runs + runs > most_of_one:
        raise UserError(
            f"{own.runs} of your runs are waiting already, and {_ONE} {most_of_one}. {_WAY_OUT}.",
            code="queue_full",
            limit=most_of_one,
        )
    if seconds > minutes * 60:
        raise UserError(
            f"Here one visitor may have {minutes:g} minutes of measuring wait, so the time budget is {minutes * 60:g} "
            f"seconds at most, not {seconds:g}.",
            field="budget",
            limit=minutes * 60,
        )
    if own.seconds + seconds > minutes * 60 or own.seconds >= minutes * 60:
        raise UserError(
            f"By their time budgets your runs that wait may be measured for {own.seconds / 60:.0f} minutes already, "
            f"and {_ONE} {minutes:g}. {_WAY_OUT}, or ask for a smaller budget.",
            code="queue_full",
            field="budget",
            limit=minutes,
        )
