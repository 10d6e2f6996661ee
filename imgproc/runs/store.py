"""Queue and index of the runs, in SQLite or any other database SQLAlchemy speaks to.

The truth about a run is its run.json; what is here can be made anew from those records at any time.
Safe to use from many threads and processes at once.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

from sqlalchemy import ColumnElement, delete, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, sessionmaker

from imgproc.backends import TECHNIQUES
from imgproc.errors import UserError
from imgproc.measure.results import Progress
from imgproc.runs.access import Access, Visible
from imgproc.runs.database import Database, is_full
from imgproc.runs.notes import Notes
from imgproc.runs.record import FINAL_STATES, Mode, Record, State, now
from imgproc.runs.tables import Base, RunRow, TimingRow, notes_values, plain, run_values, text, timings
from imgproc.runs.technique_times import TechniqueTimes, times

__all__ = ["RunRow", "Store", "TechniqueTimes", "Visitor", "Waiting"]

log = logging.getLogger(__name__)

#: What a run has that no runner is at work on.
_NOBODY = {"progress": None, "runner_pid": None}
_CHECKING, _QUEUED, _RUNNING = (RunRow.state == state for state in ("checking", "queued", "running"))


@dataclass(frozen=True)
class Visitor:
    """Somebody who looks at the history. Listed are their own runs and the public ones; with
    ``shared`` all others as well, but private ones."""

    owner: str
    shared: bool = False

    @property
    def listed(self) -> ColumnElement[bool]:
        others = RunRow.visible != "private" if self.shared else RunRow.visible == "public"
        return or_(others, RunRow.owner == self.owner) if self.owner else others


@dataclass(frozen=True)
class Waiting:
    """How many runs of a visitor wait, and for how many seconds they may be measured together."""

    runs: int
    seconds: float


class Store:
    """The index at a SQLAlchemy URL.

    With ``results``, the folder of the records, an index that is missing, empty or damaged is made from them at first
    use, and a run cancelled while it waits is marked in its record too. Every method raises ``UserError`` (code
    ``unavailable`` or ``disk_full``) when the database cannot be used.

    Raises:
        UserError: there can be no index at this URL; ``field`` is DATABASE_URL.
    """

    def __init__(self, url: str, results: Path | None = None) -> None:
        self._results = results
        self._database = Database(url, Base, self._fill, replaceable=results is not None)
        self._session = self._database.session

    def close(self) -> None:
        """Close the connections; the next use opens new ones."""
        self._database.close()

    @property
    def folders(self) -> list[Path]:
        """Where the index and the records lie, as far as these are folders of this machine."""
        return list(dict.fromkeys(folder for folder in (self._results, self._database.folder) if folder))

    def is_full(self) -> bool:
        """Whether what becomes of runs cannot be written now, because a disk is full."""
        return any(map(is_full, self.folders))

    def create(self, record: Record) -> None:
        """Put a run into the queue (or into the index, by its state). Save its access and its record first."""
        with self._database.sessions() as sessions:
            pid = os.getpid() if record.state == "checking" else None
            _insert(sessions, record, self._access(record), self._notes(record), pid)

    def get(self, run_id: str) -> RunRow | None:
        with self._session() as session:
            return session.scalar(select(RunRow).where(RunRow.id == run_id))

    def newest(self, task: str) -> RunRow | None:
        """The newest run over items that calls this, by its name there, and that is not private."""
        newest = select(RunRow).where(RunRow.task == task, RunRow.visible != "private").order_by(RunRow.number.desc())
        with self._session() as session:
            return session.scalar(newest.limit(1))

    def history(
        self,
        q: str | None = None,
        mode: str | None = None,
        technique: str | None = None,
        state: str | None = None,
        since: datetime | None = None,
        visitor: Visitor | None = None,
        page: int = 1,
        per_page: int = 20,
    ) -> tuple[list[RunRow], int]:
        """One page of the runs that match, newest first, and how many match in all.

        Args:
            q: part of a run's id, of the name of one of its images, or of its own name, tags and note, in any case.
            since: created at this time or later; aware.
            visitor: whose history; None: every run there is.
            page: counts from 1.
        """
        query = select(RunRow).where(visitor.listed) if visitor else select(RunRow)
        if q and q.strip():
            words = text(q.strip())
            query = query.where(
                or_(
                    RunRow.id.contains(words.lower(), autoescape=True),
                    RunRow.names.contains(words.casefold(), autoescape=True),
                    RunRow.said.contains(words.casefold(), autoescape=True),
                )
            )
        for column, wanted in ((RunRow.mode, mode), (RunRow.technique, technique), (RunRow.state, state)):
            query = query.where(column == wanted) if wanted else query
        query = query.where(RunRow.created >= since) if since else query
        newest = query.order_by(RunRow.created.desc(), RunRow.number.desc())
        with self._session() as session:
            total = session.scalar(select(func.count()).select_from(query.subquery())) or 0
            rows = session.scalars(newest.limit(per_page).offset((max(page, 1) - 1) * per_page))
            return list(rows), total

    def taken(self, visitor: Visitor) -> int:
        """Bytes of the files and results of all runs of this visitor's history."""
        with self._session() as session:
            return int(session.scalar(select(func.sum(RunRow.bytes)).where(visitor.listed)) or 0)

    def by_technique(self, visitor: Visitor | None = None) -> list[TechniqueTimes]:
        """Every technique that a done run has timed, in the order of the table of techniques; of the runs of this
        visitor's history, or of all."""
        found: dict[str, list[TimingRow]] = {}
        wanted = select(TimingRow)
        if visitor:
            wanted = wanted.join(RunRow, RunRow.id == TimingRow.run_id).where(visitor.listed)
        with self._session() as session:
            for row in session.scalars(wanted):
                found.setdefault(row.technique, []).append(row)
        order = {name: at for at, name in enumerate(TECHNIQUES)}
        names = sorted(found, key=lambda name: (order.get(name, len(order)), name))
        return [times(name, found[name]) for name in names]

    def queued(self) -> int:
        """How many runs wait."""
        return self._count(_QUEUED)

    def counts(self) -> dict[str, int]:
        """How many runs are in each state there is, none included."""
        wanted = select(RunRow.state, func.count()).group_by(RunRow.state)
        with self._session() as session:
            found = {str(state): int(count) for state, count in session.execute(wanted)}
        return {state: found.get(state, 0) for state in get_args(State)}

    def waiting(self) -> int:
        """How many runs wait, those whose files are checked before as well."""
        return self._count(_QUEUED | _CHECKING)

    def waiting_by_visitor(self) -> dict[str, Waiting]:
        """What waits of each visitor, runs whose files are checked before as well."""
        wanted = select(RunRow.visitor, func.count(), func.sum(RunRow.budget)).where(_QUEUED | _CHECKING)
        with self._session() as session:
            found = session.execute(wanted.group_by(RunRow.visitor))
            return {visitor: Waiting(int(runs), float(seconds)) for visitor, runs, seconds in found}

    def position(self, run_id: str) -> int:
        """How many runs, waiting and running, come before this one; 0 for one that does not wait. Runs of others that
        come later may still get before it, one of each."""
        with self._session() as session:
            wanted = select(RunRow.turn, RunRow.number).where(RunRow.id == run_id, _QUEUED)
            own = session.execute(wanted).first()
        if own is None:
            return 0
        before = or_(RunRow.turn < own.turn, (RunRow.turn == own.turn) & (RunRow.number < own.number))
        return self._count(or_(_RUNNING, _QUEUED & before))

    def with_folders(self) -> list[str]:
        """The ids of all runs but failed ones, which may be so for want of their folders."""
        with self._session() as session:
            return list(session.scalars(select(RunRow.id).where(RunRow.state != "failed")))

    def claim(self, runner_pid: int, wanted: Callable[[str], bool] = lambda _: True) -> str | None:
        """Take the first run in turn that is ``wanted``, by its id, and mark it running; two callers never get the same
        one."""
        while True:
            # Looking and taking are two transactions: in one, SQLite refuses at once instead of waiting its turn.
            with self._session() as session:
                waiting = select(RunRow.number, RunRow.id).where(_QUEUED).order_by(RunRow.turn, RunRow.number)
                rows = session.execute(waiting).all()
            first = next((row for row in rows if wanted(row.id)), None)
            if first is None:
                return None
            taken = self._update(
                (RunRow.number == first.number, _QUEUED),
                state="running",
                started=datetime.now(UTC),
                runner_pid=runner_pid,
                attempts=RunRow.attempts + 1,
                progress=None,
            )
            if taken:
                return str(first.id)

    def running(self) -> list[RunRow]:
        """The runs marked running, whoever runs them, oldest first."""
        with self._session() as session:
            return list(session.scalars(select(RunRow).where(_RUNNING).order_by(RunRow.number)))

    def ended(self) -> list[RunRow]:
        """The runs that have ended, the one that did so first at the beginning."""
        wanted = select(RunRow).where(RunRow.state.in_(FINAL_STATES))
        with self._session() as session:
            return list(session.scalars(wanted.order_by(func.coalesce(RunRow.finished, RunRow.created), RunRow.number)))

    def checking(self) -> list[RunRow]:
        """The runs whose files are being checked, by the process in ``runner_pid``, oldest first."""
        with self._session() as session:
            return list(session.scalars(select(RunRow).where(_CHECKING).order_by(RunRow.number)))

    def take_check(self, row: RunRow, pid: int) -> bool:
        """This process checks the files of the run from now on; False: another one was faster."""
        return self._update((RunRow.id == row.id, _CHECKING, RunRow.runner_pid == row.runner_pid), runner_pid=pid)

    def checked(self, record: Record) -> bool:
        """Bring the index up to a record whose files are checked. False: it is no longer wanted."""
        return self._update((RunRow.id == record.id, _CHECKING), **run_values(record), **_NOBODY)

    def set_progress(self, run_id: str, progress: Progress) -> None:
        """Say where a running run stands."""
        self._update((RunRow.id == run_id, _RUNNING), progress=plain(asdict(progress)))

    def finish(self, record: Record) -> None:
        """Bring the index up to a record that has reached its final state."""
        if not self._update((RunRow.id == record.id,), **run_values(record), **_NOBODY):
            self.create(record)
            return
        with self._session() as session:
            session.execute(delete(TimingRow).where(TimingRow.run_id == record.id))
            session.add_all(timings(record))

    def fail(self, run_id: str, error: str) -> None:
        """Mark a run failed in the index alone: for one whose record cannot be read or written."""
        values = {"state": "failed", "error": text(error), "finished": datetime.now(UTC)}
        self._update((RunRow.id == run_id,), **values, **_NOBODY)

    def requeue(self, run_id: str) -> None:
        """Put a running run back; it keeps its place and so is first in line."""
        self._update((RunRow.id == run_id, _RUNNING), state="queued", started=None, **_NOBODY)

    def request_cancel(self, run_id: str) -> bool:
        """A waiting run is cancelled at once, a running one asked to stop. False: it was neither."""
        values = {"state": "cancelled", "finished": datetime.now(UTC), "cancel": True}
        if self._update((RunRow.id == run_id, _QUEUED | _CHECKING), **values):
            if self._results:
                _mark_cancelled(self._results / run_id)
            return True
        return self._update((RunRow.id == run_id, _RUNNING), cancel=True)

    def cancel_requested(self, run_id: str) -> bool:
        """Whether the run is to stop."""
        with self._session() as session:
            return bool(session.scalar(select(RunRow.cancel).where(RunRow.id == run_id)))

    def show(self, run_id: str, visible: Visible) -> None:
        """Say who may see the run, in its folder too.

        Raises:
            UserError: it cannot be kept there (``disk_full``).
        """
        self._set_access(run_id, visible=visible)

    def post(self, run_id: str, class_name: str, shown_as: str) -> None:
        """Say which class's table has a line of the run, if any, and what it is called there.

        Raises:
            UserError: it cannot be kept there (``disk_full``).
        """
        self._set_access(run_id, class_name=class_name, shown_as=shown_as)

    def of_class(self, name: str) -> list[RunRow]:
        """The runs that were posted to a class, oldest first."""
        wanted = select(RunRow).where(RunRow.class_name == name).order_by(RunRow.number)
        with self._session() as session:
            return list(session.scalars(wanted))

    def delete(self, run_id: str) -> bool:
        """Forget a run that is not running; its folders are the caller's. False: it runs, or there is none."""
        with self._session() as session:
            wanted = delete(RunRow).where(RunRow.id == run_id, RunRow.state != "running")
            found = _changed(session.execute(wanted))
            if found:
                session.execute(delete(TimingRow).where(TimingRow.run_id == run_id))
            return found

    def _fill(self, sessions: sessionmaker[Session]) -> None:
        """Make the index from the records where it is empty."""
        with sessions.begin() as session:
            empty = session.scalar(select(RunRow.number).limit(1)) is None
        for record in _read_records(self._results) if empty and self._results else ():
            _insert(sessions, record, self._access(record), self._notes(record))

    def _access(self, record: Record) -> Access:
        return Access.load(self._results / record.id) if self._results else Access()

    def annotate(self, run_id: str, notes: Notes) -> None:
        """Keep what its owner says of the run, in its folder too.

        Raises:
            UserError: it cannot be kept there (``disk_full``).
        """
        if self._results:
            try:
                notes.save(self._results / run_id)
            except OSError as problem:
                raise UserError("This could not be kept on the disk. Try again.", code="disk_full") from problem
        self._update((RunRow.id == run_id,), **notes_values(notes))

    def _notes(self, record: Record) -> Notes:
        return Notes.load(self._results / record.id) if self._results else Notes()

    def _set_access(self, run_id: str, **changes: Any) -> None:
        row = self.get(run_id)
        if row and self._results:
            now = Access(**{name.name: getattr(row, name.name) for name in fields(Access)})
            try:
                replace(now, **changes).save(self._results / run_id)
            except OSError as problem:
                raise UserError("This could not be kept on the disk. Try again.", code="disk_full") from problem
        self._update((RunRow.id == run_id,), **changes)

    def _count(self, wanted: ColumnElement[bool]) -> int:
        with self._session() as session:
            return session.scalar(select(func.count()).select_from(RunRow).where(wanted)) or 0

    def _update(self, where: tuple[Any, ...], **values: Any) -> bool:
        with self._session() as session:
            statement = update(RunRow).where(*where).values(**values)
            return _changed(session.execute(statement, execution_options={"synchronize_session": False}))


