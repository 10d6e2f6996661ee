"""The child process of ``inspector.py``: looks at one untrusted file after the other.

Started as ``python -m imgproc.intake.inspector_child MAX_PIXELS MAX_SIDE`` with OPENCV_IO_MAX_IMAGE_PIXELS set; reads
``{"path", "preview", "depth"}``, ``{"path", "wanted", "folder"}`` and ``{"path", "draw"}`` lines, answers each with an
``Inspection``, a ``Trial`` or nothing of interest as a line of JSON, ends with its parent.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
import threading
import warnings
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from queue import SimpleQueue
from typing import Any, BinaryIO

from imgproc.intake.checks import Limits, check_file
from imgproc.intake.samples import write_sample
from imgproc.intake.trial import try_operations
from imgproc.pixels.inner_threads import pin_threads

_LIBRARIES = 256 << 20  # what decoders need besides pixels: threads, tables, buffers
_SAMPLE_MEGAPIXELS = 1.0


def _limit_process(limits: Limits) -> None:
    """Bound this process's memory, and let others go first, where the system can."""
    with suppress(AttributeError, OSError):
        os.nice(10)
    with suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        pages = int(Path("/proc/self/statm").read_bytes().split()[0])
        used = pages * resource.getpagesize()
        # The file twice (a PNG is rewritten), 16 bytes for a decoder's copies of each pixel.
        limit = used + 2 * limits.max_bytes + 16 * limits.max_pixels + _LIBRARIES
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _private_streams() -> tuple[BinaryIO, BinaryIO]:
    """Requests and answers on descriptors of their own: libraries print on the standard streams."""
    requests, answers = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    return os.fdopen(requests, "rb"), os.fdopen(answers, "wb")


def _ends_with_parent(requests: BinaryIO) -> SimpleQueue[bytes]:
    """Requests as they come in. When the parent is gone this process ends, also in the middle of a picture."""
    lines: SimpleQueue[bytes] = SimpleQueue()

    def read() -> None:
        for line in requests:
            lines.put(line)
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    return lines


def _answer(limits: Limits, line: bytes) -> dict[str, Any]:
    request = json.loads(line)
    path = Path(request["path"])
    try:
        if "wanted" in request:
            return asdict(try_operations(path, request["wanted"], Path(request["folder"])))
        if "draw" in request:
            write_sample(path, 0, _SAMPLE_MEGAPIXELS)
            return {}
        preview = request["preview"]
        return asdict(check_file(path, limits, Path(preview) if preview else None, request["depth"]))
    except OSError as problem:  # of our own disk, not of the file
        return {"errno": problem.errno or errno.EIO}


def main() -> None:
    # Ctrl-C in a terminal reaches the whole group; the parent decides when its children end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    requests, answers = _private_streams()
    warnings.simplefilter("ignore")
    pin_threads()
    limits = Limits(int(sys.argv[1]), int(sys.argv[2]))
    _limit_process(limits)
    lines = _ends_with_parent(requests)
    answer: dict[str, Any] = {"ready": True}
    while True:
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.flush()
        answer = _answer(limits, lines.get())


if __name__ == "__main__":
    main()
