"""A run over items of a user's own function, in plain text."""

from __future__ import annotations

from collections.abc import Iterator

from imgproc.backends import BASELINE
from imgproc.measure.results import LEVEL, TechniqueMeasurement
from imgproc.numbers import NBSP, counted, seconds, times
from imgproc.report.scale import faster
from imgproc.report.sentences import UNDECIDED, spoken, starts
from imgproc.runs.record import Record, TaskRecord

#: So many items are named that failed or raised.
_FEW = 3


def table(record: Record) -> str:
    """What was measured, a line for each technique, the fastest first; who could not take part and why; what to do."""
    return "\n".join(_lines(record)).replace(NBSP, " ") + "\n"


def _lines(record: Record) -> Iterator[str]:
    task = record.task
    assert task is not None
    yield f"{task.function} over {counted(task.items, 'item')}; results compared: {task.same}"
    if record.sample:
        yield f"Measured on {len(record.sample)} of them, evenly spread."
    yield ""
    of_label = {t.label: t for t in record.techniques}
    timed = [t for label in record.found.order if (t := of_label.get(label)) and t.median_seconds is not None]
    wide = max([len(_called(t)) for t in timed], default=10) + 2
    heads = f"{'start-up':>10}{'median':>11}{'speedup':>9}  {'95% interval':<15}{'a task':>10}"
    yield f"{'technique':<{wide}}{heads}  verdict"
    for t in timed:
        yield _row(t, wide)
    rounds = max((len(t.rounds) for t in timed), default=0)
    yield f"{counted(rounds, 'round')}, seed {record.settings.seed}. “a task”: one whose function does nothing."
    yield from filter(None, [starts(record)])
    for t in record.techniques:
        if t.median_seconds is None:
            yield f"Not run: {t.label}: {t.reason}"
        elif t.identical is False:
            yield f"No speedup for {spoken(t.label)}: {t.reason}."
    yield from notes(task)
    yield from (f"Warning: {warning}" for warning in record.warnings)
    yield from (f"Warning: {warning}" for t in record.techniques for warning in t.warnings)
    yield ""
    yield from advice(record)


def _called(t: TechniqueMeasurement) -> str:
    return t.name if t.threads == 1 else f"{t.name} x{t.threads}"


def _row(t: TechniqueMeasurement, wide: int) -> str:
    speedup = f"{t.speedup:.2f}x" if t.speedup else "-"
    sure = f"{t.speedup_ci95[0]:.2f} to {t.speedup_ci95[1]:.2f}" if t.speedup_ci95 else "-"
    said = "baseline" if t.name == BASELINE else t.verdict or ("other results" if t.reason else "too few rounds")
    idle = seconds(t.idle_task_seconds) if t.idle_task_seconds is not None else "-"
    startup = seconds(t.startup_seconds or 0.0)
    median = seconds(t.median_seconds or 0.0)
    return f"{_called(t):<{wide}}{startup:>10}{median:>11}{speedup:>9}  {sure:<15}{idle:>10}  {said}"


def notes(task: TaskRecord) -> Iterator[str]:
    """Which items were left out, and for which the function raises."""
    for what, found in (("left out", task.failed), ("raise in all techniques", task.raised)):
        if found:
            shown = "; ".join(f"item {one.index}: {one.error}" for one in found[:_FEW])
            yield f"{counted(len(found), 'item')} {what}: {shown}{'; …' if len(found) > _FEW else ''}"


def advice(record: Record) -> Iterator[str]:
    """What to use for this function, and from calls of which length on; nothing for any other run."""
    if record.task is None or record.state != "done":
        return
    main, outcome = record.technique, record.found.outcome
    baseline = next((t for t in record.techniques if t.name == BASELINE and t.median_seconds), None)
    if main is None or baseline is None or baseline.median_seconds is None:
        return
    call = baseline.median_seconds / max(1, record.count)
    if outcome == "undecided":
        yield f"{UNDECIDED}."
    elif outcome == "faster" and main.speedup:
        yield f"Use {main.name}: it is {times(main.speedup)} as fast as one call after the other."
    else:
        yield f"Nothing is {faster(record, main.verdict or LEVEL[0])} than one call after the other."
    yield f"A call takes {seconds(call)}."
    for t in record.techniques:
        if t.name == BASELINE or t.idle_task_seconds is None or t.identical is False:
            continue
        unknown = t.calls_overlap is None and bool(t.tried_tasks)
        if t.pays_from_task_seconds is None and unknown:
            yield f"{t.label}: {_BUSY}"
        elif t.pays_from_task_seconds is None:
            yield f"{t.label}: its calls do not run at the same time{_gil(t)}, so it pays for none, however long."
        else:
            least = seconds(t.pays_from_task_seconds)
            hedge = _TOO_SHORT if unknown else ""
            yield f"{t.label}: pays from calls of {least}, one handed over at a time{hedge}."


_BUSY = "from calls of which length it pays cannot be told; no work ran at the same time while that was looked for."
_TOO_SHORT = ", if they run at the same time, which calls as short as these do not show"


def _gil(t: TechniqueMeasurement) -> str:
    return " (they hold the GIL)" if t.transfer is None and t.start_method is None and t.chunk_size is None else ""
