"""Pages, styles and scripts are sent by gzip to who can read it, and nothing else is."""

from __future__ import annotations

import gzip

import pytest
from conftest import MakeRun
from flask.testing import FlaskClient

GZIP = {"Accept-Encoding": "gzip, deflate", "Accept": "text/html"}


@pytest.mark.parametrize("path", ["/", "/techniques", "/static/app.css", "/static/app.js", "/runs/{}", "/runs/{}.txt"])
def test_it_is_the_same_but_shorter(client: FlaskClient, make_run: MakeRun, path: str) -> None:
    path = path.format(make_run(mode="compare", bad=40).id)
    plain, packed = (client.get(path, headers=headers, buffered=True) for headers in ({"Accept": "text/html"}, GZIP))
    assert packed.content_encoding == "gzip" and packed.content_length == len(packed.data)
    assert gzip.decompress(packed.data) == plain.data and len(packed.data) < len(plain.data) / 2
    assert plain.content_encoding is None
    assert all("Accept-Encoding" in answer.vary for answer in (plain, packed))
    assert packed.content_type == plain.content_type
    head = client.head(path, headers=GZIP, buffered=True)
    assert (head.content_encoding, head.content_length, head.data) == ("gzip", packed.content_length, b"")


def test_what_is_compressed_already_or_a_file_of_data_is_left_alone(client: FlaskClient, make_run: MakeRun) -> None:
    run = make_run(mode="compare")
    for path in (f"/runs/{run.id}.json", f"/runs/{run.id}/results.zip", f"/runs/{run.id}/previews/0000.jpg"):
        answer = client.get(path, headers=GZIP, buffered=True)
        assert answer.status_code == 200 and answer.content_encoding is None, path
    assert client.get("/healthz", headers=GZIP).content_encoding is None  # short


def test_a_part_of_a_style_is_as_it_is(client: FlaskClient) -> None:
    answer = client.get("/static/app.css", headers={**GZIP, "Range": "bytes=0-1999"}, buffered=True)
    assert (answer.status_code, answer.content_encoding, len(answer.data)) == (206, None, 2000)


@pytest.mark.parametrize("accepted", ["", "br", "identity", "gzip;q=0"])
def test_who_cannot_read_it_gets_it_plain(client: FlaskClient, accepted: str) -> None:
    answer = client.get("/", headers={"Accept": "text/html", "Accept-Encoding": accepted})
    assert answer.content_encoding is None and answer.text.startswith("<!doctype html>")


def test_a_browser_that_has_a_style_is_told_so(client: FlaskClient) -> None:
    first = client.get("/static/app.css", headers=GZIP, buffered=True)
    again = client.get("/static/app.css", headers={**GZIP, "If-None-Match": first.headers["ETag"]}, buffered=True)
    assert (again.status_code, again.data) == (304, b"")
    assert first.headers["ETag"].startswith('W/"') and "Accept-Ranges" not in first.headers


def test_no_other_site_learns_from_lengths_what_a_page_holds(client: FlaskClient, make_run: MakeRun) -> None:
    make_run(visible="public")
    for site, encoding in (("cross-site", None), ("same-site", None), ("same-origin", "gzip"), ("none", "gzip")):
        answer = client.get("/runs?q=photo", headers={**GZIP, "Sec-Fetch-Site": site})
        assert (answer.status_code, answer.content_encoding) == (200, encoding)
