"""Strips that are not in a TIFF file are said to be missing; and bits that were turned round inside an image."""

from dataclasses import replace

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
