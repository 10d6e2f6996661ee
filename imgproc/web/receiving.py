"""What a request may bring along: room in the queue and on the disk, and the limit of one upload. Looked at before its
body is stored, where the server can (``front.py``)."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from flask import Flask, Request, request
from werkzeug.exceptions import RequestEntityTooLarge

from imgproc.errors import UserError
from imgproc.runs.uploads import IncomingFiles
from imgproc.settings import Settings
from imgproc.web import security
from imgproc.web.form import Fields
from imgproc.web.front import REFUSED
from imgproc.web.multipart import FILES_FIELD, read_form

#: The addresses that take files, by name; they tell themselves what is wrong with a body.
TAKES_FILES = ("process", "preview", "compare_runs", "class_post")
#: The longest body of any other request.
MOST_FIELDS_BYTES = 64_000


def install(app: Flask) -> None:
    """Refuse what is too large for an address that takes no files. Install it after all other checks: it is for them
    to say why a request may not even ask."""

    @app.before_request
    def check_length() -> None:
        if request.endpoint in TAKES_FILES:
            return
        if problem := request.environ.get(REFUSED):
            raise problem
        if (request.content_length or 0) > MOST_FIELDS_BYTES:
            raise UserError("This address takes no such large request.", code="too_large", limit=MOST_FIELDS_BYTES)


def look(app: Flask, environ: dict[str, Any], received: int, coming: int) -> None:
    """Whether a body may be stored: whatever would refuse the request without it is asked first.

    Args:
        received: bytes of it that are stored already.
        coming: bytes that are still to come, those of other requests too.

    Raises:
        UserError, HTTPException: it may not.
    """
    settings: Settings = app.config["SETTINGS"]
    with app.request_context(environ):
        if not received:
            if request.routing_exception:
                raise request.routing_exception
            if app.preprocess_request() is not None:
                raise UserError("This request was answered before all of it was read.", code="bad_request")
        if request.endpoint == "process" and not received:
            app.config["ADMISSION"].look(settings, security.visitor())
        if request.endpoint in TAKES_FILES:
            length = max(request.content_length or 0, received)
            _check_length(length, settings)
            _check_free(coming + length, settings)  # it is copied from where the server keeps it
        elif received > MOST_FIELDS_BYTES:
            raise UserError("This address takes no such large request.", code="too_large", limit=MOST_FIELDS_BYTES)


def check_room(request: Request | None, settings: Settings) -> None:
    """Refuse what is too large, or for which the disk has no room, before it is read.

    Raises:
        UserError: so it is.
        OSError: the disk became full while it was received.
    """
    if request and (problem := request.environ.get(REFUSED)):
        raise problem
    length = (request.content_length or 0) if request else 0
    _check_length(length, settings)
    _check_free(length, settings)


def _check_length(length: int, settings: Settings) -> None:
    if length > settings.MAX_UPLOAD_MB * 1_000_000:
        raise _too_large(settings)


def _check_free(length: int, settings: Settings) -> None:
    settings.UPLOADS_DIR.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(settings.UPLOADS_DIR).free
    if free - length < settings.DISK_RESERVE_MB * 1_000_000:
        raise UserError(
            f"The disk is nearly full: {free // 1_000_000:,} MB are free, and {settings.DISK_RESERVE_MB:,} MB must "
            "stay free. Delete old runs in the history, then try again.",
            code="disk_full",
            limit=settings.DISK_RESERVE_MB,
        )


def receive(request: Request, fields: Fields, incoming: IncomingFiles, settings: Settings) -> list[tuple[str, Path]]:
    """Read a posted form; what was read before an error stays in ``fields`` and ``incoming``.

    Returns:
        The files: the name each was sent under, and where it lies.

    Raises:
        UserError: it is too large, or no form.
    """
    request.max_content_length = settings.MAX_UPLOAD_MB * 1_000_000
    try:
        read_form(request, fields, incoming)
    except RequestEntityTooLarge as problem:
        raise _too_large(settings) from problem
    finally:
        incoming.close()
    return incoming.files


def _too_large(settings: Settings) -> UserError:
    limit = settings.MAX_UPLOAD_MB
    return UserError(
        f"One upload may have up to {limit:,} MB. Send fewer files, or make several runs.",
        code="too_large",
        field=FILES_FIELD,
        limit=limit,
    )
