"""Push and pull between a folder and real servers: what moves, what stops it, what it must not believe."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mepipe import store as stores
from mepipe.datasets.manifest import Sample
from mepipe.errors import MepipeError
from mepipe.run.plan import snapshot_rows
from mepipe.store import Store, layout, sync
from mepipe.store.layout import FeatureSpec
from mepipe.store.ledger import Record
from mepipe.store.place import PlaceError
from mepipe.store.verify import verify
from tests import remotes
from tests.remotes import Sshd, Tap, s3, sshd  # noqa: F401 - fixtures

SAMPLES = [
    Sample(id=f"s{i}", subject="x", clip=f"c{i}", onset=0, apex=2, offset=20 + 5 * i, fps=200.0) for i in range(6)
]
NODES = {"flow": False, "align": True}  # shows a face


def spec(node: str, key: str) -> FeatureSpec:
    """A feature whose clips differ in length."""
    positions = [np.arange(s.offset + 1.0) for s in SAMPLES]
    lineage = {"stage": node, "version": 1, "params": {}, "libraries": {}, "upstream": "release"}
    about = {"node": node, "key": key * 64, "stage": node, "version": 1, "params": {}, "lineage": lineage}
    return FeatureSpec(
        folder=f"{node}-{key * 8}",
        dims=("frame", "channel", "y", "x"),
        shape=(max(map(len, positions)), 2, 8, 8),
        dtype="float32",
        channels=("u", "v"),
        positions=positions,
        varying=True,
        attributes={**about, "reads": [], "units": "px", "shows_face": NODES[node], "made_by": "tests"},
    )


def values(sample: Sample, seed: int) -> np.ndarray:
    return np.random.default_rng([seed, sample.offset]).random((sample.offset + 1, 2, 8, 8), np.float32)


def make(root: Path, *, seed: int = 0, key: str = "a", frames: str = "f", failing: str = "", ref: str = "lab") -> Store:
    """A store in which everything is done, but for one sample that may fail."""
    opened = stores.create(root)
    rows = snapshot_rows(SAMPLES, [frames + s.id for s in SAMPLES])
    snapshot = layout.create_snapshot(opened.place, "tiny", rows)
    for node in NODES:
        layout.create_feature(opened.place, snapshot, [s.id for s in SAMPLES], spec(node, key))
        feature = opened.feature(f"{snapshot}/{spec(node, key).folder}")
        for sample in SAMPLES:
            record = Record(sample=sample.id, state="failed", fingerprint="p", turn=1, reason="no face", seconds=1.0)
            if sample.id != failing:
                record = replace(record, state="done", reason="", digest=feature.write(sample.id, values(sample, seed)))
            feature.ledger.append([record])
    opened.set_ref("tiny", ref, snapshot, {node: spec(node, key).folder for node in NODES})
    return stores.open(root)


def bring(source: Store, target: str | Path, threads: int = 4, nodes: tuple[str, ...] = ()) -> list[sync.Moved]:
    """Everything, as the commands do."""
    features = [f for f in sync.choose(source) if not nodes or f.attributes["node"] in nodes]
    there = stores.create(target)
    moved = sync.run(there, sync.plan(there, features), threads)
    sync.set_refs(source, there, [f.path for f in features])
    return moved


def counts(moved: list[sync.Moved]) -> dict[str, int]:
    """Samples that arrived, by node."""
    return {m.path.split("/")[1].split("-")[0]: m.samples for m in moved}


def state(opened: Store) -> dict[str, Any]:
    """What refs, ledgers and arrays say."""
    found: dict[str, Any] = {}
    for feature in opened.all():
        records = {s: (r.state, r.digest, r.fingerprint, r.reason) for s, r in feature.records.items()}
        arrays = {s: feature[s].tobytes() for s in feature.done}
        found[feature.path] = (records, arrays, feature.attributes, feature.table.to_dict("list"))
    refs = {n: {k: (r.snapshot, r.nodes, r.time) for k, r in opened.refs(n).items()} for n in opened.datasets()}
    return {**found, "refs": refs}


def frozen(root: Path) -> dict[str, bytes]:
    """Every file but ledgers, refs' times and what is private."""
    files = (p for p in root.rglob("*") if p.is_file() and p.suffix != ".jsonl")
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in files}


