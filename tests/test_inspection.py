"""Untrusted files: what is accepted, what is refused with which words, and what a hostile file may not do."""

from __future__ import annotations

import io
import os
import random
import re
import signal
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest
from PIL import Image

from imgproc.intake.inspector import Inspection, Inspector
from imgproc.pixels.codecs import decode
from imgproc.pixels.filetypes import ACCEPTED, accepted_type, refusal
from imgproc.pixels.formats import read_header
from imgproc.pixels.formats.contract import Wanted
from imgproc.pixels.formats.jpeg import MAX_SCANS, scans
from imgproc.settings import SECRETS

Children = Callable[[], list[psutil.Process]]

LIMIT = 4_000_000
SIDE = 5_000
posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX pipes with names and signals")
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux's process limits")


@pytest.fixture(scope="module")
def inspector() -> Iterator[Inspector]:
    with Inspector(LIMIT, SIDE, 20) as inspector:
        yield inspector


def picture(width: int, height: int) -> Image.Image:
    """Noise over a gradient, so that no codec can make it trivially small."""
    noise = np.random.default_rng(width * height).integers(0, 60, (height, width, 3), np.uint8)
    ramp = np.linspace(0, 190, width, dtype=np.uint8)[None, :, None]
    return Image.fromarray(noise + ramp)


