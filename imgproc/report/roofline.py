"""The roofline of a run in words: what bounds each operation, and with what doubt."""

from __future__ import annotations

from collections.abc import Iterator

from imgproc.backends import BASELINE, TECHNIQUES
from imgproc.measure.results import TechniqueMeasurement
from imgproc.measure.roofline import NARROW, Roof, Spot, roofs, spots
from imgproc.numbers import NBSP, counted, listed, percent
from imgproc.report.sentences import spoken
from imgproc.runs.record import Record

#: Below this share of its roof neither memory nor arithmetic is what holds an operation up.
_NEAR = 0.5


def found(record: Record) -> tuple[list[Spot], Roof, Roof] | None:
    """The measured operations, the roof of one thread and that of all cores; None where the run does not know them."""
    cores = record.environment.get("cores_usable")
    both = roofs(record.environment, cores if isinstance(cores, int) and cores > 0 else 1)
    if both is None:
        return None
    made = spots(record.memory, *both, technique(record))
    return (made, *both) if made else None


def technique(record: Record) -> TechniqueMeasurement | None:
    """The run's, where several workers or threads of the CPU did the operations, each on a core of its own."""
    t, cores = record.technique, record.environment.get("cores_usable")
    if t is None or t.name == BASELINE or t.name not in TECHNIQUES or t.workers < 2 or t.cv2_threads != 1:
        return None
    on_cpu = TECHNIQUES[t.name].load().capabilities.memory != "device"
    return t if on_cpu and isinstance(cores, int) and t.workers <= cores else None


def sentences(record: Record) -> Iterator[str]:
    """What the roofs are, what bounds each operation on one core, and how sure that is; none where it is not known."""
    known = found(record)
    if known is None:
        return
    made, one, every = known
    yield (
        f"Roofline: one core copies {_rate(one.copied, 'B')} and does {_rate(one.peak, 'operations')}, all "
        f"{counted(every.threads, 'core')} {_rate(every.copied, 'B')} and {_rate(every.peak, 'operations')}, which are "
        "sums and products of 32-bit numbers in the cache, of a product of matrices. Below "
        f"{per_byte(one.ridge)} operations for each byte memory is the lower roof of one core, above it arithmetic."
    )
    yield " ".join([*_alone([spot for spot in made if spot.technique == BASELINE]), *_together(made)])
    left = [use.operation for use in record.memory if use.counted <= 0]
    yield (
        "Operations are counted by the definition of each, not by what the processor did, and bytes as if each image "
        "and result went through memory once: pixels still in the cache let a point lie above the slope, and numbers "
        f"of 8 bits, of which a vector holds {NARROW} times as many, above the level roof."
        + (f" Not counted: {listed(left)}." if left else "")
    )


def _alone(mine: list[Spot]) -> Iterator[str]:
    """Of each operation on one core."""
    yield f"On one core {'; '.join(map(_of, mine))}."
    if near := [spot for spot in mine if spot.reached >= _NEAR]:
        yield f"At half of their roof or nearer to it: {listed([spot.operation for spot in near])}."
    else:
        yield (
            "None reaches half of its roof, so on one core neither bandwidth nor arithmetic alone holds them up; what "
            "else there is, such as waiting for look-ups, branches and other instructions, this figure does not show."
        )


def _together(made: list[Spot]) -> Iterator[str]:
    """Of those that the run's technique shared out."""
    if others := [spot for spot in made if spot.technique != BASELINE]:
        shares = [f"{percent(spot.reached)} for {spot.operation}" for spot in others]
        yield f"With {spoken(others[0].technique)}, of the roof of all cores: {listed(shares)}."


def _of(spot: Spot) -> str:
    by = {
        "memory": "memory is its lower roof",
        "arithmetic": "arithmetic is its lower roof",
        "either": "either may be its lower roof",
    }[spot.bound]
    does = f"{spot.operation} does {per_byte(spot.intensity)} for each byte"
    return f"{does} ({by}) and reaches {percent(spot.reached)} of its roof"


def per_byte(value: float) -> str:
    """Operations for each byte, with three digits."""
    return f"{value:.3g}" if value < 999.5 else f"{value:,.0f}"


def _rate(value: float, of: str) -> str:
    if of == "B":
        return f"{value / 1e9:.3g}{NBSP}GB/s"
    return f"{value / 1e9:.3g}{NBSP}billion {of} a second"
