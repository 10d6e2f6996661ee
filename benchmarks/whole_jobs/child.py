"""A program in a process of its own: python child.py MODULE:FUNCTION ARGUMENTS, the latter as JSON.

It makes the job and says ``{"ready": true}``. Then for each line ``{"files": [...], "out": FOLDER}`` on standard
input it does the job once and answers ``{"seconds": ..., "memory": ...}``: wall time, and what the job returned.
Instead of any answer comes ``{"error": TEXT}``. It ends with its standard input.
"""

from __future__ import annotations

import json
import os
import sys
import time
from importlib import import_module
from typing import Any


def main() -> None:
    # What libraries print must not come between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(found: dict[str, Any]) -> None:
        answers.write(json.dumps(found) + "\n")
        answers.flush()

    module, _, name = sys.argv[1].partition(":")
    try:
        job = getattr(import_module(module), name)(*json.loads(sys.argv[2]))
        answer({"ready": True})
        for line in sys.stdin:
            asked = json.loads(line)
            start = time.perf_counter()
            memory = job(asked["files"], asked["out"])
            answer({"seconds": time.perf_counter() - start, "memory": memory})
    except Exception as problem:  # whatever it is, the one who asked has to hear of it
        answer({"error": f"{type(problem).__name__}: {problem}"})
        raise


if __name__ == "__main__":
    main()
