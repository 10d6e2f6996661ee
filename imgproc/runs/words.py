"""A record in plain text: the summary that scripts read, and the table of a comparison."""

from __future__ import annotations

from imgproc.backends import BASELINE, TECHNIQUES
from imgproc.measure.results import TechniqueMeasurement
from imgproc.runs.record import Record


def summary(record: Record) -> str:
    """The four lines that scripts read, then one line per thing the reader must know."""
    technique = record.technique
    lines = [f"Processing Mode: {_mode(record)}", f"Number of Images: {len(record.good_images)}"]
    if technique is None or technique.median_seconds is None:
        lines.append(f"Time Taken: not measured ({record.state})")
    else:
        lines.append(f"Time Taken: {seconds(record.seconds or technique.median_seconds)} seconds")
        lines.append(f"Speedup: {_speedup(record, technique)}")
    if record.error:
        lines.append(f"Error: {record.error}")
    if record.sample:
        sample = f"{len(record.sample)} of the {len(record.good_images)} images"
        lines.append(f"Note: the speedup was measured on a sample of {sample}.")
    lines += [f"Failed: {image.name}: {image.error}" for image in record.images if image.error]
    lines += [f"Warning: {warning}" for warning in record.warnings]
    return "\n".join(lines) + "\n"


def _mode(record: Record) -> str:
    technique = record.technique
    if record.mode == "sequential":
        return "Sequential"
    if technique is None:
        return record.mode.capitalize()
    count, what = (technique.workers, "worker") if technique.cv2_threads == 1 else (technique.threads, "thread")
    workers = f"1 {what}" if count == 1 else f"{count} {what}s"
    return f"{record.mode.capitalize()} ({technique.name}, {workers})"


def _speedup(record: Record, technique: TechniqueMeasurement) -> str:
    baseline = TECHNIQUES[BASELINE].label
    if technique.name == BASELINE:
        return f"1.0x over {baseline} (this is the baseline)"
    if technique.speedup is None:
        return f"not shown ({technique.reason or 'the baseline was not measured'})"
    interval = technique.speedup_ci95
    shown = f"{technique.speedup:.1f}x over {baseline}"
    if interval:
        return f"{shown} (95% CI {interval[0]:.1f} to {interval[1]:.1f})"
    rounds = len(technique.rounds)
    return f"{shown} ({rounds} round{'' if rounds == 1 else 's'}, too few for an interval)"


def seconds(value: float) -> str:
    """Seconds with two decimals, more where two would say nothing: 2.41, 0.0042."""
    return f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"


def comparison(record: Record) -> str:
    """The summary, then a line per technique, the fastest first, then what could not run and why."""
    timed = [t for t in record.techniques if t.median_seconds is not None]
    head = f"{'technique':<20}{'start-up':>10}{'median':>10}  {'95% interval':<17}"
    lines = [head + f"{'speedup':>8}  {'95% interval':<15}verdict"]
    for t in sorted(timed, key=lambda t: t.median_seconds or 0.0):
        name = t.name if t.threads == 1 else f"{t.name} x{t.threads}"
        spread = f"{t.ci95[0]:.3f} to {t.ci95[1]:.3f}" if t.ci95 else "-"
        speedup = f"{t.speedup:.2f}x" if t.speedup else "-"
        sure = f"{t.speedup_ci95[0]:.2f} to {t.speedup_ci95[1]:.2f}" if t.speedup_ci95 else "-"
        said = "baseline" if t.name == BASELINE else t.reason or t.verdict or "too few rounds"
        startup = f"{(t.startup_seconds or 0.0) * 1000:.0f} ms"
        lines.append(f"{name:<20}{startup:>10}{t.median_seconds:>8.3f} s  {spread:<17}{speedup:>8}  {sure:<15}{said}")
    rounds = max((len(t.rounds) for t in timed), default=0)
    same = "All made the same pixels." if all(t.identical for t in timed) else "Not all made the same pixels."
    lines.append(f"{rounds} rounds, seed {record.settings.seed}. {same}")
    lines += [
        f"{t.label}: starting it pays from {t.break_even_images} images like these."
        for t in timed
        if t.break_even_images and t.break_even_images > 1
    ]
    lines += [f"Not run: {t.name}: {t.reason}" for t in record.techniques if t.median_seconds is None]
    return summary(record) + "\n" + "\n".join(lines) + "\n"
