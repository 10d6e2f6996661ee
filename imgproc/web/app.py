"""The web app: its parts put together. Its addresses are in ``routes``; the work is done by the runner's process."""

from __future__ import annotations

import atexit
import os
from datetime import timedelta

import click
from flask import Flask
from flask.helpers import get_debug_flag
from flask_bootstrap import Bootstrap5

from imgproc.numbers import FILTERS
from imgproc.report import sentences
from imgproc.runs.store import Store
from imgproc.runs.supervisor import Supervisor
from imgproc.settings import PROJECT, Settings
from imgproc.web import errors, pages, security
from imgproc.web.preview import Previews
from imgproc.web.routes import ROUTES


def create_app(settings: Settings | None = None, *, supervise: bool = False) -> Flask:
    """The app. With ``supervise`` it starts the runner and ends it at exit; so it does under ``flask run``."""
    settings = settings or Settings.from_environment()
    for folder in (settings.UPLOADS_DIR, settings.RESULTS_DIR):
        folder.mkdir(parents=True, exist_ok=True)
    store = Store(settings.database_url, settings.RESULTS_DIR)
    app = Flask(__name__, root_path=str(PROJECT))  # where templates and static files are
    app.config.update(
        SECRET_KEY=security.secret_key(settings),
        SESSION_COOKIE_NAME="speedup_lab",
        SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=timedelta(days=365),
        MAX_CONTENT_LENGTH=64_000,  # /process and /preview set their own
        BOOTSTRAP_SERVE_LOCAL=True,
        SETTINGS=settings,
        STORE=store,
        PREVIEWS=Previews(settings, store),
    )
    app.jinja_env.filters.update(FILTERS, spoken=sentences.spoken)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.context_processor(lambda: {"machine": pages.machine, "is_owner": security.is_owner})
    Bootstrap5(app)
    errors.install(app)
    security.install(app, settings)
    for rule, methods, view in ROUTES:
        app.add_url_rule(rule, view.__name__, view, methods=methods)
    if supervise or _under_flask_run():
        supervisor = Supervisor(settings)
        supervisor.start()
        atexit.register(supervisor.stop)
    return app


def _under_flask_run() -> bool:
    """Whether this process is the one that serves under ``flask run``: not a reloader's parent, not ``flask shell``."""
    context = click.get_current_context(silent=True)
    if context is None or context.info_name != "run" or not os.environ.get("FLASK_RUN_FROM_CLI"):
        return False
    reloads = context.params.get("reload")
    reloads = get_debug_flag() if reloads is None else reloads
    return not reloads or os.environ.get("WERKZEUG_RUN_MAIN") == "true"
