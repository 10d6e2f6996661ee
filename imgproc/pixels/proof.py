"""What proves that two techniques made the same pixels."""

from __future__ import annotations

import hashlib

from imgproc.operations.contract import Image


def pixels_sha256(image: Image) -> str:
    """SHA-256 over ``"{height}x{width}x{channels}:"`` and the bytes in row order."""
    height, width = image.shape[:2]
    channels = 1 if image.ndim == 2 else image.shape[2]
    digest = hashlib.sha256(f"{height}x{width}x{channels}:".encode())
    digest.update(image.data if image.flags.c_contiguous else image.tobytes())
    return digest.hexdigest()
