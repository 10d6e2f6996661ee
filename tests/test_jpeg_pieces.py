"""JPEG files with restart markers, decoded in pieces: always the pixels of the whole, or not in pieces."""

import io
import struct
import tempfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from strip_pictures import carried_out_by_workers, wrong_pixels
from valid_files.exif import exif
from valid_files.jpegs import segment, with_segments

from imgproc.backends import TECHNIQUES
from imgproc.errors import UserError
from imgproc.pixels import formats
from imgproc.pixels.codecs import decode
from imgproc.pixels.formats.contract import Wanted

SAMPLINGS = {
    "444": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    "422": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422,
    "420": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
    "440": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_440,
    "411": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_411,
}
#: Rows beside each other that share colours, and height and width of what is coded together.
UNITS = {"444": (8, 8), "422": (8, 16), "420": (16, 16), "440": (16, 8), "411": (8, 32), "gray": (8, 8)}
BLENDED = {"420", "440"}
#: So high that even pieces of blended rows are cut eight times.
HIGH = 16 * 16 * 8 + 5


def picture(height, width, channels=3, seed=0):
    """Noise in every row and colour, smooth enough not to fill whole blocks."""
    rng = np.random.default_rng([height, width, seed])
    pixels = cv2.blur(rng.integers(0, 256, (height, width, channels), np.uint8), (3, 3)).reshape(height, width, -1)
    return pixels[:, :, 0] if channels == 1 else pixels


def encoded(pixels, interval, sampling="420"):
    how = [cv2.IMWRITE_JPEG_RST_INTERVAL, interval, cv2.IMWRITE_JPEG_QUALITY, 85]
    if pixels.ndim == 3:
        how += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, SAMPLINGS[sampling]]
    done, data = cv2.imencode(".jpg", pixels, how)
    assert done
    return data.tobytes()


def by_pillow(pixels, mode=None, **how):
    file = io.BytesIO()
    Pillow.fromarray(pixels, mode).save(file, "JPEG", **how)
    return file.getvalue()


def pieces(data, count, color=False):
    """The pieces of a file, and their pixels."""
    with tempfile.TemporaryDirectory() as folder:
        path, wanted = str(Path(folder) / "a.jpg"), Wanted(color)
        Path(path).write_bytes(data)
        found = formats.pieces(path, count, wanted)
        return found, [formats.decode_piece(piece, piece.read(path), wanted).image for piece in found]


def assert_in_pieces(data, count, color):
    """Returns how many there are."""
    whole = decode(data, color=color)
    found, pixels = pieces(data, count, color)
    assert 2 <= len(found) <= count
    assert [row for piece in found for row in range(*piece.rows)] == list(range(len(whole)))
    assert np.array_equal(np.concatenate(pixels), whole)
    return len(found)


