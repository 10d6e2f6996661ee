"""How a technique is timed. Nothing here knows of runs, files of a run or Flask."""
