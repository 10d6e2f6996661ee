"""Completion in real shells: bash, and zsh and fish where they are installed."""

from __future__ import annotations

import os
import re
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from imgproc.backends import TECHNIQUES
from imgproc.cli import COMMANDS, main
from imgproc.cli.completion import SHELLS, every_command

BASH, ZSH, FISH = (shutil.which(name) for name in ("bash", "zsh", "fish"))


@pytest.fixture
def script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """That of bash."""
    return written("bash", tmp_path, capsys)


def written(shell: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert main(["completion", shell]) == 0
    file = folder / f"completion.{shell}"
    file.write_text(capsys.readouterr().out)
    return file


def completed(script: Path, *words: str) -> set[str]:
    """What bash offers for the last of the words."""
    program = (
        f'source {script}; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _speedup_lab; printf "%s\\n" "${{COMPREPLY[@]}}"'
    )
    assert BASH
    done = subprocess.run([BASH, "-c", program, "-", "speedup-lab", *words], capture_output=True, text=True, check=True)
    assert not done.stderr
    return set(done.stdout.split())


@pytest.mark.skipif(not BASH, reason="bash is not installed")
def test_bash_completes_commands_options_and_what_can_be_chosen(script: Path) -> None:
    assert completed(script, "") == {*COMMANDS}
    assert completed(script, "--") == {"--help", "--version"}
    assert completed(script, "com") == {"communication", "compare", "completion"}
    assert completed(script, "completion", "z") == {"zsh"}
    assert completed(script, "diff", "--") == {"--help", "--json", "--csv", "--markdown", "--plain"}
    assert completed(script, "compare", "photos", "--wor") == {"--workers"}
    assert completed(script, "compare", "--technique", "") == {"auto", *TECHNIQUES}
    assert completed(script, "compare", "--technique", "=", "multip") == {"multiprocessing"}
    assert completed(script, "compare", "--technique", "=") == {"auto", *TECHNIQUES}
    assert completed(script, "compare", "--technique", "=", "threading,mp") == {"threading,mpi"}
    assert completed(script, "compare", "--technique", "=", "mpi", "photos", "--wor") == {"--workers"}
    assert completed(script, "compare", "--operations", "canny,ga") == {"canny,gaussian"}
    assert completed(script, "process", "--depth", "hi") == {"high-byte"}
    assert completed(script, "process", "--interpolation", "lan") == {"lanczos"}
    assert completed(script, "compare", "pho") == set()  # files are bash's own matter
    assert completed(script, "compare", "some,pho") == set()


@pytest.mark.skipif(not BASH or sys.platform == "win32", reason="bash is not installed")
def test_bash_completes_at_the_tab_key(script: Path, tmp_path: Path) -> None:
    import pty

    (tmp_path / "my run.json").touch()
    assert BASH
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(tmp_path)
        os.execve(BASH, ["bash", "--norc", "--noprofile", "-i"], {**os.environ, "TERM": "dumb", "INPUTRC": "/dev/null"})
    try:
        for typed, expected in (
            (f"source {script}; echo re''ady\n", "ready"),
            ("speedup-lab scale --technique=multip\t", "--technique=multiprocessing "),
            ("\x15speedup-lab scale --operations canny,ga\t", "canny,gaussian "),
            ("\x15speedup-lab verify my\t", "my\\ run.json "),
        ):
            os.write(terminal, typed.encode())
            assert expected in said(terminal, expected), typed
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
        os.close(terminal)


def said(terminal: int, expected: str) -> str:
    """What a terminal shows until the text is there, or half a minute is over."""
    text, until = "", time.monotonic() + 30
    while expected not in text and time.monotonic() < until:
        if select.select([terminal], [], [], 1)[0]:
            text += os.read(terminal, 65_536).decode(errors="replace")
    return text


@pytest.mark.skipif(not ZSH, reason="zsh is not installed")
def test_zsh_reads_its_script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ZSH
    file = written("zsh", tmp_path, capsys)
    subprocess.run([ZSH, "-f", "-n", file], check=True)


@pytest.mark.skipif(not FISH, reason="fish is not installed")
def test_fish_completes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert FISH
    file = written("fish", tmp_path, capsys)
    for typed, expected in (
        ("speedup-lab tech", "techniques"),
        ("speedup-lab compare --technique mu", "multiprocessing"),
    ):
        done = subprocess.run(
            [FISH, "--no-config", "-c", f"source {file}; complete -C '{typed}'"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert expected in done.stdout


@pytest.mark.parametrize("shell", SHELLS)
def test_every_command_and_option_is_in_every_script(
    shell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = written(shell, tmp_path, capsys).read_text()
    [commands] = every_command()._subparsers._group_actions
    assert {*commands.choices} == {*COMMANDS}
    for name, parser in commands.choices.items():
        assert re.search(rf"\b{name}\b", text)
        assert all(one.lstrip("-") in text for one in parser._option_string_actions)
    assert all(name in text for name in TECHNIQUES)


def test_another_shell_is_said_not_to_be_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "fsh"]) == 2
    assert "Did you mean “fish”?" in capsys.readouterr().err
