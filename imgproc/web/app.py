"""The web app: its parts put together. Its addresses are in ``routes``; the work is done by the runner's process."""

from __future__ import annotations

import atexit
import os
from datetime import timedelta

import click
from flask import Flask
from flask.helpers import get_debug_flag
from flask_bootstrap import Bootstrap5

from imgproc.errors import UserError
from imgproc.installation import PAGES
from imgproc.numbers import FILTERS
from imgproc.report import sentences
from imgproc.runs.plugins import add_listed
from imgproc.runs.reserve import Reserve
from imgproc.runs.store import Store
from imgproc.runs.supervisor import Supervisor
from imgproc.runs.vetting import Vetting
from imgproc.settings import Settings
from imgproc.web import access_token, assets, compressed, errors, metrics, pages, receiving, security
from imgproc.web.admission import Admission
from imgproc.web.health import Health
from imgproc.web.preview import Previews
from imgproc.web.public_url import public_url
from imgproc.web.routes import ROUTES


def create_app(
    settings: Settings | None = None, *, supervise: bool = False, ask_token: bool = False, only_here: bool = False
) -> Flask:
    """The app. With ``supervise`` it starts the runner and ends it at exit; so it does under ``flask run``. With
    ``ask_token`` every request needs the access token, which then is in its ``config`` as ACCESS_TOKEN; so it does
    where the setting ACCESS_TOKEN is set, and where ``flask run`` listens beyond this machine. With ``only_here``
    it refuses requests for other addresses than those of loopback; so it does where ``flask run`` listens there.

    Raises:
        UserError: a setting cannot be used; under ``flask run`` what that shows in words.
    """
    try:
        under_flask = _flask_run_is_open()
        app = _create_app(
            settings or Settings.from_environment(), ask_token or under_flask is True, only_here or under_flask is False
        )
        if supervise or _under_flask_run():
            supervisor = Supervisor(app.config["SETTINGS"])
            supervisor.start()
            atexit.register(supervisor.stop)
            _recover(app.config["VETTING"], app.config["STORE"])
        if (context := _flask_run()) and _under_flask_run() and app.config["ACCESS_TOKEN"]:
            host, port = context.params["host"], context.params["port"]
            click.echo(f"Access needs a token: {access_token.link(host, port, app.config['ACCESS_TOKEN'])}")
        return app
    except UserError as problem:
        if _flask_run():
            raise click.ClickException(problem.message) from None
        raise


def _recover(vetting: Vetting, store: Store) -> None:
    """Take up the files that were being checked. On a full disk the index can be opened in the room that is kept back,
    so that people can delete runs."""
    try:
        vetting.recover()
    except UserError as problem:
        if problem.code != "disk_full":
            raise
        Reserve(store.folders).release()
        vetting.recover()


def _create_app(settings: Settings, ask_token: bool, only_here: bool) -> Flask:
    public = public_url(settings)
    settings.make_folders()
    secret_key = security.secret_key(settings)
    token = access_token.token_of(settings, secret_key, asked=ask_token)
    add_listed(settings.OWN_OPERATIONS)
    store = Store(settings.database_url, settings.RESULTS_DIR)
    app = Flask(__name__, root_path=str(PAGES))
    app.config.update(
        SECRET_KEY=secret_key,
        ACCESS_TOKEN=token,
        SESSION_COOKIE_NAME="speedup_lab",
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_PATH=public.prefix or "/",
        SESSION_COOKIE_SECURE=public.secure,
        PERMANENT_SESSION_LIFETIME=timedelta(days=365),
        MAX_CONTENT_LENGTH=receiving.MOST_FIELDS_BYTES,  # /process and /preview set their own
        BOOTSTRAP_SERVE_LOCAL=True,
        SETTINGS=settings,
        STORE=store,
        ADMISSION=Admission(store),
        HEALTH=Health(settings, store),
        PREVIEWS=Previews(settings, store),
        VETTING=Vetting(settings, store),
    )
    app.jinja_env.filters.update(FILTERS, spoken=sentences.spoken)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.context_processor(lambda: {"machine": pages.machine, "is_owner": security.is_owner})
    Bootstrap5(app)
    assets.install(app)
    metrics.install(app)
    compressed.install(app)
    errors.install(app)
    security.install(app, settings, only_here=only_here)
    if token:
        access_token.install(app, token)
    receiving.install(app)
    for rule, methods, view in ROUTES:
        app.add_url_rule(rule, view.__name__, view, methods=methods)
    return app


def _flask_run() -> click.Context | None:
    """What ``flask run`` was called with, if this is under it: not ``flask shell``."""
    context = click.get_current_context(silent=True)
    if context is None or context.info_name != "run" or not os.environ.get("FLASK_RUN_FROM_CLI"):
        return None
    return context


def _flask_run_is_open() -> bool | None:
    """Whether ``flask run`` listens on an address that others than this machine reach; None: this is not under it."""
    context = _flask_run()
    return None if context is None else not access_token.is_loopback(str(context.params.get("host") or "127.0.0.1"))


def _under_flask_run() -> bool:
    """Whether this process is the one that serves under ``flask run``: not a reloader's parent."""
    context = _flask_run()
    if context is None:
        return False
    reloads = context.params.get("reload")
    reloads = get_debug_flag() if reloads is None else reloads
    return not reloads or os.environ.get("WERKZEUG_RUN_MAIN") == "true"
