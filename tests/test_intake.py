"""Uploads on their way into the run's folder."""

from __future__ import annotations

import errno
import io
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from PIL import Image

from imgproc.errors import UserError
from imgproc.pixels.codecs import decode
from imgproc.pixels.previews import PREVIEW_SIDE, THUMBNAIL_SIDE, thumbnail_of
from imgproc.runs.uploads import IncomingFiles, inspect_files
from imgproc.settings import Settings


def image(kind: str = "PNG", width: int = 32, height: int = 24, color: str = "red") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), color).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of 64 kB."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        done = False
    if not done:
        pytest.skip("a small disk cannot be mounted here (needs Linux and its administrator)")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_files_are_written_as_they_come_in_under_names_of_our_own(tmp_path: Path) -> None:
    incoming = IncomingFiles(tmp_path, 3)
    for name, pieces in (("../../evil.png", [b"abc\nd", b"ef"]), ("b.png", []), ("", []), ("", [b"three"])):
        incoming.begin(name)
        for at, piece in enumerate(pieces):
            incoming.write(piece)
            assert incoming.files[-1][1].read_bytes() == b"".join(pieces[: at + 1])  # nothing is kept back
        incoming.end()
    parts = [tmp_path / f"incoming-000{number}" for number in range(3)]
    assert incoming.files == list(zip(("../../evil.png", "b.png", "unnamed"), parts, strict=True))
    assert [part.read_bytes() for part in parts] == [b"abc\ndef", b"", b"three"]
    incoming.begin("fourth.png")
    with pytest.raises(UserError, match="up to 3 files") as problem:
        incoming.write(b"x")
    assert (problem.value.code, problem.value.limit) == ("too_large", 3)
    incoming.close()
    assert sorted(tmp_path.iterdir()) == parts


def test_only_the_file_under_way_is_open(tmp_path: Path) -> None:
    def held() -> set[str]:
        return {Path(file.path).name for file in psutil.Process().open_files() if file.path.startswith(str(tmp_path))}

    incoming = IncomingFiles(tmp_path, 1100)
    for number in range(1100):
        incoming.begin(f"{number}.png")
        incoming.write(b"%d" % number)
        if number % 500 == 0:
            assert held() == {f"incoming-{number:04d}"}
        incoming.end()
    assert held() == set()
    assert (tmp_path / "incoming-1099").read_bytes() == b"1099"


def test_an_upload_that_broke_off_can_be_closed(tmp_path: Path) -> None:
    incoming = IncomingFiles(tmp_path, 1)
    incoming.begin("a")
    incoming.write(b"half")
    incoming.close()
    incoming.close()
    assert (tmp_path / "incoming-0000").read_bytes() == b"half"


def test_a_disk_full_after_a_while(full_disk: Path) -> None:
    incoming = IncomingFiles(full_disk, 1)
    incoming.begin("a")
    incoming.write(bytes(40_000))
    with pytest.raises(UserError) as problem:
        incoming.write(bytes(40_000))
    assert problem.value.code == "disk_full"
    assert problem.value.message.startswith("There is not enough disk space")
    assert str(full_disk) not in problem.value.message
    incoming.close()


def test_other_errors_of_the_disk_name_no_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(folder: Path) -> None:
        incoming = IncomingFiles(folder, 1)
        incoming.begin("a")
        with pytest.raises(UserError) as problem:
            incoming.write(b"data")
        assert problem.value.code == "disk_full"
        assert problem.value.message.startswith("The images could not be stored on the server.")
        assert "secret" not in problem.value.message and str(tmp_path) not in problem.value.message
        incoming.close()

    def broken(self: object, data: object) -> int:
        raise OSError(errno.EIO, "Input/output error", "/secret/path")

    check(tmp_path / "missing")
    monkeypatch.setattr(io, "FileIO", type("FileIO", (io.FileIO,), {"write": broken}))
    check(tmp_path)


# Inspecting


def stored(folder: Path, *files: tuple[str, bytes]) -> list[tuple[str, Path]]:
    folder.mkdir(parents=True, exist_ok=True)
    for number, (_, data) in enumerate(files):
        (folder / f"incoming-{number:04d}").write_bytes(data)
    return [(name, folder / f"incoming-{number:04d}") for number, (name, _) in enumerate(files)]


