"""Results that are on the disk before they count as written: what the system is asked for, what its cache holds."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import sys
from pathlib import Path

import pytest
from conftest import jpeg

from imgproc import files
from imgproc.backends import TECHNIQUES
from imgproc.cli import main
from imgproc.files import write_whole
from imgproc.runs.record import Record

#: The system call cachestat of Linux 6.5 and later, which has the same number on all processors.
CACHESTAT = 451


class Range(ctypes.Structure):
    _fields_ = [("offset", ctypes.c_uint64), ("length", ctypes.c_uint64)]


class Cached(ctypes.Structure):
    """Pages of a file in memory."""

    _fields_ = [(name, ctypes.c_uint64) for name in ("cached", "dirty", "writeback", "evicted", "recently_evicted")]


def unwritten(path: Path) -> int:
    """Pages of a file that are not on its disk yet. Skips the test where the system cannot tell."""
    if sys.platform != "linux":
        pytest.skip("cachestat is a system call of Linux")
    found, whole = Cached(), Range(0, 0)
    with open(path, "rb") as file:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.syscall(CACHESTAT, file.fileno(), ctypes.byref(whole), ctypes.byref(found), 0):
            pytest.skip(f"cachestat: {os.strerror(ctypes.get_errno())}")
    return int(found.dirty + found.writeback)


def processed(folder: Path, *words: str) -> list[Path]:
    for index in range(3):
        (folder / f"{index}.jpg").write_bytes(jpeg(300, 200, seed=index))
    out = folder / f"out{len([*folder.iterdir()])}"
    images = [str(folder / f"{index}.jpg") for index in range(3)]
    assert main(["process", *images, "--out", str(out), "--budget", "0", *words]) == 0
    made = sorted(out.iterdir())
    assert len(made) == 9
    return made


WAYS = [
    ("--technique", "sequential"),
    ("--technique", "threading", "--workers", "2"),
    ("--technique", "threading", "--workers", "2", "--split", "always"),
    ("--technique", "multiprocessing", "--workers", "2"),
    ("--technique", "multiprocessing", "--workers", "2", "--split", "always"),
    ("--technique", "multiprocessing", "--workers", "2", "--transfer", "bytes"),
    ("--technique", "multiprocessing", "--workers", "2", "--transfer", "arrays"),
    ("--technique", "joblib", "--workers", "2", "--transfer", "shared", "--format", "jpeg"),
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: " ".join(way[1::2]))
def test_the_disk_has_every_result_when_it_counts_as_written(tmp_path: Path, way: tuple[str, ...]) -> None:
    if not TECHNIQUES[way[1]].availability().ok:
        pytest.skip(f"{way[1]} cannot run here")
    handed_over = [unwritten(path) for path in processed(tmp_path, "--technique", "sequential")]
    if not all(handed_over):
        pytest.skip("this file system does not show what is not written yet, or has none")
    assert [unwritten(path) for path in processed(tmp_path, *way, "--durable")] == [0] * 9


def test_a_file_is_synced_before_it_has_its_name_and_the_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[int, bool]] = []
    target = tmp_path / "a.bin"

    def noted(descriptor: int) -> None:
        there = target.exists() and target.read_bytes() == content
        synced.append((os.fstat(descriptor).st_ino, there))

    monkeypatch.setattr(files.os, "fsync", noted)
    monkeypatch.setattr(files, "fcntl", None)
    for content in (b"first", b"second, in its place"):  # without a name until it is whole, and under another name
        synced.clear()
        write_whole(target, content, durable=True)
        assert target.read_bytes() == content
        assert synced == [(target.stat().st_ino, False), (tmp_path.stat().st_ino, True)]
    synced.clear()
    write_whole(target, b"third")
    assert synced == []


def test_a_disk_that_fails_leaves_nothing_that_looks_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(descriptor: int) -> None:
        raise OSError(errno.EIO, "the disk is broken")

    monkeypatch.setattr(files.os, "fsync", fails)
    monkeypatch.setattr(files, "fcntl", None)
    with pytest.raises(OSError, match="the disk is broken"):
        write_whole(tmp_path / "a.bin", b"content", durable=True)
    assert [*tmp_path.iterdir()] == []


def test_a_durable_run_says_so_and_waits_within_its_measured_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg())
    words = ["process", str(tmp_path / "a.jpg"), "--out", str(tmp_path / "out"), "--no-wait", "--rounds", "2"]
    words += ["--technique", "threading", "--workers", "1", "--durable", f"--json={tmp_path / 'run.json'}"]
    waits: list[int] = []
    real = os.fsync
    monkeypatch.setattr(files.os, "fsync", lambda file: (waits.append(file), real(file))[1])
    assert main(words) == 0
    record = Record.from_dict(json.loads((tmp_path / "run.json").read_text()))
    passes = 2 * (1 + 2)  # of both, a first one and two that count
    assert record.settings.durable and len(waits) == passes * 3 * 2  # three results, each with its folder
    assert "Note: every result was on the disk (fsync of file and folder)" in capsys.readouterr().out
    assert record.techniques[0].predicted_seconds is None  # how long a disk takes is not learned
