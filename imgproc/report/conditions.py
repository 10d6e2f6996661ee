"""Where and how a run was measured, and what makes that doubtful, as labels and texts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from imgproc.backends.places import AFFINITIES, OFF
from imgproc.measure.alarms import Alarm
from imgproc.measure.statistics import LEAST_FOR_INTERVAL
from imgproc.numbers import NBSP, counted, exact_percent, listed, size
from imgproc.operations import OPERATIONS
from imgproc.report.energy import counted as counted_energy
from imgproc.report.schedules import chosen
from imgproc.runs.options import SPLITS
from imgproc.runs.record import Record, RunSettings

Facts = list[tuple[str, str]]

_PNG_ENCODERS = {
    "huffman": "Huffman’s code compiled by Numba, ISA-L where more repeats",
    "isal": "ISA-L",
    "zlib": "zlib",
    "opencv": "OpenCV",
}


def conditions(record: Record) -> dict[str, Any]:
    """All that the page says of them, by its names there."""
    return {"facts": facts(record), "alarms": alarms(record), "checked": checked(record)}


def facts(record: Record) -> dict[str, Facts]:
    """The machine, the settings and the versions of a run; what is not known is left out."""
    env = record.environment
    every = {
        "Machine": _machine(record, env) if env else [],
        "Settings": _settings(record),
        "Program": _program(env.get("program") or {}, record.command),
        "Versions": [("Python", env.get("python") or ""), *(env.get("versions") or {}).items()],
    }
    known = {title: [(label, text) for label, text in rows if text] for title, rows in every.items()}
    return {title: rows for title, rows in known.items() if rows}


def _machine(record: Record, env: Mapping[str, Any]) -> Facts:
    physical, usable = env.get("cores_physical"), env.get("cores_usable")
    memory, limit, load = env.get("memory_bytes"), env.get("memory_limit_bytes"), env.get("load_before")
    versions, build = env.get("versions") or {}, env.get("opencv") or {}
    threads, ipp = build.get("Parallel framework"), build.get("Intel IPP")
    where = [kind.replace("_", " ") for kind in ("virtual_machine", "container") if env.get(kind)]
    return [
        (
            "Processor",
            _joined(
                env.get("cpu"),
                counted(physical, "physical core") if physical else None,
                f"{usable} usable" if usable else None,
            ),
        ),
        ("Clock", _clock(env.get("cpu_frequency") or {})),
        ("Hardware threads (SMT)", _smt(env.get("smt"))),
        ("Memory nodes (NUMA)", str(len(env["numa"])) if env.get("numa") else ""),
        ("Caches", ", ".join(env.get("cpu_caches") or ())),
        ("CPU quota", (_cores(env["cpu_quota"]) or "none") if "cpu_quota" in env else ""),
        ("Used by others", _cores(env.get("cores_used_by_others"))),
        ("Load before", "" if load is None else f"{load:.2f}"),
        ("Memory", size(memory) if memory else ""),
        ("Memory limit", size(limit) if limit else ""),
        ("All cores copy", f"{copied / 1e9:.3g} GB/s" if (copied := env.get("copy_bytes_per_second")) else ""),
        ("All cores compute", _billions(env.get("arithmetic_per_second"))),
        ("GPU", env.get("gpu") or "none"),
        ("Energy", counted_energy(record)),
        ("File systems", _file_systems(env.get("file_systems") or {})),
        (
            "Allocator",
            _joined((env.get("allocator") or {}).get("libc"), *(env.get("allocator") or {}).get("preloaded", ())),
        ),
        ("System", _joined(env.get("os"), *where)),
        ("Python", _joined(env.get("python"), _gil(env.get("gil") or {}))),
        (
            "OpenCV",
            _joined(
                versions.get("opencv-python-headless") or versions.get("opencv"),
                f"threads by {threads}" if threads else None,
                f"Intel IPP {ipp.partition(' ')[0]}" if ipp else None,
            ),
        ),
        ("PNG encoder", "" if record.task else _PNG_ENCODERS.get(env.get("png_encoder") or "", "")),
    ]


def _program(known: Mapping[str, Any], command: str | None) -> Facts:
    """Which program it was, and what was typed."""
    commit, changed = known.get("commit"), known.get("changed")
    return [
        ("Version", known.get("version") or ""),
        ("Commit", f"{commit[:12]}{', changed since' if changed else ''}" if commit else ""),
        ("Source, SHA-256", (known.get("source_sha256") or "")[:12]),
        ("Command", command or ""),
    ]


def _file_systems(known: Mapping[str, Sequence[str]]) -> str:
    """Each once: ext4; tmpfs (rounds)."""
    of: dict[str, list[str]] = defaultdict(list)
    for what, found in known.items():
        for kind in found:
            of[kind].append(what)
    return "; ".join(kind if len(what) == len(known) else f"{kind} ({listed(what)})" for kind, what in of.items())


def _smt(known: Mapping[str, Any] | None) -> str:
    return "" if known is None else "on" if known.get("active") else "off"


def _joined(*parts: str | None) -> str:
    return ", ".join(part for part in parts if part)


def _cores(value: float | None) -> str:
    """Cores of CPU time per second: 0.04 cores."""
    if value is None:
        return ""
    shown = f"{value:.2f}".rstrip("0").rstrip(".")
    return f"{shown}{NBSP}{'core' if shown == '1' else 'cores'}"


def _billions(rate: float | None) -> str:
    return f"{rate / 1e9:.3g} billion operations a second" if rate else ""


def _clock(frequency: Mapping[str, Any]) -> str:
    """How fast the processor's clock runs, where the system says so."""
    low, high = frequency.get("min_mhz"), frequency.get("max_mhz")
    if not low or not high:
        return ""
    speed = f"{high / 1000:.1f}{NBSP}GHz"
    governor = frequency.get("governor")
    return _joined(
        f"{low / 1000:.1f} to {speed}" if low != high else speed, f"{governor} governor" if governor else None
    )


