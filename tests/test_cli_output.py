"""What the command line prints for people and for programs, what it says of itself, and its exit statuses."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from figure_records import SCALES, SEVEN, fabricated
from hypothesis import given, settings
from hypothesis import strategies as st

from imgproc.backends import TECHNIQUES
from imgproc.cli import compare, main
from imgproc.cli.terminal import ProgressBar
from imgproc.measure.results import Progress
from imgproc.report.tables import Cell, Table, techniques
from imgproc.runs.record import Record

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def own_machine_lock(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """These runs need not wait for others on this machine."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path_factory.mktemp("lock")))


# ---------------------------------------------------------------- tables


CELLS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=9))
TABLES = st.integers(1, 4).flatmap(
    lambda n: st.builds(
        Table, st.tuples(*[st.text(min_size=1, max_size=5)] * n), st.lists(st.tuples(*[CELLS] * n), max_size=4)
    )
)


@settings(deadline=None)
@given(TABLES)
def test_csv_is_read_back_as_it_was_but_for_the_mark_of_what_could_be_a_formula(table: Table) -> None:
    def cell(value: Cell) -> str:
        if isinstance(value, bool):
            return "yes" if value else "no"
        mark = "'" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else ""
        return "" if value is None else f"{mark}{value}"

    read = list(csv.reader(io.StringIO(table.csv(), newline="")))
    shown = [[cell(value) for value in row] for row in table.rows]
    assert read[1:] == shown or "\r" in table.csv() or "\n" in "".join(map(str, table.rows))
    assert (len(read) >= 1 and read[0] == list(table.columns)) or any(sign in "".join(table.columns) for sign in "\r\n")


@settings(deadline=None)
@given(TABLES)
def test_markdown_is_a_line_a_row_with_as_many_cells(table: Table) -> None:
    lines = table.markdown().splitlines()
    kept = sum(any(row[k] not in (None, "") for row in table.rows) for k in range(len(table.columns)))
    plain = [line.replace("\\\\", "").replace("\\|", "") for line in lines[2:]]
    if all(str(cell).isprintable() for row in table.rows for cell in row) and all(map(str.isprintable, table.columns)):
        assert len(lines) == 2 + len(table.rows)
        assert all(line.count("|") == max(1, kept) + 1 for line in plain)


@pytest.mark.parametrize("record", [fabricated(SEVEN), SCALES["two cores"]])
def test_the_table_has_every_measurement(record: Record) -> None:
    made = techniques(record).dicts()
    of_label = {t.label: t for t in (*record.techniques, *record.weak)}
    assert {row["label"] for row in made} == set(of_label)
    for row in made:
        t = of_label[str(row["label"])]
        assert (row["speedup"], row["median_seconds"], row["copies"]) == (t.speedup, t.median_seconds, t.copies)


# ---------------------------------------------------------------- commands


def quick(*more: str) -> list[str]:
    return ["--operations", "canny", "--technique", "threading", "--workers", "2", "--no-wait", *more]


