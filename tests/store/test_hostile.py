"""A store made by somebody who means harm: refused in one line, without executing, following or unfolding anything."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import resource
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import pytest
from numcodecs import VLenUTF8

from mepipe import store
from mepipe.errors import MepipeError
from mepipe.store import npz
from mepipe.store.feature import Feature
from tests.store.test_store import IDS, again, make, put, values

Document = dict[str, Any]


@pytest.fixture
def feature(tmp_path: Path) -> Feature:
    made = make(tmp_path / "s.zarr", [5, 5, 5])
    for sample in IDS:
        put(made, sample, values(5, ord(sample)))
    return again(made)


@contextmanager
def refused(match: str) -> Iterator[None]:
    """One line that says what is wrong, from a process that could not take much memory."""
    limit = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 30), limit[1]))
    try:
        with pytest.raises(MepipeError, match=match) as raised:
            yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limit)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 700


def forge(feature: Feature) -> None:
    """Seal what is there now: who can change a document can change the seal, too."""
    for path in (feature.path, feature.path.split("/")[0]):
        folder = Path(feature.place.url) / path
        document = json.loads((folder / "seal" / "zarr.json").read_bytes())
        files = [folder / name for name in document["attributes"]["frozen"]]
        digests = {
            file.relative_to(folder).as_posix(): hashlib.blake2b(file.read_bytes(), digest_size=16).hexdigest()
            for file in files
            if file.is_file()
        }
        document["attributes"]["frozen"] = digests
        overwrite(folder / "seal" / "zarr.json", document)


def use(feature: Feature) -> None:
    """All that mepipe reads of a feature."""
    forge(feature)
    fresh = again(feature)
    fresh.ids, fresh.shape, fresh.attributes, fresh.table, fresh.records, fresh.position("b")
    fresh["b"]
    fresh.xarray()
    fresh._group  # noqa: B018


def overwrite(file: Path, content: bytes | Document) -> None:
    """Put other content into a file, and into the seal above it: who makes a store hostile seals it too."""
    file.unlink()  # finished files are read-only
    file.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    for folder in file.parents:
        seal = folder / "seal" / "zarr.json"
        if seal.exists():
            document = json.loads(seal.read_bytes())
            digests = document["attributes"]["frozen"]
            name = file.relative_to(folder).as_posix()
            if name in digests:
                digests[name] = hashlib.blake2b(file.read_bytes(), digest_size=16).hexdigest()
                seal.unlink()
                seal.write_text(json.dumps(document))


def edit(feature: Feature, node: str, change: Callable[[Document], object]) -> None:
    file = Path(feature.place.url) / feature.path / node / "zarr.json"
    document = json.loads(file.read_bytes())
    change(document)
    overwrite(file, document)


def sealed(content: bytes) -> bytes:
    """With a right checksum."""
    return content + google_crc32c.value(content).to_bytes(4, "little")


def coordinate(feature: Feature, name: str) -> Path:
    return Path(feature.place.url) / feature.path / name / "c" / "0"


def codec(name: str, **configuration: object) -> Callable[[Document], object]:
    return lambda d: d["codecs"].append({"name": name, "configuration": configuration})


DOCUMENTS: dict[str, Callable[[Document], object]] = {
    "a codec that unpickles": codec("numcodecs.pickle"),
    "an unknown codec": codec("os.system"),
    "zstd": codec("zstd", level=0, checksum=False),
    "gzip": codec("gzip", level=1),
    "blosc": codec("blosc", cname="zstd", clevel=5, shuffle="bitshuffle", typesize=2, blocksize=0),
    "no codec": lambda d: d.update(codecs=[]),
    "texts for numbers": lambda d: d.update(codecs=[{"name": "vlen-utf8"}]),
    "a codec in a shard": lambda d: d.update(
        codecs=[
            {
                "name": "sharding_indexed",
                "configuration": {
                    "chunk_shape": [1, 16, 2, 8, 8],
                    "codecs": [{"name": "bytes"}, {"name": "zstd", "configuration": {"level": 0, "checksum": False}}],
                    "index_codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}],
                },
            }
        ]
    ),
    "objects": lambda d: d.update(data_type="object"),
    "a structured type": lambda d: d.update(data_type={"name": "struct", "configuration": {"fields": [["a", "int8"]]}}),
    "bytes of any length": lambda d: d.update(data_type="variable_length_bytes"),
    "dates": lambda d: d.update(data_type="numpy.datetime64"),
    "a petabyte in one sample": lambda d: d.update(
        shape=[3, 5, 2, 10**7, 10**7],
        chunk_grid={"name": "regular", "configuration": {"chunk_shape": [1, 16, 2, 10**7, 10**7]}},
    ),
    "a chunk of a petabyte": lambda d: d["chunk_grid"]["configuration"].update(chunk_shape=[1, 10**15, 2, 8, 8]),
    "10^15 samples": lambda d: d["shape"].__setitem__(0, 10**15),
    "more than 64 bits": lambda d: d["shape"].__setitem__(0, 10**30),
    "a negative size": lambda d: d["shape"].__setitem__(0, -3),
    "a size that is text": lambda d: d["shape"].__setitem__(0, "3"),
    "no sizes": lambda d: d.update(shape=[], dimension_names=[]),
    "another number of dimensions": lambda d: d["shape"].append(8),
    "no names of dimensions": lambda d: d.pop("dimension_names"),
    "a path for a dimension": lambda d: d.update(dimension_names=["sample", "frame", "../../x", "y", "x"]),
    "one dimension twice": lambda d: d.update(dimension_names=["sample", "frame", "y", "y", "x"]),
    "chunks of nothing": lambda d: d["chunk_grid"]["configuration"].update(chunk_shape=[1, 0, 2, 8, 8]),
    "another grid": lambda d: d["chunk_grid"].update(name="rectangular"),
    "chunks of two samples": lambda d: d["chunk_grid"]["configuration"].update(chunk_shape=[2, 16, 2, 8, 8]),
    "another key encoding": lambda d: d.update(chunk_key_encoding={"name": "v2", "configuration": {"separator": "."}}),
    "a key encoding that leads out": lambda d: d["chunk_key_encoding"]["configuration"].update(separator="/../../"),
    "a storage transformer": lambda d: d.update(storage_transformers=[{"name": "x"}]),
    "an unknown field": lambda d: d.update(must_run="os.system"),
    "Zarr's version 2": lambda d: d.update(zarr_format=2),
    "a group": lambda d: d.update(node_type="group"),
}


@pytest.mark.parametrize("what", DOCUMENTS)
def test_a_document_that_mepipe_does_not_write_is_refused(feature: Feature, what: str) -> None:
    edit(feature, "data", DOCUMENTS[what])
    with refused(r"flow-0123abcd/(data|sample)"):
        use(feature)


@pytest.mark.parametrize("node", ["data", "sample", "length", "position", "channel", ""])
@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe\x00", b"[]", b"null", b"[" * 100_000, b'{"a": ' + b"9" * 5000 + b"}", b" " * (17 << 20)],
    ids=["empty", "cut", "no text", "a list", "null", "nested", "a long number", "huge"],
)
def test_what_is_no_document_is_refused(feature: Feature, node: str, content: bytes) -> None:
    overwrite(Path(feature.place.url) / feature.path / node / "zarr.json", content)
    with refused(r"zarr.json"):
        use(feature)


def test_a_document_that_says_it_holds_all_others_is_not_believed(feature: Feature) -> None:
    """Zarr takes consolidated metadata for those of the arrays."""
    data = json.loads((Path(feature.place.url) / feature.path / "data" / "zarr.json").read_bytes())
    data["shape"] = [3, 5, 2, 4, 4]
    whole = {"kind": "inline", "must_understand": False, "metadata": {"data": data}}
    edit(feature, "", lambda d: d.update(consolidated_metadata=whole))
    other = again(feature)
    other.__dict__["_plain"] = None  # read with Zarr
    np.testing.assert_array_equal(other["b"], values(5, ord("b")))


class Harm:
    """Unpickled, it makes a folder."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(Path.cwd() / "harm"),))


