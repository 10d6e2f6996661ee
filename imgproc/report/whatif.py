"""A law of scaling laid over the points of a run, for a serial share and a number of workers that somebody chooses: the
fields, what is said, the points as a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from imgproc.backends import BASELINE, TECHNIQUES
from imgproc.errors import UserError
from imgproc.measure.results import TechniqueMeasurement
from imgproc.measure.whatif import AMDAHL, Basis, Miss, WhatIf, of_one, of_scaling
from imgproc.numbers import NBSP, counted, exact_percent, percent, rate, spelled, spelled_times, times, times_interval
from imgproc.parameters import Parameter, Value
from imgproc.report.scale import many, unit
from imgproc.runs.record import Record

#: The most workers that may be asked about.
MOST_WORKERS = 1024
#: By which factor the workers to begin with are more than the most measured.
_MORE = 4
#: A point is on the law's line if it is no farther from it than rounding shows.
_ON = 0.0005
NAMES = {"amdahl": "Amdahl’s law", "gustafson": "Gustafson’s law"}
#: What each law calls the share, and is about.
_ABOUT = {
    "amdahl": "the share of the work that only one worker can do, while the work stays the same",
    "gustafson": "the share of a round’s time in which only one worker can work, while the work grows with the workers",
}


@dataclass(frozen=True)
class Said:
    """``formula``: the law with the chosen values; ``notes``: what the prediction supposes."""

    headline: str
    formula: str
    limit: str
    distance: str
    notes: list[str]

    @property
    def sentences(self) -> list[str]:
        return [self.headline, self.formula, self.limit, self.distance, *self.notes]


def bases(record: Record) -> dict[str, Basis]:
    """By law, the points to lay it over; none where no speedup of more than one worker was measured on a CPU."""
    if record.scaling:
        return of_scaling(record.scaling)
    if record.mode == "scale":  # over amounts of work, with one number of workers
        return {}
    cores = record.environment.get("cores_usable")
    main = record.technique
    shown = [main] if main and _has_workers(main) else []
    shown += sorted((t for t in record.techniques if _has_workers(t)), key=lambda t: -(t.speedup or 0.0))
    return of_one(shown[0], cores) if shown else {}


def _has_workers(t: TechniqueMeasurement) -> bool:
    known = t.name in TECHNIQUES and TECHNIQUES[t.name].load().capabilities.memory != "device"
    return known and t.name != BASELINE and t.threads > 1 and t.speedup is not None


def fields(found: Mapping[str, Basis], law: str) -> list[Parameter]:
    """What can be chosen, with ``law`` one of those found."""
    basis = found[law]
    start = round(100 * basis.start, 2)
    workers = min(MOST_WORKERS, _MORE * basis.most)
    return [
        Parameter("law", "Law", "choice", law, "", choices=tuple(found)),
        Parameter("serial", "Serial share in %", "number", start, _ABOUT[law], 0, 100, 0.01),
        Parameter("workers", "Workers", "integer", workers, "", 1, MOST_WORKERS),
    ]


def chosen(found: Mapping[str, Basis], query: Mapping[str, str]) -> WhatIf:
    """What ``query`` asks: ``law``, ``serial`` in percent and ``workers``; what it leaves out or empty is as the run
    suggests.

    Raises:
        UserError: nothing was measured that a law could be laid over, or a value is not in its range.
    """
    if not found:
        raise UserError(
            "This run has no speedup of more than one worker, so there is nothing to lay a law over. Compare "
            "techniques with two workers or more, or scale one.",
            code="not_found",
        )
    law = next(iter(found))
    if asked := query.get("law", "").strip():
        law = str(fields(found, law)[0].parse(asked))
    values: dict[str, Value] = {}
    for one in fields(found, law)[1:]:
        typed = query.get(one.name, "").strip()
        values[one.name] = one.parse(typed) if typed else one.default
    return WhatIf(found[law], float(values["serial"]) / 100, int(values["workers"]))


def query_of(asked: WhatIf) -> dict[str, str]:
    """The fields that ask for it."""
    return {"law": asked.basis.law, "serial": f"{100 * asked.serial:.10g}", "workers": str(asked.workers)}


# ---------------------------------------------------------------- what is said


def said(asked: WhatIf) -> Said:
    """The prediction, its limit, and how far the law is from what was measured."""
    basis, what = asked.basis, unit(asked.basis.technique)
    who, fast = counted(asked.workers, what), spelled_times(asked.speedup)
    would = (
        f"would be {fast} as fast as sequential"
        if basis.law == AMDAHL
        else f"with as many times the work would do {fast} as much as sequential in the same time"
    )
    headline = f"With {_share(asked.serial)} serial, {who} {would}, an efficiency of {percent(asked.efficiency)}."
    return Said(headline, _formula(asked), _limit(asked), _distance(asked), list(_notes(asked)))


def _share(serial: float) -> str:
    return exact_percent(round(serial, 6))


def _formula(asked: WhatIf) -> str:
    s, p, height = asked.serial, asked.workers, asked.basis.height
    rest = 1 - s
    law = f"1 / ({s:.4g} + {rest:.4g} / {p})" if asked.basis.law == AMDAHL else f"{p} + (1 − {p}) × {s:.4g}"
    name = NAMES[asked.basis.law]
    if round(height, 2) == 1:
        return f"{name}: S({p}) = {law} = {rate(asked.speedup)}."
    times_height = f"{height:.2f} × {law}" if asked.basis.law == AMDAHL else f"{height:.2f} × ({law})"
    one = unit(asked.basis.technique)
    return (
        f"{name}: S({p}) = {times_height} = {rate(asked.speedup)}; one {one} is {times(height)} as fast as sequential."
    )


def _limit(asked: WhatIf) -> str:
    what = unit(asked.basis.technique)
    if asked.basis.law != AMDAHL:
        each = asked.basis.height * (1 - asked.serial)
        return f"This law has no limit: each further {what} adds {percent(each)} of what sequential does alone."
    if asked.limit is None:
        return f"Where nothing is serial the law has no limit, and {what}s are worth their number."
    inverse = f"1/s = {1 / asked.serial:.3g}"
    if round(asked.basis.height, 2) != 1:
        inverse += f", times {asked.basis.height:.2f}"
    return f"No number of {what}s would exceed {spelled_times(asked.limit)} ({inverse})."


def _distance(asked: WhatIf) -> str:
    """How far the law is from the points, and that beyond them it is extrapolation, in one sentence."""
    what, misses, far = unit(asked.basis.technique), asked.misses, asked.farthest
    judged = [miss for miss in misses if miss.inside is not None]
    inside = sum(1 for miss in judged if miss.inside)
    where = f"at {counted(far.point.workers, what)}"
    if len(misses) == 1:
        off = f"The one measured point is {_off(far)}, {where}"
    elif abs(far.off) < _ON:
        all_of = "Both" if len(misses) == 2 else f"All {spelled(len(misses))}"
        off = f"{all_of} measured points lie on it"
    else:
        off = f"Of {spelled(len(misses))} measured points the farthest is {_off(far)}, {where}"
    if judged and abs(far.off) >= _ON:
        through = f"{spelled(inside)} of {counted(len(judged), 'interval', words=True)}"
        if len(judged) == 1:
            through = "its interval" if inside else "no part of its interval"
        elif inside in (0, len(judged)):
            through = "every interval" if inside else "no interval"
        off += f", and the law passes through {through}"
    return f"{off}; beyond {counted(asked.basis.most, what)} it is extrapolation."


def _off(miss: Miss) -> str:
    if abs(miss.off) < _ON:
        return "on it"
    return f"{percent(abs(miss.off))} {'above' if miss.off > 0 else 'below'} it"


def _notes(asked: WhatIf) -> Iterator[str]:
    basis, what = asked.basis, unit(asked.basis.technique)
    if basis.cores and asked.workers > basis.cores:
        yield (
            f"The law knows no cores: it supposes one for each of {counted(asked.workers, what)}; this machine has "
            f"{basis.cores}."
        )
    if left := [p.workers for p in basis.points if p not in basis.compared]:
        yield f"Not held against it: {many(left, what)}, more than the cores."
    if len(basis.points) == 1:
        yield (
            f"One number of {what}s was measured, so any loss looks like serial work; a run that scales it "
            "shows whether it is."
        )


def start_note(basis: Basis) -> str:
    """Where the share to begin with comes from."""
    start = _share(round(basis.start, 4))
    if basis.fit and basis.fitted:
        low, high = basis.fit.serial_ci95 or (0.0, 1.0)
        return (
            f"Fitted to the points: {start} (95{NBSP}% interval {_share(round(low, 3))} to {_share(round(high, 3))})."
        )
    if basis.compared[-1].workers > 1:
        return f"What explains {counted(basis.compared[-1].workers, unit(basis.technique))} by itself: {start}."
    return "No point suggests one."


def label(basis: Basis) -> str:
    return TECHNIQUES[basis.technique].label if basis.technique in TECHNIQUES else basis.technique


def as_dict(asked: WhatIf) -> dict[str, Any]:
    """All of it as data: what was asked, what the law says, the points and how far each is from it."""
    basis = asked.basis
    return {
        "technique": basis.technique,
        "law": basis.law,
        "serial": asked.serial,
        "fitted_serial": basis.fit.serial if basis.fit and basis.fitted else None,
        "workers": asked.workers,
        "height": basis.height,
        "speedup": asked.speedup,
        "efficiency": asked.efficiency,
        "limit": asked.limit,
        "extrapolated": asked.extrapolated,
        "points": [
            {
                "workers": miss.point.workers,
                "speedup": miss.point.speedup,
                "speedup_ci95": miss.point.speedup_ci95,
                "predicted": miss.predicted,
                "inside": miss.inside,
            }
            for miss in asked.misses
        ],
        "says": said(asked).sentences,
    }


def rows(asked: WhatIf) -> list[tuple[str, tuple[str, ...]]]:
    """The measured points, and the workers that were asked about, beside what the law says."""
    what = unit(asked.basis.technique)
    made: list[tuple[str, tuple[str, ...]]] = []
    for point in asked.basis.points:
        miss = Miss(point, asked.predicted(point.workers))
        over = ", more than cores" if point.oversubscribed else ""
        made.append((
            counted(point.workers, what) + over,
            (times(point.speedup), times_interval(point.speedup_ci95) or "–", times(miss.predicted), _signed(miss.off)),
        ))  # fmt: skip
    if asked.workers not in [point.workers for point in asked.basis.points]:
        made.append((counted(asked.workers, what), ("not measured", "–", times(asked.speedup), "–")))
    return made


def _signed(share: float) -> str:
    shown = percent(abs(share))
    return shown if round(share, 3) == 0 else f"{'+' if share > 0 else '−'}{shown}"
