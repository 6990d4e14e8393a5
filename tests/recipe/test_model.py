from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mepipe import weights
from mepipe.errors import UsageError
from mepipe.recipe.model import available, load, parse
from mepipe.recipe.resolve import resolve
from mepipe.recipe.show import as_mermaid, as_text

GOOD = """
name: try
nodes:
  align: {stage: align, input: source}
  frames: {stage: sample, input: align, params: {count: 4}, store: uint8}
"""


@pytest.mark.parametrize("name", available())
def test_every_recipe_that_comes_with_mepipe_resolves(name: str, tmp_path: Path, monkeypatch) -> None:
    if {spec.stage for spec in load(name).nodes.values()} & {"embed", "magnify-learned"}:
        pytest.importorskip("torch")  # its version is part of their keys
    monkeypatch.setenv("MEPIPE_WEIGHTS", str(tmp_path))
    for known in [known for known in weights.WEIGHTS.values() if not known.shipped]:
        (tmp_path / known.file).write_text("of which only the digest is asked")
        monkeypatch.setitem(weights.WEIGHTS, known.name, replace(known, sha256=""))
    nodes = resolve(load(name))
    assert any(node.dtype for node in nodes.values())


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("stage: sample", "stage: sampel", "No stage 'sampel'. Did you mean 'sample'"),
        ("count: 4", "cuont: 4", "no field 'cuont'. Did you mean 'count'"),
        ("count: 4", "count: 0", "count: input should be greater than or equal to 1"),
        ("params:", "parms:", "no field 'nodes.frames.parms'. Did you mean 'params'"),
        ("input: align,", "input: algin,", "no node 'algin'. Did you mean 'align'"),
        ("input: source", "input: frames", "takes a source, and 'frames' gives a clip|in a circle"),
        ("store: uint8", "store: int4", "store"),
        ("frames:", "Fr ames:", "cannot name a node"),
        ("name: try", "name: [", "not YAML"),
        ("name: try", "name: !!python/object/apply:os.system ['true']", "not YAML"),
        ("stage: sample, input: align", "stage: sample, input: source", "takes a clip, and 'source' gives a source"),
    ],
)
def test_a_mistake_is_named_with_what_was_meant(old: str, new: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        resolve(parse(GOOD.replace(old, new), "try.yaml"))


def test_a_recipe_that_is_not_there_comes_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="Did you mean 'features'"):
        load("featurs")


def test_a_recipe_name_cannot_be_a_path() -> None:
    with pytest.raises(UsageError, match="No recipe"):
        load("../pipelines/features")


def test_the_graph_shows_each_node_once() -> None:
    nodes = resolve(load("features"))
    assert all(as_text(nodes).count(f" {name}: ") == 1 for name in nodes)
    assert all(as_mermaid(nodes).count(f"<b>{name}</b>") == 1 for name in nodes)
    assert as_mermaid(nodes).count("-->") == len(nodes)
