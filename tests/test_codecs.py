"""What is encoded is what was computed, in a file without metadata that others read as well."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from imgproc.errors import UserError
from imgproc.pixels import codecs, png
from imgproc.pixels.formats import png as png_file

SIDES = st.integers(1, 70)


def noise(height, width, channels, seed, bilevel=False):
    shape = (height, width) if channels == 1 else (height, width, channels)
    image = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    return np.where(image > 127, 255, 0).astype(np.uint8) if bilevel else image


@pytest.fixture(params=["isal", "zlib"])
def encoder(request, monkeypatch):
    """Both PNG encoders; zlib serves where ISA-L has no wheel."""
    if request.param == "zlib":
        monkeypatch.setattr(png, "deflate", zlib)
    elif png.PNG_ENCODER != "isal":
        pytest.skip("ISA-L has no wheel for this machine")
    return request.param


@settings(max_examples=80, deadline=None)
@given(SIDES, SIDES, st.sampled_from([1, 3]), st.integers(0, 10**6), st.booleans())
def test_png_keeps_every_pixel_for_opencv_and_pillow(height, width, channels, seed, bilevel):
    bilevel = bilevel and channels == 1
    image = noise(height, width, channels, seed, bilevel)
    data = codecs.encode(image, "png", bilevel=bilevel)
    assert np.array_equal(codecs.decode(data, color=channels == 3), image)
    pillow = np.asarray(Pillow.open(io.BytesIO(data)).convert("L" if channels == 1 else "RGB"))
    assert np.array_equal(pillow if channels == 1 else pillow[:, :, ::-1], image)


@pytest.mark.parametrize(("channels", "bilevel"), [(1, False), (1, True), (3, False)])
def test_both_encoders_write_the_same_pixels(encoder, channels, bilevel):
    image = noise(33, 47, channels, 5, bilevel)
    data = codecs.encode(image, "png", bilevel=bilevel)
    assert np.array_equal(codecs.decode(data, color=channels == 3), image)
    assert data[24] == (1 if bilevel else 8)  # bits per sample


@pytest.mark.parametrize("format", codecs.FORMATS)
def test_outputs_carry_no_metadata(format):
    data = codecs.encode(noise(40, 40, 3, 1), format)
    opened = Pillow.open(io.BytesIO(data))
    assert opened.format.lower() == format
    assert not opened.getexif()
    assert not {"exif", "icc_profile", "comment", "xmp"} & opened.info.keys()


def chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def test_an_animated_png_is_decoded_as_its_still_picture():
    image = noise(20, 30, 1, 3)
    data = codecs.encode(image, "png")
    head, rest = data[:33], data[33:]
    animated = head + chunk(b"acTL", struct.pack(">II", 2, 0)) + chunk(b"tEXt", b"a\0b") + rest
    assert png_file.still(animated) == data
    assert np.array_equal(codecs.decode(animated), image)


@pytest.mark.parametrize("data", [b"", b"x", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"GIF89a" + b"\0" * 40])
def test_damaged_files_are_refused(data):
    with pytest.raises(UserError) as caught:
        codecs.decode(data)
    assert caught.value.code == "refused_image"


def test_half_a_jpeg_is_refused_not_filled_with_gray():
    data = codecs.encode(noise(300, 300, 1, 2), "jpeg")
    with pytest.raises(UserError):
        codecs.decode(data[: len(data) // 4])


def test_a_side_too_long_for_the_format_names_the_way_out():
    with pytest.raises(UserError, match="Choose PNG") as caught:
        codecs.encode(np.zeros((1, 17_000), np.uint8), "webp")
    assert caught.value.limit == 16_383


@pytest.mark.parametrize("color", [False, True])
def test_decoding_is_plain_imdecode(color):
    data = codecs.encode(noise(64, 48, 3, 9), "jpeg")
    flag = cv2.IMREAD_COLOR if color else cv2.IMREAD_GRAYSCALE
    assert np.array_equal(codecs.decode(data, color=color), cv2.imdecode(np.frombuffer(data, np.uint8), flag))
