"""Every database's look-alike release, read by its adapter: the clean one without a word, each fault reported."""

import json
from collections import Counter

import pytest

from mepipe import store as stores
from mepipe.datasets import adapters, aus
from mepipe.datasets.demo.writer import LAYOUTS, layout_module
from tests.conftest import mepipe
from tests.datasets import lookalike

FIELDS = ("id", "subject", "clip", "onset", "apex", "offset", "fps", "emotion", "aus", "objective", "missing", "note")
NO_SHEET = {"smic"}  # neither apex, nor action units, nor objective class
NO_OBJECTIVE = {"dfme", "smic"}


def planned(layout, entry):
    """The sample that a clip of the plan should become."""
    return {
        "id": entry.name,
        "subject": entry.subject,
        "clip": layout_module(layout).clip_folder(entry),
        "onset": entry.onset,
        "apex": None if layout in NO_SHEET else entry.apex,
        "offset": entry.offset,
        "fps": entry.fps,
        "emotion": entry.emotion,
        "aus": "" if layout in NO_SHEET else aus.normal(str(entry.aus)),
        "objective": None if layout in NO_OBJECTIVE else entry.objective,
        "missing": (),
        "note": "",
    }


def of(sample):
    return {name: getattr(sample, name) for name in FIELDS}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_clean_release_gives_exactly_the_clips_that_were_planned(layout, tmp_path):
    entries, planted = lookalike.make(layout, tmp_path)
    found = adapters.load(layout).read(tmp_path)
    assert [str(f) for f in found.findings] == []
    assert planted == []
    assert sorted(map(of, found.samples), key=lambda s: s["id"]) == sorted(
        (planned(layout, e) for e in entries), key=lambda s: s["id"]
    )


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_planted_fault_is_reported_once_and_handled_as_documented(layout, tmp_path):
    entries, planted = lookalike.make(layout, tmp_path, faults=True)
    planted = json.loads(
        json.dumps([vars(fault) | {"becomes": fault.becomes} for fault in planted])
    )  # as demo.json has it
    found = adapters.load(layout).read(tmp_path)

    reported = Counter((f.severity, f.where) for f in found.findings)
    assert reported == Counter((fault["severity"], fault["where"]) for fault in planted)

    samples = {sample.id: sample for sample in found.samples}
    assert len(samples) == len(found.samples)
    for entry in entries:
        assert of(samples[entry.name]) == planned(layout, entry)
    kept = set()
    for fault in planted:
        if fault["becomes"] is not None:
            become = {name: getattr(samples[fault["clip"]], name) for name in fault["becomes"]}
            assert json.loads(json.dumps(become)) == fault["becomes"], fault["kind"]
            kept.add(fault["clip"])
    assert set(samples) == kept | {entry.name for entry in entries}


def test_there_are_many_kinds_of_faults(tmp_path):
    kinds = {}
    for layout in LAYOUTS:
        kinds[layout] = {fault.kind for fault in lookalike.make(layout, tmp_path / layout, 3, 1, faults=True)[1]}
    assert len(set().union(*kinds.values())) >= 12
    assert min(map(len, kinds.values())) >= 5


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_adapter_names_licence_and_citation(layout):
    adapter = adapters.load(layout)
    assert "research" in adapter.LICENCE
    assert "http" in adapter.LICENCE
    assert "20" in adapter.CITATION


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_from_release_to_store_every_usable_clip_arrives(layout, tmp_path):
    place = {
        "MEPIPE_MANIFESTS": tmp_path / "manifests",
        "MEPIPE_STORE": tmp_path / "features.zarr",
        "MEPIPE_ROOT_DEMO": tmp_path / "release",
        "XDG_CACHE_HOME": tmp_path / "xdg",
    }
    mepipe("demo", tmp_path / "release", "--layout", layout, "--faults", "--subjects", 2, "--clips", 1)
    assert mepipe("manifest", "build", "demo", check=False, **place).returncode == 1  # rows were left out
    mepipe("extract", "--dataset", "demo", "--feature", "frames", **place)

    faults = json.loads((tmp_path / "release/demo.json").read_text())["faults"]
    expected = {path.stem for path in (tmp_path / "release/truth").iterdir()}
    expected |= {fault["clip"] for fault in faults if fault["becomes"] is not None}
    frames = stores.open(tmp_path / "features.zarr").features("demo")["frames"]
    assert set(frames.ids) == expected
    assert all(frames[sample].shape[0] == 16 for sample in frames.ids)
