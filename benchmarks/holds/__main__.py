"""The command: see ``python -m benchmarks.holds --help``."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterable

from benchmarks import web_load
from benchmarks.holds import __doc__ as about
from benchmarks.holds import files, kills, storage, weeks
from benchmarks.web_load import Promise

#: The size of each row where it is to be short.
SHORT = 0.02


def _of_web_load(name: str) -> Callable[[float, int], Iterable[Promise]]:
    return lambda scale, _: web_load.play(name, scale)


#: What each row is, and what plays it at a share of its full size, by a seed.
ROWS: dict[int, tuple[str, Callable[[float, int], Iterable[Promise]]]] = {
    1: ("hostile files, with each technique", files.hostile),
    2: ("mutated uploads; 8 pictures of 49 MP with 8 workers", files.mutated),
    3: ("kill -9 of workers", kills.killed_workers),
    4: ("kill -9 of app, runner, both", kills.killed_app),
    5: ("clients that poll while a run saturates the cores", _of_web_load("polling")),
    6: ("many files in one post", _of_web_load("many-files")),
    7: ("stalled uploads and slow readers", _of_web_load("stalled")),
    8: ("runs posted at once", _of_web_load("posts")),
    9: ("disk full", storage.disk_full),
    10: ("index locked, corrupt, missing, older", storage.index_damaged),
    11: ("soak", weeks.soak),
    12: ("zip of many results, many downloads at once", weeks.zips),
}


def main() -> int:
    sys.path.append(str(web_load.ROOT / "tests"))
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.holds", description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--row", type=int, action="append", choices=ROWS, help="only this one (may be repeated)")
    parser.add_argument(
        "--scale", type=float, default=1.0, help="files, clients, kills, minutes: a share of the full size"
    )
    parser.add_argument("--short", action="store_true", help=f"the same as --scale {SHORT}")
    parser.add_argument("--seed", type=int, default=1, help="of what is random")
    chosen = parser.parse_args()
    scale = SHORT if chosen.short else chosen.scale
    if hasattr(os, "getloadavg"):
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before, {scale:g} of the full size\n")
    print("| row | what | wanted | reached | |\n|---|---|---|---|---|", flush=True)
    kept = True
    for number in chosen.row or ROWS:
        name, play = ROWS[number]
        begin = time.monotonic()
        print(f"| {number} | **{name}** | | | |", flush=True)
        try:
            for promise in play(scale, chosen.seed):
                kept &= promise.kept
                mark = "" if not promise.wanted else "met" if promise.kept else "**missed**"
                print(f"| {number} | {promise.what} | {promise.wanted} | {promise.reached} | {mark} |", flush=True)
        except Exception as problem:  # the other rows go on
            kept = False
            print(f"| {number} | the row could not be played to its end | | {problem!r} | **missed** |", flush=True)
        print(f"| {number} | … took | | {time.monotonic() - begin:.0f} s | |", flush=True)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
