"""Reading a posted form: fields into memory, files straight to where they belong, nothing dropped in silence."""

from __future__ import annotations

from flask import Request
from multipart import MultipartError, MultipartSegment, ParserLimitReached, PushMultipartParser
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import ClientDisconnected
from werkzeug.http import parse_options_header

from imgproc.errors import UserError
from imgproc.runs.uploads import IncomingFiles

FILES_FIELD = "images"
_CHUNK = 256 * 1024
_MAX_FIELD = 64 * 1024
_MAX_HEADER = 64 * 1024
_MAX_FIELDS = 100


def read_form(request: Request, fields: MultiDict[str, str], files: IncomingFiles) -> None:
    """Read the request's body; what was read before an error stays in ``fields`` and ``files``.

    Raises:
        UserError: too many files, or the body is no form.
    """
    if request.mimetype == "multipart/form-data":
        try:
            _read_parts(request, fields, files)
        except ParserLimitReached as problem:
            raise UserError("The form has too many parts, or too long a header.", code="too_large") from problem
        except (MultipartError, ClientDisconnected) as problem:
            raise UserError(
                "The upload was cut short or is no form (multipart/form-data). Send it again.", code="bad_request"
            ) from problem
    elif request.mimetype in ("", "application/x-www-form-urlencoded"):
        fields.update(request.form)
    else:
        raise UserError("Send a form (multipart/form-data), as in curl -F images=@photo.jpg.", code="unsupported_type")


def _read_parts(request: Request, fields: MultiDict[str, str], files: IncomingFiles) -> None:
    boundary = request.mimetype_params.get("boundary", "").encode("latin-1", "replace")
    parser = PushMultipartParser(
        boundary,
        max_header_size=_MAX_HEADER,
        max_segment_count=files.max_files + _MAX_FIELDS,
        header_charset="latin-1",  # which every byte is: a name that is not UTF-8 costs no file
    )
    part: _Field | IncomingFiles = files
    begun = False
    for event in parser.parse_blocking(request.stream.read, _CHUNK):
        if isinstance(event, MultipartSegment):
            part, begun = _begin(event, fields, files), True
        elif event is None:
            part.end()
        else:
            # Without the empty line between its headers and no content, a part would swallow the next one.
            if begun and event.startswith(b"--" + boundary):
                raise MultipartError("a part lacks its empty line")
            part.write(event)
            begun = False


def _begin(segment: MultipartSegment, fields: MultiDict[str, str], files: IncomingFiles) -> _Field | IncomingFiles:
    """What takes the content of this part."""
    header = dict(segment.headerlist)["Content-Disposition"].encode("latin-1").decode("utf-8", "replace")
    _, options = parse_options_header(header)
    name = options.get("name", "")
    if name == FILES_FIELD:
        files.begin(options.get("filename", "unnamed"))
        return files
    if "filename" in options:
        raise UserError(f"Send files in the field “{FILES_FIELD}”, not in “{name}”.", field=FILES_FIELD)
    if not name:
        raise UserError("A part of the form has no readable name.", code="bad_request")
    return _Field(name, fields)


class _Field:
    """The text of one field, added to the others when it is complete."""

    def __init__(self, name: str, fields: MultiDict[str, str]) -> None:
        self.name, self.fields, self.text = name, fields, bytearray()

    def write(self, data: bytes) -> None:
        self.text += data
        if len(self.text) > _MAX_FIELD:
            raise UserError(f"The field {self.name} is too long.", field=self.name, code="too_large", limit=_MAX_FIELD)

    def end(self) -> None:
        self.fields.add(self.name, self.text.decode("utf-8", "replace"))
