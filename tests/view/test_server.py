"""The command that serves: where it listens, and how it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from rl_abn.cli import main
from rl_abn.errors import RlAbnError
from rl_abn.runs.shipped import list_shipped
from rl_abn.view import server
from rl_abn.view.server import PORT, listen
from tests.record.played import play

ROOT = Path(__file__).parents[2]


@pytest.mark.more
@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.full)]
)
def test_a_signal_ends_it_with_one_line(tmp_path, number):
    play(tmp_path / "runs" / "episode", 3)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "rl_abn", "view", "--no-browser", "--host", "localhost"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Tests that a shell runs in the background would hand on that Ctrl-C is ignored.
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    )
    try:
        line = process.stdout.readline()
        assert line.startswith(f"{len(list_shipped())} runs, 1 episode: http://localhost:")
        assert process.stdout.readline() == "Ctrl-C ends it\n"
        url = line.split()[-1]
        with urllib.request.urlopen(f"{url}api/library", timeout=60) as answer:
            assert answer.status == 200
        assert any(temporary.glob("rl-abn-*"))
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    by = "interrupted" if number == signal.SIGINT else "ended by SIGTERM"
    assert (out, err) == ("", f"rl-abn: {by}\n")
    assert process.returncode == 128 + number
    assert not any(temporary.glob("rl-abn-*"))  # torch leaves a folder of its own


def test_a_port_that_is_taken_is_a_line_with_a_free_one():
    with listen("127.0.0.1", None) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(RlAbnError, match=rf"got {port} \(Address already in use\); free is"):
            listen("127.0.0.1", port)


def test_without_a_port_the_next_free_one_is_taken():
    with listen("127.0.0.1", None) as first, listen("127.0.0.1", None) as second:
        ports = first.getsockname()[1], second.getsockname()[1]
        assert ports[1] > ports[0] >= PORT or ports[0] > PORT + 19


def test_an_address_of_another_machine_is_a_line():
    with pytest.raises(RlAbnError, match=r"expected an address of this machine, got '192\.0"):
        listen("192.0.2.1", None)
    with pytest.raises(RlAbnError, match="expected a free port of"):
        listen("no-such-host.invalid", 8765)


def test_the_printed_address_carries_any_token(tmp_path, monkeypatch, capsys):
    class Server:
        ended_by = None

        def __init__(self, config):
            pass

        def run(self, sockets):
            sockets[0].close()

    monkeypatch.setattr(server, "_Server", Server)
    monkeypatch.setattr(server.torch, "set_num_threads", lambda n: None)
    play(tmp_path / "episode", 3)
    server.serve([tmp_path], token='a+b&c=d;"e"', opens_browser=False)
    address = capsys.readouterr().out.splitlines()[0].split()[-1]
    assert parse_qs(urlsplit(address).query) == {"token": ['a+b&c=d;"e"']}


@pytest.mark.parametrize(
    ("token", "got"), [("", "got an empty one"), ("ä", "got '\\xe4'"), ("a\n", "got 'a\\n'")]
)
def test_a_token_that_protects_nothing_or_does_not_fit_is_a_line(capsys, token, got):
    with pytest.raises(SystemExit, match="2"):
        main(["view", "--host", "0.0.0.0", "--token", token])
    line = capsys.readouterr().err
    assert "argument --token: expected a token" in line
    assert got in line
    assert line.count("\n") == 1


def test_it_listens_on_this_machine_alone(monkeypatch):
    with listen("127.0.0.1", 0) as sock:
        assert sock.getsockname()[0] == "127.0.0.1"
    if socket.has_ipv6:
        try:
            with listen("::1", 0) as sock:
                assert sock.getsockname()[0] == "::1"
        except RlAbnError:
            pass  # a machine without IPv6
