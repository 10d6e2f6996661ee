"""The passes of a run: each contender's tasks, carried out in the run's folders and counted by its tracker."""

from __future__ import annotations

import math
import shutil
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from imgproc.backends import AUTO, technique
from imgproc.backends.base import Backend, BackendError
from imgproc.backends.gpu import operations_alone
from imgproc.backends.gpu.operations_alone import Timing
from imgproc.backends.phases import Plan, after_another, flat, together, whole
from imgproc.backends.sharing.memory import free
from imgproc.backends.sharing.transport import BYTES, PATHS, image_task
from imgproc.backends.strips.plan import shared_bytes, split_image
from imgproc.backends.task import Task, TaskResult
from imgproc.errors import UserError
from imgproc.files import remove_parts
from imgproc.functions.operations import own_of
from imgproc.intake.naming import OutputNames
from imgproc.measure.environment import usable_cores
from imgproc.measure.protocol import Contender, Pass
from imgproc.measure.topology import file_systems
from imgproc.numbers import size
from imgproc.pixels.codecs import FORMATS
from imgproc.pixels.formats import pieces
from imgproc.pixels.formats.contract import Wanted
from imgproc.pixels.job import ImageJob
from imgproc.pixels.png import PNG_ENCODER
from imgproc.pixels.proof import CheckJob, check_outputs
from imgproc.runs import memory
from imgproc.runs.progress import Tracker
from imgproc.runs.record import ImageRecord, OutputRecord, Record
from imgproc.runs.splitting import groups_of, images_to_split, split_of, strips_of
from imgproc.settings import Settings

#: How often each operation is timed alone, after a first time that does not count.
ALONE_REPEATS = 3

#: How much of the free shared memory strips may take: workers and their libraries take some as well.
SHARE_OF_ROOM = 0.9

#: ``pixels_sha256`` by image and operation; None where an output could not be read back.
Hashes = dict[int, dict[str, str | None]]


@dataclass(frozen=True)
class RunFolders:
    """Where a run reads and writes: the source of each image by its index, folders for outputs, for previews
    (None: make none) and for what the measured rounds write."""

    sources: Mapping[int, Path]
    outputs: Path
    previews: Path | None
    work: Path


def file_systems_of(folders: RunFolders) -> dict[str, list[str]]:
    """The types of those that the images come from, the results go to, and the measured rounds write to."""
    return {
        "inputs": file_systems({path.parent for path in folders.sources.values()}),
        "outputs": file_systems([folders.outputs]),
        "rounds": file_systems([folders.work]),
    }


def output_names(record: Record, folders: RunFolders) -> list[dict[str, str]]:
    """The output files of each good image by operation, relative to the folder of the outputs: named after the image,
    in its ``folder``, and each only once in the run."""
    outputs = folders.outputs.resolve()
    sources = folders.sources.values()
    # Results must never replace an image they are made from, nor a link by which it was named.
    inputs = {path.resolve() for path in sources} | {path.parent.resolve() / path.name for path in sources}
    taken = [path.relative_to(outputs).as_posix() for path in inputs if outputs in path.parents]
    names = OutputNames(FORMATS[record.settings.format].extension, taken)
    return [names.of(image.name, record.settings.operations, image.folder) for image in record.good_images]


def make_result_folders(outputs: Path, files: Iterable[str]) -> None:
    """Make the folders that results have within the folder of the outputs, which is there.

    Raises:
        UserError: one cannot be made, or leads elsewhere, where results might replace what they are made from.
    """
    for name in sorted({file.rpartition("/")[0] for file in files} - {""}):
        folder = outputs / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            leads_away = folder.resolve() != outputs.resolve() / name
        except OSError as problem:
            why = f"cannot be made: {problem.strerror}"
        else:
            why = "is a link to elsewhere" if leads_away else ""
        if why:
            raise UserError(
                f"The folder {name} within the folder for the results {why}. Choose another folder for the results.",
                field="out",
            )


def on_gpu(contender: Contender) -> bool:
    """Whether its workers do the operations on a GPU."""
    return contender.backend.capabilities.memory == "device"


