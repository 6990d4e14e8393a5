from __future__ import annotations

import json
import os
import resource
from pathlib import Path

import numpy as np
import pytest
import torch
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from mepipe import store
from mepipe.errors import MepipeError
from mepipe.store import layout, plain
from mepipe.store.feature import Feature
from mepipe.store.place import Folder
from tests.store.test_store import ATTRIBUTES, IDS, ROWS, again, make, put, values


def filled(root: Path, lengths: list[int] | None = None) -> Feature:
    feature = make(root, lengths)
    for sample, n in zip(IDS, lengths or [5, 5, 5], strict=True):
        put(feature, sample, values(n, ord(sample)))
    return again(feature)


def without_plain(feature: Feature) -> Feature:
    """The same feature, read with Zarr."""
    other = again(feature)
    other.__dict__["_plain"] = None
    return other


@settings(max_examples=20)
@given(
    dtype=st.sampled_from(["bool", "uint8", "int16", "int64", "float16", "float32", "float64"]),
    shape=st.lists(st.integers(1, 5), min_size=0, max_size=4),
    varying=st.booleans(),
    seed=st.integers(0, 99),
)
def test_what_is_mapped_is_what_zarr_reads(
    tmp_path_factory: pytest.TempPathFactory, dtype: str, shape: list[int], varying: bool, seed: int
) -> None:
    root = tmp_path_factory.mktemp("store")
    rng = np.random.default_rng(seed)
    varying = varying and bool(shape)
    lengths = rng.integers(0, 40, len(IDS)).tolist() if varying else None
    if lengths:
        shape = [max(1, *lengths), *shape[1:]]
    store.create(root)
    snapshot = layout.create_snapshot(Folder(root), "demo", ROWS)
    spec = layout.FeatureSpec(
        folder="flow-0123abcd",
        dims=("frame", "channel", "y", "x")[: len(shape)],
        shape=tuple(shape),
        dtype=dtype,
        channels=(),
        positions=[np.arange(n, dtype=float) for n in lengths] if lengths else None,
        varying=varying,
        attributes=ATTRIBUTES,
    )
    layout.create_feature(Folder(root), snapshot, IDS, spec)
    feature = Feature(Folder(root), f"{snapshot}/flow-0123abcd")
    made = {}
    for number, sample in enumerate(IDS):
        sides = [lengths[number], *shape[1:]] if lengths else shape
        made[sample] = rng.integers(0, 2, sides).astype(dtype)
        put(feature, sample, made[sample])
    feature = again(feature)
    assert feature._plain is not None
    for sample, array in made.items():
        for found in (feature[sample], feature.read(feature.ids.index(sample)), without_plain(feature)[sample]):
            assert (found.dtype, found.shape) == (array.dtype, array.shape)
            np.testing.assert_array_equal(found, array)


def test_an_array_is_the_callers_own(tmp_path: Path) -> None:
    feature = filled(tmp_path / "s.zarr")
    before = {p: p.read_bytes() for p in (tmp_path / "s.zarr").rglob("c.*")}
    array = feature["b"]
    array *= 2
    tensor = feature.torch()[1]
    tensor.zero_()
    np.testing.assert_array_equal(array, 2 * values(5, ord("b")))
    np.testing.assert_array_equal(feature["b"], values(5, ord("b")))
    assert {p: p.read_bytes() for p in before} == before


def test_a_checksum_is_tested_once_and_again_when_the_file_was_written_since(tmp_path: Path) -> None:
    feature = filled(tmp_path / "s.zarr")
    file = tmp_path / "s.zarr" / feature.chunks(1)[0]
    feature["b"]
    file.chmod(0o644)
    written = file.stat()

    def damage(keep_time: bool) -> None:
        content = bytearray(file.read_bytes())
        content[100] ^= 1
        file.write_bytes(content)
        if keep_time:
            os.utime(file, ns=(written.st_atime_ns, written.st_mtime_ns))

    damage(keep_time=True)
    assert (feature["b"] != values(5, ord("b"))).sum() == 1  # a bit that flips on the disk after the first read
    with pytest.raises(MepipeError, match=r"sample b is damaged .*checksum .* verify"):
        feature.read(1)  # what verify reads with
    with pytest.raises(MepipeError, match="damaged"):
        again(feature)["b"]
    damage(keep_time=True)
    feature["b"]
    damage(keep_time=False)
    with pytest.raises(MepipeError, match="damaged"):
        feature["b"]


