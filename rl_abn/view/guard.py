"""Who is answered: the page that this server served, and whoever has its token.

A browser can be made to send requests here by any page it shows. So the host that a request names
has to be this server's (a name that an attacker points at this machine is not), its origin the
same, and what changes something comes as JSON, which no form can send.
"""

from __future__ import annotations

import secrets
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BODY_BYTES = 2**20
COOKIE = "rl_abn_token"
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "connect-src 'self'",
        "font-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


class Guard:
    """Refuses what does not come from the page that is served. An ASGI middleware.

    Args:
        app: What is guarded.
        hosts: What a request may name as its host, with or without a port; None is anything, for a
            server that other machines reach by names it does not know. Then there is a token.
        token: What a request has to bring along, in the address once and then as a cookie; None
            asks for none.
    """

    def __init__(
        self, app: ASGIApp, *, hosts: tuple[str, ...] | None = LOOPBACK, token: str | None = None
    ) -> None:
        assert token if hosts is None else token != ""
        self.app = app
        self.hosts = None if hosts is None else tuple(host.lower() for host in hosts)
        self.token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, or passes it on."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            await refusal(scope, receive, send_with_headers)
            return
        await self.app(scope, Limited(receive), send_with_headers)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._is_ours(hosts[0]):
            named = f"'{hosts[0][:60]}'" if hosts else "none"
            return _error(403, f"expected this server's own host, got {named}")
        origin = headers.get("origin")
        if origin is not None and origin.lower() != f"{scope['scheme']}://{hosts[0]}".lower():
            return _error(403, f"expected the page of this server, got '{origin[:60]}'")
        came_from = headers.get("sec-fetch-site", "none")
        is_page = scope["path"] == "/" and scope["method"] == "GET"
        if came_from not in ("none", "same-origin") and not is_page:
            return _error(403, f"expected the page of this server, got a {came_from[:20]} request")
        if self.token is not None:
            return self._asks_token(scope, headers)
        return self._wrong_body(scope, headers)

    def _is_ours(self, host: str) -> bool:
        if self.hosts is None:
            return True
        name, colon, port = host.lower().rpartition(":")
        if not colon or not port.isdigit():
            name = host.lower()
        return name in self.hosts

    def _asks_token(self, scope: Scope, headers: Headers) -> Response | None:
        assert self.token is not None
        try:
            query = parse_qs(scope["query_string"].decode("latin-1"), max_num_fields=32)
        except ValueError:
            return _error(400, "expected at most 32 fields in the address, got more")
        given = query.pop("token", [""])[-1]
        if given:
            if not _same(given, self.token):
                return _error(401, "expected the token that the server printed, got another")
            if scope["path"] != "/" or scope["method"] != "GET":
                return self._wrong_body(scope, headers)
            left = urlencode(query, doseq=True)
            answer = RedirectResponse("/" + (f"?{left}" if left else ""), status_code=303)
            answer.set_cookie(COOKIE, self.token, httponly=True, samesite="strict")
            return answer
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            cookie = None
        if cookie is None or not _same(cookie.value, self.token):
            return _error(
                401, "expected the address with the token that the server printed, got one without"
            )
        return self._wrong_body(scope, headers)

    def _wrong_body(self, scope: Scope, headers: Headers) -> Response | None:
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit() and len(length) < 16):
            return _error(400, f"expected the length of the body, got '{length[:20]}'")
        if int(length) > MOST_BODY_BYTES:
            return _too_large(f"{int(length):,}")
        if scope["method"] == "POST":
            kind = headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind != "application/json":
                return _error(415, f"expected application/json, got '{kind[:40]}'")
        return None


class TooLargeError(Exception):
    """A body that is larger than it said, or than any may be."""


class Limited:
    """Receives a body up to its limit.

    Args:
        receive: Receives a part.

    Raises:
        TooLargeError: When more comes.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._n_bytes = 0

    async def __call__(self) -> Message:
        """Receives a part."""
        message = await self._receive()
        if message["type"] == "http.request":
            self._n_bytes += len(message.get("body", b""))
            if self._n_bytes > MOST_BODY_BYTES:
                raise TooLargeError
        return message


def new_token() -> str:
    """Returns a token that nobody guesses."""
    return secrets.token_urlsafe(24)


def _same(given: str, token: str) -> bool:
    return secrets.compare_digest(given.encode("utf-8", "replace"), token.encode())


def _too_large(got: str) -> JSONResponse:
    return _error(413, f"expected a body of at most {MOST_BODY_BYTES:,} bytes, got {got}")


def _error(status: int, message: str) -> JSONResponse:
    return JSONResponse({"error": message}, status_code=status)
