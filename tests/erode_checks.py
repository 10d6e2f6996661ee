"""Run as a program in a copy of the project that has one operation more, ``erode``: takes it through everything.

    python erode_checks.py FOLDER techniques|gpu|web

Each check prints what the test compares.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np

from imgproc.backends import TECHNIQUES, Technique
from imgproc.errors import UserError
from imgproc.operations import OPERATIONS, parse_parameters
from imgproc.runs.execute import process
from imgproc.runs.passes import RunFolders
from imgproc.runs.record import ImageRecord, Record, RunSettings
from imgproc.settings import Settings

SIZE = {"erode_size": "7"}


def run(folder: Path, technique: str, operations: list[str], mode: str = "parallel", **asked: object) -> Record:
    """Three small pictures through a technique; the record."""
    sources, folder = {}, folder / f"{mode}-{technique}"
    folder.mkdir()
    for n in range(3):
        sources[n] = folder / f"{n}.png"
        image = np.random.default_rng(n).integers(0, 256, (90 + n, 120), np.uint8)
        cv2.imwrite(str(sources[n]), image)
    asked = {"workers": 2, "budget": 0.0, "split": "always", **asked}
    record = Record("0" * 12, mode, RunSettings(operations, parse_parameters(SIZE), technique=technique, **asked))
    record.images = [ImageRecord(n, p.name, 120, 90 + n, "PNG", p.stat().st_size) for n, p in sources.items()]
    process(record, RunFolders(sources, folder / "out", None, folder / "work"), Settings())
    return record


def wrong(folder: Path, record: Record) -> int:
    """Files that are not as whole OpenCV makes them."""
    folder = folder / f"{record.mode}-{record.settings.technique}"
    count = 0
    for image in record.images:
        assert image.error is None, image.error
        source = cv2.imread(str(folder / image.name), cv2.IMREAD_GRAYSCALE)
        for output in image.outputs:
            found = cv2.imread(str(folder / "out" / output.file), cv2.IMREAD_GRAYSCALE)
            expected = OPERATIONS[output.operation].apply(source, record.settings.parameters)
            count += not np.array_equal(found, expected)
            if output.operation == "erode":
                count += not np.array_equal(found, cv2.erode(source, np.ones((7, 7), np.uint8)))
    return count


def techniques(folder: Path) -> object:
    """By every technique that runs here: how many files are wrong, and whether images were cut."""
    found = {}
    for name, technique in TECHNIQUES.items():
        if technique.availability().ok and not technique.load().capabilities.prange:  # which has no program for it
            record = run(folder, name, ["erode", "equalize"])
            found[name] = wrong(folder, record), bool(record.techniques[0].split)
    return found


def gpu(folder: Path) -> object:
    """A GPU that is the CPU starts, does the others, and refuses this one: for a run, and in a comparison."""
    TECHNIQUES["gpu-shim"] = Technique("gpu-shim", "Shim", "backend_kinds:GpuShim", "", "", "", "", "thread")
    others = wrong(folder, run(folder, "gpu-shim", ["canny", "gaussian", "equalize"]))
    try:
        run(folder, "gpu-shim", ["erode"], "scale", worker_counts=[1, 2])
        refused = ""
    except UserError as problem:
        refused = problem.message
    compared = run(folder, "auto", ["erode"], "compare", techniques=["threading", "gpu-shim"], budget=2.0)
    told = {t.name: (t.available, t.reason) for t in compared.techniques}
    return {"others": others, "refused": refused, "compared": told["gpu-shim"], "threading": told["threading"][0]}


def web(folder: Path) -> object:
    """The form, and the page of a run."""
    from app import create_app

    settings = Settings(
        UPLOADS_DIR=folder / "uploads",
        RESULTS_DIR=folder / "results",
        SECRET_KEY="for tests: abcdefghijklmnopqrstuvwxyz",
    )
    app = create_app(settings)
    client, store = app.test_client(), app.config["STORE"]
    form = client.get("/").text
    for number, (mode, technique) in enumerate((("compare", "auto"), ("parallel", "threading"))):
        record = run(folder, technique, ["erode", "canny"], mode, techniques=["threading"], rounds=6, budget=2.0)
        record.id, record.state = f"{number:012x}", "done"
        record.save(settings.RESULTS_DIR / record.id)
    page, other, text = (client.get(f"/runs/{name}") for name in ("0" * 12, record.id, f"{record.id}.txt"))
    store.close()
    return {
        "form": 'value="erode"' in form and 'name="erode_size"' in form,
        "page": (page.status_code, "Erosion" in page.text or "eroded" in page.text.lower()),
        "whole": "Every image stays whole: Erosion is not cut into strips." in other.text,
        "text": text.status_code,
    }


if __name__ == "__main__":
    print("=", json.dumps({"techniques": techniques, "gpu": gpu, "web": web}[sys.argv[2]](Path(sys.argv[1]))))
