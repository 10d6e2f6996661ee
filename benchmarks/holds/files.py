"""Rows 1 and 2: hostile files, mutated ones, and pictures that are very large."""

from __future__ import annotations

import io
import json
import random
import struct
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image

from benchmarks.holds.watching import Watch, app_of, held
from benchmarks.web_load import Promise, exactly, told, under
from imgproc.backends import TECHNIQUES
from imgproc.intake.samples import write_sample
from imgproc.pixels.formats.jpeg import MAX_SCANS
from tests.backend_kinds import AVAILABLE
from tests.live_app import PROJECT, Live

CORPUS = PROJECT.parent / "shared" / "corpus"
#: Just below the limit for one picture.
LARGE_MEGAPIXELS = 49.0
#: Most mutated uploads on their way at once.
AT_ONCE = 4
#: Of the mutated uploads, those after which memory is looked at first.
WARM_UP = 0.1

Files = list[tuple[str, bytes]]


def hostile(scale: float, seed: int) -> Iterator[Promise]:
    """Row 1: all hostile files there are, valid ones among them, in one post for each technique."""
    files = [*of_corpus(), *made_to_harm()]
    names = AVAILABLE if scale >= 1 else AVAILABLE[: max(2, round(scale * len(AVAILABLE)))]
    good = [name for name in names if not TECHNIQUES[name].antipattern]
    with tempfile.TemporaryDirectory(prefix="holds-") as folder, app_of(Path(folder)) as live:
        live.start()
        with Watch(live) as watch:
            for name in good:
                yield _done_with(live, files, name)
        yield from watch.within()
        # What its pixels take that go through the runner is what an antipattern shows; it is never chosen or advised.
        for name in sorted({*names} - {*good}):
            with Watch(live) as watch:
                yield _done_with(live, files, name)
            yield told("… with it, the runner: most memory", f"{watch.peaks['runner']:.0f} MB")
        live.stop()


def _done_with(live: Live, files: Files, technique: str) -> Promise:
    answer = live.post(files, mode="parallel", technique=technique, workers="2", budget="0")
    record = live.finished(answer.json()["id"], 600)
    images = record["images"]
    good = [image for image in images if not image["error"]]
    made = sum(bool(image["outputs"]) for image in good)
    what = f"{technique}: {len(images)} files, of which {len(images) - len(good)} refused; {record['state']}"
    return exactly(f"{what}; accepted and done", len(good), made if record["state"] == "done" else 0)


def of_corpus() -> Files:
    """Hostile and valid files that are known, where they are beside the checkout."""
    if not CORPUS.is_dir():
        return []
    listed = json.loads((CORPUS / "MANIFEST.json").read_text())
    return [(Path(entry["file"]).name, (CORPUS / entry["file"]).read_bytes()) for entry in listed]


