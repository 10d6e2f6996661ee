"""Files of other programs that read otherwise than one would think, and damage that is only called so."""

import io
import struct
import tracemalloc
from dataclasses import replace

import imagecodecs
import numpy as np
import pytest
import tifffile
from valid_files.tiff_compressions import compressed
from valid_files.tiff_kinds import BLACK_IS_0
from valid_files.tiff_writer import ASCII, SHORT, Layout, page, tiff

from imgproc.errors import UserError
from imgproc.pixels import formats
from imgproc.pixels.formats.contract import Wanted
from imgproc.pixels.formats.depth import FULL_RANGE, HIGH_BYTE, USED_BITS

PIXELS = np.arange(64 * 48, dtype=np.uint8).reshape(64, 48)
STRIPS = Layout(rows=16)
WEBP = 50001


def test_what_is_missing_is_told():
    one = page(PIXELS, 8, BLACK_IS_0, compressed(STRIPS, "deflate"))
    one.blocks[0] = None
    found = formats.decode(tiff(one), Wanted())
    assert found.facts.sentences == ("1 of its 4 strips is not in the file; its samples are 0.",)
    assert not found.image[:16].any() and (found.image[16:] == PIXELS[16:]).all()


def test_the_value_of_what_is_missing_is_told():
    one = page(PIXELS, 8, BLACK_IS_0, compressed(STRIPS, "deflate"), {42113: (ASCII, b"255\0")})
    one.blocks[1] = one.blocks[3] = None
    found = formats.decode(tiff(one), Wanted())
    assert found.facts.sentences == (
        "2 of its 4 strips are not in the file; their samples are 255, as the file says (GDAL_NODATA).",
    )
    assert (found.image[16:32] == 255).all() and (found.image[32:48] == PIXELS[32:48]).all()


@pytest.mark.parametrize("name", ["lzw", "deflate", "packbits"])
@pytest.mark.parametrize("rows", [16, 64])
def test_byte_counts_beyond_the_end_hide_no_end_that_is_too_early(name, rows):
    """Each strip is said to be as long as a whole stack, and the file ends with the last one, or before."""
    pixels = np.dstack([PIXELS, PIXELS[::-1], PIXELS])
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, compression=name, rowsperstrip=rows, photometric="rgb", metadata=None)
    file.seek(0)
    with tifffile.TiffFile(file, mode="r+b") as written:
        sizes = written.pages[0].tags[279]
        assert sum(written.pages[0].dataoffsets[-1:] + written.pages[0].databytecounts[-1:]) == len(file.getvalue())
        sizes.overwrite([65_535] * (64 // rows))
    data = file.getvalue()
    assert (formats.decode(data, Wanted(color=True)).image == pixels[:, :, ::-1]).all()
    with pytest.raises(UserError, match="ends in the middle"):
        formats.decode(data[:-12], Wanted())


def test_jpeg_colours_of_fewer_pixels_by_a_fraction_are_refused_by_name():
    data = bytearray(imagecodecs.jpeg8_encode(np.dstack([PIXELS] * 3)))
    at = data.index(b"\xff\xc0") + 11
    data[at], data[at + 3] = 0x31, 0x21
    with pytest.raises(UserError, match="by a fraction"):
        formats.decode(bytes(data), Wanted())


@pytest.mark.parametrize(("depth", "kind", "how"), [
    (FULL_RANGE, "f8", {}),
    (FULL_RANGE, "f8", {"compression": "zstd", "rowsperstrip": 1_000}),
    (FULL_RANGE, "f8", {"compression": "lerc", "tile": (512, 512)}),
    (FULL_RANGE, "f8", {"compression": "deflate", "predictor": 3, "tile": (512, 512)}),
    (HIGH_BYTE, "u4", {"compression": "zstd", "tile": (512, 512), "photometric": "rgb", "extrasamples": [2]}),
    (USED_BITS, "u4", {"compression": "zstd", "tile": (512, 512), "photometric": "rgb", "extrasamples": [2]}),
    (FULL_RANGE, "u4", {"compression": "zstd", "rowsperstrip": 1_000, "photometric": "rgb", "extrasamples": [2]}),
])  # fmt: skip
def test_the_widest_samples_fit_into_the_memory_of_vetting(depth, kind, how):
    """That of ``inspector_child``, without what it adds for libraries, is 32 bytes for each pixel of the largest."""
    pixels = (np.arange(2_000)[:, None] + np.arange(3_000) / 2).astype(kind)
    if kind == "u4":
        pixels = np.dstack([pixels * 1_000] * 4)  # with few of the bits used, whose levels are then counted
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, metadata=None, **how)
    data = file.getvalue()
    formats.decode(data, Wanted(color=True, depth=depth))  # modules are loaded
    tracemalloc.start()
    try:
        formats.decode(data, Wanted(color=True, depth=depth))
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    blocks = 40 << 20  # of a million samples at a time, in wide numbers, whatever the size
    assert most + len(data) <= 32 * 6_000_000 + blocks


def test_turned_bits_of_compressed_images_are_refused_by_name():
    one = page(PIXELS, 8, BLACK_IS_0, replace(STRIPS, compression=WEBP), {266: (SHORT, [2])})
    with pytest.raises(UserError, match="FillOrder 2"):
        formats.decode(tiff(one), Wanted())


@pytest.mark.parametrize("kind", ["u1", "u2", "f4"])
def test_a_predictor_of_lerc_is_refused_by_name(kind):
    """tifffile writes and heeds it, libtiff does not know it there: the same file is two pictures."""
    file = io.BytesIO()
    tifffile.imwrite(file, PIXELS.astype(kind), compression="lerc", predictor=True)
    with pytest.raises(UserError, match="LERC with a predictor"):
        formats.decode(file.getvalue(), Wanted(depth=FULL_RANGE))
    file = io.BytesIO()
    tifffile.imwrite(file, PIXELS.astype(kind), compression="lerc")
    assert np.array_equal(formats.decode(file.getvalue(), Wanted(depth=FULL_RANGE)).image, PIXELS)


def rle(bits, width, height, body, colors=16):
    palette = b"".join(bytes([16 * k, 16 * k, 16 * k, 0]) for k in range(colors))
    at = 54 + len(palette)
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, 1 if bits == 8 else 2, len(body), 0, 0, colors, 0)
    return b"BM" + struct.pack("<IHHI", at + len(body), 0, 0, at) + info + palette + body


