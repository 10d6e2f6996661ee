"""What each address of the app answers. What it shows and takes is worked out elsewhere in this package."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, suppress
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
    url_for,
)
from werkzeug.wrappers import Response as AnyResponse

from imgproc.errors import UserError
from imgproc.exhibits import EXHIBITS, exhibit
from imgproc.numbers import counted
from imgproc.report import charts as figures
from imgproc.report import differences, document, notebook
from imgproc.report.parcel import parcel
from imgproc.report.text import summary
from imgproc.report.traces import TRACES, has_trace, trace_text
from imgproc.runs.archive import PreparedZip, rounds_csv
from imgproc.runs.notes import Notes
from imgproc.runs.record import FINAL_STATES, Record
from imgproc.runs.removal import in_use
from imgproc.runs.store import RunRow, Visitor
from imgproc.runs.vetting import NoneGood
from imgproc.web import (
    classes,
    communication,
    comparing,
    errors,
    exhibits,
    form,
    metrics,
    pages,
    repeating,
    security,
    waiting,
    whatif,
)
from imgproc.web import history as lists
from imgproc.web.deeds import accepted as _accepted
from imgproc.web.deeds import again, annotate, cancel, delete, delete_many, measure_on, none_good, post_to_class, share
from imgproc.web.deeds import see as _see
from imgproc.web.lookup import owned as _owned
from imgproc.web.lookup import row as _row
from imgproc.web.lookup import run as _run
from imgproc.web.lookup import settings as _settings
from imgproc.web.lookup import store as _store
from imgproc.web.lookup import submission, vetting
from imgproc.web.preview import Trying
from imgproc.web.shared import Shared

_ZIPS: Shared[PreparedZip] = Shared()

# ---------------------------------------------------------------- pages


def index() -> str:
    return render_template("index.html", **_form(request.args))


def _form(fields: form.Fields, problem: UserError | None = None) -> dict[str, Any]:
    shown = {**form.form(_settings(), fields, problem), "kept": repeating.kept(fields, submission()), "typed": None}
    with suppress(UserError):  # the page says at its field what is wrong, or fills the form with what can be used
        shown["typed"] = repeating.typed_form(fields, _settings())
    return shown


def typed() -> Response:
    """The settings of a form, its fields in the address, as a link, a command and a request to copy."""
    return jsonify(**asdict(repeating.typed_form(request.args, _settings())))


def process() -> AnyResponse:
    posted = submission()
    try:
        record = posted.accept(request, security.owner())
    except NoneGood as problem:
        back = url_for("index") + "?" + form.query(posted.fields)
        return none_good(
            problem, _page_for_browsers("refused.html", images=problem.images, back=back, settings=_settings())
        )
    except UserError as problem:
        page = _page_for_browsers("index.html", **_form(posted.fields, problem))
        return errors.error_response(problem, page=page)
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


def run_page(run_id: str) -> str:
    row, record = _run(run_id)
    seen = {"row": row, "mine": security.is_owner(row.owner)}
    if record.state not in FINAL_STATES:
        context = pages.going_on(record, _settings().RESULTS_DIR / run_id, request.args, _live(row))
        return render_template("run_live.html", run=record, **seen, **context)
    context = pages.done(record, _settings().RESULTS_DIR / run_id, request.args)
    context["until"] = pages.kept(_settings(), row.finished or row.created)
    if record.mode != "sequential":
        context["figures"] = figures.figures(record)
    context["repeat"] = repeating.repeat(record, submission(), mine=bool(seen["mine"]))
    context["longer"] = repeating.longer(record, submission()) if seen["mine"] else ""
    context["before"] = _before(record)
    return render_template("run.html", run=record, **seen, **context)


def _before(record: Record) -> str:
    """The id of the run that this one measures on, where its page may be seen here; empty for others."""
    try:
        return _row(record.measures_on).id if record.measures_on else ""
    except UserError:
        return ""


def run_json(run_id: str) -> AnyResponse:
    if request.args.get("view") == "progress":
        live = _live(_row(run_id))
        owners = live.get("owners")
        shown = {"grid": render_template("_rounds.html", grid=live.get("grid"))}
        shown["owners"] = render_template("_live_owners.html", owners=owners)
        return jsonify({**live, **shown, "owned": owners.images if owners else {}})
    row, record = _run(run_id)
    if record.state in FINAL_STATES:
        return send_from_directory(_settings().RESULTS_DIR / run_id, "run.json", mimetype="application/json", max_age=0)
    if _store().is_full():
        record.error = pages.DISK_FULL
    return jsonify({**record.to_dict(), "progress": row.progress, "position": _store().position(run_id)})


def _live(row: RunRow) -> dict[str, Any]:
    position = _store().position(row.id) if row.state == "queued" else 0
    return pages.live(row, position, vetting().progress(row.id), full=_store().is_full())


def run_text(run_id: str) -> Response:
    return Response(summary(_run(run_id)[1]), mimetype="text/plain")


def report(run_id: str) -> Response:
    """The run as one file that needs nothing else; shown here, it has a bar to print and download it."""
    _, record = _run(run_id)
    folder, shown = _settings().RESULTS_DIR / run_id, "download" not in request.args
    back, ipynb = (url_for(page, run_id=run_id) for page in ("run_page", "report_notebook"))
    links = {"back": back, "notebook": ipynb, "script": url_for("static", filename="report.js")}
    answer = Response(document.document(record, folder, **(links if shown else {})), mimetype="text/html")
    answer.headers["Content-Security-Policy"] = security.policy_with_style(document.style_hash())
    if not shown:
        answer.headers["Content-Disposition"] = f'attachment; filename="speedup-lab-{run_id}.html"'
    return answer


def report_notebook(run_id: str) -> Response:
    """The report as a Jupyter notebook that computes it again."""
    _, record = _run(run_id)
    made = notebook.notebook(record, Notes.load(_settings().RESULTS_DIR / run_id))
    headers = {"Content-Disposition": f'attachment; filename="speedup-lab-{run_id}.ipynb"'}
    return Response(made, headers=headers, mimetype="application/x-ipynb+json")


def what_if(run_id: str) -> AnyResponse:
    """What a law of scaling would say of more workers, for a serial share that is chosen."""
    row, record = _run(run_id)
    head = {"run": record, "row": row}
    try:
        asked = whatif.asked(record, request.args)
    except UserError as problem:
        if not problem.field:
            raise
        page = _page_for_browsers("what_if.html", **head, **whatif.form(record, request.args), problem=problem)
        return errors.error_response(problem, page=page)
    kind = errors.wanted_kind()
    if kind == "json":
        return jsonify(whatif.as_dict(asked))
    if kind == "text":
        return Response(whatif.text(asked), mimetype="text/plain")
    return make_response(render_template("what_if.html", **head, **whatif.page(record, asked, request.args)))


def what_if_figure(run_id: str, format: str) -> Response:
    """The law over the points; what is asked as for the page, ``theme`` and ``narrow`` as of a run's figures."""
    _, record = _run(run_id)
    data = whatif.drawing(record, request.args, _settings().RESULTS_DIR, format, *_look())
    return _figure(data, f"{run_id}-what-if", format)


