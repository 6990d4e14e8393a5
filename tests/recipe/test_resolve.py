from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mepipe.errors import UsageError
from mepipe.recipe.model import load, parse
from mepipe.recipe.resolve import Resolved, needed, resolve
from tests.conftest import needs_torch

TEXT = """
name: try
nodes:
  align: {stage: align, input: source}
  frames: {stage: sample, input: align, params: {count: 4}, store: STORE}
  flow: {stage: flow, input: frames, store: true}
  pool: {stage: rank-pool, input: frames, store: true}
"""


def nodes(store: str = "uint8", **overrides: dict[str, object]) -> dict[str, Resolved]:
    return resolve(parse(TEXT.replace("STORE", store), "try"), overrides)


def keys(found: dict[str, Resolved]) -> dict[str, str]:
    return {name: node.key for name, node in found.items()}


def test_a_parameter_changes_its_node_and_all_that_follows() -> None:
    before, after = keys(nodes()), keys(nodes(frames={"count": 8}))
    assert {n for n in before if before[n] != after[n]} == {"frames", "flow", "pool"}
    before, after = keys(nodes()), keys(nodes(flow={"preset": "opencv"}))
    assert {n for n in before if before[n] != after[n]} == {"flow"}


def test_a_default_written_out_changes_nothing() -> None:
    assert keys(nodes()) == keys(nodes(flow={"preset": "micro"}, frames={"strategy": "uniform"}))


def test_how_a_node_is_stored_is_its_own_business() -> None:
    as_uint8, as_float = keys(nodes("uint8")), keys(nodes("float16"))
    assert {n for n in as_uint8 if as_uint8[n] != as_float[n]} == {"frames"}
    assert keys(nodes("false"))["flow"] == as_uint8["flow"]


@needs_torch
def test_other_weights_give_another_key_and_only_where_they_are_called_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEPIPE_WEIGHTS", str(tmp_path))
    file, found = tmp_path / "FlowNet2-C_checkpoint.pth.tar", []
    for content in (b"one", b"other"):
        file.write_bytes(content)
        found.append(nodes(flow={"backend": "flownet2c"}))
    assert found[0]["flow"].lineage["weights"] == {"flownet2c": hashlib.sha256(b"one").hexdigest()}
    assert {n for n in found[0] if found[0][n].key != found[1][n].key} == {"flow"}
    file.unlink()
    assert keys(nodes()) == keys(nodes(flow={"backend": "tvl1"}))
    assert "weights" not in nodes()["flow"].lineage
    with pytest.raises(UsageError, match="mepipe weights add flownet2c FILE"):
        nodes(flow={"backend": "flownet2c"})


def test_the_same_node_has_one_key_in_all_recipes() -> None:
    features, mpt = keys(resolve(load("features"))), keys(resolve(load("mpt")))
    for node in ("align", "rank-pool", "magnify.frames"):
        assert features[node] == mpt[node]


def test_only_fields_that_change_the_values_are_read() -> None:
    found = resolve(load("features"))
    assert found["frames"].reads == ("offset", "onset")
    assert found["motion-map"].reads == ("apex", "fps", "offset", "onset")
    assert found["magnify.frames"].reads == ("fps", "offset", "onset")


def test_needed_is_the_node_and_what_feeds_it() -> None:
    found = resolve(load("features"))
    assert needed(found, ["strain"]) == ["align", "still.frames", "flow.tvl1", "strain"]


@pytest.mark.parametrize("seed", ["0", "1", "77"])
def test_keys_are_the_same_in_another_process(seed: str) -> None:
    code = (
        "import json; from mepipe.recipe.model import load; from mepipe.recipe.resolve import resolve; "
        "print(json.dumps({n: r.key for n, r in resolve(load('features')).items()}))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    out = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert json.loads(out.stdout) == keys(resolve(load("features")))
