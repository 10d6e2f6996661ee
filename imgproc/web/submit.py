"""From a posted form to a queued run."""

from __future__ import annotations

import secrets
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flask import Request
from werkzeug.datastructures import MultiDict

from imgproc.errors import UserError
from imgproc.exhibits import Exhibit, Part, exhibit
from imgproc.files import link_or_copy
from imgproc.intake.naming import within_folders
from imgproc.pixels.previews import thumbnail_of
from imgproc.runs import classes
from imgproc.runs.access import Access, parse_class, parse_shown
from imgproc.runs.longer import measured_on, same_sample
from imgproc.runs.record import ImageRecord, Record, RunSettings, new_id
from imgproc.runs.removal import in_use
from imgproc.runs.store import Store
from imgproc.runs.tasks.exhibits import exhibit_run, exhibit_settings
from imgproc.runs.uploads import IncomingFiles
from imgproc.runs.vetting import Vetting
from imgproc.settings import Settings
from imgproc.web import waiting
from imgproc.web.admission import Admission
from imgproc.web.errors import disk_full
from imgproc.web.form import CLASS, IMAGES_OF, SHOWN_AS, Fields, parse_run
from imgproc.web.multipart import FILES_FIELD
from imgproc.web.receiving import check_room, receive

# Between counting those that wait and putting one more into the queue nobody else may come.
_entering = threading.Lock()


