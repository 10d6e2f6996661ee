"""The GPU techniques: exact pixels, how near to the memory's speed, other libraries, and whole files.

    python benchmarks/cuda.py [--libraries cupy numba] [--tables exact speed peers files] [--images 200]

Four tables. ``exact``: every operation on many pictures, gray and colour, with parameters of all kinds; if any pixel
differs from OpenCV's, the exit status is 1. ``speed``: an operation on pictures that lie on the GPU, by its own clock,
and how much of the speed of a plain copy on the GPU of as many bytes that is; an operation moves at least its picture
and its result, equalization the picture twice. ``peers``: the same with other libraries where they are installed, and
how many pixels of theirs differ. ``files``: from files to files in shuffled rounds, against the CPU techniques.

It needs an NVIDIA GPU and takes less than eight minutes.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.comparisons import compare
from benchmarks.gpu_peers import PEERS
from imgproc.backends import TECHNIQUES
from imgproc.backends.gpu.on_device import Accelerator
from imgproc.backends.gpu.pipeline import GpuPipeline
from imgproc.intake.samples import draw_many
from imgproc.measure.environment import environment, usable_cores
from imgproc.operations import OPERATIONS, parse_parameters
from imgproc.operations.canny.cpu import without_ipp
from imgproc.operations.contract import Image
from imgproc.operations.cuda.device import Device, Library
from imgproc.operations.cuda.layout import Layout, pack
from imgproc.parameters import Parameters
from imgproc.pixels.inner_threads import pin_threads
from imgproc.pixels.stopwatch import Stopwatch
from imgproc.report.text import comparison

DEFAULTS = parse_parameters({})
ON_GPU = [name for name, operation in OPERATIONS.items() if operation.cuda]
#: Megapixels, and how many such pictures take turns, so that no cache holds them.
SIZES = ((0.3, 1), (2.0, 1), (12.0, 1), (50.0, 1), (0.3, 64), (2.0, 32), (12.0, 16))
PEER_MEGAPIXELS = 12.0
#: Times that bytes of the picture are moved at least.
MOVED = {"canny": 2, "gaussian": 2, "equalize": 3}
#: Of the speed of a copy, from 12 megapixels on.
TARGETS = {"gaussian": 0.6, "equalize": 0.6}
#: An operation is repeated for so long at least, in seconds, after two times that do not count.
ENOUGH = 0.05


def libraries(wanted: Sequence[str]) -> dict[str, Library]:
    """The adapters of the techniques that can run here, by name.

    Raises:
        SystemExit: one that was asked for cannot; none can.
    """
    found: dict[str, Library] = {}
    for row in TECHNIQUES.values():
        backend = row.load()
        if not issubclass(backend, GpuPipeline) or (wanted and row.name not in wanted):
            continue
        available = row.availability()
        if available.ok:
            found[row.name] = import_module(backend.adapter)  # type: ignore[assignment]
        elif wanted:
            raise SystemExit(f"{row.name}: {available.reason} {available.command}")
        else:
            print(f"{row.name}: {available.reason}", file=sys.stderr)
    if not found:
        raise SystemExit("None of the GPU techniques can run here: python -m imgproc techniques says why.")
    return found


def reference(name: str, image: Image, p: Parameters) -> Image:
    """Whole-image OpenCV on one thread."""
    with without_ipp():
        return OPERATIONS[name].apply(image, p)


# Exactness


def random_case(rng: np.random.Generator, largest: int) -> tuple[Image, Parameters]:
    """A picture of any size up to a side of ``largest``, one in three in colour, and parameters from their ranges."""
    height, width = (int(side) for side in rng.integers(1, largest + 1, 2))
    shape = (height, width, 3) if rng.random() < 1 / 3 else (height, width)
    coarse = rng.integers(0, 256, (max(1, height // 8), max(1, width // 8), *shape[2:]), np.uint8)
    rows = np.arange(height) * coarse.shape[0] // height
    columns = np.arange(width) * coarse.shape[1] // width
    image = coarse[rows][:, columns] // 2 + rng.integers(0, rng.integers(1, 128), shape, np.uint8)
    aperture = int(rng.choice([3, 5, 7]))
    low, high = sorted(int(value) for value in rng.integers(0, 256 * {3: 1, 5: 6, 7: 24}[aperture], 2))
    return image.astype(np.uint8), {
        **DEFAULTS,
        "canny_low": low,
        "canny_high": high,
        "aperture": aperture,
        "l2gradient": bool(rng.random() < 0.5),
        "thresholds": str(rng.choice(["raw", "scaled", "auto"])),
        "kernel": 2 * int(rng.integers(0, 151 if rng.random() < 0.2 else 50)) + 1,
        "sigma": float(rng.choice([0.0, 0.3, 1.0, 4.2, 20.0])),
    }


def show_exactness(gpus: Mapping[str, Accelerator], images: int, largest: int) -> int:
    """Returns how many pixels differ."""
    wrong, pixels = {(gpu, name): 0 for gpu in gpus for name in ON_GPU}, 0
    for number in range(images):
        rng = np.random.default_rng([7, number])
        image, p = random_case(rng, largest if number % 10 == 0 else largest // 4)
        pixels += image.size
        right = {name: reference(name, image, p) for name in ON_GPU}
        for library, gpu in gpus.items():
            for name, found in zip(ON_GPU, gpu.run(image, ON_GPU, p, Stopwatch()), strict=True):
                wrong[library, name] += int(np.count_nonzero(found != right[name]))
    print(f"\n{'exact pixels':<28}{'pictures':>10}{'values':>14}  that differ from OpenCV's")
    for (library, name), count in wrong.items():
        print(f"{f'{library}, {name}':<28}{images:>10}{pixels:>14,}  {count:,}")
    return sum(wrong.values())


# Speed


def per_call(turns: Callable[[int], float]) -> float:
    """Seconds of one of so many turns, whose seconds ``turns`` gives; the least of three runs of ``ENOUGH``."""
    count = 1
    turns(3)
    while (seconds := turns(count)) < ENOUGH and count < 10_000:
        count = max(2 * count, int(count * 1.2 * ENOUGH / max(seconds, 1e-6)))
    return min(turns(count) for _ in range(3)) / count


def by_gpu(lane: Device, calls: Sequence[Callable[[], object]]) -> float:
    """Seconds of one call by the GPU's clock, where they take turns."""

    def turns(count: int) -> float:
        before = lane.mark()
        for _ in range(count):
            for call in calls:
                call()
        after = lane.mark()
        lane.wait()
        return lane.seconds(before, after)

    return per_call(turns) / len(calls)


