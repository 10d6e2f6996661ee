"""From a posted form to a queued run."""

from __future__ import annotations

import difflib
import math
import os
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from flask import Request
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import RequestEntityTooLarge

from imgproc.backends import BASELINE, technique
from imgproc.errors import UserError
from imgproc.image.codecs import parse_format
from imgproc.image.operations import OPERATIONS, PARAMETERS, parse_operations, parse_parameters
from imgproc.measure.environment import usable_cores
from imgproc.runs import intake
from imgproc.runs.record import ImageRecord, Mode, Record, RunSettings
from imgproc.runs.store import Store
from imgproc.settings import Settings
from imgproc.web import answers, multipart
from imgproc.web.multipart import FILES_FIELD, Posted

#: The modes that can be asked for now.
MODES: tuple[Mode, ...] = ("sequential", "parallel")
DEFAULT_MODE: Mode = "parallel"
DEFAULTS = {"rounds": 6, "budget": 60, "sample_count": 12, "sample_megapixels": 3}
#: ``samples`` with this value means: as many as ``sample_count`` says. The form's button sends it.
AS_COUNTED = "form"
_MAX_SEED = 2**31 - 1
_FIELDS = {
    FILES_FIELD, "mode", "technique", "workers", "operations", "rounds", "budget", "seed", "format", "color", "split",
    "samples", "sample_count", "sample_megapixels", *PARAMETERS,
}  # fmt: skip

Fields = MultiDict[str, str]


class NoneGood(UserError):
    """Not one of the files sent can be used; ``images`` has the reason of each."""

    def __init__(self, images: Sequence[ImageRecord]) -> None:
        known = any(image.format for image in images)
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
        self.posted = Posted()

    @property
    def fields(self) -> Fields:
        return self.posted.fields

    def accept(self, request: Request, owner: str) -> Record:
        """Keep the files, vet them, and queue the run.

        Raises:
            UserError: with nothing left behind on the disk.
        """
        uploads, results = self._folders()
        try:
            self._check_room(request)
            self._read(request, uploads)
            mode, asked = parse_run(self.fields, self.settings)
            images = self._vet(asked, uploads, results)
            record = Record(self.run_id, mode, asked, images, owner=owner)
            self._queue(record, results)
        except BaseException as problem:
            _discard(uploads, results)
            full = answers.disk_full(problem) if isinstance(problem, OSError) else None
            if full:
                raise full from problem
            raise
        return record

    def repeat(self, old: Record, owner: str) -> Record:
        """Queue a new run with the images and settings of an old one.

        Raises:
            UserError: the queue or the disk is full, or the images are gone.
        """
        uploads, results = self._folders()
        try:
            self._check_room(None)
            images = self._copy_inputs(old, uploads, results)
            asked = RunSettings(**{**vars(old.settings), "parameters": dict(old.settings.parameters)})
            if images:
                asked.samples = 0  # they are drawn already
            record = Record(self.run_id, old.mode, asked, images, owner=owner)
            self._queue(record, results)
        except BaseException:
            _discard(uploads, results)
            raise
        return record

    def _folders(self) -> tuple[Path, Path]:
        return self.settings.UPLOADS_DIR / self.run_id, self.settings.RESULTS_DIR / self.run_id

    def _check_room(self, request: Request | None) -> None:
        settings = self.settings
        length = (request.content_length or 0) if request else 0
        if length > settings.MAX_UPLOAD_MB * 1_000_000:
            raise self._too_large()
        settings.UPLOADS_DIR.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(settings.UPLOADS_DIR).free
        if free - length < settings.DISK_RESERVE_MB * 1_000_000:
            raise UserError(
                f"The disk is nearly full: {free // 1_000_000:,} MB are free, and {settings.DISK_RESERVE_MB:,} MB must "
                "stay free. Delete old runs in the history, then try again.",
                code="disk_full",
                limit=settings.DISK_RESERVE_MB,
            )
        if self.store.queued() >= settings.MAX_QUEUED:
            raise UserError(
                f"{settings.MAX_QUEUED} runs are waiting already, so the queue is full. Try again when some are done.",
                code="queue_full",
                limit=settings.MAX_QUEUED,
            )

    def _too_large(self) -> UserError:
        limit = self.settings.MAX_UPLOAD_MB
        return UserError(
            f"One upload may have up to {limit:,} MB. Send fewer files, or make several runs.",
            code="too_large",
            field=FILES_FIELD,
            limit=limit,
        )

    def _read(self, request: Request, uploads: Path) -> None:
        settings = self.settings
        request.max_content_length = settings.MAX_UPLOAD_MB * 1_000_000
        uploads.mkdir(parents=True, exist_ok=True)
        factory = intake.stream_factory(uploads, settings.MAX_UPLOAD_MB * 1_000_000)
        try:
            multipart.read(
                request, self.posted, factory, max_files=settings.MAX_FILES, max_parts=settings.MAX_FILES + 100
            )
        except RequestEntityTooLarge as problem:
            raise self._too_large() from problem
        finally:
            factory.close()

    def _vet(self, asked: RunSettings, uploads: Path, results: Path) -> list[ImageRecord]:
        if asked.samples:
            shutil.rmtree(uploads, ignore_errors=True)  # files that came along with "use sample images"
            return []
        if not self.posted.files:
            raise UserError("Choose at least one image, or run with sample images.", field=FILES_FIELD)
        files = [(name, part.path) for name, part in self.posted.files]
        cores = usable_cores()
        images = intake.vet(files, uploads, results / "previews", self.settings, processes=cores)
        if not any(image.error is None for image in images):
            raise NoneGood(images)
        return images

    def _queue(self, record: Record, results: Path) -> None:
        record.save(results)  # before the index knows it: the runner may take it at once
        self.store.create(record)

    def _copy_inputs(self, old: Record, uploads: Path, results: Path) -> list[ImageRecord]:
        sources = self.settings.UPLOADS_DIR / old.id
        images = [image for image in old.images if image.stored and (sources / image.stored).is_file()]
        if not images and not (old.settings.samples and not old.images):
            raise UserError(
                "The images of this run are no longer here. Choose them again on the form.", code="conflict"
            )
        copies = []
        for index, image in enumerate(images):
            _link(sources / image.stored, uploads / image.stored)
            preview = self.settings.RESULTS_DIR / old.id / "previews" / (image.preview or "")
            if image.preview and preview.is_file():
                _link(preview, results / "previews" / image.preview)
            copies.append(
                ImageRecord(
                    index, image.name, image.width, image.height, image.format, image.bytes,
                    stored=image.stored, preview=image.preview,
                )
            )  # fmt: skip
        return copies


