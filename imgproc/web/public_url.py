"""Where a proxy in front shows the app: the setting PUBLIC_URL, and what follows from it."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import urlsplit

from imgproc.errors import UserError
from imgproc.settings import Settings

_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)*")


class PublicUrl(NamedTuple):
    """``url`` has no slash at its end; ``prefix`` is what all paths begin with, such as /speedup; ``secure``: https.
    All are empty where there is no proxy."""

    url: str = ""
    host: str = ""
    prefix: str = ""
    secure: bool = False


def public_url(settings: Settings) -> PublicUrl:
    """
    Raises:
        UserError: it is no address that can be a proxy's.
    """
    url = settings.PUBLIC_URL.rstrip("/")
    if not url:
        return PublicUrl()
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        whole = parts.scheme in ("http", "https") and host and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        whole = False
    if not whole or parts.query or parts.fragment or not _PREFIX.fullmatch(parts.path) or "/." in parts.path:
        raise UserError(
            "PUBLIC_URL is an address such as https://lab.example.org or https://lab.example.org/speedup, not "
            f"“{url}”.",
            field="PUBLIC_URL",
        )
    return PublicUrl(url, host, parts.path, parts.scheme == "https")
