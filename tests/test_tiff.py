"""TIFF files by strips: decoded in parts, they are the pixels of the whole."""

import io

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from strip_pictures import IN_STRIPS, carried_out_by_workers

from imgproc.errors import UserError
from imgproc.measure.results import SpanRecord, TechniqueMeasurement
from imgproc.operations import OPERATIONS, parse_parameters
from imgproc.pixels.codecs import decode
from imgproc.pixels.formats import pieces
from imgproc.pixels.formats.contract import Wanted
from imgproc.report import sentences
from imgproc.runs.record import ImageRecord, Record, RunSettings

HEIGHT, WIDTH = 300, 211
KINDS = ["L", "RGB", "P", "1", "I;16", "RGBA", "LA", "YCbCr", "CMYK"]
COMPRESSIONS = [None, "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "group4"]
#: Kinds of pixels that are never compressed like that.
NEVER = {"jpeg": {"P", "1", "I;16"}, "group4": {*KINDS} - {"1"}}
STORED = [
    (kind, compression) for compression in COMPRESSIONS for kind in KINDS if kind not in NEVER.get(compression, ())
]


def picture(kind: str) -> Pillow.Image:
    pixels = cv2.blur(np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 4), np.uint8), (3, 3))
    if kind == "I;16":
        return Pillow.fromarray(pixels[:, :, 0].astype(np.uint16) * 251)
    return Pillow.fromarray(pixels, "RGBA") if kind == "RGBA" else Pillow.fromarray(pixels[:, :, :3]).convert(kind)


def write(path, kind="L", compression="tiff_lzw", **options):
    if compression:
        options.setdefault("strip_size", 2_000)
    picture(kind).save(path, "TIFF", compression=compression, **options)


def put_together(path, count, color):
    parts = pieces(str(path), count, Wanted())
    rows = [row for part in parts for row in range(*part.rows)]
    assert rows == list(range(HEIGHT))
    return np.concatenate([decode(part.read(str(path)), color=color) for part in parts])


@pytest.mark.filterwarnings("ignore")  # Pillow's mode argument
@pytest.mark.parametrize(("kind", "compression"), STORED)
def test_parts_have_the_pixels_of_the_whole(kind, compression, tmp_path):
    path = tmp_path / "a.tif"
    write(path, kind, compression)
    for color in (False, True):
        assert np.array_equal(put_together(path, 5, color), decode(path.read_bytes(), color=color))


@pytest.mark.parametrize("compression", [1, 5, 8, 32773])
@pytest.mark.parametrize("predictor", [1, 2])
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_predictors_and_depths_of_another_writer(compression, predictor, depth, tmp_path):
    pixels = np.random.default_rng(2).integers(0, np.iinfo(depth).max, (HEIGHT, WIDTH, 3), depth)
    path = str(tmp_path / "a.tif")
    how = [cv2.IMWRITE_TIFF_COMPRESSION, compression, cv2.IMWRITE_TIFF_ROWSPERSTRIP, 7]
    assert cv2.imwrite(path, pixels, [*how, cv2.IMWRITE_TIFF_PREDICTOR, predictor])
    with open(path, "rb") as file:
        whole = decode(file.read(), color=True)
    assert np.array_equal(put_together(path, 4, True), whole)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 60), st.integers(1, 400), st.booleans())
def test_any_number_of_parts(tmp_path_factory, count, width, strip_size, big_endian):
    path = tmp_path_factory.mktemp("tiff") / "a.tif"
    pixels = np.random.default_rng(width).integers(0, 256, (HEIGHT, width), np.uint8)
    Pillow.fromarray(pixels).save(path, "TIFF", compression="tiff_lzw", strip_size=strip_size)
    parts = pieces(str(path), count, Wanted())
    assert len(parts) <= count
    if parts:
        assert np.array_equal(put_together(path, count, False), pixels)


def test_what_is_stored_otherwise_is_left_whole(tmp_path):
    path = tmp_path / "a.tif"
    for options in ({"strip_size": 10**9}, {"tiffinfo": {274: 6}}):  # one compressed strip; turned
        write(path, **options)
        assert pieces(str(path), 4, Wanted()) == []
    for data in (b"II*\0\x08\0\0\0\xff\xff", b"\x89PNG\r\n\x1a\n"):
        path.write_bytes(data)
        assert pieces(str(path), 4, Wanted()) == []
    assert pieces(str(tmp_path / "none.tif"), 4, Wanted()) == []


@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize("technique", ["threading", "multiprocessing"])
def test_workers_decode_it_together(technique, color, tmp_path):
    source = tmp_path / "a.tif"
    write(source, "RGB")
    _, found = carried_out_by_workers(technique, source, (HEIGHT, WIDTH), tmp_path, color)
    decoded = [p.part for p in found.parts if any(s.stage == "decode" for s in p.result.spans)]
    assert decoded == [0, 1, 2, 3]
    image = decode(source.read_bytes(), color=color)
    for output in found.results[0].value.outputs:
        with open(output.path, "rb") as file:
            result = decode(file.read(), color=color and not OPERATIONS[output.operation].bilevel)
        assert np.array_equal(result, OPERATIONS[output.operation].apply(image, parse_parameters({})))


@pytest.mark.parametrize("cut", [0.5, 0.95])
@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"])
def test_of_a_damaged_file_comes_what_comes_of_the_whole(compression, cut, tmp_path):
    """OpenCV gives some of them up, and of others what can be read."""
    source = tmp_path / "a.tif"
    write(source, compression=compression)
    data = bytearray(source.read_bytes())
    with Pillow.open(io.BytesIO(data)) as image:
        first = image.tag_v2[273][int(cut * len(image.tag_v2[273]))]
    data[first : first + 400] = bytes(400)
    source.write_bytes(data)
    [found] = carried_out_by_workers("threading", source, (HEIGHT, WIDTH), tmp_path)[1].results
    try:
        image = decode(bytes(data))
    except UserError as problem:
        assert found.error == problem.message
        return
    assert found.error is None
    with open(found.value.outputs[1].path, "rb") as file:
        expected = OPERATIONS[found.value.outputs[1].operation].apply(image, parse_parameters({}))
        assert np.array_equal(decode(file.read()), expected)


@pytest.mark.parametrize("in_parts", [False, True])
def test_what_is_decoded_in_parts_limits_nothing(in_parts):
    def measured(name, part):
        spans = [SpanRecord(1, 0, "decode", 0.0, 1.0, part=part), SpanRecord(1, 0, "canny", 1.0, 4.0)]
        return TechniqueMeasurement(name, name, spans=spans, median_seconds=1.0)

    main = measured("threading", 0 if in_parts else None)
    main.split = [0]
    settings = RunSettings(IN_STRIPS, parse_parameters({}), technique="threading", workers=2)
    record = Record("0" * 12, "parallel", settings, techniques=[measured("sequential", None), main])
    record.images = [ImageRecord(0, "a.tif", WIDTH, HEIGHT)]
    said = " ".join(sentences.split(record))
    assert "cut into strips" in said and ("no more than 4.00\u00a0times" in said) is not in_parts
