"""Uploads on their way into the run's folder."""

from __future__ import annotations

import errno
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from PIL import Image
from werkzeug.datastructures import FileStorage
from werkzeug.formparser import FormDataParser

from imgproc.errors import UserError
from imgproc.runs.uploads import PartStream, stream_factory, vet
from imgproc.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux")


def image(kind: str = "PNG", width: int = 32, height: int = 24, color: str = "red") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), color).save(buffer, kind)
    return buffer.getvalue()


def form(files: list[tuple[str, bytes]], boundary: str = "b0undary") -> bytes:
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="images"; filename="{name}"\r\n'
        f"Content-Type: image/png\r\n\r\n".encode()
        + data
        + b"\r\n"
        for name, data in files
    ]
    return b"".join(parts) + f"--{boundary}--\r\n".encode()


def parse(parser: FormDataParser, body: bytes) -> list[FileStorage]:
    _, _, files = parser.parse(io.BytesIO(body), "multipart/form-data", len(body), {"boundary": "b0undary"})
    return files.getlist("images")


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


# One part


def test_a_part_holds_no_descriptor_once_it_is_complete(tmp_path: Path) -> None:
    process = psutil.Process()
    part = PartStream(tmp_path / "part")
    assert part.write(b"abc\nd") + part.write(bytearray(b"ef")) + part.write(memoryview(b"\ng")) == 9
    assert (part.size, part.tell()) == (9, 9)
    assert (tmp_path / "part").read_bytes() == b"abc\ndef\ng"  # written already, nothing is kept back

    def is_open() -> bool:
        return str(part.path) in {file.path for file in process.open_files()}

    assert is_open()
    assert part.seek(0) == 0
    assert not is_open()
    assert part.tell() == 0
    assert part.seek(0) == 0
    assert not is_open()
    assert part.read(2) == b"ab"
    assert is_open()
    assert part.tell() == 2
    assert part.read() == b"c\ndef\ng"
    part.seek(4)
    assert list(part) == [b"def\n", b"g"]
    assert part.seek(-1, os.SEEK_END) == 8
    part.seek(0)
    assert part.readline() == b"abc\n"
    with pytest.raises(ValueError, match="complete"):
        part.write(b"more")
    part.close()
    part.close()
    assert part.closed
    assert not is_open()
    with pytest.raises(ValueError, match="closed"):
        part.read()


def test_a_part_that_broke_off_can_be_closed(tmp_path: Path) -> None:
    with PartStream(tmp_path / "part") as part:
        part.write(b"half")
        with pytest.raises(io.UnsupportedOperation):
            part.read()
    assert part.closed
    assert (tmp_path / "part").read_bytes() == b"half"


def test_an_empty_part_is_an_empty_file(tmp_path: Path) -> None:
    part = PartStream(tmp_path / "part")
    part.seek(0)
    assert part.read() == b""
    assert (tmp_path / "part").stat().st_size == 0


@linux
def test_a_full_device_is_told_in_our_words() -> None:
    part = PartStream(Path("/dev/full"))
    with pytest.raises(UserError) as problem:
        part.write(b"data")
    assert problem.value.code == "disk_full"
    assert problem.value.message.startswith("There is not enough disk space")
    part.close()


def test_a_disk_full_after_a_while(full_disk: Path) -> None:
    part = PartStream(full_disk / "part")
    part.write(bytes(40_000))
    with pytest.raises(UserError) as problem:
        part.write(bytes(40_000))
    assert problem.value.code == "disk_full"
    assert str(full_disk) not in problem.value.message
    part.close()


def test_other_errors_of_the_disk_name_no_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (tmp_path / "missing" / "part", tmp_path):
        with pytest.raises(UserError) as problem:
            PartStream(path)
        assert problem.value.code == "disk_full"
        assert problem.value.message.startswith("The images could not be stored on the server.")
        assert str(tmp_path) not in problem.value.message
    part = PartStream(tmp_path / "part")

    def broken(self: object, data: object) -> int:
        raise OSError(errno.EIO, "Input/output error", "/secret/path")

    monkeypatch.setattr(io, "FileIO", type("FileIO", (io.FileIO,), {"write": broken}))
    part = PartStream(tmp_path / "part")
    with pytest.raises(UserError) as problem:
        part.write(b"data")
    assert "secret" not in problem.value.message


# A whole upload through Werkzeug