class Submission:
    """One POST to /process, of a ``visitor`` (``security.visitor``). ``fields`` holds what was sent, also after an
    error, so that a form can show it again."""

    def __init__(self, settings: Settings, store: Store, vetting: Vetting, admission: Admission, visitor: str) -> None:
        self.settings, self.store, self.vetting = settings, store, vetting
        self.admission, self.visitor = admission, visitor
        self.run_id = new_id()
        self.fields: Fields = MultiDict()

    def accept(self, request: Request, owner: str) -> Record:
        """Keep the files, have them checked, and queue the run. Where checking takes longer than a moment, the run that
        is returned is still ``checking``, and what is wrong with its files will be told of it.

        Raises:
            UserError: with nothing left behind on the disk.
        """
        with self._folders() as (uploads, results):
            self._check_room(request)
            files = self._read(request, uploads)
            mode, settings = parse_run(self.fields, self.settings)
            if settings.samples:
                shutil.rmtree(uploads)  # files that came along with "use sample images"
            before, access = self.fields.get(IMAGES_OF, "").strip(), self._access(owner)
            if settings.samples:
                return self._queue(Record(self.run_id, mode, settings, []), results, access)
            if before and not files:
                old = self.before(before, owner)
                with in_use(self.settings.RESULTS_DIR / old.id):
                    images = self._copy_inputs(old, uploads, results)
                return self._queue(Record(self.run_id, mode, settings, images), results, access)
            if not files:
                raise UserError("Choose at least one image, or run with sample images.", field=FILES_FIELD)
            images = [
                ImageRecord(index, shown, bytes=path.stat().st_size, folder=folder)
                for index, ((_, path), (shown, folder)) in enumerate(
                    zip(files, within_folders([name for name, _ in files]), strict=True)
                )
            ]
            record = Record(self.run_id, mode, settings, images, state="checking")
            return self._check(self._queue(record, results, access))

    def _access(self, owner: str) -> Access:
        """Raises: UserError: the class that the fields name cannot be one, or is full."""
        name, shown_as = parse_class(self.fields.get(CLASS, "")), parse_shown(self.fields.get(SHOWN_AS, ""))
        if not name:
            return Access(owner, visitor=self.visitor)
        classes.check_room(name, self.store, self.settings.RESULTS_DIR)
        return Access(owner, class_name=name, shown_as=shown_as, visitor=self.visitor)

    def before(self, run_id: str, owner: str) -> Record:
        """The run of this owner whose images are to be used again.

        Raises:
            UserError: there is none.
        """
        row = self.store.get(run_id)
        if row is None or not owner or not secrets.compare_digest(row.owner, owner):
            raise UserError(
                "The images of that run cannot be used here: it was deleted, or another browser started it.",
                code="not_found",
                field=FILES_FIELD,
            )
        return Record.load(self.settings.RESULTS_DIR / row.id)

    def kept(self, run: Record) -> int:
        """How many of the images of a run are still here as they came."""
        return len(self._still_there(run))

    def repeat(self, old: Record, owner: str) -> Record:
        """Queue a new run with the images and settings of an old one.

        Raises:
            UserError: the queue or the disk is full, or the images are gone.
        """
        if old.task or old.exhibit:
            return self._repeat_exhibit(old, owner)
        with self._folders() as (uploads, results):
            self._check_room(None)
            images = self._copy_inputs(old, uploads, results)
            settings = RunSettings(**{**vars(old.settings), "parameters": dict(old.settings.parameters)})
            if images:
                settings.samples = 0  # they are drawn already
            return self._queue(
                Record(self.run_id, old.mode, settings, images), results, Access(owner, visitor=self.visitor)
            )

    def measure_on(self, old: Record, owner: str) -> Record:
        """Queue a new run of the same with the rounds that an old one lacks.

        Raises:
            UserError: it lacks none, the queue or the disk is full, or the images are gone.
        """
        record = measured_on(old, self.most_seconds)
        record.id = self.run_id
        with self._folders() as (uploads, results):
            self._check_room(None)
            record.images = self._copy_inputs(old, uploads, results)
            kept = self._still_there(old)
            if [image.index for image in kept if not image.error] != [image.index for image in old.good_images]:
                raise UserError(
                    "Some images of this run are no longer here, so the same cannot be measured on.", code="conflict"
                )
            record.sample = same_sample(old, [image.index for image in kept])
            return self._queue(record, results, Access(owner, visitor=self.visitor))

    @property
    def most_seconds(self) -> float:
        """The longest time budget that a run may have here."""
        return 60 * self.settings.MAX_MINUTES_PER_VISITOR

    def show(self, shown: Exhibit, given: Fields, owner: str) -> list[Record]:
        """Queue a run for each part of an exhibit.

        Raises:
            UserError: a field is not allowed, or the queue or the disk is full.
        """
        fields = {name.replace("-", "_"): values for name, values in given.lists()}
        settings = [exhibit_settings(shown, part, fields, self.settings) for part in shown.parts]
        self._check_room(None, len(settings), sum(one.budget for one in settings))
        return [self._queue_task(shown, *pair, owner) for pair in zip(shown.parts, settings, strict=True)]

    def _repeat_exhibit(self, old: Record, owner: str) -> Record:
        name, _, part = old.of_exhibit.partition("/")
        if not name:
            raise UserError(
                "The function of this run is in a program of its own, not in this app: run it again from there.",
                code="conflict",
            )
        self._check_room(None)
        shown = exhibit(name)
        return self._queue_task(shown, shown.part(part), old.settings, owner)

    def _queue_task(self, shown: Exhibit, part: Part, settings: RunSettings, owner: str) -> Record:
        record = exhibit_run(shown, part, settings)  # with nothing of a person's in it, and on a page for everybody
        return self._queue(record, self.settings.RESULTS_DIR / record.id, Access(owner, "public", visitor=self.visitor))

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

    def _check_room(self, request: Request | None, runs: int = 1, seconds: float = 0.0) -> None:
        check_room(request, self.settings)
        self.admission.check(self.settings, self.visitor, runs, seconds)

    def _read(self, request: Request, uploads: Path) -> list[tuple[str, Path]]:
        uploads.mkdir(parents=True, exist_ok=True)
        return receive(request, self.fields, IncomingFiles(uploads, self.settings.MAX_FILES), self.settings)

    def _queue(self, record: Record, results: Path, access: Access) -> Record:
        with _entering:
            # Others may have come while this one was read.
            self.admission.check(self.settings, self.visitor, 1, record.settings.budget)
            access.save(results)
            record.save(results)  # before the index knows it: the runner may take it at once
            self.store.create(record)
        self.admission.changed()
        return record

    def _check(self, record: Record) -> Record:
        """Raises: UserError: it was found in a moment that the run cannot be, and there is none."""
        check = self.vetting.begin(record, self.visitor)
        if waiting.for_files(check) and check.problem:
            self.store.delete(record.id)
            raise check.problem
        return record

    def _still_there(self, run: Record) -> list[ImageRecord]:
        """Its images that are still here as they came."""
        folder = self.settings.UPLOADS_DIR / run.id
        return [image for image in run.images if image.stored and (folder / image.stored).is_file()]

    def _copy_inputs(self, old: Record, uploads: Path, results: Path) -> list[ImageRecord]:
        sources = self.settings.UPLOADS_DIR / old.id
        images = self._still_there(old)
        if not images and not (old.settings.samples and not old.images):
            raise UserError(
                "The images of this run are no longer here. Choose them again on the form.", code="conflict"
            )
        previews = self.settings.RESULTS_DIR / old.id / "previews"
        for image in images:
            _link(sources / image.stored, uploads / image.stored)
            for name in (image.preview, thumbnail_of(image.preview)) if image.preview else ():
                if (previews / name).is_file():
                    _link(previews / name, results / "previews" / name)
        kept = ("name", "width", "height", "format", "bytes", "stored", "preview", "folder")
        return [
            ImageRecord(index, **{name: getattr(image, name) for name in kept}) for index, image in enumerate(images)
        ]


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    link_or_copy(source, target)
