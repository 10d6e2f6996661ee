"""What stands in a file of results, however ISA-L packed it."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

from imgproc.pixels.png import SIGNATURE


def contents(path: str | Path) -> bytes:
    """The file; of a PNG all but the way in which its filtered rows were deflated.

    The same rows are not always the same bytes: where ISA-L's state lies in memory decides on some matches, see
    ``findings/isal_bytes_by_address.sh``.
    """
    data = Path(path).read_bytes()
    if not data.startswith(SIGNATURE):
        return data
    others, rows, at = [], [], len(SIGNATURE)
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if kind == b"IDAT":
            rows.append(data[at + 8 : end - 4])
        else:
            others.append(data[at:end])
        at = end
    return b"".join([*others, zlib.decompress(b"".join(rows))])