def test_parts_get_names_of_our_own(tmp_path: Path) -> None:
    factory = stream_factory(tmp_path, 10_000)
    files = parse(FormDataParser(factory), form([("../../evil.png", b"one"), ("b.png", b""), ("b.png", b"three")]))
    assert [file.filename for file in files] == ["../../evil.png", "b.png", "b.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["incoming-0000", "incoming-0001", "incoming-0002"]
    assert [part.path.read_bytes() for part in factory.parts] == [b"one", b"", b"three"]
    assert [file.read() for file in files] == [b"one", b"", b"three"]
    files[2].seek(0)
    files[2].save(tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"three"
    factory.close()
    assert all(part.closed for part in factory.parts)


def test_all_parts_together_have_one_limit(tmp_path: Path) -> None:
    upload = form([("a", bytes(600_000)), ("b", bytes(400_000))])
    assert len(parse(FormDataParser(stream_factory(tmp_path, 1_000_000)), upload)) == 2
    factory = stream_factory(tmp_path, 999_999)
    with pytest.raises(UserError) as problem:
        parse(FormDataParser(factory), upload)
    assert (problem.value.code, problem.value.limit) == ("too_large", 999_999)
    assert problem.value.message.startswith("The upload is larger than 0.999999 MB, the limit for one run.")
    factory.close()
    assert all(part.closed for part in factory.parts)


MANY = """
import io, json, resource, sys
from pathlib import Path
import psutil
sys.path.insert(0, "tests")
from werkzeug.formparser import FormDataParser
from imgproc.runs.uploads import stream_factory
from test_intake import form, parse
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
body = form([(f"{n}.png", b"%d" % n * 200_000 if n % 100 == 0 else b"%d" % n) for n in range(1100)])
before = psutil.Process().num_fds()
factory = stream_factory(Path(sys.argv[1]), 100_000_000)
files = parse(FormDataParser(factory, max_form_parts=2000, silent=False), body)
held = psutil.Process().num_fds() - before
right = all(file.read(4) == (b"%d" % n * 4)[:4 if n % 100 == 0 else len(str(n))] or file.close()
            for n, file in enumerate(files) if n < 100)
factory.close()
print(json.dumps({"parts": len(files), "held": held, "right": right,
                  "bytes": sum(part.size for part in factory.parts), "after": psutil.Process().num_fds() - before}))
"""


@linux
def test_1100_files_need_few_descriptors(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", MANY, str(tmp_path)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    size = sum(len(str(n)) * (200_000 if n % 100 == 0 else 1) for n in range(1100))
    assert json.loads(done.stdout) == {"parts": 1100, "held": 0, "right": True, "bytes": size, "after": 0}
    assert (tmp_path / "incoming-1099").read_bytes() == b"1099"


# Vetting


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
    records = vet(files, uploads, previews, Settings(MAX_MEGAPIXELS=3), processes=processes)
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
    assert {path.name for path in previews.iterdir()} == {record.preview for record in records if record.preview}
    assert (uploads / "0002.jpg").read_bytes() == (uploads / "0004.jpg").read_bytes() == jpeg


def test_a_batch_of_bad_files_is_the_callers_to_judge(tmp_path: Path) -> None:
    records = vet(stored(tmp_path, ("a", b"a"), ("b", b"")), tmp_path, tmp_path / "p", Settings(), processes=2)
    assert all(record.error for record in records)
    assert [path.name for path in tmp_path.iterdir()] == ["p"]
    assert vet([], tmp_path, tmp_path / "p", Settings(), processes=2) == []


def test_an_upload_that_vanished_is_refused(tmp_path: Path) -> None:
    (record,) = vet([("a", tmp_path / "gone")], tmp_path, tmp_path / "p", Settings(), processes=1)
    assert (record.error, record.bytes) == ("The file could not be read. Send it again.", 0)


def test_a_disk_that_is_full_when_previews_are_made(full_disk: Path, tmp_path: Path) -> None:
    (full_disk / "filler").write_bytes(bytes(64 * 1024))
    files = stored(tmp_path / "uploads", *[("a.jpg", image("JPEG", 800, 600))] * 20)
    with pytest.raises(UserError) as problem:
        vet(files, tmp_path / "uploads", full_disk, Settings(), processes=2)
    assert problem.value.code == "disk_full"
    assert str(tmp_path) not in problem.value.message
    assert not [child for child in psutil.Process().children() if "vetting" in " ".join(child.cmdline())]