def test_a_comparison_as_csv_and_markdown(photos: list[Path], tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "t.csv"
    words = ["compare", *map(str, photos), *quick("--budget", "1", f"--csv={file}", "--markdown")]
    assert main(words) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("| technique | label |") and len(printed) == 4
    rows = list(csv.DictReader(io.StringIO(file.read_text(encoding="utf-8"))))
    assert {row["technique"] for row in rows} == {"sequential", "threading"}
    assert all(float(row["median_seconds"]) > 0 for row in rows)


def test_an_image_after_csv_is_no_file(photos: list[Path], tmp_path: Path, capsys: Capture) -> None:
    before = photos[0].read_bytes()
    assert main(["process", "--csv", str(photos[0]), "--out", str(tmp_path / "o"), *quick("--budget", "0")]) == 0
    assert photos[0].read_bytes() == before
    assert capsys.readouterr().out.startswith("technique,label,")


def test_two_formats_cannot_both_be_printed(photos: list[Path], capsys: Capture) -> None:
    assert main(["compare", str(photos[0]), "--json", "--csv", *quick()]) == 2
    assert "--json and --csv cannot both be printed" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--csv=", "--markdown=none/x.md"])
def test_a_table_that_cannot_be_written_is_said_before_anything_is_done(
    flag: str, photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["process", str(photos[0]), "--out", "o", flag, *quick()]) in (1, 2)
    assert capsys.readouterr().err and not (tmp_path / "o").exists()


@pytest.mark.parametrize("command", ["techniques", "operations"])
def test_lists_have_the_same_in_all_formats(command: str, capsys: Capture) -> None:
    said = {}
    for flag in ("--json", "--csv", "--markdown"):
        assert main([command, flag]) == 0
        said[flag] = capsys.readouterr().out
    names = [row["name"] for row in json.loads(said["--json"])]
    assert [row["name"] for row in csv.DictReader(io.StringIO(said["--csv"]))] == names
    assert [line.split("|")[1].strip() for line in said["--markdown"].splitlines()[2:]] == names
    assert main([command, "--json", "--csv"]) == 2


def test_predictions_and_differences_are_tables_too(photos: list[Path], tmp_path: Path, capsys: Capture) -> None:
    assert main(["advise", str(photos[0]), "--csv", "--workers", "2"]) == 0
    names = {row["technique"] for row in csv.DictReader(io.StringIO(capsys.readouterr().out))}
    assert names <= set(TECHNIQUES) and "sequential" in names
    for name in ("a.json", "b.json"):
        fabricated(SEVEN[:3]).write(tmp_path / name)
    assert main(["diff", str(tmp_path / "a.json"), str(tmp_path / "b.json"), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == 6 and rows[1]["ratio"] == 1.0 and rows[1]["verdict"] == "no measurable difference"


def test_quiet_prints_nothing_but_errors(photos: list[Path], tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "bad.jpg").write_text("no")
    words = ["process", *map(str, photos), "--out", str(tmp_path / "o"), "--quiet", *quick("--budget", "0")]
    assert main(words) == 0
    assert capsys.readouterr() == ("", "") and len(list((tmp_path / "o").iterdir())) == 3
    assert main(["process", str(tmp_path / "bad.jpg"), "--out", str(tmp_path / "p"), "--quiet", *quick()]) == 1
    assert "bad.jpg" in capsys.readouterr().err


def test_results_that_take_the_place_of_others_are_told_of(photos: list[Path], tmp_path: Path, capsys: Capture) -> None:
    words = ["process", *map(str, photos), "--out", str(tmp_path / "o"), *quick("--budget", "0")]
    assert main(words) == 0 and capsys.readouterr().err == ""
    (tmp_path / "o" / "photo 1_canny.png").unlink()
    assert main(words) == 0
    said = capsys.readouterr()
    assert f"imgproc: 3 results in {tmp_path / 'o'}, 2 of them in place of earlier ones" in said.err
    assert main([*words, "--quiet"]) == 0 and capsys.readouterr() == ("", "")


def test_nothing_is_overwritten_that_may_not_be(photos: list[Path], tmp_path: Path, capsys: Capture) -> None:
    words = ["process", *map(str, photos), "--out", str(tmp_path / "o"), "--no-overwrite", *quick("--budget", "0")]
    assert main(words) == 0 and capsys.readouterr().err == ""
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "o").rglob("*")}
    for more in ([], ["--dry-run"]):
        assert main([*words, *more]) == 2
        said = capsys.readouterr()
        assert "3 results of 3 would take the place of an earlier file" in said.err and "--no-overwrite" in said.err
        assert said.out == ""
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "o").rglob("*")} == before


