"""Room kept back on the disks of results and index: on a full disk it is given up, so that how a run ended can be
written there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from imgproc.files import write_whole

NAME = "room-to-end-a-run"
#: Enough for the record of a thousand images without results, and for what SQLite writes of a run that ends.
BYTES = 1_000_000


class Reserve:
    """A file of nothing in each of the folders."""

    def __init__(self, folders: Iterable[Path]) -> None:
        self._files = [folder / NAME for folder in dict.fromkeys(folders)]

    def keep(self) -> None:
        """Make the files that are missing, where there is room for more than them."""
        for file in self._files:
            with suppress(OSError):
                if not file.exists() and shutil.disk_usage(file.parent).free > 2 * BYTES:
                    write_whole(file, os.urandom(BYTES))  # some file systems take no room for zeros

    def release(self) -> None:
        """Give the room up, for now."""
        for file in self._files:
            with suppress(OSError):
                file.unlink(missing_ok=True)
