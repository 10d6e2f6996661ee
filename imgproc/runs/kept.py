"""Images kept for a short while, so that a form can try operations on one again and again and send it only once.

Each lies in a folder of its own among the uploads. The folder's name holds the browser that sent it and a random token,
and its time says when it was last used: nothing is kept in memory, so that any process of the app finds it."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import time
from contextlib import suppress
from pathlib import Path

from imgproc.errors import UserError

#: So long an image is kept after it was last used.
KEPT_SECONDS = 900.0
#: Most of one browser, and most of all; the oldest go first.
MOST_OF_ONE = 3
MOST = 30

_BEGINNING = "preview-"
_RANDOM = re.compile("[0-9a-f]{32}")


def new_folder(uploads: Path, owner: str) -> Path:
    """Where the next image of this browser may be kept; nothing is made yet."""
    return uploads / f"{_BEGINNING}{owner}-{secrets.token_hex(16)}"


def token_of(folder: Path) -> str:
    """What names a kept image to the browser that sent it."""
    return folder.name.rpartition("-")[2]


def find_kept(uploads: Path, owner: str, token: str) -> Path:
    """The folder of a kept image, which is kept as long again from now on.

    Raises:
        UserError: it is gone, or never was this browser's.
    """
    folder = uploads / f"{_BEGINNING}{owner}-{token}"
    if not (_RANDOM.fullmatch(token) and folder.is_dir()) or _is_old(folder):
        raise gone()
    with suppress(OSError):  # it is just being removed, which the caller will notice
        os.utime(folder)
    return folder


def gone() -> UserError:
    return UserError("The image is no longer kept here. Send it again.", code="not_found", field="token")


def remove_surplus(uploads: Path, owner: str) -> None:
    """Remove the images that are too old or too many, now that another one of this browser has come."""
    remove_expired(uploads)
    for beginning, most in ((f"{_BEGINNING}{owner}-", MOST_OF_ONE), (_BEGINNING, MOST)):
        newest = sorted(uploads.glob(f"{beginning}*"), key=_last_used, reverse=True)
        for folder in newest[most:]:
            shutil.rmtree(folder, ignore_errors=True)


def remove_expired(uploads: Path) -> None:
    """Remove the images that nobody has used for a while."""
    for folder in uploads.glob(f"{_BEGINNING}*"):
        if _is_old(folder):
            shutil.rmtree(folder, ignore_errors=True)


def _is_old(folder: Path) -> bool:
    return time.time() - _last_used(folder) > KEPT_SECONDS


def _last_used(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except OSError:  # another process was faster to remove it
        return 0.0
