"""Who may talk to the app, who owns a run, and the headers that keep pages harmless."""

from __future__ import annotations

import ipaddress
import os
import secrets
import socket
from pathlib import Path
from urllib.parse import urlsplit

from flask import Flask, Response, request, session

from imgproc.errors import UserError
from imgproc.settings import Settings

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    # Not "no-referrer": that would make browsers send "Origin: null" with our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}
_KEY_FILE = "secret_key"


def install(app: Flask, settings: Settings) -> None:
    """Refuse strange hosts and cross-site posts before any route; add the headers after every one."""
    extra = frozenset(name.strip().lower() for name in settings.TRUSTED_HOSTS.split(",") if name.strip())
    trusted = extra | {"localhost", socket.gethostname().lower()}

    @app.before_request
    def check() -> None:
        _check_host(trusted)
        if request.method not in ("GET", "HEAD", "OPTIONS"):
            _check_site()

    @app.after_request
    def add_headers(answer: Response) -> Response:
        for name, value in HEADERS.items():
            answer.headers.setdefault(name, value)
        if answer.mimetype in ("text/html", "application/json"):
            answer.headers.setdefault("Cache-Control", "no-cache")
        return answer


def _check_host(trusted: frozenset[str]) -> None:
    """A name that somebody else may point at this machine (DNS rebinding) is refused; an address is none."""
    given = request.headers.get("Host")
    if given is None:  # HTTP/1.0; every browser sends it
        return
    try:
        name = (urlsplit(f"//{given}").hostname or "").rstrip(".")
    except ValueError:
        name = ""
    inside = any(pattern.startswith(".") and name.endswith(pattern) for pattern in trusted)
    if name in trusted or inside or _is_address(name):
        return
    raise UserError(
        "This server does not answer to the host name of this request. Whoever runs it can add the name "
        "to TRUSTED_HOSTS.",
        code="bad_request",
    )


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _check_site() -> None:
    """Posts come from our own pages or from programs, which send neither header; so curl needs no token."""
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    good = site in (None, "same-origin", "none")
    if site is None and origin is not None:
        good = urlsplit(origin).netloc.lower() == request.headers.get("Host", "").lower()
    if not good:
        raise UserError("This request came from another site, so it was refused.", code="cross_site")


def secret_key(settings: Settings) -> str:
    """The key set, or one made once and kept in a file that only its owner can read."""
    if settings.SECRET_KEY:
        return settings.SECRET_KEY
    path = settings.RESULTS_DIR / _KEY_FILE
    settings.RESULTS_DIR.mkdir(parents=True, exist_ok=True)
    kept = _read(path)
    if kept:
        return kept
    # Whole in a file of its own first: two servers starting at once must end up with one key.
    part = path.with_name(f"{_KEY_FILE}.{secrets.token_hex(6)}")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_hex(32))
    try:
        os.link(part, path)
    except FileExistsError:
        pass
    except OSError:  # a file system without links
        part.replace(path)
    part.unlink(missing_ok=True)
    return _read(path)


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return ""


def owner() -> str:
    """The random name of this browser, kept in its signed cookie; made at the first call."""
    if "owner" not in session:
        session["owner"] = secrets.token_hex(16)
        session.permanent = True
    name: str = session["owner"]
    return name


def is_owner(name: str) -> bool:
    """Whether the run of that owner belongs to this browser; asks without making a cookie."""
    return bool(name) and secrets.compare_digest(str(session.get("owner", "")), name)


def require_owner(name: str) -> None:
    """Raises: UserError: the run belongs to somebody else."""
    if not is_owner(name):
        raise UserError(
            "Only the browser that started this run can do this, and its cookie is missing here.", code="not_owner"
        )
