"""Who may ask for what: around the whole application, before anything of it runs."""

from __future__ import annotations

import hmac
import ipaddress
import socket
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "mepipe-view"  # and the port: cookies are of a host, of which several pages may be served
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",  # faces are licensed: none stays in a browser's folder
}
_NO_TOKEN = "Open the address that mepipe view printed: it has a token in it.\n"
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


class Guard:
    """Refuses what is not GET or HEAD, hosts that are not this one, strangers, and more at once than can be served.

    hosts: names the page may be called by; a page of another site whose name leads here (DNS rebinding) has its own.
    addresses: whether any numeric address may be called, too. token: asked of everybody, if there is one: first in
    the address, then in a cookie. at_once: requests.
    """

    def __init__(
        self, app: ASGIApp, hosts: Iterable[str], addresses: bool = False, token: str = "", at_once: int = 256
    ) -> None:
        self.app = app
        self.hosts = {host.lower() for host in hosts}
        self.addresses = addresses
        self.token = token
        self.at_once = at_once
        self._now = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # a web socket: closed unanswered

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        refused = self._refused(scope)
        if refused is not None:
            await refused(scope, receive, guarded)
            return
        self._now += 1
        try:
            await self.app(scope, receive, guarded)
        finally:
            self._now -= 1

    def _refused(self, scope: Scope) -> Response | None:
        if self._now >= self.at_once:
            return busy()
        if scope["method"] not in ("GET", "HEAD"):
            return PlainTextResponse("Only GET and HEAD: nothing can be written here.\n", 405, {"Allow": "GET, HEAD"})
        headers = Headers(scope=scope)
        if not self._known(headers.get("host", "")):
            return PlainTextResponse("This page is not called so.\n", 421)
        return self._stranger(scope, headers) if self.token else None

    def _known(self, host: str) -> bool:
        name = host.lower()
        name = name[1:].partition("]")[0] if name.startswith("[") else name.partition(":")[0]
        if name in self.hosts:
            return True
        try:
            return self.addresses and bool(ipaddress.ip_address(name))
        except ValueError:
            return False

    def _stranger(self, scope: Scope, headers: Headers) -> Response | None:
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = dict(query).get("token")
        if given is not None and self._right(given):
            rest = urlencode([pair for pair in query if pair[0] != "token"])
            response = RedirectResponse("/" + scope["path"].lstrip("/") + (f"?{rest}" if rest else ""), 303)
            response.set_cookie(_name(scope), self.token, httponly=True, samesite="strict")
            return response
        return None if self._right(_cookie(headers, _name(scope))) else PlainTextResponse(_NO_TOKEN, 403)

    def _right(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(errors="replace"), self.token.encode())


def busy() -> Response:
    """The answer to who asks while too many wait."""
    return PlainTextResponse("Too many at once. Ask again in a moment.\n", 503, {"Retry-After": "1"})


def names(host: str) -> tuple[set[str], bool]:
    """The names that a page served at this host may be called by, and whether any numeric address may be, too."""
    if host.lower() in _LOOPBACK:
        return _LOOPBACK, False
    return {*_LOOPBACK, host, socket.gethostname(), socket.getfqdn()}, True


def loopback(host: str) -> bool:
    """Whether only this machine can reach it."""
    return host.lower() in _LOOPBACK


def _name(scope: Scope) -> str:
    return f"{COOKIE}-{(scope.get('server') or ('', 0))[1]}"


def _cookie(headers: Headers, name: str) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(name)
    except CookieError:
        return ""
    return found.value if found else ""
