"""The operations on one image while their parameters are chosen: small pictures for the form, made at full size."""

from __future__ import annotations

import pickle
import shutil
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from flask import Request
from werkzeug.datastructures import MultiDict

from imgproc.errors import UserError
from imgproc.functions.operations import own_of
from imgproc.intake.inspector import Inspector, Trial
from imgproc.intake.naming import display_name
from imgproc.intake.trial import picture_format, picture_name
from imgproc.measure.lock import machine_lock, shared_folder
from imgproc.numbers import dimensions, percent
from imgproc.operations import OPERATIONS
from imgproc.operations.contract import same_size
from imgproc.runs import kept
from imgproc.runs.options import RunSettings, options, show
from imgproc.runs.store import Store
from imgproc.runs.uploads import FirstFile
from imgproc.settings import Settings
from imgproc.web.form import KEPT_FIELD, Fields, parse_trial
from imgproc.web.multipart import FILES_FIELD
from imgproc.web.receiving import check_room, receive

#: So long a preview waits for the one before it, and so many wait at once: each holds a thread of the server.
WAIT_SECONDS = 2.0
MOST_WAITING = 4
#: Below this share of white pixels a result looks black, and below that of black ones white.
BLACK = 0.005

_IMAGE, _NAME = "image", "name"  # files in the folder of an image: it, once it is accepted, and its name to show
_SAMPLE = "A drawn picture"


@dataclass(frozen=True)
class Picture:
    """One operation's result: ``source`` is an address that holds the small picture itself, ``said`` what numbers say
    of it, ``parameters`` those it was made with, as names and values to show."""

    operation: str
    label: str
    source: str
    said: str
    parameters: list[tuple[str, str]]


@dataclass(frozen=True)
class Preview:
    """What is shown of one image: its name and size, the image itself, the result of each operation asked for,
    and what there is to know of how it was read."""

    name: str
    size: str
    original: str
    pictures: list[Picture]
    notes: tuple[str, ...]


