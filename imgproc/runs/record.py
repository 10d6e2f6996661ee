"""run.json: the portable record of one run. Scripts outside the project rely on its names."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

from imgproc.backends import BASELINE
from imgproc.errors import UserError
from imgproc.files import write_whole
from imgproc.measure.curves import Scaling
from imgproc.measure.results import TechniqueMeasurement
from imgproc.runs.options import Mode as Mode
from imgproc.runs.options import RunSettings as RunSettings

SCHEMA = 1

State = Literal["queued", "running", "done", "failed", "cancelled", "interrupted"]
FINAL_STATES: tuple[State, ...] = ("done", "failed", "cancelled", "interrupted")


@dataclass
class OutputRecord:
    """One output file; ``file`` is its name in the run's folder ``images`` (or in the command line's folder),
    ``preview`` a file in the folder ``previews``."""

    operation: str
    file: str
    bytes: int = 0
    pixels_sha256: str | None = None
    preview: str | None = None


@dataclass
class ImageRecord:
    """One input: ``name`` as the user knows it, ``stored`` as it lies in the run's upload folder.

    ``width`` and ``height`` are upright, in pixels; ``format`` is the type by content (JPEG, PNG, …);
    ``error`` says why it was refused or what failed, ``code`` is that of ``UserError``; ``preview`` is a file
    in the folder ``previews``.
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

    @property
    def megapixels(self) -> float:
        return self.width * self.height / 1e6


@dataclass
class Record:
    """One run, whole. ``to_dict`` is run.json; ``from_dict`` reads it back.

    ``techniques`` all did the same work. ``weak`` are those of scale mode whose work grew with their workers, with
    scaled speedups; ``scaling`` is what follows from both.
    """

    id: str
    mode: Mode
    settings: RunSettings
    images: list[ImageRecord] = field(default_factory=list)
    state: State = "queued"
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="milliseconds"))
    owner: str = ""
    started: str | None = None
    finished: str | None = None
    error: str | None = None
    environment: dict[str, Any] = field(default_factory=dict)
    techniques: list[TechniqueMeasurement] = field(default_factory=list)
    weak: list[TechniqueMeasurement] = field(default_factory=list)
    scaling: Scaling | None = None
    sample: list[int] | None = None
    warnings: list[str] = field(default_factory=list)
    best: str | None = None
    advice: str = ""

    @property
    def good_images(self) -> list[ImageRecord]:
        return [image for image in self.images if image.error is None]

    @property
    def megapixels(self) -> float:
        return sum(image.megapixels for image in self.good_images)

    @property
    def technique(self) -> TechniqueMeasurement | None:
        """The technique the run is about: the best of a comparison, else the one asked for, else the baseline."""
        measured = [t for t in self.techniques if t.available and t.median_seconds is not None]
        if self.scaling and (best := [t for t in measured if t.label == self.scaling.best]):
            return best[0]
        others = [t for t in measured if t.name != BASELINE]
        if self.mode in ("compare", "scale"):
            others = [t for t in measured if t.name == self.best] or others
            others.sort(key=lambda t: t.median_seconds or 0.0)
        return next(iter(others or measured), None)

    @property
    def seconds(self) -> float | None:
        """How long the technique took for all images: the median round, or where only a sample was measured
        the pass that made the results, if this technique made them; else the median round over the sample."""
        technique = self.technique
        if technique is None:
            return None
        made = self.sample and technique.first_round_images == len(self.good_images)
        return technique.first_round_seconds if made else technique.median_seconds

    def to_dict(self) -> dict[str, Any]:
        record = _plain(self)
        settings = record["settings"]
        # The parameters stand beside the other settings, as DESIGN's schema has them.
        record["settings"] = {**settings.pop("parameters"), **settings}
        return {"schema": SCHEMA, **record}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Record:
        """Raises: UserError: the data is not a run.json of this schema."""
        try:
            if data["schema"] != SCHEMA:
                raise UserError(f"This run.json has schema {data['schema']}; this version reads {SCHEMA}.")
            values = {name: data[name] for name in _names(cls) if name in data}
            settings = data["settings"]
            own = {name: settings[name] for name in _names(RunSettings) if name in settings}
            own["parameters"] = {k: v for k, v in settings.items() if k not in own}
            values["settings"] = RunSettings(**own)
            values["images"] = [
                ImageRecord(
                    **{
                        **_only(ImageRecord, i),
                        "outputs": [OutputRecord(**_only(OutputRecord, o)) for o in i["outputs"]],
                    }
                )
                for i in data["images"]
            ]
            values["techniques"] = [TechniqueMeasurement.from_dict(t) for t in data["techniques"]]
            values["weak"] = [TechniqueMeasurement.from_dict(t) for t in data.get("weak", [])]
            values["scaling"] = Scaling.from_dict(data["scaling"]) if data.get("scaling") else None
            return cls(**values)
        except (KeyError, TypeError, AttributeError) as problem:
            raise UserError("This is not a run.json that this version can read.", code="bad_parameter") from problem

    def save(self, folder: Path) -> None:
        """Write run.json into the folder by atomic rename."""
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / "run.json", json.dumps(self.to_dict(), ensure_ascii=False, indent=1).encode())

    @classmethod
    def load(cls, folder: Path) -> Record:
        """Raises: UserError: there is no readable run.json in the folder."""
        try:
            data = json.loads((folder / "run.json").read_bytes())
        except (OSError, ValueError):
            raise UserError("This run has no readable record.", code="not_found") from None
        return cls.from_dict(data)


T = TypeVar("T")


def _plain(value: Any) -> Any:
    """As ``dataclasses.asdict``, but what cannot be changed is not copied: a record may hold 100,000 spans."""
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if is_dataclass(value):
        return {name: _plain(one) for name, one in vars(value).items()}
    return value


def _names(kind: type) -> list[str]:
    return [f.name for f in fields(kind)]


def _only(kind: type, data: dict[str, Any]) -> dict[str, Any]:
    return {name: data[name] for name in _names(kind) if name in data}
