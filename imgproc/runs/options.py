"""The settings of a run: one table. Form, command line, record and README show its rows and are read by them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from imgproc.backends import TECHNIQUES
from imgproc.backends.places import AFFINITIES, OFF
from imgproc.backends.pools.processes import ProcessBackend
from imgproc.backends.schedules import SCHEDULES, USUAL
from imgproc.backends.sharing.transport import PATHS, TRANSFERS
from imgproc.errors import UserError, did_you_mean
from imgproc.measure.environment import usable_cores
from imgproc.measure.statistics import SMALLEST, Rules
from imgproc.operations import DEFAULT_OPERATIONS, OPERATIONS, PARAMETERS, parse_chain, parse_operations
from imgproc.operations.chain import SIGN
from imgproc.parameters import Parameter, Value
from imgproc.pixels.codecs import FORMATS
from imgproc.pixels.formats.depth import DEPTHS, HIGH_BYTE
from imgproc.settings import Settings

Mode = Literal["sequential", "parallel", "compare", "scale"]
MODES: tuple[Mode, ...] = get_args(Mode)
#: Most numbers of workers in one scale run.
MOST_COUNTS = 16
#: What scale mode may go through, and what that is.
OVER = {
    "workers": "workers",
    "images": "images: batch sizes",
    "megapixels": "megapixels: image sizes",
    "task": "task: how much is handed over at once",
}
#: What ``split`` may be, and what it means.
SPLITS = {"auto": "where it is faster", "never": "whole images", "always": "every image"}


@dataclass
class RunSettings:
    """What was asked for. ``workers`` counts workers of the technique; ``budget`` is in seconds.

    ``worker_counts`` and ``cv2_threads`` (OpenCV's threads in each worker) are what scale mode goes through; if it is
    ``over`` something else than workers, ``points`` are (empty: doubling up to all).
    ``transfers`` are the ways in which pixels reach worker processes, see ``TRANSFERS``. ``smallest_difference`` is in
    percent. ``guess``: the speedup that somebody expected before it was measured; 0 where nobody did.
    """

    operations: list[str]
    parameters: dict[str, Value]
    technique: str = "auto"
    techniques: list[str] = field(default_factory=list)  # of a comparison; empty: all that can run here
    workers: int = 1
    format: str = "png"
    color: bool = False
    depth: str = HIGH_BYTE
    durable: bool = False
    split: str = "auto"
    worker_counts: list[int] = field(default_factory=list)
    cv2_threads: list[int] = field(default_factory=lambda: [1])
    over: str = "workers"
    points: list[float] = field(default_factory=list)
    transfers: list[str] = field(default_factory=lambda: [PATHS])
    start_method: str | None = None
    chunk_size: int = 1
    schedule: str = USUAL
    affinity: str = OFF
    rounds: int = 6
    starts: int = 1
    budget: float = 60.0
    seed: int = 0
    smallest_difference: float = 100 * SMALLEST
    samples: int = 0
    sample_megapixels: float = 0.0
    guess: float = 0.0

    @property
    def rounds_of_start(self) -> int:
        """How many rounds each start of the workers has: of several a share, but at least two, which tell how much of
        the scatter is between starts."""
        return self.rounds if self.starts == 1 else max(2, math.ceil(self.rounds / self.starts))

    @property
    def rules(self) -> Rules:
        """How speedups and verdicts are to come about."""
        return Rules(smallest=self.smallest_difference / 100)


_DEFAULTS = RunSettings([], {})


@dataclass(frozen=True)
class Option:
    """A row of the table: one setting of a run.

    ``name`` is its field in a form, and with dashes its flag on the command line; ``also`` are other names for it,
    the last of which the command line shows first. ``attribute`` is its name in ``RunSettings`` and run.json, and its
    default is the one there, unless ``default`` works one out. A ``maximum`` that is text names a setting of the app.
    ``least`` are minima of some modes; ``suggested`` is what the form starts with where that is not the default, and
    ``commands`` are such defaults of commands. ``pixels``: what is made of an image depends on it. ``join``: choices
    may be joined by ``SIGN``; it reads such a name, given also the one that the person knows the row by.
    """

    name: str
    label: str
    kind: Literal["integer", "number", "choice", "flag", "name", "names", "counts", "numbers"]
    help: str
    group: Literal["operations", "technique", "measurement", "samples"] = "measurement"
    attribute: str = ""
    minimum: float = 0
    maximum: float | str = 0
    step: float = 1
    least: Mapping[Mode, float] = field(default_factory=dict)
    choices: Callable[[], Mapping[str, str]] = dict
    spellings: Mapping[str, str] = field(default_factory=dict)
    convert: Callable[[Any], Any] = lambda value: value
    default: Callable[[Settings], str] | None = None
    default_words: str = ""
    suggested: str | None = None
    commands: Mapping[str, str] = field(default_factory=dict)
    modes: tuple[Mode, ...] = MODES
    also: tuple[str, ...] = ()
    flag: bool = True
    parameter: Parameter | None = None
    pixels: bool = False
    join: Callable[[str, str], str] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, *self.also)

    @property
    def flags(self) -> tuple[str, ...]:
        """On the command line, the usual one first; none where it has none."""
        return tuple(flag_of(name) for name in reversed(self.names)) if self.flag else ()

    @property
    def stored(self) -> str:
        """Its name in ``RunSettings``."""
        return self.attribute or self.name

    def most(self, settings: Settings) -> float:
        """The maximum."""
        return float(getattr(settings, self.maximum) if isinstance(self.maximum, str) else self.maximum)

    def range(self, settings: Settings | None = None) -> str:
        """The allowed values in words; without settings with the name of the one that is the maximum."""
        if self.parameter:
            return self.parameter.range
        if self.kind in ("name", "names"):
            joined = f"; one after another with {SIGN}" if self.join else ""
            return ", ".join(self.choices()) + ("; several with commas" if self.kind == "names" else "") + joined
        most = self.maximum if settings is None else self.most(settings)
        numbers = f"{self.minimum:g} to {most if isinstance(most, str) else f'{most:.15g}'}"
        return f"{numbers}, with commas" if self.kind in ("counts", "numbers") else numbers

    def start(self, settings: Settings) -> str:
        """The default, as it is typed."""
        if self.default:
            return self.default(settings)
        return show(self.parameter.default if self.parameter else getattr(_DEFAULTS, self.stored))

    def parse(self, values: Sequence[str], typed: str, settings: Settings, mode: Mode | None = None) -> Any:
        """What came in, one text or several, as the value of ``RunSettings``; ``typed`` is the field or flag as the
        person knows it.

        Raises:
            UserError: it is not allowed; ``field`` is ``typed``.
        """
        text = next((value.strip() for value in reversed(values) if value.strip()), "")
        if self.kind == "counts":
            return self.convert(parse_counts(text, typed, int(self.most(settings)), self.label))
        if self.kind == "numbers":
            return self.convert(parse_numbers(text, typed, self.minimum, self.most(settings), self.label))
        if self.kind in ("name", "names"):
            parts = [text] if self.kind == "name" else [part for value in values for part in value.split(",")]
            names = [self._known(part.strip(), typed) for part in parts if part.strip()]
            return self.convert(names[0] if self.kind == "name" else list(dict.fromkeys(names)))
        if self.parameter:
            return replace(self.parameter, name=typed).parse(text)
        low = self.least.get(mode, self.minimum) if mode else self.minimum
        kind: Literal["integer", "number"] = "integer" if self.kind == "integer" else "number"
        return Parameter(typed, self.label, kind, 0, self.help, low, self.most(settings)).parse(text)

    def _known(self, name: str, typed: str) -> str:
        choices = self.choices()
        if self.join and SIGN in name:
            return self.join(name.lower(), typed)
        found = self.spellings.get(name.lower(), name.lower())
        if found not in choices:
            known = ", ".join(choices)
            hint = did_you_mean(name, choices) or f" Choose from {known}."
            raise UserError(f"{self.label} ({typed}) cannot be “{name}”.{hint}", field=typed, limit=known)
        return found

    def refill(self, values: Sequence[str], settings: Settings) -> str:
        """What the form shows again of what came in: the same in other words, or what was wrong, as it was typed."""
        try:
            return show(self.parse(values, self.name, settings))
        except UserError:
            return values[-1]


def flag_of(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def show(value: Any) -> str:
    """A value as it is typed."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list):
        return ", ".join(map(show, value))
    return "default" if value is None else f"{value:.15g}" if isinstance(value, float) else str(value)


def scale_counts(most: int) -> str:
    """The numbers of workers that scale mode goes through unless told otherwise: up to twice the cores."""
    cores = usable_cores()
    every = {1, 2, 3, 4} if cores <= 2 else {1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, cores, 2 * cores}
    return show([count for count in sorted(every) if count <= min(most, max(4, 2 * cores))])


def scale_threads() -> str:
    """OpenCV's threads in each worker that scale mode tries unless told otherwise: one, and as many as cores."""
    return show(sorted({1, usable_cores()}))


def start_methods() -> dict[str, str]:
    """All ways of starting worker processes here, the usual one first."""
    return {"default": "the usual one", **{name: name for name in ProcessBackend.capabilities.start_methods}}


def _techniques() -> dict[str, str]:
    return {"auto": "auto: the fastest by prediction", **{t.name: t.label for t in TECHNIQUES.values()}}


def _in_color() -> list[str]:
    return [operation.color for operation in OPERATIONS.values()]


_ON_OFF = {"1": "on", "true": "on", "yes": "on", "0": "off", "false": "off", "no": "off"}

#: The rows, in the order of the form. Those of the operations' own parameters are not here but in ``options()``.
TABLE: tuple[Option, ...] = (
    Option(
        "sample_count", "Images", "integer", "Pictures to draw instead of an upload.", "samples", "samples",
        minimum=1, maximum=100, default_words="none", suggested="12", also=("samples",), flag=False,
    ),
    Option(
        "sample_megapixels", "Megapixels", "number", "Size of each drawn picture.", "samples",
        minimum=0.1, maximum=24, step=0.1, default_words="none", suggested="3", flag=False,
    ),
    Option(
        "operations", "Operations", "names", "What is done to each image.", "operations",
        choices=lambda: {o.name: o.label for o in OPERATIONS.values()},
        convert=lambda names: list(parse_operations(names)), pixels=True, join=parse_chain,
        default=lambda _: ",".join(DEFAULT_OPERATIONS),
    ),
    Option(
        "technique", "Technique", "name", "How the work is spread over the cores.", "technique",
        choices=_techniques, modes=("parallel", "scale"),
    ),
    Option(
        "techniques", "Techniques", "names", "Those to compare; auto: all that can run here but antipatterns.",
        "technique", choices=_techniques, convert=lambda names: [name for name in names if name != "auto"],
        modes=("compare",), default_words="all", also=("technique",),
    ),
    Option(
        "workers", "Workers", "integer", "Workers of the technique.", "technique", minimum=1, maximum="MAX_WORKERS",
        default=lambda settings: str(min(usable_cores(), settings.MAX_WORKERS)), default_words="the cores there are",
        modes=("parallel", "compare"),
    ),
    Option(
        "worker_list", "Worker counts", "counts", "Numbers of workers to measure.", "technique", "worker_counts",
        1, "MAX_WORKERS", default=lambda settings: scale_counts(settings.MAX_WORKERS),
        default_words="up to twice the cores", modes=("scale",), also=("workers",),
    ),
    Option(
        "cv2_threads", "OpenCV threads in each", "counts", "OpenCV’s own threads in each worker; 1 alone: no grid.",
        "technique", "", 1, "MAX_WORKERS", default=lambda _: scale_threads(), default_words="1 and the cores there are",
        modes=("scale",),
    ),
    Option(
        "over", "Scale over", "name",
        "What grows. images: how many of them a round has; megapixels: how large each is, as a part cut from its "
        "middle; task: how many of all a worker process is handed at once (auto is multiprocessing then). The run "
        "tells from how much on parallel pays, with the most workers that have a core each; of images and megapixels, "
        "where several numbers of workers are named, also how much more each of them needs (isoefficiency).",
        "technique",
        choices=lambda: OVER, modes=("scale",),
    ),
    Option(
        "points", "Points", "numbers",
        "Batch sizes in images, image sizes in megapixels, or images handed over at once, if it is over these.",
        "technique", minimum=0.001, maximum=100_000, default_words="doubling, up to all", modes=("scale",),
    ),
    Option(
        "guess", "Your guess of the speedup", "number",
        "How many times as fast as sequential the best will be; the run says how near the guess was. 0: no guess.",
        "technique", maximum=1000, step=0.1, modes=("parallel", "compare", "scale"),
    ),
    Option(
        "rounds", "Rounds", "integer", "Measured rounds; from 6 on there is a 95\u00a0% interval.",
        minimum=1, maximum=100,
    ),
    Option(
        "starts", "Starts", "integer",
        "How often the workers are made anew, among which the rounds are shared out, two each at least; of several, "
        "intervals from 4 on.", minimum=1, maximum=50,
    ),
    Option(
        "budget", "Time budget, seconds", "number",
        "Measuring stops here, but rounds have half of it however long warm-ups take; the images are done in any "
        "case. 0: none.",
        maximum=86_400, least={"compare": 1, "scale": 1}, commands={"process": "3"},
    ),
    Option(
        "smallest_difference", "Smallest difference that matters, percent", "number",
        "“Faster” and “slower” are by more than this.", maximum=50, step=0.1,
    ),
    Option("seed", "Seed", "integer", "Order of the rounds; recorded. 0: random.", maximum=2**31 - 1),
    Option(
        "format", "Output format", "name", "Of the results; PNG is exact and the fastest here.",
        choices=lambda: {f.name: f.label for f in FORMATS.values()}, spellings={"jpg": "jpeg"},
    ),
    Option(
        "color", "Colour", "name",
        " ".join(["Keep colours, which takes three times as long to decode.", *filter(None, _in_color())]),
        choices=lambda: {"off": "gray", "on": "colour"}, convert=lambda name: name == "on", pixels=True,
        spellings={**_ON_OFF, "color": "on", "colour": "on", "gray": "off", "grey": "off"},
    ),
    Option(
        "depth", "Depth", "name", "How samples of more than 8 bits become 8.",
        choices=lambda: {name: f"{name}: {what}" for name, what in DEPTHS.items()}, pixels=True,
        spellings={spelling: name for name in DEPTHS for spelling in (name.replace(" ", "-"), name.replace(" ", "_"))},
    ),
    Option(
        "durable", "Durable results", "name",
        "Wait until the disk has each result (fsync of file and folder), within the measured time; else the system "
        "writes it later.", choices=lambda: {"off": "handed to the system", "on": "on the disk"},
        convert=lambda name: name == "on", spellings=_ON_OFF,
    ),
    Option(
        "split", "Strips of one image", "name", "Same pixels; lets all workers share a large image.",
        choices=lambda: {name: f"{name}: {what}" for name, what in SPLITS.items()},
    ),
    Option(
        "transfer", "Transfer to processes", "names", "How pixels reach worker processes; arrays are the textbook way.",
        attribute="transfers", choices=lambda: {name: transfer.label for name, transfer in TRANSFERS.items()},
    ),
    Option(
        "start_method", "Start of processes", "name", "Of workers; fork can hang once OpenCV’s own threads have run.",
        choices=start_methods, convert=lambda name: None if name == "default" else name, default_words="default",
    ),
    Option("chunk_size", "Chunk size", "integer", "Images that a process is handed at once.", minimum=1, maximum=1000),
    Option(
        "schedule", "Schedule", "name", "Who gets which image, where a technique lets that be chosen.",
        choices=lambda: {name: f"{name}: {schedule.what}" for name, schedule in SCHEDULES.items()},
        modes=("parallel", "compare", "scale"),
    ),
    Option(
        "affinity", "Affinity", "name", "Workers pinned to cores, where a technique can; on Linux.",
        choices=lambda: {name: f"{name}: {what}" for name, what in AFFINITIES.items()},
        modes=("parallel", "compare", "scale"),
    ),
)  # fmt: skip


def options() -> dict[str, Option]:
    """Every row by its name, with those of the parameters of all operations."""
    own = (
        Option(
            p.name, p.label, p.kind, p.help, "operations", "parameters", p.minimum, p.maximum, p.step,
            parameter=p, pixels=True,
        )
        for p in PARAMETERS.values()
    )  # fmt: skip
    return {option.name: option for option in (*TABLE, *own)}


def names() -> set[str]:
    """Every name by which a setting may be given."""
    return {name for option in options().values() for name in option.names}


def parse_counts(value: str, typed: str, most: int, label: str = "") -> list[int]:
    """Whole numbers with commas between them, in order, each once.

    Args:
        typed: the field or flag; errors name a flag as it is, and a field by its ``label``, as the form does.

    Raises:
        UserError: there is none, too many, or one that is not from 1 to ``most``.
    """
    found, said = set(), typed if typed.startswith("-") else label or typed
    for part in re.split(r"[,;\s]+", value.strip(" ,;")):
        if not part.isascii() or not part.isdigit() or not 1 <= int(part) <= most:
            wanted = f"whole numbers from 1 to {most} with commas between them, such as 1, 2, 4"
            raise UserError(f"{said} must be {wanted}; “{part}” is not.", field=typed, limit=most)
        found.add(int(part))
    if len(found) > MOST_COUNTS:
        raise UserError(f"{said} may hold up to {MOST_COUNTS} numbers, not {len(found)}.", field=typed)
    return sorted(found)


def parse_numbers(value: str, typed: str, least: float, most: float, label: str = "") -> list[float]:
    """Numbers with commas between them, in order, each once; none of an empty text.

    Raises:
        UserError: there are too many, or one is not from ``least`` to ``most``.
    """
    found, said = set(), typed if typed.startswith("-") else label or typed
    for part in filter(None, re.split(r"[,;\s]+", value.strip(" ,;"))):
        number = float(part) if _NUMBER.fullmatch(part) else math.nan
        if not least <= number <= most:
            wanted = f"numbers from {least:g} to {most:.15g} with commas between them, such as 1, 2, 4"
            raise UserError(f"{said} must be {wanted}; “{part}” is not.", field=typed, limit=most)
        found.add(number)
    if len(found) > MOST_COUNTS:
        raise UserError(f"{said} may hold up to {MOST_COUNTS} numbers, not {len(found)}.", field=typed)
    return sorted(found)


_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
