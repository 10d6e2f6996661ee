"""Where and how a run was measured, as labels and texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from imgproc.numbers import listed
from imgproc.operations import OPERATIONS
from imgproc.report import formats
from imgproc.runs.record import Record, RunSettings
from imgproc.runs.splitting import SPLITS

Facts = list[tuple[str, str]]


def conditions(record: Record) -> dict[str, Facts]:
    """The machine, the settings and the versions of a run; what is not known is left out."""
    env = record.environment
    facts = {
        "Machine": _machine(env) if env else [],
        "Settings": _settings(record),
        "Versions": [("Python", env.get("python") or ""), *(env.get("versions") or {}).items()],
    }
    known = {title: [(label, text) for label, text in rows if text] for title, rows in facts.items()}
    return {title: rows for title, rows in known.items() if rows}


def _machine(env: Mapping[str, Any]) -> Facts:
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
                formats.counted(physical, "physical core") if physical else None,
                f"{usable} usable" if usable else None,
            ),
        ),
        ("Clock", _clock(env.get("cpu_frequency") or {})),
        ("CPU quota", (_cores(env["cpu_quota"]) or "none") if "cpu_quota" in env else ""),
        ("Used by others", _cores(env.get("cores_used_by_others"))),
        ("Load before", "" if load is None else f"{load:.2f}"),
        ("Memory", formats.size(memory) if memory else ""),
        ("Memory limit", formats.size(limit) if limit else ""),
        ("GPU", env.get("gpu") or "none"),
        ("System", _joined(env.get("os"), *where)),
        ("Python", env.get("python") or ""),
        (
            "OpenCV",
            _joined(
                versions.get("opencv-python-headless") or versions.get("opencv"),
                f"threads by {threads}" if threads else None,
                f"Intel IPP {ipp.partition(' ')[0]}" if ipp else None,
            ),
        ),
        ("PNG encoder", {"isal": "ISA-L", "zlib": "zlib", "opencv": "OpenCV"}.get(env.get("png_encoder") or "", "")),
    ]


def _joined(*parts: str | None) -> str:
    return ", ".join(part for part in parts if part)


def _cores(value: float | None) -> str:
    """Cores of CPU time per second: 0.04 cores."""
    if value is None:
        return ""
    shown = f"{value:.2f}".rstrip("0").rstrip(".")
    return f"{shown}{formats.NBSP}{'core' if shown == '1' else 'cores'}"


def _clock(frequency: Mapping[str, Any]) -> str:
    """How fast the processor's clock runs, where the system says so."""
    low, high = frequency.get("min_mhz"), frequency.get("max_mhz")
    if not low or not high:
        return ""
    speed = f"{high / 1000:.1f}{formats.NBSP}GHz"
    governor = frequency.get("governor")
    return _joined(
        f"{low / 1000:.1f} to {speed}" if low != high else speed, f"{governor} governor" if governor else None
    )


def _settings(record: Record) -> Facts:
    asked = record.settings
    least = "at least " if record.mode == "compare" else ""
    started = sorted({t.start_method for t in (*record.techniques, *record.weak) if t.start_method})
    return [
        *_operations(asked),
        ("Output", f"{asked.format.upper()}, {'colour' if asked.color else 'gray'}"),
        ("Rounds and seed", f"{least}{asked.rounds}, within {asked.budget:g}{formats.NBSP}s, seed {asked.seed}"),
        ("Processes started", f"by {listed(started)}" if started else ""),
        ("Pixels moved", f"as {listed(asked.transfers)}" if asked.transfers != ["paths"] else ""),
        ("Strips", SPLITS.get(asked.split, asked.split) if asked.split != "auto" else ""),
        ("Chunk size", formats.counted(asked.chunk_size, "image") if asked.chunk_size > 1 else ""),
    ]


def _operations(asked: RunSettings) -> Facts:
    facts = []
    for operation in (OPERATIONS[name] for name in asked.operations if name in OPERATIONS):
        parts = [
            f"{p.label.lower() if p.label[1:].islower() else p.label} {_value(asked.parameters.get(p.name, p.default))}"
            for p in operation.parameters
        ]
        facts.append((operation.label, ", ".join(parts) or "nothing to set"))
    return facts


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)
