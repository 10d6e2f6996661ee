"""What the app and its runner write to their log: lines for people, or an object of JSON a line for programs."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Sequence
from contextvars import ContextVar
from datetime import UTC, datetime

#: The id of the request that is answered, in its thread; empty where there is none.
request_id: ContextVar[str] = ContextVar("request_id", default="")
#: What a record may have besides its message, under this name: facts by their names.
FACTS = "facts"


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        known = request_id.get()
        return super().format(record) + (f" [request {known}]" if known else "")


class _Json(logging.Formatter):
    """Always one line, whatever is in the message."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if known := request_id.get():
            line["request_id"] = known
        line |= getattr(record, FACTS, {})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def set_up(kind: str, handlers: Sequence[logging.Handler] | None = None, style: str = "%(message)s") -> None:
    """Have what is logged written to standard error, or by these handlers.

    Args:
        kind: as the setting LOG_FORMAT: ``text``, in this ``style``; or ``json``, which has what is not wrong as well.
    """
    found = list(handlers or [logging.StreamHandler(sys.stderr)])
    for handler in found:
        handler.setFormatter(_Json() if kind == "json" else _Text(style))
    logging.basicConfig(level=logging.INFO if kind == "json" or handlers else logging.WARNING, handlers=found)
