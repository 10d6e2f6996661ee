"""A database at a SQLAlchemy URL: sessions, tables made at first use, a damaged file set aside, errors for people."""

from __future__ import annotations

import logging
import re
import shutil
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock
from sqlalchemy import Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DatabaseError, OperationalError, SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, Session, sessionmaker

from imgproc.errors import UserError

_BUSY_SECONDS = 10
#: What SQLite says of a file with damage, as an error of the kind that also tells of a lock or a full disk.
_DAMAGE = re.compile("malformed|not a database|corrupt")
_LOCKED = re.compile("locked|busy")
#: Where a disk has less than that left, in bytes, SQLite cannot begin: it says that the disk is full, or does not work.
_LEAST_ROOM = 100_000

log = logging.getLogger(__name__)


class Database:
    """Sessions on tables that are there: they are made at first use, and again when the file was deleted under us.

    ``on_new`` is called with a session whenever the tables were just looked at for the first time, before anybody
    else gets one from this object. Safe to use from many threads; several processes may begin at once.

    Args:
        replaceable: ``on_new`` fills empty tables, so a file of SQLite's that is damaged is set aside under another
            name and begun anew.

    Raises:
        UserError: there can be no such database; ``field`` is DATABASE_URL.
    """

    def __init__(
        self,
        url: str,
        tables: type[DeclarativeBase],
        on_new: Callable[[sessionmaker[Session]], None],
        *,
        replaceable: bool = False,
    ) -> None:
        self._engine = _engine(url)
        self._file = _sqlite_file(url)
        #: Where it lies; None where it is no file.
        self.folder = self._file.parent if self._file else None
        self._replaceable = replaceable and self._file is not None
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
            self._prepared = None  # what is wrong with it is looked for at the next use
            told = _as_user_error(problem, self._file)
            log.warning("The index of runs cannot be used: %s", told.message, exc_info=told.code != "disk_full")
            raise told from problem

    def _prepare(self) -> None:
        if self._prepared and self._prepared == self._identity():
            return
        with self._lock:
            if self._prepared and self._prepared == self._identity():
                return
            self._engine.dispose()
            if self._file:
                self._file.parent.mkdir(parents=True, exist_ok=True)
            if self._file and self._replaceable:
                _set_aside_if_damaged(self._engine, self._tables, self._file)
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


def _engine(url: str) -> Engine:
    try:
        engine = create_engine(url, pool_pre_ping=make_url(url).get_backend_name() != "sqlite")
    except ModuleNotFoundError as problem:
        raise UserError(
            f"DATABASE_URL needs the Python package {problem.name}, which is not installed. Install it, or leave "
            "DATABASE_URL empty: the index is then a file of SQLite’s.",
            field="DATABASE_URL",
        ) from None
    except (ArgumentError, ValueError):
        raise UserError(
            "DATABASE_URL is no SQLAlchemy URL, such as sqlite:////srv/lab/index.sqlite or "
            "postgresql+psycopg://user:password@host/database.",
            field="DATABASE_URL",
        ) from None
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_up_sqlite)
    return engine


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
        except sqlite3.OperationalError as problem:
            if not _LOCKED.search(str(problem)) or time.monotonic() > deadline:
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


def _set_aside_if_damaged(engine: Engine, tables: type[DeclarativeBase], file: Path) -> None:
    """Give a file another name that is no database, has damage inside, or has our tables without all of their
    columns. Of several processes one does it, and the others find the new file."""
    if not file.exists() or _is_sound(engine, tables):
        return
    try:
        with FileLock(file.with_name(f"{file.name}.repair")):
            engine.dispose()  # its connections are to the file that may have been set aside by now
            if not file.exists() or _is_sound(engine, tables):
                return
            engine.dispose()
            aside = file.with_name(f"{file.name}.damaged-{datetime.now(UTC):%Y%m%d-%H%M%S-%f}")
            file.rename(aside)
            for part in ("-wal", "-shm"):
                file.with_name(file.name + part).unlink(missing_ok=True)
    except OSError:
        log.warning("The index of runs is damaged and cannot be set aside.", exc_info=True)
    else:
        log.warning("The index of runs is damaged. It is now %s, and made anew from the records.", aside.name)


def _is_sound(engine: Engine, tables: type[DeclarativeBase]) -> bool:
    try:
        with engine.connect() as connection:
            if connection.execute(text("PRAGMA quick_check(1)")).scalar() != "ok":
                return False
            found = inspect(connection)
            for table in tables.metadata.sorted_tables:
                there = found.has_table(table.name)
                if there and {column["name"] for column in found.get_columns(table.name)} != set(table.columns.keys()):
                    return False
    except OperationalError as problem:
        return not _DAMAGE.search(str(problem.orig))  # it may also be locked, or on a full disk
    except DatabaseError:
        return False
    return True


def _as_user_error(problem: SQLAlchemyError, file: Path | None) -> UserError:
    said = str(getattr(problem, "orig", ""))
    if "full" in said or (file and "I/O" in said and is_full(file.parent)):
        return UserError("The disk is full. Free some space, then try again.", code="disk_full")
    remedy = (
        "stop it, remove the index file and start it again: the index is then made anew from the results."
        if file
        else "see that the database of DATABASE_URL is running and lets the app in."
    )
    return UserError(
        "The index of runs cannot be read or written just now. Try again; if it stays so, whoever runs this app can "
        f"{remedy}",
        code="unavailable",
    )


def is_full(folder: Path) -> bool:
    """Whether nothing more can be written on the disk of a folder."""
    try:
        return shutil.disk_usage(folder).free < _LEAST_ROOM
    except OSError:
        return False