def parse_run(fields: Fields, settings: Settings) -> tuple[Mode, RunSettings]:
    """Mode and settings of a run from the fields of a form; what is not given has its default.

    Raises:
        UserError: a field is unknown or its value not allowed; names the field.
    """
    for name in fields:
        if name not in _FIELDS:
            near = difflib.get_close_matches(name, _FIELDS, 1)
            hint = f" Did you mean “{near[0]}”?" if near else f" Known are {', '.join(sorted(_FIELDS))}."
            raise UserError(f"There is no field “{name}”.{hint}", field=name)
    # The last one counts: a form sends "off" in a hidden field before each box that can be ticked.
    given = {name: values[-1].strip() for name, values in fields.lists() if name not in (FILES_FIELD, "operations")}
    mode = parse_mode(given.get("mode", DEFAULT_MODE))
    name = _technique(given.get("technique") or "auto", mode)
    if given.get("split", "never") not in ("never", ""):
        raise UserError("Images are processed whole: split must be never.", field="split", limit="never")
    samples, megapixels = _samples(given)
    cores = min(usable_cores(), settings.MAX_WORKERS)
    workers = _whole(given, "workers", "Workers", cores, 1, settings.MAX_WORKERS)
    return mode, RunSettings(
        operations=list(parse_operations(fields.getlist("operations") if "operations" in fields else OPERATIONS)),
        parameters=parse_parameters({key: given[key] for key in PARAMETERS if key in given}),
        technique=name,
        workers=1 if mode == "sequential" else workers,
        format=parse_format(given.get("format") or "png"),
        color=_color(given.get("color", "")),
        rounds=_whole(given, "rounds", "Rounds", DEFAULTS["rounds"], 1, 100),
        budget=_number(given, "budget", "The time budget", DEFAULTS["budget"], 1, 3600),
        seed=_whole(given, "seed", "The seed", 0, 0, _MAX_SEED),
        samples=samples,
        sample_megapixels=megapixels,
    )


def parse_mode(value: str) -> Mode:
    """Raises: UserError: there is no such mode, or not yet."""
    for mode in MODES:
        if value == mode:
            return mode
    known = " or ".join(MODES)
    if value in get_args(Mode):
        raise UserError(f"Mode “{value}” cannot be run yet. Choose {known}.", field="mode", limit=known)
    raise UserError(f"There is no mode “{value}”. Choose {known}.", field="mode", limit=known)


def _technique(name: str, mode: Mode) -> str:
    found = technique(name)
    if mode == "sequential":
        return BASELINE
    available = found.availability()
    if not available.ok:
        mend = f" To mend that: {available.command}" if available.command else ""
        raise UserError(f"{found.label} cannot run here. {available.reason}{mend}", field="technique")
    return name


def _samples(given: dict[str, str]) -> tuple[int, float]:
    """How many images to draw and how large; (0, 0) where files were sent instead."""
    if not given.get("samples"):
        return 0, 0.0
    name = "sample_count" if given["samples"] == AS_COUNTED else "samples"
    count = _whole(given, name, "The number of sample images", DEFAULTS["sample_count"], 1, 100)
    size = _number(given, "sample_megapixels", "The size of the sample images", DEFAULTS["sample_megapixels"], 0.1, 24)
    return count, size


def _whole(given: dict[str, str], name: str, label: str, default: int, low: int, high: int) -> int:
    number = _read_number(given, name, default)
    if number != number // 1 or not low <= number <= high:
        raise _refused(given[name], name, label, "a whole number", low, high)
    return int(number)


def _number(given: dict[str, str], name: str, label: str, default: float, low: float, high: float) -> float:
    number = _read_number(given, name, default)
    if not low <= number <= high:
        raise _refused(given[name], name, label, "a number", low, high)
    return number


def _read_number(given: dict[str, str], name: str, default: float) -> float:
    """The number in a field; not a number for what is none."""
    if not given.get(name):
        return default
    try:
        number = float(given[name])
    except ValueError:
        return math.nan
    return number if math.isfinite(number) else math.nan


def _refused(value: str, name: str, label: str, kind: str, low: float, high: float) -> UserError:
    return UserError(
        f"{label} ({name}) must be {kind} from {low:g} to {high:g}, not “{value}”.",
        field=name,
        limit=f"{low:g} to {high:g}",
    )


def _color(value: str) -> bool:
    if value.lower() in ("1", "true", "on", "yes", "color", "colour"):
        return True
    if value.lower() in ("", "0", "false", "off", "no", "gray", "grey"):
        return False
    raise UserError(f"Colour (color) must be on or off, not “{value}”.", field="color", limit="on or off")


def _link(source: Path, target: Path) -> None:
    """The same file under a second name, or a copy where the file system has no links."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _discard(*folders: Path) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
