from __future__ import annotations

import multiprocessing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zarr

from mepipe import store
from mepipe.errors import MepipeError, UsageError
from mepipe.store import layout
from mepipe.store.feature import Feature, digest
from mepipe.store.layout import FeatureSpec
from mepipe.store.ledger import Record
from mepipe.store.place import Folder
from mepipe.store.verify import verify

IDS = ["a", "b", "c"]
ROWS = [
    {"id": i, "subject": "s", "clip": i, "onset": 0, "apex": None, "offset": 39, "fps": 200.0, "frames": "d" + i}
    for i in IDS
]
ATTRIBUTES = {"key": "k" * 64, "units": "px", "node": "flow", "shows_face": False}


def spec(lengths: list[int] | None = None) -> FeatureSpec:
    """A flow feature of 40 x 8 pixels; with lengths, one whose clips differ."""
    positions = [np.arange(n, dtype=float) for n in (lengths or [5, 5, 5])]
    shape = (max(map(len, positions)), 2, 8, 8)
    return FeatureSpec(
        folder="flow-0123abcd",
        dims=("frame", "channel", "y", "x"),
        shape=shape,
        dtype="float32",
        channels=("u", "v"),
        positions=positions,
        varying=lengths is not None,
        attributes=ATTRIBUTES,
    )


def make(root: Path, lengths: list[int] | None = None) -> Feature:
    opened = store.create(root)
    snapshot = layout.create_snapshot(Folder(root), "demo", ROWS)
    layout.create_feature(Folder(root), snapshot, IDS, spec(lengths))
    opened.set_ref("demo", "features", snapshot, {"flow": "flow-0123abcd"})
    return opened.feature("demo/flow")


def values(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, 2, 8, 8)).astype(np.float32)


def put(feature: Feature, sample: str, array: np.ndarray) -> None:
    found = feature.write(sample, array)
    feature.ledger.append([Record(sample=sample, state="done", fingerprint="f", turn=1, digest=found)])


def again(feature: Feature) -> Feature:
    return Feature(feature.place, feature.path)


@pytest.mark.parametrize(("dtype", "fill"), [("uint8", 0), ("float32", np.nan)])
def test_an_array_of_nothing_but_the_fill_value_is_there(tmp_path: Path, dtype: str, fill: float) -> None:
    store.create(tmp_path)
    snapshot = layout.create_snapshot(Folder(tmp_path), "demo", ROWS)
    layout.create_feature(Folder(tmp_path), snapshot, IDS, replace(spec(), dtype=dtype))
    feature = Feature(Folder(tmp_path), f"{snapshot}/flow-0123abcd")
    black = np.full((5, 2, 8, 8), fill, dtype)
    put(feature, "b", black)
    np.testing.assert_array_equal(again(feature)["b"], black)


def test_what_is_written_is_read_and_what_is_not_is_refused(tmp_path: Path) -> None:
    feature = make(tmp_path / "s.zarr")
    put(feature, "b", values(5))
    feature = again(feature)
    np.testing.assert_array_equal(feature["b"], values(5))
    assert (feature.done, feature.missing) == (["b"], ["a", "c"])
    with pytest.raises(MepipeError, match=r"sample a is not there \(not computed\)"):
        feature["a"]


def test_clips_of_different_lengths_are_read_without_padding(tmp_path: Path) -> None:
    lengths = [40, 3, 16]
    feature = make(tmp_path / "s.zarr", lengths)
    for sample, n in zip(IDS, lengths, strict=True):
        put(feature, sample, values(n, n))
    for sample, n in zip(IDS, lengths, strict=True):
        np.testing.assert_array_equal(again(feature)[sample], values(n, n))
        np.testing.assert_array_equal(again(feature).position(sample), np.arange(n))


def test_an_array_of_another_shape_than_declared_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MepipeError, match="has shape"):
        make(tmp_path / "s.zarr").write("a", values(4))


