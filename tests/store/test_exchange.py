from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mepipe import store
from mepipe.errors import MepipeError, UsageError
from mepipe.store import Store, _h5, arrival, exchange, layout, npz, package
from mepipe.store.arrival import Arrived
from mepipe.store.feature import Feature, digest
from mepipe.store.layout import FeatureSpec
from mepipe.store.ledger import Record

IDS = ["a", "b c", "d.1", "e"]
KEY = "0123abcd" + "0" * 56
FOLDER = f"flow-{KEY[:8]}"
LINEAGE = {"stage": "flow", "version": 1, "params": {"preset": "micro"}, "libraries": {"numba": "0.60"}}
ATTRIBUTES = {
    "node": "flow",
    "key": KEY,
    "stage": "flow",
    "version": 1,
    "params": {"preset": "micro"},
    "lineage": {**LINEAGE, "upstream": {**LINEAGE, "stage": "align", "upstream": "source"}},
    "reads": ["offset", "onset"],
    "units": "px",
    "shows_face": False,
    "made_by": "mepipe test",
}
ROWS = [
    {
        "id": name,
        "subject": f"s{k % 2}",
        "clip": f"clips/{name}",
        "onset": 3 * k,
        "apex": None if k else 1,
        "offset": 40 + k,
        "fps": 200.0,
        "emotion": "Überraschung" if k else "fear",
        "aus": "",
        "objective": 3,
        "split": "train",
        "missing": "",
        "note": "",
        "frames": "ab" * 16,
    }
    for k, name in enumerate(IDS)
]


def fill(
    url: Path,
    arrays: dict[str, np.ndarray],
    dims: tuple[str, ...] = ("frame", "channel", "y", "x"),
    channels: tuple[str, ...] = (),
    failed: dict[str, str] | None = None,
    rows: list[dict[str, Any]] = ROWS,
) -> Store:
    """A store with one feature, `demo/flow`: clips of different lengths where the first axis is frames."""
    opened = store.create(url)
    framed = dims[:1] == ("frame",)
    first = next(iter(arrays.values()))
    lengths = {s: len(a) for s, a in arrays.items()} if framed else {}
    spec = FeatureSpec(
        folder=FOLDER,
        dims=dims,
        shape=(max(lengths.values()), *first.shape[1:]) if framed else first.shape,
        dtype=first.dtype.name,
        channels=channels,
        positions=[np.arange(lengths.get(r["id"], 1)) + 7.0 for r in rows] if framed else None,
        varying=framed,
        attributes=ATTRIBUTES,
    )
    records = {s: Record(s, "done", "f" * 32, digest=digest(a)) for s, a in arrays.items()}
    records |= {s: Record(s, "failed", "e" * 32, reason=why) for s, why in (failed or {}).items()}
    arrival.take(opened, arrival.Incoming("demo", rows, spec, records, arrays.__getitem__))
    opened.set_ref("demo", "features", layout.snapshot_name("demo", rows), {"flow": FOLDER})
    return opened


