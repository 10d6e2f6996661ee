"""The report of a run as a Jupyter notebook: the record, cells that compute its medians, speedups and intervals again
with nothing of this program, and the questions with room for answers."""

from __future__ import annotations

import json
from typing import Any

from imgproc import __version__
from imgproc.backends import BASELINE
from imgproc.measure.derive import comparisons_of
from imgproc.measure.statistics import LEAST_FOR_INTERVAL, LEAST_STARTS, T_LEVEL
from imgproc.report import commands, exercise
from imgproc.report.conditions import seed_sentence
from imgproc.report.text import summary
from imgproc.runs.notes import Notes
from imgproc.runs.record import Record
from imgproc.runs.serialization import json_pieces

SUFFIX = ".ipynb"

_MEDIANS = '''\
import math
import statistics


def of_starts(values, starts):
    """The mean of the values of each start of the workers; the values themselves where there was one start."""
    if len(set(starts)) < 2:
        return list(values)
    return [statistics.fmean(v for v, s in zip(values, starts) if s == start) for start in sorted(set(starts))]


def median_interval(samples):
    """The 95 % interval of the median by order statistics: so many of the smallest and of the largest are left out that
    the true median lies beyond them in 5 % of cases at most, whatever the distribution."""
    n, k, below = len(samples), 0, 0.0
    if n < LEAST_FOR_INTERVAL:
        return None
    while below + math.comb(n, k) / 2**n <= 0.025:
        below += math.comb(n, k) / 2**n
        k += 1
    return sorted(samples)[k - 1], sorted(samples)[n - k]


def agrees(computed, recorded):
    """Whether two figures, or the ends of two intervals, are the same but for rounding."""
    if computed is None or recorded is None:
        return computed is None and recorded is None
    pairs = zip(computed, recorded) if isinstance(recorded, list) else [(computed, recorded)]
    return all(math.isclose(one, other, rel_tol=1e-6, abs_tol=2e-6) for one, other in pairs)


timed = [t for t in (*record["techniques"], *record.get("points", ())) if t["rounds"]]
walls = {t["label"]: [r["wall_seconds"] for r in t["rounds"]] for t in timed}
starts = {t["label"]: [r.get("start", 1) for r in t["rounds"]] for t in timed}
for t in timed:
    label, median = t["label"], statistics.median(walls[t["label"]])
    logs = [math.log(wall) for wall in walls[label]]
    ends = median_interval([math.exp(mean) for mean in of_starts(logs, starts[label])])
    shown = f"{ends[0]:.4g} to {ends[1]:.4g}" if ends else "no interval"
    same = agrees(median, t["median_seconds"]) and agrees(ends, t["ci95"])
    print(f"{label}: median {median:.4g} s, {shown}; the record {'agrees' if same else 'DIFFERS'}")'''

_SPEEDUPS = '''\
try:
    from scipy.special import stdtrit  # quantiles of Student's t
except ModuleNotFoundError:
    stdtrit = None
    print("Without SciPy there are no intervals: pip install scipy")


def paired_speedup(base, other, starts):
    """The geometric mean of the ratios of each round's two passes, and Student's t interval on their logarithms."""
    logs = of_starts([math.log(b / t) for b, t in zip(base, other)], starts)
    speedup = statistics.median(base) / statistics.median(other) if OF_MEDIANS else math.exp(statistics.fmean(logs))
    least = LEAST_STARTS if len(set(starts)) > 1 else LEAST_FOR_INTERVAL
    if len(logs) < least or stdtrit is None:
        return speedup, None
    level = 1 - (1 - T_LEVEL) / COMPARISONS
    quantile = float(stdtrit(len(logs) - 1, 0.5 + level / 2))
    half = quantile * statistics.stdev(logs) / math.sqrt(len(logs))
    middle = statistics.fmean(logs)
    return speedup, (min(speedup, math.exp(middle - half)), max(speedup, math.exp(middle + half)))


computed = {}
for t in timed:
    label = t["label"]
    baseline = baselines.get(t.get("point") if t.get("images") is not None else None)  # of as much work
    if t["name"] == BASELINE or t["speedup"] is None or baseline is None:
        continue
    speedup, ends = computed[label] = paired_speedup(walls[baseline], walls[label], starts[label])
    threads = t["workers"] * max(1, t["cv2_threads"], t.get("numba_threads", 0))
    shown = f"{ends[0]:.3g} to {ends[1]:.3g}" if ends else "no interval"
    same = agrees(speedup, t["speedup"]) and (stdtrit is None or agrees(ends, t["speedup_ci95"]))
    print(
        f"{label}: {speedup:.3g} times as fast, {shown}, efficiency {speedup / threads:.0%} of {threads}; "
        f"the record {'agrees' if same else 'DIFFERS'}"
    )'''

