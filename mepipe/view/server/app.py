"""The application: addresses, and what answers them."""

from __future__ import annotations

import gzip
import math
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterator
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mepipe import __version__
from mepipe.store import Store
from mepipe.view.look import Panel
from mepipe.view.server import documents, pictures, runs
from mepipe.view.server.cache import Busy, ByteCache, Pool
from mepipe.view.server.catalog import Catalog, Dataset, Shown, told
from mepipe.view.server.guard import Guard, busy, names
from mepipe.view.server.qc import Quality

KEPT = 96 << 20  # bytes of pictures and documents
WAITING = 192  # requests that wait for a thread; a page asks for six at once
AT_ONCE = 32  # thumbnails in one request
SCALES = (1e-6, 1e6)
KINDS = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}

HOME = (files("mepipe.view.server") / "static" / "index.html").read_text(encoding="utf-8")


class Unknown(Exception):
    """What was asked for is not known: 404, with this for a person."""


class View:
    """What the routes share."""

    def __init__(self, store: Store, runs_folder: Path) -> None:
        self.store = store
        self.runs = runs_folder
        self.catalog = Catalog(store)
        self.quality = Quality(store.place)
        self.cache = ByteCache(KEPT)
        self.pool = Pool(max(2, min(4, os.cpu_count() or 1)), WAITING)

    def warm(self) -> None:
        """Read the dataset that the page opens with, while a browser is still on its way."""
        for name in self.catalog.names()[:1]:
            found = self.catalog.dataset(name)
            if found is not None:
                self._packed(found)

    # What is asked for, looked up among what is known ----------------------------------------------------------------

    def dataset(self, request: Request, fresh: bool = False) -> Dataset:
        name = request.query_params.get("dataset", "")
        found = self.catalog.dataset(name, fresh)
        if found is None:
            raise Unknown(f"The store has no dataset {name[:80]!r}.")
        return found

    def sample(self, request: Request, dataset: Dataset) -> str:
        return self._known(dataset, request.query_params.get("id", ""))

    def _known(self, dataset: Dataset, name: str) -> str:
        if dataset.table is None or name not in dataset.table.index:
            raise Unknown(f"{dataset.name} has no sample {name[:80]!r}.")
        return name

    def panel(self, request: Request, dataset: Dataset) -> tuple[Shown, Panel]:
        name = request.query_params.get("panel", "")
        found = dataset.panel(name)
        if found is None:
            raise Unknown(f"{dataset.name} has no panel {name[:80]!r}.")
        return found

    def run(self, request: Request) -> str:
        name = request.query_params.get("run", "")
        if name not in runs.names(self.runs):
            raise Unknown(f"There is no run {name[:80]!r}.")
        return name

    # Answers ---------------------------------------------------------------------------------------------------------

    def home(self, request: Request) -> Response:
        about = {
            "version": __version__,
            "store": self.store.url,
            "datasets": self.catalog.names(),
            "runs": str(self.runs),
        }
        text = documents.to_json(about).decode().replace("<", "\\u003c")  # within a page, no text may end the script
        return Response(HOME.replace("ABOUT", text), media_type="text/html")

    def columns(self, request: Request) -> Response:
        found = self.dataset(request, fresh=True)
        packed = self._packed(found)
        if "gzip" not in request.headers.get("accept-encoding", ""):
            return Response(gzip.decompress(packed), media_type="application/json")
        return Response(packed, media_type="application/json", headers={"Content-Encoding": "gzip"})

    def _packed(self, found: Dataset) -> bytes:
        checked = self.quality.of(found.name)
        key = ("columns", found.name, found.stamp, checked.stamp)
        return self.cache.get(key, lambda: gzip.compress(documents.to_json(documents.dataset(found, checked)), 5))

    def details(self, request: Request) -> Response:
        found = self.dataset(request, fresh=True)
        name = self.sample(request, found)
        checked = self.quality.of(found.name)
        key = ("sample", found.name, found.stamp, checked.stamp, name)
        content = self.cache.get(key, lambda: documents.to_json(documents.sample(found, name, checked)))
        return Response(content, media_type="application/json")

    def strip(self, request: Request) -> Response:
        found = self.dataset(request)
        shown, panel = self.panel(request, found)
        name, scale = self.sample(request, found), _scale(request, panel)
        key = ("strip", shown.feature.path, panel.part, name, scale)
        return self._picture(key, lambda: pictures.strip(shown, panel, name, scale))

    def key(self, request: Request) -> Response:
        _, panel = self.panel(request, self.dataset(request))
        scale = _scale(request, panel)
        return self._picture(("key", panel.kind, scale), lambda: pictures.key(panel, scale))

    def thumbs(self, request: Request) -> Response:
        """Several, each after its length in four bytes; of length 0 where a sample has no picture."""
        found = self.dataset(request)
        names = request.query_params.getlist("id")[:AT_ONCE]
        made = [self._thumb(found, self._known(found, name)) for name in names]
        content = b"".join(len(one).to_bytes(4, "big") + one for one in made)
        return Response(content, media_type="application/octet-stream")

    def _thumb(self, dataset: Dataset, name: str) -> bytes:
        key = ("thumb", dataset.name, dataset.stamp, name)
        try:
            return self.cache.get(key, lambda: pictures.thumb(dataset, name) or b"")
        except Exception:  # damaged: the sample's own page says how
            return b""

    def run_list(self, request: Request) -> Response:
        return _json([runs.about(self.runs, name) for name in runs.names(self.runs)])

    def run_whole(self, request: Request) -> Response:
        return _json(runs.whole(self.runs, self.run(request)))

    def run_picture(self, request: Request) -> Response:
        run, file = self.run(request), request.query_params.get("picture", "")
        if file not in runs.pictures(self.runs, run):
            raise Unknown(f"{run} has no picture {file[:80]!r}.")
        return Response(runs.picture(self.runs, run, file), media_type="image/png")

    def _picture(self, key: Hashable, make: Callable[[], bytes]) -> Response:
        content = self.cache.get(key, make)
        return Response(content, media_type=pictures.mime(content))

    def route(self, path: str, answer: Callable[[Request], Response]) -> Route:
        """A route whose answer is made in the pool; what goes wrong is said, whatever a damaged store raises."""

        async def endpoint(request: Request) -> Response:
            try:
                return await self.pool.run(lambda: answer(request))
            except Busy:
                return busy()
            except Unknown as error:
                return JSONResponse({"error": str(error)}, 404)
            except Exception as error:
                return JSONResponse({"error": told(error)}, 409)

        return Route(path, endpoint, methods=["GET"])


