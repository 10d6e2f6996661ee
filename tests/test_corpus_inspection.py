"""Real photographs and really hostile files; skipped where the corpus is not beside the checkout."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from imgproc.pixels.codecs import decode
from imgproc.pixels.previews import thumbnail_of
from imgproc.runs.record import ImageRecord
from imgproc.runs.uploads import inspect_files
from imgproc.settings import Settings

CORPUS = Path(__file__).resolve().parents[2] / "shared" / "corpus"
pytestmark = pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus is not beside this checkout")

SECONDS = 10


@pytest.fixture(scope="module")
def expected() -> dict[str, str]:
    """What is to become of each file, by its path in the corpus."""
    return {entry["file"]: entry["expected"] for entry in json.loads((CORPUS / "MANIFEST.json").read_text())}


@pytest.fixture(scope="module")
def uploads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("uploads")


@pytest.fixture(scope="module")
def records(expected: dict[str, str], uploads: Path) -> dict[str, ImageRecord]:
    """All files inspected in one batch, hostile and valid ones beside each other."""
    names = sorted(expected, key=lambda name: name.rpartition("/")[2])
    files = []
    for number, name in enumerate(names):
        path = uploads / f"incoming-{number:04d}"
        shutil.copyfile(CORPUS / name, path)
        files.append((name, path))
    begin = time.monotonic()
    found = inspect_files(files, uploads, uploads / "previews", Settings(INSPECT_SECONDS=SECONDS), processes=2)
    assert time.monotonic() - begin < 60
    return dict(zip(names, found, strict=True))


def test_every_valid_file_is_accepted_with_its_size(
    expected: dict[str, str], records: dict[str, ImageRecord], uploads: Path
) -> None:
    accepted = [name for name, verdict in expected.items() if verdict == "accept"]
    assert len(accepted) >= 30
    for name in accepted:
        record = records[name]
        plain = cv2.imdecode(np.fromfile(CORPUS / name, np.uint8), cv2.IMREAD_COLOR)
        assert record.error is None, f"{name}: {record.error}"
        assert (record.height, record.width) == plain.shape[:2], name
        # What is stored has the same pixels, also where a PNG was rewritten.
        assert np.array_equal(decode((uploads / record.stored).read_bytes(), color=True), plain), name
        shown = decode((uploads / "previews" / str(record.preview)).read_bytes(), color=True)
        assert max(shown.shape[:2]) == min(1080, max(plain.shape[:2])), name
        if max(shown.shape) == 1080:  # what JPEG does to the colours of tiny drawings says nothing
            small = cv2.resize(plain, shown.shape[1::-1], interpolation=cv2.INTER_AREA)
            assert np.abs(small.astype(int) - shown).mean() < 4, name


def test_every_file_to_be_refused_is_refused_with_a_reason(
    expected: dict[str, str], records: dict[str, ImageRecord]
) -> None:
    refused = [name for name, verdict in expected.items() if verdict == "reject"]
    assert len(refused) == 33
    for name in refused:
        error = records[name].error
        assert error is not None, name
        assert error.count(". ") >= 1, f"{name}: {error}"
        assert error.endswith("."), f"{name}: {error}"
        assert (records[name].stored, records[name].preview) == ("", None)


def test_no_reason_shows_a_path_or_a_librarys_words(records: dict[str, ImageRecord], uploads: Path) -> None:
    for name, record in records.items():
        for word in (str(uploads), "incoming", "/", "OpenCV", "cv2", "libpng", "Error", "TIFF directory", "0x"):
            assert word not in (record.error or ""), f"{name}: {record.error}"


def test_files_that_may_go_either_way_are_harmless_when_accepted(
    expected: dict[str, str], records: dict[str, ImageRecord], uploads: Path
) -> None:
    either = [name for name, verdict in expected.items() if verdict == "either"]
    assert len(either) >= 15
    for name in either:
        record = records[name]
        assert "took longer" not in (record.error or ""), name
        if record.error is None:
            image = decode((uploads / record.stored).read_bytes())
            assert image.shape == (record.height, record.width), name


def test_nothing_is_left_of_refused_files(records: dict[str, ImageRecord], uploads: Path) -> None:
    kept = {record.stored for record in records.values() if record.error is None}
    assert {path.name for path in uploads.iterdir()} == kept | {"previews"}
    previews = [record.preview or "" for record in records.values() if record.error is None]
    assert {path.name for path in (uploads / "previews").iterdir()} == {*previews, *map(thumbnail_of, previews)}