def compare_runs() -> AnyResponse:
    """Runs side by side: of the history by their ids, and records that are posted, which are not kept."""
    try:
        shown = comparing.page(request, lambda run_id: _run(run_id)[1])
    except UserError as problem:
        page = _page_for_browsers("compare.html", problem=problem, **comparing.NOTHING)
        return errors.error_response(problem, page=page)
    if errors.wanted_kind() != "html" and shown["found"]:
        return Response(differences.text(shown["found"]), mimetype="text/plain")
    return make_response(render_template("compare.html", **shown))


def history() -> str:
    return render_template(
        "runs.html",
        **lists.history(_store(), request.args, _visitor(), _settings().RESULTS_DIR),
        until=pages.kept(_settings()),
    )


def history_csv() -> Response:
    headers = {"Content-Disposition": 'attachment; filename="speedup-lab-runs.csv"'}
    return Response(lists.as_csv(_store(), request.args, _visitor()), headers=headers, mimetype="text/csv")


def _visitor() -> Visitor:
    return Visitor(security.known_owner(), _settings().HISTORY == "shared")


def techniques() -> str:
    found = communication.page(_settings().cache_dir)
    return render_template("techniques.html", **lists.techniques(_store(), _visitor()), communication=found)


def communication_figure(format: str) -> Response:
    """What handing data over takes here; ``of`` is when that was measured, for browsers that keep it."""
    data = communication.drawing(_settings().cache_dir, _settings().RESULTS_DIR, format, *_look())
    return _figure(data, "communication", format)


def healthz() -> AnyResponse | tuple[AnyResponse, int]:
    """Well, unless runs wait for a runner and there is none (who serves the app otherwise than by ``serve`` must have
    it started), or the disk has no room for more."""
    report = current_app.config["HEALTH"].report()
    return jsonify(asdict(report)), 200 if report.status == "ok" else 503


def metrics_text() -> Response:
    requests = current_app.config["REQUESTS"]
    return Response(metrics.text(requests, _store(), _settings()), content_type=metrics.CONTENT_TYPE)


# ---------------------------------------------------------------- exhibits


def exhibit_list() -> str:
    """All exhibits, each as the question that it asks."""
    return render_template("exhibits.html", exhibits=EXHIBITS.values())


