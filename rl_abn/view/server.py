"""Serves the viewer until it is told to stop."""

from __future__ import annotations

import ipaddress
import signal
import socket
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from threading import Timer
from types import FrameType
from urllib.parse import urlencode

import torch
import uvicorn

from rl_abn.errors import RlAbnError
from rl_abn.view.app import make_app
from rl_abn.view.guard import LOOPBACK, new_token
from rl_abn.view.library import Library

PORT = 8765
_TRIED = 20


def serve(
    folders: Sequence[Path],
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    token: str | None = None,
    opens_browser: bool = True,
) -> None:
    """Serves runs and episodes below some folders until a signal ends it.

    Args:
        folders: Runs, episodes, or folders of such.
        host: The address to listen at. One beyond this machine asks for a token.
        port: The port; None takes the first free one from 8765 on.
        token: Which token is asked for, not empty; None makes one where one is needed.
        opens_browser: Whether the page is opened.

    Raises:
        RlAbnError: If a folder is none, or the port is taken.
    """
    library = Library(folders)
    is_local = is_loopback(host)
    if token is None and not is_local:
        token = new_token()
    sock = listen(host, port)
    named = sock.getsockname()[1]
    shown = f"[{host}]" if ":" in host else host
    hosts = (*LOOPBACK, shown) if is_local else None
    if host in ("0.0.0.0", "::", ""):  # every address of this machine: show one to type
        shown = socket.gethostname()
    app = make_app(library, hosts=hosts, token=token)
    address = f"http://{shown}:{named}/" + (f"?{urlencode({'token': token})}" if token else "")
    n_runs, n_episodes = len(library.runs), len(library.episodes)
    runs = "1 run" if n_runs == 1 else f"{n_runs:,} runs"
    episodes = "1 episode" if n_episodes == 1 else f"{n_episodes:,} episodes"
    print(f"{runs}, {episodes}: {address}", flush=True)
    print("Ctrl-C ends it", flush=True)
    if opens_browser:
        timer = Timer(0.5, webbrowser.open, [address])
        timer.daemon = True
        timer.start()
    # One thread a pass, always: a pass of one observation is faster so, and what is computed has
    # the same bits whether or not another thread computes beside it.
    torch.set_num_threads(1)
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        limit_concurrency=256,
        timeout_graceful_shutdown=1,
        h11_max_incomplete_event_size=2**16,
    )
    server = _Server(config)
    server.run(sockets=[sock])
    if server.ended_by is not None:  # asyncio may take it for the end of a task that was over
        signal.raise_signal(server.ended_by)


class _Server(uvicorn.Server):
    """A server that remembers the signal which ended it."""

    ended_by: int | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begins to shut down."""
        self.ended_by = sig
        super().handle_exit(sig, frame)


def listen(host: str, port: int | None) -> socket.socket:
    """Returns a socket that listens at a port, or at the first free one from 8765 on.

    Raises:
        RlAbnError: If the port is taken, with a free one; or if there is no such address.
    """
    if port is not None:
        try:
            return _bound(host, port)
        except OSError as error:
            hint = ""
            if port:
                try:
                    with listen(host, None) as free:
                        hint = f"; free is --port {free.getsockname()[1]}"
                except RlAbnError:
                    hint = ""
            raise RlAbnError(
                f"expected a free port of {host}, got {port} ({error.strerror or error}){hint}"
            ) from None
    last: OSError | None = None
    for tried in (*range(PORT, PORT + _TRIED), 0):
        try:
            return _bound(host, tried)
        except OSError as error:
            last = error
    assert last is not None
    raise RlAbnError(f"expected an address of this machine, got '{host}' ({last.strerror or last})")


def is_loopback(host: str) -> bool:
    """Returns whether an address is this machine's own and no other reaches it."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _bound(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, place = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(place)
        sock.listen(128)
    except OSError:
        sock.close()
        raise
    return sock
