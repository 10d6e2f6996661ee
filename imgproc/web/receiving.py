"""What a posted form may bring along: room on the disk, and the limit of one upload."""

from __future__ import annotations

import shutil
from pathlib import Path

from flask import Request
from werkzeug.exceptions import RequestEntityTooLarge

from imgproc.errors import UserError
from imgproc.runs.uploads import IncomingFiles
from imgproc.settings import Settings
from imgproc.web.form import Fields
from imgproc.web.multipart import FILES_FIELD, read_form


def check_room(request: Request | None, settings: Settings) -> None:
    """Refuse what is too large, or for which the disk has no room, before it is read.

    Raises:
        UserError: so it is.
    """
    length = (request.content_length or 0) if request else 0
    if length > settings.MAX_UPLOAD_MB * 1_000_000:
        raise _too_large(settings)
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
