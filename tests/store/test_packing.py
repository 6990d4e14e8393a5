from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest
import zarr

from mepipe import store as stores
from mepipe.errors import MepipeError
from mepipe.store import housekeeping, layout, packing, seal
from mepipe.store.feature import Feature
from tests.store.test_store import IDS, ROWS, again, make, put, spec, values


def filled(root: Path, lengths: list[int] | None) -> Feature:
    feature = make(root, lengths)
    for i, sample in enumerate(IDS):
        put(feature, sample, values((lengths or [5, 5, 5])[i], i))
    return again(feature)


def contents(feature: Feature) -> dict[str, bytes]:
    return {sample: again(feature)[sample].tobytes() for sample in feature.done}


@pytest.mark.parametrize("lengths", [None, [40, 3, 16]])
@pytest.mark.parametrize("size", [1, 12_000, 1 << 26])
def test_packed_and_unpacked_the_values_are_the_same(tmp_path: Path, lengths: list[int] | None, size: int) -> None:
    feature = filled(tmp_path / "s", lengths)
    before = contents(feature)
    chunks = {p: (tmp_path / "s" / p).read_bytes() for i in range(3) for p in feature.chunks(i)}
    packed = packing.pack(feature, shard=size)
    assert packed.packed
    assert set(packing.leftovers(packed)) == chunks.keys()
    for path in packing.leftovers(packed):
        packed.place.remove(path)
    assert contents(packed) == before
    array = zarr.open_group(tmp_path / "s", mode="r")[f"{feature.path}/data"]
    np.testing.assert_array_equal(array[1, : (lengths or [5] * 3)[1]], packed["b"])
    plain = packing.unpack(packed)
    assert not plain.packed
    assert contents(plain) == before
    assert {p: (tmp_path / "s" / p).read_bytes() for p in chunks} == chunks


def test_a_folder_in_the_place_of_a_shard_is_not_taken_for_fill_values(tmp_path: Path) -> None:
    packed = packing.pack(filled(tmp_path / "s", None))
    shard = tmp_path / "s" / packed.chunks(0)[0]
    shard.unlink()
    shard.mkdir()
    with pytest.raises(MepipeError, match="a is damaged"):
        again(packed)["a"]


def test_few_files_are_left_of_many(tmp_path: Path) -> None:
    packed = packing.pack(filled(tmp_path / "s", [40, 3, 16]))
    assert len({path for i in range(3) for path in packed.chunks(i)}) == 1


def test_what_began_to_read_before_goes_on_until_gc(tmp_path: Path) -> None:
    feature = filled(tmp_path / "s", None)
    before = contents(feature)
    packing.pack(feature)
    assert {s: feature[s].tobytes() for s in feature.done} == before
    opened = stores.open(tmp_path / "s")
    assert housekeeping.gc(opened, remove=True, grace=0.0).doomed == []
    for path in (tmp_path / "s" / feature.path / "data").iterdir():
        os.utime(path, (time.time() - 30 * 86400,) * 2)
    assert [(d.kind, d.path) for d in housekeeping.gc(opened, remove=True).doomed] == [("chunks", feature.path)]
    assert contents(feature) == before
    assert packing.leftovers(again(feature)) == []


def test_what_is_not_finished_or_damaged_is_not_packed(tmp_path: Path) -> None:
    feature = make(tmp_path / "s")
    put(feature, "a", values(5))
    with pytest.raises(MepipeError, match="2 samples are missing"):
        packing.pack(again(feature))
    for sample in "bc":
        put(feature, sample, values(5))
    file = tmp_path / "s" / feature.chunks(1)[0]
    file.chmod(0o644)
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(MepipeError, match=r"sample b is damaged(.|\n)*store verify --deep"):
        packing.pack(again(feature))
    assert not again(feature).packed
    np.testing.assert_array_equal(again(feature)["c"], values(5))


def test_into_a_packed_feature_nothing_is_written_until_it_is_unpacked(tmp_path: Path) -> None:
    packed = packing.pack(filled(tmp_path / "s", None))
    with pytest.raises(MepipeError, match="store compact --undo"):
        packed.write("a", values(5))
    shard = tmp_path / "s" / packed.chunks(0)[0]
    shard.chmod(0o644)
    content = bytearray(shard.read_bytes())
    content[100] ^= 1  # in the first sample
    shard.write_bytes(content)
    with pytest.raises(MepipeError, match="sample a is damaged"):
        again(packed)["a"]
    (shard.parents[5] / "c.0.0.0.0.0").unlink()
    plain = packing.unpack(again(packed))
    with pytest.raises(MepipeError, match=r"sample a is damaged \(gone\)"):
        plain["a"]
    np.testing.assert_array_equal(plain["b"], values(5, 1))
    assert plain.write("a", values(5, 0)) == plain.records["a"].digest


def test_another_snapshot_takes_samples_from_a_packed_feature(tmp_path: Path) -> None:
    packed = packing.pack(filled(tmp_path / "s", [40, 3, 16]))
    name = layout.create_snapshot(packed.place, "demo", [{**row, "apex": 9} for row in ROWS])
    layout.create_feature(packed.place, name, IDS, spec([40, 3, 16]))
    other = Feature(packed.place, f"{name}/flow-0123abcd")
    for sample in IDS:
        other.adopt(packed, sample)
        other.ledger.append([packed.records[sample]])
    assert contents(other) == contents(packed)
    assert not again(other).packed


def test_stopped_before_its_last_step_a_feature_is_what_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    feature = filled(tmp_path / "s", None)
    before = contents(feature)
    write = type(feature.place).write

    def stop(self: object, path: str, content: bytes) -> None:
        if path.endswith("data/zarr.json"):
            raise KeyboardInterrupt
        write(self, path, content)  # type: ignore[arg-type]

    monkeypatch.setattr(type(feature.place), "write", stop)
    with pytest.raises(KeyboardInterrupt):
        packing.pack(feature)
    monkeypatch.undo()
    assert not again(feature).packed
    assert contents(feature) == before
    assert packing.pack(again(feature)).packed
    assert contents(feature) == before


def test_the_seal_follows_the_layout(tmp_path: Path) -> None:
    feature = make(tmp_path / "s")
    folder = tmp_path / "s" / feature.path
    if not (folder / seal.FOLDER).exists():
        seal.close(folder)
    for sample in IDS:
        put(feature, sample, values(5))
    packed = packing.pack(again(feature))
    assert seal.broken(packed.place, packed.path) == {}
    document = folder / "data" / "zarr.json"
    document.chmod(0o644)
    document.write_text(document.read_text().replace("float32", "float64"))
    assert list(seal.broken(packed.place, packed.path)) == ["data/zarr.json"]
    document.write_text(document.read_text().replace("float64", "float32"))
    plain = packing.unpack(packed)
    assert seal.broken(plain.place, plain.path) == {}
    packing.unpack(plain)
    assert seal.broken(plain.place, plain.path) == {}