def encoded(kind: str, width: int = 120, height: int = 80, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture(width, height).save(buffer, kind, **({"compress_level": 1} if kind == "PNG" else {}), **options)
    return buffer.getvalue()


def inspect(inspector: Inspector, folder: Path, data: bytes, name: str = "upload") -> Inspection:
    path = folder / name
    path.write_bytes(data)
    return inspector.inspect(path)


def png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def after_header(png: bytes, *chunks: bytes) -> bytes:
    return png[:33] + b"".join(chunks) + png[33:]


@pytest.fixture
def children() -> Callable[[], list[psutil.Process]]:
    """The inspectors' processes that were started during this test."""

    def all_children() -> list[psutil.Process]:
        found = []
        for process in psutil.Process().children():
            with suppress(psutil.Error):  # it is just ending
                if "imgproc.intake.inspector_child" in process.cmdline():
                    found.append(process)
        return found

    before = {p.pid for p in all_children()}
    return lambda: [p for p in all_children() if p.pid not in before]


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """A PNG of 120 by 80 pixels."""
    path = tmp_path / "good"
    path.write_bytes(encoded("PNG"))
    return path


def until(condition: Callable[[], object], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


# What is accepted


@pytest.mark.parametrize("kind", ACCEPTED)
def test_each_type_is_accepted_by_content_whatever_its_name(kind: str, inspector: Inspector, tmp_path: Path) -> None:
    preview = tmp_path / "preview.jpg"
    path = tmp_path / "named.pdf"
    path.write_bytes(encoded(kind, 1500, 1200))
    assert inspector.inspect(path, preview) == Inspection(kind, 1500, 1200)
    with Image.open(preview) as shown:
        assert (shown.format, shown.size) == ("JPEG", (1080, 864))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_size_and_preview_are_upright(orientation: int, inspector: Inspector, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.new("RGB", (2400, 1600), "black")
    image.paste("white", (0, 0, 1200, 800))  # the corner stored first
    path, preview = tmp_path / "turned.jpg", tmp_path / "preview.jpg"
    image.save(path, exif=exif)
    size = (1600, 2400) if orientation >= 5 else (2400, 1600)
    assert inspector.inspect(path, preview) == Inspection("JPEG", *size)
    upright = decode(path.read_bytes())
    shown = decode(preview.read_bytes())
    assert shown.shape == ((1080, 720) if orientation >= 5 else (720, 1080))
    assert np.abs(cv2.resize(upright, shown.shape[::-1]).astype(int) - shown).mean() < 3


def test_small_pictures_are_not_enlarged(inspector: Inspector, tmp_path: Path) -> None:
    path, preview = tmp_path / "a", tmp_path / "preview.jpg"
    for width, height in ((1, 1), (1080, 3), (3, 4999), (4999, 2)):
        path.write_bytes(encoded("PNG", width, height))
        assert inspector.inspect(path, preview) == Inspection("PNG", width, height)
        shown = decode(preview.read_bytes())
        assert max(shown.shape) <= 1080
        assert shown.shape == (height, width) or max(width, height) > 1080


@pytest.mark.parametrize(
    "data",
    [
        encoded("WebP"),
        encoded("WebP", lossless=True),
        encoded("WebP", exif=Image.Exif().tobytes() + b"0" * 9),
        encoded("WebP", save_all=True, append_images=[picture(120, 80)]),
        encoded("TIFF", big_tiff=True),
        encoded("TIFF", compression="tiff_lzw"),
        encoded("JPEG", progressive=True),
        encoded("JPEG", icc_profile=b"p" * 1_500_000),  # its header is longer than what is read of it first
        encoded("GIF", save_all=True, append_images=[picture(120, 80)] * 3),
    ],
    ids=["webp", "webp-lossless", "webp-extended", "webp-animated", "bigtiff", "lzw", "progressive", "icc", "gif"],
)
def test_header_size_is_that_of_the_picture(data: bytes, inspector: Inspector, tmp_path: Path) -> None:
    kind = accepted_type(data)
    assert kind is not None
    assert read_header(io.BytesIO(data), kind, Wanted()).upright == (120, 80)
    assert inspect(inspector, tmp_path, data) == Inspection(kind, 120, 80)


def test_pictures_of_the_largest_size_fit_into_the_memory_limit(inspector: Inspector, tmp_path: Path) -> None:
    deep = np.random.default_rng(1).integers(0, 65_536, (2000, 2000, 4), np.uint16)
    for name in ("a.png", "b.tif", "a.png", "b.tif"):
        path = tmp_path / name
        assert cv2.imwrite(str(path), deep, [cv2.IMWRITE_TIFF_COMPRESSION, 1] if name == "b.tif" else [])
        assert inspector.inspect(path) == Inspection("PNG" if name == "a.png" else "TIFF", 2000, 2000)
    for kind in ACCEPTED:
        assert inspect(inspector, tmp_path, encoded(kind, 2000, 2000)) == Inspection(kind, 2000, 2000)


def test_png_is_rewritten_to_its_still_picture(inspector: Inspector, tmp_path: Path) -> None:
    plain = encoded("PNG")
    animation = png_chunk(b"acTL", struct.pack(">II", 2, 0)), png_chunk(b"fdAT", b"\0\0\0\1junk")
    flood = [png_chunk(b"tEXt", b"k\0" + b"x" * 9)] * 20_000
    profile = png_chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(20_000_000)))
    path = tmp_path / "a.png"
    path.write_bytes(after_header(plain, *animation, *flood, profile) + b"<?php evil(); ?>" * 9)
    assert inspector.inspect(path) == Inspection("PNG", 120, 80)
    stored = path.read_bytes()
    for gone in (b"acTL", b"fdAT", b"tEXt", b"iCCP", b"evil"):
        assert gone not in stored
    assert np.array_equal(decode(stored, color=True), cv2.imdecode(np.frombuffer(plain, np.uint8), cv2.IMREAD_COLOR))
    assert list(tmp_path.iterdir()) == [path]


def test_png_without_superfluous_chunks_stays_as_it_is(inspector: Inspector, tmp_path: Path) -> None:
    data = encoded("PNG")
    assert inspect(inspector, tmp_path, data).error is None
    assert (tmp_path / "upload").read_bytes() == data


# What is refused, and in which words

PHONES = "Save it as JPEG first; an iPhone takes JPEG with “Most Compatible” in Settings, Camera, Formats."


@pytest.mark.parametrize(("head", "what", "way_out"), [
    (b"\0\0\0\x18ftypheic\0\0\0\0", "a HEIC photo", PHONES),
    (b"\0\0\0\x18ftypavif\0\0\0\0", "an AVIF image", "Save it as JPEG or PNG first."),
    (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf\0\0\0\x30meta", "an AVIF image", "Save it as JPEG or PNG first."),
    (b"\0\0\0\x1cftypmif1\0\0\0\0mif1heicmiaf\0\0\0\x30meta", "a HEIC photo", PHONES),
    (b"\0\0\0\x18ftypmif1\0\0\0\0mif1miaf\0\0\0\x30metaavif", "a HEIF image", "Save it as JPEG or PNG first."),
    (b"\0\0\0\x18ftypcrx isom", "a camera raw file", "Export it as JPEG or PNG first."),
    (b"\0\0\0\x18ftypisom\0\0\0\0", "a video or sound file", "Save a frame of it as JPEG or PNG first."),
    (b"\0\0\0\x0cJXL \r\n", "a JPEG XL image", "Save it as JPEG or PNG first."),
    (b"\0\0\0\x0cjP  \r\n", "a JPEG 2000 image", "Save it as JPEG or PNG first."),
    (b"8BPS\0\1", "a Photoshop file", "Export it as JPEG or PNG first."),
    (b"\0\0\1\0\1\0", "an icon", "Save it as JPEG or PNG first."),
    (b"P6\n4 4\n255\n", "a PPM image or one of its family", "Save it as JPEG or PNG first."),
    (b"%PDF-1.7", "a PDF", "Export its pages as JPEG or PNG first."),
    (b"%!PS-Adobe-3.0 EPSF-3.0", "an EPS or PostScript drawing", "Export it as JPEG or PNG first."),
    (b"PK\3\4\x14\0", "a ZIP archive or an office document", "Unpack it and send the images in it."),
    (b"\x1f\x8b\x08\0", "a gzip archive", "Unpack it and send the images in it."),
    (b"RIFF\0\0\0\0AVI LIST", "a video", "Save a frame of it as JPEG or PNG first."),
    (b"MZ\x90\0", "a program", "Send a JPEG, PNG, WebP, GIF, TIFF or BMP image."),
    (b"\x7fELF\2\1", "a program", "Send a JPEG, PNG, WebP, GIF, TIFF or BMP image."),
    (b"#!/bin/sh\n", "a program", "Send a JPEG, PNG, WebP, GIF, TIFF or BMP image."),
    (b"<?xml version='1.0'?>\n<!-- c -->\n<svg\nwidth='1'>", "an SVG drawing", "Export it as JPEG or PNG first."),
    (b"<!doctype html><p>", "a web page or XML file", "Send a JPEG, PNG, WebP, GIF, TIFF or BMP image."),
])  # fmt: skip
def test_other_types_are_named_with_a_way_out(head: bytes, what: str, way_out: str) -> None:
    for data in (head, head + bytes(3_000)):
        assert accepted_type(data) is None
        assert refusal(data) == f"This is {what}, which is not accepted here. {way_out}"


def test_texts_and_unknown_types_are_refused(inspector: Inspector, tmp_path: Path) -> None:
    for text in ("BMW and other cars\n", "Füße, 名前\n" * 900):
        assert inspect(inspector, tmp_path, text.encode()) == Inspection(
            error="This is a text file, not an image. Send a JPEG, PNG, WebP, GIF, TIFF or BMP image.",
            code="unsupported_type",
        )
    for data in (bytes(100), b"\x80\x04\x95", random.Random(1).randbytes(5_000)):
        found = inspect(inspector, tmp_path, data)
        assert found.format == ""
        assert str(found.error).startswith("This is not an image of a type that is accepted here")


def test_the_limits_hold_exactly(inspector: Inspector, tmp_path: Path) -> None:
    def error(width: int, height: int) -> str | None:
        Image.new("L", (width, height)).save(tmp_path / "flat", "PNG")
        return inspector.inspect(tmp_path / "flat").error

    assert error(2000, 2000) is None
    way_out = "Make it smaller, or ask for a higher limit."
    assert error(2000, 2001) == f"The image has 4.1 megapixels; the limit is 4. {way_out}"
    assert error(4000, 3000) == f"The image has 12 megapixels; the limit is 4. {way_out}"
    assert error(5000, 2) is None
    assert error(2, 5001) == (
        "The image is 5,001 pixels long; the limit is 5,000. Make it smaller, or cut it into pieces."
    )


def test_a_header_that_lies_about_the_size_costs_nothing(inspector: Inspector, tmp_path: Path) -> None:
    webp = bytearray(encoded("WebP", exif=b"Exif\0\0" + bytes(9)))
    webp[24:30] = b"\xfe\x3f\0" * 2
    assert inspect(inspector, tmp_path, encoded("PNG")).error is None  # now there is a child
    begin = time.monotonic()
    found = inspect(inspector, tmp_path, bytes(webp))
    assert (found.width, found.height) == (16_383, 16_383)
    assert "268.5 megapixels" in str(found.error)
    jpeg = encoded("JPEG")
    at = jpeg.index(b"\xff\xc0") + 5
    found = inspect(inspector, tmp_path, jpeg[:at] + struct.pack(">HH", 65_500, 65_500) + jpeg[at + 4 :])
    assert "4,290.3 megapixels; the limit is 4." in str(found.error)
    assert time.monotonic() - begin < 2


def test_files_too_long_for_any_image_are_not_read(inspector: Inspector, tmp_path: Path) -> None:
    path = tmp_path / "long.jpg"
    path.write_bytes(encoded("JPEG"))
    with open(path, "r+b") as file:
        file.truncate(2_000_000_000)
    assert str(inspector.inspect(path).error).startswith("The file has 2,000 MB; the limit for files here is ")


def test_empty_missing_and_odd_files(inspector: Inspector, tmp_path: Path) -> None:
    assert inspect(inspector, tmp_path, b"").error == "The file is empty. Copy it again from where it came."
    for path in (tmp_path / "missing", tmp_path, tmp_path / "na\udce9me"):
        assert inspector.inspect(path).error == "The file could not be read. Send it again."


def test_a_disk_that_fails_is_not_the_files_fault(inspector: Inspector, good: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        inspector.inspect(good, tmp_path / "missing" / "preview.jpg")
    assert inspector.inspect(good, tmp_path / "preview.jpg") == Inspection("PNG", 120, 80)


@pytest.mark.parametrize("kind", ACCEPTED)
def test_files_cut_short_are_refused(kind: str, inspector: Inspector, tmp_path: Path) -> None:
    data = encoded(kind)
    whole = decode(data, color=True)
    half = inspect(inspector, tmp_path, data[: len(data) // 2])
    assert half.error == "The file ends in the middle of the picture. Copy it again from where it came."
    for length in [*range(30, len(data), len(data) // 40), len(data) - 20, len(data) - 1]:
        if inspect(inspector, tmp_path, data[:length]).error is None:
            # Only what holds no pixels may be missing.
            assert np.array_equal(decode(data[:length], color=True), whole), length


def test_damaged_files_are_refused_in_our_own_words(inspector: Inspector, tmp_path: Path) -> None:
    chance = random.Random(7)
    words = re.compile(
        r"The file is damaged\. Copy|The file is damaged in a way|The file ends in the middle|The image has [\d,.]+ meg"
        r"|The image (is [\d,]+ pixels|has \d+ samples)|This is not an image of a type|This is a text"
        r"|(This (JPEG|BMP|TIFF) |The samples of this TIFF ).* (Save|Choose) "
    )
    refused = 0
    for kind in ACCEPTED:
        data = encoded(kind, 40, 30)
        for _ in range(40):
            damaged = bytearray(data)
            for _ in range(chance.randint(1, 12)):
                damaged[chance.randrange(min(len(data), chance.choice((60, 10**6))))] = chance.randrange(256)
            found = inspect(inspector, tmp_path, bytes(damaged))
            refused += found.error is not None
            assert found.error is None or words.match(found.error), found.error
    assert refused > 50
    assert inspect(inspector, tmp_path, encoded("PNG")).error is None


def test_scan_bombs_are_refused_and_films_behind_photos_are_not(inspector: Inspector, tmp_path: Path) -> None:
    jpeg = encoded("JPEG", 64, 64, progressive=True)
    at = jpeg.rindex(b"\xff\xda")
    bomb = jpeg[:at] + jpeg[at:-2] * MAX_SCANS + jpeg[-2:]
    assert scans(jpeg) < 12
    assert scans(bomb) > MAX_SCANS
    assert inspect(inspector, tmp_path, bomb).error == (
        "The JPEG has too many scans to be a photograph. Save it again in an image editor."
    )
    by_chance = b"\xff\xda\0\x08" * 2_000
    note = b"\xff\xe1" + struct.pack(">H", len(by_chance) + 2) + by_chance
    assert scans(jpeg[:2] + note + jpeg[2:] + by_chance) < 12
    assert inspect(inspector, tmp_path, jpeg[:2] + note + jpeg[2:] + by_chance) == Inspection("JPEG", 64, 64)


@pytest.mark.parametrize("flood", [b"\xff", b"\xff\xd8", b"\xff\xda", b"\xff\xda\0\x02", b"\xff\xd9\xff\xda"])
def test_looking_for_scans_in_a_flood_takes_no_time(flood: bytes) -> None:
    data = b"\xff\xd8\xff" + flood * (8_000_000 // len(flood))
    begin = time.monotonic()
    scans(data)
    assert time.monotonic() - begin < 10


# What a file may do to its child, and what that costs


@posix
def test_a_file_that_takes_too_long_costs_only_itself(tmp_path: Path, good: Path, children: Children) -> None:
    os.mkfifo(tmp_path / "hang")
    with Inspector(LIMIT, SIDE, 1.5) as inspector:
        assert inspector.inspect(good).error is None
        (before,) = children()
        begin = time.monotonic()
        assert str(inspector.inspect(tmp_path / "hang").error).startswith(
            "Reading the image took longer than 1.5 seconds."
        )
        assert 1.4 < time.monotonic() - begin < 10
        assert not before.is_running()
        assert inspector.inspect(good) == Inspection("PNG", 120, 80)


@posix
@pytest.mark.parametrize("signum", [signal.SIGSEGV, signal.SIGKILL])
def test_a_file_that_kills_its_child_costs_only_itself(
    signum: signal.Signals, tmp_path: Path, good: Path, children: Children
) -> None:
    os.mkfifo(tmp_path / "crash")
    with Inspector(LIMIT, SIDE, 20) as inspector, ThreadPoolExecutor(1) as thread:
        doomed = thread.submit(inspector.inspect, tmp_path / "crash")
        until(children)
        (child,) = children()
        until(lambda: child.nice() == os.nice(0) + 10)
        time.sleep(0.2)
        child.send_signal(signum)
        assert str(doomed.result(10).error).startswith("The file is damaged in a way that stops the decoder")
        assert inspector.inspect(good) == Inspection("PNG", 120, 80)
        assert child.pid not in [p.pid for p in children()]


@posix
def test_a_file_is_not_blamed_for_what_an_earlier_one_did(tmp_path: Path, good: Path, children: Children) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with Inspector(LIMIT, SIDE, 20) as inspector, ThreadPoolExecutor(1) as thread:
        assert inspector.inspect(good).error is None
        (first,) = children()
        first.kill()  # between two files
        assert inspector.inspect(good).error is None
        (second,) = children()
        waiting = thread.submit(inspector.inspect, pipe)
        time.sleep(0.2)
        second.kill()  # in the middle of a file, after it has inspected another
        until(lambda: [p for p in children() if p != second])
        pipe.write_bytes(encoded("JPEG"))
        assert waiting.result(10) == Inspection("JPEG", 120, 80)


@posix
def test_an_interrupted_call_leaves_no_answer_for_the_next_file(tmp_path: Path, good: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    def interrupt(signum: int, frame: object) -> None:
        raise KeyboardInterrupt

    with Inspector(LIMIT, SIDE, 20) as inspector:
        assert inspector.inspect(good).error is None
        before = signal.signal(signal.SIGALRM, interrupt)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.3)
            with pytest.raises(KeyboardInterrupt):
                inspector.inspect(pipe)
        finally:
            signal.signal(signal.SIGALRM, before)
        assert inspector.inspect(good) == Inspection("PNG", 120, 80)


@linux
def test_children_are_limited_and_polite(good: Path, children: Children) -> None:
    with Inspector(LIMIT, SIDE, 20) as inspector:
        assert inspector.inspect(good).error is None
        (child,) = children()
        soft, hard = child.rlimit(psutil.RLIMIT_AS)
        used = child.memory_info().vms
        assert soft == hard
        assert used < soft < used + 1_000_000_000
        assert child.rlimit(psutil.RLIMIT_CORE) == (0, 0)
        assert child.nice() >= 10


def test_children_know_the_limit_but_not_our_secrets(
    good: Path, monkeypatch: pytest.MonkeyPatch, children: Children
) -> None:
    for name in SECRETS:
        monkeypatch.setenv(name, "s3cret")
    monkeypatch.setenv("DATABASE_URL", "postgresql://user:pass@host/db")
    with Inspector(LIMIT, SIDE, 20) as inspector:
        assert inspector.inspect(good).error is None
        (child,) = children()
        assert child.environ()["OPENCV_IO_MAX_IMAGE_PIXELS"] == str(LIMIT)
        assert not {*SECRETS, "DATABASE_URL"} & child.environ().keys()


def test_threads_share_no_more_children_than_allowed(tmp_path: Path, children: Children) -> None:
    paths = []
    for number in range(40):
        path = tmp_path / f"{number}"
        path.write_bytes(encoded("PNG", 100 + number, 50))
        paths.append(path)
    with Inspector(LIMIT, SIDE, 20, processes=2) as inspector, ThreadPoolExecutor(8) as threads:
        found = list(threads.map(inspector.inspect, paths))
        assert len(children()) <= 2
    assert found == [Inspection("PNG", 100 + number, 50) for number in range(40)]


def test_children_start_when_needed_and_end_with_close(tmp_path: Path, children: Children) -> None:
    inspector = Inspector(LIMIT, SIDE, 20, processes=3)
    assert not children()
    assert inspect(inspector, tmp_path, encoded("PNG")).error is None
    assert inspect(inspector, tmp_path, encoded("PNG")).error is None
    (child,) = children()
    begin = time.monotonic()
    inspector.close()
    inspector.close()
    assert time.monotonic() - begin < 5
    assert not psutil.pid_exists(child.pid)  # not even as a zombie
    with pytest.raises(RuntimeError):
        inspector.inspect(tmp_path / "upload")


@posix
def test_close_does_not_wait_for_a_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "hang")
    inspector = Inspector(LIMIT, SIDE, 60)
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(inspector.inspect, tmp_path / "hang")
        time.sleep(0.7)
        threading.Thread(target=inspector.close).start()
        with pytest.raises(RuntimeError):
            waiting.result(10)


@posix
def test_children_end_when_their_parent_is_killed(tmp_path: Path, good: Path) -> None:
    os.mkfifo(tmp_path / "hang")
    program = (
        "import sys, threading; from pathlib import Path; from imgproc.intake.inspector import Inspector\n"
        f"i = Inspector({LIMIT}, {SIDE}, 600, processes=2); folder = Path(sys.argv[1])\n"
        "threading.Thread(target=i.inspect, args=(folder / 'hang',)).start()\n"
        "i.inspect(folder / 'good'); print('ready', flush=True)"
    )
    root = Path(__file__).resolve().parents[1]
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"ready\n"
        busy_and_idle = psutil.Process(parent.pid).children()
        assert len(busy_and_idle) == 2
        time.sleep(0.3)
        parent.kill()
    # Where nobody reaps orphans they stay behind as zombies.
    until(lambda: not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in busy_and_idle))
