"""Zip and table: whole, exact in size, safe to unpack, and never large in memory."""

from __future__ import annotations

import csv
import io
import os
import shutil
import struct
import subprocess
import tracemalloc
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgproc.errors import UserError
from imgproc.measure.results import Round, TechniqueMeasurement
from imgproc.runs.archive import File, PreparedZip, rounds_csv
from imgproc.runs.record import ImageRecord, Record, RunSettings

Files = list[tuple[str, Path]]


def made(folder: Path, sizes: dict[str, int]) -> Files:
    files = []
    for at, (name, size) in enumerate(sizes.items()):
        path = folder / f"{at}.bin"
        path.write_bytes(os.urandom(size))
        files.append((name, path))
    return files


def stream_zip(files: Iterable[File]) -> tuple[Iterator[bytes], int]:
    prepared = PreparedZip(files)
    return prepared.pieces(), prepared.size


def read(files: Files) -> zipfile.ZipFile:
    pieces, size = stream_zip(files)
    data = b"".join(pieces)
    assert size == len(data)
    return zipfile.ZipFile(io.BytesIO(data))


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return made(tmp_path, {"a_canny.png": 10, "b_gaussian.jpg": 700_000, "ümläut 写真.png": 3, "empty": 0})


def test_every_file_comes_back_whole(files: Files) -> None:
    with read(files) as archive:
        assert archive.testzip() is None
        assert {i.filename: archive.read(i) for i in archive.infolist()} == {n: p.read_bytes() for n, p in files}
        assert {i.compress_type for i in archive.infolist()} == {zipfile.ZIP_STORED}


def test_the_size_of_nothing_is_known_before() -> None:
    pieces, size = stream_zip([])
    assert size == sum(map(len, pieces)) == 22


