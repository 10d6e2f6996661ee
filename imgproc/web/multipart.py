"""Reading a posted form: fields into memory, files straight to where they belong, nothing dropped in silence.

Werkzeug's own form parser loses a whole form for one file name that is not UTF-8, and takes a file whose
name it cannot decode for a text field. This one uses the same decoder and keeps both.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

from flask import Request
from werkzeug.datastructures import Headers, MultiDict
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder, NeedData

from imgproc.errors import UserError
from imgproc.runs.uploads import PartStream, StreamFactory

FILES_FIELD = "images"
_CHUNK = 256 * 1024
_MAX_FIELD = 64 * 1024
_MAX_BUFFER = 4 * _CHUNK  # what one part's headers may take; contents are passed on chunk by chunk


@dataclass
class Posted:
    """``fields`` by name; ``files`` as (name the user knows, the stream it was written to)."""

    fields: MultiDict[str, str] = field(default_factory=MultiDict)
    files: list[tuple[str, PartStream]] = field(default_factory=list)


class _Decoder(MultipartDecoder):
    def _parse_headers(self, data: bytes | bytearray) -> Headers:
        return super()._parse_headers(bytes(data).decode("utf-8", "replace").encode())


def read(request: Request, posted: Posted, open_part: StreamFactory, *, max_files: int, max_parts: int) -> None:
    """Fill ``posted`` from the request's body; what was read before an error stays in it.

    Args:
        open_part: called once per file; closing its streams is the caller's.

    Raises:
        UserError: too many files, or the body is no form.
    """
    if request.mimetype != "multipart/form-data":
        if request.mimetype not in ("", "application/x-www-form-urlencoded"):
            raise UserError(
                "Send a form (multipart/form-data), as in curl -F images=@photo.jpg.", code="unsupported_type"
            )
        posted.fields.update(request.form)
        return
    boundary = request.mimetype_params.get("boundary", "").encode("latin-1", "replace")
    decoder = _Decoder(boundary, max_form_memory_size=_MAX_BUFFER, max_parts=max_parts)
    parts = _Parts(posted, open_part, max_files, request.content_length)
    try:
        if not boundary:
            raise ValueError
        while not parts.ended:
            data = request.stream.read(_CHUNK)
            decoder.receive_data(data or None)
            while not isinstance(event := decoder.next_event(), NeedData | Epilogue):
                parts.take(event)
            parts.ended = isinstance(event, Epilogue)
    except RequestEntityTooLarge as problem:
        if decoder._parts_decoded > max_parts:
            raise parts.too_many() from problem
        raise
    except (ValueError, ClientDisconnected) as problem:
        raise UserError(
            "The upload was cut short or is no form (multipart/form-data). Send it again.", code="bad_request"
        ) from problem


class _Parts:
    """Puts the decoder's events where they belong."""

    def __init__(self, posted: Posted, open_part: StreamFactory, max_files: int, total: int | None) -> None:
        self.posted, self.open_part, self.max_files, self.total = posted, open_part, max_files, total
        self.ended = False
        self.name = ""
        self.text: bytearray | None = None
        self.stream: PartStream | None = None

    def take(self, event: Any) -> None:
        if isinstance(event, File) or (isinstance(event, Field) and event.name == FILES_FIELD):
            self._begin_file(event)
        elif isinstance(event, Field):
            if not event.name:
                raise UserError("A part of the form has no readable name.", code="bad_request")
            self.name, self.text, self.stream = event.name, bytearray(), None
        elif isinstance(event, Data):
            self._data(event)

    def _begin_file(self, event: File | Field) -> None:
        if event.name != FILES_FIELD:
            raise UserError(f"Send files in the field “{FILES_FIELD}”, not in “{event.name}”.", field=FILES_FIELD)
        # A browser sends one empty part without a name where no file was chosen.
        self.name = event.filename if isinstance(event, File) else "unnamed"
        self.text, self.stream = None, None

    def _data(self, event: Data) -> None:
        if self.text is not None:
            self.text += event.data
            if len(self.text) > _MAX_FIELD:
                raise UserError(
                    f"The field {self.name} is too long.", field=self.name, code="too_large", limit=_MAX_FIELD
                )
            if not event.more_data:
                self.posted.fields.add(self.name, self.text.decode("utf-8", "replace"))
            return
        if self.stream is None:
            if not self.name and not event.data and not event.more_data:
                return
            self._open()
        assert self.stream is not None
        self.stream.write(event.data)
        if not event.more_data:
            self.stream.seek(0)
            self.stream = None

    def _open(self) -> None:
        if len(self.posted.files) >= self.max_files:
            raise self.too_many()
        self.stream = cast(PartStream, self.open_part(self.total, None, self.name))
        self.posted.files.append((self.name or "unnamed", self.stream))

    def too_many(self) -> UserError:
        return UserError(
            f"One run takes up to {self.max_files:,} files. Send fewer, or make several runs.",
            code="too_large",
            field=FILES_FIELD,
            limit=self.max_files,
        )