@pytest.mark.parametrize(("bits", "body"), [
    (8, b"\x03\x01\x05\x02\0\0" b"\0\x05\x04\x05\x06\x07\x08\0\x03\x09\0\0" b"\x02\x03\0\x02\x01\0\x02\x04\0\1"),
    (4, b"\x03\x11\x05\x22\0\0" b"\0\x05\x45\x67\x80\0\x03\x99\0\0" b"\x02\x33\0\x02\x01\0\x02\x44\0\1"),
])  # fmt: skip
def test_runs_past_the_end_of_a_row_are_dropped(bits, body):
    """Rows of 5 pixels whose runs go to 8, as some programs fill them; from the lowest row up."""
    shown = [[3, 3, 0, 4, 4], [4, 5, 6, 7, 8], [1, 1, 1, 2, 2]]
    assert formats.decode(rle(bits, 5, 3, body), Wanted()).image.tolist() == [[16 * k for k in row] for row in shown]
    with pytest.raises(UserError, match=r"damaged|ends in the middle"):
        formats.decode(rle(bits, 5, 3, body[:8]), Wanted())


@pytest.mark.parametrize("tag", [256, 257, 258, 259, 262, 277, 278])
@pytest.mark.parametrize("kind", [2, 5, 7, 12])
def test_a_tag_of_a_senseless_type_is_damage(tag, kind, tmp_path):
    data = bytearray(tiff(page(PIXELS, 8, BLACK_IS_0, STRIPS)))
    at = data.index(
        struct.pack("<HH", tag, SHORT if tag not in (256, 257, 278) else 4), struct.unpack_from("<I", data, 4)[0]
    )
    data[at + 2] = kind
    (tmp_path / "a.tif").write_bytes(data)
    assert all(piece.head for piece in formats.pieces(str(tmp_path / "a.tif"), 3, Wanted()))
    try:
        formats.decode(bytes(data), Wanted())
    except UserError as problem:
        assert problem.code == "refused_image"


def test_lossless_colours_that_are_not_named_are_said_to_be():
    pixels = np.dstack([PIXELS, PIXELS[::-1], 255 - PIXELS])
    data = imagecodecs.jpeg8_encode(pixels, lossless=True)
    bare = data[:2] + data[data.index(b"\xff\xc3") :]
    found = formats.decode(bare, Wanted(color=True))
    assert (found.image == pixels[:, :, ::-1]).all()
    assert found.facts.sentences == ("It does not say whether its colours are RGB or YCbCr; they are taken for RGB.",)
    at = bare.index(b"\xff\xc3") + 11
    with pytest.raises(UserError, match="lossless"):
        formats.decode(bare[:at] + b"\x22" + bare[at + 1 :], Wanted())
