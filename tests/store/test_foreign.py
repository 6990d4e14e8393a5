from __future__ import annotations

import io
import os
import re
import shutil
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from scipy.io import savemat

from mepipe import store
from mepipe.errors import MepipeError, UsageError
from mepipe.store import Store, arrival, exchange, foreign, foreign_arrays, foreign_files, foreign_list, package
from mepipe.store.arrival import Arrived
from mepipe.store.foreign_arrays import About
from mepipe.train import selection

IDS = ["a", "b", "c", "d"]


def arrays(shape: tuple[int, ...] = (8, 6, 3), dtype: str = "float32", seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {s: (rng.random(shape) * 200).astype(dtype) for s in IDS}


def listing(folder: Path, extra: dict[str, list[Any]] | None = None, **files: str) -> Path:
    """A list of four samples of two subjects; files by id, else <id>.npy."""
    columns: dict[str, list[Any]] = {
        "id": IDS,
        "subject": ["s1", "s1", "s2", "s2"],
        "emotion": ["happiness", "fear", "surprise", "other"],
        "file": [files.get(i, f"{i}.npy") for i in IDS],
        **(extra or {}),
    }
    rows = [",".join(columns), *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True))]
    path = folder / "list.csv"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def flows(folder: Path, **files: str) -> dict[str, np.ndarray]:
    given = arrays()
    for sample, values in given.items():
        np.save(folder / f"{sample}.npy", values)
    listing(folder, **files)
    return given


ABOUT = About("old-flow", shows_face=False, dims=("y", "x", "channel"), channels=("u", "v", "strain"), units="px")


def bring(
    source: Path, about: About = ABOUT, listed: Path | None = None, dataset: str = "samm"
) -> tuple[Store, Arrived]:
    """Import into the store `t.zarr` beside the list."""
    path = listed or (source if source.is_dir() else source.parent) / "list.csv"
    with foreign.opened(source, foreign_list.read(path, dataset), dataset, about) as one:
        opened = store.create(path.parent / "t.zarr")
        arrival.compare(opened, [one])
        arrived = arrival.take(opened, one)
        foreign.set_ref(opened, one)
    return opened, arrived


def test_arrays_become_a_feature_that_trainers_read(tmp_path: Path) -> None:
    given = flows(tmp_path)
    opened, arrived = bring(tmp_path)
    assert (arrived.written, dict(arrived.failed)) == (4, {})
    chosen = selection.select(opened, ["samm"], ["old-flow"], "3", "features")
    assert chosen.labels == {"a": 1, "b": 0, "c": 2}
    assert chosen.subjects == {"a": "s1", "b": "s1", "c": "s2"}
    assert chosen.dropped == {"d": "other"}
    feature = chosen.features["old-flow"]
    assert (feature.dims, feature.shape) == (("sample", "channel", "y", "x"), (4, 3, 8, 6))
    tensors = feature.torch(list(chosen.labels))
    for tensor, sample in zip(tensors, chosen.labels, strict=False):
        np.testing.assert_array_equal(tensor.numpy(), np.moveaxis(given[sample], -1, 0))
    about = feature.attributes
    assert about["foreign"] is True
    assert (about["stage"], about["units"], about["shows_face"]) == ("foreign", "px", False)
    assert len(about["params"]["content"]) == 64
    assert list(feature.xarray()["channel"].values) == ["u", "v", "strain"]


def test_the_key_follows_from_values_and_what_is_said_of_them_and_nothing_else(tmp_path: Path) -> None:
    def key(name: str, about: About = ABOUT, change: float = 0, label: str = "happiness") -> str:
        folder = tmp_path / name
        folder.mkdir()
        for sample, values in arrays().items():
            np.save(folder / f"{sample}.npy", values + np.float32(change if sample == "b" else 0))
        listing(folder, {"emotion": [label, "fear", "surprise", "other"]})
        return bring(folder, about)[0].all()[0].key

    first = key("one")
    assert key("two", label="disgust") == first
    assert key("three", change=1) != first
    assert key("four", About("old-flow", False, ABOUT.dims, ABOUT.channels, "1")) != first
    assert key("five", About("old-flow", False, ("x", "y", "channel"), ABOUT.channels, "px")) != first