def test_an_object_array_of_version_2_is_not_unpickled(
    feature: Feature, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path(feature.place.url) / feature.path / "data"
    (folder / "zarr.json").unlink()
    pickled = [{"id": "pickle", "protocol": 5}]
    about = {"zarr_format": 2, "shape": [3], "chunks": [1], "dtype": "|O", "compressor": None, "fill_value": 0}
    (folder / ".zarray").write_text(json.dumps({**about, "order": "C", "filters": pickled}))
    (folder.parent / ".zgroup").write_text('{"zarr_format": 2}')
    (folder / "1").write_bytes(pickle.dumps(np.array([Harm()], object)))
    with refused("data(/zarr.json|:) is gone"):
        use(feature)
    (folder.parent / "zarr.json").unlink()
    with refused("flow-0123abcd"):
        use(feature)
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    "ids", [["a", "../../b", "c"], ["a", "b/c", "c"], ["a", "b\nc", "c"], ["a", "a", "c"], ["", "b", "c"]]
)
@pytest.mark.parametrize("where", ["flow-0123abcd/sample", "id"])
def test_ids_that_lead_elsewhere_are_refused(feature: Feature, tmp_path: Path, ids: list[str], where: str) -> None:
    snapshot = Path(feature.place.url) / feature.path.split("/")[0]
    overwrite(snapshot / where / "c" / "0", sealed(bytes(VLenUTF8().encode(np.array(ids, object)))))
    with refused("cannot be a sample|names a sample twice"):
        use(feature)
    if where == "id":
        with refused("cannot be a sample|names a sample twice"):
            npz.export([again(feature)], tmp_path / "out")  # a file for each sample
        assert sorted(p.name for p in tmp_path.iterdir()) == ["s.zarr"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        sealed(b""),
        sealed(struct.pack("<I", 0xFFFFFFFF)),
        sealed(struct.pack("<II", 3, 0xFFFFFFFF)),
        sealed(struct.pack("<III", 3, 1, 0x61)),
        sealed(struct.pack("<I", 3) + b"\1\0\0\0\xff" * 3),
        struct.pack("<I", 3) + b"\1\0\0\0a" * 3 + b"\0\0\0\0",
    ],
    ids=["empty", "nothing", "4 billion texts", "a text of 4 GB", "cut", "no UTF-8", "a wrong checksum"],
)
def test_texts_that_are_not_what_they_say_are_refused(feature: Feature, content: bytes) -> None:
    overwrite(coordinate(feature, "sample"), content)
    with refused("flow-0123abcd/sample: its values"):
        use(feature)


