"""The files of the page are answered, and no others."""

from __future__ import annotations

import pytest

from rl_abn.view.bundle import STATIC, bundle
from tests.view.served import serving


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("nothing")) as client:
        yield client


@pytest.mark.parametrize(
    ("name", "kind", "content"),
    [
        ("", "text/html", (STATIC / "index.html").read_bytes()),
        ("index.html", "text/html", (STATIC / "index.html").read_bytes()),
        ("style.css", "text/css", (STATIC / "style.css").read_bytes()),
        ("icon.svg", "image/svg+xml", (STATIC / "icon.svg").read_bytes()),
        ("js/main.js", "text/javascript", bundle().encode()),
    ],
)
def test_a_file_is_sent_once_while_it_stays_the_same(client, name, kind, content):
    answer = client.get(f"/{name}")
    assert answer.body == content
    assert answer.headers["content-type"].split(";")[0] == kind
    again = client.ask("GET", f"/{name}", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status, again.body) == (304, b"")
    other = client.ask("GET", f"/{name}", headers={"If-None-Match": '"other"'})
    assert (other.status, other.body) == (200, content)


@pytest.mark.parametrize("name", ["js", "js/", "js/../style.css", "../app.py", "js/dom.js", "//"])
def test_nothing_else_is_a_file(client, name):
    assert client.ask("GET", f"/{name}").status == 404
