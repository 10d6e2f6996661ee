"""What the command line shows on a terminal: tables that fit it, with bars; and that nobody else gets anything new."""

from __future__ import annotations

import io
import os
import re
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest
from figure_records import SCALES, SEVEN, fabricated
from hypothesis import given
from hypothesis import strategies as st

from imgproc.cli import screen
from imgproc.cli.screen import bar
from imgproc.report import differences
from imgproc.report.blocks import Block, Column, Drawn, Row, as_text
from imgproc.report.text import comparison_blocks, process_blocks, scale_blocks, summary
from imgproc.runs.record import Record

PROJECT = Path(__file__).resolve().parent.parent
WIDTHS = (30, 45, 60, 80, 100, 120, 200)
STYLES = re.compile(r"\x1b\[[0-9;]*m")
#: What a terminal is told otherwise; a test has only what it says.
TOLD = ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "TERM", "TTY_COMPATIBLE", "TTY_INTERACTIVE")


class Terminal(io.StringIO):
    """A terminal in UTF-8."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def drawn(blocks: list[Block], width: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """What a terminal of so many columns gets, with its styles."""
    for name in TOLD:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", str(width))
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    screen.draw(blocks)
    return terminal.getvalue()


def side_by_side() -> list[Block]:
    sides = [differences.Side(name, fabricated(SEVEN[:4])) for name in ("mine.json", "theirs.json")]
    return differences.blocks(differences.compared(sides))


TABLES = {
    "compare": lambda: [*comparison_blocks(fabricated(SEVEN))],
    "process": lambda: [*process_blocks(fabricated(SEVEN[:2], mode="parallel"))],
    "scale": lambda: [*scale_blocks(SCALES["two cores"])],
    "many cores": lambda: [*scale_blocks(SCALES["many cores"])],
    "diff": side_by_side,
}


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("width", WIDTHS)
def test_tables_fit_the_terminal_and_lose_no_technique_and_no_speedup(
    name: str, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = TABLES[name]()
    shown = STYLES.sub("", drawn(blocks, width, monkeypatch))
    lines = [line for line in shown.splitlines() if not line.startswith("Command: ")]  # which is there to be copied
    assert max(map(len, lines)) <= width and len(lines) >= len(shown.splitlines()) - 1
    squeezed = re.sub(r"\s", "", shown)
    for block in blocks:
        for row in block.rows if isinstance(block, Drawn) else ():
            speedups = [cell for cell, column in zip(row.cells, block.columns, strict=True) if column.head == "speedup"]
            for wanted in (row.cells[0], *speedups) if width >= 60 else speedups:
                assert re.sub(r"\s", "", wanted) in squeezed
    if width >= 80:
        assert "█" in shown


def test_the_best_is_bold_and_colours_say_who_is_faster_and_slower(monkeypatch: pytest.MonkeyPatch) -> None:
    record = fabricated(SEVEN)
    record.findings = None
    record.conclude()
    shown = drawn([*comparison_blocks(record)], 120, monkeypatch)
    assert record.best
    [best] = [line for line in shown.splitlines() if STYLES.sub("", line).startswith(f"{record.best} ")]
    others = [line for line in shown.splitlines() if "█" in line and line != best]
    assert best.startswith("\x1b[1m") and not any(line.startswith("\x1b[1m") for line in others)
    assert ";32m█" in best or "[32m█" in best
    slower = [line for line in others if re.search(r"\bslower\b", line)]
    assert all("31m█" in line for line in slower)


def test_bars_are_as_long_as_their_speedups_and_their_light_end_is_the_interval() -> None:
    assert bar(Row((), 1.0, None), 2.0, 20) == "█" * 10
    assert bar(Row((), 1.5, (1.0, 2.0)), 2.0, 20) == "█" * 10 + "▓" * 5 + "░" * 5
    assert bar(Row(()), 2.0, 20) == ""


@given(st.floats(0.01, 100), st.floats(0, 1), st.floats(1, 3), st.floats(0.5, 4), st.integers(10, 40))
def test_no_bar_is_longer_than_its_column(speedup: float, low: float, high: float, more: float, width: int) -> None:
    ends = (speedup * low, speedup * high)
    made = bar(Row((), speedup, ends), max(1.0, ends[1] * max(1.0, more)), width)
    assert len(made) <= width and re.fullmatch("█*▓*░*", made)


def test_what_a_name_says_to_the_terminal_is_not_said(monkeypatch: pytest.MonkeyPatch) -> None:
    bad = "evil\x1b]0;owned\x07\x1b[2J"
    table = Drawn([], (Column("technique"), Column("verdict", wraps=True)), [Row((bad, bad), 2.0)])
    shown = STYLES.sub("", drawn([bad, table], 80, monkeypatch))
    assert "\x1b" not in shown and "\x07" not in shown and shown.count("evil") == 3


@pytest.mark.parametrize("record", [fabricated(SEVEN), SCALES["two cores"]])
def test_for_scripts_the_summary_of_process_has_nothing_more(record: Record) -> None:
    assert as_text(process_blocks(record)) == summary(record)


# ---------------------------------------------------------------- the command, on a terminal and elsewhere


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("records")
    for name in ("a.json", "b.json"):
        fabricated(SEVEN[:3]).write(folder / name)
    return folder


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in TOLD}
    return {**kept, "PYTHONPATH": str(PROJECT), "PYTHONUTF8": "1", "TERM": "xterm-256color", **more}


def on_terminal(folder: Path, *words: str, columns: int = 80, **more: str) -> str:
    """What ``diff`` prints on a terminal of so many columns."""
    pty = pytest.importorskip("pty")
    main, side = pty.openpty()
    import fcntl
    import struct
    import termios

    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    command = [sys.executable, "-m", "imgproc", "diff", "a.json", "b.json", *words]
    with subprocess.Popen(
        command, cwd=folder, env=environment(**more), stdout=side, stdin=side, stderr=side
    ) as process:
        os.close(side)
        said, until = b"", time.monotonic() + 60
        while time.monotonic() < until and select.select([main], [], [], 60)[0]:
            try:
                some = os.read(main, 65_536)
            except OSError:  # Linux: nobody writes any more
                break
            if not some:
                break
            said += some
        os.close(main)
    assert process.returncode == 0
    return said.decode(errors="replace").replace("\r\n", "\n")


def in_pipe(folder: Path, *words: str, **more: str) -> str:
    command = [sys.executable, "-m", "imgproc", "diff", "a.json", "b.json", *words]
    done = subprocess.run(command, cwd=folder, env=environment(**more), capture_output=True, check=True)
    return done.stdout.decode()


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_a_terminal_gets_tables_and_whoever_wants_none_the_text_of_pipes(records: Path) -> None:
    plain = in_pipe(records)
    assert "\x1b" not in plain and "█" not in plain and "\ntechnique " in plain
    for columns in (80, 44):
        shown = on_terminal(records, columns=columns)
        assert "\x1b[1m" in shown and max(len(line) for line in STYLES.sub("", shown).splitlines()) <= columns
    assert "█" in on_terminal(records)
    assert on_terminal(records, "--plain") == plain
    assert on_terminal(records, NO_COLOR="1") == plain
    assert on_terminal(records, TERM="dumb") == plain
    assert on_terminal(records, PYTHONUTF8="0", PYTHONIOENCODING="latin-1").count("█") == 0
    assert in_pipe(records, FORCE_COLOR="1") == plain