def _mark_cancelled(folder: Path) -> None:
    try:
        record = Record.load(folder)
        record.state, record.finished = "cancelled", now()
        record.save(folder)
    except (UserError, OSError):
        log.warning("Run %s is cancelled, but its record could not be updated.", folder.name, exc_info=True)


def _insert(
    sessions: sessionmaker[Session], record: Record, access: Access, notes: Notes, pid: int | None = None
) -> None:
    """Add a run, unless it is there already, made from its record."""
    # One found running without an index was tried at least once.
    attempts = int(record.state == "running")
    visitor, turn = access.visitor or access.owner or record.id, 0
    if record.state not in FINAL_STATES:
        with sessions.begin() as session:  # of its own, as in ``claim``
            turn = _next_turn(session, visitor)
    values = {**run_values(record), **asdict(access), **notes_values(notes), "visitor": visitor, "turn": turn}
    row = RunRow(**values, attempts=attempts, runner_pid=pid)
    with suppress(IntegrityError), sessions.begin() as session:
        session.add_all([row, *timings(record)])


def _next_turn(session: Session, visitor: str) -> int:
    """The turn of another run of a visitor: the one after the turn that is on, and after those of its other runs."""
    now, waiting = select(func.max(RunRow.turn)).where(_RUNNING), _QUEUED | _CHECKING
    on = session.scalar(now)
    if on is None:
        on = (session.scalar(select(func.min(RunRow.turn)).where(waiting)) or 1) - 1
    own = session.scalar(select(func.max(RunRow.turn)).where(waiting, RunRow.visitor == visitor))
    return max(on, own or 0) + 1


def _read_records(results: Path) -> list[Record]:
    """All records that can be read, in the order of their creation."""
    records = []
    for path in results.glob("*/run.json"):
        try:
            record = Record.load(path.parent)
            values = run_values(record)
            sound = record.id == path.parent.name and values["state"] in get_args(State)
            if not sound or values["mode"] not in get_args(Mode):
                raise ValueError("not the record of this folder")
            timings(record)
        except (UserError, ValueError, TypeError, AttributeError, OverflowError):
            log.warning(
                "The record of %s cannot be read and is left out of the index.", path.parent.name, exc_info=True
            )
        else:
            records.append(record)
    return sorted(records, key=lambda record: (run_values(record)["created"], record.id))


def _changed(result: Any) -> bool:
    return bool(result.rowcount)