def test_an_imported_feature_goes_on_to_a_colleague_as_it_is(tmp_path: Path) -> None:
    flows(tmp_path)
    (tmp_path / "b.npy").unlink()
    opened, _ = bring(tmp_path)
    exchange.export(opened, opened.all(), tmp_path / "x.h5")
    with package.opened(tmp_path / "x.h5") as found:
        other = store.create(tmp_path / "other.zarr")
        arrival.take(other, found.features[0])
        package.set_refs(other, found)
    mine, theirs = opened.feature("samm/old-flow"), other.feature("samm/old-flow")
    assert mine.attributes == theirs.attributes
    assert mine.failed == theirs.failed
    assert {s: r.digest for s, r in mine.records.items()} == {s: r.digest for s, r in theirs.records.items()}


def test_bad_rows_are_failed_samples_with_line_and_file_and_the_others_are_taken(tmp_path: Path) -> None:
    flows(tmp_path, c="nowhere/c.npy")
    bad = arrays()["b"]
    bad[3, 2, 1] = np.nan
    np.save(tmp_path / "b.npy", bad)
    np.save(tmp_path / "d.npy", arrays((9, 6, 3))["d"])
    opened, arrived = bring(tmp_path)
    assert dict(arrived.failed) == {
        "b": "list.csv, line 3: b.npy: 1 of its values are not finite",
        "c": "list.csv, line 4: nowhere/c.npy: no such file",
    } | {"d": arrived.failed["d"]}
    assert opened.feature("samm/old-flow").failed == dict(arrived.failed)
    # of a and d none is in the majority: the first decides
    assert "float32 (3, 9, 6), and most are float32 (3, 8, 6)" in arrived.failed["d"]


def test_a_repaired_list_is_imported_anew_and_found_under_the_name(tmp_path: Path) -> None:
    given = flows(tmp_path)
    (tmp_path / "b.npy").unlink()
    bring(tmp_path)
    np.save(tmp_path / "b.npy", given["b"])
    opened, arrived = bring(tmp_path)
    assert arrived.written == 4
    assert opened.feature("samm/old-flow").done == IDS
    assert [(a.written, a.present) for a in [bring(tmp_path)[1]]] == [(0, 4)]


def test_two_features_of_one_list_are_of_one_snapshot(tmp_path: Path) -> None:
    flows(tmp_path)
    bring(tmp_path)
    for sample, values in arrays((4,)).items():
        np.save(tmp_path / f"{sample}.npy", values)
    opened, _ = bring(tmp_path, About("embedding", shows_face=False))
    chosen = selection.select(opened, ["samm"], ["old-flow", "embedding"], "3", "features")
    assert chosen.features["embedding"].dims == ("sample", "feature")


def test_a_name_that_a_recipe_has_is_refused(tmp_path: Path) -> None:
    flows(tmp_path)
    opened, _ = bring(tmp_path)
    foreign.check_name(opened, "samm", "old-flow")  # to import again is no clash
    foreign.check_name(opened, "casme2", "old-flow")
    feature = opened.feature("samm/old-flow")
    snapshot, _, folder = feature.path.partition("/")
    opened.set_ref("samm", "features", snapshot, {"old-flow": folder})
    with pytest.raises(UsageError, match=r"of its own \(recipe features\).*--node"):
        foreign.check_name(opened, "samm", "old-flow")


def test_pictures_are_stored_as_the_pipeline_stores_frames(tmp_path: Path) -> None:
    rgb = arrays((8, 6, 3), "uint8")
    for sample, name in zip(IDS, ("a.png", "b.jpg", "c.PNG", "d.jpeg"), strict=True):
        Image.fromarray(rgb[sample]).save(tmp_path / name, quality=95)
    listing(tmp_path, a="a.png", b="b.jpg", c="c.PNG", d="d.jpeg")
    opened, arrived = bring(tmp_path, About("crops", shows_face=True))
    assert arrived.written == 4
    feature = opened.feature("samm/crops")
    assert (feature.dims, feature.dtype) == (("sample", "y", "x", "channel"), np.uint8)
    np.testing.assert_array_equal(feature["a"], rgb["a"])
    assert exchange.shows_face(feature)
    assert feature.attributes["params"]["channels"] == ["red", "green", "blue"]


