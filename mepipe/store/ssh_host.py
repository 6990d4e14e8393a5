"""Connections by SSH. Host, user, port, keys and jump hosts are those of ~/.ssh/config; a host that ~/.ssh/known_hosts
does not know is refused. (fsspec's own SFTP trusts any host, and must not be used by two threads.)
"""

from __future__ import annotations

import re
import threading
import weakref
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from mepipe.errors import UsageError

CHANNELS = 8  # of one connection; an sshd allows 10 unless told otherwise
TIMEOUT = 30.0  # s without any answer


class Host:
    """Connections to one host. A thread has a channel of its own: two on one would take each other's answers."""

    def __init__(self, url: str) -> None:
        parts = urlparse(url)
        self.name, self.user, self.port = parts.hostname or "", parts.username, parts.port
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.:-]*", self.name):
            msg = f"{url}: names no host. Say ssh://user@host/path/features.zarr"
            raise UsageError(msg)
        self._own = threading.local()
        self._lock = threading.Lock()
        self._clients: list[tuple[Any, weakref.WeakSet[Any]]] = []

    def channel(self) -> Any:
        """This thread's, opened where it has none."""
        if getattr(self._own, "channel", None) is None:
            with self._lock:
                free = [c for c in self._clients if len(c[1]) < CHANNELS and c[0].get_transport().is_active()]
                if not free:
                    free = [(self._connect(), weakref.WeakSet())]
                    self._clients = [c for c in self._clients if c[0].get_transport().is_active()] + free
                client, channels = free[0]
                self._own.channel = client.open_sftp()
                self._own.channel.get_channel().settimeout(TIMEOUT)
                channels.add(self._own.channel)
        return self._own.channel

    def drop(self) -> None:
        """Forget this thread's channel, which is broken."""
        with suppress(Exception):
            self._own.channel.close()
        self._own.channel = None

    def _connect(self) -> Any:
        import paramiko

        config: dict[str, Any] = {}
        if (own := Path("~/.ssh/config").expanduser()).is_file():
            config = dict(paramiko.SSHConfig.from_path(str(own)).lookup(self.name))
        name, port = config.get("hostname", self.name), self.port or int(config.get("port", 22))
        user = self.user or config.get("user")
        jump = config.get("proxyjump", "none")
        command = config.get("proxycommand") or (f"ssh -W {name}:{port} {jump}" if jump != "none" else None)
        client = paramiko.SSHClient()
        client.load_system_host_keys()
        client.set_missing_host_key_policy(paramiko.RejectPolicy())
        client.connect(
            name,
            port,
            user,
            key_filename=config.get("identityfile"),
            sock=paramiko.ProxyCommand(command) if command else None,
            timeout=TIMEOUT,
            banner_timeout=TIMEOUT,
            auth_timeout=TIMEOUT,
        )
        client.get_transport().set_keepalive(15)
        return client


@cache
def host(url: str, process: int) -> Host:
    """One for each process, since connections do not survive a fork."""
    try:
        import paramiko  # noqa: F401
    except ImportError:
        msg = f"{url}: paramiko is missing. Install what it needs: pip install 'mepipe[remote]'"
        raise UsageError(msg) from None
    return Host(url)