class Previews:
    """Makes previews for the app, one at a time and only while nothing is measured on this machine: they would falsify
    each other's numbers. A child process does all work on pixels; ``close`` ends it."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._store = store
        self._inspector = Inspector(settings.max_pixels, settings.MAX_SIDE, settings.INSPECT_SECONDS)
        self._waiting = threading.BoundedSemaphore(MOST_WAITING)
        self._turn = threading.Lock()
        # Asked for now, because a server may later set a folder of its own, where no other process looks for the lock.
        self._lock_folder = shared_folder()

    def close(self) -> None:
        """End the child process. No preview can be made any more."""
        self._inspector.close()

    def make(self, folder: Path, name: str, settings: RunSettings) -> Preview:
        """Try the operations on the image in this folder; on a drawn one where there is none.

        Raises:
            UserError: the image is refused, another preview takes too long (``busy``), or a run is being measured
                (``conflict``).
        """
        wanted = {row.stored: getattr(settings, row.stored) for row in options().values() if row.pixels}
        if own := own_of(settings.operations):  # that whoever runs the app lists; the child knows none of them
            wanted["own"] = b64encode(pickle.dumps(own)).decode()
        with self._alone():
            self._vet(folder, settings.depth)
            trial = self._inspector.attempt(folder / _IMAGE, wanted, folder)
            if trial.error is not None:
                field = "operations" if trial.code == "own_function" else FILES_FIELD
                raise UserError(trial.error, code=trial.code or "refused_image", field=field)
            pictures = [_picture(operation, folder, settings, trial) for operation in settings.operations]
            size = dimensions(trial.width, trial.height)
            return Preview(name, size, _address(folder, None), pictures, trial.notes)

    def _vet(self, folder: Path, depth: str) -> None:
        """See to it that the folder has an accepted image."""
        sent = next(folder.glob("incoming-*"), None)
        if sent is not None:
            found = self._inspector.inspect(sent, depth=depth)
            if found.error is not None:
                raise UserError(found.error, code=found.code or "refused_image", field=FILES_FIELD)
            sent.replace(folder / _IMAGE)
        elif not (folder / _IMAGE).exists():
            self._inspector.draw(folder / _IMAGE)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """The only preview, while nothing is measured; what is to be measured next waits until it is done."""
        if not self._waiting.acquire(blocking=False):
            raise _busy()
        try:
            if not self._turn.acquire(timeout=WAIT_SECONDS):
                raise _busy()
            try:
                self._check_idle()
                with machine_lock(_give_up, folder=self._lock_folder):
                    yield
            finally:
                self._turn.release()
        finally:
            self._waiting.release()

    def _check_idle(self) -> None:
        # Those that wait count as well: else a form in use could keep them waiting.
        if self._store.running() or self._store.queued():
            raise _measuring()


class Trying:
    """One POST to /preview. ``folder`` is where its image lies, None where it is not kept for the next one."""

    def __init__(self, settings: Settings, previews: Previews, owner: str) -> None:
        self.settings, self.previews, self.owner = settings, previews, owner
        self.fields: Fields = MultiDict()
        self.folder: Path | None = None

    @property
    def token(self) -> str:
        """What names the kept image; empty where there is none."""
        return kept.token_of(self.folder) if self.folder else ""

    def make(self, request: Request, *, keep: bool) -> Preview:
        """Read the form, and try its operations on its first image, on the one that its token names, or on a drawn one.

        Args:
            keep: the image stays for another request, unless it is refused.

        Raises:
            UserError
        """
        try:
            check_room(request, self.settings)
            folder, name = self._receive(request)
            return self.previews.make(folder, name, parse_trial(self.fields, self.settings))
        except UserError as problem:
            keep = keep and problem.field != FILES_FIELD
            raise
        except FileNotFoundError:  # others came meanwhile, so that this one had to go
            keep = False
            raise kept.gone() from None
        finally:
            if not keep and self.folder:
                shutil.rmtree(self.folder, ignore_errors=True)
                self.folder = None

    def _receive(self, request: Request) -> tuple[Path, str]:
        """Read the form; returns the folder of its image and the name to show."""
        uploads = self.settings.UPLOADS_DIR
        new = self.folder = kept.new_folder(uploads, self.owner)
        files = receive(request, self.fields, FirstFile(new, self.settings.MAX_FILES), self.settings)
        token = self.fields.get(KEPT_FIELD, "")
        if token and not files:
            self.folder = None  # until it is found
            self.folder = found = kept.find_kept(uploads, self.owner, token)
            return found, (found / _NAME).read_text("utf-8")
        name = display_name(files[0][0]) if files else _SAMPLE
        new.mkdir(parents=True, exist_ok=True)
        (new / _NAME).write_text(name, "utf-8")
        kept.remove_surplus(uploads, self.owner)
        return new, name


def _picture(name: str, folder: Path, settings: RunSettings, trial: Trial) -> Picture:
    operation, share = OPERATIONS[name], trial.shares.get(name)
    said = "" if share is None else f"{operation.result}: {percent(share)} of the pixels"
    if operation.size is not same_size:
        height, width = operation.size(trial.height, trial.width, settings.parameters)
        said = f"{operation.result}: {dimensions(width, height)}"
    if share is not None and share < BLACK:
        said += ", so nearly all is black" if share else ", so all is black"
    if share is not None and share > 1 - BLACK:
        said += ", so nearly all is white" if share < 1 else ", so all is white"
    parameters = [(p.label, show(settings.parameters[p.name])) for p in operation.parameters]
    return Picture(name, operation.label, _address(folder, name), said, parameters)


def _address(folder: Path, operation: str | None) -> str:
    data = (folder / picture_name(operation)).read_bytes()
    return f"data:image/{picture_format(operation)};base64,{b64encode(data).decode()}"


def _give_up(seconds: float) -> None:
    if seconds >= WAIT_SECONDS:
        raise _measuring()


def _measuring() -> UserError:
    return UserError("A run is being measured; the preview waits, since it would disturb it.", code="conflict")


def _busy() -> UserError:
    return UserError("Other previews are being made at the moment. Try again in a few seconds.", code="busy")
