"""What writing PNG costs by each encoder, on photographs of yours.

    python benchmarks/png_encoding.py PHOTOGRAPH ...

For each photograph and result: CPU milliseconds of one thread (the least of several, the encoders taking turns) and
megabytes; and both in sum, beside those of "Up" through ISA-L. Every file is read back and compared.
"""

from __future__ import annotations

import argparse
import sys
import time
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from imgproc.operations import DEFAULT_OPERATIONS, OPERATIONS, parse_parameters  # noqa: E402
from imgproc.operations.contract import Image  # noqa: E402
from imgproc.pixels import png  # noqa: E402

REPEATS = 7
BESIDE = "isal"


def by_zlib(image: Image) -> bytes:
    """As where ISA-L has no wheel."""
    fast, png.deflate = png.deflate, zlib
    try:
        return png.encode(image)
    finally:
        png.deflate = fast


ENCODERS: dict[str, Callable[[Image], bytes]] = {
    "zlib": by_zlib,
    BESIDE: png.encode,
    png.HUFFMAN: lambda image: png.encode(image, encoder=png.HUFFMAN),
}


def results(path: Path) -> Iterator[tuple[str, Image]]:
    """What the operations make of a photograph, but for results of one bit per pixel; blurred in colour as well."""
    photograph = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if photograph is None:
        sys.exit(f"{path} cannot be read as an image. Name photographs, such as JPEG files.")
    gray, parameters = cv2.cvtColor(photograph, cv2.COLOR_BGR2GRAY), parse_parameters({})
    for name in DEFAULT_OPERATIONS:
        operation = OPERATIONS[name]
        if not operation.bilevel:
            yield name, operation.apply(gray, parameters)
            yield f"{name}, colour", operation.apply(photograph, parameters)


def measure(image: Image) -> dict[str, tuple[float, int]]:
    """CPU milliseconds and bytes by encoder.

    Raises:
        AssertionError: a file does not hold the image.
    """
    least, sizes = dict.fromkeys(ENCODERS, float("inf")), {}
    for _ in range(REPEATS):
        for name, encode in ENCODERS.items():
            begin = time.thread_time()
            data = encode(image)
            least[name] = min(least[name], 1000 * (time.thread_time() - begin))
            if name not in sizes:
                sizes[name] = len(data)
                assert np.array_equal(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED), image)
    return {name: (least[name], sizes[name]) for name in ENCODERS}


def line(title: str, found: dict[str, tuple[float, int]]) -> str:
    ms, size = found[BESIDE]
    cells = [
        f"{name} {own:8.1f} ms {bytes / 1e6:8.2f} MB (x{own / ms:.2f}, x{bytes / size:.3f})"
        for name, (own, bytes) in found.items()
    ]
    return " | ".join([f"{title:42.42}", *cells])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", nargs="+", type=Path, metavar="PHOTOGRAPH")
    photographs = parser.parse_args().photographs
    if png.PNG_ENCODER != BESIDE:
        sys.exit("ISA-L has no wheel for this machine, so there is nothing to compare with.")
    cv2.setNumThreads(1)
    png.encode(np.zeros((300, 300), np.uint8), encoder=png.HUFFMAN)  # loads, and the first time compiles, what it needs
    sums: dict[str, dict[str, list[tuple[float, int]]]] = defaultdict(lambda: defaultdict(list))
    for path in photographs:
        for result, image in results(path):
            found = measure(image)
            print(line(f"{path.name[:26]}, {result}", found), flush=True)
            for name, one in found.items():
                sums[result][name].append(one)
    for result, found_by in sums.items():
        both = {n: (sum(ms for ms, _ in all), sum(size for _, size in all)) for n, all in found_by.items()}
        print(line(f"all, {result}", both))


if __name__ == "__main__":
    main()