# S3 by a stand-in server takes ten times as long; what differs there is tested by default elsewhere
SELDOM_S3 = pytest.mark.parametrize("url", ["folder", pytest.param("s3", marks=pytest.mark.slow), "ssh"], indirect=True)


@pytest.fixture(params=["folder", "s3", "ssh"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where no store is yet."""
    if request.param == "s3":
        return f"{remotes.bucket(request.getfixturevalue('s3'))}/features.zarr"
    if request.param == "ssh":
        return request.getfixturevalue("sshd").url(tmp_path / "there" / "features.zarr")
    return str(tmp_path / "there" / "features.zarr")


@SELDOM_S3
def test_there_and_back_is_the_same_store_to_the_byte(url: str, tmp_path: Path) -> None:
    mine = make(tmp_path / "mine", failing="s3")
    moved = bring(mine, url)
    assert [(m.samples, m.present, m.damaged) for m in moved] == [(5, 0, {})] * 2
    assert state(stores.open(url)) == state(mine)
    bring(stores.open(url), tmp_path / "back")
    assert state(stores.open(tmp_path / "back")) == state(mine)
    assert frozen(tmp_path / "back") == frozen(tmp_path / "mine")
    flow = stores.open(url).feature("tiny/flow")
    assert not verify(flow)
    np.testing.assert_array_equal(flow.torch(["s1"])[0].numpy(), mine.feature("tiny/flow")["s1"])


def test_xarray_reads_over_the_network(url: str, tmp_path: Path) -> None:
    pytest.importorskip("dask", reason="needs dask")
    mine = make(tmp_path / "mine")
    bring(mine, url, nodes=("flow",))
    flow = stores.open(url).feature("tiny/flow").xarray()
    expected = mine.feature("tiny/flow")["s2"]
    np.testing.assert_array_equal(flow.data[2, : len(expected)].values, expected)


def test_what_is_there_is_not_moved_again(s3: Tap, tmp_path: Path) -> None:  # noqa: F811
    url = f"{remotes.bucket(s3)}/features.zarr"
    mine = make(tmp_path / "mine", failing="s3")
    bring(mine, url)
    assert len(s3.chunks("PUT")) > 10
    bring(stores.open(url), tmp_path / "other")
    s3.calls.clear()
    assert [m.samples for m in bring(mine, url)] == [0, 0]
    assert [m.samples for m in bring(stores.open(url), tmp_path / "other")] == [0, 0]
    assert [m.present for m in bring(stores.open(url), tmp_path / "other")] == [5, 5]
    assert s3.chunks("PUT") == s3.chunks("GET") == []
    assert [call for call in s3.calls if call[0] not in ("GET", "HEAD")] == []
    assert sum(back for *_, back in s3.calls) < 100_000 < 2 * 5 * 21 * 2 * 64 * 4  # metadata, far below one pull


def test_only_what_is_missing_is_moved(s3: Tap, tmp_path: Path) -> None:  # noqa: F811
    url = f"{remotes.bucket(s3)}/features.zarr"
    mine = make(tmp_path / "mine", failing="s3")
    bring(mine, url)
    flow = mine.feature("tiny/flow")
    flow.ledger.append(
        [replace(flow.records["s3"], state="done", turn=2, digest=flow.write("s3", values(SAMPLES[3], 0)))]
    )
    s3.calls.clear()
    assert counts(bring(stores.open(tmp_path / "mine"), url)) == {"align": 0, "flow": 1}
    assert len(s3.chunks("PUT")) == len(flow.chunks(3))
    np.testing.assert_array_equal(stores.open(url).feature("tiny/flow")["s3"], flow.read(3))


@SELDOM_S3
def test_what_is_damaged_there_is_replaced(url: str, tmp_path: Path) -> None:
    mine = make(tmp_path / "mine")
    bring(mine, url)
    flow = stores.open(url).feature("tiny/flow")
    flow.place.write(flow.chunks(1)[0], b"broken")
    assert list(verify(flow)) == ["s1"]
    assert counts(bring(mine, url)) == {"align": 0, "flow": 1}
    assert state(stores.open(url)) == state(mine)


@SELDOM_S3
def test_a_damaged_sample_of_the_source_is_named_and_left_out(url: str, tmp_path: Path) -> None:
    bring(make(tmp_path / "mine"), url)
    place = stores.open(url).place
    flow = stores.open(url).feature("tiny/flow")
    chunk = bytearray(place.read(flow.chunks(1)[0]))
    chunk[100] ^= 1
    place.write(flow.chunks(1)[0], bytes(chunk))  # the checksum tells
    place.remove(flow.chunks(2)[0])
    place.write(flow.chunks(4)[0], place.read(flow.chunks(5)[0]))  # only the digest tells
    moved = bring(stores.open(url), tmp_path / "other")
    assert [sorted(m.damaged) for m in moved if "flow" in m.path] == [["s1", "s2", "s4"]]
    assert counts(moved) == {"align": 6, "flow": 3}
    other = stores.open(tmp_path / "other").feature("tiny/flow")
    assert other.done == ["s0", "s3", "s5"]
    assert not verify(other)


@SELDOM_S3
def test_two_push_at_once(url: str, tmp_path: Path) -> None:
    mine, yours = make(tmp_path / "mine"), make(tmp_path / "yours", key="b", ref="other")
    both = make(tmp_path / "both")
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda source: bring(source, url), (mine, yours, both)))
    there = stores.open(url)
    assert set(there.refs("tiny")) == {"lab", "other"}
    assert {f.path for f in there.all()} == {f.path for s in (mine, yours) for f in s.all()}
    for feature in there.all():
        assert len(feature.done) == 6
        assert not verify(feature)


@SELDOM_S3
def test_two_that_push_other_values_of_one_key_leave_records_that_tell_the_truth(url: str, tmp_path: Path) -> None:
    mine, yours = make(tmp_path / "mine", seed=1), make(tmp_path / "yours", seed=2)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda source: bring(source, url), (mine, yours)))
    for feature in stores.open(url).all():
        assert len(feature.done) == 6
        assert not verify(feature)


def _pull(url: str, target: Path) -> None:
    bring(stores.open(url), target, threads=1)


@pytest.mark.parametrize("after", [pytest.param(1, marks=pytest.mark.slow), 4])
def test_a_pull_that_is_killed_goes_on_where_it_was(
    s3: Tap,  # noqa: F811
    tmp_path: Path,
    after: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mepipe.store.transfer.BATCH", 1)
    url = f"{remotes.bucket(s3)}/features.zarr"
    mine = make(tmp_path / "mine")
    bring(mine, url)
    s3.calls.clear()
    child = multiprocessing.get_context("fork").Process(target=_pull, args=(url, tmp_path / "other"))
    child.start()
    end = time.monotonic() + 60
    while len(s3.chunks("GET")) < 2 * after and child.is_alive() and time.monotonic() < end:
        time.sleep(0.002)
    os.kill(child.pid or 0, signal.SIGKILL)
    child.join()
    assert child.exitcode == -signal.SIGKILL
    kept = sum(len(f.done) for f in stores.open(tmp_path / "other").all())
    assert kept < 12
    moved = bring(stores.open(url), tmp_path / "other")
    assert sum(m.samples for m in moved) == 12 - kept
    assert state(stores.open(tmp_path / "other")) == state(mine)


@pytest.mark.slow
@pytest.mark.parametrize("direction", ["push", "pull"])
def test_a_server_that_fails_at_any_call_leaves_what_the_next_run_completes(
    s3: Tap,  # noqa: F811
    tmp_path: Path,
    direction: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import botocore.config

    _without_retries(monkeypatch, botocore.config)
    mine = make(tmp_path / "mine")
    full = f"{remotes.bucket(s3)}/features.zarr"
    if direction == "pull":
        bring(mine, full)
    s3.calls.clear()
    bring(mine, f"{remotes.bucket(s3)}/x") if direction == "push" else bring(stores.open(full), tmp_path / "x")
    calls = len(s3.calls)
    for left in (calls // 4, calls * 3 // 4):
        target = f"{remotes.bucket(s3)}/x" if direction == "push" else tmp_path / f"{left}"
        s3.left = left
        with pytest.raises(MepipeError) as caught:
            bring(mine, target) if direction == "push" else bring(stores.open(full), target)
        assert "\n" not in str(caught.value)
        s3.left = None
        bring(mine, target) if direction == "push" else bring(stores.open(full), target)
        assert state(stores.open(target)) == state(mine)


def _without_retries(monkeypatch: pytest.MonkeyPatch, module: Any) -> None:
    """A server that is gone answers no retry either; waiting for them takes a minute."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr("s3fs.core.S3FileSystem.retries", 1)


def test_a_place_that_may_only_be_read(sshd: Sshd, tmp_path: Path) -> None:  # noqa: F811
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    mine = make(tmp_path / "mine")
    (tmp_path / "team").mkdir(mode=0o555)
    with pytest.raises(PlaceError, match="Check your key and what it allows"):
        bring(mine, sshd.url(tmp_path / "team" / "x"))


@SELDOM_S3
def test_a_store_that_may_only_be_read_is_pulled_from(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = make(tmp_path / "mine")
    bring(mine, url)
    source = stores.open(url)
    for name in ("write", "remove", "copy", "building"):
        monkeypatch.setattr(source.place, name, None)  # whoever calls it fails
    bring(source, tmp_path / "other")
    assert state(stores.open(tmp_path / "other")) == state(mine)


# Refs -----------------------------------------------------------------------------------------------------------------


def test_the_newest_ref_counts_and_nobody_elses_goes(tmp_path: Path) -> None:
    old = make(tmp_path / "old", frames="old")
    theirs = make(tmp_path / "theirs", ref="theirs")
    new = make(tmp_path / "new", frames="new")
    for source in (old, theirs, new, old):
        bring(source, tmp_path / "team")
    refs = stores.open(tmp_path / "team").refs("tiny")
    assert set(refs) == {"lab", "theirs"}
    assert refs["lab"] == new.refs("tiny")["lab"]


def test_a_newer_ref_with_fewer_nodes_leaves_the_others_reachable(tmp_path: Path) -> None:
    old, new = make(tmp_path / "old", frames="old"), make(tmp_path / "new", frames="new")
    bring(old, tmp_path / "team")
    bring(new, tmp_path / "team", nodes=("flow",))
    team = stores.open(tmp_path / "team")
    assert team.feature("tiny/flow").path == new.feature("tiny/flow").path
    assert team.feature("tiny/align").path == old.feature("tiny/align").path


def test_a_ref_names_only_what_is_there_and_gains_what_comes_later(tmp_path: Path) -> None:
    mine = make(tmp_path / "mine")
    bring(mine, tmp_path / "team", nodes=("flow",))
    assert list(stores.open(tmp_path / "team").refs("tiny")["lab"].nodes) == ["flow"]
    bring(mine, tmp_path / "team", nodes=("align",))
    assert stores.open(tmp_path / "team").refs("tiny") == mine.refs("tiny")


# What must not be believed --------------------------------------------------------------------------------------------


def _edit(path: Path, change: Mapping[str, Any]) -> None:
    content = json.loads(path.read_text())
    for name, value in change.items():
        *above, last = name.split("/")
        place = content
        for part in above:
            place = place[part]
        place[last] = value
    path.chmod(0o644)
    path.write_text(json.dumps(content))


HOSTILE = {
    "absurd shape": ("data/zarr.json", {"shape": [6, 1 << 40, 2, 8, 8]}),
    "absurd chunk": ("data/zarr.json", {"chunk_grid/configuration/chunk_shape": [1, 1 << 40, 2, 8, 8]}),
    "absurd coordinate": ("sample/zarr.json", {"shape": [1 << 40]}),
    "codec that swells": ("data/zarr.json", {"codecs": [{"name": "bytes"}, {"name": "zstd", "configuration": {}}]}),
    "objects": ("data/zarr.json", {"data_type": "object"}),
    "no shape": ("data/zarr.json", {"shape": "big"}),
    "other node": ("zarr.json", {"attributes/node": "../../../evil"}),
    "other key": ("zarr.json", {"attributes/key": "b" * 64}),
    "no attributes": ("zarr.json", {"attributes": []}),
    "nothing said of faces": ("zarr.json", {"attributes/shows_face": "no"}),
    "length beyond": ("data/zarr.json", {"shape": [5, 46, 2, 8, 8]}),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_feature_is_refused_in_one_line(case: str, tmp_path: Path) -> None:
    source = make(tmp_path / "mine")
    path = source.feature("tiny/flow").path
    file, change = HOSTILE[case]
    _edit(tmp_path / "mine" / path / file, change)
    with pytest.raises(MepipeError) as caught:
        bring(stores.open(tmp_path / "mine"), tmp_path / "target", nodes=())
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "target").rglob("flow-*"))


def test_a_sample_table_that_was_changed_is_refused(tmp_path: Path) -> None:
    source = make(tmp_path / "mine")
    snapshot = source.snapshots()[0]
    other = make(tmp_path / "other", frames="g").snapshots()[0]
    shutil.rmtree(tmp_path / "mine" / snapshot / "frames")
    shutil.copytree(tmp_path / "other" / other / "frames", tmp_path / "mine" / snapshot / "frames")
    with pytest.raises(MepipeError, match="not the one it is named after"):
        bring(stores.open(tmp_path / "mine"), tmp_path / "target")


@pytest.mark.parametrize("name", ["../../evil", "/tmp/evil", "..", "a/../../../evil", "\x1b[31m"])
def test_names_that_lead_out_of_the_store_go_nowhere(name: str, tmp_path: Path) -> None:
    url = str(tmp_path / "there")
    source = make(tmp_path / "mine")
    bring(source, url)
    place = stores.open(url).place
    ref = json.loads(place.read("refs/tiny/lab.json"))
    for broken in (
        {**ref, "snapshot": f"{name}@00000000"},
        {**ref, "nodes": {"flow": name}},
        {**ref, "nodes": {name: ref["nodes"]["flow"]}},
        {**ref, "nodes": [name]},
    ):
        place.write("refs/tiny/lab.json", json.dumps(broken).encode())
        before = {p for p in tmp_path.rglob("*") if "there" not in p.parts}
        with suppress(MepipeError):
            bring(stores.open(url), tmp_path / "deep" / "down" / "target")
        after = {p for p in tmp_path.rglob("*") if "there" not in p.parts}
        inside = tmp_path / "deep"
        assert {p for p in after - before if inside not in (p, *p.parents)} == set()
        assert not Path("/tmp/evil").exists()
        text = "".join(p.name for p in inside.rglob("*"))
        assert "evil" not in text
        assert "\x1b" not in text
        shutil.rmtree(inside, ignore_errors=True)


def test_a_ledger_with_strange_records_is_refused(tmp_path: Path) -> None:
    source = make(tmp_path / "mine")
    flow = source.feature("tiny/flow")
    flow.ledger.append([replace(flow.records["s1"], turn=9, digest="../../evil")])
    with pytest.raises(MepipeError, match="no proper record"):
        bring(stores.open(tmp_path / "mine"), tmp_path / "target")
