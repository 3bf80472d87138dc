"""A server in a thread, and what it answers."""

from __future__ import annotations

import http.client
import json
import threading
import time
from contextlib import contextmanager
from typing import NamedTuple

import uvicorn

from rl_abn.explain.certificate import ONLY_WHEN_ASKED, QUESTIONS
from rl_abn.files.text import write_output
from rl_abn.view.app import make_app
from rl_abn.view.library import Library
from rl_abn.view.server import listen

MAPS = {"plain": (("shared",), 9), "memory": (("policy", "value"), 7), "hard": (("shared",), 7)}
"""Names and sides of the maps of the agents that are served."""


def painted(name, value=0.0, corner=0.0):
    """Maps of the agent of a name: a value everywhere but in the first corner."""
    names, side = MAPS[name]
    rows = [[value] * side for _ in range(side)]
    rows[0][0] = corner
    return dict.fromkeys(names, rows)


def explained(run, name, verdict, more=()):
    """Puts a certificate into a run, as `explain` leaves it; `more` are questions asked besides."""
    line = {"verdict": verdict, "text": f"{name} says."}
    asked = [q for q in QUESTIONS if q in more or q not in ONLY_WHEN_ASKED]
    write_output(
        run.path / "explanations" / name / "certificate.json",
        {"title": name, "certificate": [{"question": q, **line} for q in asked]},
    )
    return run.path / "explanations" / name


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


class Client:
    """Asks a server, one connection a request."""

    def __init__(self, port):
        self.port = port
        self.host = f"127.0.0.1:{port}"

    def ask(self, method, path, body=None, headers=()):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, dict(headers))
            answer = connection.getresponse()
            headers = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, headers, answer.read())
        finally:
            connection.close()

    def get(self, path, **headers):
        answer = self.ask("GET", path, headers={n.replace("_", "-"): v for n, v in headers.items()})
        assert answer.status == 200, answer
        return answer

    def post(self, path, body, status=200):
        kind = {"Content-Type": "application/json", "Origin": f"http://{self.host}"}
        answer = self.ask("POST", path, json.dumps(body), kind)
        assert answer.status == status, answer
        return answer.json

    def job(self, path, body):
        """What a job comes to."""
        name = self.post(path, body)["job"]
        while (state := self.get(f"/api/jobs/{name}").json)["state"] == "running":
            time.sleep(0.02)
        return state


@contextmanager
def serving(*folders, **options):
    """A client of a server of some folders."""
    sock = listen("127.0.0.1", 0)
    library = Library(folders)
    app = make_app(library, **options)
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield Client(sock.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join()
