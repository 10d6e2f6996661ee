"""What each address of the app answers. What it shows and takes is worked out elsewhere in this package."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from flask import (
    Response,
    current_app,
    jsonify,
    make_response,
    redirect,
    render_template,
    request,
    send_from_directory,
    stream_with_context,
    url_for,
)
from werkzeug.wrappers import Response as AnyResponse

from imgproc.errors import UserError
from imgproc.report import charts as figures
from imgproc.report import sentences
from imgproc.report.text import summary
from imgproc.runs.archive import rounds_csv, stream_zip, zip_size
from imgproc.runs.record import FINAL_STATES, Record
from imgproc.runs.store import RunRow, Store
from imgproc.settings import Settings
from imgproc.web import errors, form, pages, security, waiting
from imgproc.web import history as lists
from imgproc.web.preview import Trying
from imgproc.web.submit import NoneGood, Submission

#: The status of a plain-text answer that waited for its run.
_RUN_STATUS = {"done": 200, "failed": 500, "cancelled": 409, "interrupted": 503}
Run = tuple[RunRow, Record]


def _settings() -> Settings:
    settings: Settings = current_app.config["SETTINGS"]
    return settings


def _store() -> Store:
    store: Store = current_app.config["STORE"]
    return store


# ---------------------------------------------------------------- pages


def index() -> str:
    return render_template("index.html", **form.form(_settings(), request.args))


def process() -> AnyResponse:
    submission = Submission(_settings(), _store())
    try:
        record = submission.accept(request, security.owner())
    except NoneGood as problem:
        refused = [{"name": image.name, "error": image.error} for image in problem.images]
        back = url_for("index") + "?" + form.query(submission.fields)
        page = _page_for_browsers("refused.html", images=problem.images, back=back, settings=_settings())
        return errors.error_response(problem, page=page, extra={"files": refused})
    except UserError as problem:
        context = form.form(_settings(), submission.fields, problem)
        return errors.error_response(problem, page=_page_for_browsers("index.html", **context))
    return _accepted(record)


def preview() -> AnyResponse:
    """The operations on one image, small. For JSON the image is kept, so that the next request need not send it."""
    trying = Trying(_settings(), current_app.config["PREVIEWS"], security.owner())
    kind = errors.wanted_kind()
    try:
        made = trying.make(request, keep=kind == "json")
    except UserError as problem:
        extra = {"token": trying.token} if trying.token else None
        page = _page_for_browsers("preview.html", problem=problem)
        return errors.error_response(problem, page=page, extra=extra)
    if kind == "json":
        return jsonify(**asdict(made), token=trying.token)
    if kind == "html":
        return make_response(render_template("preview.html", preview=made))
    lines = [f"{made.name}: {made.size}", *made.notes, *(picture.said for picture in made.pictures if picture.said)]
    return Response("\n".join(lines) + "\n", mimetype="text/plain")


def _page_for_browsers(template: str, **context: Any) -> str | None:
    return render_template(template, **context) if errors.wanted_kind() == "html" else None


def _accepted(record: Record) -> AnyResponse:
    """The answer to a run that was queued: go and see, here it is, or the summary when it is done."""
    url, kind = url_for("run_page", run_id=record.id), errors.wanted_kind()
    if kind == "html":
        return redirect(url, 303)
    if kind == "json":
        answer = jsonify(id=record.id, url=url, state="queued")
        answer.status_code, answer.headers["Location"] = 202, url
        return answer
    row = waiting.until_final(_store(), record.id)
    if row is None:
        text = f"Queued: the summary will be at {url}.txt\n"
        return Response(text, 202, {"Location": url}, mimetype="text/plain")
    return Response(summary(_run(row.id)[1]), _RUN_STATUS[row.state], mimetype="text/plain")


def _row(run_id: str) -> RunRow:
    """Raises: UserError: there is no such run."""
    row = _store().get(run_id)
    if row is None:
        message = f"There is no run {run_id}. It may have been deleted."
        raise UserError(message, code="not_found", field="run", limit=run_id)
    return row


def _run(run_id: str) -> Run:
    """Raises: UserError: there is no such run, or its record cannot be read."""
    row = _row(run_id)
    record = Record.load(_settings().RESULTS_DIR / row.id)
    if record.state not in FINAL_STATES or row.state == "failed":
        # The index knows first that a run began, and alone that its record could not be written.
        record.state, record.error = row.state, record.error or row.error
    return row, record


def run_page(run_id: str) -> str:
    row, record = _run(run_id)
    if record.state not in FINAL_STATES:
        context: dict[str, Any] = {"live": pages.live(row, _store().position(run_id)), "title": sentences.doing(record)}
        context["pictures"] = [i for i in record.good_images if i.preview][: pages.LIVE_PICTURES]
        context["refused"] = [image for image in record.images if image.error]
        return render_template("run_live.html", run=record, **context)
    context = pages.done(record, _settings().RESULTS_DIR / run_id, request.args)
    if record.mode != "sequential":
        context["figures"] = figures.figures(record)
    return render_template("run.html", run=record, row=row, **context)


def run_json(run_id: str) -> AnyResponse:
    if request.args.get("view") == "progress":
        row = _row(run_id)
        live = pages.live(row, _store().position(run_id) if row.state == "queued" else 0)
        return jsonify({**live, "grid": render_template("_rounds.html", grid=live.get("grid"))})
    row, record = _run(run_id)
    if record.state in FINAL_STATES:
        return send_from_directory(_settings().RESULTS_DIR / run_id, "run.json", mimetype="application/json", max_age=0)
    return jsonify({**record.to_dict(), "progress": row.progress, "position": _store().position(run_id)})


def run_text(run_id: str) -> Response:
    return Response(summary(_run(run_id)[1]), mimetype="text/plain")


def history() -> str:
    return render_template("runs.html", **lists.history(_store(), request.args))


def techniques() -> str:
    return render_template("techniques.html", **lists.techniques(_store()))


def healthz() -> AnyResponse:
    return jsonify(status="ok", queued=_store().queued())


# ---------------------------------------------------------------- downloads


def results_zip(run_id: str) -> Response:
    _, record = _run(run_id)
    folder = _settings().RESULTS_DIR / run_id / "images"
    made = [output.file for image in record.good_images for output in image.outputs]
    files = [(name, folder / name) for name in made if (folder / name).is_file()]
    if not files:
        raise UserError("This run has no results to download.", code="not_found")
    name = f"speedup-lab-{run_id}.zip"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Content-Length": str(zip_size(files))}
    return Response(stream_with_context(stream_zip(files)), headers=headers, mimetype="application/zip")


def run_image(run_id: str, file: str) -> Response:
    return _file(run_id, "images", file)


def run_preview(run_id: str, file: str) -> Response:
    return _file(run_id, "previews", file)


def _file(run_id: str, folder: str, file: str) -> Response:
    if _store().get(run_id) is None or file.endswith(".part"):
        raise UserError("There is no such file in this run.", code="not_found")
    answer = send_from_directory(
        _settings().RESULTS_DIR / run_id / folder, file, as_attachment="download" in request.args, max_age=3600
    )
    # Opened by itself, a picture may do nothing but be seen.
    answer.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    if not (answer.mimetype or "").startswith("image/"):
        answer.mimetype = "application/octet-stream"
    return answer


def rounds(run_id: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="speedup-lab-{run_id}-rounds.csv"'}
    return Response(rounds_csv(_run(run_id)[1]), headers=headers, mimetype="text/csv")


def run_figure(run_id: str, name: str, format: str) -> Response:
    """A figure; ``theme`` is light or dark, ``narrow=1`` the one for small screens."""
    _, record = _run(run_id)
    if format not in figures.FORMATS:
        raise UserError("This run has no such figure.", code="not_found")
    theme, narrow = request.args.get("theme", "light"), request.args.get("narrow", "0")
    if narrow not in ("0", "1"):
        raise UserError(f"The field narrow of a figure is 0 or 1, not “{narrow}”.", field="narrow")
    data = figures.kept(record, _settings().RESULTS_DIR / run_id, name, format, theme, narrow == "1")
    answer = Response(data, mimetype=figures.FORMATS[format])
    answer.cache_control.max_age = 3600
    # Its own styles are inside the SVG, for whoever opens it by itself.
    answer.headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
    if "download" in request.args:
        answer.headers["Content-Disposition"] = f'attachment; filename="speedup-lab-{run_id}-{name}.{format}"'
    return answer


# ---------------------------------------------------------------- what the owner may do


def cancel(run_id: str) -> AnyResponse:
    row = _owned(run_id)
    if not _store().request_cancel(run_id) and row.state not in FINAL_STATES:
        raise UserError("This run ended at this moment, so it was not cancelled.", code="conflict")
    return _see(url_for("run_page", run_id=run_id), id=run_id, state=(_store().get(run_id) or row).state)


def again(run_id: str) -> AnyResponse:
    _owned(run_id)
    _, record = _run(run_id)
    return _accepted(Submission(_settings(), _store()).repeat(record, security.owner()))


def delete(run_id: str) -> AnyResponse:
    _owned(run_id)
    if not _store().delete(run_id):
        raise UserError("This run is being measured. Cancel it first, then delete it.", code="conflict")
    for folder in (_settings().RESULTS_DIR / run_id, _settings().UPLOADS_DIR / run_id):
        shutil.rmtree(folder, ignore_errors=True)
    return _see(url_for("history"), id=run_id, state="deleted")


def _owned(run_id: str) -> RunRow:
    """Raises: UserError: there is no such run, or it is somebody else's."""
    row = _row(run_id)
    security.require_owner(row.owner)
    return row