def made_to_harm() -> Files:
    """Small files that would take much memory or time, or are not what they say."""
    jpeg, png, gif = _encoded("JPEG"), _encoded("PNG"), _encoded("GIF")
    scanned = _encoded("JPEG", progressive=True)
    at, size = scanned.rindex(b"\xff\xda"), jpeg.index(b"\xff\xc0") + 5
    deep = io.BytesIO()
    Image.new("L", (9_000, 5_400)).save(deep, "PNG")  # 48.6 megapixels in some kilobytes
    frames = [Image.new("P", (6_900, 6_900), number) for number in range(4)]
    film = io.BytesIO()
    frames[0].save(film, "GIF", save_all=True, append_images=frames[1:])
    loop = struct.pack("<2sHIHI", b"II", 42, 8, 0, 8)  # a directory that is followed by itself
    return [
        ("size.jpg", jpeg[:size] + struct.pack(">HH", 65_500, 65_500) + jpeg[size + 4 :]),
        ("size.png", png[:16] + struct.pack(">II", 60_000, 60_000) + png[24:]),
        ("screen.gif", gif[:6] + struct.pack("<HH", 65_535, 65_535) + gif[10:]),
        ("frame.gif", gif[:6] + struct.pack("<HH", 7_000, 7_000) + gif[10:]),
        ("film.gif", film.getvalue()),
        ("deep.png", deep.getvalue()),
        ("scans.jpg", scanned[:at] + scanned[at:-2] * MAX_SCANS + scanned[-2:]),
        ("loop.tif", loop),
        ("flood.jpg", b"\xff\xd8\xff" + b"\xff\xda\0\x02" * 200_000),
        ("cut.jpg", jpeg[: len(jpeg) // 2]),
        ("page.jpg", b"<!doctype html><script>alert(1)</script>"),
        ("both.jpg", jpeg + b"PK\x03\x04" + bytes(1_000)),
        ("nothing.png", b""),
    ]


def _encoded(kind: str, **options: object) -> bytes:
    data = io.BytesIO()
    Image.effect_noise((120, 80), 60).convert("RGB").save(data, kind, **options)
    return data.getvalue()


# ---------------------------------------------------------------- mutated


def mutants(count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Valid files of every kind, each with some bits turned, cut off somewhere, or with a piece of another in it."""
    from valid_files import all_files  # where tests lie, as they import it

    chance = random.Random(seed)
    valid = [file for file in all_files() if len(file.data) < 100_000]
    for number in range(count):
        file, other = chance.choice(valid), chance.choice(valid)
        data = bytearray(file.data)
        match number % 3:
            case 0:
                for _ in range(chance.choice((1, 4, 20))):
                    # Headers are where most can go wrong.
                    data[chance.randrange(min(len(data), chance.choice((64, len(data)))))] ^= 1 << chance.randrange(8)
            case 1:
                del data[chance.randrange(len(data)) :]
            case _:
                begin = chance.randrange(len(other.data))
                piece = other.data[begin : begin + chance.choice((4, 60, 2_000))]
                at = chance.randrange(len(data))
                data[at : at + chance.choice((0, len(piece)))] = piece
        yield f"{number}-{file.name}", bytes(data)


def mutated(scale: float, seed: int) -> Iterator[Promise]:
    """Row 2: each mutated file is an upload of its own; then pictures of 49 megapixels with as many workers."""
    count, pictures = max(20, round(10_000 * scale)), 8 if scale >= 0.5 else 2
    with tempfile.TemporaryDirectory(prefix="holds-") as folder, app_of(Path(folder), MAX_QUEUED=1_000) as live:
        live.start()
        yield from _mutated(live, count, seed)
        yield from _large(live, Path(folder), pictures)
        live.stop()


def _mutated(live: Live, count: int, seed: int) -> Iterator[Promise]:
    statuses: dict[int, int] = {}
    seconds: list[float] = []
    accepted: list[str] = []
    states: list[str] = []

    def send(file: tuple[str, bytes]) -> None:
        while True:
            begin = time.perf_counter()
            answer = live.post([file], mode="sequential", budget="0")
            seconds.append(time.perf_counter() - begin)
            if answer.status_code != 429:
                break
            time.sleep(0.5)  # the queue is full, as it should be then
        statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
        if answer.status_code == 202:
            accepted.append(answer.json()["id"])

    def settled() -> dict[str, float]:
        states.extend(live.finished(run_id, 600)["state"] for run_id in accepted[len(states) :])
        time.sleep(1)  # the runner tidies up after a run
        return held(live)

    with Watch(live) as watch, ThreadPoolExecutor(AT_ONCE) as threads:
        files = list(mutants(count, seed))
        first = max(AT_ONCE, round(WARM_UP * count))
        list(threads.map(send, files[:first]))
        before = settled()
        list(threads.map(send, files[first:]))
        after = settled()
    said = ", ".join(f"{number} of {status}" for status, number in sorted(statuses.items()))
    yield exactly(
        f"{count} mutated uploads ({said}): answers of 5xx", 0, sum(statuses[s] for s in statuses if s >= 500)
    )
    yield under("… slowest answer", 5.0, max(seconds))
    yield exactly(f"… of the {len(accepted)} accepted, ended ({states.count('done')} done)", len(accepted), len(states))
    for name, bytes_before in before.items():
        grown = after[name] / bytes_before
        reached = f"{bytes_before:.0f} MB, then {after[name]:.0f} MB"
        yield Promise(f"… {name}, memory before and after", "within 10 %", reached, grown <= 1.1)
    yield from watch.within()


def _large(live: Live, folder: Path, pictures: int) -> Iterator[Promise]:
    write_sample(folder / "large.jpg", 0, LARGE_MEGAPIXELS)
    data = (folder / "large.jpg").read_bytes()
    files = [(f"{number}.jpg", data) for number in range(pictures)]
    with Watch(live) as watch:
        answer = live.post(files, mode="parallel", technique="multiprocessing", workers="8", budget="0")
        record = live.finished(answer.json()["id"], 900)
    made = sum(bool(image["outputs"]) for image in record["images"])
    what = f"{pictures} pictures of {LARGE_MEGAPIXELS:g} MP with 8 workers, {record['state']}: have results"
    yield exactly(what, pictures, made)
    yield from watch.within()
