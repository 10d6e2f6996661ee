"""An app with a page in every state: for tests of how pages look, and for pictures of them (``docs/screens.py``).

Its records were never measured. Their pictures are drawn and processed, and what the pages tell follows from the
records' figures as it does from measured ones.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import cv2
from communications import communication
from conftest import jpeg
from figure_records import GONE, SEVEN, SHARES, TWO, fabricated, measured, scaled
from granularity_runs import granularity_run, task_run

from app import create_app
from imgproc.intake.samples import draw
from imgproc.measure.bounds import memory_use
from imgproc.measure.derive import derive, derive_tasks
from imgproc.measure.environment import environment
from imgproc.measure.results import Owned, Progress, SpanRecord, TechniqueMeasurement
from imgproc.operations import DEFAULT_OPERATIONS, OPERATIONS, parse_parameters
from imgproc.runs.access import Access, Visible, owner_of
from imgproc.runs.notes import Notes
from imgproc.runs.record import ImageRecord, OutputRecord, Record, TaskRecord
from imgproc.runs.store import Store
from imgproc.settings import Settings

#: Many images, and many runs in the history.
MANY, MANY_RUNS = 10_000, 60
#: So many of the many images were measured, as where all would take too long.
SAMPLE = 1_500
FULL_DISK = "The disk is full, so the results could not be kept. Delete old runs in the history, then run it again."
DAMAGED = "The file ends in the middle of the picture. Copy it again from where it came."
FEW_BITS = "It uses only 12 of 16 bits; 6 gray levels are left."
TOKEN = "0123456789abcdefghijklmnopqrstuvwxyz"
#: Seconds of a call one after the other, and what threads and processes gain over it, for each function of an exhibit.
CALLS = {
    "pure_python": (0.012, 0.99, 1.9), "in_numpy": (0.006, 1.5, 0.8), "by_numba": (0.003, 1.9, 0.4),
    "by_opencv": (0.001, 1.95, 0.3),
}  # fmt: skip


#: What two cores copy and compute.
ROOFS = {
    "copy_bytes_per_second": 1.8e10, "copy_bytes_per_second_of_one": 1.1e10, "arithmetic_per_second": 1.3e11,
    "arithmetic_per_second_of_one": 7e10,
}  # fmt: skip


#: Posts a form as one without scripts would.
SUBMIT = """([action, name, value, type]) => {
    const form = document.createElement("form");
    Object.assign(form, { action, method: "post", enctype: "multipart/form-data" });
    const field = Object.assign(document.createElement("input"), { type: type || "text", name });
    if (type === "file") {
        const data = new DataTransfer();
        data.items.add(new File([value], "note <1>.jpg"));
        field.files = data.files;
    } else field.value = value;
    form.append(field);
    document.body.append(form);
    form.submit();
}"""


class Site:
    """The app, what each of its pages is called and where it is, and ``cookie`` of the browser that owns the runs."""

    def __init__(self, folder: Path, megapixels: float = 0.02) -> None:
        """
        Args:
            folder: for its runs.
            megapixels: of the pictures in it.
        """
        self.settings = Settings(
            UPLOADS_DIR=folder / "uploads", RESULTS_DIR=folder / "results", SECRET_KEY=TOKEN, MAX_QUEUED=2,
            CACHE_DIR=str(folder / "cache"),
        )  # fmt: skip
        communication().save(self.settings.cache_dir)
        self.app = create_app(self.settings)
        self.store: Store = self.app.config["STORE"]
        serializer = self.app.session_interface.get_signing_serializer(self.app)  # type: ignore[attr-defined]
        self.cookie = {"name": "speedup_lab", "value": serializer.dumps({"owner": "owner"})}
        self._number = 0
        self._pictures = folder / "pictures"
        self._drawn = list(_draw(self._pictures, megapixels))
        self.paths = {
            "start": "/", "start from a link": "/?mode=scale&technique=threading&class=lab&operations=canny%2Bgaussian",
            "history": "/runs", "history, nothing found": "/runs?q=no+such+run", "techniques": "/techniques",
            "exhibits": "/exhibits", "exhibit": "/exhibits/gil", "exhibit, not measured": "/exhibits/borders",
            "exhibit, waiting": "/exhibits/baseline", "class": "/class/lab", "class, empty": "/class/nobody",
            "runs to compare": "/compare", "not found": "/nothing/here",
        }  # fmt: skip
        self._fill()

    def close(self) -> None:
        """End what the app has started."""
        for name in ("PREVIEWS", "VETTING", "STORE"):
            self.app.config[name].close()

    def _fill(self) -> None:
        self._history()
        self._unfinished()
        compared = self._add("run, compared", _compared(), seen="public")
        Notes("First try", ("laptop", "on battery"), "Done at home.\nThe fan was loud.").save(self._folder(compared))
        other = self._add("run, one image", _done(fabricated(TWO, mode="parallel", images=1)))
        few = self._add("run, few rounds", _few(other.id))
        for image in few.images:  # which it can be measured on with
            file = self.settings.UPLOADS_DIR / few.id / image.stored
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"")
        self._add("run, scaled", _done(scaled(2, [1, 2, 3, 4], 0.03, inner=(1, 2))))
        what_if = f"{self.paths['run, scaled']}/what-if"
        self.paths["what if"] = f"{what_if}?serial=12.5&workers=64"
        self.paths["what if, one point"] = f"{self.paths['run, compared']}/what-if"
        self.paths["what if, refused"] = f"{what_if}?law=gustafson&workers=4096"
        more = {count: lambda images, count=count: 0.02 * count + 0.01 * images / count for count in (1, 4)}
        self._add("run, isoefficiency", _done(granularity_run((1, 4, 16, 64), others=more), cores_usable=4))
        self._add("run, handed over", _done(task_run()))
        self._add("run of a function", _of_items(TaskRecord("crunch", 24), *CALLS["in_numpy"]))
        self._add("run, many images", _many())
        self._add("run of somebody else", _done(fabricated(TWO, images=3)), owner="somebody else")
        for name, ends in CALLS.items():
            self._add("", _of_items(TaskRecord(name, 24, exhibit="gil"), *ends), seen="public")
        self.paths["report"] = f"{self.paths['run, compared']}/report"
        self.paths["report, scaled"] = f"{self.paths['run, scaled']}/report"
        self.paths["runs, side by side"] = f"/compare?run={compared.id}&run={other.id}"
        self.paths["runs, too many"] = "/compare?" + "&".join(f"run={k:012x}" for k in range(7))
        # With it in the queue there is no room for an exhibit of several runs.
        waits = _of_items(TaskRecord("with_copy", 24, exhibit="baseline"), 0.01, 1.9, 1.0)
        self._add("waiting", replace(waits, techniques=[], findings=None, best=None), state="queued")

    def _history(self) -> None:
        record = _done(fabricated(TWO, mode="parallel", images=3, rounds=6))
        for number in range(MANY_RUNS):
            shown = {"class_name": "lab", "shown_as": f"Laptop {number + 1}"} if number < 8 else {}
            self._add("", copy.copy(record), created=f"2026-03-{1 + number // 4:02}T09:{number:02}:00+00:00", **shown)

    def _unfinished(self) -> None:
        """The one that goes on comes first, as it is the one that is taken from the queue."""
        live = self._add("running", _without_results(_done(fabricated())), state="queued")
        assert self.store.claim(1) == live.id
        walls = {label: [0.85 * factor + 0.01 * k for k in range(2)] for _, label, _, factor in SEVEN}
        owned = Owned("threading", "Threads", 3, {image.index: image.index % 3 for image in live.images}, [4, 3])
        now = Progress(
            "rounds", "threading", "Threads", 3, 6, 7, 12, 18, 49, share=0.37, seconds_left=21, elapsed=12, walls=walls,
            owned=owned,
        )  # fmt: skip
        self.store.set_progress(live.id, now)
        for state, error in (("failed", FULL_DISK), ("cancelled", None), ("interrupted", None)):
            ended = _without_results(_done(fabricated(TWO, mode="parallel", images=5)))
            ended.images += _refused(ended.images, 1)
            self._add(state, replace(ended, error=error), state=state)

    def _add(
        self, name: str, record: Record, *, state: str = "done", owner: str = "owner", seen: Visible = "link",
        created: str = "2026-03-20T10:00:00+00:00", **shown: str,
    ) -> Record:  # fmt: skip
        """A run as the runner leaves it, in the folders and in the index."""
        self._number += 1
        final = state != "queued"
        made = replace(
            record,
            id=sha256(b"%d" % self._number).hexdigest()[:32],
            state=state,
            created=created,
            finished=created if final else None,
        )
        self._give_pictures(made, results=state == "done")
        Access(owner_of(owner), seen, **shown).save(self._folder(made))
        made.save(self._folder(made))
        self.store.create(made)
        if name:
            self.paths[name] = f"/runs/{made.id}"
        return made

    def _folder(self, record: Record) -> Path:
        return self.settings.RESULTS_DIR / record.id

    def _give_pictures(self, record: Record, *, results: bool) -> None:
        """The drawn pictures to its images by turns, and what the operations made of them; the files are shared."""
        folder = self._folder(record)
        folder.mkdir(parents=True)
        for name in ("images", "previews"):
            (folder / name).symlink_to(self._pictures, target_is_directory=True)
        for image in record.good_images:
            drawn = self._drawn[image.index % len(self._drawn)]
            image.width, image.height, image.bytes, image.format = drawn.width, drawn.height, drawn.bytes, "JPEG"
            image.preview = drawn.preview
            wanted = record.settings.operations if results else []
            image.outputs = [output for output in drawn.outputs if output.operation in wanted]


def _draw(folder: Path, megapixels: float) -> Iterable[ImageRecord]:
    """A picture of each kind as a file, with what the operations make of it."""
    folder.mkdir(parents=True)
    for index in range(5):
        pixels, file = draw(index, megapixels), f"{index:04d}.jpg"
        cv2.imwrite(str(folder / file), pixels)
        height, width = pixels.shape[:2]
        image = ImageRecord(index, file, width, height, "JPEG", (folder / file).stat().st_size, preview=file)
        gray = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
        for name in DEFAULT_OPERATIONS:
            made = f"{index:04d}_{name}.png"
            cv2.imwrite(str(folder / made), OPERATIONS[name].apply(gray, parse_parameters({})))
            image.outputs.append(OutputRecord(name, made, (folder / made).stat().st_size, "0" * 64, preview=made))
        yield image


def _done(record: Record, **facts: Any) -> Record:
    """With an environment and what follows from its figures."""
    record.environment = {**environment(), "cores_usable": 2, "cores_used_by_others": 0.02, **facts}
    record.settings.parameters = parse_parameters({})
    if record.mode != "scale":  # those are derived already
        derive(record.techniques, images=record.count, megapixels=6.0)
    record.conclude()
    record.warn()
    return record


def _without_results(record: Record) -> Record:
    return replace(record, techniques=[], findings=None, best=None, warnings=[], alarms=[])


def _refused(images: list[ImageRecord], count: int) -> list[ImageRecord]:
    return [
        ImageRecord(len(images) + k, f"scan <{k}> of a page.jpg", format="JPEG", bytes=4321, error=DAMAGED)
        for k in range(count)
    ]


def _compared() -> Record:
    """Of all techniques, with one that is not there, files that were refused, warnings and an alarm."""
    record = fabricated()
    record.techniques.append(replace(GONE))
    record.images += _refused(record.images, 2)
    record.images[1].warnings = [FEW_BITS]
    made = _done(record, cores_used_by_others=0.7, cores_logical=2, **ROOFS)
    stages = next(t.stages for t in made.techniques if t.name == "sequential")
    size = 12_000_000  # of the pictures in bytes, of as many pixels
    made.memory = memory_use(
        {name: stages[name] for name in made.settings.operations}, dict.fromkeys(made.settings.operations, 2 * size),
        ROOFS["copy_bytes_per_second"], {"canny": 32.0 * size, "gaussian": 18.0 * size, "equalize": 2.0 * size},
    )  # fmt: skip
    return made


def _few(before: str) -> Record:
    """Of too few rounds for intervals, though it measures on; its energy was counted."""
    record = fabricated(images=3, rounds=3)
    record.measures_on = before
    for image in record.images:
        image.stored = f"{image.index}.jpg"
    for t in record.techniques:
        for one in t.rounds:
            one.joules = {"processor": 35 * one.wall_seconds, "memory": 3 * one.wall_seconds}
    counters = ["processor 0", "processor 1", "memory 0", "memory 1"]
    return _done(record, energy={"counters": counters, "missing": []})


def _of_items(task: TaskRecord, call: float, threads: float, processes: float) -> Record:
    """A run over items; ``call``: seconds of one, and how many times as fast the techniques are."""
    found = [
        measured("threading", "Threads", 2, 2 / threads, images=task.items, base=call * task.items),
        measured("multiprocessing", "Process pool", 2, 2 / processes, images=task.items, base=call * task.items),
        measured("sequential", "Sequential", 1, 1.0, images=task.items, base=call * task.items),
    ]
    for t in found:
        t.idle_task_seconds = 0.0001 if t.workers > 1 else 0.00001
        t.spans = [replace(span, stage="call") for span in t.spans if span.stage == "encode"]
    record = replace(fabricated(TWO, images=1), mode="compare", images=[], task=task, techniques=found)
    made = _done(record)
    derive_tasks(found, task.items, 2)
    return made


def _many() -> Record:
    """Of so many images that some of them were measured, some refused and some read with a warning."""
    record = fabricated(TWO, mode="parallel", images=1, rounds=6)
    record.images = [ImageRecord(k, f"walk {1 + k // 500:02}/photo {k}.jpg") for k in range(MANY)]
    record.images += _refused(record.images, 80)
    for image in record.images[:300:3]:
        image.warnings = [FEW_BITS]
    record.sample = list(range(0, MANY, MANY // SAMPLE))[:SAMPLE]
    derive(record.techniques, images=record.count, megapixels=6.0)
    for t in record.techniques:
        t.spans = list(_spans(t, record.sample))
    return _done(record)


def _spans(t: TechniqueMeasurement, images: list[int]) -> Iterable[SpanRecord]:
    """Of every image in the typical round, one after the other on each worker."""
    each = (t.median_seconds or 0.0) * t.workers / len(images)
    for at, index in enumerate(images):
        start = at // t.workers * each
        for stage, share in SHARES.items():
            yield SpanRecord(at % t.workers + 1, index, stage, start, start + share * each, t.typical_round)
            start += share * each


# ---------------------------------------------------------------- pages that are reached by doing something


def submitted(page: Any, action: str, name: str, value: str, kind: str = "") -> None:
    page.goto("/exhibits")
    with page.expect_navigation():
        page.evaluate(SUBMIT, [action, name, value, kind])


def choose_files(page: Any) -> None:
    """A photograph and a file that is not read here, on the form."""
    photo = {"name": "a photo.jpg", "mimeType": "image/jpeg", "buffer": jpeg(240, 160)}
    page.set_input_files("#images", [photo, {"name": "phone.heic", "mimeType": "image/heic", "buffer": b"x" * 100}])


def files_chosen(page: Any, site: Site) -> None:
    page.goto("/")
    choose_files(page)
    # A run goes on here, so nothing is tried.
    page.locator("[data-preview-say]", has_text="measured").wait_for()


def value_refused(page: Any, site: Site) -> None:
    page.goto("/")
    page.get_by_text("Advanced options").click()
    page.get_by_label("Kernel").fill("4")
    page.locator("[data-run]").click()
    page.locator("#kernel.is-invalid").wait_for()


def viewer_at_full_size(page: Any, site: Site) -> None:
    page.goto(site.paths["run, compared"])
    page.locator("[data-open]").click()
    page.get_by_role("dialog").wait_for()


def queue_full(page: Any, site: Site) -> None:
    page.goto(site.paths["exhibit"])
    with page.expect_navigation():
        page.get_by_role("button", name="Measure again").click()


#: What has to be done, in the browser, to get there.
REACHED: dict[str, Callable[[Any, Site], None]] = {
    "files chosen": files_chosen,
    "a value refused": value_refused,
    "the viewer at full size": viewer_at_full_size,
    "refused values without scripts": lambda page, _: submitted(page, "/process", "kernel", "4"),
    "no file could be used": lambda page, _: submitted(page, "/process", "images", "not a picture", "file"),
    "a preview": lambda page, _: submitted(page, "/preview", "kernel", "5"),
    "403": lambda page, site: submitted(page, f"{site.paths['run of somebody else']}/delete", "sure", "yes"),
    "405": lambda page, _: page.goto("/process"),
    "413": lambda page, site: submitted(page, f"{site.paths['run, scaled']}/share", "visible", "x" * 70_000),
    "429": queue_full,
}


def to_paper(page: Any) -> None:
    """From the form to a verdict on sample images by one click, and to its report on paper by two more."""
    page.context.add_init_script("window.print = () => { document.title = 'printed' }")
    page.get_by_role("button", name="Run with sample images").click()
    page.locator(".verdict-line").wait_for(timeout=60_000)
    page.get_by_role("link", name="Report", exact=True).click()
    page.get_by_role("button", name="Print, or save as PDF").click()
    assert page.title() == "printed"
    assert page.pdf(format="A4").startswith(b"%PDF")