def test_modes_of_pictures(tmp_path: Path) -> None:
    grey = arrays((8, 6), "uint8")["a"]
    deep = arrays((8, 6), "uint16")["a"] * 300
    cases = {"L": grey, "I;16": deep, "1": np.where(grey > 99, 255, 0)}
    for mode, expected in cases.items():
        image = Image.fromarray(expected.astype(expected.dtype if mode == "I;16" else np.uint8))
        (image if mode == "I;16" else image.convert(mode)).save(tmp_path / "x.png")
        np.testing.assert_array_equal(foreign_files.load(tmp_path / "x.png"), expected)
    Image.fromarray(np.dstack([grey] * 3)).convert("RGBA").save(tmp_path / "x.png")
    np.testing.assert_array_equal(foreign_files.load(tmp_path / "x.png"), np.dstack([grey] * 3))


def test_resizing_averages_areas(tmp_path: Path) -> None:
    given = flows(tmp_path)
    np.save(tmp_path / "d.npy", np.repeat(given["d"], 2, axis=0))  # 16 x 6
    about = About("old-flow", False, ABOUT.dims, ABOUT.channels, "px", resize=(4, 3))
    opened, arrived = bring(tmp_path, about)
    assert arrived.written == 4
    means = given["a"].reshape(4, 2, 3, 2, 3).mean((1, 3))
    feature = opened.feature("samm/old-flow")
    np.testing.assert_allclose(feature["a"], np.moveaxis(means, -1, 0), rtol=1e-6)  # float32 sums of four
    assert feature.attributes["params"]["resize"] == [4, 3]


def test_clips_may_differ_in_length_and_frames_are_numbered_where_they_can_be(tmp_path: Path) -> None:
    given = {s: arrays((n, 2, 4, 4))[s] for s, n in zip(IDS, (3, 20, 5, 1), strict=True)}
    for sample, values in given.items():
        np.save(tmp_path / f"{sample}.npy", values)
    listing(tmp_path, {"onset": [10, 1, "", 7], "offset": [12, 9, "", 7]})
    opened, _ = bring(tmp_path, About("clips", False, ("frame", "channel", "y", "x")))
    feature = opened.feature("samm/clips")
    for sample, values in given.items():
        np.testing.assert_array_equal(feature[sample], values)
    np.testing.assert_array_equal(feature.position("a"), [10, 11, 12])
    assert np.isnan(feature.position("b")).all()
    assert np.isnan(feature.position("c")).all()
    assert feature.table["onset"].tolist() == [10, 1, -1, 7]


@settings(max_examples=60)
@given(
    st.permutations(["frame", "channel", "y", "x"]).flatmap(lambda d: st.integers(1, 4).map(lambda n: tuple(d[:n]))),
    st.sampled_from(["uint8", "float32", ">f8", "int16", "bool"]),
    st.data(),
)
def test_axes_are_put_in_order_and_nothing_else_happens(dims: tuple[str, ...], dtype: str, data: st.DataObject) -> None:
    finite = {"elements": {"allow_nan": False, "allow_infinity": False}} if "f" in dtype else {}
    given = data.draw(hnp.arrays(dtype, hnp.array_shapes(min_dims=len(dims), max_dims=len(dims), max_side=4), **finite))
    found = foreign_arrays.prepared(given, dims, About("x", False))
    order = foreign_arrays.stored_order(dims, found.dtype)
    assert sorted(order) == sorted(dims)
    assert found.dtype == np.dtype(dtype).newbyteorder("=")
    np.testing.assert_array_equal(np.einsum(found, [dims.index(d) for d in order], range(len(dims))), given)
    assert found.flags.c_contiguous


# Containers --------------------------------------------------------------------------------------------------------