@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize("count", [2, 8])
@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("kind", [*UNITS])
def test_pieces_have_the_pixels_of_the_whole(kind, rows, count, color):
    """A marker after each row of units, or after each third; sizes that are no multiple of a unit."""
    height = HIGH * (rows if kind in BLENDED and color else 1)
    pixels = picture(height, 51, 1 if kind == "gray" else 3)
    data = encoded(pixels, rows * -(-51 // UNITS[kind][1]), kind)
    assert assert_in_pieces(data, count, color) == count


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([*UNITS]), st.integers(1, 700), st.integers(1, 90), st.integers(1, 40), st.sampled_from([2, 3, 8]),
    st.booleans(),
)  # fmt: skip
def test_any_size_any_interval(kind, height, width, interval, count, color):
    data = encoded(picture(height, width, 1 if kind == "gray" else 3), interval, kind)
    found, _ = pieces(data, count, color)
    unit_height, unit_width = UNITS[kind]
    across, down = -(-width // unit_width), -(-height // unit_height)
    cuts = [row for row in range(1, down) if row * across % interval == 0]
    if kind not in BLENDED or not color:
        assert bool(found) == bool(cuts)
    assert found or not (kind in BLENDED and len(cuts) == down - 1 >= 32)
    if found:
        assert_in_pieces(data, count, color)


def test_colours_that_rows_share_are_read_beyond_the_piece(tmp_path):
    """Else the rows at a cut would differ, as those of the pieces' own files do."""
    path, data = tmp_path / "a.jpg", encoded(picture(HIGH, 64), 4)
    path.write_bytes(data)
    whole = decode(data, color=True)
    found = formats.pieces(str(path), 2, Wanted(color=True))
    assert [piece.stored.stop - piece.rows.stop for piece in found] == [16, 0]
    assert [piece.rows.start - piece.stored.start for piece in found] == [0, 16]
    bare = decode(found[0].read(str(path)), color=True)
    assert not np.array_equal(bare[-1], whole[found[0].stored.stop - 1])
    gray = formats.pieces(str(path), 2, Wanted())
    assert gray and all(piece.stored == piece.rows for piece in gray)


COLORED = {
    "rgb": lambda pixels, **how: by_pillow(pixels, keep_rgb=True, subsampling=0, **how),
    "rows": lambda pixels, restart_marker_blocks: by_pillow(pixels, restart_marker_rows=1),
    "optimized": lambda pixels, **how: by_pillow(pixels, optimize=True, **how),
    "profile": lambda pixels, **how: by_pillow(pixels, icc_profile=bytes(200_000), **how),
    "comment": lambda pixels, **how: by_pillow(pixels, comment=b"\xff\xd9\xff\xda\xff\xd0", **how),
    "upright": lambda pixels, **how: by_pillow(pixels, exif=b"Exif\0\0" + exif(1), **how),
    "tables": lambda pixels, **how: by_pillow(pixels, qtables=[[8] * 64, [9] * 64], **how),
    "fill": lambda pixels, **how: with_segments(by_pillow(pixels, **how), b"\xff\xff\xff" + segment(0xE7, b"abc")),
    "adobe": lambda pixels, **how: with_segments(by_pillow(pixels, **how), segment(0xEE, b"Adobe\0d\0\0\0\0\1")),
    "adobe says RGB": lambda pixels, **how: without_jfif(
        by_pillow(pixels, **how), segment(0xEE, b"Adobe\0d\0\0\0\0\0")
    ),
    "numbers say RGB": lambda pixels, **how: numbered(without_jfif(by_pillow(pixels, **how)), b"RGB"),
}


def without_jfif(data, *segments):
    at = data.index(b"\xff\xe0")
    return data[:at] + b"".join(segments) + data[at + 2 + int.from_bytes(data[at + 2 : at + 4], "big") :]


def numbered(data, numbers):
    """With other numbers of components, in the frame and in the scan."""
    changed = bytearray(data)
    frame, scan = data.index(b"\xff\xc0"), data.index(b"\xff\xda")
    for k, number in enumerate(numbers):
        changed[frame + 10 + 3 * k] = changed[scan + 5 + 2 * k] = number
    return bytes(changed)


@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize("kind", [*COLORED])
def test_what_else_stands_in_files(kind, color):
    data = COLORED[kind](picture(HIGH, 60), restart_marker_blocks=4)
    assert assert_in_pieces(data, 8, color) == 8


@pytest.mark.filterwarnings("ignore")  # Pillow's mode argument
@pytest.mark.parametrize("color", [False, True])
def test_four_inks(color):
    data = by_pillow(picture(300, 61, 4), "CMYK", restart_marker_blocks=8)
    assert assert_in_pieces(data, 8, color) == 8


@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize("sampling", [0x22, 0x12, 0x21])
def test_a_gray_file_is_not_interleaved_whatever_its_sampling(sampling, color):
    data = bytearray(encoded(picture(333, 70, 1), 9))
    data[data.index(b"\xff\xc0") + 11] = sampling
    assert assert_in_pieces(bytes(data), 8, color) == 8


@pytest.mark.parametrize("color", [False, True])
def test_brightness_with_fewer_rows_than_colour(color):
    """Which no encoder here writes: the first component becomes the second."""
    pixels = picture(HIGH, 64)
    data = bytearray(encoded(pixels, 4))
    frame = data.index(b"\xff\xc0")
    blocks = bytearray(data)
    blocks[frame + 11], blocks[frame + 14] = 0x11, 0x22  # of six blocks the first is brightness now
    try:
        whole = decode(bytes(blocks), color=color)
    except UserError:
        pytest.skip("this decoder does not take it")
    found, parts = pieces(bytes(blocks), 4, color)
    assert len(found) == 4 and all(piece.stored != piece.rows for piece in found)
    assert np.array_equal(np.concatenate(parts), whole)


# ---------------------------------------------------------------- what stays whole


def of_scan(data, change):
    at = data.index(b"\xff\xda")
    return data[:at] + change(data[at:])


def without_one(scan):
    at = scan.index(b"\xff\xd3")
    return scan[:at] + scan[at + 2 :]


PLAIN = encoded(picture(640, 64), 4)
LEFT_WHOLE = {
    "no markers": encoded(picture(640, 64), 0),
    "no marker where a row begins": encoded(picture(640, 64), 400),
    "progressive": by_pillow(picture(640, 64), progressive=True, restart_marker_blocks=4),
    "turned": with_segments(PLAIN, segment(0xE1, b"Exif\0\0" + exif(6))),
    "half of it": PLAIN[: len(PLAIN) // 2],
    "no end": PLAIN[:-2],
    "something behind it": PLAIN + b"\0" * 9,
    "another picture behind it": PLAIN + PLAIN,
    "one marker is missing": of_scan(PLAIN, without_one),
    "one marker is twice there": of_scan(PLAIN, lambda scan: scan.replace(b"\xff\xd3", b"\xff\xd3\xff\xd3", 1)),
    "markers in another order": of_scan(PLAIN, lambda scan: scan.replace(b"\xff\xd3", b"\xff\xd5", 1)),
    "fill before a marker": of_scan(PLAIN, lambda scan: scan.replace(b"\xff\xd3", b"\xff\xff\xd3", 1)),
    "another marker": of_scan(PLAIN, lambda scan: scan.replace(b"\xff\xd3", b"\xff\xfe\0\4ab\xff\xd3", 1)),
    "an interval of 0": PLAIN.replace(b"\xff\xdd\0\4\0\4", b"\xff\xdd\0\4\0\0"),
    "a longer interval": PLAIN.replace(b"\xff\xdd\0\4\0\4", b"\xff\xdd\0\4\0\5"),
    "no size": PLAIN[: PLAIN.index(b"\xff\xc0") + 5] + bytes(4) + PLAIN[PLAIN.index(b"\xff\xc0") + 9 :],
    "part of the coefficients": of_scan(PLAIN, lambda scan: scan.replace(b"\0\x3f\0", b"\0\x05\0", 1)),
    "only a header": PLAIN[: PLAIN.index(b"\xff\xda")],
    "nothing": b"",
    "no image": b"hello",
}


@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize("kind", [*LEFT_WHOLE])
def test_what_is_left_whole(kind, color):
    assert pieces(PLAIN, 2, color)[0]
    assert LEFT_WHOLE[kind] != PLAIN
    assert pieces(LEFT_WHOLE[kind], 2, color)[0] == []


def test_a_file_that_is_not_there_has_no_pieces(tmp_path):
    assert formats.pieces(str(tmp_path / "none.jpg"), 2, Wanted()) == []


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=6), st.booleans(), st.booleans())
def test_of_a_damaged_file_come_the_pixels_of_the_whole(changes, header_too, color):
    """The decoder goes on at the next marker after damage, in a piece as in the whole."""
    data = bytearray(encoded(picture(16 * 40, 64), 4))
    first = 2 if header_too else data.index(b"\xff\xda") + 14
    for share, value in changes:
        data[first + int(share * (len(data) - 1 - first))] = value
    try:
        whole = decode(bytes(data), color=color)
    except UserError:
        whole = None
    try:
        found, parts = pieces(bytes(data), 4, color)
    except UserError:
        return  # then it is decoded whole
    assume(found)
    assert whole is not None and np.array_equal(np.concatenate(parts), whole)


# ---------------------------------------------------------------- by workers


def carried_out(technique, data, size, folder, color=False):
    source = folder / "a.jpg"
    source.write_bytes(data)
    return carried_out_by_workers(technique, source, size, folder, color)


@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize("technique", [name for name, t in TECHNIQUES.items() if t.load().capabilities.splits])
def test_workers_decode_it_together(technique, color, tmp_path):
    data = encoded(picture(HIGH, 90), 6)
    work, found = carried_out(technique, data, (HIGH, 90), tmp_path, color)
    decoded = [p.part for p in found.parts if any(s.stage == "decode" for s in p.result.spans)]
    assert found.results[0].error is None and decoded == [0, 1, 2, 3]
    assert wrong_pixels(work, decode(data, color=color)) == {}
    assert "read" in {span.stage for span in found.results[0].caller_spans}  # the markers are looked for


def without_tables(data):
    while (at := data.find(b"\xff\xdb")) > 0:
        data = data[:at] + data[at + 2 + int.from_bytes(data[at + 2 : at + 4], "big") :]
    return data


@pytest.mark.parametrize(
    ("damage", "tried"),
    [(without_tables, [0, 1, 2, 3, None]), (lambda data: data[: len(data) // 2], [None])],
    ids=["no tables", "cut short"],
)
def test_what_is_wrong_with_a_file_is_said_as_of_the_whole(damage, tried, tmp_path):
    data = damage(encoded(picture(400, 90), 6))
    _, found = carried_out("threading", data, (400, 90), tmp_path)
    with pytest.raises(UserError) as whole:
        decode(data)
    assert found.results[0].error == whole.value.message
    assert [p.part for p in found.parts] == tried


def test_a_file_of_another_size_than_was_told_is_decoded_whole(tmp_path):
    data = encoded(picture(400, 90), 6)
    work, found = carried_out("threading", data, (400, 60), tmp_path)
    assert found.results[0].error is None
    assert [p.part for p in found.parts][:5] == [0, 1, 2, 3, None]
    assert wrong_pixels(work, decode(data)) == {}


def test_a_piece_whose_size_is_not_the_headers_is_damage(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(PLAIN)
    piece = formats.pieces(str(path), 2, Wanted())[0]
    data = bytearray(piece.read(str(path)))
    struct.pack_into(">H", data, data.index(b"\xff\xc0") + 5, 100)
    with pytest.raises(UserError, match="damaged"):
        formats.decode_piece(piece, bytes(data), Wanted())