def clips(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {s: rng.standard_normal((n, 2, 6, 5)).astype(np.float32) for s, n in (("a", 3), ("b c", 37), ("e", 16))}


@pytest.fixture
def source(tmp_path: Path) -> Store:
    """Three clips that were computed, one that failed."""
    return fill(tmp_path / "source.zarr", clips(), channels=("u", "v"), failed={"d.1": "No face in frame 3."})


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An honest file, of the same clips."""
    place = tmp_path_factory.mktemp("original")
    opened = fill(place / "source.zarr", clips(), channels=("u", "v"), failed={"d.1": "No face in frame 3."})
    return exported(opened, place / "x.h5").read_bytes()


def exported(opened: Store, path: Path) -> Path:
    assert exchange.export(opened, opened.all(), path) == {}
    return path


def bring(url: Path, path: Path) -> list[Arrived]:
    with package.opened(path) as found:
        opened = store.create(url)
        arrival.compare(opened, found.features)
        arrived = [arrival.take(opened, one) for one in found.features]
        package.set_refs(opened, found)
    return arrived


def told(feature: Feature) -> dict[str, Any]:
    """What must survive a journey of what is known of each sample."""
    return {s: (r.state, r.digest, r.fingerprint, r.reason, r.final) for s, r in feature.records.items()}


def assert_same(mine: Feature, other: Feature) -> None:
    assert (mine.path, mine.key, mine.dims, mine.shape, mine.dtype) == (
        other.path,
        other.key,
        other.dims,
        other.shape,
        other.dtype,
    )
    assert mine.attributes == other.attributes
    assert mine.table.sort_index(axis=1).equals(other.table.sort_index(axis=1))
    assert told(mine) == told(other)
    for sample in mine.done:
        assert digest(mine[sample]) == digest(other[sample])
    for sample in mine.ids:
        np.testing.assert_array_equal(mine.position(sample), other.position(sample))


def test_a_feature_that_went_through_a_file_is_the_same_in_every_respect(source: Store, tmp_path: Path) -> None:
    arrived = bring(tmp_path / "other.zarr", exported(source, tmp_path / "x.h5"))
    assert [(a.written, a.present, dict(a.failed)) for a in arrived] == [(3, 0, {"d.1": "No face in frame 3."})]
    other = store.open(tmp_path / "other.zarr")
    assert_same(source.feature("demo/flow"), other.feature("demo/flow"))
    assert other.refs("demo")["features"].nodes == source.refs("demo")["features"].nodes
    ours, theirs = (
        {p.relative_to(root): p.read_bytes() for p in root.rglob("*") if p.is_file() and "ledger" not in p.parts}
        for root in (tmp_path / "source.zarr", tmp_path / "other.zarr")
    )
    assert [str(p) for p in ours if ours[p] != theirs.get(p)] == ["refs/demo/features.json"]  # it has a time
    assert ours.keys() == theirs.keys()


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_any_dtype_dims_and_values_survive(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    names = data.draw(st.sampled_from([("frame", "channel", "y", "x"), ("y", "x", "channel"), ("point",), ("frame",)]))
    dtypes = ["float16", "float32", "float64", "uint8", "int64", "uint16", "bool"]
    dtype = np.dtype(data.draw(st.sampled_from(dtypes)))
    rest = data.draw(hnp.array_shapes(min_dims=len(names), max_dims=len(names), min_side=1, max_side=4))
    arrays = {}
    for sample in ("a", "e"):
        length = data.draw(st.integers(1, 40)) if names[0] == "frame" else rest[0]
        arrays[sample] = data.draw(hnp.arrays(dtype, (length, *rest[1:])))  # NaN and infinities too
    place = tmp_path_factory.mktemp("any")
    opened = fill(place / "s.zarr", arrays, names)
    bring(place / "t.zarr", exported(opened, place / "x.h5"))
    assert_same(opened.feature("demo/flow"), store.open(place / "t.zarr").feature("demo/flow"))
    shutil.rmtree(place)


def test_plain_h5py_finds_axes_units_samples_and_reasons(source: Store, tmp_path: Path) -> None:
    with h5py.File(exported(source, tmp_path / "x.h5")) as file:
        group = file[source.all()[0].path]
        data = group["data"]
        assert [axis.label for axis in data.dims] == ["sample", "frame", "channel", "y", "x"]
        assert list(data.dims[2][0].asstr()) == ["u", "v"]
        assert list(data.dims[0][0].asstr()) == ["a", "b c", "e"]
        assert data.attrs["units"] == b"px"
        assert data.chunks[0] == 1
        assert (data.compression, data.shuffle) == ("gzip", True)
        np.testing.assert_array_equal(data[0, :3], clips()["a"])
        assert np.isnan(data[0, 3:]).all()  # what is not there is not zero
        assert list(group["samples/state"].asstr()) == ["done", "done", "failed", "done"]
        assert group["samples/reason"].asstr()[2] == "No face in frame 3."
        assert list(group["samples/row"]) == [0, 1, -1, 2]
        assert file[f"{group.parent.name}/samples/emotion"].asstr()[3] == "Überraschung"
        assert json.loads(group.attrs["attributes"])["lineage"]["upstream"]["stage"] == "align"


def test_the_same_features_give_the_same_file(source: Store, tmp_path: Path) -> None:
    first, second = (exported(source, tmp_path / name).read_bytes() for name in ("x.h5", "y.h5"))
    assert first == second


def test_a_feature_of_which_nothing_could_be_computed_is_told_of(tmp_path: Path) -> None:
    opened = fill(tmp_path / "s.zarr", clips())
    feature = opened.feature("demo/flow")
    feature.ledger.append(replace(r, state="failed", turn=9, reason="no") for r in feature.records.values())
    bring(tmp_path / "t.zarr", exported(opened, tmp_path / "x.h5"))
    other = store.open(tmp_path / "t.zarr").feature("demo/flow")
    assert other.failed == dict.fromkeys(clips(), "no")
    assert other.missing == ["d.1"]


def test_a_damaged_sample_is_left_out_and_named(source: Store, tmp_path: Path) -> None:
    feature = source.feature("demo/flow")
    record = feature.records["b c"]
    feature.ledger.append([replace(record, digest="0" * 32, turn=9)])
    found = exchange.export(source, source.all(), tmp_path / "x.h5")
    assert found == {feature.path: {"b c": "its values are not those that were written"}}
    bring(tmp_path / "t.zarr", tmp_path / "x.h5")
    other = store.open(tmp_path / "t.zarr").feature("demo/flow")
    assert (other.done, other.missing) == (["a", "e"], ["b c"])


def test_what_is_there_stays_as_it_is(source: Store, tmp_path: Path) -> None:
    path = exported(source, tmp_path / "x.h5")
    bring(tmp_path / "t.zarr", path)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "t.zarr").rglob("*")}
    assert [(a.written, a.present) for a in bring(tmp_path / "t.zarr", path)] == [(0, 3)]
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "t.zarr").rglob("*")} == before


def test_other_values_of_the_same_key_are_refused_and_nothing_changes(source: Store, tmp_path: Path) -> None:
    path = exported(source, tmp_path / "x.h5")
    here = fill(tmp_path / "t.zarr", {**clips(), "e": clips(1)["e"]})
    before = told(here.feature("demo/flow"))
    with pytest.raises(MepipeError, match=r"other values: 1 samples differ \(e\)"):
        bring(tmp_path / "t.zarr", path)
    assert told(store.open(tmp_path / "t.zarr").feature("demo/flow")) == before


def test_what_failed_here_and_was_computed_there_is_taken_and_not_the_other_way(tmp_path: Path) -> None:
    arrays = clips()
    there = fill(tmp_path / "s.zarr", arrays, failed={"d.1": "theirs"})
    here = fill(tmp_path / "t.zarr", arrays)
    feature = here.feature("demo/flow")
    feature.ledger.append([replace(feature.records["a"], state="failed", digest="", reason="ours", turn=5)])
    feature.ledger.append([replace(feature.records["e"], state="damaged", digest="", turn=5)])
    bring(tmp_path / "t.zarr", exported(there, tmp_path / "x.h5"))
    found = store.open(tmp_path / "t.zarr").feature("demo/flow")
    assert (found.done, found.failed) == (["a", "b c", "e"], {"d.1": "theirs"})


def test_an_import_that_was_stopped_goes_on_where_it_was(source: Store, tmp_path: Path) -> None:
    path = exported(source, tmp_path / "x.h5")
    with package.opened(path) as found:
        one = found.features[0]
        seen: list[str] = []

        def stopped(sample: str) -> np.ndarray:
            seen.append(sample)
            if len(seen) == 2:
                raise KeyboardInterrupt
            return one.read(sample)

        opened = store.create(tmp_path / "t.zarr")
        with pytest.raises(KeyboardInterrupt):
            arrival.take(opened, replace(one, read=stopped))
    assert opened.all()[0].done == ["a"]
    assert [(a.written, a.present) for a in bring(tmp_path / "t.zarr", path)] == [(2, 1)]
    assert_same(source.feature("demo/flow"), store.open(tmp_path / "t.zarr").feature("demo/flow"))


def test_an_import_does_not_take_the_place_of_ones_own_features(source: Store, tmp_path: Path) -> None:
    rows = [{**r, "subject": "somebody"} for r in ROWS]
    here = fill(tmp_path / "t.zarr", clips(1), rows=rows)
    mine = here.feature("demo/flow").path
    bring(tmp_path / "t.zarr", exported(source, tmp_path / "x.h5"))
    again = store.open(tmp_path / "t.zarr")
    assert again.feature("demo/flow").path == mine
    theirs = [name for name in again.refs("demo") if name.startswith("features+")]
    assert again.feature("demo/flow", theirs[0]).path == source.feature("demo/flow").path


def test_a_file_that_cannot_be_finished_is_not_there(source: Store, tmp_path: Path) -> None:
    """The limit on file size stands for a full disk: the system refuses the write in both."""
    old = exported(source, tmp_path / "x.h5").read_bytes()
    code = (
        "import resource, signal, sys\nfrom pathlib import Path\nfrom mepipe import store\n"
        "from mepipe.store import exchange\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "opened = store.open(sys.argv[1])\nfeatures = opened.all()\n[f.records for f in features]\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))\n"
        "exchange.export(opened, features, Path(sys.argv[2]))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "source.zarr"), str(tmp_path / "x.h5")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "x.h5: cannot be written" in result.stderr
    assert result.returncode == 1
    assert (tmp_path / "x.h5").read_bytes() == old
    assert sorted(p.name for p in tmp_path.iterdir()) == ["source.zarr", "x.h5"]


def test_npz_holds_what_is_done_and_says_what_is_not(source: Store, tmp_path: Path) -> None:
    assert npz.export(source.all(), tmp_path / "out") == {}
    folder = next((tmp_path / "out").iterdir())
    with np.load(folder / "b c.npz", allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays[FOLDER], clips()["b c"])
    with np.load(folder / "d.1.npz", allow_pickle=False) as arrays:
        assert list(arrays) == []
    assert "failed: No face in frame 3." in (folder / "samples.csv").read_text()
    with pytest.raises(UsageError, match="is there already"):
        npz.export(source.all(), tmp_path / "out")


# Hostile files -----------------------------------------------------------------------------------------------------


def _group(file: h5py.File) -> h5py.Group:
    snapshot = next(iter(file))
    return file[snapshot][FOLDER]


def _text(item: h5py.HLObject, name: str, value: str) -> None:
    item.attrs.create(name, np.bytes_(value.encode()))


def _redo(group: h5py.Group, name: str, **how: Any) -> None:
    del group[name]
    group.create_dataset(name, **how)


def _external_link(file: h5py.File) -> None:
    del _group(file)["data"]
    _group(file)["data"] = h5py.ExternalLink("secret.h5", "/data")


def _soft_link(file: h5py.File) -> None:
    file["elsewhere"] = h5py.ExternalLink("secret.h5", "/")
    file.move(f"{_group(file).name}/data", f"{_group(file).name}/old")
    _group(file)["data"] = h5py.SoftLink("/elsewhere/data")
    del file["elsewhere"]


def _external_storage(file: h5py.File) -> None:
    _redo(_group(file), "data", shape=(3, 37, 2, 6, 5), dtype="f4", external=[("secret.bin", 0, 3 * 37 * 240)])


def _virtual(file: h5py.File) -> None:
    sources = h5py.VirtualLayout((3, 37, 2, 6, 5), "f4")
    sources[...] = h5py.VirtualSource("secret.h5", "data", (3, 37, 2, 6, 5))
    del _group(file)["data"]
    _group(file).create_virtual_dataset("data", sources)


def _bomb(file: h5py.File) -> None:
    """A chunk that says 4.8 kB and inflates to 50 MB: HDF5 itself would take them."""
    data, inflater = _group(file)["data"], zlib.compressobj(9)
    raw = b"".join(inflater.compress(bytes(10**7)) for _ in range(5)) + inflater.flush()
    data.id.write_direct_chunk((1, 0, 0, 0, 0), raw)


def _small_bomb(file: h5py.File) -> None:
    """As small as an honest chunk, and still 1000 times larger inside."""
    data, inflater = _group(file)["data"], zlib.compressobj(9)
    data.id.write_direct_chunk((1, 0, 0, 0, 0), inflater.compress(bytes(10**6)) + inflater.flush())


def _absurd(file: h5py.File) -> None:
    _redo(_group(file), "data", shape=(3, 37, 2, 10**6, 10**6), dtype="f4", chunks=(1, 1, 1, 1, 1000))


def _absurd_together(file: h5py.File) -> None:
    _redo(_group(file), "data", shape=(3, 37, 2, 10**4, 10**3), dtype="f4", chunks=(1, 1, 1, 100, 100))


def _huge_chunk(file: h5py.File) -> None:
    data = file.create_dataset("x", (2, 1), "f8", maxshape=(2, None), chunks=(1, 2**29 - 1), compression="gzip")
    data.id.write_direct_chunk((0, 0), zlib.compress(bytes(100)))
    table = _group(file)["samples"]
    del table["position"]
    file.move("x", f"{table.name}/position")


def _absurd_table(file: h5py.File) -> None:
    table = _group(file).parent["samples"]
    _redo(table, "id", shape=(10**9,), dtype="S100", chunks=(1000,), compression="gzip")


def _set(path: str, change: Callable[[Any], Any]) -> Callable[[h5py.File], None]:
    """Change a column's values."""

    def hurt(file: h5py.File) -> None:
        group = _group(file)
        dataset = group.parent[path.removeprefix("../")] if path.startswith("../") else group[path]
        values = change(dataset[...])
        dataset[...] = values

    return hurt


def _attribute(name: str, value: Any) -> Callable[[h5py.File], None]:
    def hurt(file: h5py.File) -> None:
        _text(_group(file), name, value) if isinstance(value, str) else _group(file).attrs.create(name, value)

    return hurt


def _about(**changes: Any) -> Callable[[h5py.File], None]:
    return _attribute("attributes", json.dumps({**ATTRIBUTES, **changes}))


def _refs(value: Any) -> Callable[[h5py.File], None]:
    def hurt(file: h5py.File) -> None:
        _text(file, "refs", json.dumps(value))

    return hurt


def _rename(name: str) -> Callable[[h5py.File], None]:
    def hurt(file: h5py.File) -> None:
        parent = _group(file).parent
        parent.id.links.move(FOLDER.encode(), parent.id, name.encode())

    return hurt


def _rename_snapshot(name: str) -> Callable[[h5py.File], None]:
    return lambda file: file.id.links.move(next(iter(file)).encode(), file.id, name.encode())


def _head(**attributes: str) -> Callable[[h5py.File], None]:
    return lambda file: [_text(file, name, value) for name, value in attributes.items()]


def _first(value: Any) -> Callable[[np.ndarray], np.ndarray]:
    return lambda values: np.array([value, *values[1:]], values.dtype)


SNAPSHOT = layout.snapshot_name("demo", ROWS)
HOSTILE: dict[str, tuple[Callable[[h5py.File], Any], str]] = {
    "another format": (_head(format="other"), "not an export of mepipe"),
    "a later version": (_head(version="9"), "format 9, and 1 is known"),
    "an external link": (_external_link, "link that may lead to another file"),
    "a soft link": (_soft_link, "link that may lead to another file"),
    "external storage": (_external_storage, "keeps its values in other files"),
    "a virtual array": (_virtual, "keeps its values in other files"),
    "10^12 elements a frame": (_absurd, "for one sample; 4294967296 is the limit"),
    "more than the file could hold": (_absurd_together, "cannot be more than"),
    "a chunk of 4 GB": (_huge_chunk, "has chunks of 4294967288 bytes"),
    "a table of 100 GB": (_absurd_table, "cannot be more than"),
    "objects": (lambda f: _redo(_group(f), "data", shape=(3, 37, 2, 6, 5), dtype=h5py.string_dtype()), "numbers"),
    "references": (lambda f: _redo(_group(f), "data", shape=(3, 37, 2, 6, 5), dtype=h5py.ref_dtype), "numbers"),
    "lists": (lambda f: _redo(_group(f), "data", shape=(3, 37, 2, 6, 5), dtype=h5py.vlen_dtype("f4")), "numbers"),
    "records": (lambda f: _redo(_group(f), "data", shape=(3, 37, 2, 6, 5), dtype=[("x", "f4")]), "numbers"),
    "complex": (lambda f: _redo(_group(f), "data", shape=(3, 37, 2, 6, 5), dtype="c8"), "numbers"),
    "no shape": (lambda f: _redo(_group(f), "data", data=h5py.Empty("f4")), "should be an array with axes"),
    "a group for data": (lambda f: (_group(f).pop("data"), _group(f).create_group("data")), "should be an array"),
    "no data": (lambda f: _group(f).pop("data"), "'data': is not in the file"),
    "texts of any length": (
        lambda f: _redo(_group(f)["samples"], "digest", data=["a"] * 4, dtype=h5py.string_dtype()),
        "should be 4 values of kind 'S'",
    ),
    "an odd filter": (
        lambda f: _redo(_group(f), "data", shape=(3, 37, 2, 6, 5), dtype="i4", chunks=True, scaleoffset=2),
        "compressed in a way that is not read",
    ),
    "a feature that leaves": (_rename("..-01234567"), "cannot be a feature"),
    "a feature in a folder": (_rename(".hidden-01234567"), "cannot be a feature"),
    "a snapshot that leaves": (_rename_snapshot("..@01234567"), "cannot be a snapshot"),
    "another snapshot": (_rename_snapshot("demo@01234567"), "is not the table that the snapshot is named after"),
    "another subject": (_set("../samples/subject", _first(b"sx")), "is not the table"),
    "a frame number below": (_set("../samples/onset", _first(-7)), "onset: .*greater than or equal to 0"),
    "a sample that leaves": (_set("../samples/id", _first(b"../")), "id: "),
    "a sample twice": (_set("../samples/id", _first(b"e")), "one of them twice"),
    "no text": (_set("../samples/note", _first(b"\xff")), "not UTF-8|is not the table"),
    "a ref that leaves": (_refs({"demo": {"../x": {"snapshot": SNAPSHOT, "nodes": {"flow": FOLDER}}}}), "its refs do"),
    "a ref over Zarr's": (_refs({"demo": {"zarr": {"snapshot": SNAPSHOT, "nodes": {"flow": FOLDER}}}}), "its refs do"),
    "a ref to nothing": (_refs({"demo": {"x": {"snapshot": SNAPSHOT, "nodes": {"flow": "flow-ffffffff"}}}}), "refs do"),
    "a ref of another": (_refs({"samm": {"x": {"snapshot": SNAPSHOT, "nodes": {"flow": FOLDER}}}}), "refs do"),
    "refs that are none": (_refs({"demo": {"x": [1]}}), "its refs do"),
    "refs not JSON": (_head(refs="{"), "not JSON of the kind"),
    "nested too deep": (_head(refs="[" * 100_000), "not JSON of the kind"),
    "another key": (_about(key="f" * 64), "do not describe it"),
    "no lineage": (_about(lineage={"stage": "x"}), "do not describe it"),
    "no word of faces": (_about(shows_face=None), "do not describe it"),
    "an attribute in the heap": (lambda f: f.attrs.create("version", "1"), "not a text of fixed width"),
    "an attribute of many texts": (_attribute("attributes", ["{}"] * 9), "missing, or not a text"),
    "dims too few": (_attribute("dims", '["sample", "frame"]'), "should be an array with axes"),
    "dims that leave": (_attribute("dims", '["sample", "frame", "../y", "y", "x"]'), "cannot be those"),
    "frames further back": (_attribute("dims", '["sample", "y", "channel", "frame", "x"]'), "should be the second"),
    "channels too many": (_attribute("channels", '["u", "v", "w"]'), "3 names for 2 channels"),
    "a row outside": (_set("samples/row", _first(99)), "names rows that are not in data"),
    "a row twice": (_set("samples/row", _first(1)), "names rows that are not in data"),
    "a length outside": (_set("samples/length", _first(10**9)), "does not say the frames"),
    "a length below zero": (_set("samples/length", _first(-1)), "does not say the frames"),
    "an unknown state": (_set("samples/state", _first(b"lost")), "is not about the samples"),
    "no digest": (_set("samples/digest", _first(b"<script>")), "is not about the samples"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_file_is_refused_in_one_line_and_nothing_is_written(
    case: str, original: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with h5py.File(tmp_path / "secret.h5", "w") as secret:
        secret["data"] = np.ones((3, 37, 2, 6, 5), np.float32)
    (tmp_path / "secret.bin").write_bytes(bytes(3 * 37 * 240))
    path = tmp_path / "x.h5"
    path.write_bytes(original)
    hurt, message = HOSTILE[case]
    with h5py.File(path, "r+") as file:
        hurt(file)
    with pytest.raises(MepipeError, match=message) as caught:
        bring(tmp_path / "t.zarr", path)
    assert "\n" not in str(caught.value)
    assert "x.h5" in str(caught.value)
    assert not (tmp_path / "t.zarr").exists()


@pytest.mark.parametrize(
    ("hurt", "message"),
    [
        (_bomb, "holds more in a chunk"),
        (_small_bomb, "holds more in a chunk"),
        (_set("data", lambda v: v + 1), "not those that its digest was taken of"),
        (_set("samples/digest", _first(b"0" * 32)), "not those that its digest was taken of"),
    ],
)
def test_a_sample_that_is_not_as_promised_is_left_out_and_the_others_are_taken(
    hurt: Callable[[h5py.File], None], message: str, original: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "x.h5"
    path.write_bytes(original)
    with h5py.File(path, "r+") as file:
        hurt(file)
    (arrived,) = bring(tmp_path / "t.zarr", path)
    assert arrived.damaged
    assert all(message in why for why in arrived.damaged.values())
    assert arrived.written == 3 - len(arrived.damaged)
    feature = store.open(tmp_path / "t.zarr").feature("demo/flow")
    assert set(feature.missing) == set(arrived.damaged)


def test_a_chunk_that_was_never_written_is_not_taken_for_zeros(original: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    path.write_bytes(original)
    with h5py.File(path, "r+") as file:
        data = _group(file)["data"]
        old = data[1:]
        _redo(_group(file), "data", shape=data.shape, dtype="f4", chunks=data.chunks)
        _group(file)["data"][1:] = old
    (arrived,) = bring(tmp_path / "t.zarr", path)
    assert "was never written" in arrived.damaged["a"]


@pytest.mark.parametrize("content", [b"", b"not HDF5", b"\x89HDF\r\n\x1a\n" + bytes(100)])
def test_what_is_no_hdf5_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.h5").write_bytes(content)
    with pytest.raises(MepipeError, match="not an HDF5 file"), package.opened(tmp_path / "x.h5"):
        pass
    with pytest.raises(MepipeError, match="no such file"), package.opened(tmp_path / "y.h5"):
        pass


def test_a_truncated_file_is_refused(original: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    path.write_bytes(original[:-500])
    with pytest.raises(MepipeError, match=r"a part of one \(.*truncated"), package.opened(path):
        pass


def test_honest_arrays_of_other_compressions_are_read(tmp_path: Path) -> None:
    values = np.arange(600.0).reshape(6, 10, 10)
    ways: list[dict[str, Any]] = [{}, {"chunks": (2, 7, 3)}, {"compression": "lzf"}, {"fletcher32": True}]
    ways += [{"compression": "gzip", "fletcher32": True, "shuffle": True, "chunks": (4, 10, 3)}]
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for way in ways:
            dataset = _h5.check(file.create_dataset(str(way), data=values.astype(">f8"), **way))
            found = _h5.read(dataset, (slice(3, 4), slice(0, 10), slice(0, 10)))
            assert found.dtype.isnative
            np.testing.assert_array_equal(found[0], values[3])
