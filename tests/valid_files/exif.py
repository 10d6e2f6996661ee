"""Exif with an orientation and nothing else."""

from __future__ import annotations

import struct


def exif(orientation: int, order: str = "<", *, long: bool = False, at: int = 8) -> bytes:
    """A TIFF structure with the tag Orientation, of type SHORT as the standard says, or of type LONG, in a directory
    that begins at this byte."""
    mark = b"II" if order == "<" else b"MM"
    value = struct.pack(order + ("I" if long else "H"), orientation).ljust(4, b"\0")
    entry = struct.pack(order + "HHI", 274, 4 if long else 3, 1) + value
    return mark + struct.pack(order + "HI", 42, at) + bytes(at - 8) + struct.pack(order + "H", 1) + entry + bytes(4)