def by_host(program: Callable[[], object], wait: Callable[[], object]) -> float:
    """Seconds of one call by this computer's clock, one after the other without waiting in between."""

    def turns(count: int) -> float:
        start = time.perf_counter()
        for _ in range(count):
            program()
        wait()
        return time.perf_counter() - start

    return per_call(turns)


def noise(megapixels: float, seed: int) -> Image:
    """Something like a photograph to every operation: slopes and some noise."""
    height = max(1, int((megapixels * 1e6 * 3 / 4) ** 0.5))
    width = max(4, 4 * round(megapixels * 1e6 / height / 4))
    y, x = np.mgrid[:height, :width].astype(np.float32)
    waves = 110 + 60 * np.sin(x / 23 + seed) * np.cos(y / 31) + 40 * np.sin((x + y) / 190)
    return np.asarray(waves + np.random.default_rng(seed).integers(0, 16, (height, width)), np.float32).astype(np.uint8)


def show_speed(name: str, library: Library, sizes: Sequence[tuple[float, int]]) -> None:
    head = f"{'MP':>6}{'pictures':>10}{'ms each':>10}{'GB/s':>8}{'copy':>8}{'share':>8}  wanted"
    print(f"\n{name + ', on the GPU':<28}{head}")
    for megapixels, count in sizes:
        with library.using():
            for operation, seconds, copy, moved in speeds(library.lane(), megapixels, count):
                speed, wanted = moved / seconds / 1e9, TARGETS.get(operation) if megapixels >= 12 else None
                print(
                    f"{operation:<28}{megapixels:>6g}{count:>10}{seconds * 1e3:>10.4f}{speed:>8.0f}{copy:>8.0f}"
                    f"{speed / copy:>8.0%}  {f'{wanted:.0%}' if wanted else ''}"
                )
            library.give_back()


def speeds(lane: Device, megapixels: float, count: int) -> Iterator[tuple[str, float, float, int]]:
    """Of each operation its name, its seconds, the GB/s of a copy, and the bytes that it has to move."""
    pictures = [noise(megapixels, seed) for seed in range(min(count, 4))]
    shape, words = pictures[0].shape, Layout.of(pictures[0].shape).words
    sources, targets = ([lane.empty(words, np.uint32) for _ in range(count)] for _ in range(2))
    pairs = list(zip(sources, targets, strict=True))
    for number, source in enumerate(sources):
        lane.upload(pack(pictures[number % len(pictures)]), source)
    lane.wait()
    size = 4 * words
    copy = 2 * size / by_gpu(lane, [partial(lane.copy, *pair, words) for pair in pairs]) / 1e9
    for operation, program in ((name, one.on_gpu.launch) for name, one in OPERATIONS.items() if one.cuda):
        calls = [partial(program, lane, source, shape, DEFAULTS, target) for source, target in pairs]
        yield operation, by_gpu(lane, calls), copy, MOVED[operation] * size


