"""What whoever runs the app can set, each through an environment variable of the same name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from platformdirs import user_cache_dir

from imgproc.errors import UserError

PROJECT = Path(__file__).resolve().parent.parent


def _setting(default: Any, help: str, minimum: float | None = None) -> Any:
    return field(default=default, metadata={"help": help, "minimum": minimum})


@dataclass(frozen=True)
class Settings:
    """All limits and places. ``Settings.from_environment()`` reads them; README lists them."""

    UPLOADS_DIR: Path = _setting(PROJECT / "uploads", "Where uploaded files are kept")
    RESULTS_DIR: Path = _setting(PROJECT / "results", "Where results, records and the index are kept")
    DATABASE_URL: str = _setting("", "SQLAlchemy URL of the run index; empty: SQLite in RESULTS_DIR")
    MAX_MEGAPIXELS: float = _setting(50.0, "Largest image, in megapixels", 0.001)
    MAX_SIDE: int = _setting(65_500, "Longest side of an image, in pixels", 1)
    MAX_FILES: int = _setting(1_000, "Most files in one run", 1)
    MAX_UPLOAD_MB: int = _setting(4_000, "Largest upload of one run, in megabytes", 1)
    MAX_QUEUED: int = _setting(20, "Most runs waiting at once", 1)
    MAX_WORKERS: int = _setting(64, "Most workers of one technique", 1)
    INSPECT_SECONDS: float = _setting(20.0, "Longest that vetting one file, or a preview, may take", 0.1)
    TASK_SECONDS: float = _setting(120.0, "Longest that one image may take before its worker is replaced", 0.1)
    DISK_RESERVE_MB: int = _setting(200, "Free disk space below which no new run is taken", 0)
    TRUSTED_HOSTS: str = _setting("", "Extra host names the app answers to, separated by commas")
    MPI_HOSTFILE: str = _setting("", "File with the hosts for MPI, as mpiexec -f takes it; empty: this machine")
    MPI_ARGUMENTS: str = _setting("", "More arguments for mpiexec, as in a shell")
    CACHE_DIR: str = _setting("", "Where the calibration of this machine is kept; empty: the user’s folder for caches")
    SECRET_KEY: str = _setting("", "Signs the cookie that says who owns a run; empty: made once and kept")

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
            UserError: a value cannot be read or is below its minimum; ``field`` is the variable's name.
        """
        environ = os.environ if environ is None else environ
        values: dict[str, Any] = {}
        for item in fields(cls):
            text = environ.get(item.name)
            if text is None:
                continue
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
            values[item.name] = value
        return cls(**values)

    @property
    def database_url(self) -> str:
        return self.DATABASE_URL or f"sqlite:///{self.RESULTS_DIR / 'index.sqlite'}"

    @property
    def cache_dir(self) -> Path:
        return Path(self.CACHE_DIR or user_cache_dir("imgproc", appauthor=False)).absolute()

    @property
    def max_pixels(self) -> int:
        return int(self.MAX_MEGAPIXELS * 1_000_000)
