"""Errors as responses: the right status, as a page, as JSON, or as one line for curl."""

from __future__ import annotations

import errno
from http import HTTPStatus
from typing import Any, Literal

from flask import Flask, Response, jsonify, make_response, render_template, request
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as AnyResponse

from imgproc.errors import UserError
from imgproc.runs.logs import request_id

#: Which status a ``UserError.code`` has. The only such table.
STATUS: dict[str, int] = {
    "bad_parameter": 400,
    "bad_request": 400,
    "no_access": 401,
    "not_owner": 403,
    "cross_site": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "conflict": 409,
    "too_large": 413,
    "unsupported_type": 415,
    "refused_image": 422,
    "own_function": 422,
    "queue_full": 429,
    "busy": 429,
    "internal": 500,
    "unavailable": 503,
    "disk_full": 507,
}

_SAID = {
    400: ("bad_request", "This request could not be read."),
    403: ("not_owner", "This is not allowed."),
    404: ("not_found", "There is nothing at this address. It may be mistyped."),
    405: ("method_not_allowed", "This address does not answer to this method."),
    413: ("too_large", "This request is larger than what is accepted here."),
    415: ("unsupported_type", "This kind of content is not accepted here."),
    500: ("internal", "Something went wrong here. It was written to the log; try again."),
}
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}

Kind = Literal["html", "json", "text"]


def wanted_kind() -> Kind:
    """How the client wants its answer: a page or JSON if it names them, else plain text."""
    if request.path.endswith(".json"):
        return "json"
    if request.path.endswith((".txt", ".csv")):
        return "text"
    named = {kind: quality for kind, quality in request.accept_mimetypes if "*" not in kind}
    html, json = named.get("text/html", 0.0), named.get("application/json", 0.0)
    if html or json:
        return "html" if html >= json else "json"
    return "text"


def no_such_run() -> UserError:
    """For a run that there is not and for one that this browser may not see alike, and whatever else is not there
    below /runs: nobody learns from it which runs there are."""
    return UserError(
        "There is nothing here for you: the address may be mistyped, the run may have been deleted, or only the "
        "browser that started it may see it.",
        code="not_found",
    )


def disk_full(problem: BaseException) -> UserError | None:
    """The error to show where the system said that no space is left; else None."""
    if not isinstance(problem, OSError) or problem.errno not in _NO_SPACE:
        return None
    return UserError(
        "The disk is full, so the files could not be kept. Delete old runs in the history, then try again.",
        code="disk_full",
    )


def error_response(problem: UserError, *, page: str | None = None, extra: dict[str, Any] | None = None) -> Response:
    """The error in the form the client wants; ``page`` is ready HTML for browsers, ``extra`` goes into the JSON."""
    status = STATUS.get(problem.code, 400)
    kind = wanted_kind()
    if kind == "json":
        answer: Response = jsonify(error={**problem.as_dict(), **(extra or {})})
    elif kind == "text":
        lines = [f"Error: {problem.message}"]
        lines += [f"Failed: {file['name']}: {file['error']}" for file in (extra or {}).get("files", [])]
        answer = Response("\n".join(lines) + "\n", mimetype="text/plain")
    else:
        answer = make_response(page if page is not None else _page(problem, status))
    answer.status_code = status
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        answer.headers["Retry-After"] = "3" if problem.code == "busy" else "30"
    return answer


def _page(problem: UserError, status: int) -> str:
    title = {
        400: "This request could not be used",
        403: "This is not yours to change",
        404: "Not found",
        405: "This address is for something else",
        409: "This cannot be done now",
        413: "Too large",
        429: "Too much at once",
        500: "Something went wrong",
        503: "Not available now",
        507: "The disk is full",
    }.get(status, HTTPStatus(status).phrase)
    return render_template("error.html", problem=problem, status=status, title=title)


def install(app: Flask) -> None:
    """Every error of the app goes out through ``error_response``."""

    @app.errorhandler(UserError)
    def user_error(problem: UserError) -> AnyResponse:
        return error_response(problem)

    @app.errorhandler(HTTPException)
    def http_error(problem: HTTPException) -> AnyResponse:
        status = problem.code or 500
        if status < 400:  # a redirect
            return problem.get_response()
        code, message = _SAID.get(status, ("bad_request", "This request could not be used."))
        hidden = status == HTTPStatus.NOT_FOUND and request.path.startswith("/runs/")
        answer = error_response(no_such_run() if hidden else UserError(message, code=code))
        answer.status_code = status
        for name, value in problem.get_headers():
            if name == "Allow":
                answer.headers[name] = value
        return answer

    @app.errorhandler(Exception)
    def unexpected(problem: Exception) -> AnyResponse:
        if full := disk_full(problem):
            return error_response(full)
        app.logger.exception("%s %s failed", request.method, request.path)
        said = f"{_SAID[500][1]} Whoever runs this app finds it there by the number {request_id.get()}."
        return error_response(UserError(said, code="internal"))
