"""The application: which address is answered by what."""

from __future__ import annotations

import mimetypes
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from rl_abn.errors import RlAbnError, without_control_characters
from rl_abn.record.chunks import FRAMES, TRACE
from rl_abn.view.episodes import OpenEpisode, OpenEpisodes, as_json
from rl_abn.view.guard import LOOPBACK, Guard, TooLargeError
from rl_abn.view.library import Library
from rl_abn.view.library_page import library_page

STATIC = Path(__file__).parent / "static"
_KINDS = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


class Viewer:
    """Answers requests; what they ask of is found by ids.

    Args:
        library: What is served.
    """

    def __init__(self, library: Library) -> None:
        self.library = library
        self.episodes = OpenEpisodes(library)

    def routes(self) -> list[Route | Mount]:
        """Returns what is answered."""
        episode = "/api/episodes/{id}"
        return [
            Route("/api/library", self.show_library),
            Route(episode, self.show_episode),
            Route(episode + "/sheets/{chunk:int}", self.show_sheet),
            Route(episode + "/trace/{chunk:int}", self.show_trace),
            Route(episode + "/curves", self.show_curves),
            Route(episode + "/highlights", self.show_highlights),
            Mount("/", StaticFiles(directory=STATIC, html=True, check_dir=False)),
        ]

    def show_library(self, request: Request) -> Response:
        """Runs and episodes."""
        return answer(library_page(self.library))

    def show_episode(self, request: Request) -> Response:
        """What the page has to know of an episode."""
        return answer(self._episode(request).meta())

    def show_sheet(self, request: Request) -> Response:
        """The screens of a chunk, as they are on disk."""
        return self._file(request, FRAMES, "image/png")

    def show_trace(self, request: Request) -> Response:
        """The arrays of a chunk, as they are on disk."""
        return self._file(request, TRACE, "application/octet-stream")

    def show_curves(self, request: Request) -> Response:
        """A number a step and curve."""
        return answer(self._episode(request).curves())

    def show_highlights(self, request: Request) -> Response:
        """Moments worth seeing."""
        return answer(self._episode(request).highlights())

    def _episode(self, request: Request) -> OpenEpisode:
        return self.episodes.get(request.path_params["id"])

    def _file(self, request: Request, kind: str, media_type: str) -> Response:
        path = self._episode(request).file(kind, request.path_params["chunk"])
        headers = {"Cache-Control": "private, max-age=600"}
        return FileResponse(path, media_type=media_type, headers=headers)


def make_app(
    library: Library, *, hosts: tuple[str, ...] | None = LOOPBACK, token: str | None = None
) -> Starlette:
    """Makes the application.

    Args:
        library: What is served.
        hosts: As `Guard` takes them.
        token: As `Guard` takes it.
    """
    for suffix, kind in _KINDS.items():  # a machine's own table may say otherwise
        mimetypes.add_type(kind, suffix)
    return Starlette(
        routes=Viewer(library).routes(),
        middleware=[Middleware(Guard, hosts=hosts, token=token)],
        exception_handlers={
            HTTPException: _on_http,
            RlAbnError: _on_mistake,
            KeyError: _on_unknown,
            TooLargeError: _on_too_large,
        },
    )


def answer(value: Any, status: int = 200) -> Response:
    """Returns JSON, of a value or of bytes that are JSON already."""
    content = value if isinstance(value, bytes) else as_json(value)
    return Response(content, status, media_type="application/json")


def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        error.detail = f"expected another method, got {request.method[:10]}"
    if error.status_code == 404:
        error.detail = f"expected an address of this server, got '{request.url.path[:80]}'"
    return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)


def _on_mistake(request: Request, error: Exception) -> Response:
    line = without_control_characters(" ".join(str(error).split()))
    return JSONResponse({"error": line}, 400)


def _on_unknown(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "expected what this server serves, got an unknown id"}, 404)


def _on_too_large(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "expected a smaller body, got one of more than 1 MB"}, 413)
