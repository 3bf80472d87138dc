"""The application: which address is answered by what."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from rl_abn.errors import RlAbnError, without_control_characters
from rl_abn.files.stamp import file_stamp
from rl_abn.record.chunks import FRAMES, TRACE
from rl_abn.view.asking import Asking
from rl_abn.view.bodies import read_body
from rl_abn.view.certificates import explanation_page
from rl_abn.view.edits import list_edits
from rl_abn.view.episodes import as_json, finite
from rl_abn.view.guard import LOOPBACK, Guard, TooLargeError
from rl_abn.view.jobs import BusyError
from rl_abn.view.library import Library, UnknownIdError
from rl_abn.view.library_page import library_page
from rl_abn.view.page_files import page_route
from rl_abn.view.pictures import Gallery
from rl_abn.view.run_page import run_page
from rl_abn.view.sheets import sheet_file

Answer = Callable[[Request], Any]
Answered = Callable[[Request, dict[str, Any]], Any]


def make_app(
    library: Library, *, hosts: tuple[str, ...] | None = LOOPBACK, token: str | None = None
) -> Starlette:
    """Makes the application.

    Args:
        library: What is served.
        hosts: As `Guard` takes them.
        token: As `Guard` takes it.
    """
    asking = Asking(library)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            asking.close()

    return Starlette(
        routes=routes(library, asking),
        lifespan=lifespan,
        middleware=[Middleware(Guard, hosts=hosts, token=token)],
        exception_handlers={
            HTTPException: _on_http,
            RlAbnError: _on_mistake,
            UnknownIdError: _on_unknown,
            BusyError: _on_busy,
            TooLargeError: _on_too_large,
            ClientDisconnect: _on_gone,
            Exception: _on_error,
        },
    )


def routes(library: Library, asking: Asking) -> list[Route]:
    """Returns what is answered, and by what."""
    run, episode, job = "/api/runs/{id}", "/api/episodes/{id}", "/api/jobs/{id}"
    vision = "/api/vision/{id}"
    opened, gallery = asking.opened, Gallery(library)

    def chunk_file(kind: str, media_type: str, request: Request) -> Response:
        path = opened(_id(request)).file(kind, request.path_params["chunk"])
        return unless_known(request, path, media_type)

    def explanation(request: Request) -> Response:
        name = _id(request)
        page = explanation_page(library.run(name), library)
        if page is None:
            raise UnknownIdError(name)
        # Saved, not shown: a run's page may come from anyone, and has a style of its own.
        return FileResponse(
            page, media_type="text/html", filename=page.name, content_disposition_type="attachment"
        )

    def sheet(request: Request) -> Response:
        found = library.run(_id(request))
        return FileResponse(
            sheet_file(found, str(request.path_params["name"]), library), media_type="image/png"
        )

    def gallery_page(request: Request) -> Any:
        first = request.query_params.get("from", "0")
        if not (first.isascii() and first.isdigit() and len(first) < 10):
            raise RlAbnError(f"expected a whole number as 'from', got {first[:20]!a}")
        return gallery.get(_id(request)).page(request.path_params["part"], int(first))

    return [
        _get("/api/library", lambda request: library_page(library)),
        _get(run, lambda request: run_page(library.run(_id(request)), library)),
        _get(run + "/explanation", explanation),
        _get(run + "/sheets/{name}", sheet),
        _post(run + "/record", lambda request, body: asking.record(_id(request), body)),
        _get(episode, lambda request: asking.meta(_id(request))),
        _get(
            episode + "/sheets/{chunk:int}",
            partial(chunk_file, FRAMES, "image/png"),
        ),
        _get(
            episode + "/trace/{chunk:int}",
            partial(chunk_file, TRACE, "application/octet-stream"),
        ),
        _get(episode + "/curves", lambda request: opened(_id(request)).curves()),
        _get(episode + "/highlights", lambda request: opened(_id(request)).highlights()),
        _post(episode + "/what-if", lambda request, body: asking.what_if(_id(request), body)),
        _post(episode + "/futures", lambda request, body: asking.futures(_id(request), body)),
        _post(episode + "/reliance", lambda request, body: asking.reliance(_id(request), body)),
        _both(
            episode + "/edits",
            lambda request: asking.list_edits(_id(request)),
            lambda request, body: asking.save_edits(_id(request), body),
        ),
        _get(vision, lambda request: gallery.get(_id(request)).shown()),
        _both(
            vision + "/edits",
            lambda request: {"edits": list_edits(gallery.get(_id(request)).run)},
            lambda request, body: gallery.get(_id(request)).save_edits(body),
        ),
        _get(vision + "/{part}", lambda request: {"pictures": gallery_page(request)}),
        _get(
            vision + "/{part}/{number:int}",
            lambda request: gallery.get(_id(request)).look(*_picture(request)),
        ),
        _get(
            vision + "/{part}/{number:int}/picture",
            lambda request: Response(
                gallery.get(_id(request)).picture(*_picture(request)), media_type="image/png"
            ),
        ),
        _post(
            vision + "/{part}/{number:int}/what-if",
            lambda request, body: gallery.get(_id(request)).what_if(*_picture(request), body),
        ),
        _get(job, lambda request: asking.jobs.get(_id(request)).shown()),
        _post(job + "/stop", lambda request, body: asking.stop(_id(request))),
        page_route(),
    ]


def answer(value: Any, status: int = 200) -> Response:
    """Returns JSON, of a value or of bytes that are JSON already; answers stay as they are."""
    if isinstance(value, Response):
        return value
    content = value if isinstance(value, bytes) else as_json(finite(value))
    return Response(content, status, media_type="application/json")


def unless_known(request: Request, path: Path, media_type: str) -> Response:
    """Returns a file, or that it is as the browser has it: it may be replaced at any time."""
    tag = '"' + "-".join(map(str, file_stamp(path) or ())) + '"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return FileResponse(path, media_type=media_type, headers=headers)


def _get(path: str, make: Answer) -> Route:
    def respond(request: Request) -> Response:  # in a thread: it is no coroutine
        return answer(make(request))

    return Route(path, respond, methods=["GET"])


def _post(path: str, make: Answered) -> Route:
    async def respond(request: Request) -> Response:
        return await _answer_body(request, make)

    return Route(path, respond, methods=["POST"])


def _both(path: str, make: Answer, make_of_body: Answered) -> Route:
    async def respond(request: Request) -> Response:
        if request.method == "POST":
            return await _answer_body(request, make_of_body)
        return answer(await run_in_threadpool(make, request))

    return Route(path, respond, methods=["GET", "POST"])


async def _answer_body(request: Request, make: Answered) -> Response:
    content = await request.body()
    return await run_in_threadpool(lambda: answer(make(request, read_body(content))))


def _picture(request: Request) -> tuple[str, int]:
    return request.path_params["part"], request.path_params["number"]


def _id(request: Request) -> str:
    return str(request.path_params["id"])


def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = error.detail
    if error.status_code == 405:
        message = f"expected another method, got {request.method[:10]}"
    if error.status_code == 404:
        message = f"expected an address of this server, got {request.url.path[:80]!a}"
    return JSONResponse({"error": message}, error.status_code, headers=error.headers)


def _on_mistake(request: Request, error: Exception) -> Response:
    line = without_control_characters(" ".join(str(error).split()))
    return JSONResponse({"error": line}, 400)


def _on_unknown(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "expected what this server serves, got an unknown id"}, 404)


def _on_busy(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 409)


def _on_too_large(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "expected a smaller body, got one of more than 1 MB"}, 413)


def _on_gone(request: Request, error: Exception) -> Response:
    return Response(status_code=400)  # nobody reads it


def _on_error(request: Request, error: Exception) -> Response:
    message = "an error of this program; the terminal shows it"
    return JSONResponse({"error": message}, 500)
