"""Decoders of imagecodecs, loaded when first needed: there is no wheel of it for every machine."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

from imgproc.pixels.formats.contract import refused
from imgproc.pixels.formats.depth import Samples

NO_CODEC = (
    "This image needs a decoder that is not installed here: the Python package imagecodecs. Install that, or save the "
    "image as JPEG, PNG or uncompressed TIFF of 8 or 16 bits."
)


def codec(name: str) -> Callable[[bytes], Samples]:
    """One of its functions.

    Raises:
        UserError: it is not there.
    """
    with suppress(Exception):  # not installed, or without this one: attributes are imported when asked for
        import imagecodecs

        return cast(Callable[[bytes], Samples], getattr(imagecodecs, name))
    raise refused(NO_CODEC)


def decoded_by(decoder: Callable[[bytes], Any], data: bytes) -> Samples | None:
    """What it makes of the file; None if that raises anything."""
    try:
        return cast(Samples, decoder(data))
    except Exception:  # errors of many kinds, by the library that is within
        return None
