"""Who is served, and who is not."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("starlette")

from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from mepipe import store
from mepipe.view.server.app import build
from mepipe.view.server.guard import COOKIE, HEADERS, Guard, names
from tests.view.server.conftest import client

PATHS = ["/", "/main.js", "/api/runs", "/api/dataset?dataset=nix", "/thumbs", "/nix"]


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_forbids_what_the_page_does_not_need(page: TestClient, path: str) -> None:
    for answer in (page.get(path), page.post(path), page.get(path, headers={"host": "elsewhere.org"})):
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS
        assert "unsafe" not in answer.headers["content-security-policy"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "MKCOL", "PROPFIND"])
@pytest.mark.parametrize("path", PATHS)
def test_nothing_can_be_written(page: TestClient, method: str, path: str) -> None:
    answer = page.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


def test_every_route_only_reads(lab: Path) -> None:
    app = build(store.open(lab / "features.zarr"), lab / "runs")
    assert {type(route) for route in app.routes} == {Route}
    assert all(route.methods == {"GET", "HEAD"} for route in app.routes if isinstance(route, Route))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "localhost:8000", "LOCALHOST:1", "[::1]:80"])
def test_the_page_is_called_by_the_names_of_this_machine(page: TestClient, host: str) -> None:
    assert page.get("/api/runs", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.org", "127.0.0.1.evil.org", "localhost.evil.org:80", "", "10.0.0.1", "[::2]", "x:y:z"]
)
def test_a_name_of_another_site_that_leads_here_is_refused(page: TestClient, host: str) -> None:
    assert page.get("/api/runs", headers={"host": host}).status_code == 421


def test_elsewhere_numeric_addresses_serve_too_since_no_site_is_called_so() -> None:
    known, addresses = names("0.0.0.0")
    assert addresses
    guard = Guard(lambda *_: None, known, addresses)  # type: ignore[arg-type, return-value]
    assert guard._known("192.168.1.7:8000")
    assert guard._known("[fe80::1]:8000")
    assert not guard._known("evil.org:8000")
    assert names("127.0.0.1") == ({"127.0.0.1", "localhost", "::1"}, False)


@pytest.mark.parametrize("path", PATHS)
def test_without_the_token_there_is_nothing_to_see(lab: Path, path: str) -> None:
    page = client(lab, token="right")
    for query in ({}, {"token": "wrong"}, {"token": ""}, {"token": "right "}, {"token": "\u00fc"}):
        answer = page.get(path, params=query)
        assert answer.status_code == 403
        assert not answer.cookies
        assert "right" not in answer.text
    for cookie in ("wrong", "", '"', "\xff"):
        assert page.get(path, headers={"cookie": f"{COOKIE}-80={cookie}".encode("latin-1")}).status_code == 403


def test_the_token_becomes_a_cookie_that_no_script_and_no_other_site_can_use(lab: Path) -> None:
    page = client(lab, token="right")
    answer = page.get("/api/dataset?dataset=synthetic&token=right")
    assert (answer.status_code, answer.headers["location"]) == (303, "/api/dataset?dataset=synthetic")
    cookie = answer.headers["set-cookie"].lower()
    assert cookie.startswith(f"{COOKIE}-80=right;")
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert page.get(answer.headers["location"]).status_code == 200


def test_a_path_does_not_make_the_redirect_lead_elsewhere(lab: Path) -> None:
    answer = client(lab, token="right").get("http://127.0.0.1//evil.org/?token=right")
    assert answer.headers["location"] == "/evil.org/"


def test_more_at_once_than_can_be_served_are_refused() -> None:
    asked: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        asked.append(inner.get("/").status_code)  # while this one is being answered
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    guard = Guard(app, {"127.0.0.1"}, at_once=1)
    inner = TestClient(guard, base_url="http://127.0.0.1")
    assert TestClient(guard, base_url="http://127.0.0.1").get("/").status_code == 200
    assert asked == [503]
    assert inner.get("/").status_code == 200, "and served again afterwards"
