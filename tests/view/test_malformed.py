"""Two hundred malformed requests (the quick set: a fifth): refused, and the next is answered."""

from __future__ import annotations

import contextlib
import json
import random
import socket

import pytest

from tests.view.served import painted

SECRET = "root:x:0"
N = 200


def requests(viewer, folder):
    """Raw requests, by what is wrong with them."""
    rng = random.Random(0)
    client = viewer.client
    episode, run = viewer.episodes["plain"], viewer.runs["plain"]
    places = [
        f"/api/episodes/{episode}/what-if",
        f"/api/episodes/{episode}/futures",
        f"/api/episodes/{episode}/edits",
        f"/api/episodes/{episode}/reliance",
        f"/api/runs/{run}/record",
        "/api/jobs/0/stop",
    ]
    depths = ["../" * n for n in range(1, 9)] + ["..%2f" * 6, "%2e%2e/" * 6, "..%5c" * 6, "....//"]
    for depth in depths:
        for base in ("/", "/js/", f"/api/episodes/{episode}/sheets/", "/api/episodes/", "//"):
            yield "traversal", _get(client, f"{base}{depth}etc/passwd")
    for path in (str(folder), "/etc/passwd", "%00", "\\..\\..\\etc\\passwd", "~root", "." * 3000):
        yield "traversal", _get(client, f"/api/episodes/{path}")
        yield "traversal", _get(client, f"/api/runs/{path}")
    for number in ("-1", "99999999999999999999", "1e3", "0x1", "NaN", "1;ls", " "):
        yield "number", _get(client, f"/api/episodes/{episode}/sheets/{number}")
        yield "number", _get(client, f"/api/episodes/{episode}/trace/{number}")
    for place in places:
        yield "cross-origin", _post(client, place, b"{}", "Origin: http://evil.example")
        yield "cross-origin", _post(client, place, b"{}", "Sec-Fetch-Site: cross-site")
        yield "host", _post(client, place, b"{}", host="evil.example")
        yield "form", _post(client, place, b"a=b", kind="application/x-www-form-urlencoded")
        yield "oversize", _post(client, place, b"x", length=10**9)
        yield "oversize", _post(client, place, b"x", length=-1)
        for method in ("PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "FOO"):
            yield "method", _raw(f"{method} {place} HTTP/1.1", client)
    step = {"step": 1, "map": painted("plain")}
    bodies = [
        b"", b"null", b"[]", b"1", b'"x"', b"{", b"\xff\xfe", b"NaN", b"{}" * 3, b"[" * 100_000,
        b'{"step": NaN}', b'{"step": 1e999}', b'{"step": 99999999999999999999999}',
        b'{"step": -1}', b'{"step": "1"}', b'{"step": [1]}', b'{"step": 1, "map": 3}',
        b'{"step": 1, "map": {"shared": [[]]}}', b'{"__proto__": 1}', b'{"a":' * 2000,
        json.dumps({**step, "more": 1}).encode(),
        json.dumps({"step": 1, "map": {"shared": [[None] * 9] * 9}}).encode(),
        json.dumps({"step": 1, "map": {"shared": [[True] * 9] * 9}}).encode(),
        json.dumps({"step": 1, "intervention": "../x"}).encode(),
        json.dumps({"step": 1, "edit": {"map": painted("plain")}, "n_futures": 10**9}).encode(),
        json.dumps({"name": "../../x", "items": [step]}).encode(),
        json.dumps({"name": "x/y", "items": [step]}).encode(),
        json.dumps({"name": "x", "items": []}).encode(),
        json.dumps({"name": "x", "items": [step] * 300}).encode(),
        json.dumps({"checkpoint": "../best"}).encode(),
        json.dumps({"checkpoint": 10**30}).encode(),
        json.dumps({"max_steps": 10**9}).encode(),
        json.dumps({"intervention": "rm"}).encode(),
    ]  # fmt: skip
    for body in bodies:
        for place in places[:3] if b"checkpoint" not in body else places[4:5]:
            if body.strip() or "record" not in place:
                yield "body", _post(client, place, body)
    for _ in range(40):
        yield "garbage", rng.randbytes(rng.randint(1, 400)) + b"\r\n\r\n"
    yield "garbage", b"GET / HTTP/9.9\r\n\r\n"
    yield "garbage", b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n"
    yield "garbage", f"GET / HTTP/1.1\r\nHost: {client.host}\r\nX: {'y' * 200_000}\r\n\r\n".encode()
    yield "garbage", f"GET / HTTP/1.1\r\nHost: {client.host}\r\nHost: evil\r\n\r\n".encode()


def _get(client, path):
    return _raw(f"GET {path} HTTP/1.1", client)


def _raw(line, client):
    return f"{line}\r\nHost: {client.host}\r\nConnection: close\r\n\r\n".encode()


def _post(client, path, body, *headers, host=None, kind="application/json", length=None):
    lines = [
        f"POST {path} HTTP/1.1",
        f"Host: {host or client.host}",
        f"Content-Type: {kind}",
        f"Content-Length: {len(body) if length is None else length}",
        "Connection: close",
        *headers,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def send(port, request):
    """What is answered; nothing where the server hangs up."""
    answer = b""
    with (
        contextlib.suppress(ConnectionError),
        socket.create_connection(("127.0.0.1", port), timeout=20) as sock,
    ):
        sock.sendall(request)
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_WR)
        while part := sock.recv(2**16):
            answer += part
    return answer


@pytest.mark.parametrize("every", [5, pytest.param(1, marks=pytest.mark.full)])
def test_malformed_requests_are_refused(viewer, runs, capfd, every):
    all_of_them = list(requests(viewer, viewer.folders["plain"]))
    assert len(all_of_them) >= N
    sent = all_of_them[::every]
    assert {kind for kind, _ in sent} >= {
        "traversal", "cross-origin", "oversize", "garbage", "body", "method", "host", "form",
    }  # fmt: skip
    before = {path: path.stat().st_size for path in runs.rglob("*") if path.is_file()}
    for kind, request in sent:
        answer = send(viewer.client.port, request)
        head, _, body = answer.partition(b"\r\n\r\n")
        said = f"{kind}: {request[:120]!r}: {head[:60]!r} {body[:160]!r}"
        assert SECRET.encode() not in body, said
        if answer:
            status = int(head.split()[1])
            assert 400 <= status < 500, said
            if body and b"application/json" in head:
                error = json.loads(body)["error"]
                assert "\n" not in error, said
                assert "Traceback" not in error, said
    assert viewer.client.get("/api/library").json["runs"]
    assert viewer.client.post(
        f"/api/episodes/{viewer.episodes['plain']}/what-if", {"step": 1, "map": painted("plain")}
    )
    assert {path: path.stat().st_size for path in runs.rglob("*") if path.is_file()} == before
    assert "Traceback" not in capfd.readouterr().err


def test_an_error_of_ours_is_no_page_of_code(viewer, monkeypatch):
    """What nobody thought of is one line to the page, and shown where the server runs."""
    import rl_abn.view.asking as module

    def broken(*arguments):
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(module, "what_if", broken)
    path = f"/api/episodes/{viewer.episodes['plain']}/what-if"
    error = viewer.client.post(path, {"step": 1}, status=500)["error"]
    assert error == "an error of this program; the terminal shows it"


@pytest.mark.parametrize("kind", ["sheets", "trace"])
def test_chunks_are_numbers(viewer, kind):
    path = f"/api/episodes/{viewer.episodes['plain']}/{kind}"
    assert viewer.client.ask("GET", f"{path}/0/../../../x").status == 404
