"""Valid picture files of every kind that can be written here, each with the pixels that were written into it.

``all_files`` makes them. What is right to read of each follows from the samples that were written and the rules of
``truth.py``; no decoder is asked, except for what is lossy (``truth.decoded`` says which one then).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from valid_files import (
    bmps,
    gifs,
    jpegs,
    pngs,
    tiff_compressions,
    tiff_faxes,
    tiff_kinds,
    tiff_lerc,
    tiff_oddities,
    tiff_pillow,
    tiff_random,
    webps,
)
from valid_files.truth import ValidFile

_MODULES = (
    tiff_kinds,
    tiff_compressions,
    tiff_faxes,
    tiff_lerc,
    tiff_oddities,
    tiff_pillow,
    tiff_random,
    pngs,
    jpegs,
    bmps,
    gifs,
    webps,
)

#: The families of files, for tests to be named by before any file is made.
FAMILIES = (
    "bigtiff", "bmp", "bmpmasks", "bmpodd", "bmpos2", "bmprle", "gif", "gifanimated", "jpeg", "jpegarithmetic",
    "jpegdeep", "jpeginks", "jpeglossless", "jpegorient", "jpegpillow", "jpegrefused", "jpegsegment", "png",
    "pnganimated", "pngchunk", "pngorient", "pngstream", "pngtrns", "pngused", "tiffbytes", "tiffcmyk",
    "tiffcomplex", "tiffcounts", "tiffdefaults", "tiffdepth", "tiffextra", "tifffax", "tifffill", "tifffloat",
    "tiffgray", "tiffjpeg", "tifflab", "tifflerc", "tiffmeta", "tiffold", "tifforient", "tiffpages", "tiffpalette",
    "tiffpictures", "tiffpillow", "tiffrandom", "tiffraw", "tiffrefused", "tiffrgb", "tiffshape", "tiffsigned",
    "tiffsparse", "tiffused", "tiffycbcr", "webp", "webpanimated", "webporient",
)  # fmt: skip


@cache
def all_files() -> tuple[ValidFile, ...]:
    """All of them, in a fixed order, no two of the same name."""
    found = tuple(_made())
    names = [file.name for file in found]
    twice = {name for name in names if names.count(name) > 1}
    assert not twice, f"two files of one name: {sorted(twice)}"
    assert {file.family for file in found} == {*FAMILIES}
    return found


def _made() -> Iterator[ValidFile]:
    for module in _MODULES:
        yield from module.files()
