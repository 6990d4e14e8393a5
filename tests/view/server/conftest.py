"""A store whose values are known, with runs and flags, as a laboratory would have them; and the page over it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks import browser, synthetic_store
from mepipe import store

if TYPE_CHECKING:
    from starlette.testclient import TestClient

    from tests.view.server.person import User

SIZE = 32
COUNT = 60  # the 20th, 40th, 60th have failed; the last has no strain either
HOME = "http://127.0.0.1"


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """features.zarr and runs/ in a folder that no test changes."""
    root = tmp_path_factory.mktemp("lab")
    opened = synthetic_store.make(root / "features.zarr", COUNT, SIZE, fail_every=20, distinct=8)
    flag = {"flag": "blink", "value": 3.25, "limit": 2.0, "why": "The eyes close."}
    checked = {
        "dataset": "synthetic",
        "snapshot": opened.refs("synthetic")["features"].snapshot,
        "thresholds": {"blink": {"limit": 2.0, "why": "The eyes close."}},
        "samples": {"s000_03": {"score": 1.5, "flags": [flag]}, "s000_04": {"score": 0.5, "flags": []}},
    }
    (root / "features.zarr" / "qc").mkdir()
    (root / "features.zarr" / "qc" / "synthetic.json").write_text(json.dumps(checked))
    write_run(root / "runs" / "mlp-synthetic-1")
    return root


@pytest.fixture
def copy(lab: Path, tmp_path: Path) -> Path:
    """The same, to be changed."""
    return Path(shutil.copytree(lab, tmp_path / "lab"))


def client(root: Path, **more: Any) -> TestClient:
    """Who asks the page over a lab."""
    pytest.importorskip("httpx")
    from starlette.testclient import TestClient

    from mepipe.view.server.app import build

    app = build(store.open(root / "features.zarr"), root / "runs", **more)
    return TestClient(app, base_url=HOME, raise_server_exceptions=False, follow_redirects=False)


@pytest.fixture
def page(lab: Path) -> TestClient:
    return client(lab)


@pytest.fixture
def ask(page: TestClient) -> Callable[..., Any]:
    """JSON from the page, of the one dataset there is."""

    def get(path: str, **query: Any) -> Any:
        answer = page.get(path, params={"dataset": "synthetic", **query})
        assert answer.status_code == 200, answer.text
        return answer.json()

    return get


def write_run(folder: Path, **changes: Any) -> None:
    """A run folder as training leaves it: of four samples one is wrong."""
    (folder / "folds").mkdir(parents=True)
    config = {"model": "mlp", "configuration": "tiny", "datasets": ["synthetic"], "protocol": "loso", "seed": 3}
    config |= {"classes": ["negative", "positive"], "parameters": {"hidden": 8}}
    scores = {"ACC": 0.75, "F1": 0.733, "UF1": 0.733, "UAR": 0.75}
    metrics = {
        **scores,
        "confusion": [[1, 1], [0, 2]],
        "per_class": {},
        "intervals": {"ACC": [0.5, 1.0]},
        "reported": "last epoch",
        "weights": "from scratch",
        "folds": 2,
        "samples": 4,
        "oracle": {**dict.fromkeys(scores, 1.0), "note": "selected on test data"},
    }
    predictions = ["id,subject,fold,true,predicted,p_negative,p_positive"]
    for sample, truth, guess, p in (("00", 0, 0, 0.9), ("01", 0, 1, 0.2), ("02", 1, 1, 0.1), ("03", 1, 1, 0.3)):
        names = [config["classes"][i] for i in (truth, guess)]
        predictions.append(f"s000_{sample},s000,s000,{names[0]},{names[1]},{p},{1 - p:.3}")
    files = {"config.json": config, "metrics.json": metrics, "environment.json": {}, "folds/a.json": {}} | changes
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))
    (folder / "predictions.csv").write_text("\n".join(predictions) + "\n")
    (folder / "confusion.png").write_bytes(b"\x89PNG\r\n\x1a\n rest")


@pytest.fixture(scope="session")
def opened(lab: Path) -> Iterator[User]:
    """A browser with the page over a lab."""
    pytest.importorskip("selenium")
    if browser.program() is None:
        pytest.skip("needs Chromium and its driver (apt-get install chromium chromium-driver)")
    from tests.view.server.person import User

    arguments = ["--store", lab / "features.zarr", "--runs", lab / "runs"]
    with browser.served(arguments) as (address, _), browser.chromium() as driver:
        yield User(driver, address)


@pytest.fixture
def user(opened: User) -> Iterator[User]:
    """At the end nothing may have been complained of in the console."""
    browser.resize(opened.driver, 1280, 800)
    opened.open()
    opened.wait(lambda: opened.all(".tile img"))
    yield opened
    assert browser.complaints(opened.driver) == []