def test_ids_that_are_numbers_are_refused(feature: Feature) -> None:
    edit(
        feature,
        "sample",
        lambda d: d.update(data_type="int64", fill_value=0, codecs=[{"name": "bytes"}, {"name": "crc32c"}]),
    )
    overwrite(coordinate(feature, "sample"), sealed(np.arange(3).tobytes()))
    with refused("flow-0123abcd/sample"):
        use(feature)


@pytest.mark.parametrize("lengths", [[5, -1, 5], [5, 6, 5], [5, 2**62, 5], [5, -(2**63), 5], [5, 5], [5] * 1000])
def test_lengths_that_cannot_be_are_refused(feature: Feature, lengths: list[int]) -> None:
    overwrite(coordinate(feature, "length"), sealed(np.array(lengths, np.int64).tobytes()))
    with refused("flow-0123abcd/length"):
        use(feature)


@pytest.mark.parametrize("name", ["sample", "length", "position"])
def test_a_coordinate_that_declares_too_much_is_refused(feature: Feature, name: str) -> None:
    def grow(document: Document) -> None:
        document["shape"][0] = 10**15
        document["chunk_grid"]["configuration"]["chunk_shape"][0] = 10**15

    edit(feature, name, grow)
    with refused(f"flow-0123abcd/{name}"):
        use(feature)


def test_all_arrays_that_declare_too_much_together_are_refused(feature: Feature) -> None:
    """Each fits the others, and what is missing would be filled up."""
    for name in ("data", "sample", "length", "position"):
        edit(feature, name, lambda d: d["shape"].__setitem__(0, 10**10))
        if name != "data":
            edit(feature, name, lambda d: d["chunk_grid"]["configuration"]["chunk_shape"].__setitem__(0, 10**10))
    with refused("flow-0123abcd/sample"):
        use(feature)


def test_a_table_that_declares_too_much_is_refused(feature: Feature) -> None:
    def grow(document: Document) -> None:
        document.update(shape=[10**8], chunk_grid={"name": "regular", "configuration": {"chunk_shape": [10**8]}})

    edit(feature, "../onset", grow)
    with refused(r"demo@\w+/onset: its values"):
        use(feature)