class Passes:
    """Carries out passes for a run.

    Every method may raise ``BackendError``, the technique failed as a whole, and ``Cancelled``.
    """

    def __init__(self, record: Record, folders: RunFolders, tracker: Tracker) -> None:
        self.record, self.folders, self.tracker = record, folders, tracker
        self.files: set[str] = set()  # the names of all outputs, also of those that are not made in the end
        self.needs: dict[int, int] = {}  # bytes that each image takes while it is worked on
        self.room = math.inf  # bytes that those may take that are worked on
        self._short_of_room: set[str] = set()  # techniques whose images do not fit into shared memory in strips
        self._known_pieces: dict[int, bool] = {}  # by image, of those that were asked for

    def over(self, sources: Mapping[int, Path]) -> Passes:
        """The same run's passes over other files, each no larger than the one in whose place it is."""
        others = Passes(self.record, replace(self.folders, sources=sources), self.tracker)
        others.needs, others.room = self.needs, self.room
        return others

    def limit_memory(self, contenders: Sequence[Contender], app: Settings) -> None:
        """Where images could take more memory than there is, have fewer of them worked on at a time, by all techniques
        alike, and say so."""
        self.needs = {image.index: memory.needed(image, self.record.settings) for image in self.record.good_images}
        here = [c for c in contenders if not on_gpu(c) and not c.backend.may_be_elsewhere]
        workers = max((c.backend.workers for c in here), default=1)
        room = memory.for_images(app, workers)
        if not any(memory.too_much([*self.needs.values()] * c.copies, c.backend.workers, room) for c in here):
            return
        self.room = room
        for contender in here:
            contender.backend.most_memory = room
        largest = max(self.record.good_images, key=lambda image: self.needs[image.index])
        self.record.warnings.append(memory.said(largest, self.needs[largest.index], room))

    def name_outputs(self) -> None:
        """Give every good image its output files, and make their folders.

        Raises:
            UserError: a folder cannot be made, or is a link to elsewhere.
        """
        for image, files in zip(self.record.good_images, output_names(self.record, self.folders), strict=True):
            image.outputs = [OutputRecord(operation, file) for operation, file in files.items()]
            self.files.update(files.values())
        if self.folders.previews:
            self.folders.previews.mkdir(parents=True, exist_ok=True)
        self.folders.outputs.mkdir(parents=True, exist_ok=True)
        make_result_folders(self.folders.outputs, self.files)

    def clean(self) -> None:
        """Leave nothing but results, once all workers are gone: some may have died while they wrote."""
        remove_parts(self.folders.outputs, self.files)
        shutil.rmtree(self.folders.work, ignore_errors=True)

    @contextmanager
    def ready(self, contender: Contender) -> Iterator[None]:
        """With its workers ready; those that are started anew for each pass only for so long."""
        if not contender.started:
            self.tracker.phase("starting", contender)
            contender.start()
            self._check_reach(contender)
        try:
            yield
        finally:
            if contender.restart_each_pass:
                contender.close()

    def _check_reach(self, contender: Contender) -> None:
        """Let files travel to workers that see no files or no memory of this machine."""
        backend = contender.backend
        if contender.transfer == PATHS:
            folders = {path.parent for path in self.folders.sources.values()} | {self.folders.outputs}
            if all(map(backend.sees, sorted(folders))):
                return
            what = "do not see this machine’s files"
        elif contender.transfer == "shared" and not backend.local:
            what = "are on other machines, with which no memory can be shared"
        else:
            return
        if not backend.capabilities.carries:
            raise BackendError(f"Its workers {what}. Put images and results where all of them see them.")
        contender.use_transfer("bytes")
        self.record.warnings.append(
            f"{contender.measurement.label}: its workers {what}, so the files travelled to them and the results back."
        )

    def run_pass(
        self, contender: Contender, images: Sequence[ImageRecord], folder: Path, phase: str, number: int = 0
    ) -> Pass:
        """One pass over the images, which writes into the folder."""
        if contender.restart_each_pass and number:
            # Its workers are new; this is what the others' had in the rounds before.
            some = images[: 2 * contender.backend.workers]
            contender.run(self._plan(contender, some, folder / ".before"), self.tracker.image_done)
        self.tracker.phase(phase, contender, images=len(images) * contender.copies, round=number)
        plan = self._plan(contender, images, folder)
        if contender.measurement.workers > 1:
            plan = self.tracker.follow(plan)
        return contender.run(plan, self.tracker.image_done)

    def read_back(self, contender: Contender, images: Sequence[ImageRecord], folder: Path) -> Hashes:
        """``pixels_sha256`` by image and operation of the files in a folder; of the results previews are made too.

        Files that equal the run's results, whose hashes are known, byte by byte are not decoded again.
        """
        results = folder == self.folders.outputs
        self.tracker.phase("checking", contender, images=len(images))
        tasks, own = [], own_of(self.record.settings.operations)
        for image in images:
            files, known = [], {}
            for output in image.outputs:
                preview = None
                if output.pixels_sha256 and not results:
                    known[output.operation] = str(self.folders.outputs / output.file), output.pixels_sha256
                if results and self.folders.previews:
                    output.preview = f"{image.index:04d}_{output.operation}.jpg"
                    preview = str(self.folders.previews / output.preview)
                files.append((output.operation, str(folder / output.file), preview))
            job = CheckJob(tuple(files), self.record.settings.color, known, own)
            tasks.append(Task(image.index, check_outputs, job, memory=self.needs.get(image.index, 0)))
        hashes: Hashes = {}
        outputs = {image.index: image.outputs for image in images}
        with self._readers(contender) as readers:
            for result in readers.run(tasks, deadline=contender.deadline):
                self.tracker.image_done(result)
                if result.value is None:
                    raise BackendError(f"what it wrote could not be read back: {result.error}")
                hashes[result.index] = {name: one.pixels_sha256 for name, one in result.value.items()}
                for output in outputs[result.index] if results else ():
                    output.shown = result.value[output.operation].shown
        return hashes

    def note_outputs(self, done: Pass, images: Sequence[ImageRecord]) -> None:
        """Note what became of each image in the pass that made the results; one that failed has no outputs."""
        by_index = {image.index: image for image in images}
        for result in done.results:
            image = by_index[result.index]
            if result.error is not None:
                for output in image.outputs:  # those that were written before it failed
                    Path(self.folders.outputs / output.file).unlink(missing_ok=True)
                image.error, image.outputs = result.error, []
                continue
            image.width, image.height = result.value.width, result.value.height
            image.warnings = list(result.value.notes)
            for output, written in zip(image.outputs, result.value.outputs, strict=True):
                output.bytes = written.bytes

    def hash_results(self, contender: Contender, images: Sequence[ImageRecord]) -> None:
        """Read the run's results back for their hashes, and make previews of them."""
        hashes = self.read_back(contender, images, self.folders.outputs)
        for image in images:
            for output in image.outputs:
                output.pixels_sha256 = hashes[image.index].get(output.operation)

    def note_replacements(self, done: Pass, where: str) -> None:
        """Say in the record that workers were replaced, if they were."""
        if done.replaced:
            self.record.warnings.append(f"{where}: a worker died or hung and was replaced, which its time includes.")

    def time_operations(self, contender: Contender, images: Sequence[ImageRecord]) -> dict[str, float]:
        """Seconds that each operation alone takes over the images, each image timed by itself."""
        work = operations_alone.on_device if on_gpu(contender) else operations_alone.on_cpu
        total: dict[str, float] = defaultdict(float)
        for image in images:
            task = Task(image.index, work, Timing(self._job(image, self.folders.work), ALONE_REPEATS))
            for result in contender.backend.run([task], deadline=contender.deadline):
                if result.error is not None:
                    raise BackendError(f"its operations could not be timed alone: {result.error}")
                for name, seconds in result.value.items():
                    total[name] += seconds
        return {name: round(seconds, 9) for name, seconds in total.items()}

    @contextmanager
    def _readers(self, contender: Contender) -> Iterator[Backend]:
        """Workers that see this machine's files: the contender's own, where they do."""
        if contender.backend.local or contender.backend.sees(self.folders.outputs):
            yield contender.backend
            return
        readers = technique(AUTO).load()(usable_cores())
        readers.start()
        try:
            yield readers
        finally:
            readers.close()

    def _plan(self, contender: Contender, images: Sequence[ImageRecord], folder: Path) -> Plan:
        """Whole images, by the usual schedule the largest first, for one taken last would leave the other workers
        waiting for it; and those in strips, as many at a time as fit into memory, the first of which are decoded along
        with the whole ones."""
        split: list[ImageRecord] = []
        backend, asked = contender.backend, split_of(self.record.settings)
        sent = contender.transfer == BYTES or not backend.local
        across = backend.capabilities.memory == "copied"
        shared = across and not sent
        room = SHARE_OF_ROOM * free() if shared else math.inf

        def taken(image: ImageRecord) -> float:
            return shared_bytes(self._job(image, folder), (image.height, image.width)) if shared else 0

        if backend.capabilities.splits and contender.transfer in (PATHS, BYTES) and contender.copies == 1:
            in_pieces = self._in_pieces if contender.transfer == PATHS and backend.local else lambda _: False
            split = images_to_split(images, backend.workers, asked, in_pieces)
            if asked == "auto":
                split = self._fitting(contender, split, taken, room)
        cut = {image.index for image in split}
        contender.measurement.split = sorted(cut)
        rest = [image for image in images if image.index not in cut]
        largest_first = contender.schedule.largest_first  # else in their own order, which that of a sample is not
        rest.sort(key=lambda image: -image.megapixels if largest_first else image.index)
        tasks = self._tasks(contender, rest, folder)
        make_result_folders(folder, (output.file for image in split for output in image.outputs))

        def strips(image: ImageRecord) -> Generator[list[Task], list[TaskResult], Any]:
            return split_image(
                image.index,
                self._job(image, folder),
                (image.height, image.width),
                strips_of(image, backend.workers),
                across_processes=across,
                sent=sent,
            )

        groups = [[*map(strips, group)] for group in groups_of(split, taken, room, self._fits)]
        if not groups:
            return whole(tasks)
        if tasks and self.room < math.inf:
            groups.append([whole(tasks)])
        elif tasks:
            groups[0].append(whole(tasks))
        return flat(after_another([together(group) for group in groups]))

    def _fits(self, images: Sequence[ImageRecord]) -> bool:
        """Whether so many may be worked on at a time."""
        return self.room == math.inf or sum(self.needs.get(image.index, 0) for image in images) <= self.room

    def _fitting(
        self, contender: Contender, split: list[ImageRecord], taken: Callable[[ImageRecord], float], room: float
    ) -> list[ImageRecord]:
        """Those of the images that can lie in shared memory; that others stay whole is said once."""
        fitting = [image for image in split if taken(image) <= room]
        measurement = contender.measurement
        if len(fitting) < len(split) and measurement.name not in self._short_of_room:
            self._short_of_room.add(measurement.name)
            most = size(int(max(taken(image) for image in split)))
            self.record.warnings.append(
                f"{measurement.label}: images that strips would have made quicker were left whole, as those take up to "
                f"{most} of shared memory for one, and {size(int(free()))} of it are free. Give the system more (in a "
                "container: the option --shm-size), or choose that images stay whole (--split never)."
            )
        return fitting

    def _tasks(self, contender: Contender, images: Sequence[ImageRecord], folder: Path) -> list[Task]:
        """A task for each image, and for each copy of it."""
        every, transfer, able = len(self.record.images), contender.transfer, contender.backend.capabilities
        # No folder of an image begins with a dot.
        folders = [folder / f".{copy}" if copy else folder for copy in range(contender.copies)]
        files = [output.file for image in images for output in image.outputs]
        for one in folders:
            one.mkdir(parents=True, exist_ok=True)
            make_result_folders(one, files)
        return [
            image_task(
                image.index + copy * every, self._job(image, one), transfer, able, self.needs.get(image.index, 0)
            )
            for image in images
            for copy, one in enumerate(folders)
        ]

    def _in_pieces(self, image: ImageRecord) -> bool:
        """Whether its file can be decoded by several workers at once."""
        asked = self.record.settings
        if image.index not in self._known_pieces:
            found = pieces(str(self.folders.sources[image.index]), 2, Wanted(asked.color, asked.depth))
            self._known_pieces[image.index] = bool(found)
        return self._known_pieces[image.index]

    def _job(self, image: ImageRecord, folder: Path) -> ImageJob:
        settings, source = self.record.settings, str(self.folders.sources[image.index])
        outputs = tuple((output.operation, str(folder / output.file)) for output in image.outputs)
        encoder = self.record.environment.get("png_encoder") or PNG_ENCODER
        return ImageJob(
            source, outputs, settings.parameters, settings.format, settings.color, settings.depth, encoder,
            own_of(settings.operations), settings.durable,
        )  # fmt: skip
