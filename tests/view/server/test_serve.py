"""The page in a process of its own, as `mepipe view` serves it."""

from __future__ import annotations

import asyncio
import http.client
import signal
import socket
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

pytest.importorskip("starlette")

from benchmarks.browser import served
from mepipe import store
from mepipe.errors import UsageError
from mepipe.view.server.serve import Page
from tests.conftest import mepipe

MANY = 1000


@pytest.fixture(scope="module")
def address(lab: Path) -> Iterator[str]:
    with served(["--store", lab / "features.zarr", "--runs", lab / "runs"]) as (found, _):
        yield found


def get(address: str, path: str, **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=30)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_it_listens_at_this_machine_alone(address: str) -> None:
    assert urlsplit(address).hostname == "127.0.0.1"
    assert "token" not in address
    assert get(address, "/api/runs")[0] == 200
    assert get(address, "/api/runs", Host="evil.org")[0] == 421


@pytest.mark.parametrize(
    "path", ["/../../../../etc/passwd", "/..%2f..%2f..%2fetc/passwd", "/%2e%2e/%2e%2e/serve.py", "/./app.py"]
)
def test_no_path_leads_out(address: str, path: str) -> None:
    status, content = get(address, path)  # http.client sends a path as it is
    assert status == 404
    assert b"root:" not in content


async def _many(address: str, paths: list[str]) -> Counter[int]:
    host, port = urlsplit(address).hostname, urlsplit(address).port

    async def one(path: str) -> int:
        try:
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
            answer = await reader.read()
            writer.close()
        except ConnectionError:
            return 0
        return int(answer.split()[1]) if answer else 0

    return Counter(await asyncio.gather(*map(one, paths)))


def test_a_thousand_at_once_are_served_or_refused_and_the_page_lives(address: str) -> None:
    panels = ("flow.tvl1-00000003", "frames-00000001", "strain-00000004")
    paths = [
        f"/strip?dataset=synthetic&panel={panels[i % 3]}&id=s000_{i % 19:02d}&scale={1 + i / MANY:.3f}" if i % 2
        else f"/thumbs?dataset=synthetic&id=s000_{i % 19:02d}"
        for i in range(MANY)
    ]  # fmt: skip
    found = asyncio.run(_many(address, paths))
    assert sum(found.values()) == MANY
    assert set(found) <= {200, 503, 0}, found  # 0: the system itself refused the connection
    assert found[200] >= 100
    status, _ = get(address, "/api/dataset?dataset=synthetic")
    assert status == 200


@pytest.mark.parametrize("sent", [b"\0\xff" * 50, b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"y" * 200_000, b"GET"])
def test_nonsense_ends_nothing(address: str, sent: bytes) -> None:
    with socket.create_connection((urlsplit(address).hostname, urlsplit(address).port), timeout=5) as connection:
        connection.sendall(sent)
    assert get(address, "/api/runs")[0] == 200


def test_elsewhere_it_asks_for_a_token(lab: Path) -> None:
    with served(["--store", lab / "features.zarr", "--host", "0.0.0.0"]) as (address, _):
        port, query = urlsplit(address).port, urlsplit(address).query
        assert len(query) > len("token=") + 30
        assert get(f"http://127.0.0.1:{port}", "/")[0] == 403
        opened = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        assert opened.open(f"http://127.0.0.1:{port}/?{query}", timeout=30).status == 200
        assert opened.open(f"http://127.0.0.1:{port}/api/runs", timeout=30).status == 200


def test_an_interrupt_ends_it_quietly(lab: Path) -> None:
    with served(["--store", lab / "features.zarr"]) as (address, process):
        assert get(address, "/")[0] == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 0


def test_tokens_differ_and_can_be_asked_for_here_too(lab: Path) -> None:
    opened = store.open(lab / "features.zarr")
    pages = [Page(opened, lab / "runs", "127.0.0.1", 0, token=True) for _ in range(2)]
    assert pages[0].token != pages[1].token
    assert all(page.token in page.address for page in pages)
    for page in pages:
        page.socket.close()


def test_a_port_that_is_taken_is_said(lab: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(UsageError, match="Name another --port"):
            Page(store.open(lab / "features.zarr"), lab / "runs", "127.0.0.1", taken.getsockname()[1])


def test_without_a_store_it_does_not_begin(tmp_path: Path) -> None:
    result = mepipe("view", "--store", tmp_path / "nix", check=False)
    assert result.returncode == 2
    assert "No store at" in result.stderr
    assert not (tmp_path / "nix").exists()
