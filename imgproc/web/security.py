"""Who may talk to the app, who owns a run, and the headers that keep pages harmless."""

from __future__ import annotations

import hmac
import ipaddress
import os
import secrets
import socket
from pathlib import Path
from urllib.parse import urlsplit

from flask import Flask, Response, current_app, g, request, session

from imgproc.errors import UserError
from imgproc.runs.access import owner_of
from imgproc.settings import Settings
from imgproc.web.public_url import public_url

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
_STYLE = "style-src 'self'"
_KEY_FILE = "secret_key"
#: Least length of a secret, and how many different characters it has at least: 32 random hexadecimal digits
#: fail that once in thirty million times, the 64 that are made here never.
LEAST_SECRET, _LEAST_DIFFERENT = 32, 8


def install(app: Flask, settings: Settings, *, only_here: bool = False) -> None:
    """Refuse strange hosts and cross-site posts before any route; add the headers after every one.

    Args:
        only_here: nothing but this machine reaches the app, so a request is for a name or an address of loopback.
    """
    extra = frozenset(name.strip().lower() for name in settings.TRUSTED_HOSTS.split(",") if name.strip())
    if public := public_url(settings).host:
        extra |= {public}
    trusted = extra | {"localhost", socket.gethostname().lower()}

    @app.before_request
    def check() -> None:
        _check_host(trusted, only_here)
        if request.method not in ("GET", "HEAD", "OPTIONS"):
            _check_site(extra)

    @app.after_request
    def add_headers(answer: Response) -> Response:
        for name, value in HEADERS.items():
            answer.headers.setdefault(name, value)
        _keep_private(answer)
        return answer


def _keep_private(answer: Response) -> None:
    """No cache keeps what one browser was shown of runs, but its own the pictures, which never change."""
    if not request.path.startswith(("/runs", "/compare", "/class")):
        if answer.mimetype in ("text/html", "application/json"):
            answer.headers.setdefault("Cache-Control", "no-cache")
        return
    answer.vary.add("Cookie")  # also where nobody asked whose it is: an unknown run looks like somebody else's
    if answer.cache_control.max_age:
        answer.cache_control.public, answer.cache_control.private = False, True
    else:
        answer.headers["Cache-Control"] = "no-store"


def policy_with_style(source: str) -> str:
    """The site's Content-Security-Policy with one more source of styles, such as the hash of those inside a page."""
    return HEADERS["Content-Security-Policy"].replace(_STYLE, f"{_STYLE} {source}")


def _check_host(trusted: frozenset[str], only_here: bool) -> None:
    """A name that somebody else may point at this machine (DNS rebinding) is refused. An address cannot be pointed
    anywhere, and which ones lead here is not known behind published ports of a container or NAT; but to what only this
    machine reaches, only those of loopback do."""
    given = request.headers.get("Host")
    if given is None:  # HTTP/1.0; every browser sends it
        return
    name = _name_in(given)
    if _is_named(name, trusted) or _is_address(name, only_here):
        return
    raise UserError(
        "This server does not answer to the host name or address of this request. Whoever runs it can add that to "
        "TRUSTED_HOSTS.",
        code="bad_request",
    )


def _name_in(given: str) -> str:
    """The name or address of a host, with or without a port; empty where it is none."""
    try:
        return (urlsplit(f"//{given}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def _is_named(name: str, known: frozenset[str]) -> bool:
    return name in known or any(pattern.startswith(".") and name.endswith(pattern) for pattern in known)


def _is_address(name: str, of_loopback: bool) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback or not of_loopback
    except ValueError:
        return False


def _check_site(extra: frozenset[str]) -> None:
    """Posts come from our own pages or from programs, which send neither header; so curl needs no token. What the
    headers say of the site must hold for all of them."""
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    good = site in (None, "same-origin", "none")
    if origin is not None and origin.lower().partition("://")[2] != request.headers.get("Host", "").lower():
        # Behind a proxy that passes another Host on, only a name that is set can be ours.
        good = site == "same-origin" and _is_named(_name_in(origin.partition("://")[2]), extra)
    if not good:
        raise UserError("This request came from another site, so it was refused.", code="cross_site")


def secret_key(settings: Settings) -> str:
    """The key set, or one made once and kept in a file that only its owner can read.

    Raises:
        UserError: it is empty or can be guessed, so that cookies could be forged.
    """
    if settings.SECRET_KEY:
        check_secret("SECRET_KEY", settings.SECRET_KEY, "Leave it empty: a good one is then made once and kept.")
        return settings.SECRET_KEY
    path = settings.RESULTS_DIR / _KEY_FILE
    settings.make_folders()
    kept = _read(path)
    if kept is not None:
        again = "Remove the file: a good one is then made. Runs from before can no longer be changed by their browsers."
        check_secret("The file secret_key in RESULTS_DIR", kept, again)
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
    return _read(path) or ""


def check_secret(name: str, value: str, otherwise: str) -> None:
    """Refuse what can be guessed; what is made at random is never refused.

    Raises:
        UserError: it is too short, or too few different signs; the text says what to do ``otherwise``.
    """
    if len(value) >= LEAST_SECRET and len(set(value)) >= _LEAST_DIFFERENT:
        return
    wrong = "is empty" if not value else f"has {len(value)} characters, {len(set(value))} of them different"
    raise UserError(
        f"{name} {wrong}, so it can be guessed, and whoever guesses it passes for others. It needs at least "
        f"{LEAST_SECRET} characters, {_LEAST_DIFFERENT} of them different, as this prints: "
        f'python3 -c "import secrets; print(secrets.token_hex(32))". {otherwise}',
        field=name,
        limit=LEAST_SECRET,
    )


def _read(path: Path) -> str | None:
    try:
        return path.read_text(errors="replace").strip()
    except FileNotFoundError:
        return None
    except OSError:
        raise UserError(
            f"The file {path.name} in RESULTS_DIR cannot be read. Let this app’s user read it, or remove it.",
            field="SECRET_KEY",
        ) from None


def owner() -> str:
    """This browser as the owner of runs; at the first call it gets a random token in its signed cookie."""
    if "owner" not in session:
        session["owner"] = secrets.token_hex(16)
        session.permanent = True
        g.came_without_cookie = True
    return known_owner()


def known_owner() -> str:
    """The same, without making a cookie: empty for a browser that has none."""
    return owner_of(str(session.get("owner", "")))


def visitor() -> str:
    """Whose request this is, where all get their share: the owner that its cookie says. A program that sends none, such
    as curl, is known by its address, of which nothing can be read in this. Empty for a browser that has none yet:
    behind one address there may be many, and each will send its own from then on."""
    if (owner := known_owner()) and not g.get("came_without_cookie"):
        return owner
    if request.headers.get("Sec-Fetch-Site"):  # every browser sends it
        return ""
    key = str(current_app.config["SECRET_KEY"]).encode()
    return hmac.digest(key, (request.remote_addr or "").encode(), "sha256").hex()


def is_owner(name: str) -> bool:
    """Whether the run of that owner belongs to this browser."""
    return bool(name) and secrets.compare_digest(known_owner(), name)


def require_owner(name: str) -> None:
    """Raises: UserError: the run belongs to somebody else."""
    if not is_owner(name):
        raise UserError(
            "Only the browser that started this run can do this, and its cookie is missing here.", code="not_owner"
        )
