"""The access token that the app asks for where others than this machine reach it: once in a link, then by a cookie, or
with each request in the header ``Authorization: Bearer``."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
import socket
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import quote, urlencode

import psutil
from flask import Flask, Response, redirect, render_template, request, session
from werkzeug.wrappers import Response as AnyResponse

from imgproc.errors import UserError
from imgproc.settings import Settings
from imgproc.web import errors
from imgproc.web.public_url import PublicUrl
from imgproc.web.security import check_secret

#: What answers to everybody: what the page that asks for the token looks like, and whether the app is well.
_OPEN = {"static", "bootstrap.static", "healthz"}
#: What stands for all addresses of a machine.
_ALL = {"", "0.0.0.0", "::"}  # noqa: S104  nothing is bound to them here
#: Addresses set aside for documents. Nothing is sent there: only the way to them is asked for.
_FAR = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}


def token_of(settings: Settings, secret_key: str, *, asked: bool) -> str:
    """The token set; where none is, and one is ``asked`` for, one made of the secret key: the same after a restart.
    Else empty.

    Raises:
        UserError: the one set can be guessed.
    """
    if settings.ACCESS_TOKEN:
        check_secret(
            "ACCESS_TOKEN", settings.ACCESS_TOKEN, "Leave it empty: a good one is then made where it is needed."
        )
        return settings.ACCESS_TOKEN
    return hmac.digest(secret_key.encode(), b"access token", "sha256").hex() if asked else ""


def install(app: Flask, token: str) -> None:
    """Ask every request for the token, before its route or its body is looked at."""

    @app.before_request
    def check() -> AnyResponse | None:
        if request.endpoint in _OPEN:
            return None
        given = _sent()
        if given is None:
            return None if _same(str(session.get("access", "")), _mark(token)) else _refusal()
        if not _same(given, token):
            return _refusal(wrong=True)
        if "token" in request.args and request.method == "GET":
            return _remember(token)
        return None


def _sent() -> str | None:
    """The token that came with the request, if one did."""
    sent = request.authorization
    if sent is not None and sent.type == "bearer":
        return sent.token or ""
    return request.args.get("token")


def _remember(token: str) -> AnyResponse | None:
    """Keep in the cookie that the token was sent; a browser goes on to the same address without it, so that it is not
    seen, kept as a bookmark or handed on with it."""
    session["access"] = _mark(token)
    session.permanent = True
    if errors.wanted_kind() != "html":
        return None
    rest = urlencode([(name, value) for name, value in request.args.items(multi=True) if name != "token"])
    path = quote(request.path.lstrip("/\\"))  # two slashes would be the name of another site
    path = f"{request.root_path}/{path}"
    return redirect(f"{path}?{rest}" if rest else path, 303)


def _refusal(wrong: bool = False) -> Response:
    problem = UserError(
        ("This is not the access token of this server. " if wrong else "This server asks for its access token. ")
        + "Open the link with the token that it printed when it was started; programs send the token in the header "
        "“Authorization: Bearer TOKEN”.",
        code="no_access",
    )
    page = render_template("access.html", wrong=wrong) if errors.wanted_kind() == "html" else None
    answer = errors.error_response(problem, page=page)
    answer.headers["WWW-Authenticate"] = 'Bearer realm="Speedup Lab"'
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _same(one: str, other: str) -> bool:
    return secrets.compare_digest(one.encode("utf-8", "replace"), other.encode())


def _mark(token: str) -> str:
    """What the cookie says, of which the token cannot be made."""
    return hashlib.sha256(token.encode()).hexdigest()


# ---------------------------------------------------------------- where the app is reached


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens on this address or name."""
    try:
        # No host stands for all addresses, to listen on.
        found = {str(info[4][0]) for info in socket.getaddrinfo(host or "0.0.0.0", None)}  # noqa: S104  a question
    except (OSError, UnicodeError):
        return False
    return all(ipaddress.ip_address(address.partition("%")[0]).is_loopback for address in found)


def is_asked(settings: Settings, listening: socket.socket, *, token: bool) -> bool:
    """Whether what listens here is to ask for the token; ``token`` False: it is not wanted.

    Raises:
        UserError: it is not wanted, and set.
    """
    if settings.ACCESS_TOKEN and not token:
        raise UserError("ACCESS_TOKEN is set, and --no-token asks for none: leave out one of them.", field="no_token")
    return token and (bool(settings.PUBLIC_URL) or not is_only_here(listening))


def told(listening: socket.socket, token: str, public: PublicUrl) -> list[str]:
    """What whoever starts the app is told of where it is and who gets in, a line each."""
    host, port = listening.getsockname()[:2]
    shown = f"{public.url}/{_query(token)}" if public.url else link(host, port, token)
    lines = [f"Speedup Lab is at {shown} (Ctrl-C ends it)"]
    if public.url:
        lines.append(f"The proxy reaches it at {link(host, port)}")
    if token:
        lines.append(
            "Who has this link can start runs on this machine, and see those that are public or whose link they have; "
            "programs send its token as “Authorization: Bearer TOKEN”."
        )
    elif public.url or not is_only_here(listening):
        lines.append(
            "No access token is asked for: whoever reaches it can start runs on this machine, and see those "
            "that are public or whose link they have."
        )
    if not (public.secure or is_only_here(listening)):
        lines.append("What is sent can be read on the way: put a proxy with TLS in front where that matters.")
    return lines


def is_only_here(listening: socket.socket) -> bool:
    """Whether only this machine reaches what listens there."""
    return is_loopback(listening.getsockname()[0])


def link(host: str, port: int, token: str = "") -> str:
    """The address to open for what listens there, with the token in it. Where it listens on all of the machine's
    addresses, one of them."""
    if host in _ALL:
        host = next(_own_addresses(":" in host))
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}/{_query(token)}"


def _query(token: str) -> str:
    return f"?{urlencode({'token': token})}" if token else ""


def _own_addresses(six: bool) -> Iterator[str]:
    """This machine's addresses, of one family, those on the way out first."""
    family = socket.AF_INET6 if six else socket.AF_INET
    with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:  # there may be no way out
        probe.connect((_FAR[family], 9))
        yield probe.getsockname()[0]
    for known in (known for card in psutil.net_if_addrs().values() for known in card if known.family == family):
        named = ipaddress.ip_address(known.address.partition("%")[0])
        if not named.is_loopback and not named.is_link_local:
            yield known.address
    yield "::1" if six else "127.0.0.1"