# Other libraries


def show_peers(gpus: Mapping[str, Library], megapixels: float) -> None:
    image = noise(megapixels, 0)
    print(f"\n{'operations on one picture of ' + f'{megapixels:g} MP':<44}{'ms':>10}{'pixels that differ':>22}")
    for operation, peers in PEERS.items():
        right = reference(operation, image, DEFAULTS)
        for name, library in gpus.items():
            with library.using():
                lane = library.lane()
                words = pack(image)
                source = lane.empty(words.size, np.uint32)
                lane.upload(words, source)
                lane.wait()
                program = partial(OPERATIONS[operation].on_gpu.launch, lane, source, image.shape, DEFAULTS)
                seconds = by_host(program, lane.wait)
                found = np.empty(Layout.of(right.shape).words, np.uint32)
                lane.download(program(), found)
                lane.wait()
                differ = np.count_nonzero(pack(right) != found)
                print(f"{f'{operation}, {name}':<44}{seconds * 1e3:>10.4f}{differ:>22,}")
        for peer in peers:
            try:
                program, fetch, wait = peer.make(image)
                seconds = by_host(program, wait)
                wanted = reference(operation, image, DEFAULTS | {"l2gradient": True}) if peer.l2 else right
                differ = np.count_nonzero(np.asarray(fetch(program())).reshape(right.shape) != wanted)
            except ImportError as problem:
                package = (problem.name or "").partition(".")[0]
                print(f"{f'{operation}, {peer.name}':<44}  not installed ({package}): pip install {peer.package}")
                continue
            except Exception as problem:  # another version of it, or no memory
                print(f"{f'{operation}, {peer.name}':<44}  failed here: {type(problem).__name__}: {problem}")
                continue
            print(f"{f'{operation}, {peer.name}':<44}{seconds * 1e3:>10.4f}{differ:>22,}")


# Whole files


def show_files(names: Sequence[str], megapixels: float, count: int, budget: float, workers: int) -> None:
    with tempfile.TemporaryDirectory(prefix="cuda-") as folder:
        files = list(draw_many(Path(folder), count, megapixels, 0, workers))
        techniques = ["threading", "multiprocessing", "futures-threads", *names]
        record = compare(files, techniques=techniques, workers=workers, rounds=6, budget=budget)
    print(f"\nfrom files to files, {count} drawn pictures of {megapixels:g} megapixels on average\n")
    print(comparison(record), end="")


def main(arguments: Sequence[str] | None = None, found: Mapping[str, Library] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--libraries", nargs="+", default=[])
    parser.add_argument(
        "--tables",
        nargs="+",
        choices=("exact", "speed", "peers", "files"),
        default=["exact", "speed", "peers", "files"],
    )
    parser.add_argument("--images", type=int, default=200, help="for exactness")
    parser.add_argument("--largest", type=int, default=2000, help="side of the largest of these")
    parser.add_argument("--megapixels", nargs="+", type=float, default=[], help="for speed: other sizes, one at a time")
    parser.add_argument("--budget", type=float, default=60.0, help="seconds for the files")
    parser.add_argument("--workers", type=int, default=usable_cores())
    chosen = parser.parse_args(arguments)
    gpus = found if found is not None else libraries(chosen.libraries)
    pin_threads()
    facts, wrong = environment(), 0
    print(f"{facts['gpu'] or 'no GPU'}; {facts['cpu']}, {facts['cores_usable']} cores")
    if "exact" in chosen.tables:
        wrong = show_exactness({name: Accelerator(gpu) for name, gpu in gpus.items()}, chosen.images, chosen.largest)
        print(f"\n{wrong:,} PIXELS DIFFER" if wrong else "\nNo pixel of ours differs.")
    sizes = [(megapixels, 1) for megapixels in chosen.megapixels] or SIZES
    if "speed" in chosen.tables:
        for name, library in gpus.items():
            show_speed(name, library, sizes)
    if "peers" in chosen.tables:
        show_peers(gpus, chosen.megapixels[0] if chosen.megapixels else PEER_MEGAPIXELS)
    if "files" in chosen.tables:
        show_files(list(gpus), 12.0, 24, chosen.budget, chosen.workers)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
