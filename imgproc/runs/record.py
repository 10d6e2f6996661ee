"""run.json: the portable record of one run. Scripts outside the project rely on its names."""

from __future__ import annotations

import json
import math
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal

from imgproc.errors import UserError
from imgproc.files import write_whole
from imgproc.measure.alarms import OF_LITTLE_WORK, Alarm, alarms_of_run, of_items
from imgproc.measure.bounds import MemoryUse
from imgproc.measure.curves import Scaling
from imgproc.measure.findings import Findings, findings
from imgproc.measure.granularity import Granularity
from imgproc.measure.results import TechniqueMeasurement
from imgproc.measure.statistics import FIRST_RULES, Rules
from imgproc.operations import OPERATIONS, PARAMETERS
from imgproc.parameters import Value
from imgproc.runs.options import Mode as Mode
from imgproc.runs.options import RunSettings as RunSettings
from imgproc.runs.serialization import from_plain, json_pieces, to_plain

SCHEMA = 1

#: ``checking``: its files are being vetted, after which it is queued.
State = Literal["checking", "queued", "running", "done", "failed", "cancelled", "interrupted"]
#: What ``forget_results`` keeps.
_KEPT = {
    "id", "mode", "settings", "images", "state", "created", "started", "finished", "error", "environment", "exhibit",
    "measures_on",
}  # fmt: skip
FINAL_STATES: tuple[State, ...] = ("done", "failed", "cancelled", "interrupted")


def now() -> str:
    """The time as records write it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def new_id() -> str:
    """The id of a new run: 128 random bits, as its link is what lets others see it. Earlier versions had 48."""
    return secrets.token_hex(16)


@dataclass
class OutputRecord:
    """One output file; ``file`` is its name in the run's folder ``images`` (or in the command line's folder),
    ``preview`` a file in the folder ``previews``, and ``shown`` how much of that shows something: the share of its
    pixels, from 0 to 1, that are not of its most common gray."""

    operation: str
    file: str
    bytes: int = 0
    pixels_sha256: str | None = None
    preview: str | None = None
    shown: float | None = None


@dataclass
class ImageRecord:
    """One input: ``name`` as the user knows it, ``stored`` as it lies in the run's upload folder.

    ``width`` and ``height`` are upright, in pixels; ``format`` is the type by content (JPEG, PNG, …);
    ``sha256`` is that of the file, once it was measured on;
    ``error`` says why it was refused or what failed, ``code`` is that of ``UserError``; ``preview`` is a file
    in the folder ``previews``. ``warnings`` are sentences about how it was read where its results are there, such as
    that only some of its bits were used. ``folder`` is the one, within that of the results, in which its outputs are,
    as their names say too; empty where files have none.
    """

    index: int
    name: str
    width: int = 0
    height: int = 0
    format: str = ""
    bytes: int = 0
    error: str | None = None
    code: str | None = None
    outputs: list[OutputRecord] = field(default_factory=list)
    stored: str = ""
    preview: str | None = None
    warnings: list[str] = field(default_factory=list)
    sha256: str | None = None
    folder: str = ""

    @property
    def megapixels(self) -> float:
        return self.width * self.height / 1e6

    def megapixels_of(self, operation: str, settings: RunSettings) -> float:
        """Of the result of an operation that there is here."""
        return math.prod(OPERATIONS[operation].size(self.height, self.width, settings.parameters)) / 1e6


@dataclass
class OtherPixels:
    """How a result of a technique differed from the baseline's: in ``pixels`` of ``of``, in rows ``bands``, the first
    and last of each group of neighbouring rows, from 0. In the folder ``previews``: ``picture``, the result with these
    pixels marked, and ``detail``, a part of it at full size above the same part as it should be; None without previews.
    """

    technique: str
    image: int
    operation: str
    pixels: int
    of: int
    bands: list[list[int]] = field(default_factory=list)
    picture: str | None = None
    detail: str | None = None


@dataclass
class FailedItem:
    """An item of a user's own function of which there is no result, by its place in the iterable: why, in words, and
    the traceback of the function where it raised."""

    index: int
    error: str
    traceback: str = ""


@dataclass
class TaskRecord:
    """What a run over items was about, where it was not images.

    ``function``: its name; ``exhibit``: that of the exhibit it is from, empty for a function of a user's own. ``same``:
    how results were compared. ``cannot_travel``: why it or an item cannot be sent to other processes; empty where they
    can. ``module`` and ``file``: where the function stands, by their names alone. ``function_sha256``: of its source
    and of what is bound to it; ``file_sha256``: of all that stands in its file. ``items_sha256`` and
    ``results_sha256``: of what each item holds, and of the baseline's result of it. They are None, or missing, where
    there is no telling.
    ``failed``: items that ended or outlasted a worker, and were left out. ``raised``: those for which the function
    raises, which all techniques do alike.
    """

    function: str
    items: int
    same: str = "identical"
    cannot_travel: str = ""
    failed: list[FailedItem] = field(default_factory=list)
    raised: list[FailedItem] = field(default_factory=list)
    exhibit: str = ""
    module: str = ""
    file: str = ""
    function_sha256: str | None = None
    file_sha256: str | None = None
    items_sha256: list[str | None] = field(default_factory=list)
    results_sha256: list[str | None] = field(default_factory=list)

    @property
    def name(self) -> str:
        """As the index knows it: gil/pure_python, or the function's name alone."""
        return f"{self.exhibit}/{self.function}" if self.exhibit else self.function


