from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from mepipe import store
from mepipe.store import arrival, layout
from mepipe.store.feature import digest
from mepipe.store.ledger import Record
from tests.conftest import mepipe
from tests.store.test_exchange import IDS, ROWS, clips, fill

SAMPLES = "id,subject,emotion,file\n" + "".join(f"c{k},s{k % 2},fear,c{k}.npy\n" for k in range(4))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A store with a flow, and with crops that show a face."""
    url = tmp_path / "source.zarr"
    opened = fill(url, clips(), channels=("u", "v"), failed={"d.1": "No face in frame 3."})
    flow = opened.feature("demo/flow")
    crops = {s: np.full((4, 4), k, np.uint8) for k, s in enumerate(IDS)}
    about = {**flow.attributes, "node": "crops", "key": "f" * 64, "shows_face": True}
    about.pop("mepipe_store")
    spec = layout.FeatureSpec("crops-ffffffff", ("y", "x"), (4, 4), "uint8", (), None, False, about)
    records = {s: Record(s, "done", "f" * 32, digest=digest(a)) for s, a in crops.items()}
    arrival.take(opened, arrival.Incoming("demo", ROWS, spec, records, crops.__getitem__))
    folder = flow.path.split("/")[1]
    snapshot = layout.snapshot_name("demo", ROWS)
    opened.set_ref("demo", "features", snapshot, {"flow": folder, "crops": "crops-ffffffff"})
    return url


def test_from_store_to_file_to_store(source: Path, tmp_path: Path) -> None:
    first = mepipe("store", "export", tmp_path / "x.h5", "--store", source)
    assert "left out  demo@" in first.stdout
    assert "/crops-ffffffff: it shows a face (--with-faces" in first.stdout
    assert "3 of 4 samples" in first.stdout
    with h5py.File(tmp_path / "x.h5") as file:
        assert not [name for snapshot in file for name in file[snapshot] if name.startswith("crops")]
    other = tmp_path / "other.zarr"
    told = mepipe("store", "import", tmp_path / "x.h5", "--store", other).stdout
    assert ": 3 samples, 0 were here, 1 failed where they were computed" in told
    assert "found by  demo/features" in told
    mine, theirs = (store.open(url).feature("demo/flow") for url in (source, other))
    assert {s: r.digest for s, r in mine.records.items()} == {s: r.digest for s, r in theirs.records.items()}
    assert all(digest(theirs[s]) == mine.records[s].digest for s in mine.done)
    assert ": 0 samples, 3 were here" in mepipe("store", "import", tmp_path / "x.h5", "--store", other).stdout
    assert "preset = micro" in mepipe("store", "info", "demo/flow", "--store", other).stdout


def test_faces_only_when_asked_for(source: Path, tmp_path: Path) -> None:
    refused = mepipe("store", "export", tmp_path / "x.h5", "--feature", "demo/crops", "--store", source, check=False)
    assert refused.returncode == 2
    assert "Nothing is left to export" in refused.stderr
    assert not (tmp_path / "x.h5").exists()
    mepipe("store", "export", tmp_path / "x.h5", "--feature", "demo/crops", "--with-faces", "--store", source)
    mepipe("store", "import", tmp_path / "x.h5", "--store", tmp_path / "other.zarr")
    assert store.open(tmp_path / "other.zarr").feature("demo/crops").attributes["shows_face"] is True


def test_what_was_damaged_on_the_way_is_named_and_the_status_is_1(source: Path, tmp_path: Path) -> None:
    mepipe("store", "export", tmp_path / "x.h5", "--store", source)
    with h5py.File(tmp_path / "x.h5", "r+") as file:
        file[store.open(source).feature("demo/flow").path]["data"][1, 0] = 0
    result = mepipe("store", "import", tmp_path / "x.h5", "--store", tmp_path / "other.zarr", check=False)
    assert result.returncode == 1
    assert "b c: its values are not those that its digest was taken of" in result.stdout
    assert ": 2 samples" in result.stdout


def test_npz_and_back_as_foreign(source: Path, tmp_path: Path) -> None:
    mepipe("store", "export", tmp_path / "out", "--layout", "npz", "--feature", "demo/flow", "--store", source)
    folder = next((tmp_path / "out").iterdir())
    array = store.open(source).feature("demo/flow").path.split("/")[1]
    other = tmp_path / "other.zarr"
    command = ["store", "import", folder, "--csv", folder / "samples.csv", "--dataset", "demo", "--node", "flow"]
    command += ["--variable", array, "--dims", "frame,channel,y,x", "--no-face", "--store", other]
    result = mepipe(*command, check=False)
    assert result.returncode == 1  # one sample had failed
    assert "failed    samples.csv, line 4: d.1.npz: holds 0 arrays" in result.stdout
    np.testing.assert_array_equal(store.open(other).feature("demo/flow")["e"], clips()["e"])


def test_features_computed_elsewhere(tmp_path: Path) -> None:
    for k in range(4):
        np.save(tmp_path / f"c{k}.npy", np.full((5, 4, 2), k, np.float32))
    (tmp_path / "list.csv").write_text(SAMPLES)
    url = tmp_path / "t.zarr"
    command = ["store", "import", tmp_path, "--csv", tmp_path / "list.csv", "--dataset", "lab", "--node", "old-flow"]
    command += ["--dims", "y,x,channel", "--channels", "u,v", "--units", "px", "--store", url]
    result = mepipe(*command, check=False)
    assert (result.returncode, "--shows-face or --no-face" in result.stderr) == (2, True)
    assert "4 samples, 0 were here, 0 failed" in mepipe(*command, "--no-face").stdout
    assert "foreign version 1" in mepipe("store", "info", "lab/old-flow", "--store", url).stdout
    listed = mepipe("store", "ls", "--store", url).stdout
    assert "4/4 done" in listed
    mepipe("inspect", "--dataset", "lab", "--store", url, "-o", tmp_path / "sheet.png")


def test_a_bad_row_fails_alone_or_with_strict_all(tmp_path: Path) -> None:
    for k in range(3):
        np.save(tmp_path / f"c{k}.npy", np.full(7, k, np.float32))
    (tmp_path / "list.csv").write_text(SAMPLES)
    url = tmp_path / "t.zarr"
    command = ["store", "import", tmp_path, "--csv", tmp_path / "list.csv", "--dataset", "lab", "--node", "e"]
    strict = mepipe(*command, "--no-face", "--strict", "--store", url, check=False)
    assert strict.returncode == 1
    assert "Nothing is imported: 1 of 4 rows are bad" in strict.stdout
    assert not url.exists()
    loose = mepipe(*command, "--no-face", "--store", url, check=False)
    assert loose.returncode == 1
    assert "failed    list.csv, line 5: c3.npy: no such file" in loose.stdout
    assert store.open(url).feature("lab/e").done == ["c0", "c1", "c2"]


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("import", "none.h5"), 1, "none.h5: no such file"),
        (("import", "list.csv"), 1, "not an HDF5 file"),
        (("import", ".", "--dataset", "x"), 2, "Say --csv LIST.csv too"),
        (("import", ".", "--csv", "no.csv", "--dataset", "x", "--node", "n", "--no-face"), 1, "No list at no.csv"),
        (("import", "list.csv", "--csv", "list.csv", "--dataset", "x", "--no-face"), 2, "a folder of arrays"),
        (("import", ".", "--csv", "list.csv", "--dataset", "../x", "--node", "n", "--no-face"), 2, "cannot name a"),
        (
            ("import", ".", "--csv", "list.csv", "--dataset", "x", "--node", "n", "--no-face", "--resize", "9"),
            2,
            "28x28",
        ),
        (("export", "x.h5", "--store", "none"), 2, "No store at none"),
    ],
)
def test_a_mistake_gives_a_clear_line(
    arguments: tuple[str, ...], status: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "list.csv").write_text(SAMPLES)
    monkeypatch.chdir(tmp_path)
    result = mepipe("store", *arguments, check=False, PYTHONPATH=Path(__file__).parents[2])
    assert (result.returncode, message in result.stderr) == (status, True), result.stderr
    assert "Traceback" not in result.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["list.csv"]
