"""A PNG made of pieces is one ordinary file, whoever reads it."""

import io
import struct
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from imgproc.intake.samples import draw
from imgproc.operations import OPERATIONS, parse_parameters
from imgproc.operations.rows import Rows, cut
from imgproc.pixels import codecs, png


def in_pieces(image, pieces, *, bilevel=False, encoder=png.PNG_ENCODER, run=map) -> bytes:
    encoded = run(lambda rows: png.encode_piece(image, rows, bilevel=bilevel, encoder=encoder), pieces)
    return b"".join(png.join(image.shape, encoded, bilevel=bilevel))


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """Names and bodies, with every checksum verified and nothing between or behind them."""
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    found, at = [], 8
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        name, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", data, at + 8 + length) == (zlib.crc32(name + body),)
        found.append((name, body))
        at += 12 + length
    assert found[0][0] == b"IHDR" and found[-1] == (b"IEND", b"")
    return found


def inflated(data: bytes) -> bytes:
    """The filtered rows; zlib verifies the stream and its checksum, and that nothing follows."""
    stream = zlib.decompressobj()
    rows = stream.decompress(b"".join(body for name, body in chunks(data) if name == b"IDAT"))
    assert stream.eof and not stream.unused_data and not stream.unconsumed_tail
    return rows


def assert_all_read(data: bytes, image: np.ndarray) -> None:
    height, width = image.shape[:2]
    gray = image.ndim == 2
    bits = width * (chunks(data)[0][1][8] if gray else 24)
    assert len(inflated(data)) == height * (1 + (bits + 7) // 8)
    assert np.array_equal(codecs.decode(data, color=not gray), image)
    assert np.array_equal(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED), image)
    Pillow.open(io.BytesIO(data)).verify()
    pixels = np.asarray(Pillow.open(io.BytesIO(data)).convert("L" if gray else "RGB"))
    assert np.array_equal(pixels if gray else pixels[:, :, ::-1], image)


@st.composite
def images(draw):
    """Any small image and whether it is of two levels, and pieces of it."""
    height, width = draw(st.integers(1, 60)), draw(st.integers(1, 60))
    color, bilevel = draw(st.sampled_from([(False, False), (False, True), (True, False)]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    image = rng.integers(0, draw(st.sampled_from([1, 2, 256])), (height, width, 3) if color else (height, width))
    image = np.where(image > 0, 255, 0).astype(np.uint8) if bilevel else image.astype(np.uint8)
    inner = draw(st.sets(st.integers(1, height - 1))) if height > 1 else set()
    at = [0, *sorted(inner), height]
    return image, bilevel, tuple(map(Rows, at[:-1], at[1:]))


@settings(max_examples=400, deadline=None)
@given(images())
def test_every_reader_reads_every_pixel(case):
    image, bilevel, pieces = case
    data = in_pieces(image, pieces, bilevel=bilevel)
    assert_all_read(data, image)
    assert inflated(data) == inflated(codecs.encode(image, "png", bilevel=bilevel))


@pytest.mark.parametrize("width", [1, 7, 8, 9, 63, 65])
def test_one_bit_per_pixel_at_any_width_in_pieces_of_one_row(width):
    image = np.random.default_rng(width).integers(0, 2, (19, width), np.uint8) * 255
    data = in_pieces(image, cut(19, 19), bilevel=True)
    assert chunks(data)[0][1][8:10] == b"\x01\x00"  # one bit, gray
    assert_all_read(data, image)


@pytest.fixture(scope="module")
def photograph():
    return draw(2, 1.5)


@pytest.mark.parametrize("name", [*OPERATIONS, "colour"])
@pytest.mark.parametrize("count", [1, 2, 4, 16])
def test_the_file_is_as_small_as_in_one_piece(photograph, name, count):
    if png.PNG_ENCODER != "isal":
        pytest.skip("ISA-L has no wheel for this machine")
    image, bilevel = photograph, name == "canny"
    if name != "colour":
        gray = cv2.cvtColor(photograph, cv2.COLOR_BGR2GRAY)
        image = OPERATIONS[name].apply(gray, parse_parameters({}))
    whole = codecs.encode(image, "png", bilevel=bilevel)
    data = in_pieces(image, cut(len(image), count), bilevel=bilevel)
    assert_all_read(data, image)
    assert len(data) <= 1.01 * len(whole) + 100 * count


def test_pieces_are_encoded_by_several_threads(photograph):
    with ThreadPoolExecutor(4) as pool:
        data = in_pieces(photograph, cut(len(photograph), 9), run=pool.map)
    assert inflated(data) == inflated(in_pieces(photograph, cut(len(photograph), 9)))
    assert_all_read(data, photograph)


def test_without_isal_zlib_deflates_whole_files_and_pieces_and_the_record_says_so():
    code = """
import sys
sys.modules["isal"] = None
import numpy as np
from imgproc.measure.environment import PNG_ENCODER
from imgproc.operations.rows import cut
from imgproc.pixels import codecs, png
image = np.random.default_rng(0).integers(0, 256, (70, 90, 3), np.uint8)
pieces = [png.encode_piece(image, rows) for rows in cut(70, 3)]
for data in codecs.encode(image, "png"), b"".join(png.join(image.shape, pieces)):
    assert np.array_equal(codecs.decode(data, color=True), image)
print(PNG_ENCODER, png.deflate.__name__)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "zlib zlib\n", done.stderr


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300), st.binary(max_size=300), st.sampled_from([1, 1000, 70_000]))
def test_checksums_are_combined_as_if_of_all_bytes(first, second, times):
    first, second = first * (times // 10 + 1), second * times
    combined = png.adler32_combine(zlib.adler32(first), zlib.adler32(second), len(second))
    assert combined == zlib.adler32(first + second)


def test_a_piece_reads_its_rows_and_the_one_above_only():
    image = np.random.default_rng(0).integers(0, 256, (20, 30), np.uint8)
    other = image.copy()
    other[:9], other[15:] = 0, 0
    assert png.encode_piece(image, Rows(10, 15)) == png.encode_piece(other, Rows(10, 15))


def test_outputs_carry_no_metadata():
    data = in_pieces(np.zeros((9, 9), np.uint8), cut(9, 3))
    assert {name for name, _ in chunks(data)} == {b"IHDR", b"IDAT", b"IEND"}