def png_megapixels(images: Sequence[ImageRecord], settings: RunSettings) -> float:
    """Megapixels of results of more than one bit per pixel that a pass over the images writes as PNG."""
    if settings.format != "png":
        return 0.0
    written = [name for name in settings.operations if not OPERATIONS[name].bilevel]
    return sum(image.megapixels_of(name, settings) for image in images for name in written)


@dataclass
class Again:
    """One technique in both runs. ``agrees``: the speedup of one run lies inside the interval of the other; None where
    neither has an interval. ``reason``: why there is none now."""

    technique: str
    before: float | None = None
    before_ci95: list[float] | None = None
    now: float | None = None
    now_ci95: list[float] | None = None
    agrees: bool | None = None
    reason: str | None = None


@dataclass
class Difference:
    """A fact of the environment that is another one, by the path of its names."""

    fact: str
    before: Any = None
    now: Any = None


@dataclass
class Repetition:
    """``repetition`` in run.json: what a run that repeats another one found of it.

    ``of``: the id of that one. ``function``: of a run over items, whether it is the same by its source, and ``file``
    whether all that stands in its file is; None where there is no telling. ``inputs``: how many files, or items, both
    went over; ``hashed``: of how many the SHA-256 was known
    and is the same. ``results``: how many of the results could be compared, ``other_pixels`` those that differ.
    ``reproduced``: the function, the results and all speedups with intervals agree.
    """

    of: str
    function: bool | None = None
    file: bool | None = None
    inputs: int = 0
    hashed: int = 0
    results: int = 0
    other_pixels: list[str] = field(default_factory=list)
    speedups: list[Again] = field(default_factory=list)
    environment: list[Difference] = field(default_factory=list)
    reproduced: bool = False


@dataclass
class Untried:
    """What a technique that a run did not measure was expected to take with so many workers, in ``seconds`` from the
    start of its workers to the last file. ``measured``: by measurements on this machine, else by another one's."""

    technique: str
    workers: int
    seconds: float
    measured: bool = False


