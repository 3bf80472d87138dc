"""The files of the page itself: its document, its style, its icon and its script."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from rl_abn.view.bundle import ENTRY, STATIC, bundle


def page_route() -> Route:
    """Returns the route of the page's files; no other file can be named.

    The script is that of all modules: a page that asked for each would wait for its own browser,
    several milliseconds a module.
    """

    async def respond(request: Request) -> Response:  # in no thread: the files are small
        name = request.path_params["name"] or "index.html"
        if name not in _FILES:
            raise HTTPException(404)
        kind, read = _FILES[name]
        content = read()
        tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        headers = {"ETag": tag, "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=kind, headers=headers)

    return Route("/{name:path}", respond, methods=["GET"])


def _file(name: str) -> Callable[[], bytes]:
    return (STATIC / name).read_bytes


_FILES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "index.html": ("text/html", _file("index.html")),
    "style.css": ("text/css", _file("style.css")),
    "icon.svg": ("image/svg+xml", _file("icon.svg")),
    f"js/{ENTRY}": ("text/javascript", lambda: bundle().encode()),
}
