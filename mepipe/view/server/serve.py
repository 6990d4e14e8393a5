"""Listening: a socket, its address, and the server that runs until it is interrupted."""

from __future__ import annotations

import secrets
import socket
import threading
import webbrowser
from contextlib import suppress
from pathlib import Path

import uvicorn

from mepipe.errors import UsageError
from mepipe.store import Store
from mepipe.view.server.app import build
from mepipe.view.server.guard import loopback

BACKLOG = 2048  # connections that wait to be taken; what is asked by too many of them is refused by the guard


class Page:
    """The page, bound to its port, and not yet served. address: what to open, with the token where one is asked for."""

    def __init__(self, store: Store, runs: Path, host: str, port: int, token: bool = False) -> None:
        self.token = secrets.token_urlsafe(24) if token or not loopback(host) else ""
        self.socket = _listen(host, port)
        self.address = _address(host, self.socket.getsockname()[1], self.token)
        self.app = build(store, runs, host, self.token)

    def open_browser(self) -> None:
        """Open it a moment later, when it is served."""
        threading.Timer(0.5, webbrowser.open, [self.address]).start()

    def run(self) -> None:
        """Serve until interrupted."""
        config = uvicorn.Config(
            self.app,
            log_level="error",
            access_log=False,  # addresses have tokens in them
            server_header=False,
            timeout_graceful_shutdown=2,
            ws="none",
        )
        with suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[self.socket])


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(BACKLOG)
    except OSError as error:
        msg = f"{host}:{port}: cannot be listened at ({error.strerror}). Name another --port, or another --host."
        raise UsageError(msg) from None
    return bound


def _address(host: str, port: int, token: str) -> str:
    name = socket.getfqdn() if host in ("0.0.0.0", "::", "") else f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}/" + (f"?token={token}" if token else "")
