"""Real servers on loopback: object storage (moto's, behind a tap that counts and breaks) and an sshd."""

from __future__ import annotations

import atexit
import getpass
import http.client
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from uuid import uuid4

import pytest

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
KEYS = {"AWS_ACCESS_KEY_ID": "tests", "AWS_SECRET_ACCESS_KEY": "tests", "AWS_DEFAULT_REGION": "us-east-1"}


@dataclass
class Tap:
    """A proxy before an S3 server. calls: (method, path, bytes there, bytes back). left: requests until it breaks."""

    server: int
    calls: list[tuple[str, str, int, int]] = field(default_factory=list)
    left: int | None = None

    def __post_init__(self) -> None:
        tap = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _pass(self) -> None:
                tap.forward(self)

            do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _pass

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.proxy = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.proxy.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.proxy.server_port}"
        Thread(target=self.proxy.serve_forever, daemon=True).start()

    def forward(self, request: BaseHTTPRequestHandler) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                request.close_connection = True
                with suppress(OSError):
                    request.connection.shutdown(socket.SHUT_RDWR)
                return
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        there = http.client.HTTPConnection("127.0.0.1", self.server)
        there.request(request.command, request.path, body, dict(request.headers))
        answer = there.getresponse()
        content = answer.read()
        self.calls.append((request.command, request.path, len(body), len(content)))
        request.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                request.send_header(name, value)
        size = answer.getheader("Content-Length") if request.command == "HEAD" else len(content)
        request.send_header("Content-Length", str(size or 0))
        request.end_headers()
        request.wfile.write(content)
        there.close()

    def chunks(self, method: str) -> list[str]:
        """The chunks of features' data that were read (GET) or written (PUT)."""
        return [path for m, path, _, _ in self.calls if m == method and "/data/c" in path]


@cache
def _moto() -> int:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    port = int(server.get_host_and_port()[1])
    atexit.register(server.stop)
    return port


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Tap]:
    """An S3 server, and the variables by which it is found."""
    pytest.importorskip("moto", reason="needs moto's S3 server")
    pytest.importorskip("s3fs", reason="needs s3fs")
    tap = Tap(_moto())
    for name, value in {**KEYS, "AWS_ENDPOINT_URL": tap.url, "AWS_EC2_METADATA_DISABLED": "true"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    import s3fs

    from mepipe.store import objects

    # A process keeps its connections; each test has a server of its own.
    objects._system.cache_clear()
    s3fs.S3FileSystem.clear_instance_cache()
    yield tap
    tap.proxy.shutdown()
    tap.proxy.server_close()


def bucket(tap: Tap) -> str:
    """The URL of a new, empty bucket."""
    name = f"team-{uuid4().hex[:8]}"
    there = http.client.HTTPConnection("127.0.0.1", tap.server)
    there.request("PUT", f"/{name}", headers={"Host": "s3.amazonaws.com"})
    assert there.getresponse().status == 200
    return f"s3://{name}"


@dataclass
class Sshd:
    """An sshd of one's own. home: HOME of those who may log in."""

    home: Path
    port: int
    process: subprocess.Popen[bytes]

    def url(self, path: Path) -> str:
        """The URL of a folder of this machine."""
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}{path}"


@cache
def _sshd() -> Sshd:
    home = Path(tempfile.mkdtemp(prefix="mepipe-ssh-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    (home / ".ssh").mkdir(mode=0o700)
    for name in ("host", ".ssh/id_ed25519"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", home / name], check=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shutil.copy(home / ".ssh/id_ed25519.pub", home / "authorized_keys")
    (home / ".ssh/known_hosts").write_text(f"[127.0.0.1]:{port} {(home / 'host.pub').read_text()}")
    lines = [f"Port {port}", "ListenAddress 127.0.0.1", f"HostKey {home}/host", f"PidFile {home}/pid"]
    lines += [f"AuthorizedKeysFile {home}/authorized_keys", "StrictModes no", "UsePAM no", "PermitRootLogin yes"]
    lines += ["PasswordAuthentication no", "Subsystem sftp internal-sftp -u 0077"]  # a colleague's umask
    (home / "sshd_config").write_text("\n".join(lines) + "\n")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    process = subprocess.Popen([str(SSHD), "-D", "-e", "-f", home / "sshd_config"], stderr=(home / "log").open("wb"))
    atexit.register(process.terminate)
    for _ in range(200):
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return Sshd(home, port, process)
        time.sleep(0.05)
    raise RuntimeError((home / "log").read_text())


@pytest.fixture
def sshd(monkeypatch: pytest.MonkeyPatch) -> Sshd:
    """An sshd, and the home in which its key is known."""
    pytest.importorskip("paramiko", reason="needs paramiko")
    if SSHD is None:
        pytest.skip("needs an sshd (openssh-server)")
    server = _sshd()
    monkeypatch.setenv("HOME", str(server.home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return server