def matlab73(path: Path, variables: dict[str, np.ndarray]) -> None:
    """As MATLAB writes it: 512 bytes of header before HDF5, axes the other way round, a class for each variable."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, values in variables.items():
            file[name] = values.T
            file[name].attrs["MATLAB_class"] = np.bytes_({"f8": "double", "f4": "single"}[values.dtype.str[1:]])
        file.create_group("#refs#")
    head = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + struct.pack("<H2s", 0x0200, b"IM")
    with path.open("r+b") as raw:
        raw.write(head)


@pytest.mark.parametrize("kind", ["h5", "mat5", "mat7.3"])
@pytest.mark.parametrize("axis", [0, 3])
def test_one_array_of_all_samples(kind: str, axis: int, tmp_path: Path) -> None:
    given = arrays(dtype="float64")
    block = np.stack(list(given.values()), axis)
    path = tmp_path / ("x.h5" if kind == "h5" else "x.mat")
    variables = {"flow": block, "labels": np.arange(4.0), "fps": np.array([[200.0]])}
    if kind == "h5":
        with h5py.File(path, "w") as file:
            for name, values in variables.items():
                file[name] = values
    elif kind == "mat5":
        savemat(path, {**variables, "who": "a text", "cells": np.array([1, "x"], object)}, do_compression=True)
    else:
        matlab73(path, variables)
    listing(tmp_path)
    dims = list(ABOUT.dims)
    dims.insert(axis, "sample")
    opened, arrived = bring(path, About("old", False, tuple(dims) if axis else ABOUT.dims, ABOUT.channels))
    assert arrived.written == 4
    for sample, values in given.items():
        np.testing.assert_array_equal(opened.feature("samm/old")[sample], np.moveaxis(values, -1, 0))


@pytest.mark.parametrize("kind", ["h5", "mat5", "mat7.3"])
def test_one_variable_for_each_sample(kind: str, tmp_path: Path) -> None:
    given = arrays(dtype="float64")
    named = {f"clip_{s}": v for s, v in given.items() if s != "d"}
    path = tmp_path / ("x.h5" if kind == "h5" else "x.mat")
    if kind == "h5":
        with h5py.File(path, "w") as file:
            for name, values in named.items():
                file[f"deep/{name}"] = values
    elif kind == "mat5":
        savemat(path, {**named, "clip_d": "text"})
    else:
        matlab73(path, named)
    prefix = "deep/" if kind == "h5" else ""
    listing(tmp_path, {"variable": [f"{prefix}clip_{s}" for s in IDS]})
    opened, arrived = bring(path, About("old", False, ABOUT.dims))
    assert list(arrived.failed) == ["d"]
    assert "list.csv, line 5" in arrived.failed["d"]
    assert "is not in the file" in arrived.failed["d"] or "is a char, not an array of numbers" in arrived.failed["d"]
    np.testing.assert_array_equal(opened.feature("samm/old")["b"], np.moveaxis(given["b"], -1, 0))


def test_which_array_is_meant_must_be_clear(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["one"], file["two"] = np.zeros((4, 2)), np.ones((4, 2))
        file["away"] = h5py.ExternalLink("secret.h5", "/x")
    listing(tmp_path)
    with pytest.raises(MepipeError, match=r"Say --variable NAME.*'one' \(4, 2\).*'two' \(4, 2\)"):
        bring(tmp_path / "x.h5")
    opened, _ = bring(tmp_path / "x.h5", About("old", False, variable="two"))
    np.testing.assert_array_equal(opened.feature("samm/old")["c"], [1, 1])
    with pytest.raises(MepipeError, match="link that may lead to another file"):
        bring(tmp_path / "x.h5", About("old", False, variable="away"))
    with pytest.raises(MepipeError, match=r"shape \(4, 2\), and 4 samples are listed \(axis 1"):
        bring(tmp_path / "x.h5", About("old", False, ("feature", "sample"), variable="two"))


def test_rows_of_other_datasets_are_passed_over_and_places_in_the_array_kept(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["x"] = np.arange(8.0).reshape(4, 2)
    listing(tmp_path, {"dataset": ["samm", "smic", "smic", "samm"]})
    opened, _ = bring(tmp_path / "x.h5", About("old", False))
    feature = opened.feature("samm/old")
    assert feature.ids == ["a", "d"]
    np.testing.assert_array_equal(feature["d"], [6, 7])


# Hostile and broken ------------------------------------------------------------------------------------------------


def _header(shape: str, descr: str = "'<f4'") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


def _pickled() -> bytes:
    out = io.BytesIO()
    np.save(out, np.array([{"x": 1}], object), allow_pickle=True)
    return out.getvalue()


def _npz(*members: tuple[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return out.getvalue()


def _lying_zip(declared: int) -> bytes:
    """A member that says it is larger than its bytes could be."""
    content = bytearray(_npz(("x.npy", _header(f"({declared // 4},)") + bytes(4000))))
    for mark, offset in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        struct.pack_into("<I", content, content.index(mark) + offset, declared)
    return bytes(content)


def _png(width: int, height: int) -> bytes:
    """A picture of nothing: sizes are declared, and a few bytes follow."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(10**6))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


