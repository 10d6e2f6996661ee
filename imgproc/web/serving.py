"""Serving: the port, the threads, and a clean end."""

from __future__ import annotations

import errno
import os
import signal
import socket
import sys
import tempfile
import threading
from contextlib import suppress
from functools import partial

from flask import Flask

from imgproc.errors import UserError
from imgproc.runs import logs
from imgproc.settings import Settings
from imgproc.web import access_token, pages
from imgproc.web.app import create_app
from imgproc.web.front import PIECES, Limits, Server
from imgproc.web.public_url import public_url
from imgproc.web.receiving import look

#: Threads by kind of request. Those that wait for a run, for files or for a preview are posts; at most 20 do
#: (``waiting.py``, ``preview.py``), so that some are always left. Monitors ask for the app's health when all others
#: are busy, so they have one of their own.
LANES = {"pages": 12, "posts": 28, PIECES: 3, "health": 1}


def serve(host: str = "127.0.0.1", port: int = 5000, *, token: bool = True) -> int:
    """Serve the app with its runner until SIGTERM or Ctrl-C; returns the exit status. The URL is printed once the
    port is really ours. Where others than this machine reach it, by a proxy too, it asks for an access token, unless
    ``token`` is False."""
    try:
        settings = Settings.from_environment()
        logs.set_up(settings.LOG_FORMAT, style="%(levelname)s %(name)s: %(message)s")
        listening = listen(host, port)
        # While temporary files are still where other processes have theirs.
        ask_token = access_token.is_asked(settings, listening, token=token)
        only_here = access_token.is_only_here(listening)
        app = create_app(settings, supervise=True, ask_token=ask_token, only_here=only_here)
    except UserError as problem:
        print(problem.message, file=sys.stderr)
        return 1
    except OSError as problem:  # its key, and folders
        if problem.errno != errno.ENOSPC:
            raise
        print("The disk is full. Free some space, then try again.", file=sys.stderr)
        return 1
    # Uploads are spooled beside where they end, so that one disk has the room or has it not.
    spool = settings.UPLOADS_DIR / ".spool"
    spool.mkdir(parents=True, exist_ok=True)
    tempfile.tempdir = str(spool)
    _allow_files()
    # The thread that all connections wait for asks for its turn at every one of them; with Python's 5 ms it waits long.
    sys.setswitchinterval(0.001)
    server = wsgi_server(app, listening)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    for line in access_token.told(listening, app.config["ACCESS_TOKEN"], public_url(settings)):
        print(line, flush=True)
    print(f"Uploads are kept in {settings.UPLOADS_DIR}, results in {settings.RESULTS_DIR}.", flush=True)
    threading.Thread(target=warm_up, args=[app], name="warm-up", daemon=True).start()
    server.run()
    server.close()
    return 0


def warm_up(app: Flask) -> None:
    """Do beforehand what the first of each page would be waited for, which takes long while the cores are busy: find
    out about the machine, and compile the templates."""
    pages.machine()
    first = ["base.html", "index.html", "runs.html", "run_live.html", "run.html"]
    others = app.jinja_env.list_templates(filter_func=lambda name: "/" not in name)
    for name in dict.fromkeys([*first, *others]):
        app.jinja_env.get_template(name)


def wsgi_server(app: Flask, listening: socket.socket, limits: Limits | None = None) -> Server:
    """The app's server on a bound socket; its ``run`` serves until the process is told to end."""
    public = public_url(app.config["SETTINGS"])
    return Server(
        app, listening, look=partial(look, app), lanes=LANES, lane=_lane, limits=limits,
        prefix=public.prefix, secure=public.secure,
    )  # fmt: skip


def _lane(method: str, path: str) -> str:
    if method.upper() == "POST":
        return "posts"
    if path == "/healthz":
        return "health"
    return PIECES if path.endswith("/results.zip") else "pages"


def _allow_files() -> None:
    """Each connection takes a file descriptor, and an upload one more; some systems give a process 256 at first."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = 4096 if hard == resource.RLIM_INFINITY else min(hard, 4096)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def listen(host: str, port: int) -> socket.socket:
    """A bound socket.

    Raises:
        UserError: the port is taken or the host is none of this machine's.
    """
    if not 0 <= port <= 65_535:  # the system would take the rest of its division
        raise UserError(f"The port must be from 0 to 65535, not {port}.", field="port", limit=65_535)
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError):
        raise UserError(f"There is no host {host} to listen on.", field="host") from None
    listening = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":  # elsewhere this option would let two servers share a port
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        # Two sockets may be bound to a port with this option, but only one of them may listen.
        listening.listen(1024)
    except (OSError, OverflowError):
        listening.close()
        raise UserError(
            f"Port {port} on {host} cannot be used: another program has it, or it is not allowed. "
            f"Choose another one, for example --port {port + 1 if port < 65_535 else 5000}.",
            field="port",
        ) from None
    return listening
