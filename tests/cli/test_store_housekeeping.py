from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from mepipe import store as stores
from mepipe.cli.store import command
from mepipe.store import layout
from mepipe.store.feature import Feature
from mepipe.store.place import Folder
from tests.store.test_store import IDS, ROWS, put, spec, values

LINEAGE = {
    "stage": "flow",
    "version": 2,
    "params": {"backend": "flownet2"},
    "libraries": {"torch": "2.6"},
    "weights": {"flownet2": "0123456789abcdef"},
    "upstream": {"stage": "align", "version": 1, "params": {"size": 224}, "libraries": {}, "upstream": "source"},
}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Two snapshots, of which the second is current; all a month old."""
    root = tmp_path / "s.zarr"
    opened = stores.create(root)
    for apex in (1, 2):
        name = layout.create_snapshot(Folder(root), "demo", [{**row, "apex": apex} for row in ROWS])
        attributes = {**spec().attributes, "lineage": LINEAGE, "reads": ["apex", "onset"]}
        layout.create_feature(Folder(root), name, IDS, layout.FeatureSpec(**{**vars(spec()), "attributes": attributes}))
        feature = Feature(opened.place, f"{name}/flow-0123abcd")
        for sample in IDS[apex - 1 :]:
            put(feature, sample, values(5, apex))
        opened.set_ref("demo", "features", name, {"flow": "flow-0123abcd"})
    for path in root.rglob("*"):
        os.utime(path, (time.time() - 30 * 86400,) * 2)
    return root


def run(store: Path, *args: str, status: int = 0) -> Result:
    result = CliRunner().invoke(command, [*args, "--store", str(store)], catch_exceptions=False)
    assert result.exit_code == status, result.output
    return result


def as_json(store: Path, *args: str, status: int = 0) -> Any:
    return json.loads(run(store, *args, "--json", status=status).stdout)


def test_ls_fits_a_terminal_and_says_what_is_current(store: Path) -> None:
    header, *lines = run(store, "ls").stdout.splitlines()
    assert max(map(len, [header, *lines])) <= 110
    assert {line.split()[-1] for line in lines} == {"incomplete", "d"}
    rows = as_json(store, "ls", "--dataset", "demo")
    assert sorted((r["done"], r["missing"], r["complete"], r["refs"]) for r in rows) == [
        (2, 1, False, ["features"]),
        (3, 0, True, []),
    ]
    assert as_json(store, "ls", "--dataset", "other") == []


def test_info_prints_the_whole_lineage_and_what_the_fingerprint_is_of(store: Path) -> None:
    text = run(store, "info", "demo/flow").stdout
    for part in ("flow version 2", "weights flownet2 = 0123456789abcdef", "torch = 2.6", "size = 224", "apex, onset"):
        assert part in text
    assert text.index("flow version 2") < text.index("align version 1") < text.rindex("source")


def test_gc_is_a_dry_run_unless_told(store: Path) -> None:
    found = as_json(store, "gc")
    assert (len(found["doomed"]), found["removed"]) == (2, False)
    assert "would go; --yes removes it" in run(store, "gc").stdout
    old = next(one["path"] for one in found["doomed"] if one["kind"] == "feature")
    assert as_json(store, "gc", "--yes", "--keep", old)["doomed"] == []
    assert as_json(store, "gc", "--yes", "--grace", "31")["doomed"] == []
    assert as_json(store, "gc", "--yes") == {**found, "removed": True}
    assert [r["feature"] for r in as_json(store, "ls")] == [stores.open(store).feature("demo/flow").path]


def test_keep_lists_adds_and_removes(store: Path) -> None:
    old = next(one["path"] for one in as_json(store, "gc")["doomed"] if one["kind"] == "feature")
    assert as_json(store, "keep", old) == [old]
    assert as_json(store, "gc", "--yes")["doomed"] == []
    assert run(store, "keep").stdout == f"{old}\n"
    assert as_json(store, "keep", old, "--remove") == []


def test_du_adds_up(store: Path) -> None:
    sizes = {row["path"]: row["bytes"] for row in as_json(store, "du")}
    assert sizes["demo"] == sum(size for path, size in sizes.items() if "@" in path and "/" not in path)
    assert sizes[""] == sum(p.stat().st_size for p in store.rglob("*") if p.is_file())
    assert "in all" in run(store, "du").stdout


def test_diff_says_what_differs_and_ends_with_1(store: Path) -> None:
    a, b = sorted(r["feature"] for r in as_json(store, "ls"))
    first, second = a.split("/")[0], b.split("/")[0]
    found = as_json(store, "diff", first, second, status=1)
    assert {tuple(sorted(fields["apex"])) for fields in found["changed"].values()} == {(1, 2)}
    assert "changed" in run(store, "diff", a, b, status=1).stdout
    assert run(store, "diff", "demo", "demo", "--other", str(store)).stdout == "no difference\n"
    run(store, "diff", a, second, status=2)


def test_compact_and_back(store: Path) -> None:
    done = next(r["feature"] for r in as_json(store, "ls") if r["complete"])
    assert as_json(store, "compact", done) == [{"feature": done, "packed": True, "changed": True}]
    assert "already packed" in run(store, "compact", done).stdout
    assert "many samples a file" in run(store, "info", done).stdout
    assert as_json(store, "compact", "--undo", done) == [{"feature": done, "packed": False, "changed": True}]
