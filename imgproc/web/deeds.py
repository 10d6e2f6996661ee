"""What the owner of a run may do with it, and how the app answers to what was done."""

from __future__ import annotations

from flask import Response, jsonify, redirect, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from imgproc.errors import UserError
from imgproc.numbers import counted
from imgproc.report.text import summary
from imgproc.runs import classes
from imgproc.runs.access import parse_class, parse_shown, parse_visible
from imgproc.runs.notes import parse_notes
from imgproc.runs.record import FINAL_STATES, Record
from imgproc.runs.removal import in_use, remove
from imgproc.runs.vetting import NoneGood
from imgproc.web import errors, lookup, security, waiting
from imgproc.web.form import CLASS, SHOWN_AS

#: The status of a plain-text answer that waited for its run.
_RUN_STATUS = {"done": 200, "failed": 500, "cancelled": 409, "interrupted": 503}


def accepted(record: Record) -> AnyResponse:
    """The answer to a run that was queued: go and see, here it is, or the summary when it is done."""
    url, kind = url_for("run_page", run_id=record.id), errors.wanted_kind()
    if kind == "html":
        return redirect(url, 303)
    if kind == "json":
        answer = jsonify(id=record.id, url=url, state=record.state)
        answer.status_code, answer.headers["Location"] = 202, url
        return answer
    row = waiting.until_final(lookup.store(), record.id)
    if row is None:
        text = f"Queued: the summary will be at {url}.txt\n"
        return Response(text, 202, {"Location": url}, mimetype="text/plain")
    _, record = lookup.run(row.id)
    if record.images and not record.good_images:
        return none_good(NoneGood(record.images))
    return Response(summary(record), _RUN_STATUS[row.state], mimetype="text/plain")


def none_good(problem: NoneGood, page: str | None = None) -> AnyResponse:
    """The answer where not one file can be used, with each one's reason."""
    refused = [{"name": image.name, "error": image.error} for image in problem.images]
    return errors.error_response(problem, page=page, extra={"files": refused})


def cancel(run_id: str) -> AnyResponse:
    row = lookup.owned(run_id)
    if not lookup.store().request_cancel(run_id) and row.state not in FINAL_STATES:
        raise UserError("This run ended at this moment, so it was not cancelled.", code="conflict")
    return see(url_for("run_page", run_id=run_id), id=run_id, state=(lookup.store().get(run_id) or row).state)


def again(run_id: str) -> AnyResponse:
    lookup.owned(run_id)
    _, record = lookup.run(run_id)
    with in_use(lookup.settings().RESULTS_DIR / run_id):
        new = lookup.submission().repeat(record, security.owner())
    return accepted(new)


def measure_on(run_id: str) -> AnyResponse:
    """A new run of the same with the rounds that this one lacks."""
    lookup.owned(run_id)
    _, record = lookup.run(run_id)
    with in_use(lookup.settings().RESULTS_DIR / run_id):
        new = lookup.submission().measure_on(record, security.owner())
    return accepted(new)


def share(run_id: str) -> AnyResponse:
    """Say who may see a run: nobody else, whoever has its link, or everybody, in the history."""
    row = lookup.owned(run_id)
    visible = parse_visible(request.form.get("visible", ""))
    lookup.store().show(run_id, visible)
    return see(url_for("run_page", run_id=run_id), id=run_id, state=row.state, visible=visible)


def annotate(run_id: str) -> AnyResponse:
    """Keep the name, the tags and the note that its owner gives a run; empty: none."""
    row = lookup.owned(run_id)
    notes = parse_notes(*(request.form.get(field, "") for field in ("name", "tags", "note")))
    lookup.store().annotate(run_id, notes)
    return see(url_for("run_page", run_id=run_id), id=run_id, state=row.state, name=notes.name)


def post_to_class(run_id: str) -> AnyResponse:
    """Give the table of the class in the field ``class`` a line of the run; empty: take it out of the one it is in."""
    row = lookup.owned(run_id)
    name, shown_as = parse_class(request.form.get(CLASS, "")), parse_shown(request.form.get(SHOWN_AS, ""))
    classes.post(run_id, name, shown_as, lookup.store(), lookup.settings().RESULTS_DIR)
    url = url_for("class_page", name=name) if name else url_for("run_page", run_id=run_id)
    return see(url, id=run_id, state=row.state, **{"class": name})


def delete(run_id: str) -> AnyResponse:
    _delete(run_id)
    return see(url_for("history"), id=run_id, state="deleted")


def delete_many() -> AnyResponse:
    """Delete the runs named by the fields ``run``; those that cannot be deleted stay, each with its reason."""
    asked = list(dict.fromkeys(request.form.getlist("run")))
    if not asked:
        raise UserError("Choose at least one run to delete.", field="run")
    deleted, stay = [], []
    for run_id in asked:
        try:
            _delete(run_id)
            deleted.append(run_id)
        except UserError as problem:
            stay.append({"id": run_id, **problem.as_dict()})
    kind = errors.wanted_kind()
    if kind == "json":
        return jsonify(deleted=deleted, stay=stay, url=url_for("history"))
    if stay:
        said = f"{len(stay)} of {counted(len(asked), 'run')} could not be deleted. {stay[0]['message']}"
        raise UserError(said, code=str(stay[0]["code"]))
    if kind == "html":
        return redirect(url_for("history"), 303)
    return Response("".join(f"{run_id}: deleted\n" for run_id in deleted), mimetype="text/plain")


def _delete(run_id: str) -> None:
    """Raises: UserError: it is somebody else's, or is being measured."""
    lookup.owned(run_id)
    if not remove(lookup.settings(), lookup.store(), run_id):
        raise UserError("This run is being measured. Cancel it first, then delete it.", code="conflict")


def see(url: str, **facts: str) -> AnyResponse:
    """The answer to what was done with the run ``id``: where to look next, and the ``facts``."""
    kind = errors.wanted_kind()
    if kind == "html":
        return redirect(url, 303)
    if kind == "json":
        return jsonify(**facts, url=url)
    return Response(f"{facts['id']}: {facts['state']}\n", mimetype="text/plain")
