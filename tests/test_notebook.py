"""The report as a notebook: valid, and its cells, run in order, find what the record says."""

from __future__ import annotations

import contextlib
import io
import json
import re
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest
from conftest import MakeRun
from figure_records import SCALES, SEVEN, fabricated
from flask.testing import FlaskClient
from granularity_runs import granularity_run
from test_comparing import concluded

from imgproc.cli import main
from imgproc.report.notebook import notebook
from imgproc.runs.notes import Notes
from imgproc.runs.record import Record

HTML = {"Accept": "text/html"}


def executed(made: dict[str, Any]) -> str:
    """What the code cells print, run one after the other in a name space of their own."""
    names: dict[str, Any] = {}
    printed = io.StringIO()
    with mpl.rc_context({"backend": "Agg"}), contextlib.redirect_stdout(printed):
        for cell in made["cells"]:
            if cell["cell_type"] == "code":
                exec(compile("".join(cell["source"]), "cell", "exec"), names)
        if "plt" in names:
            names["plt"].close("all")
    return printed.getvalue()


def check_format(made: dict[str, Any]) -> None:
    """What nbformat 4.5 asks of a notebook."""
    assert (made["nbformat"], made["nbformat_minor"]) == (4, 5)
    assert made["metadata"]["kernelspec"]["name"] == "python3"
    ids = [cell["id"] for cell in made["cells"]]
    assert len(set(ids)) == len(ids) and all(re.fullmatch("[a-zA-Z0-9-_]{1,64}", one) for one in ids)
    for cell in made["cells"]:
        keys = {"id", "cell_type", "metadata", "source"}
        if cell["cell_type"] == "code":
            keys |= {"outputs", "execution_count"}
            assert cell["outputs"] == [] and cell["execution_count"] is None
        assert cell.keys() == keys and cell["cell_type"] in ("markdown", "code")
        assert all(isinstance(line, str) for line in cell["source"])


def records() -> list[Record]:
    few = concluded(fabricated(tuple(SEVEN), rounds=3))
    odd = concluded(fabricated(tuple(SEVEN), mode="parallel"))
    odd.images[0].name = "a \\\"\"\"\\ b\u2028\n''' <é>.jpg"
    return [concluded(fabricated(tuple(SEVEN))), few, odd, SCALES["two cores"], granularity_run()]


@pytest.mark.parametrize("record", records())
def test_its_cells_compute_what_the_record_says(record: Record) -> None:
    made = json.loads(notebook(record))
    check_format(made)
    said = executed(made)
    timed = [t for t in (*record.techniques, *record.points) if t.rounds]
    assert said.count("median") == len(timed) and "DIFFERS" not in said
    assert said.count("times as fast") == sum(t.speedup is not None and t.name != "sequential" for t in timed)


def test_a_changed_figure_is_found() -> None:
    record = concluded(fabricated(tuple(SEVEN)))
    record.techniques[1].speedup = 40.0
    assert executed(json.loads(notebook(record))).count("DIFFERS") == 1
    record.techniques[2].ci95 = [0.1, 0.2]
    assert executed(json.loads(notebook(record))).count("DIFFERS") == 2


def test_of_several_starts_each_is_one_sample() -> None:
    record = fabricated(tuple(SEVEN), rounds=12)
    for t in record.techniques:
        for k, one in enumerate(t.rounds):
            one.start = k // 3 + 1
    said = executed(json.loads(notebook(concluded(record))))
    assert "DIFFERS" not in said and "to" in said


def test_a_run_without_rounds_is_a_notebook_too(make_run: MakeRun) -> None:
    made = json.loads(notebook(make_run(state="failed"), Notes("Plugged in", (), "Quiet.")))
    check_format(made)
    assert executed(made) == "" and "Plugged in" in "".join(made["cells"][0]["source"])


def test_the_page_of_the_report_and_the_command_make_it(client: FlaskClient, make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(mode="compare")
    assert f'href="/runs/{run.id}/report.ipynb"' in client.get(f"/runs/{run.id}/report", headers=HTML).text
    answer = client.get(f"/runs/{run.id}/report.ipynb")
    assert answer.mimetype == "application/x-ipynb+json" and f"{run.id}.ipynb" in answer.headers["Content-Disposition"]
    check_format(json.loads(answer.data))
    concluded(fabricated(tuple(SEVEN))).write(tmp_path / "run.json")
    assert main(["report", str(tmp_path / "run.json"), "-o", str(tmp_path / "r.ipynb")]) == 0
    assert "DIFFERS" not in executed(json.loads((tmp_path / "r.ipynb").read_text()))
