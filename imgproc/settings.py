"""What whoever runs the app can set, each through an environment variable of the same name."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from importlib import import_module
from pathlib import Path
from typing import Any

from platformdirs import user_cache_dir, user_data_dir

from imgproc.errors import UserError
from imgproc.installation import CHECKOUT

#: Where an app keeps its runs unless told otherwise.
DATA = CHECKOUT or Path(user_data_dir("imgproc", appauthor=False))

_NUMBER, _SIZE = ("[0-9]+", "a number"), ("[0-9]+([MmKk][Bb])?", "a number")
_LAYERS = ("default", "safe", "threadsafe", "forksafe", "tbb", "omp", "workqueue")
_METHODS = ("spawn",) if sys.platform == "win32" else ("fork", "spawn", "forkserver")
#: What variables that libraries read may be, as far as they do not say so themselves, and that in words. Every one of
#: them may be missing.
_OF_LIBRARIES = {
    "OPENCV_FOR_THREADS_NUM": _NUMBER,
    "OPENCV_IO_MAX_IMAGE_PIXELS": _SIZE,
    "OPENCV_IO_MAX_IMAGE_WIDTH": _SIZE,
    "OPENCV_IO_MAX_IMAGE_HEIGHT": _SIZE,
    "OMP_NUM_THREADS": ("([0-9]+(,[0-9]+)*)?", "a number"),
    "NUMBA_NUM_THREADS": ("0*[1-9][0-9]*", "a number from 1 on"),
    "NUMBA_OPT": ("[0-3]|max", "0, 1, 2, 3 or max"),
    "NUMBA_DISABLE_JIT": _NUMBER,
    "NUMBA_THREADING_LAYER": ("|".join(_LAYERS), f"one of {', '.join(_LAYERS)}"),
    "LOKY_MAX_CPU_COUNT": ("-?[0-9]+", "a number"),
    "LOKY_MAX_DEPTH": _NUMBER,
    "JOBLIB_MULTIPROCESSING": _NUMBER,
    "JOBLIB_START_METHOD": ("|".join(["", *_METHODS]), f"one of {', '.join(_METHODS)}"),
}
_SET_HERE = {"OPENCV_FOR_THREADS_NUM", "OMP_NUM_THREADS"}


def _setting(default: Any, help: str, minimum: float | None = None, choices: Sequence[str] = ()) -> Any:
    return field(default=default, metadata={"help": help, "minimum": minimum, "choices": choices})


def check_libraries(environ: Mapping[str, str]) -> None:
    """Refuse values of variables at which a library ends the process, or fails somewhere in the middle of a run.

    Raises:
        UserError: there is one; ``field`` is the variable's name.
    """
    for name, (allowed, words) in _OF_LIBRARIES.items():
        if name in environ and not re.fullmatch(allowed, environ[name]):
            said = f"{name} must be {words}, not “{environ[name]}”."
            if name in _SET_HERE:
                said += " Unset it: the threads are set here by technique and workers."
            raise UserError(said, field=name)
    pickler = environ.get("LOKY_PICKLER", "")
    if pickler not in ("", "cloudpickle", "pickle") and not _has_pickler(pickler):
        raise UserError(
            f"LOKY_PICKLER must be cloudpickle, pickle or another module that has a Pickler, not “{pickler}”.",
            field="LOKY_PICKLER",
        )


def _has_pickler(module: str) -> bool:
    """Whether it can be loaded, as joblib will, and has one."""
    try:
        return hasattr(import_module(module), "Pickler")
    except Exception:  # of whatever it does when it is loaded
        return False


@dataclass(frozen=True)
class Settings:
    """All limits and places. ``Settings.from_environment()`` reads them; README lists them."""

    UPLOADS_DIR: Path = _setting(DATA / "uploads", "Where uploaded files are kept")
    RESULTS_DIR: Path = _setting(DATA / "results", "Where results, records and the index are kept")
    DATABASE_URL: str = _setting(
        "",
        "SQLAlchemy URL of the run index, as postgresql+psycopg://user:password@host/database with psycopg installed; "
        "empty: SQLite in RESULTS_DIR",
    )
    MAX_MEGAPIXELS: float = _setting(50.0, "Largest image, in megapixels", 0.001)
    MAX_SIDE: int = _setting(65_500, "Longest side of an image, in pixels", 1)
    MAX_FILES: int = _setting(1_000, "Most files in one run", 1)
    MAX_UPLOAD_MB: int = _setting(4_000, "Largest upload of one run, in megabytes", 1)
    MAX_QUEUED: int = _setting(30, "Most runs waiting at once", 1)
    MAX_QUEUED_PER_VISITOR: int = _setting(
        20, "Most of them of one visitor: a browser by its cookie, what sends none by its address", 1
    )
    MAX_MINUTES_PER_VISITOR: float = _setting(
        1_440.0,
        "Longest that the waiting runs of one visitor may be measured together, by their time budgets, in minutes",
        1,
    )
    MAX_WORKERS: int = _setting(64, "Most workers of one technique", 1)
    INSPECT_SECONDS: float = _setting(20.0, "Longest that vetting one file, or a preview, may take", 0.1)
    VET_SECONDS: float = _setting(600.0, "Longest that vetting the files of one run may take, on one core", 0.1)
    TASK_SECONDS: float = _setting(120.0, "Longest that one image may take before its worker is replaced", 0.1)
    MEMORY_MB: int = _setting(
        0,
        "Memory that the workers of a run may take together, in megabytes: fewer images are worked on at a time where "
        "they would take more; 0: most of what is free",
        0,
    )
    DISK_RESERVE_MB: int = _setting(200, "Free disk space below which no new run is taken", 0)
    TRUSTED_HOSTS: str = _setting("", "Extra host names and addresses the app answers to, separated by commas")
    PUBLIC_URL: str = _setting(
        "",
        "Address at which a proxy in front of serve shows the app, as https://lab.example.org/speedup; an access token "
        "is then asked for; empty: there is none",
    )
    MPI_HOSTFILE: str = _setting("", "File with the hosts for MPI, as mpiexec -f takes it; empty: this machine")
    MPI_ARGUMENTS: str = _setting("", "More arguments for mpiexec, as in a shell")
    OWN_OPERATIONS: str = _setting(
        "",
        "Operations beyond those of this package that the web app offers: FILE.py:FUNCTION, MODULE:FUNCTION or names, "
        "separated by commas",
    )
    CACHE_DIR: str = _setting(
        "", "Where what was measured of this machine and drawn samples are kept; empty: the user’s folder for caches"
    )
    LOG_FORMAT: str = _setting(
        "text",
        "What serve writes to standard error: text, what is wrong in words; or json, an object a line, requests too",
        choices=("text", "json"),
    )
    # Both are off at first: nothing of a person's goes that whoever runs the app has not said is to go.
    KEEP_DAYS: float = _setting(0.0, "Days after which a run that has ended is removed; 0: never", 0)
    KEEP_MB: int = _setting(
        0, "Room for all runs together, in megabytes, above which the oldest are removed; 0: no limit", 0
    )
    HISTORY: str = _setting(
        "own",
        "Which runs a browser’s history lists: own, its own and those made public; or shared, everybody’s but private "
        "ones, for a class",
        choices=("own", "shared"),
    )
    ACCESS_TOKEN: str = _setting(
        "",
        "Token that every request needs, at least 32 characters; empty: none on this machine itself, and one made of "
        "the secret key where serve or flask run listens beyond it, or a proxy is in front (PUBLIC_URL)",
    )
    SECRET_KEY: str = _setting(
        "", "Signs the cookie that says who owns a run; at least 32 characters; empty: made once and kept"
    )

    DASK_SCHEDULER: str = _setting(
        "", "Address of a Dask scheduler, as tcp://host:8786 or tls://host:8786; empty: a cluster on this machine"
    )
    DASK_TLS_CA: str = _setting("", "File with the certificates that the Dask scheduler’s is checked by")
    DASK_TLS_CERT: str = _setting("", "File with our certificate for the Dask scheduler")
    DASK_TLS_KEY: str = _setting("", "File with the key of that certificate")
    DASK_DASHBOARD: str = _setting("", "Where Dask’s dashboard is, as 127.0.0.1:8787; needs bokeh; empty: none")

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read the settings strictly.

        Raises:
            UserError: a value cannot be read, is below its minimum or none of the choices; ``field`` is the variable's
                name.
        """
        environ = os.environ if environ is None else environ
        check_libraries(environ)
        values: dict[str, Any] = {}
        for item in fields(cls):
            text = environ.get(item.name)
            if text is None:
                continue
            if not text and isinstance(item.default, Path):
                raise UserError(f"{item.name} is empty. Name a folder; “.” is the current one.", field=item.name)
            kind: type = type(item.default)
            try:
                value = Path(text).absolute() if isinstance(item.default, Path) else kind(text)
            except ValueError:
                raise UserError(f"{item.name} must be a number, not “{text}”.", field=item.name) from None
            minimum = item.metadata["minimum"]
            if minimum is not None and not value >= minimum:
                raise UserError(
                    f"{item.name} must be at least {minimum:g}, not {text}.", field=item.name, limit=minimum
                )
            choices = item.metadata["choices"]
            if choices and value not in choices:
                raise UserError(f"{item.name} is one of {', '.join(choices)}, not “{text}”.", field=item.name)
            values[item.name] = value
        return cls(**values)

    def make_folders(self) -> None:
        """Make the folders for uploads and results, for this user alone where the system can do that. One that somebody
        else made elsewhere stays as open as it is."""
        for folder in (self.UPLOADS_DIR, self.RESULTS_DIR):
            ours = not folder.exists() or folder.parent == DATA
            folder.mkdir(parents=True, exist_ok=True)
            if ours:
                with suppress(OSError):
                    folder.chmod(0o700)

    @property
    def database_url(self) -> str:
        return self.DATABASE_URL or f"sqlite:///{self.RESULTS_DIR / 'index.sqlite'}"

    @property
    def cache_dir(self) -> Path:
        return Path(self.CACHE_DIR or user_cache_dir("imgproc", appauthor=False)).absolute()

    @property
    def max_pixels(self) -> int:
        return int(self.MAX_MEGAPIXELS * 1_000_000)


#: The settings that only the web process is to know.
SECRETS = frozenset({"SECRET_KEY", "ACCESS_TOKEN"})
