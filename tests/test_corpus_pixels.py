"""Real photographs and format oddities: every technique gives plain OpenCV's pixels, to the last bit."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from imgproc.backends import TECHNIQUES
from imgproc.operations import DEFAULT_OPERATIONS, parse_parameters
from imgproc.pixels.codecs import decode
from imgproc.runs.execute import process
from imgproc.runs.passes import RunFolders
from imgproc.runs.record import Record, RunSettings
from imgproc.runs.uploads import inspect_files
from imgproc.settings import Settings
from tests.backend_kinds import each

CORPUS = Path(__file__).resolve().parents[2] / "shared" / "corpus"
pytestmark = pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus of photographs is not beside this checkout")


def plain(image, operation):
    """The three calls that anyone would write; parameters as our defaults."""
    cv2.setNumThreads(1)
    cv2.ipp.setUseIPP(False)
    try:
        if operation == "canny":
            return cv2.Canny(image, 100, 200)
        if operation == "gaussian":
            return cv2.GaussianBlur(image, (5, 5), 0)
        return cv2.equalizeHist(image)
    finally:
        cv2.ipp.setUseIPP(True)


@pytest.fixture(scope="module")
def inspected(tmp_path_factory):
    """Every valid file through the same door as an upload, and its pixels as OpenCV decodes the original."""
    folder = tmp_path_factory.mktemp("inspected")
    entries = [e for e in json.loads((CORPUS / "MANIFEST.json").read_text()) if e["file"].startswith("valid/")]
    files, references = [], {}
    for index, entry in enumerate(entries):
        data = (CORPUS / entry["file"]).read_bytes()
        copy = folder / f"in-{index}"
        copy.write_bytes(data)
        files.append((Path(entry["file"]).name, copy))
        gray = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
        references[index] = {operation: plain(gray, operation) for operation in DEFAULT_OPERATIONS}
    images = inspect_files(files, folder / "uploads", folder / "previews", Settings(), processes=2)
    assert [image.error for image in images] == [None] * 31
    return folder / "uploads", images, references


@pytest.mark.parametrize("technique", each(TECHNIQUES, images=True))
def test_every_technique_on_every_valid_file(technique, inspected, tmp_path):
    uploads, images, references = inspected
    settings = RunSettings(list(DEFAULT_OPERATIONS), parse_parameters({}), technique, workers=2, budget=0.0)
    record = Record("0" * 12, "parallel", settings, images)
    places = RunFolders({i.index: uploads / i.stored for i in images}, tmp_path / "out", None, tmp_path / "work")
    process(record, places, Settings())
    assert len(record.good_images) == 31
    for image in images:
        for output in image.outputs:
            made = decode((places.outputs / output.file).read_bytes())
            expected = references[image.index][output.operation]
            assert np.array_equal(made, expected), (image.name, output.operation)
