"""What browsers keep: styles and scripts for good, by addresses that say what is in them; pictures of runs a while."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
from conftest import MakeRun, owner_in
from flask import Flask
from flask.testing import FlaskClient

from imgproc.installation import PAGES
from imgproc.web import assets

HTML = {"Accept": "text/html"}


def links(client: FlaskClient) -> list[str]:
    page = client.get("/", headers=HTML).text
    return [link.replace("&amp;", "&") for link in re.findall(r'(?:href|src)="([^"]*/static/[^"]*)"', page)]


def test_every_file_of_a_page_is_kept_for_good_by_what_it_holds(client: FlaskClient) -> None:
    found = links(client)
    assert {link.partition("?")[0] for link in found} >= {"/static/app.css", "/static/app.js", "/static/img/icon.svg"}
    assert any(link.startswith("/bootstrap/static/") for link in found)
    for link in found:
        with client.get(link) as answer:
            assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable", link
            version = re.fullmatch(r"[^?]+\?v=([0-9a-f]{12})", link)
            assert version and hashlib.sha256(answer.data).hexdigest().startswith(version[1]), link
        with client.get(link, headers={"If-None-Match": answer.headers["ETag"]}) as again:
            assert again.status_code == 304 and "immutable" in again.headers["Cache-Control"]


@pytest.mark.parametrize("query", ["", "?v=", "?v=000000000000"])
def test_what_is_asked_for_by_another_version_is_not_kept(client: FlaskClient, query: str) -> None:
    with client.get(f"/static/app.css{query}") as answer:
        assert answer.status_code == 200 and "immutable" not in answer.headers["Cache-Control"]
    assert client.get("/static/nothing.css?v=000000000000").status_code == 404


def test_another_file_has_another_address(app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.css"
    file.write_text("one")
    first = assets._version(file)
    file.write_text("three")
    assert first and assets._version(file) not in ("", first)
    assert assets._version(tmp_path / "none") == ""


def test_the_report_runs_the_script_by_its_version(client: FlaskClient, make_run: MakeRun) -> None:
    version = hashlib.sha256((PAGES / "static" / "report.js").read_bytes()).hexdigest()[:12]
    assert f"/static/report.js?v={version}" in client.get(f"/runs/{make_run().id}/report", headers=HTML).text


def test_thumbnails_are_kept_by_one_browser_and_asked_for_by_their_tag(client: FlaskClient, make_run: MakeRun) -> None:
    run = make_run(owner=owner_in(client))
    preview = f"/runs/{run.id}/previews/{run.images[0].preview}"
    with client.get(preview) as first:
        assert first.cache_control.private and not first.cache_control.public and first.headers["ETag"]
    with client.get(preview, headers={"If-None-Match": first.headers["ETag"]}) as again:
        assert again.status_code == 304 and again.data == b"" and again.cache_control.private