def build(store: Store, runs_folder: Path, host: str = "127.0.0.1", token: str = "") -> Starlette:
    """The page over a store and a folder of runs, as it is served at this host; token: asked of everybody."""
    view = View(store, runs_folder)
    routes = [
        view.route("/", view.home),
        view.route("/api/dataset", view.columns),
        view.route("/api/sample", view.details),
        view.route("/api/runs", view.run_list),
        view.route("/api/run", view.run_whole),
        view.route("/strip", view.strip),
        view.route("/key", view.key),
        view.route("/thumbs", view.thumbs),
        view.route("/picture", view.run_picture),
        *(Route(path, _constant(content, kind), methods=["GET"]) for path, content, kind in _own_files()),
    ]
    known, addresses = names(host)
    guard = Middleware(Guard, hosts=known, addresses=addresses, token=token)

    @asynccontextmanager
    async def begun(app: Starlette) -> AsyncIterator[None]:
        view.pool.begin(view.warm)
        yield

    return Starlette(routes=routes, middleware=[guard], lifespan=begun)


def _own_files() -> Iterator[tuple[str, bytes, str]]:
    """What the page is made of, but for its beginning: paths, contents and media types. It is some 70 kB."""
    for file in (files("mepipe.view.server") / "static").iterdir():
        if file.name != "index.html":
            yield f"/{file.name}", file.read_bytes(), KINDS[file.name.rpartition(".")[2]]


def _constant(content: bytes, kind: str) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        return Response(content, media_type=kind)

    return endpoint


def _json(content: Any) -> Response:
    return Response(documents.to_json(content), media_type="application/json")


def _scale(request: Request, panel: Panel) -> float:
    """What was asked for, to three digits: so a cache is not filled with one picture at a thousand scales."""
    if panel.kind == "picture":
        return panel.white
    text = request.query_params.get("scale", "")
    try:
        scale = float(f"{float(text):.3g}")
    except ValueError:
        scale = math.nan
    if not SCALES[0] <= scale <= SCALES[1]:
        raise Unknown(f"A scale is a number from {SCALES[0]:g} to {SCALES[1]:g}, not {text[:40]!r}.")
    return scale
