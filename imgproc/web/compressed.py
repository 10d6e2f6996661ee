"""Pages, styles and scripts by gzip, for clients that can read it: a page is then a fifth as long on its way."""

from __future__ import annotations

import gzip
from functools import lru_cache

from flask import Flask, Response, request

#: Pictures and archives are compressed as they are, and a record is handed out as the file that it is.
_TYPES = {
    "text/html", "text/css", "text/javascript", "application/javascript", "text/plain", "text/csv", "image/svg+xml",
}  # fmt: skip
#: What is shorter takes one packet in any case; what is longer takes too much of the processor that measures.
_LEAST, _MOST = 1_000, 4_000_000
_LEVEL = 6


def install(app: Flask) -> None:
    """Compress answers, after all that others do to them: what is installed later is called earlier."""
    app.after_request(_compress)


def _compress(answer: Response) -> Response:
    if not _can_shrink(answer):
        return answer
    answer.vary.add("Accept-Encoding")
    if not request.accept_encodings.quality("gzip") or _from_elsewhere():
        return answer
    is_file, answer.direct_passthrough = answer.direct_passthrough, False
    data = answer.get_data()
    answer.set_data(_packed_file(data) if is_file else gzip.compress(data, _LEVEL, mtime=0))
    answer.content_encoding = "gzip"
    answer.headers.pop("Accept-Ranges", None)
    etag, _ = answer.get_etag()
    if etag:  # the same content, in other bytes
        answer.set_etag(etag, weak=True)
    return answer


def _can_shrink(answer: Response) -> bool:
    if answer.mimetype not in _TYPES or answer.content_encoding or "Content-Range" in answer.headers:
        return False
    length = answer.content_length if answer.direct_passthrough else answer.calculate_content_length()
    return length is not None and _LEAST <= length <= _MOST


def _from_elsewhere() -> bool:
    """Whether another site had the browser ask. Such a site could choose words that come back in a page, such as what
    is looked for in the history, and learn from the length of the answer whether the page has them already (BREACH)."""
    return request.headers.get("Sec-Fetch-Site") not in (None, "same-origin", "none")


@lru_cache(maxsize=16)
def _packed_file(data: bytes) -> bytes:
    """Styles and scripts are few, and the same for everybody."""
    return gzip.compress(data, _LEVEL, mtime=0)
