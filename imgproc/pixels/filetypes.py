"""What a file is by its content. Names and extensions are not looked at: they can say anything."""

from __future__ import annotations

import re

#: The image types we accept, by the name shown to people, with the extension their files get here.
ACCEPTED: dict[str, str] = {"JPEG": "jpg", "PNG": "png", "WebP": "webp", "GIF": "gif", "TIFF": "tif", "BMP": "bmp"}

_SAVE = "Save it as JPEG or PNG first."
_OF_PHONES = "Save it as JPEG first; an iPhone takes JPEG with “Most Compatible” in Settings, Camera, Formats."
_SEND = "Send a JPEG, PNG, WebP, GIF, TIFF or BMP image."
_UNPACK = "Unpack it and send the images in it."
_FRAME = "Save a frame of it as JPEG or PNG first."
_EXPORT = "Export it as JPEG or PNG first."

# How files of the accepted types begin.
_BEGINNINGS = {
    "JPEG": rb"\xff\xd8\xff",
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "WebP": rb"RIFF.{4}WEBP",
    "GIF": rb"GIF8[79]a",
    "TIFF": rb"II[*+]\0|MM\0[*+]",
    # Two letters are too little to go by: texts begin with them as well. So the size of the header counts too.
    "BMP": rb"BM.{12}[\x0c\x10\x28\x34\x38\x40\x6c\x7c](\0{3}|\0{0,2}\Z)",
}

# Types that are not accepted: how their files begin, what they are called, and the way out. The first that matches
# counts, so the general ones of a family come after the particular ones.
_OTHERS = (
    # The major brand mif1 says HEIF only; the compatible ones behind it say which.
    (rb".{4}ftyp(avi[fs]|m[is]f1.{4}([\w ]{4})*?avi[fs])", "an AVIF image", _SAVE),
    (rb".{4}ftyp(hei[cxms]|hev[cmxs]|m[is]f1.{4}([\w ]{4})*?he[iv])", "a HEIC photo", _OF_PHONES),
    (rb".{4}ftypm[is]f1", "a HEIF image", _SAVE),
    (rb".{4}ftypcrx ", "a camera raw file", _EXPORT),
    (rb".{4}ftyp", "a video or sound file", _FRAME),
    (rb"\xff\x0a|\x00\x00\x00\x0cJXL ", "a JPEG XL image", _SAVE),
    (rb"\x00\x00\x00\x0cjP  |\xff\x4f\xff\x51", "a JPEG 2000 image", _SAVE),
    (
        rb"\x00\x05\x16\x07",
        "a file that macOS keeps beside another one (AppleDouble)",
        "The picture is in the file of the same name without “._” at its beginning.",
    ),
    (rb"8BPS", "a Photoshop file", _EXPORT),
    (rb"\x00\x00[\x01\x02]\x00[^\x00]", "an icon", _SAVE),
    (rb"P[1-7Ff]\s", "a PPM image or one of its family", _SAVE),
    (rb"#\?R", "an HDR image", _SAVE),
    (rb"\x76\x2f\x31\x01", "an OpenEXR image", _SAVE),
    (rb"\x59\xa6\x6a\x95", "a Sun raster image", _SAVE),
    (rb"%PDF-", "a PDF", "Export its pages as JPEG or PNG first."),
    (rb"%!PS|\xc5\xd0\xd3\xc6", "an EPS or PostScript drawing", _EXPORT),
    (rb"PK[\x03\x05\x07][\x04\x06\x08]", "a ZIP archive or an office document", _UNPACK),
    (rb"\x1f\x8b", "a gzip archive", _UNPACK),
    (rb"7z\xbc\xaf|Rar!|BZh[1-9]|\xfd7zXZ|\x28\xb5\x2f\xfd", "an archive", _UNPACK),
    (rb"\x1a\x45\xdf\xa3|RIFF.{4}AVI |\x00\x00\x01[\xb3\xba]", "a video", _FRAME),
    (rb"RIFF.{4}WAVE|ID3|OggS|fLaC", "a sound file", _SEND),
    (rb"MZ|\x7fELF|#!|[\xce\xcf]\xfa\xed\xfe|\xca\xfe\xba\xbe", "a program", _SEND),
    (rb"[^\x00]{0,4000}<svg[\s>]", "an SVG drawing", _EXPORT),
    (rb"(\xef\xbb\xbf)?\s*<(!doctype|html|\?xml)", "a web page or XML file", _SEND),
)


def accepted_type(head: bytes) -> str | None:
    """The accepted type that a file of this beginning is, a key of ``ACCEPTED``; None if it is none of them."""
    return next((kind for kind, beginning in _BEGINNINGS.items() if re.match(beginning, head, re.DOTALL)), None)


def refusal(head: bytes) -> str:
    """Why a file of this beginning, of no accepted type, is refused, and what to do about it."""
    for beginning, name, way_out in _OTHERS:
        if re.match(beginning, head, re.DOTALL):
            return f"This is {name}, which is not accepted here. {way_out}"
    if _is_text(head[:4096]):
        return f"This is a text file, not an image. {_SEND}"
    return f"This is not an image of a type that is accepted here, or its beginning is damaged. {_SEND}"


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as problem:
        # The cut may fall into a character.
        if problem.start < len(head) - 3:
            return False
        text = head[: problem.start].decode("utf-8")
    return bool(text) and all(c.isprintable() or c in "\t\r\n\f\ufeff" for c in text)
