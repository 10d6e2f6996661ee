"""The recorded stages for viewers of traces, by what the formats of Perfetto and speedscope ask for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeRun
from flask.testing import FlaskClient
from test_timeline import compared  # noqa: F401  a fixture

from imgproc.cli import main, trace
from imgproc.report.traces import TRACES, chrome, speedscope
from imgproc.runs.record import Record


@pytest.fixture
def traced(compared: Record) -> Record:  # noqa: F811
    """The same, with a caller that does one thing after the other."""
    for t in compared.techniques:
        ends: dict[tuple[int, int], float] = {}
        kept = []
        for span in sorted(t.spans, key=lambda span: span.start):
            lane = span.worker, span.round
            if span.start >= ends.get(lane, 0.0) - 1e-9:
                kept.append(span)
                ends[lane] = span.end
        t.spans = kept
    return compared


def busy(record: Record) -> dict[tuple[str, str], float]:
    """Seconds by technique and stage."""
    found: dict[tuple[str, str], float] = {}
    for t in record.techniques:
        for span in t.spans:
            found[t.label, span.stage] = found.get((t.label, span.stage), 0.0) + span.end - span.start
    return found


def test_trace_events_have_their_fields_and_all_the_time(traced: Record) -> None:
    made = json.loads(json.dumps(chrome(traced)))
    events = made["traceEvents"]
    assert {event["ph"] for event in events} == {"M", "X"}
    assert all(isinstance(event[name], int) for event in events for name in ("pid", "tid"))
    processes = {e["pid"]: e["args"]["name"] for e in events if e["name"] == "process_name"}
    assert list(processes.values()) == [t.label for t in traced.techniques]
    threads = {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e["name"] == "thread_name"}
    assert "caller" in threads.values() and "worker 1" in threads.values()
    found: dict[tuple[str, str], float] = {}
    last: dict[tuple[int, int], float] = {}
    for event in (e for e in events if e["ph"] == "X"):
        assert event["ts"] >= 0 and event["dur"] >= 0 and event["args"]["round"] in (1, 2, 3)
        lane = event["pid"], event["tid"]
        assert lane in threads and event["ts"] >= last.get(lane, 0.0) - 0.002  # microseconds; stages never overlap
        last[lane] = event["ts"] + event["dur"]
        key = processes[event["pid"]], event["name"]
        found[key] = found.get(key, 0.0) + event["dur"] / 1e6
    assert found == pytest.approx(busy(traced), abs=1e-6)
    assert any(event["args"].get("image") == traced.images[0].name for event in events)


def test_a_round_begins_when_the_one_before_has_ended(traced: Record) -> None:
    events = [e for e in chrome(traced)["traceEvents"] if e["ph"] == "X" and e["pid"] == 1]
    walls = [r.wall_seconds for r in traced.techniques[0].rounds]
    for number in (2, 3):
        first = min(e["ts"] for e in events if e["args"]["round"] == number)
        assert first / 1e6 >= sum(walls[: number - 1]) - 1e-9


def test_speedscopes_profiles_are_balanced_and_in_order(traced: Record) -> None:
    made: dict[str, Any] = json.loads(json.dumps(speedscope(traced)))
    assert made["$schema"] == "https://www.speedscope.app/file-format-schema.json"
    frames = [frame["name"] for frame in made["shared"]["frames"]]
    assert len(frames) == len(set(frames))
    found: dict[tuple[str, str], float] = {}
    for profile in made["profiles"]:
        assert (profile["type"], profile["unit"], profile["startValue"]) == ("evented", "seconds", 0)
        label, _, _ = profile["name"].rpartition(", ")
        stack: list[tuple[int, float]] = []
        now = 0.0
        for event in profile["events"]:
            assert now <= event["at"] <= profile["endValue"]
            now = event["at"]
            if event["type"] == "O":
                stack.append((event["frame"], now))
                continue
            frame, since = stack.pop()
            assert event["type"] == "C" and event["frame"] == frame
            if stack:  # the stage, on its image
                key = label, frames[frame]
                found[key] = found.get(key, 0.0) + now - since
        assert not stack
    assert found == pytest.approx(busy(traced), abs=1e-6)


def test_the_command_writes_either_and_says_what_is_wrong(
    traced: Record,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    make_run: MakeRun,
) -> None:
    assert tuple(TRACES) == trace.FORMATS
    file, out = tmp_path / "run.json", tmp_path / "out.json"
    traced.write(file)
    assert main(["trace", str(file), "-o", str(out)]) == 0
    assert json.loads(out.read_text()) == json.loads(json.dumps(chrome(Record.from_dict(json.loads(file.read_text())))))
    assert main(["trace", str(file), "-o", str(out), "--for", "speedscope"]) == 0
    assert "profiles" in json.loads(out.read_text())
    assert main(["trace", str(file), "-o", str(tmp_path)]) == 2
    assert "is a folder" in capsys.readouterr().err
    empty = make_run(state="queued")
    empty.write(file)
    assert main(["trace", str(file), "-o", str(out)]) == 2
    assert "has no recorded stages" in capsys.readouterr().err


def test_the_page_has_both_as_downloads(client: FlaskClient, make_run: MakeRun) -> None:
    run = make_run(mode="compare")
    page = client.get(f"/runs/{run.id}", headers={"Accept": "text/html"}).text
    for name, made in TRACES.items():
        address = f"/runs/{run.id}/trace/{name}.json"
        assert f'href="{address}"' in page
        answer = client.get(address)
        assert answer.status_code == 200 and answer.get_json() == json.loads(json.dumps(made.make(run)))
        assert f"{run.id}.{made.suffix}" in answer.headers["Content-Disposition"]
    assert client.get(f"/runs/{run.id}/trace/vtune.json").status_code == 404
    assert client.get(f"/runs/{make_run(state='queued').id}/trace/perfetto.json").status_code == 404
