"""Serving with waitress: the port, the limits, and a clean end."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import tempfile
from typing import Any

import waitress
from flask import Flask

from imgproc.errors import UserError
from imgproc.settings import Settings
from imgproc.web.app import create_app

THREADS = 16


def serve(host: str = "127.0.0.1", port: int = 5000) -> int:
    """Serve the app with its runner until SIGTERM or Ctrl-C; returns the exit status. The URL is printed once the
    port is really ours."""
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")
    try:
        settings = Settings.from_environment()
        listening = listen(host, port)
    except UserError as problem:
        print(problem.message, file=sys.stderr)
        return 1
    app = create_app(settings, supervise=True)  # while temporary files are still where other processes have theirs
    # Uploads are spooled beside where they end, so that one disk has the room or has it not.
    spool = settings.UPLOADS_DIR / ".spool"
    spool.mkdir(parents=True, exist_ok=True)
    tempfile.tempdir = str(spool)
    server = wsgi_server(app, listening)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    shown = f"[{host}]" if ":" in host else host
    print(f"Speedup Lab is at http://{shown}:{listening.getsockname()[1]}/ (Ctrl-C ends it)", flush=True)
    server.run()
    server.close()
    return 0


def wsgi_server(app: Flask, listening: socket.socket) -> Any:
    """A waitress server on a bound socket; its ``run`` serves until the process is told to end."""
    settings: Settings = app.config["SETTINGS"]
    return waitress.create_server(
        app,
        sockets=[listening],
        threads=THREADS,
        ident=None,
        clear_untrusted_proxy_headers=True,
        # Larger than our own limit, so that our own page says so; a body is spooled before the app sees it.
        max_request_body_size=settings.MAX_UPLOAD_MB * 1_100_000 + 10_000_000,
        channel_request_lookahead=1,  # needed to notice that a waiting client went away
    )


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
