"""From a posted form to a queued run."""

from __future__ import annotations

import os
import secrets
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from flask import Request
from werkzeug.datastructures import MultiDict

from imgproc.errors import UserError
from imgproc.measure.environment import usable_cores
from imgproc.runs.record import ImageRecord, Record, RunSettings
from imgproc.runs.store import Store
from imgproc.runs.uploads import IncomingFiles, inspect_files
from imgproc.settings import Settings
from imgproc.web.errors import disk_full
from imgproc.web.form import Fields, parse_run
from imgproc.web.multipart import FILES_FIELD
from imgproc.web.receiving import check_room, receive

# One upload is inspected at a time, on all cores; more at once would only slow each other and what is measured down.
_inspecting = threading.Lock()


class NoneGood(UserError):
    """Not one of the files sent can be used; ``images`` has the reason of each."""

    def __init__(self, images: Sequence[ImageRecord]) -> None:
        known = any(image.code != "unsupported_type" for image in images)
        count = "The file" if len(images) == 1 else f"None of the {len(images)} files"
        first = f" {images[0].name}: {images[0].error}" if len(images) == 1 else " Every file has its reason."
        super().__init__(
            f"{count} {'cannot' if len(images) == 1 else 'can'} be used, so there is no run.{first}",
            code="refused_image" if known else "unsupported_type",
            field=FILES_FIELD,
            file=images[0].name if len(images) == 1 else None,
        )
        self.images = images


class Submission:
    """One POST to /process. ``fields`` holds what was sent, also after an error, so that a form can show it again."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self.settings, self.store = settings, store
        self.run_id = secrets.token_hex(6)
        self.fields: Fields = MultiDict()

    def accept(self, request: Request, owner: str) -> Record:
        """Keep the files, inspect them, and queue the run.

        Raises:
            UserError: with nothing left behind on the disk.
        """
        with self._folders() as (uploads, results):
            self._check_room(request)
            files = self._read(request, uploads)
            mode, settings = parse_run(self.fields, self.settings)
            if settings.samples:
                shutil.rmtree(uploads)  # files that came along with "use sample images"
            images = [] if settings.samples else self._inspect(files, uploads, results, settings.depth)
            return self._queue(Record(self.run_id, mode, settings, images, owner=owner), results)

    def repeat(self, old: Record, owner: str) -> Record:
        """Queue a new run with the images and settings of an old one.

        Raises:
            UserError: the queue or the disk is full, or the images are gone.
        """
        with self._folders() as (uploads, results):
            self._check_room(None)
            images = self._copy_inputs(old, uploads, results)
            settings = RunSettings(**{**vars(old.settings), "parameters": dict(old.settings.parameters)})
            if images:
                settings.samples = 0  # they are drawn already
            return self._queue(Record(self.run_id, old.mode, settings, images, owner=owner), results)

    @contextmanager
    def _folders(self) -> Iterator[tuple[Path, Path]]:
        """The run's folders for uploads and results, which an error removes."""
        folders = self.settings.UPLOADS_DIR / self.run_id, self.settings.RESULTS_DIR / self.run_id
        try:
            yield folders
        except BaseException as problem:
            for folder in folders:
                shutil.rmtree(folder, ignore_errors=True)
            if full := disk_full(problem):
                raise full from problem
            raise

    def _check_room(self, request: Request | None) -> None:
        settings = self.settings
        check_room(request, settings)
        if self.store.queued() >= settings.MAX_QUEUED:
            raise UserError(
                f"{settings.MAX_QUEUED} runs are waiting already, so the queue is full. Try again when some are done.",
                code="queue_full",
                limit=settings.MAX_QUEUED,
            )

    def _read(self, request: Request, uploads: Path) -> list[tuple[str, Path]]:
        uploads.mkdir(parents=True, exist_ok=True)
        return receive(request, self.fields, IncomingFiles(uploads, self.settings.MAX_FILES), self.settings)

    def _inspect(self, files: list[tuple[str, Path]], uploads: Path, results: Path, depth: str) -> list[ImageRecord]:
        if not files:
            raise UserError("Choose at least one image, or run with sample images.", field=FILES_FIELD)
        with _inspecting:
            previews, cores = results / "previews", usable_cores()
            images = inspect_files(files, uploads, previews, self.settings, processes=cores, depth=depth)
        if not any(image.error is None for image in images):
            raise NoneGood(images)
        return images

    def _queue(self, record: Record, results: Path) -> Record:
        record.save(results)  # before the index knows it: the runner may take it at once
        self.store.create(record)
        return record

    def _copy_inputs(self, old: Record, uploads: Path, results: Path) -> list[ImageRecord]:
        sources = self.settings.UPLOADS_DIR / old.id
        images = [image for image in old.images if image.stored and (sources / image.stored).is_file()]
        if not images and not (old.settings.samples and not old.images):
            raise UserError(
                "The images of this run are no longer here. Choose them again on the form.", code="conflict"
            )
        previews = self.settings.RESULTS_DIR / old.id / "previews"
        for image in images:
            _link(sources / image.stored, uploads / image.stored)
            if image.preview and (previews / image.preview).is_file():
                _link(previews / image.preview, results / "previews" / image.preview)
        kept = ("name", "width", "height", "format", "bytes", "stored", "preview")
        return [
            ImageRecord(index, **{name: getattr(image, name) for name in kept}) for index, image in enumerate(images)
        ]


def _link(source: Path, target: Path) -> None:
    """The same file under a second name, or a copy where the file system has no links."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