@pytest.mark.parametrize("name", ["sample", "length", "position"])
def test_a_coordinate_that_is_gone_is_not_made_up(feature: Feature, name: str) -> None:
    chunk = next((Path(feature.place.url) / feature.path / name / "c").rglob("0"))
    chunk = chunk / "0" if chunk.is_dir() else chunk
    chunk.unlink()
    with refused(f"flow-0123abcd/{name}: its values are gone"):
        use(feature)


@pytest.mark.parametrize(
    "attributes",
    [
        {"key": 7},
        {"key": None},
        {"node": ["flow"]},
        {"units": {}},
        {"shows_face": "no"},
        {"reads": "onset"},
        {"reads": [1]},
        {"params": []},
        {"lineage": []},
        {"lineage": {"stage": "flow"}},
        {"lineage": {"stage": "flow", "version": 1, "params": [], "libraries": {}, "upstream": "frames"}},
    ],
    ids=str,
)
def test_attributes_of_wrong_types_are_refused(feature: Feature, attributes: Document) -> None:
    edit(feature, "", lambda d: d["attributes"].update(attributes))
    with refused("flow-0123abcd/zarr.json"):
        use(feature)


def test_attributes_without_a_key_are_refused(feature: Feature) -> None:
    edit(feature, "", lambda d: d["attributes"].pop("key"))
    with refused("flow-0123abcd/zarr.json.*key"):
        use(feature)


REFS: dict[str, object] = {
    "a snapshot elsewhere": {"snapshot": "../../demo@01234567"},
    "a snapshot that is no text": {"snapshot": ["demo@01234567"]},
    "a folder elsewhere": {"nodes": {"flow": "../../flow-0123abcd"}},
    "an absolute folder": {"nodes": {"flow": "/etc"}},
    "a folder that is no text": {"nodes": {"flow": 3}},
    "nodes that are no table": {"nodes": ["flow"]},
    "a node that is a path": {"nodes": {"../../flow": "flow-0123abcd"}},
    "a node of two lines": {"nodes": {"flow\nflow": "flow-0123abcd"}},
    "a time that is none": {"time": "now"},
    "a time that never comes": {"time": float("nan")},
    "an unknown field": {"run": "os.system"},
}


@pytest.mark.parametrize("what", REFS)
def test_refs_that_lead_elsewhere_are_refused(feature: Feature, what: str) -> None:
    file = Path(feature.place.url) / "refs" / "demo" / "features.json"
    overwrite(file, json.loads(file.read_bytes()) | REFS[what])  # type: ignore[operator]
    with refused("features.json: not a ref|cannot be a feature"):
        store.open(feature.place.url).features("demo")


@pytest.mark.parametrize("content", [b"", b"\xff", b"[" * 100_000, b"[]", b'"x"', b"{}"])
def test_what_is_no_ref_is_refused(feature: Feature, content: bytes) -> None:
    overwrite(Path(feature.place.url) / "refs" / "demo" / "features.json", content)
    with refused("features.json: not a ref"):
        store.open(feature.place.url).feature("demo/flow")


@pytest.mark.parametrize(
    "name", ["demo@01234567/../../x-01234567", "../x", "demo@01234567/..", "demo@../flow-01234567"]
)
def test_names_that_lead_elsewhere_are_refused(feature: Feature, name: str) -> None:
    with refused("cannot be|cannot name"):
        store.open(feature.place.url).feature(name)


RECORDS = [
    b"[" * 100_000,
    b"\xff\xfe",
    b"7",
    b'{"sample": ["a"], "state": "done", "fingerprint": ""}',
    b'{"sample": "a", "state": ["done"], "fingerprint": ""}',
    b'{"sample": "a", "state": "done", "fingerprint": "", "turn": "9"}',
    b'{"sample": "a", "state": "done", "fingerprint": "", "turn": 9, "time": "now"}',
    b'{"sample": "a", "state": "done", "fingerprint": "", "turn": 9, "digest": {}}',
    b'{"sample": "a", "state": "done", "fingerprint": "", "run": "os.system"}',
]


@pytest.mark.parametrize("line", RECORDS, ids=lambda line: repr(line[:75]))
def test_a_line_of_a_ledger_that_mepipe_does_not_write_is_not_believed(feature: Feature, line: bytes) -> None:
    path = f"{feature.path}/ledger/x.jsonl"
    (Path(feature.place.url) / path).write_bytes(line + b"\n")
    use(feature)
    assert again(feature).records == feature.records
    assert again(feature).ledger.damaged() == {path: 1}
