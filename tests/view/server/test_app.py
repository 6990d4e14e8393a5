"""What the page is told, against values that are known."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

pytest.importorskip("starlette")

from starlette.testclient import TestClient

from benchmarks import synthetic_store as truth
from mepipe import store
from mepipe.view.colour import flow_colours
from mepipe.view.server import catalog
from mepipe.view.server.pictures import Strip
from tests.view import known_store
from tests.view.server.conftest import COUNT, SIZE, client

Ask = Callable[..., Any]
MIDDLE = SIZE // 2


def panel(sample: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in sample["panels"] if one["name"] == name)


def strip(page: TestClient, panel: dict[str, Any], sample: str, scale: float = 1.0) -> np.ndarray:
    """Its frames, uint8 [T, H, W, 3]."""
    answer = page.get("/strip", params={"dataset": "synthetic", "panel": panel["panel"], "id": sample, "scale": scale})
    assert answer.status_code == 200, answer.text
    width, height = panel["size"]
    sheet = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB"))
    cells = sheet.reshape(-1, height, sheet.shape[1] // width, width, 3).transpose(2, 0, 1, 3, 4)
    return cells.reshape(-1, height, width, 3)[: panel["shown"]]


def thumbs(page: TestClient, *samples: str) -> list[bytes]:
    answer = page.get("/thumbs", params={"dataset": "synthetic", "id": list(samples)})
    assert answer.status_code == 200
    found, left = [], answer.content
    while left:
        size = int.from_bytes(left[:4], "big")
        found.append(left[4 : 4 + size])
        left = left[4 + size :]
    return found


def test_all_samples_come_by_column(ask: Ask) -> None:
    found = ask("/api/dataset")
    assert len(found["id"]) == COUNT
    emotion = found["columns"]["emotion"]
    assert [emotion["values"][code] for code in emotion["codes"]] == [truth.EMOTIONS[i % 6] for i in range(COUNT)]
    units = dict(zip(found["columns"]["aus"]["values"], found["columns"]["aus"]["units"], strict=True))
    assert units["14|L15"] == [14, 15]
    assert units["4+R9"] == [4, 9]
    assert units[""] == []


def test_what_failed_or_is_missing_is_told_by_feature(ask: Ask) -> None:
    features = {one["node"]: one for one in ask("/api/dataset")["features"]}
    assert features["frames"]["failed"] == {truth.WHY: [19, 39, 59]}
    assert features["frames"]["missing"] == []
    assert (features["strain"]["failed"], features["strain"]["missing"]) == ({truth.WHY: [19, 39]}, [59])
    assert features["flow.tvl1"]["lineage"]["upstream"]["stage"] == "align"


def test_a_sample_that_a_feature_was_not_asked_for_is_not_missing(tmp_path: Path) -> None:
    """As after `mepipe manifest spot`, whose feature is of the samples without an apex."""
    known_store.write(tmp_path / "features.zarr", {"a": {}, "b": {}})
    known_store.write(tmp_path / "features.zarr", {"b": {}}, recipe="spot+apex")
    found = client(tmp_path).get("/api/dataset", params={"dataset": "demo"}).json()
    told = {(one["recipe"], one["node"]): (one["missing"], one["unasked"]) for one in found["features"]}
    assert found["id"] == ["a", "b"]
    assert told["features", "frames"] == ([], [])
    assert told["spot+apex", "frames"] == ([], [0])


def test_flags_of_qc_are_told_and_whether_they_are_old(copy: Path) -> None:
    query = {"dataset": "synthetic"}
    found = client(copy).get("/api/dataset", params=query).json()["qc"]
    assert (found["flags"], found["old"], found["scores"][3:6]) == ({"blink": [3]}, False, [1.5, 0.5, None])
    path = copy / "features.zarr" / "qc" / "synthetic.json"
    path.write_text(path.read_text().replace('"snapshot": "synthetic@', '"snapshot": "synthetic@0'))
    assert client(copy).get("/api/dataset", params=query).json()["qc"]["old"] is True
    path.write_text('{"samples": []}')
    assert "not as mepipe qc writes" in client(copy).get("/api/dataset", params=query).json()["qc"]["problem"]
    path.unlink()
    assert client(copy).get("/api/dataset", params=query).json()["qc"]["command"] == "mepipe qc --dataset synthetic"


def test_a_sample_has_its_frame_numbers_and_its_motion(ask: Ask) -> None:
    found = ask("/api/sample", id="s000_03")
    assert found["marks"] == {"onset": 103, "apex": 103 + 35, "offset": 103 + 75}
    assert found["fps"] == truth.FPS
    assert found["flags"][0]["flag"] == "blink"
    flow = panel(found, "flow.tvl1")
    assert flow["positions"] == [103 + 5 * i for i in range(1, 16)]
    far, _ = truth.amount(3)
    np.testing.assert_allclose(flow["motion"], far * truth.course(np.arange(1, 16)), atol=2e-3)  # float16
    assert [one["name"] for one in found["panels"]] == [
        "frames", "magnify.frames", "flow.tvl1", "strain", "rank-pool", "motion-map · flow", "motion-map · strain",
    ]  # fmt: skip


def test_a_strip_has_the_colours_of_the_flow_frame_by_frame(page: TestClient, ask: Ask) -> None:
    frames = strip(page, panel(ask("/api/sample", id="s000_02"), "flow.tvl1"), "s000_02", scale=2.0)
    far, angle = truth.amount(2)
    assert len(frames) == 15
    for number, share in enumerate(truth.course(np.arange(1, 16))):
        known = np.array([math.cos(angle), math.sin(angle)]) * far * share
        expected = flow_colours(known[:, None, None], 2.0)[0, 0] * 255
        np.testing.assert_allclose(frames[number, MIDDLE, MIDDLE], expected, atol=1.5)
        np.testing.assert_array_equal(frames[number, 0, 0], [255, 255, 255])


def test_a_strip_of_pictures_has_the_frames_in_order(page: TestClient, ask: Ask) -> None:
    found = panel(ask("/api/sample", id="s000_01"), "frames")
    shown = strip(page, found, "s000_01").astype(float)
    expected = truth.values(1, SIZE)["frames"].astype(float)
    assert np.abs(shown - expected).mean() < 4  # JPEG
    assert np.corrcoef(shown[:, 12:20, 12:20].mean(axis=(1, 2, 3)), truth.course(np.arange(16)))[0, 1] > 0.99


def test_a_thumbnail_shows_the_apex(page: TestClient) -> None:
    (content,) = thumbs(page, "s000_05")
    shown = np.asarray(Image.open(io.BytesIO(content)).convert("L")).astype(float)
    frames = truth.values(5, SIZE)["frames"][..., 0].astype(float)
    errors = [np.abs(shown - frame).mean() for frame in frames]
    assert int(np.argmin(errors)) == truth.APEX


def test_a_failed_sample_says_why_wherever_it_is_asked_for(page: TestClient, ask: Ask) -> None:
    found = ask("/api/sample", id="s000_19")
    assert {one["absent"] for one in found["panels"]} == {truth.WHY}
    assert found["landmarks"] is None
    query = {"dataset": "synthetic", "id": "s000_19", "panel": found["panels"][0]["panel"]}
    refused = page.get("/strip", params=query)
    assert refused.status_code == 409
    assert truth.WHY in refused.json()["error"]
    assert [len(one) > 0 for one in thumbs(page, "s000_18", "s000_19", "s000_20")] == [True, False, True]


@given(st.integers(1, 3000), st.integers(1, 512), st.integers(1, 512), st.sampled_from(["picture", "flow", "strain"]))
def test_every_frame_of_a_strip_has_a_place_of_its_own(count: int, height: int, width: int, kind: str) -> None:
    shape = {"picture": (count, height, width, 3), "flow": (count, 2, height, width), "strain": (count, height, width)}
    lie = Strip.of(shape[kind], kind)
    assert (lie.frames, lie.height, lie.width) == (count, height, width)
    assert lie.chosen[0] == 0
    assert lie.chosen[-1] == count - 1 or len(lie.chosen) == 1
    assert sorted(set(lie.chosen)) == list(lie.chosen)
    assert len(lie.chosen) <= lie.rows * lie.columns < len(lie.chosen) + lie.rows
    assert max(lie.rows * height, lie.columns * width) <= 8192


_ODD = st.one_of(
    st.sampled_from(["", "..", "../../etc/passwd", "/etc/passwd", "\0", "%2e%2e%2f", "s000_03/../s000_04", "synthetic",
                     "nan", "inf", "1e999", "-1", "0", "frames-00000001", "frames-00000001:flow", "confusion.png"]),
    st.text(max_size=40),
)  # fmt: skip
_PATHS = st.sampled_from(["/api/dataset", "/api/sample", "/api/run", "/strip", "/key", "/thumbs", "/picture"])


@settings(max_examples=150)
@given(path=_PATHS, odd=st.dictionaries(st.sampled_from(["dataset", "id", "panel", "scale", "run", "picture"]), _ODD))
def test_whatever_is_asked_is_answered_or_not_known(shared: TestClient, path: str, odd: dict[str, str]) -> None:
    known = {"dataset": "synthetic", "id": "s000_03", "panel": "flow.tvl1-00000003", "scale": "1"}
    known |= {"run": "mlp-synthetic-1", "picture": "confusion.png"}
    answer = shared.get(path, params={**known, **odd})
    assert answer.status_code in (200, 404)
    if answer.status_code == 404:
        assert answer.json()["error"]


@pytest.fixture(scope="module")
def shared(lab: Path) -> TestClient:
    return client(lab)


@pytest.mark.parametrize(
    "path",
    [
        "/../app.py",
        "/%2e%2e/app.py",
        "/..%2fapp.py",
        "//etc/passwd",
        "/static/../../app.py",
        "/app.py",
        "/%00",
        "/index.html/x",
    ],
)
def test_no_file_but_the_pages_own_can_be_had(page: TestClient, path: str) -> None:
    answer = page.get(path)
    assert answer.status_code == 404, answer.text[:80]


def test_everything_the_page_is_made_of_is_there(page: TestClient) -> None:
    home = page.get("/").text
    about = json.loads(home.split('id="about">')[1].split("</script>")[0])
    assert about["datasets"] == ["synthetic"]
    folder = Path(catalog.__file__).parent / "static"
    for file in folder.iterdir():
        assert file.name == "index.html" or page.get(f"/{file.name}").content == file.read_bytes()
        assert "http://" not in file.read_text().replace("http://www.w3.org/2000/svg", ""), "nothing from elsewhere"


def test_what_was_extracted_since_is_seen(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = client(copy)
    assert len(page.get("/api/dataset", params={"dataset": "synthetic"}).json()["features"]) == 7
    opened = store.open(copy / "features.zarr")
    ref = opened.refs("synthetic")["features"]
    opened.set_ref("synthetic", "features", ref.snapshot, {"frames": ref.nodes["frames"]})
    monkeypatch.setattr(catalog, "FRESH", 0.0)
    assert len(page.get("/api/dataset", params={"dataset": "synthetic"}).json()["features"]) == 1


def test_nodes_that_several_recipes_have_are_told_apart(copy: Path) -> None:
    opened = store.open(copy / "features.zarr")
    ref = opened.refs("synthetic")["features"]
    source, made = (copy / "features.zarr" / ref.snapshot / f"frames-{key}" for key in ("00000001", "0000000f"))
    made.mkdir()
    for path in sorted(source.rglob("*")):
        target = made / path.relative_to(source)
        target.mkdir() if path.is_dir() else target.write_bytes(path.read_bytes())
    opened.set_ref("synthetic", "other", ref.snapshot, {"frames": "frames-0000000f"}, made=ref.time - 1)
    found = client(copy).get("/api/dataset", params={"dataset": "synthetic"}).json()
    assert {one["label"] for one in found["features"] if one["node"] == "frames"} == {
        "frames (features)",
        "frames (other)",
    }


def test_values_that_are_no_numbers_are_shown_as_such(copy: Path) -> None:
    from mepipe.store.feature import Feature, digest
    from mepipe.store.ledger import Record

    feature = store.open(copy / "features.zarr").feature("synthetic/flow.tvl1")
    values = np.array(feature["s000_00"])
    values[3, :, :16] = np.inf
    values[4, 0, 0, 0] = np.nan
    feature.write("s000_00", values)
    Feature(feature.place, feature.path).ledger.append([Record("s000_00", "done", "", turn=1, digest=digest(values))])
    page = client(copy)
    found = page.get("/api/sample", params={"dataset": "synthetic", "id": "s000_00"})
    flow = panel(json.loads(found.text, parse_constant=pytest.fail), "flow.tvl1")
    assert 0 < flow["unfit"] < 0.1
    assert flow["motion"][3] is None
    assert 0 < flow["scale"] < 10
    assert strip(page, flow, "s000_00").shape == (15, SIZE, SIZE, 3)
