"""The twelve rows of what the app holds against: hostile files, faults, load, weeks.

    python -m benchmarks.holds [--row N ...] [--scale 1 | --short]

Each row is played at its full size, on an app or on workers of its own, and what was reached is printed as a table in
Markdown: row, what, wanted, reached, met or missed. The exit status is 1 where something was missed. All takes hours at
full size, and programs that run meanwhile spoil times and memory, so leave the machine alone. Row 9 mounts a small
disk, which takes Linux and its administrator; files of ``shared/corpus`` beside the checkout take part in row 1.

Short forms, which CI runs:

| row | what | played by | short form |
|---|---|---|---|
| 1 | hostile files, each technique | `files.py` | `tests/test_corpus_inspection.py`, `tests/test_end_to_end.py` |
| 2 | mutated uploads; large pictures | `files.py` | `tests/test_holds.py`, `tests/test_inspection.py` |
| 3 | kill -9 of workers | `kills.py` | `tests/test_backends_contract.py`, under “Death” |
| 4 | kill -9 of app and runner | `kills.py` | `tests/test_runner.py`, `tests/test_holds.py` |
| 5 | clients that poll | `../web_load.py` | `tests/test_many_clients.py` (many_kept_alive) |
| 6 | many files in one post | `../web_load.py` | `tests/test_end_to_end.py` (a_thousand_files) |
| 7 | stalled uploads, slow readers | `../web_load.py` | `tests/test_many_clients.py` (pages_come_while) |
| 8 | runs posted at once | `../web_load.py` | `tests/test_many_clients.py` (posts_all_at_once) |
| 9 | disk full | `storage.py` | `tests/test_runner.py`, `tests/test_retention.py`, `tests/test_holds.py` |
| 10 | index locked, damaged | `storage.py` | `tests/test_store.py` (damaged, busy_writer) |
| 11 | soak | `weeks.py` | `tests/test_retention.py` (quota), `tests/test_leftovers.py`, `tests/test_holds.py` |
| 12 | zip of many results | `weeks.py` | `tests/test_holds.py`, `tests/test_archive.py` |
"""