def _gil(state: Mapping[str, Any]) -> str:
    """What is out of the ordinary about the interpreter's lock."""
    if not state.get("optional"):
        return ""
    return "free-threaded, but the GIL is on" if state.get("enabled") else "free-threaded, without the GIL"


#: Of a run that ended before one was drawn.
NO_SEED = "no seed was drawn yet"


def seed_sentence(record: Record) -> str:
    """The seed, for the appendix of a report."""
    seed = record.settings.seed
    return f"Seed of the order of the rounds: {seed}." if seed else f"{NO_SEED.capitalize()}."


def _settings(record: Record) -> Facts:
    asked = record.settings
    least = "at least " if record.mode == "compare" and asked.starts == 1 else ""
    seed = f"seed {asked.seed}" if asked.seed else NO_SEED
    started = sorted({t.start_method for t in record.measurements if t.start_method})
    if task := record.task:
        work = [("Function", task.name), ("Results", f"compared: {task.same}")]
    else:
        work = [
            *_operations(asked),
            ("Output", f"{asked.format.upper()}, {'colour' if asked.color else 'gray'}; depth: {asked.depth}"),
        ]
    return [
        *work,
        ("Durable", "each result on the disk (fsync) within the time" if asked.durable else ""),
        ("Rounds and seed", f"{least}{asked.rounds}, within {asked.budget:g}{NBSP}s, {seed}"),
        ("Faster and slower", _smallest(record.findings.smallest_difference if record.findings else None)),
        ("Starts", f"workers made anew {asked.starts} times" if asked.starts > 1 else ""),
        ("Intervals", _intervals(record.findings.comparisons if record.findings else None)),
        ("Amounts of work", record.granularity.made if record.granularity else ""),
        ("Processes started", f"by {listed(started)}" if started else ""),
        ("Pixels moved", f"as {listed(asked.transfers)}" if asked.transfers != ["paths"] else ""),
        ("Strips", SPLITS.get(asked.split, asked.split) if asked.split != "auto" else ""),
        ("Schedule", chosen(record)),
        ("Affinity", AFFINITIES.get(asked.affinity, asked.affinity) if asked.affinity != OFF else ""),
        ("Chunk size", counted(asked.chunk_size, record.unit) if asked.chunk_size > 1 else ""),
    ]


def _intervals(comparisons: int | None) -> str:
    many = comparisons or 1
    return f"95{NBSP}% for all {many} comparisons of the run at once" if many > 1 else ""


def _smallest(difference: float | None) -> str:
    return f"by more than {exact_percent(difference)}" if difference else ""


def _operations(asked: RunSettings) -> Facts:
    found = []
    for operation in (OPERATIONS[name] for name in asked.operations if name in OPERATIONS):
        parts = [
            f"{p.label.lower() if p.label[1:].islower() else p.label} {_value(asked.parameters.get(p.name, p.default))}"
            for p in operation.parameters
        ]
        found.append((operation.label, ", ".join(parts) or "nothing to set"))
    return found


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)


# ---------------------------------------------------------------- alarms


def alarms(record: Record) -> dict[str, list[Alarm]]:
    """By whom they are about: the whole run (no name) first, then techniques, which share the alarms that are the same.
    Warnings that are no alarm, such as that a worker was replaced, have no advice."""
    known = {alarm.text for alarm in record.alarms}
    notes = [("", text) for text in record.warnings]
    notes += [(t.label, text) for t in record.measurements for text in t.warnings]
    labels: dict[Alarm, list[str]] = defaultdict(list)
    for alarm in (
        *record.alarms,
        *(Alarm("note", text.removeprefix(f"{who}: "), "", who) for who, text in notes if text not in known),
    ):
        message = alarm.message.replace(" %", f"{NBSP}%")
        labels[Alarm(alarm.name, message, alarm.advice)].append(alarm.who)
    groups: dict[str, list[Alarm]] = defaultdict(list)
    for alarm, who in labels.items():
        groups["" if "" in who else listed(list(dict.fromkeys(who)))].append(alarm)
    return dict(sorted(groups.items(), key=lambda group: bool(group[0])))


def checked(record: Record) -> str:
    """What was looked at and found in order, as far as it could be; empty where nothing was measured."""
    timed = [t for t in record.techniques if t.rounds]
    if not timed:
        return ""
    env = record.environment
    looks = [
        f"at least {LEAST_FOR_INTERVAL} rounds", "their spread", "a slow first round", "a steady drift",
        "other programs at work" if env.get("cores_used_by_others") is not None else "",
        "a CPU quota", "more threads than cores" if env.get("cores_usable") else "",
        "hidden threads" if any(r.cpu_seconds is not None for t in timed for r in t.rounds) else "",
        "idle workers" if any(t.spans for t in timed) else "",
        "each speedup by order statistics" if any(t.speedup_check_ci95 for t in timed) else "",
        "a speedup that is too good" if any(t.efficiency is not None for t in timed) else "",
    ]  # fmt: skip
    return f"No alarm. Checked: {listed([look for look in looks if look])}."