@pytest.mark.parametrize("processes", [1, 3])
def test_good_files_are_kept_and_bad_ones_listed(processes: int, tmp_path: Path) -> None:
    uploads, previews = tmp_path / "uploads", tmp_path / "previews"
    jpeg = image("JPEG", 2000, 1000)
    files = stored(
        uploads,
        ("C:\\me\\a.png", image()),
        ("evil\u202e.jpg", b"#!/bin/sh\nrm -rf /\n"),
        ("b.png", jpeg),
        ("empty.jpg", b""),
        ("b.png", jpeg),
        ("cut.jpg", jpeg[:2000]),
        ("big.png", image("PNG", 3000, 1001)),
        ("c.tiff", image("TIFF")),
    )
    records = inspect_files(files, uploads, previews, Settings(MAX_MEGAPIXELS=3), processes=processes)
    assert [record.index for record in records] == list(range(8))
    assert [record.name for record in records] == [
        "a.png", "evil.jpg", "b.png", "empty.jpg", "b.png", "cut.jpg", "big.png", "c.tiff",
    ]  # fmt: skip
    assert [record.stored for record in records] == [
        "0000.png", "", "0002.jpg", "", "0004.jpg", "", "", "0007.tif",
    ]  # fmt: skip
    assert [record.preview for record in records] == [
        "0000.jpg", None, "0002.jpg", None, "0004.jpg", None, None, "0007.jpg",
    ]  # fmt: skip
    assert [record.format for record in records] == ["PNG", "", "JPEG", "", "JPEG", "JPEG", "PNG", "TIFF"]
    assert [(r.width, r.height) for r in records if r.error is None] == [
        (32, 24), (2000, 1000), (2000, 1000), (32, 24),
    ]  # fmt: skip
    assert records[1].error == "This is a program, which is not accepted here. " + (
        "Send a JPEG, PNG, WebP, GIF, TIFF or BMP image."
    )
    assert "3.1 megapixels; the limit is 3." in str(records[6].error)
    assert records[2].bytes == len(jpeg)
    assert {path.name for path in uploads.iterdir()} == {record.stored for record in records if record.stored}
    shown = [record.preview for record in records if record.preview]
    assert {path.name for path in previews.iterdir()} == {*shown, *map(thumbnail_of, shown)}
    for name, longest in (
        (shown[1], PREVIEW_SIDE),
        (thumbnail_of(shown[1]), THUMBNAIL_SIDE),
        (thumbnail_of(shown[0]), 32),
    ):
        assert max(decode((previews / name).read_bytes()).shape) == longest
    assert (uploads / "0002.jpg").read_bytes() == (uploads / "0004.jpg").read_bytes() == jpeg


def test_a_batch_of_bad_files_is_the_callers_to_judge(tmp_path: Path) -> None:
    records = inspect_files(
        stored(tmp_path, ("a", b"a"), ("b", b"")), tmp_path, tmp_path / "p", Settings(), processes=2
    )
    assert all(record.error for record in records)
    assert [path.name for path in tmp_path.iterdir()] == ["p"]
    assert inspect_files([], tmp_path, tmp_path / "p", Settings(), processes=2) == []


def test_an_upload_that_vanished_is_refused(tmp_path: Path) -> None:
    (record,) = inspect_files([("a", tmp_path / "gone")], tmp_path, tmp_path / "p", Settings(), processes=1)
    assert (record.error, record.bytes) == ("The file could not be read. Send it again.", 0)


def test_a_disk_that_is_full_when_previews_are_made(full_disk: Path, tmp_path: Path) -> None:
    (full_disk / "filler").write_bytes(bytes(64 * 1024))
    files = stored(tmp_path / "uploads", *[("a.jpg", image("JPEG", 800, 600))] * 20)
    with pytest.raises(UserError) as problem:
        inspect_files(files, tmp_path / "uploads", full_disk, Settings(), processes=2)
    assert problem.value.code == "disk_full"
    assert str(tmp_path) not in problem.value.message
    assert not [child for child in psutil.Process().children() if "inspector_child" in " ".join(child.cmdline())]