@pytest.mark.parametrize("technique", ["sequential", "threading", "multiprocessing", "strips"])
def test_results_of_several_folders_keep_them(
    technique: str, photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a/pic.jpg", "b/pic.jpg", "b/deep/pic.jpg"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(photos[0], tmp_path / "in" / name)
    monkeypatch.chdir(tmp_path / "in")
    words = ["process", "a", "b", "--out", "../o", "--json", "../run.json", *quick("--rounds", "1")]
    split = ["--technique", "threading", "--split", "always"] if technique == "strips" else ["--technique", technique]
    assert main([*words, *split]) == 0
    made = sorted(path.relative_to(tmp_path / "o").as_posix() for path in (tmp_path / "o").rglob("*") if path.is_file())
    assert made == ["a/pic_canny.png", "b/deep/pic_canny.png", "b/pic_canny.png"]
    record = json.loads((tmp_path / "run.json").read_text())
    assert [(image["name"], image["folder"], image["outputs"][0]["file"]) for image in record["images"]] == [
        ("a/pic.jpg", "a", made[0]), ("b/deep/pic.jpg", "b/deep", made[1]), ("b/pic.jpg", "b", made[2]),
    ]  # fmt: skip
    assert all(t["identical"] for t in record["techniques"])


def test_results_in_folders_replace_no_image_and_follow_no_link(
    photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    for name in ("a/pic.jpg", "a/pic_canny.png", "b/pic.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(photos[0], tmp_path / name)
    before = (tmp_path / "a" / "pic_canny.png").read_bytes()
    monkeypatch.chdir(tmp_path)
    words = [*quick("--budget", "0"), "--technique", "sequential"]
    assert main(["process", "a", "b", "--out", "results", *words]) == 0
    found = {path.relative_to(tmp_path / "results").as_posix() for path in (tmp_path / "results").rglob("*_canny.png")}
    assert found == {"a/pic_canny.png", "a/pic_canny_canny.png", "b/pic_canny.png"}
    capsys.readouterr()
    (tmp_path / "o").mkdir()
    (tmp_path / "o" / "a").symlink_to(tmp_path / "a")
    assert main(["process", "a", "b", "--out", "o", *words]) == 2
    assert "The folder a within the folder for the results is a link to elsewhere" in capsys.readouterr().err
    assert (tmp_path / "a" / "pic_canny.png").read_bytes() == before
    (tmp_path / "o" / "a").unlink()
    (tmp_path / "o" / "a").write_text("a file")
    assert main(["process", "a", "b", "--out", "o", *words]) == 2
    assert "The folder a within the folder for the results cannot be made" in capsys.readouterr().err


def test_a_dry_run_does_nothing_and_says_what_it_would(photos: list[Path], tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "o"
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert main(["process", *map(str, photos), "--out", str(out), "--dry-run", *quick()]) == 0
    said = capsys.readouterr().out
    assert "Would process 3 images" in said and f"3 files would be written into {out}." in said
    assert "Threads, 2 workers" in said and "Sequential, 1 worker" in said
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    assert main(["compare", str(photos[0]), "--dry-run", "--workers", "2"]) == 0
    said = capsys.readouterr().out
    assert all(t.label in said for t in TECHNIQUES.values() if not t.antipattern)
    (tmp_path / "bad.jpg").write_text("no")
    assert main(["compare", str(photos[0]), str(tmp_path / "bad.jpg"), "--dry-run", *quick()]) == 1
    assert "Left out: " in capsys.readouterr().out


@pytest.mark.parametrize(("least", "rounds", "status"), [("1.5", 9, 0), ("1.98", 9, 0), ("9", 9, 3), ("1.01", 3, 3)])
def test_fail_below_judges_by_the_speedup_of_the_fastest(
    least: str, rounds: int, status: int, photos: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    record = fabricated(SEVEN, rounds=rounds)
    record.findings = None
    record.conclude()

    def measured(mode: str, arguments: Any, table: Any, keep: Any) -> int:
        status: int = keep(record)
        return status

    monkeypatch.setattr("imgproc.cli.measuring.measure", measured)
    assert main(["compare", str(photos[0]), "--fail-below", least]) == status
    assert ("--fail-below" in capsys.readouterr().err) == (status == compare.TOO_SLOW)


@pytest.mark.parametrize("least", ["0", "-1", "fast", "nan", ""])
def test_fail_below_takes_a_number(least: str, photos: list[Path], capsys: Capture) -> None:
    assert main(["compare", str(photos[0]), f"--fail-below={least}"]) == 2
    assert "--fail-below" in capsys.readouterr().err


@pytest.mark.parametrize(("words", "meant"), [
    ("compair x", "compare"), ("dif a b", "diff"), ("repport a", "report"),
    ("compare x --tecnique threading", "--technique"), ("process x --out o --technique thraeding", "threading"),
    ("process x --out o --operations cany", "canny"), ("compare x --markdwn", "--markdown"),
])  # fmt: skip
def test_what_was_meant_is_asked(words: str, meant: str, capsys: Capture) -> None:
    assert main(words.split()) == 2
    said = capsys.readouterr().err
    assert f"Did you mean “{meant}”?" in said and said.count("\n") == 1


# ---------------------------------------------------------------- what is said on the way


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


def test_the_bar_names_the_phase_and_says_how_long_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    monkeypatch.setattr("sys.stderr", screen)
    with ProgressBar(False) as bar:
        bar.show(Progress("results", "threading", "Threads", images_done=4, images_total=12, share=0.1))
        bar.show(Progress("rounds", "threading", "Threads", round=2, rounds=6, share=0.4, seconds_left=21))
    shown = screen.getvalue()
    assert "Making the results, Threads, image 5 of 12" in shown
    assert "Round 2 of 6, Threads" in shown and "about 20 s left" in shown and "40 %" in shown
    with ProgressBar(True, True) as bar:
        bar.show(Progress("rounds", "threading", "Threads", round=2, rounds=6))
        bar.waiting(1.0)
    assert screen.getvalue() == shown


def test_the_way_out_of_too_large_is_the_flag(photos: list[Path], tmp_path: Path, capsys: Capture) -> None:
    words = ["process", str(photos[0]), "--out", str(tmp_path / "o"), "--max-megapixels", "0.001", *quick()]
    assert main(words) == 1
    said = capsys.readouterr().err
    assert "Make it smaller, or let it in with --max-megapixels." in said and "ask for" not in said