def exhibit_page(name: str) -> str:
    return render_template("exhibit.html", **exhibits.page(exhibit(name), _store(), _settings().RESULTS_DIR))


def measure_exhibit(name: str) -> AnyResponse:
    """Queue its runs, unless they wait or are measured already."""
    shown, url, kind = exhibit(name), url_for("exhibit_page", name=name), errors.wanted_kind()
    runs = exhibits.going_on(shown, _store())
    if not runs:
        runs = [record.id for record in submission().show(shown, request.form, security.owner())]
    if kind == "html":
        return redirect(url, 303)
    if kind == "json":
        return Response(jsonify(url=url, runs=runs).data, 202, {"Location": url}, mimetype="application/json")
    if waiting.until_final(_store(), runs[-1]) is None:
        return Response(f"Queued: the numbers will be at {url}\n", 202, {"Location": url}, mimetype="text/plain")
    return Response(exhibits.text(shown, _store(), _settings().RESULTS_DIR), mimetype="text/plain")


def cancel_exhibit(name: str) -> AnyResponse:
    """Cancel all of its runs that wait or are measured."""
    for run_id in exhibits.going_on(exhibit(name), _store()):
        _owned(run_id)
        _store().request_cancel(run_id)
    return _see(url_for("exhibit_page", name=name), id=name, state="cancelled")


def exhibit_figure(name: str, format: str) -> Response:
    """All speedups of an exhibit; ``theme`` and ``narrow`` as of a run's figures. ``of`` is what it is drawn from, for
    browsers that keep it."""
    data = exhibits.drawing(exhibit(name), _store(), _settings().RESULTS_DIR, format, *_look())
    return _figure(data, name, format)


# ---------------------------------------------------------------- classes


def class_page(name: str) -> AnyResponse:
    shown = classes.page(name)
    kind = errors.wanted_kind()
    if kind == "html":
        return make_response(render_template("class.html", **shown))
    if kind == "json":
        return jsonify(**{"class": shown["name"]}, runs=shown["table"].dicts())
    text = shown["table"].markdown() if shown["lines"] else f"Nothing was posted to class {shown['name']} yet.\n"
    return Response(text, mimetype="text/plain")


def class_post(name: str) -> AnyResponse:
    """Lines of records from elsewhere, which are sent as ``records``."""
    try:
        added = classes.bring(name, request)
    except UserError as problem:
        page = _page_for_browsers("class.html", **classes.page(name), problem=problem)
        return errors.error_response(problem, page=page)
    url, kind = url_for("class_page", name=classes.checked(name)), errors.wanted_kind()
    if kind == "html":
        return redirect(url, 303)
    if kind == "json":
        return jsonify(url=url, lines=[line.key for line in added])
    return Response(f"Posted {counted(len(added), 'record')} to {url}\n", mimetype="text/plain")


def class_withdraw(name: str) -> AnyResponse:
    """Take the line in the field ``line`` out again; only who posted it may."""
    key = classes.withdraw(name, request.form.get("line", ""))
    return _see(url_for("class_page", name=classes.checked(name)), id=key, state="withdrawn")


def class_csv(name: str) -> Response:
    shown = classes.page(name)
    headers = {"Content-Disposition": f'attachment; filename="speedup-lab-class-{shown["name"]}.csv"'}
    return Response(shown["table"].csv(), headers=headers, mimetype="text/csv")


def class_figure(name: str, format: str) -> Response:
    """The speedups of a class; ``of`` is what it is drawn from, for browsers that keep it."""
    return _figure(classes.drawing(name, format, *_look()), f"class-{classes.checked(name)}", format)


# ---------------------------------------------------------------- downloads


def results_zip(run_id: str) -> Response:
    row, folder, about = _row(run_id), _settings().RESULTS_DIR / run_id, "about" in request.args
    with ExitStack() as until_sent:
        until_sent.enter_context(in_use(folder))
        # The results of a run that is over stay as they are; what is said of it may change, by its notes.
        stays = row.state in FINAL_STATES and not about
        prepared = _ZIPS.get(run_id, lambda: _zip(run_id)) if stays else _zip(run_id, about=about)
        name = f"speedup-lab-{run_id}.zip"
        headers = {"Content-Disposition": f'attachment; filename="{name}"', "Content-Length": str(prepared.size)}
        answer = Response(prepared.pieces(), headers=headers, mimetype="application/zip")
        answer.call_on_close(until_sent.pop_all().close)
    return answer


def _zip(run_id: str, *, about: bool = False) -> PreparedZip:
    _, record = _run(run_id)
    final = record.state in FINAL_STATES
    files = parcel(record, _settings().RESULTS_DIR / run_id, about=final and about)
    if not files:
        raise UserError(f"This run has no results to download{'' if final else ' yet'}.", code="not_found")
    return PreparedZip(files)


