"""Styles, scripts and pictures of the pages: each address says what its file holds, so that a browser keeps it for good
and asks anew once the file is another one."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from flask import Flask, Response, request

from imgproc.files import sha256_of

#: Seconds in a year, the longest that is of any use.
_FOR_GOOD = 365 * 24 * 60 * 60
_VERSION = "v"


def install(app: Flask) -> None:
    """Versions in the addresses of files, and answers to these that are kept."""
    folders = {"static": app.static_folder, "bootstrap.static": app.blueprints["bootstrap"].static_folder}

    def version(endpoint: str, name: str) -> str:
        """Empty for what is no such file."""
        folder = folders.get(endpoint)
        return _version(Path(folder, name)) if folder else ""

    @app.url_defaults
    def name_version(endpoint: str, values: dict[str, Any]) -> None:
        if endpoint in folders and (found := version(endpoint, values.get("filename", ""))):
            values.setdefault(_VERSION, found)

    @app.after_request
    def keep(answer: Response) -> Response:
        asked = request.args.get(_VERSION)
        if answer.status_code in (200, 304) and asked and request.endpoint in folders:
            name = (request.view_args or {}).get("filename", "")
            if asked == version(request.endpoint, name):  # an old page gets what there is, but not to keep
                answer.headers["Cache-Control"] = f"public, max-age={_FOR_GOOD}, immutable"
        return answer


def _version(file: Path) -> str:
    try:
        found = file.stat()
    except (OSError, ValueError):
        return ""
    return _hash(file, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=256)
def _hash(file: Path, changed: int, size: int) -> str:
    """Of the content; read anew where the file was changed."""
    return (sha256_of(file) or "")[:12]
