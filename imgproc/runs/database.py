"""A database at a SQLAlchemy URL: sessions, tables made at first use, errors for people."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event, inspect, make_url
from sqlalchemy.exc import DatabaseError, SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, Session, sessionmaker

from imgproc.errors import UserError

_BUSY_SECONDS = 10

log = logging.getLogger(__name__)


class Database:
    """Sessions on tables that are there: they are made at first use, and again when the file was deleted under us.

    ``on_new`` is called with a session whenever the tables were just looked at for the first time, before anybody
    else gets one from this object. Safe to use from many threads; several processes may begin at once.
    """

    def __init__(
        self, url: str, tables: type[DeclarativeBase], on_new: Callable[[sessionmaker[Session]], None]
    ) -> None:
        self._file = _sqlite_file(url)
        self._engine = create_engine(url)
        if self._engine.dialect.name == "sqlite":
            event.listen(self._engine, "connect", _set_up_sqlite)
        # Connections left to the garbage collector are a warning in newer Pythons.
        weakref.finalize(self, self._engine.dispose)
        self._tables = tables
        self._on_new = on_new
        self._sessions = sessionmaker(self._engine, expire_on_commit=False)
        self._lock = threading.Lock()
        self._prepared: object = None

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A session in a transaction, committed at the end.

        Raises:
            UserError: the database cannot be used (code ``unavailable`` or ``disk_full``).
        """
        with self.sessions() as sessions, sessions.begin() as session:
            yield session

    @contextmanager
    def sessions(self) -> Iterator[sessionmaker[Session]]:
        """What makes sessions, for several transactions in a row. Raises as ``session`` does."""
        try:
            self._prepare()
            yield self._sessions
        except SQLAlchemyError as problem:
            log.warning("The index of runs cannot be used.", exc_info=True)
            raise _as_user_error(problem) from problem

    def _prepare(self) -> None:
        if self._prepared and self._prepared == self._identity():
            return
        with self._lock:
            if self._prepared and self._prepared == self._identity():
                return
            self._engine.dispose()
            if self._file:
                self._file.parent.mkdir(parents=True, exist_ok=True)
            _make_tables(self._engine, self._tables)
            self._on_new(self._sessions)
            self._prepared = self._identity()

    def _identity(self) -> object:
        """Which file the database is, None where it is gone; always the same for a database that is no file."""
        if self._file is None:
            return "no file"
        try:
            found = self._file.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino


def _sqlite_file(url: str) -> Path | None:
    parts = make_url(url)
    if parts.get_backend_name() != "sqlite" or not parts.database or parts.database.startswith((":", "file:")):
        return None
    return Path(parts.database)


def _set_up_sqlite(connection: Any, _: object) -> None:
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={1000 * _BUSY_SECONDS}")
    # The switch to WAL does not wait for others by itself, as everything else then does.
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            break
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()


def _make_tables(engine: Engine, tables: type[DeclarativeBase]) -> None:
    for table in tables.metadata.sorted_tables:
        try:
            table.create(engine, checkfirst=True)
        except DatabaseError:
            # Another process made it between our look and our try.
            if not inspect(engine).has_table(table.name):
                raise


def _as_user_error(problem: SQLAlchemyError) -> UserError:
    if "full" in str(getattr(problem, "orig", "")):
        return UserError("The disk is full. Free some space, then try again.", code="disk_full")
    return UserError(
        "The index of runs cannot be read or written just now. Try again; if it stays so, whoever runs this app can "
        "stop it, remove the index file and start it again: the index is then made anew from the results.",
        code="unavailable",
    )