@pytest.mark.parametrize("lengths", [None, [40, 40, 40]])
@pytest.mark.parametrize("fault", ["flip", "truncate", "lengthen", "empty", "delete", "pipe", "unreadable"])
def test_damage_is_told_and_keeps_nobody_waiting(tmp_path: Path, fault: str, lengths: list[int] | None) -> None:
    feature = filled(tmp_path / "s.zarr", lengths)
    file = tmp_path / "s.zarr" / feature.chunks(1)[-1]
    content = file.read_bytes()
    file.unlink()
    wrong = {"flip": b"\0\1" + content[2:], "truncate": content[:-1], "lengthen": content + b"\0", "empty": b""}
    if fault in wrong:
        file.write_bytes(wrong[fault])
    elif fault == "pipe":
        os.mkfifo(file)
    elif fault == "unreadable":
        file.mkdir()
    with pytest.raises(MepipeError, match=r"demo@\w+/flow-0123abcd: sample b ") as raised:
        again(feature)["b"]
    assert "\n" not in str(raised.value)
    np.testing.assert_array_equal(again(feature)["a"], values(40 if lengths else 5, ord("a")))


def test_ten_thousand_arrays_at_once_take_few_maps_and_descriptors(tmp_path: Path) -> None:
    feature = filled(tmp_path / "s.zarr")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    before = len(list(Path("/proc/self/fd").iterdir()))
    resource.setrlimit(resource.RLIMIT_NOFILE, (before + plain.MAPS + 100, hard))
    try:
        held = [feature[number % 3] for number in range(10_000)]
        open_now = len(list(Path("/proc/self/fd").iterdir()))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert open_now <= before + plain.MAPS
    for number in (0, plain.MAPS - 1, plain.MAPS, 9_999):
        np.testing.assert_array_equal(held[number], values(5, ord(IDS[number % 3])))
    del held
    assert len(plain._maps) == 0


def test_stacking_clips_of_different_lengths_is_refused(tmp_path: Path) -> None:
    feature = filled(tmp_path / "s.zarr", [40, 3, 40])
    with pytest.raises(MepipeError, match="2 shapes cannot be stacked"):
        feature.numpy()
    assert feature.numpy(["c", "a"]).shape == (2, 40, 2, 8, 8)


@pytest.mark.parametrize("cache", [None, "ram"])
def test_a_dataset_converts_and_its_tensors_are_the_callers_own(tmp_path: Path, cache: str | None) -> None:
    feature = filled(tmp_path / "s.zarr")
    dataset = feature.torch(["c", "a"], cache=cache, dtype=torch.float64)  # type: ignore[arg-type]
    for _ in range(2):
        tensor = dataset[0]
        assert tensor.dtype == torch.float64
        np.testing.assert_array_equal(tensor.numpy(), values(5, ord("c")).astype(np.float64))
        tensor.zero_()
    same = feature.torch(["b"], cache=cache)  # type: ignore[arg-type]
    same[0].zero_()
    assert torch.equal(same[0], torch.from_numpy(values(5, ord("b"))))
    assert [t.shape[0] for t in dataset] == [5, 5]


def test_what_is_kept_in_memory_outlives_the_file(tmp_path: Path) -> None:
    feature = filled(tmp_path / "s.zarr")
    kept, plain_ = feature.torch(cache="ram"), feature.torch()
    first = kept[1]
    (tmp_path / "s.zarr" / feature.chunks(1)[0]).unlink()
    assert torch.equal(kept[1], first)
    with pytest.raises(MepipeError, match="gone"):
        plain_[1]


@pytest.mark.parametrize("method", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_workers_of_a_data_loader_read_the_same(tmp_path: Path, method: str) -> None:
    feature = filled(tmp_path / "s.zarr")
    dataset = feature.torch(dtype=torch.float32, cache="ram")
    dataset[0]
    loader = torch.utils.data.DataLoader(dataset, batch_size=3, num_workers=2, multiprocessing_context=method)
    (batch,) = loader
    np.testing.assert_array_equal(batch.numpy(), feature.numpy())


def test_metadata_is_read_as_zarr_writes_it(tmp_path: Path) -> None:
    feature = filled(tmp_path / "s.zarr", [40, 3, 16])
    group = zarr.open_group(tmp_path / "s.zarr" / feature.path, mode="r")
    assert feature.ids == group["sample"][:].tolist()  # type: ignore[index, union-attr]
    assert (feature.shape, feature.dtype) == (group["data"].shape, group["data"].dtype)  # type: ignore[union-attr]
    assert feature.attributes == json.loads(json.dumps(dict(group.attrs)))
    assert feature.table["clip"].tolist() == IDS
    assert feature.table["apex"].tolist() == [-1, -1, -1]
    np.testing.assert_array_equal(feature.position("b"), [0, 1, 2])