def run_image(run_id: str, file: str) -> Response:
    return _file(run_id, "images", file)


def run_preview(run_id: str, file: str) -> Response:
    return _file(run_id, "previews", file)


def _file(run_id: str, folder: str, file: str) -> Response:
    _row(run_id)
    if file.endswith(".part"):
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


def trace(run_id: str, name: str) -> Response:
    """What every worker did, for a viewer of traces: a key of ``TRACES``."""
    _, record = _run(run_id)
    if name not in TRACES or not has_trace(record):
        raise UserError("This run has no such trace.", code="not_found")
    headers = {"Content-Disposition": f'attachment; filename="speedup-lab-{run_id}.{TRACES[name].suffix}"'}
    return Response(trace_text(record, name), headers=headers, mimetype="application/json")


def run_figure(run_id: str, name: str, format: str) -> Response:
    """A figure; ``theme`` is light or dark, ``narrow=1`` the one for small screens."""
    _, record = _run(run_id)
    if format not in figures.FORMATS:
        raise UserError("This run has no such figure.", code="not_found")
    data = figures.kept(record, _settings().RESULTS_DIR / run_id, name, format, *_look())
    return _figure(data, f"{run_id}-{name}", format)


def _look() -> tuple[str, bool]:
    """Theme of a figure, and whether it is narrow, as the address asks.

    Raises:
        UserError: ``narrow`` is neither 0 nor 1.
    """
    narrow = request.args.get("narrow", "0")
    if narrow not in ("0", "1"):
        raise UserError(f"The field narrow of a figure is 0 or 1, not “{narrow}”.", field="narrow")
    return request.args.get("theme", "light"), narrow == "1"


def _figure(data: bytes, name: str, format: str) -> Response:
    answer = Response(data, mimetype=figures.FORMATS[format])
    answer.cache_control.max_age = 3600
    # Its own styles are inside the SVG, for whoever opens it by itself.
    answer.headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
    if "download" in request.args:
        answer.headers["Content-Disposition"] = f'attachment; filename="speedup-lab-{name}.{format}"'
    return answer


_GET, _POST = ["GET"], ["POST"]
_RUN = "/runs/<run_id>"
_EXHIBIT = "/exhibits/<name>"
_CLASS = "/class/<name>"
ROUTES: list[tuple[str, list[str], Callable[..., Any]]] = [
    ("/", _GET, index),
    ("/process", _POST, process),
    ("/preview", _POST, preview),
    ("/typed.json", _GET, typed),
    ("/runs", _GET, history),
    ("/runs.csv", _GET, history_csv),
    ("/compare", _GET + _POST, compare_runs),
    ("/runs/delete", _POST, delete_many),
    (_RUN, _GET, run_page),
    (f"{_RUN}.json", _GET, run_json),
    (f"{_RUN}.txt", _GET, run_text),
    (f"{_RUN}/report", _GET, report),
    (f"{_RUN}/report.ipynb", _GET, report_notebook),
    (f"{_RUN}/what-if", _GET, what_if),
    (f"{_RUN}/what-if/figure.<format>", _GET, what_if_figure),
    (f"{_RUN}/results.zip", _GET, results_zip),
    (f"{_RUN}/rounds.csv", _GET, rounds),
    (f"{_RUN}/trace/<name>.json", _GET, trace),
    (f"{_RUN}/images/<path:file>", _GET, run_image),
    (f"{_RUN}/previews/<file>", _GET, run_preview),
    (f"{_RUN}/figures/<name>.<format>", _GET, run_figure),
    (f"{_RUN}/cancel", _POST, cancel),
    (f"{_RUN}/again", _POST, again),
    (f"{_RUN}/measure-on", _POST, measure_on),
    (f"{_RUN}/share", _POST, share),
    (f"{_RUN}/delete", _POST, delete),
    ("/exhibits", _GET, exhibit_list),
    (_EXHIBIT, _GET, exhibit_page),
    (_EXHIBIT, _POST, measure_exhibit),
    (f"{_EXHIBIT}/cancel", _POST, cancel_exhibit),
    (f"{_EXHIBIT}/figures/speedup.<format>", _GET, exhibit_figure),
    (f"{_RUN}/class", _POST, post_to_class),
    (f"{_RUN}/notes", _POST, annotate),
    (_CLASS, _GET, class_page),
    (_CLASS, _POST, class_post),
    (f"{_CLASS}.csv", _GET, class_csv),
    (f"{_CLASS}/withdraw", _POST, class_withdraw),
    (f"{_CLASS}/figures/speedup.<format>", _GET, class_figure),
    ("/techniques", _GET, techniques),
    ("/techniques/figures/communication.<format>", _GET, communication_figure),
    ("/healthz", _GET, healthz),
    ("/metrics", _GET, metrics_text),
]