def test_zarr_and_xarray_read_names_and_coordinates(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    feature = make(tmp_path / "s.zarr")
    put(feature, "b", values(5))
    array = zarr.open(tmp_path / "s.zarr", mode="r")[f"{feature.path}/data"]
    assert array.metadata.dimension_names == ("sample", "frame", "channel", "y", "x")
    import xarray as xr

    plain = xr.open_zarr(tmp_path / "s.zarr", group=feature.path, consolidated=False)
    for dataset in (again(feature).xarray(), plain):
        flow = dataset["data"].sel(sample="b", channel="v")
        np.testing.assert_array_equal(flow.values, values(5)[:, 1])
        assert flow.dims == ("frame", "y", "x")
        assert dataset["length"].sel(sample="b") == 5
    root = zarr.open_group(tmp_path / "s.zarr", mode="r")
    assert {name for name, _ in root.groups()} == {"refs", feature.path.split("/")[0]}
    assert "data" in dict(root[feature.path].arrays())
    assert [str(w.message) for w in recwarn] == []


def test_torch_and_numpy_give_the_same(tmp_path: Path) -> None:
    feature = make(tmp_path / "s.zarr")
    for sample in ("a", "c"):
        put(feature, sample, values(5, ord(sample)))
    feature = again(feature)
    stacked = feature.numpy()
    assert stacked.shape == (2, 5, 2, 8, 8)
    assert len(feature.torch()) == 2
    np.testing.assert_array_equal(feature.torch(["c"])[0].numpy(), stacked[1])


@pytest.mark.parametrize("lengths", [None, [40, 40, 40]])
@pytest.mark.parametrize("fault", ["flip", "truncate", "delete", "swap"])
def test_damage_is_named_and_repair_is_possible(tmp_path: Path, fault: str, lengths: list[int] | None) -> None:
    feature = make(tmp_path / "s.zarr", lengths)
    n = 40 if lengths else 5
    for sample in IDS:
        put(feature, sample, values(n, ord(sample)))
    file = tmp_path / "s.zarr" / feature.chunks(1)[-1]
    content = file.read_bytes()
    file.chmod(0o644)  # finished data is read-only
    if fault == "flip":
        file.write_bytes(content[:100] + bytes([content[100] ^ 4]) + content[101:])
    elif fault == "truncate":
        file.write_bytes(content[:-7])
    elif fault == "delete":
        file.unlink()
    else:  # whole and with a right checksum, but of another sample
        file.write_bytes((tmp_path / "s.zarr" / feature.chunks(0)[-1]).read_bytes())
    if fault != "swap":
        with pytest.raises(MepipeError, match="sample b is damaged"):
            again(feature)["b"]
    assert list(verify(again(feature))) == ["b"]
    assert (again(feature).missing, again(feature).done) == (["b"], ["a", "c"])
    turn = again(feature).records["b"].turn
    found = again(feature).write("b", values(n, ord("b")))
    feature.ledger.append([Record(sample="b", state="done", fingerprint="f", turn=turn + 1, digest=found)])
    assert verify(again(feature)) == {}
    np.testing.assert_array_equal(again(feature)["b"], values(n, ord("b")))


def test_digests_tell_shape_and_dtype_apart() -> None:
    zeros = np.zeros((2, 8), np.float32)
    assert digest(zeros) == digest(zeros.copy())
    assert len({digest(zeros), digest(zeros.reshape(8, 2)), digest(zeros.astype(np.float64)[:, :4])}) == 3
    assert digest(zeros) == digest(np.asfortranarray(zeros))


def _race(root: Path, barrier: object, out: object) -> None:
    barrier.wait()  # type: ignore[attr-defined]
    feature = make(root)
    out.put((feature.path, feature.shape, feature.ids))  # type: ignore[attr-defined]


def test_makers_that_start_at_the_same_instant_on_nothing_agree(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    barrier, out = context.Barrier(4), context.Queue()
    workers = [context.Process(target=_race, args=(tmp_path / "s.zarr", barrier, out)) for _ in range(4)]
    for worker in workers:
        worker.start()
    results = [out.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join()
    assert all(r == results[0] for r in results)
    assert not list((tmp_path / "s.zarr").rglob("*.partial"))


def test_a_folder_with_other_things_is_not_taken_for_a_store(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(MepipeError, match="not a store"):
        store.create(tmp_path)


def test_names_that_do_not_exist_come_with_the_nearest(tmp_path: Path) -> None:
    make(tmp_path / "s.zarr")
    opened = store.open(tmp_path / "s.zarr")
    with pytest.raises(UsageError, match="Did you mean 'flow'"):
        opened.feature("demo/flw")
    with pytest.raises(UsageError, match="Did you mean 'demo'"):
        opened.feature("dmo/flow")
    with pytest.raises(UsageError, match="No store at"):
        store.open(tmp_path / "nothing")


@pytest.mark.parametrize("name", ["demo@../../x/y", "../demo/flow", "demo@0123abcd/../../etc", "demo@0123abcd/x"])
def test_no_name_leads_out_of_the_store(tmp_path: Path, name: str) -> None:
    make(tmp_path / "s.zarr")
    with pytest.raises(MepipeError):
        store.open(tmp_path / "s.zarr").feature(name)


def test_a_ref_made_hostile_is_refused(tmp_path: Path) -> None:
    make(tmp_path / "s.zarr")
    path = tmp_path / "s.zarr" / "refs" / "demo" / "features.json"
    path.write_text(path.read_text().replace("flow-0123abcd", "../../flow-0123abcd"))
    with pytest.raises(MepipeError, match="not a ref"):
        store.open(tmp_path / "s.zarr").feature("demo/flow")
    path.write_text("[]")
    with pytest.raises(MepipeError, match="not a ref"):
        store.open(tmp_path / "s.zarr").feature("demo/flow")
