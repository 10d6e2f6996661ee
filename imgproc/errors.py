"""The one exception whose text is meant for people."""

from __future__ import annotations

from collections.abc import Iterable


class UserError(Exception):
    """Something the user can mend: what was wrong, where, and what to do about it.

    ``code`` is stable and made for programs: ``bad_parameter``, ``too_large``, ``unsupported_type``,
    ``refused_image``, ``queue_full``, ``busy``, ``disk_full``, ``not_found``, ``no_access``, ``not_owner``,
    ``conflict``, ``unavailable``. The message is a whole sentence for people and never holds a server path or
    the text of a library's exception.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "bad_parameter",
        field: str | None = None,
        file: str | None = None,
        limit: str | int | float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.field = field
        self.file = file
        self.limit = limit

    def as_dict(self) -> dict[str, str | int | float]:
        """The error as the JSON API shows it; empty parts are left out."""
        parts = {name: getattr(self, name) for name in ("code", "message", "field", "file", "limit")}
        return {name: value for name, value in parts.items() if value is not None}


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A question after the nearest of what is known, with a space before it; nothing where none is near."""
    from difflib import get_close_matches  # only a mistake needs it

    near = get_close_matches(word, list(known), 1)
    return f" Did you mean “{near[0]}”?" if near else ""