@pytest.mark.parametrize("limit", [1, 100, 150_000, 900_000])
def test_sizes_beyond_four_bytes(files: Files, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    """The layout for huge files, offsets and folders, with the limit made small instead of the files large."""
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", limit)
    with read(files) as archive:
        assert archive.testzip() is None
        assert len(archive.infolist()) == 4


@pytest.mark.parametrize("limit", [3, 4, 5])
def test_more_files_than_two_bytes_can_count(files: Files, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", limit)
    pieces, size = stream_zip(files)
    assert size == sum(map(len, pieces))


JAVA = """
import java.util.zip.*;

class Read {
    public static void main(String[] names) throws Exception {
        var zip = new ZipInputStream(System.in);
        for (ZipEntry e; (e = zip.getNextEntry()) != null; )
            System.out.println(zip.readAllBytes().length);
    }
}
"""


def local_headers(data: bytes) -> list[tuple[int, ...]]:
    """Flags, method, checksum and both sizes of each entry, as they stand before it."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [struct.unpack_from("<HH4xLLL", data, info.header_offset + 6) for info in archive.infolist()]


def test_checksum_and_size_stand_before_each_entry(files: Files) -> None:
    """Behind a stored one they would leave open where it ends."""
    given: list[tuple[str, Path | bytes]] = [*files, ("about/summary.txt", b"Number of Images: 2")]
    found = local_headers(b"".join(stream_zip(given)[0]))
    contents = [file if isinstance(file, bytes) else file.read_bytes() for _, file in given]
    assert [rest for _, *rest in found] == [[0, zlib.crc32(c), len(c), len(c)] for c in contents]
    assert not any(flags & 0x08 for flags, *_ in found)


@pytest.mark.skipif(not shutil.which("java"), reason="Java is not installed")
def test_java_reads_it_as_a_stream(files: Files, tmp_path: Path) -> None:
    (tmp_path / "Read.java").write_text(JAVA)
    done = subprocess.run(
        ["java", "Read.java"], cwd=tmp_path, input=b"".join(stream_zip(files)[0]), capture_output=True, check=False
    )
    if b"not found" in done.stderr or b"compiler" in done.stderr:
        pytest.skip("this Java has no compiler")
    assert (done.stdout.split(), done.stderr) == ([b"%d" % path.stat().st_size for _, path in files], b"")


@pytest.mark.parametrize("size", [9, 11])
def test_a_file_that_changes_before_its_turn_breaks_the_answer(files: Files, size: int) -> None:
    pieces, _ = stream_zip(files)
    os.truncate(files[0][1], size)
    with pytest.raises(OSError, match="a_canny"):
        b"".join(pieces)


@pytest.mark.skipif(not shutil.which("unzip"), reason="unzip is not installed")
def test_another_program_reads_it(files: Files, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"".join(stream_zip(files)[0]))
    subprocess.run(["unzip", "-t", "a.zip"], cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)


def test_memory_stays_small_and_pieces_come_early(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    path.write_bytes(b"")
    os.truncate(path, 100_000_000)
    tracemalloc.start()
    try:
        longest = max(map(len, stream_zip([("large.png", path)] * 2)[0]))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert longest < 1_000_000
    assert peak < 4_000_000


def test_many_small_files_make_few_pieces(tmp_path: Path) -> None:
    files = made(tmp_path, {f"{n}.png": 1_000 for n in range(300)})
    assert len(list(stream_zip(files)[0])) <= 3


def test_names_are_relative_safe_and_unique(tmp_path: Path) -> None:
    path = made(tmp_path, {"x": 1})[0][1]
    names = {
        "/etc/passwd": "etc/passwd", "../../up.png": "up.png", "C:\\dir\\b.png": "C_/dir/b.png", "A.png": "A.png",
        "a.PNG": "a (2).PNG", "a.png": "a (3).png", "..": "file", "nul\0.png": "nul_.png", "\udc80.png": "_.png",
    }  # fmt: skip
    with read([(name, path) for name in names]) as archive:
        assert archive.namelist() == list(names.values())


@given(st.lists(st.text(max_size=20), max_size=8))
def test_whatever_the_names_nothing_leaves_the_folder(names: list[str]) -> None:
    path = Path(__file__)
    files = [(name, path) for name in names]
    with read(files) as archive:
        found = archive.namelist()
    assert len({name.casefold() for name in found}) == len(names)
    for name in found:
        assert name and not name.startswith("/") and "\\" not in name
        assert not {"", ".", ".."} & set(name.split("/"))


def test_a_file_that_is_gone_is_said_before_anything_is_sent(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.png of this run is gone") as caught:
        stream_zip([("a.png", tmp_path / "missing")])
    assert caught.value.code == "not_found"
    assert str(tmp_path) not in caught.value.message


def test_a_reader_that_goes_away_leaves_nothing_open(files: Files) -> None:
    def open_files() -> set[tuple[str, int]]:  # without how far each is read or written: others write to a log
        return {(file.path, file.fd) for file in psutil.Process().open_files()}

    before = open_files()
    pieces, _ = stream_zip([("big", files[1][1])] * 3)
    next(pieces)
    assert open_files() != before
    pieces.close()  # type: ignore[attr-defined]
    assert open_files() == before


def test_threads_send_the_same_zip_at_the_same_time(files: Files) -> None:
    prepared = PreparedZip(files)
    first, second = prepared.pieces(), prepared.pieces()
    begun = next(first)
    whole = b"".join(second)
    assert begun + b"".join(first) == whole == b"".join(stream_zip(files)[0])
    assert len(whole) == prepared.size


def test_a_file_that_changes_its_size_breaks_the_zip_off_however_often_it_was_sent(files: Files) -> None:
    prepared = PreparedZip(files)
    assert len(b"".join(prepared.pieces())) == prepared.size
    files[1][1].write_bytes(b"short")
    with pytest.raises(OSError, match=r"b_gaussian\.jpg has 5 bytes and had 700000"):
        list(prepared.pieces())


def test_old_files_have_a_time_zip_can_hold(tmp_path: Path) -> None:
    files = made(tmp_path, {"old": 1})
    os.utime(files[0][1], (0, 0))
    with read(files) as archive:
        assert archive.infolist()[0].date_time == (1980, 1, 1, 0, 0, 0)


def test_rounds_as_a_table() -> None:
    record = Record(
        "0" * 12,
        "parallel",
        RunSettings([], {}),
        images=[ImageRecord(0, "a"), ImageRecord(1, "b", error="damaged"), ImageRecord(2, "c")],
        techniques=[
            TechniqueMeasurement(
                "threading",
                "Threads",
                first_round_seconds=2.5,
                rounds=[Round(1.5, 2.75, 1000, joules={"processor": 40.0, "memory": 5.5}), Round(1.25)],
            ),
            TechniqueMeasurement("joblib", "joblib", available=False, reason="not installed"),
        ],
    )
    rows = list(csv.reader(io.StringIO(rounds_csv(record))))
    assert rows == [
        ["technique", "round", "wall_seconds", "cpu_seconds", "peak_memory_bytes", "images", "joules"],
        ["threading", "warm-up", "2.5", "", "", "2", ""],
        ["threading", "1", "1.5", "2.75", "1000", "2", "45.5"],
        ["threading", "2", "1.25", "", "", "2", ""],
    ]
    record.sample = [0]
    assert rounds_csv(record).splitlines()[2].endswith(",1,45.5")
