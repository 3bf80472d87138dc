"""A browser, and a server with games that the recorder made."""

from __future__ import annotations

import json
import os
import shutil
import threading
import urllib.request
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import uvicorn

from rl_abn.record import Episode
from rl_abn.view.app import make_app
from rl_abn.view.library import Library
from rl_abn.view.server import listen
from tests.rl.evaluation.recorded import make_run, record
from tests.view.browser.page import Page

N_STEPS = 100  # two chunks, the second not full
_PLACES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome")


def find_chromium() -> str | None:
    """Returns the program that CHROMIUM names, or one of the usual names."""
    named = os.environ.get("CHROMIUM")
    return named or next(filter(None, map(shutil.which, _PLACES)), None)


class Served(NamedTuple):
    """A server of one test session.

    Attributes:
        address: Of its page.
        library: What it serves.
        folder: That all is in.
    """

    address: str
    library: Library
    folder: Path

    def id_of(self, episode: Episode) -> str:
        """Returns what the server calls an episode."""
        return next(e.id for e in self.library.episodes.values() if e.path == episode.path)

    def ask(self, episode: Episode, what: str) -> Any:
        """Returns what the server says of an episode."""
        path = f"{self.address}api/episodes/{self.id_of(episode)}/{what}"
        with urllib.request.urlopen(path) as answer:
            return json.load(answer)


@pytest.fixture(scope="session")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="no Playwright")
    program = find_chromium()
    if program is None:
        pytest.skip("no Chromium: install Debian's package chromium, or name one in CHROMIUM")
    with sync_api.sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=program, args=options)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """Runs of an agent with one map and evidence, and of one with two maps."""
    folder = tmp_path_factory.mktemp("runs")
    return [
        make_run(folder / "space_invaders", "ppo_abn_paper", "space_invaders"),
        make_run(folder / "pong", "ppo_mask", "pong"),
    ]


@pytest.fixture(scope="session")
def episodes(runs):
    """A game of each run."""
    return [record(run, max_steps=N_STEPS) for run in runs]


@pytest.fixture(scope="session")
def served(runs, episodes):
    folder = runs[0].path.parent
    library = Library([folder])
    sock = listen("127.0.0.1", 0)
    config = uvicorn.Config(make_app(library), log_level="warning", access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True)
    thread.start()
    yield Served(f"http://127.0.0.1:{sock.getsockname()[1]}/", library, folder)
    server.should_exit = True
    thread.join(timeout=10)


@pytest.fixture
def open_page(browser):
    """Opens pages; what a console says of an error fails the test."""
    contexts, said = [], []

    def open_page(address, *, size=(1366, 768), dark=False, offline=False):
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme="dark" if dark else "light",
            offline=offline,
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda error: said.append(f"error: {error}"))
        page.on(
            "console",
            lambda line: said.append(line.text) if line.type in ("error", "warning") else None,
        )
        page.goto(address)
        return Page(page)

    open_page.said = said
    yield open_page
    for context in contexts:
        context.close()
    assert said == []


@pytest.fixture
def watch(served, episodes, open_page):
    """Opens the page of the first episode, or of another, at a step."""

    def watch(step=0, episode=None, **options):
        name = served.id_of(episodes[0] if episode is None else episode)
        page = open_page(f"{served.address}#e={name}&t={step}", **options)
        page.at_step(step)
        return page

    return watch
