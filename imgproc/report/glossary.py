"""The terms of the field that pages use, each in a sentence or two; a page explains those that it has on the spot."""

from __future__ import annotations

from collections.abc import Mapping

GLOSSARY: Mapping[str, str] = {
    "Baseline": "What every technique is measured against: the best program without parallelism, on one thread.",
    "Speedup": "The time of the baseline over that of the technique: 2.00× is twice as fast, below 1 is slower.",
    "Interval": "Where the true value lies, with 95\u00a0% confidence. Two that overlap say nothing of who is faster.",
    "Median": "The middle one of all rounds: half took longer. One slow round does not move it.",
    "Round": "One pass of every technique over the same work, in shuffled order.",
    "Warm-up": "A first round that is not counted: files are read, and programs loaded, for the first time.",
    "Start-up": "From the first call until every worker is ready to work. It is no part of a round.",
    "Efficiency": "The speedup for each worker or thread: 100\u00a0% is ideal.",
    "Throughput": "What is done in a second: images, or megapixels.",
    "Peak memory": "The most that all processes of a technique held at once in a round.",
    "Energy": "What the whole machine took meanwhile, by counters of its processors, memory and GPUs; also what idles.",
    "Ideal": "The time of the baseline, shared evenly by all workers. Nobody is faster without luck.",
    "Contention": "Workers get in each other’s way: the same work takes longer, as they share caches and memory.",
    "Dispatch": "Handing tasks to workers and fetching what they made.",
    "Waiting": "A worker has nothing to do, as when others still work at the end of a round.",
    "GIL": "Python’s global interpreter lock: one thread at a time runs Python code. OpenCV lets go of it at work.",
    "Seed": "The number from which the order of the rounds is drawn: the same seed, the same order.",
    "Strong scaling": "More workers for the same work.",
    "Weak scaling": "More workers, each with as much work of its own.",
    "Karp-Flatt": "The share of the work that would have to be serial to explain a speedup all by itself.",
    "Granularity": "How much work there is between handing it out and having it back; the less, the more start-up and "
    "dispatch weigh.",
    "Isoefficiency": "How much work it takes to keep the efficiency of so many workers at a level.",
    "Oversubscription": "More threads at work than there are cores.",
}
#: Those of the table of techniques, of the split of a round’s time, and of the conditions of a run.
NUMBERS = ("Baseline", "Speedup", "Interval", "Median", "Round", "Warm-up", "Start-up", "Efficiency", "Peak memory")
CONDITIONS = ("Seed", "GIL")


def terms(*names: str) -> dict[str, str]:
    """Some of them, or all if none is named. Raises: KeyError: one is not there."""
    return {name: GLOSSARY[name] for name in names or GLOSSARY}