_PICTURE = """\
import matplotlib.pyplot as plt

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 1.5 + 0.4 * len(timed)), layout="constrained")
for row, t in enumerate(timed):
    left.plot(walls[t["label"]], [row] * len(walls[t["label"]]), "o", alpha=0.5, color="tab:blue")
left.set_yticks(range(len(timed)), [t["label"] for t in timed])
left.invert_yaxis()
left.set_xlabel("Seconds of each round")
left.set_xlim(left=0)
for row, (label, (speedup, ends)) in enumerate(computed.items()):
    error = [[speedup - ends[0]], [ends[1] - speedup]] if ends else None
    right.errorbar(speedup, row, xerr=error, fmt="o", capsize=4, color="tab:blue")
right.axvline(1, color="gray", linewidth=1)
right.set_yticks(range(len(computed)), list(computed))
right.invert_yaxis()
right.set_xlabel("Times as fast as sequential, with 95 % interval")
right.set_xlim(left=0);"""


def notebook(record: Record, notes: Notes | None = None) -> str:
    """The notebook, as nbformat 4.5 has it. The spans of the rounds, which are most of a record, are left out."""
    notes = notes or Notes()
    cells = [_words(_head(record, notes))]
    cells += [
        _words(
            "## The record\n\nAs it was measured, but for the single stages on each worker, which `run.json` has too."
        ),
        _code(_embedded(record)),
    ]
    if any(t.rounds for t in record.techniques):
        cells += [
            _words(
                "## Medians\n\nOf the rounds of each technique, with 95 % intervals, computed again from the raw times "
                "and compared with the record."
            ),
            _code(f"{_constants(record)}\n{_MEDIANS}"),
            _words(
                "## Speedups\n\nRounds are paired: each ran every technique once. So the speedup is the geometric mean "
                "of the ratios of a round's two passes. The intervals of a run hold all at once, in 95 % of runs."
            ),
            _code(_SPEEDUPS),
            _words("## The picture\n\nIt needs Matplotlib."),
            _code(_PICTURE),
        ]
    prompts = exercise.discussion(record)
    if prompts:
        cells.append(_words("## Discussion"))
    for number, prompt in enumerate(prompts, 1):
        cells += [_words(f"**{number}.** {prompt}"), _words("*Your answer:* ")]
    cells.append(_words(_appendix(record)))
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}, "title": exercise.question(record)}
    made = {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(made, ensure_ascii=False, indent=1) + "\n"


def _words(text: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "metadata": {}, "source": text.splitlines(keepends=True)}


def _code(text: str) -> dict[str, Any]:
    source = text.splitlines(keepends=True)
    return {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": [], "source": source}


def _head(record: Record, notes: Notes) -> str:
    named = f"**{notes.name}**\n\n" if notes.name else ""
    said = f"{notes.note}\n\n" if notes.note else ""
    when = (record.finished or record.created)[:16].replace("T", " ")
    return (
        f"# {exercise.question(record)}\n\n{named}{said}Run {record.id}, {when}. All cells can be run in any Python "
        "with SciPy and Matplotlib; nothing of the program that measured is needed.\n\n"
        f"```\n{summary(record, 10).rstrip()}\n```"
    )


def _embedded(record: Record) -> str:
    data = record.to_dict()
    for kind in ("techniques", "weak", "points"):
        data[kind] = [{name: value for name, value in t.items() if name != "spans"} for t in data[kind]]
    # Three double quotes in a row are in no JSON, and no backslash of it means anything in a raw string.
    return f'import json\n\nrecord = json.loads(r"""{"".join(json_pieces(data))}""")'


def _constants(record: Record) -> str:
    rules = record.rules
    comparisons = comparisons_of(record.techniques, record.points) if rules.simultaneous else 1
    return (
        f"LEAST_FOR_INTERVAL, LEAST_STARTS = {LEAST_FOR_INTERVAL}, {LEAST_STARTS}  # with fewer: no interval\n"
        f"T_LEVEL = {T_LEVEL}  # of Student's t, so that 95 % holds with room to spare\n"
        f"COMPARISONS = {comparisons}  # of the run, which share what may go wrong\n"
        f"OF_MEDIANS = {rules.of_medians}  # the speedup is the ratio of the medians, as the first versions had it\n"
        f'BASELINE = "{BASELINE}"\n'
        "#: By the amount of work, None for the whole of it.\n"
        'baselines = {t.get("point"): t["label"] for t in (*record["techniques"], *record.get("points", ()))\n'
        '             if t["name"] == BASELINE and t["rounds"]}\n'
    )


def _appendix(record: Record) -> str:
    lines = ["## To do it again\n"]
    if command := commands.command(record):
        lines += [f"With the same images in place of `PATHS`:\n\n```\n{command}\n```\n"]
    lines += [
        "`verify run.json` of the same program computes every figure of the record again, `repeat run.json` the run.\n",
        f"{seed_sentence(record)} Made by Speedup Lab {__version__}.",
    ]
    return "\n".join(lines)
