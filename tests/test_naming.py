"""Names of strangers' files, made safe."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path, PureWindowsPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from imgproc.intake.naming import (
    MAX_FOLDERS,
    MAX_SHOWN,
    MAX_STEM,
    MAX_STEM_BYTES,
    OutputNames,
    display_name,
    output_folder,
    output_stem,
    within_folders,
)

OPERATIONS = ("canny", "gaussian", "equalize")
RESERVED = {"con", "prn", "aux", "nul", "conin$", "conout$"} | {
    f"{port}{number}" for port in ("com", "lpt") for number in "0123456789¹²³"
}

names = st.one_of(
    st.text(max_size=120),
    st.text(alphabet="aA.-_ /\\\u0301\u00e9\u200d\u202e\ud800😀名$;|=\r\n\0", max_size=120),
    st.sampled_from(sorted(RESERVED)).flatmap(lambda name: st.sampled_from([name, f"{name}.jpg", f" {name}. .x"])),
    st.text(min_size=60, max_size=300, alphabet="aé名🐈"),
)

KNOWN = (
    json.loads(corpus.read_text())
    if (corpus := Path(__file__).resolve().parents[2] / "shared" / "corpus" / "names.json").exists()
    else []
)


@pytest.mark.parametrize(("name", "stem"), [
    ("photo.jpg", "photo"), ("photo.JPG", "photo"), ("photo", "photo"), ("photo.", "photo"), ("photo.jpg ", "photo"),
    ("../../../../etc/passwd.jpg", "passwd"), ("C:\\Users\\me\\Pictures\\cat.jpg", "cat"),
    ("folder/inner/cat.png", "cat"), ("CON.jpg", "image-CON"), ("nul", "image-nul"), ("aux.tar.jpg", "image-aux.tar"),
    ("com1.png", "image-com1"), ("console.png", "console"), (".htaccess", "htaccess"), ("-rf.png", "rf"),
    ("...", "image"), ("", "image"), (" ", "image"), ("/", "image"), ("???.jpg", "image"),
    ("photo_3.3mp.jpg", "photo_3.3mp"), ("a...b.jpg", "a.b"), ("IMG_2023 (2).jpg", "IMG_2023 (2)"),
    ("名前.png", "名前"), ("фото.jpg", "фото"), ("e\u0301.png", "é"), ("e\0\u0301.png", "é"), ("🐈.webp", "🐈"),
    ("cat\u200b.png", "cat"), ("\u202egnp.exe", "gnp"), ("a\r\nSet-Cookie: x=1.png", "aSet-Cookie_ x_1"),
    ("$(touch x).png", "(touch x)"), ("=cmd|' /C calc'!A0.png", "C calc_A0"), ("a%2e%2e%2fb.png", "a_2e_2e_2fb"),
    ("x" * 300 + ".jpg", "x" * 80), ("é" * 200 + ".png", "é" * 80),
    ("🐈" * 200 + ".png", "🐈" * 50), ("bad\udce9name.jpg", "badname"),
])  # fmt: skip
def test_stems(name: str, stem: str) -> None:
    assert output_stem(name) == stem


def check_safe(file: str) -> None:
    """A name that every file system takes, and that no program takes for more than a name."""
    assert file
    assert file == unicodedata.normalize("NFC", file)
    assert file.isprintable()
    assert not set(file) & set("/\\<>:\"|?*'`$&;%!#~=@{}[]^")
    assert file[0] not in ".-_+, "
    assert file[-1] not in ". "
    assert file.split(".")[0].strip().casefold() not in RESERVED
    assert PureWindowsPath(file).name == file
    file.encode()


@given(names)
@example("CON")
@example("a" * 79 + ".b")
@example("a" * 79 + " -b.c")
@example("\u0301")
@example("\u2126")  # changes under NFC
def test_stems_are_safe_on_every_system(name: str) -> None:
    stem = output_stem(name)
    check_safe(stem)
    assert not stem.startswith(".") and not stem.endswith(".")
    assert len(stem) <= MAX_STEM
    assert len(stem.encode()) <= MAX_STEM_BYTES
    assert output_stem(f"{stem}.jpg") == stem


@given(st.lists(names, max_size=30), st.sampled_from(["png", "jpg", "webp"]))
@example(["a.jpg", "a.jpg", "a-2.jpg", "A.PNG"], "png")
@example(["a.jpg", "a_canny.jpg"], "png")
@example(["ß.jpg", "SS.jpg", "ſs.jpg", "ﬁ.jpg", "fi.jpg"], "png")
@example(["x" * 80, "x" * 80, "x" * 79 + "-2"], "png")
def test_output_names_are_unique_and_safe(batch: list[str], extension: str) -> None:
    def give() -> list[dict[str, str]]:
        outputs = OutputNames(extension)
        return [outputs.of(name, OPERATIONS) for name in batch]

    given_names = give()
    assert give() == given_names
    files = [file for outputs in given_names for file in outputs.values()]
    assert len({file.casefold() for file in files}) == len(files)
    assert len({unicodedata.normalize("NFC", file.upper()) for file in files}) == len(files)
    for outputs in given_names:
        assert tuple(outputs) == OPERATIONS
        assert len({file.removesuffix(f"_{name}.{extension}") for name, file in outputs.items()}) == 1
        for file in outputs.values():
            check_safe(file)
            # Room for the ".part" of a file being written, in the 255 bytes of common file systems.
            assert len(file.encode()) <= 240


def test_later_names_are_numbered() -> None:
    outputs = OutputNames("png")
    stems = [outputs.of(name, ["canny"])["canny"] for name in ("a.jpg", "a.jpg", "A.PNG", "a-2.jpg", "b.jpg", "x/a")]
    assert stems == ["a_canny.png", "a-2_canny.png", "A-3_canny.png", "a-2-2_canny.png", "b_canny.png", "a-4_canny.png"]


def test_names_that_meet_only_with_their_operation_stay_apart() -> None:
    outputs = OutputNames("png")
    first = outputs.of("a", ["b_c"])
    second = outputs.of("a_b", ["c"])
    assert (first, second) == ({"b_c": "a_b_c.png"}, {"c": "a_b-2_c.png"})


def test_ten_thousand_equal_names_take_no_time() -> None:
    outputs = OutputNames("png")
    files = {outputs.of("same.jpg", ["canny"])["canny"] for _ in range(10_000)}
    assert len(files) == 10_000
    assert "same-10000_canny.png" in files


@pytest.mark.parametrize(("name", "shown"), [
    ("../../etc/passwd.jpg", "passwd.jpg"), ("C:\\me\\cat.jpg", "cat.jpg"), ("\u202egnp.exe", "gnp.exe"),
    ("a\0b\r\n.png", "ab.png"), ("<img src=x onerror=alert(1)>.png", "<img src=x onerror=alert(1)>.png"),
    ("👩\u200d🚀.png", "👩\u200d🚀.png"), ("e\u0301.png", "é.png"), ("", "image"), ("\u200d", "image"),
    ("folder/", "folder"), ("a" * 300 + ".jpeg", "a" * 150 + "…" + "a" * 44 + ".jpeg"),
])  # fmt: skip
def test_display_names(name: str, shown: str) -> None:
    assert display_name(name) == shown


@given(names)
def test_display_names_only_show(name: str) -> None:
    shown = display_name(name)
    assert 0 < len(shown) <= MAX_SHOWN
    assert shown.strip() == shown
    assert not set(shown) & set("/\\\n\r\0\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c")
    shown.encode()
    assert display_name(shown) == shown


def outputs_of(names: list[str], extension: str = "png") -> list[str]:
    """The output of each file of one upload, with its folder."""
    outputs = OutputNames(extension)
    placed = zip(names, within_folders(names), strict=True)
    return [outputs.of(name, ["canny"], folder)["canny"] for name, (_, folder) in placed]


@pytest.mark.parametrize(("names", "shown", "folders"), [
    (["a/pic.jpg", "b/pic.jpg"], ["a/pic.jpg", "b/pic.jpg"], ["a", "b"]),
    (["trip/pic.jpg", "trip/more/pic.jpg"], ["pic.jpg", "more/pic.jpg"], ["", "more"]),
    (["trip/a.jpg", "trip/b.jpg"], ["a.jpg", "b.jpg"], ["", ""]),  # a folder of files is as if its files were chosen
    (["x.jpg", "a/x.jpg", "a/b/x.jpg"], ["x.jpg", "a/x.jpg", "a/b/x.jpg"], ["", "a", "a/b"]),
    (["x.jpg", "x.jpg"], ["x.jpg", "x.jpg"], ["", ""]),
    (["x.jpg", "a\\b\\y.jpg"], ["x.jpg", "a/b/y.jpg"], ["", "a/b"]),
    (["x.jpg", "a//./b/y.jpg"], ["x.jpg", "a/b/y.jpg"], ["", "a/b"]),
    (["x.jpg", "a/../y.jpg"], ["x.jpg", "y.jpg"], ["", ""]),
    (["x.jpg", "a/.\0./y.jpg"], ["x.jpg", "y.jpg"], ["", ""]),  # climbs once the NUL is gone
    (["x.jpg", "/etc/y.jpg"], ["x.jpg", "y.jpg"], ["", ""]),
    (["x.jpg", "\0/etc/y.jpg"], ["x.jpg", "y.jpg"], ["", ""]),
    (["x.jpg", "\\\\host\\share\\y.jpg"], ["x.jpg", "y.jpg"], ["", ""]),
    (["x.jpg", "C:\\me\\y.jpg"], ["x.jpg", "y.jpg"], ["", ""]),
    (["x.jpg", "CON/aux.d/y.jpg"], ["x.jpg", "CON/aux.d/y.jpg"], ["", "folder-CON/folder-aux.d"]),
    (["x.jpg", "???/y.jpg"], ["x.jpg", "???/y.jpg"], ["", "folder"]),
    (["x.jpg", "v1.2/.hidden/y.jpg"], ["x.jpg", "v1.2/.hidden/y.jpg"], ["", "v1.2/hidden"]),
])  # fmt: skip
def test_folders_are_kept_where_files_have_different_ones(names, shown, folders) -> None:
    assert within_folders(names) == list(zip(shown, folders, strict=True))


def test_no_upload_is_none() -> None:
    assert within_folders([]) == []


def test_folders_that_some_system_takes_for_one_share_their_numbers() -> None:
    assert outputs_of(["a/x.jpg", "A/x.jpg", "a/X.jpg", "b/x.jpg"]) == [
        "a/x_canny.png", "A/x-2_canny.png", "a/X-3_canny.png", "b/x_canny.png",
    ]  # fmt: skip


def test_no_folder_is_called_as_an_output() -> None:
    assert outputs_of(["x.jpg", "x_canny.png/y.jpg", "a.PNG/b.png/z.jpg"]) == [
        "x_canny.png", "x_canny_png/y_canny.png", "a_PNG/b_png/z_canny.png",
    ]  # fmt: skip


def test_of_deep_folders_the_innermost_are_kept() -> None:
    folder = output_folder("/".join(map(str, range(1000))))
    assert folder.split("/") == [str(number) for number in range(1000 - MAX_FOLDERS, 1000)]


paths = st.lists(names, min_size=1, max_size=15).map("/".join)


@given(st.lists(paths, max_size=20), st.sampled_from(["png", "jpg", "webp"]))
@example(["a_canny.png/x", "a"], "png")
@example(["ß/x", "SS/x", "ss/x"], "png")
def test_outputs_in_folders_are_unique_and_safe_and_stay_inside(batch: list[str], extension: str) -> None:
    files = outputs_of(batch, extension)
    assert len({file.casefold() for file in files}) == len(files)
    above = {file[:at].casefold() for file in files for at, sign in enumerate(file) if sign == "/"}
    assert not above & {file.casefold() for file in files}  # nothing is both a folder and a file
    for file in files:
        assert len(file.split("/")) <= MAX_FOLDERS + 1
        assert len(file.encode()) <= 2000
        for part in file.split("/"):
            check_safe(part)


@given(st.lists(paths, max_size=8))
def test_names_with_folders_only_show(batch: list[str]) -> None:
    for (shown, _), name in zip(within_folders(batch), batch, strict=True):
        assert 0 < len(shown) <= MAX_SHOWN
        assert not shown.startswith("/") and ".." not in shown.split("/")
        assert not set(shown) & set("\\\n\r\0\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c")
        if len(shown) < MAX_SHOWN:
            assert shown.endswith(display_name(name))
        shown.encode()


@pytest.mark.skipif(not KNOWN, reason="the corpus of names is not beside this checkout")
def test_names_of_the_corpus() -> None:
    files = outputs_of([entry["upload_name"] for entry in KNOWN])
    assert len({file.casefold() for file in files}) == len(KNOWN) > 40
    # Those that climb or are absolute say nothing of folders; of the others one has a slash.
    assert [file for file in files if "/" in file] == ["cmd/C calc_A0_canny.png"]
    for part in "/".join(files).split("/"):
        check_safe(part)
