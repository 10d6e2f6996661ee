"""The one exception whose text is meant for people."""

from __future__ import annotations


class UserError(Exception):
    """Something the user can mend: what was wrong, where, and what to do about it.

    ``code`` is stable and made for programs: ``bad_parameter``, ``too_large``, ``unsupported_type``,
    ``refused_image``, ``queue_full``, ``disk_full``, ``not_found``, ``not_owner``, ``conflict``,
    ``unavailable``. The message is a whole sentence for people and never holds a server path or
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
        parts = {
            "code": self.code,
            "message": self.message,
            "field": self.field,
            "file": self.file,
            "limit": self.limit,
        }
        return {name: value for name, value in parts.items() if value is not None}
