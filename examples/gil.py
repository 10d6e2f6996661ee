"""The same blur four times: in pure Python, which holds the GIL, in NumPy, by Numba without the GIL, and by OpenCV.

    python examples/gil.py [--seconds 6] [--workers N]

Threads bring nothing to the first; worker processes do. To the last threads bring the most, as nothing has to be sent.
Which of the others are worth it here, this shows with this machine's numbers. The functions are in imgproc/exhibits/,
and the web app measures them too, at /exhibits/gil.
"""

import argparse

import imgproc
from imgproc.exhibits import EXHIBITS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=6.0, help="of measuring for each of the four (6)")
    parser.add_argument("--workers", type=int, default=None)
    arguments = parser.parse_args()
    gil = EXHIBITS["gil"]
    print(f"{'function':<14}{'a call':>10}" + "".join(f"{name:>18}" for name in gil.techniques))
    for part in gil.parts:
        found = imgproc.compare(
            part.function(),
            gil.images(part),
            techniques=gil.techniques,
            workers=arguments.workers,
            budget=arguments.seconds,
            progress=False,
        )
        call = found["sequential"].median_seconds / found.record.count
        shown = "".join(f"{found.speedup(name) or 0:>17.2f}x" for name in gil.techniques)
        print(f"{part.name:<14}{1000 * call:>7.2f} ms{shown}", flush=True)


if __name__ == "__main__":
    main()
