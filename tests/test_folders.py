"""Which files folders stand for, and what of them is left out and said."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from imgproc.errors import UserError
from imgproc.intake import folders
from imgproc.intake.checks import Limits, check_header
from imgproc.intake.paths import find_images

APPLE_DOUBLE = b"\0\x05\x16\7\0\2\0\0Mac OS X        \0\2"
links = pytest.mark.skipif(os.name == "nt", reason="Windows lets only some people make links")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "in" / "more").mkdir(parents=True)
    for name in ("b.jpg", "a.JPE", "more/c.png", "more/notes.txt"):
        (tmp_path / "in" / name).write_bytes(b"any")
    return tmp_path


def put(folder: Path, *names: str, data: bytes = b"any") -> None:
    for name in names:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)


def look(*patterns: Path | str) -> tuple[list[str], str]:
    """Which files are found, by their last two names, and what is said to be left out."""
    found = find_images([str(pattern) for pattern in patterns], Path("/nowhere/out"))
    return ["/".join(file.parts[-2:]) for file in found.files], found.left_out


def folders_of(*patterns: Path | str) -> list[str]:
    """The folder of the results of each file that is found."""
    return find_images([str(pattern) for pattern in patterns], Path("/nowhere/out")).folders


EVERY = ["in/a.JPE", "in/b.jpg", "more/c.png"]


def test_a_folder_stands_for_its_images_in_order(place: Path) -> None:
    assert look(place / "in") == (EVERY, "")
    assert look(place / "in", place / "in" / "*.jpg", place / "in" / "more") == (EVERY, "")


def test_every_extension_of_accepted_types_is_found(tmp_path: Path) -> None:
    every = "jpg jpeg jpe jfif jif png webp gif tif tiff btf tf8 bmp dib TIF"
    put(tmp_path / "in", *(f"x.{extension}" for extension in every.split()), "x.txt", "jpg")
    assert {name.partition(".")[2] for name in look(tmp_path / "in")[0]} == set(every.split())


@pytest.mark.parametrize(
    "name", [".thumbnails", "@eaDir", ".Trash-1000", ".Trashes", "__MACOSX", "$RECYCLE.BIN", "#recycle", ".git"]
)
def test_folders_of_thumbnails_and_trash_are_left_out_and_said(name: str, place: Path) -> None:
    put(place / "in" / name, "x.jpg", "deep/er/y.png", "readme.txt")
    put(place / "in" / "more" / name, "z.jpg")
    assert look(place / "in") == (EVERY, f"Left out: 3 files in {name}.")
    assert look(place / "in" / name / "x.jpg") == ([f"{name}/x.jpg"], "")  # named by itself
    assert len(look(place / "in" / name)[0]) == 2


def test_a_hidden_folder_without_images_is_not_worth_a_word(place: Path) -> None:
    put(place / "in" / ".git", "HEAD")
    assert look(place / "in") == (EVERY, "")


def test_what_is_left_out_of_many_folders_is_one_sentence(place: Path) -> None:
    for number in range(9):
        put(place / "in" / f".hidden{number}", *(f"{k}.jpg" for k in range(9 - number)))
    put(place / "in", "._a.jpg", data=APPLE_DOUBLE)
    (place / "other").mkdir()
    put(place / "other", "x.jpg")
    put(place / "other" / ".hidden0", "x.jpg")
    files, said = look(place / "in", place / "other")
    assert files == [*EVERY, "other/x.jpg"]
    assert said == (
        "Left out: 10 files in .hidden0; 8 files in .hidden1; 7 files in .hidden2; 6 files in .hidden3; "
        "5 files in .hidden4; 10 files in 4 more folders of that kind; "
        "1 file beginning with “._”, which macOS keeps beside pictures."
    )


def test_what_macos_keeps_beside_pictures_is_left_out_by_its_content(place: Path) -> None:
    put(place / "in", "._a.jpg", "more/._c.png", data=APPLE_DOUBLE)
    put(place / "in", "._picture.jpg")  # only named like it
    files, said = look(place / "in")
    assert files == ["in/._picture.jpg", *EVERY]
    assert said == "Left out: 2 files beginning with “._”, which macOS keeps beside pictures."
    named = place / "in" / "._a.jpg"
    assert look(named) == (["in/._a.jpg"], "")
    refused = check_header(named, Limits(10**6, 10**4))
    assert refused.code == "unsupported_type" and refused.error == (
        "This is a file that macOS keeps beside another one (AppleDouble), which is not accepted here. "
        "The picture is in the file of the same name without “._” at its beginning."
    )


def test_a_folder_of_which_all_is_left_out_says_so(place: Path) -> None:
    put(place / "camera" / ".thumbnails", "x.jpg")
    with pytest.raises(UserError, match=r"There is no image in .*camera\. Left out: 1 file in \.thumbnails\."):
        look(place / "camera")


@links
def test_two_names_of_one_file_are_two_images(place: Path) -> None:
    (place / "in" / "hard.jpg").hardlink_to(place / "in" / "b.jpg")
    (place / "in" / "soft.jpg").symlink_to(place / "in" / "b.jpg")
    assert look(place / "in")[0] == ["in/a.JPE", "in/b.jpg", "in/hard.jpg", "more/c.png", "in/soft.jpg"]


@links
def test_two_names_of_a_folder_are_two_of_each_image_in_it(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "other").symlink_to(place / "in" / "more")
    two = ["more/c.png", "other/c.png"]
    assert look(place / "in" / "more" / "c.png", place / "other" / "c.png") == (two, "")
    assert look(place / "in" / "more", place / "other") == (two, "")
    monkeypatch.chdir(place)
    same = ["other", "./other", place / "other", "other/c.png", "other/*.png", place / "other" / "c.png"]
    assert look(*same) == (["other/c.png"], "")
    # “..” of a folder with two names leads out of the one it is.
    put(place / "in", "z.jpg")
    put(place, "z.jpg")
    assert len(look("z.jpg", "other/../z.jpg")[0]) == 2
    assert len(look("in/z.jpg", "in/more/../z.jpg")[0]) == 1


@links
def test_links_to_folders_are_followed(place: Path) -> None:
    put(place / "elsewhere", "x.jpg", "deep/y.jpg")
    (place / "in" / "link").symlink_to(place / "elsewhere")
    assert look(place / "in") == (["in/a.JPE", "in/b.jpg", "deep/y.jpg", "link/x.jpg", "more/c.png"], "")
    assert look(place / "in" / "link") == (["deep/y.jpg", "link/x.jpg"], "")


@links
def test_each_real_folder_is_taken_once_and_a_circle_ends(place: Path) -> None:
    (place / "in" / "again").symlink_to(place / "in" / "more")
    (place / "in" / "more" / "loop").symlink_to(place / "in")
    assert look(place / "in") == (
        EVERY, "Left out: 2 folders taken already under another name (again and loop)."
    )  # fmt: skip
    put(place / "far" / "deep", "x.jpg")
    (place / "in" / "a").symlink_to(place / "far" / "deep")
    (place / "in" / "b").symlink_to(place / "far")
    assert look(place / "in")[0].count("a/x.jpg") == 1 and "deep/x.jpg" not in look(place / "in")[0]


@links
def test_hidden_links_and_links_to_nothing_are_said(place: Path) -> None:
    (place / "in" / ".all").symlink_to("/")
    (place / "in" / "gone.jpg").symlink_to(place / "nothing")
    (place / "in" / "round.jpg").symlink_to(place / "in" / "round.jpg")
    (place / "in" / "gone.txt").symlink_to(place / "nothing")
    files, said = look(place / "in")
    assert files == EVERY
    assert said == "Left out: 1 hidden link not followed (.all); 2 links to nothing (gone.jpg and round.jpg)."


def test_folders_that_may_not_be_read_are_said(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir, is_file = os.scandir, Path.is_file

    def closed(path: str) -> object:
        if str(path).endswith("more"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    def unseen(path: Path) -> bool:
        if path.parent.name == "listed":
            raise PermissionError(13, "Permission denied", str(path))
        return is_file(path)

    put(place / "in" / "listed", "x.jpg", "y.jpg")
    monkeypatch.setattr(os, "scandir", closed)
    monkeypatch.setattr(folders.Path, "is_file", unseen)
    assert look(place / "in") == (EVERY[:2], "Left out: 2 folders that may not be read (listed and more).")


def test_results_are_no_input_however_they_are_reached(place: Path) -> None:
    put(place / "in" / "out", "r.png")
    names = ["in/a.JPE", "in/b.jpg", "more/c.png"]
    if os.name != "nt":
        (place / "in" / "to out").symlink_to(place / "in" / "out")
        (place / "in" / "r.png").symlink_to(place / "in" / "out" / "r.png")
    found = find_images([str(place / "in")], place / "in" / "out")
    assert ["/".join(file.parts[-2:]) for file in found.files] == names


def test_an_empty_path_is_no_folder(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place / "in")
    with pytest.raises(UserError, match=r"A path is empty.*“\.” is the current folder"):
        look("")
    assert look(".")[0] == ["a.JPE", "b.jpg", "more/c.png"]


def test_results_keep_the_folders_below_what_was_named(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(place / "other", "b.jpg")
    monkeypatch.chdir(place)
    assert folders_of("in") == folders_of("in/") == folders_of(place / "in") == ["", "", "more"]
    assert folders_of("in", "other") == ["in", "in", "in/more", "other"]
    assert folders_of(".") == ["in", "in", "in/more", "other"]
    assert folders_of("in/b.jpg", "in/a.JPE") == folders_of("in/*.*") == ["", ""]
    assert folders_of("in/b.jpg", "other/b.jpg") == folders_of("*/b.jpg") == ["", ""]
    assert folders_of("in/more", "in") == ["more", "", ""]  # what is found twice counts once, where it is first
    assert folders_of("in", "in/more/../../other") == ["in", "in", "in/more", "other"]


@links
def test_results_of_what_a_link_leads_to_lie_below_the_link(place: Path, tmp_path: Path) -> None:
    put(tmp_path / "far", "d.jpg", "deep/e.jpg")
    (place / "in" / "link").symlink_to(tmp_path / "far")
    assert folders_of(place / "in") == ["", "", "link", "link/deep", "more"]
    # Where “..” leads is known only once links are followed.
    assert folders_of(place / "in" / "link" / ".." / "in") == ["", "", "link", "link/deep", "more"]
