"""Files of other programs that read otherwise than one would think, and damage that is only called so."""

import struct
from dataclasses import replace

import imagecodecs
import numpy as np
import pytest
from valid_files.tiff_compressions import compressed
from valid_files.tiff_kinds import BLACK_IS_0
from valid_files.tiff_writer import SHORT, Layout, page, tiff

from imgproc.errors import UserError
from imgproc.pixels import formats
from imgproc.pixels.formats.contract import Wanted

PIXELS = np.arange(64 * 48, dtype=np.uint8).reshape(64, 48)
STRIPS = Layout(rows=16)
WEBP = 50001


def test_what_is_missing_is_told():
    one = page(PIXELS, 8, BLACK_IS_0, compressed(STRIPS, "deflate"))
    one.blocks[0] = None
    found = formats.decode(tiff(one), Wanted())
    assert found.facts.sentences == ("1 of its 4 strips is not in the file; its samples are 0.",)
    assert not found.image[:16].any() and (found.image[16:] == PIXELS[16:]).all()


def test_turned_bits_of_compressed_images_are_refused_by_name():
    one = page(PIXELS, 8, BLACK_IS_0, replace(STRIPS, compression=WEBP), {266: (SHORT, [2])})
    with pytest.raises(UserError, match="FillOrder 2"):
        formats.decode(tiff(one), Wanted())


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