def _see(url: str, **facts: str) -> AnyResponse:
    kind = errors.wanted_kind()
    if kind == "html":
        return redirect(url, 303)
    if kind == "json":
        return jsonify(**facts, url=url)
    return Response(f"{facts['id']}: {facts['state']}\n", mimetype="text/plain")


_GET, _POST = ["GET"], ["POST"]
_RUN = "/runs/<run_id>"
ROUTES: list[tuple[str, list[str], Callable[..., Any]]] = [
    ("/", _GET, index),
    ("/process", _POST, process),
    ("/preview", _POST, preview),
    ("/runs", _GET, history),
    (_RUN, _GET, run_page),
    (f"{_RUN}.json", _GET, run_json),
    (f"{_RUN}.txt", _GET, run_text),
    (f"{_RUN}/results.zip", _GET, results_zip),
    (f"{_RUN}/rounds.csv", _GET, rounds),
    (f"{_RUN}/images/<file>", _GET, run_image),
    (f"{_RUN}/previews/<file>", _GET, run_preview),
    (f"{_RUN}/figures/<name>.<format>", _GET, run_figure),
    (f"{_RUN}/cancel", _POST, cancel),
    (f"{_RUN}/again", _POST, again),
    (f"{_RUN}/delete", _POST, delete),
    ("/techniques", _GET, techniques),
    ("/healthz", _GET, healthz),
]
