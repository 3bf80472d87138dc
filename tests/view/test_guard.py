"""Who is answered, and who is not."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
from urllib.parse import urlencode

import pytest

from rl_abn.view.guard import MOST_BODY_BYTES, POLICY, Guard
from tests.record.played import play
from tests.view.served import serving

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    play(folder / "episode", 3)
    with serving(folder) as client:
        yield client


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8765", "127.0.0.1.evil.example", "", "127.0.0.1@evil", "[::2]"],
)
def test_a_host_that_is_not_ours_is_refused(client, host):
    """A name that an attacker lets point at this machine (DNS rebinding)."""
    answer = client.ask("GET", "/api/library", headers={"Host": host})
    assert answer.status == 403
    assert "own host" in answer.json["error"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST:1234", "[::1]:8765"])
def test_our_own_hosts_are_answered(client, host):
    assert client.ask("GET", "/api/library", headers={"Host": host}).status == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", "file://"])
def test_another_origin_is_refused(client, origin):
    answer = client.ask("GET", "/api/library", headers={"Origin": origin})
    assert answer.status == 403
    answer = client.ask("POST", "/api/jobs/x/stop", "{}", {**JSON, "Origin": origin})
    assert answer.status == 403


def test_a_request_that_another_site_made_the_browser_send_is_refused(client):
    for site in ("cross-site", "same-site"):
        headers = {"Sec-Fetch-Site": site}
        assert client.ask("GET", "/api/library", headers=headers).status == 403
        # A link to the page is all that others may have.
        assert client.ask("GET", "/", headers=headers).status in (200, 404)
    assert client.ask("GET", "/api/library", headers={"Sec-Fetch-Site": "none"}).status == 200


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_a_form_cannot_change_anything(client, kind):
    answer = client.ask("POST", "/api/jobs/x/stop", "{}", {"Content-Type": kind})
    assert answer.status == 415


def test_every_answer_says_what_a_page_may_do(client):
    for path in ("/api/library", "/api/nothing", "/nothing.js"):
        headers = client.ask("GET", path).headers
        assert headers["content-security-policy"] == POLICY
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert "server" not in headers or headers["server"] == "uvicorn"
    assert "unsafe" not in POLICY
    assert "'none'" in POLICY.partition(";")[0]


def test_a_body_has_a_limit(client):
    answer = client.ask("POST", "/api/jobs/x/stop", b" " * (MOST_BODY_BYTES + 1), JSON)
    assert answer.status == 413
    # In parts, without saying how much there will be.
    connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=30)
    parts = (b" " * 2**16 for _ in range(20))
    try:
        connection.request("POST", "/api/jobs/x/stop", parts, JSON, encode_chunked=True)
        assert connection.getresponse().status == 413
    except (ConnectionError, http.client.HTTPException):
        pass  # it hung up before everything was sent, which is fine, too
    finally:
        connection.close()
    assert client.ask("POST", "/api/jobs/x/stop", b" " * 1000, JSON).status == 404


def test_a_token_is_asked_for_once_and_then_is_a_cookie(tmp_path):
    play(tmp_path / "episode", 3)
    with serving(tmp_path, hosts=None, token="secret") as client:
        anywhere = {"Host": "my-machine.local:8765"}
        for path in ("/", "/api/library", "/style.css"):
            answer = client.ask("GET", path, headers=anywhere)
            assert answer.status == 401
            assert "token" in answer.json["error"]
            assert client.ask("GET", path + "?token=other", headers=anywhere).status == 401
            wrong = {**anywhere, "Cookie": "rl_abn_token=other"}
            assert client.ask("GET", path, headers=wrong).status == 401
        answer = client.ask("GET", "/?token=secret&x=1", headers=anywhere)
        assert (answer.status, answer.headers["location"]) == (303, "/?x=1")
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "samesite=strict" in cookie.lower()
        mine = {**anywhere, "Cookie": cookie.partition(";")[0]}
        assert client.ask("GET", "/api/library", headers=mine).status == 200
        foreign = {**mine, "Origin": "http://evil.example"}
        assert client.ask("GET", "/api/library", headers=foreign).status == 403


@pytest.mark.parametrize("token", ["a+b&c", 'a;b="c" d,\\'])
def test_any_token_is_asked_for_and_comes_back_as_a_cookie(tmp_path, token):
    play(tmp_path / "episode", 3)
    with serving(tmp_path, hosts=None, token=token) as client:
        assert client.ask("GET", "/", headers={"Cookie": "rl_abn_token="}).status == 401
        answer = client.ask("GET", f"/?{urlencode({'token': token})}")
        assert answer.status == 303
        mine = {"Cookie": answer.headers["set-cookie"].rpartition("; HttpOnly")[0]}
        assert client.ask("GET", "/api/library", headers=mine).status == 200


@pytest.mark.parametrize("hosts", [None, ("localhost",)])
def test_a_server_that_takes_any_host_has_a_token_and_no_token_is_empty(hosts):
    with pytest.raises(AssertionError):
        Guard(None, hosts=hosts, token="")
    with pytest.raises(AssertionError):
        Guard(None, hosts=None)


def test_web_sockets_are_closed(client):
    with socket.create_connection(("127.0.0.1", client.port), timeout=30) as sock:
        sock.sendall(
            f"GET /api/library HTTP/1.1\r\nHost: {client.host}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Key: x\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        assert b"101" not in sock.recv(64)
    assert client.ask("GET", "/api/library").status == 200


def test_loopback_is_told_from_other_addresses():
    from rl_abn.view.server import is_loopback

    assert all(map(is_loopback, ("127.0.0.1", "127.8.8.8", "localhost", "::1")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "192.168.1.2", "localhost.evil", "127.evil")))


CODE = """
import json, sys
from pathlib import Path
from rl_abn.view.bodies import read_body
print(json.dumps(read_body(sys.stdin.buffer.read())))
"""


def test_a_body_that_nests_deeply_ends_nothing():
    body = b"[" * 500_000
    result = subprocess.run([sys.executable, "-c", CODE], input=body, capture_output=True)
    assert b"expected JSON in the body" in result.stderr
    assert json.loads("{}") == {}