@dataclass
class Record:
    """One run, whole. ``to_dict`` is run.json; ``from_dict`` reads it back.

    ``techniques`` all did the same work. ``weak`` are those of scale mode whose work grew with their workers, with
    scaled speedups; ``scaling`` is what follows from both, ``findings`` what the run found in the end. ``points`` are
    those of scale mode over more and more work that had less than all, or all handed over otherwise; ``granularity`` is
    what follows. ``task``:
    where it was about a user's own function over items; there are no images then. ``warnings``, here and of
    techniques, are the texts of ``alarms`` and of whatever else happened. ``command`` is what was typed, if it was;
    ``repetition`` what the run found of the one that it repeats. ``memory``: what its operations must move.
    ``exhibit``: of which exhibit, and which part of it, a run over pictures is (``borders/with``).
    ``other_pixels``: of the first few results that differed from the baseline's, in what. ``measures_on``: the id of
    the run whose images, those of its ``sample``, settings and techniques are measured for longer, see ``longer.py``.
    ``untried``: of the techniques that a parallel run did not measure, those that were expected to take less time than
    its own, the quickest first; None where nothing was expected of them.
    """

    id: str
    mode: Mode
    settings: RunSettings
    images: list[ImageRecord] = field(default_factory=list)
    state: State = "queued"
    created: str = field(default_factory=now)
    started: str | None = None
    finished: str | None = None
    error: str | None = None
    environment: dict[str, Any] = field(default_factory=dict)
    techniques: list[TechniqueMeasurement] = field(default_factory=list)
    weak: list[TechniqueMeasurement] = field(default_factory=list)
    scaling: Scaling | None = None
    points: list[TechniqueMeasurement] = field(default_factory=list)
    granularity: Granularity | None = None
    sample: list[int] | None = None
    warnings: list[str] = field(default_factory=list)
    alarms: list[Alarm] = field(default_factory=list)
    best: str | None = None
    advice: str = ""
    findings: Findings | None = field(default=None, compare=False)
    task: TaskRecord | None = None
    command: str | None = None
    repetition: Repetition | None = None
    memory: list[MemoryUse] = field(default_factory=list)
    exhibit: str = ""
    other_pixels: list[OtherPixels] = field(default_factory=list)
    measures_on: str = ""
    untried: list[Untried] | None = None

    @property
    def of_exhibit(self) -> str:
        """Which exhibit it is of and which part of it, over items or over pictures; empty for any other run."""
        return self.task.name if self.task and self.task.exhibit else self.exhibit

    @property
    def good_images(self) -> list[ImageRecord]:
        return [image for image in self.images if image.error is None]

    @property
    def measured_images(self) -> list[ImageRecord]:
        """Those that the rounds go over: all, or the sample."""
        sample = set(self.sample or ())
        return [image for image in self.good_images if not sample or image.index in sample]

    @property
    def good_items(self) -> list[int]:
        """The places of the items that take part, in a run over items."""
        failed = {one.index for one in self.task.failed} if self.task else set()
        return [index for index in range(self.task.items if self.task else 0) if index not in failed]

    @property
    def count(self) -> int:
        """How many images or items the rounds go over."""
        return len(self.sample) if self.sample else self.total

    @property
    def unit(self) -> str:
        """What the run is over, in words."""
        return "item" if self.task else "image"

    @property
    def total(self) -> int:
        """How many images or items the run is over, without those that failed."""
        return len(self.good_items if self.task else self.good_images)

    @property
    def megapixels(self) -> float:
        return sum(image.megapixels for image in self.good_images)

    @property
    def measurements(self) -> list[TechniqueMeasurement]:
        """All, whatever work they did."""
        return [*self.techniques, *self.weak, *self.points]

    @property
    def technique(self) -> TechniqueMeasurement | None:
        """The technique the run is about, see ``Findings``."""
        label = self.found.technique
        return next((t for t in self.techniques if t.label == label), None)

    @property
    def found(self) -> Findings:
        """What the run found: worked out when it ended; what is there so far, if it has not."""
        return self.findings or self._findings(self.rules)

    @property
    def rules(self) -> Rules:
        """How its speedups and verdicts come about: as it says itself, or as it was asked for."""
        return self.findings.rules if self.findings else self.settings.rules

    def conclude(self, rules: Rules | None = None) -> None:
        """Work out what the measurements say, once all that ``derive`` fills is there by the same rules; by default
        those that were asked for."""
        self.findings = self._findings(rules or self.settings.rules)
        self.best = self.findings.best

    def _findings(self, rules: Rules) -> Findings:
        return findings(self.mode, self.techniques, self.weak, self.scaling, rules, self.points)

    def raised_alarms(self) -> list[Alarm]:
        """The alarms that its measurements raise."""
        if "cores_used_by_others" not in self.environment:  # nothing was measured but the results' own pass
            return []
        raise_for = partial(alarms_of_run, environment=self.environment, smallest=self.rules.smallest)
        asked_for = ["oversubscribed"] if self.mode == "scale" else []  # on purpose, marked where it stands
        found = raise_for([*self.techniques, *self.weak], images=self.count, ignored=asked_for)
        for m in self.points:
            found += [
                alarm for alarm in raise_for([m], images=m.images or self.count, ignored=OF_LITTLE_WORK) if alarm.who
            ]
        return [of_items(alarm) for alarm in found] if self.task else found

    def warn(self) -> None:
        """Note the alarms, as data and as warnings: of the machine once, of a technique with its own figures."""
        self.alarms = self.raised_alarms()
        of_label = {m.label: m.warnings for m in self.measurements}
        for alarm in self.alarms:
            of_label.get(alarm.who, self.warnings).append(alarm.text)

    def complete(self) -> None:
        """Fill what a record of an earlier version does not have: what it found, and its warnings as data."""
        written = {*self.warnings, *(text for t in self.measurements for text in t.warnings)}
        self.alarms = [alarm for alarm in self.raised_alarms() if alarm.text in written]
        self.conclude(FIRST_RULES)

    @property
    def seconds(self) -> float | None:
        """How long the technique took for all images: the median round, or where only a sample was measured
        the pass that made the results, if this technique made them; else the median round over the sample."""
        technique = self.technique
        if technique is None:
            return None
        made = self.sample and technique.first_round_images == len(self.good_images)
        return technique.first_round_seconds if made else technique.median_seconds

    def forget_results(self) -> None:
        """Only what was asked for is left, and how the run stands."""
        empty = Record(self.id, self.mode, self.settings)
        if task := self.task:
            empty.task = TaskRecord(task.function, task.items, task.same, exhibit=task.exhibit)
        for name in vars(self).keys() - _KEPT - ({"sample"} if self.measures_on else set()):
            setattr(self, name, getattr(empty, name))
        for image in self.images:
            image.outputs, image.warnings = [], []
            if image.stored:  # it was accepted; what failed then may go well the next time
                image.error = image.code = None

    def to_dict(self) -> dict[str, Any]:
        record = to_plain(self)
        settings = record["settings"]
        # The parameters stand beside the other settings, as DESIGN's schema has them.
        record["settings"] = {**settings.pop("parameters"), **settings}
        return {"schema": SCHEMA, **record}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Record:
        """Read a run.json, also one of an older or newer version: parameters and settings that it does not have are
        at their defaults.

        Raises:
            UserError: the data is not a run.json of this schema.
        """
        try:
            if data["schema"] != SCHEMA:
                raise UserError(f"This run.json has schema {data['schema']}; this version reads {SCHEMA}.")
            settings = data["settings"]
            known = {key: [_renamed(t) for t in data.get(key, ())] for key in ("techniques", "weak")}
            record = from_plain(cls, {**data, **known, "settings": {**settings, "parameters": _parameters(settings)}})
            if record.findings is None and record.state in FINAL_STATES:
                record.complete()
            return record
        except (KeyError, TypeError, AttributeError) as problem:
            raise UserError("This is not a run.json that this version can read.", code="bad_parameter") from problem

    def save(self, folder: Path) -> None:
        """Write run.json into the folder by atomic rename."""
        folder.mkdir(parents=True, exist_ok=True)
        self.write(folder / "run.json")

    def write(self, file: Path) -> None:
        """Write the same into any file. Raises: OSError: it cannot be written."""
        write_whole(file, *(piece.encode() for piece in json_pieces(self.to_dict())), b"\n")

    @classmethod
    def load(cls, folder: Path) -> Record:
        """Raises: UserError: there is no readable run.json in the folder."""
        try:
            data = json.loads((folder / "run.json").read_bytes())
        except (OSError, ValueError):
            raise UserError("This run has no readable record.", code="not_found") from None
        return cls.from_dict(data)


def _renamed(technique: dict[str, Any]) -> dict[str, Any]:
    """A technique's part of a record, of a version too in which an antipattern was called an exhibit."""
    return {"antipattern": technique.get("exhibit", False), **technique}


def _parameters(settings: dict[str, Any]) -> dict[str, Value]:
    """Every parameter of every operation, and those of operations that another version had."""
    own = {field.name for field in fields(RunSettings)}
    others = {name: value for name, value in settings.items() if name not in own and isinstance(value, Value)}
    return {**{name: parameter.default for name, parameter in PARAMETERS.items()}, **others}