HOSTILE: dict[str, tuple[str, bytes, str]] = {
    "a pickle": ("x.npy", _pickled(), "holds Python objects"),
    "10^12 elements": ("x.npy", _header("(1000000, 1000000)"), "declares float32 .* and 0 follow"),
    "more than follows": ("x.npy", _header("(3,)") + bytes(8), "12 bytes, and 8 follow"),
    "less than follows": ("x.npy", _header("(1,)") + bytes(8), "4 bytes, and 8 follow"),
    "a negative side": ("x.npy", _header("(-2, -1)") + bytes(8), "declares"),
    "code in the header": ("x.npy", _header("(1,)", "__import__('os').system('x')") + bytes(4), "cannot be read"),
    "parentheses": ("x.npy", _header("(" * 9000 + ")" * 9000), "cannot be read"),
    "records": ("x.npy", _header("(1,)", "[('a', '<f4')]") + bytes(4), "not numbers"),
    "texts": ("x.npy", _header("(1,)", "'<U4'") + bytes(16), "not numbers"),
    "nothing": ("x.npy", b"", "cannot be read"),
    "no values": ("x.npy", _header("(0, 3, 4)"), "has shape"),
    "no array": ("x.npy", b"abc" * 99, "cannot be read"),
    "a zip of pickles": ("x.npz", _npz(("x.npy", _pickled())), "holds Python objects"),
    "a zip of nothing": ("x.npz", _npz(), "holds 0 arrays"),
    "a zip of two": ("x.npz", _npz(("a.npy", b""), ("b.npy", b"")), "holds 2 arrays"),
    "a lying zip": ("x.npz", _lying_zip(4 * 10**9), "which cannot be"),
    "a lying header": ("x.npz", _npz(("x.npy", _header("(100000, 100000)") + bytes(10**6))), "declares float32"),
    "a dense zip": (
        "x.npz",
        _npz(("x.npy", _header("(1000,)") + bytes(4000)), compression=zipfile.ZIP_BZIP2),
        "compressed otherwise",
    ),
    "no zip": ("x.npz", b"PK" * 99, "cannot be read"),
    "a large picture": ("x.png", _png(12_000, 12_000), "90000000 pixels is the limit"),
    "a picture bomb": ("x.png", _png(60_000, 60_000), "exceeds limit of"),
    "half a picture": ("x.png", _png(2000, 2000), "cannot be read"),
    "another format": ("x.png", b"GIF89a" + bytes(99), "cannot be read"),
    "a program": ("x.py", b"print()", ".py is not read"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_file_costs_its_own_sample_only(case: str, tmp_path: Path) -> None:
    name, content, message = HOSTILE[case]
    flows(tmp_path, b=name)
    (tmp_path / name).write_bytes(content)
    _, arrived = bring(tmp_path)
    assert arrived.written == 3
    assert arrived.failed["b"].startswith(f"list.csv, line 3: {name}: ")
    assert "\n" not in arrived.failed["b"]
    assert re.search(message, arrived.failed["b"])


@pytest.mark.parametrize(
    "name", ["../outside.npy", "/etc/passwd", "..\\outside.npy", "link.npy", "sub/../../outside.npy", ""]
)
def test_a_path_that_leaves_the_folder_is_refused(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    np.save(tmp_path / "outside.npy", arrays()["b"])
    (folder / "link.npy").symlink_to(tmp_path / "outside.npy")
    flows(folder, b=name)
    _, arrived = bring(folder)
    assert list(arrived.failed) == ["b"]
    assert "line 3" in arrived.failed["b"]
    assert "folder" in arrived.failed["b"]


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    flows(tmp_path)
    (tmp_path / "b.npy").unlink()
    os.mkfifo(tmp_path / "b.npy")
    assert "no such file" in bring(tmp_path)[1].failed["b"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lacks subject"),
        ("id,subject,emotion,file\n", "list.csv: no samples"),
        ("id,subject,file\na,s,a.npy\n", r"lacks emotion \(or label\)"),
        ("subject,emotion,file\ns,fear,a.npy\n", r"lacks id \(or clip\)"),
        ("id,subject,emotion,label\na,s,x,x\n", "both emotion and label"),
        ("id,subject,emotion\na,s,fear\nb,s,fear\na,s,fear\n", "line 4: id 'a' stands in line 2 too"),
        ("id,subject,emotion\n../a,s,fear\n", "line 2: id: "),
        ("id,subject,emotion\na,,fear\n", "line 2: no subject"),
        ("id,subject,emotion\na,s\n", "line 2: 3 values expected"),
        ("id,subject,emotion,onset\na,s,fear,1e3x\n", "line 2: onset: a number expected"),
        ("id,subject,emotion,onset\na,s,fear,nan\n", "line 2: onset: a number expected"),
        ("id,subject,emotion,onset\na,s,fear,inf\n", "line 2: onset: a number expected"),
        ("id,subject,emotion,onset,offset\na,s,fear,9,3\n", "line 2: onset 9 lies after offset 3"),
        ("id,subject,emotion,fps\na,s,fear,0\n", "line 2: fps: "),
        ("id,subject,emotion,clip\na,s,fear,../x\n", "line 2: clip: "),
        ('id,subject,emotion\n"a,s,fear\n', "not CSV"),
        ("id,subject,emotion,dataset\na,s,fear,casme2\n", "no samples of samm"),
    ],
)
def test_a_broken_list_is_refused_with_its_line(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(MepipeError, match=message):
        foreign_list.read(tmp_path / "list.csv", "samm")
    (tmp_path / "list.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(MepipeError, match="UTF-8"):
        foreign_list.read(tmp_path / "list.csv", "samm")


def test_ids_are_built_from_subject_and_clip_and_labels_are_emotions(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("\ufeffsubject,clip,label,onset,score\n006,1_2,Happiness,3.0,9\n")
    listed = foreign_list.read(tmp_path / "list.csv", "samm")
    assert (listed.rows[0].id, listed.rows[0].sample["emotion"]) == ("006_1_2", "Happiness")
    assert (listed.rows[0].sample["onset"], listed.rows[0].sample["fps"]) == (3, None)
    assert listed.unread == ["score"]


@pytest.mark.parametrize(
    ("about", "message"),
    [
        (About("x", False), r"What are the axes of arrays of shape \(8, 6, 3\)\? Say --dims"),
        (About("x", False, ("y", "x")), "axes y, x are expected"),
        (About("x", False, ABOUT.dims, ("u", "v")), "--channels u,v does not fit"),
    ],
)
def test_what_is_said_must_fit_the_arrays(about: About, message: str, tmp_path: Path) -> None:
    flows(tmp_path)
    with pytest.raises(MepipeError, match=message):
        bring(tmp_path, about)
    assert not (tmp_path / "t.zarr").exists()


@pytest.mark.parametrize("node", ["../x", "", "Flow", "a--b", "-x", ".x"])
def test_names_are_names(node: str) -> None:
    with pytest.raises(UsageError, match="cannot name a feature"):
        About(node, False)
    with pytest.raises(UsageError, match="a name of its own"):
        About("x", False, ("y", "y"))


@pytest.mark.parametrize("content", [b"", b"MATLAB 4", b"MATLAB 5.0 MAT-file" + bytes(200), bytes(500)])
def test_what_is_no_matlab_file_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.mat").write_bytes(content)
    listing(tmp_path)
    with pytest.raises(MepipeError, match=r"x\.mat"):
        bring(tmp_path / "x.mat", About("x", False))


def test_hostile_matlab_variables(tmp_path: Path) -> None:
    path = tmp_path / "x.mat"
    savemat(path, {"x": np.ones((4, 2)), "c": np.array([1, "a"], object), "z": np.ones((4, 2)) * 1j, "s": {"a": 1}})
    listing(tmp_path)
    for name, message in (("c", "is a cell"), ("s", "is a struct"), ("z", "not numbers"), ("y", "is not in the file")):
        with pytest.raises(MepipeError, match=message):
            bring(path, About("x", False, variable=name))
    raw = bytearray(path.read_bytes())
    where = raw.index(struct.pack("<II", 4, 2))  # the sides of x
    struct.pack_into("<II", raw, where, 4, 2**30)
    path.write_bytes(raw)
    with pytest.raises(MepipeError, match="declares 34359738368 bytes"):
        bring(path, About("x", False, variable="x"))


def test_files_that_change_between_the_two_readings_are_not_taken(tmp_path: Path) -> None:
    flows(tmp_path)
    with foreign.opened(tmp_path, foreign_list.read(tmp_path / "list.csv", "samm"), "samm", ABOUT) as one:
        np.save(tmp_path / "c.npy", arrays(seed=1)["c"])
        shutil.move(tmp_path / "d.npy", tmp_path / "e.npy")
        arrived = arrival.take(store.create(tmp_path / "t.zarr"), one)
    assert arrived.written == 2
    assert arrived.damaged == {"c": "its values are not those that its digest was taken of", "d": "no such file"}
