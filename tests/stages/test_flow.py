"""The backends of flow: what each is given, and extraction with a network's weights from end to end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from mepipe import networks, weights
from mepipe import store as stores
from mepipe.clip import Clip
from mepipe.datasets.manifest import Sample
from mepipe.errors import UsageError
from mepipe.recipe.model import parse
from mepipe.recipe.resolve import resolve
from mepipe.run import extract, plan
from mepipe.stages.flow import STAGE, FlowParams
from tests.conftest import mepipe
from tests.run import stages_for_tests

torch = pytest.importorskip("torch")
from mepipe.networks.flow import flow as network_flow  # noqa: E402

RAFT = "raft-small"
RECIPE = """
name: cheap
nodes:
  cut: {stage: cut-for-tests, input: source, params: {size: 48}}
  flow: {stage: flow, input: cut, params: {backend: raft-small}, store: true}
"""


@pytest.fixture
def random_raft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A weights folder with RAFT small as torchvision draws it, which here counts as the published one."""
    monkeypatch.setenv("MEPIPE_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setitem(weights.WEIGHTS, RAFT, replace(weights.WEIGHTS[RAFT], sha256=""))
    _add_random(tmp_path, seed=1)
    return tmp_path / "weights"


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As in extraction; and threads that wait for each other are slow on a machine that has other things to do."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _add_random(folder: Path, seed: int) -> None:
    torch.manual_seed(seed)
    torch.save(networks.build("raft_small").state_dict(), folder / "raft.pth")
    weights.add(RAFT, folder / "raft.pth")


def clip(frames: np.ndarray) -> Clip:
    return Clip(frames, np.arange(len(frames), dtype=np.float64), 100.0, 0, 1, len(frames) - 1)


def test_a_network_is_given_rgb_and_tvl1_luma(random_raft: Path, one_thread: None) -> None:
    """Red and green stripes of one luma move: TV-L1 sees nothing, a network that they do."""
    x = np.arange(64, dtype=np.float32)
    stripes = [np.broadcast_to(np.sin((x - shift) / 4), (64, 64)) for shift in range(3)]
    frames = np.stack([128 + s[..., None] * np.array([58.7, -29.9, 0], np.float32) for s in stripes])
    assert np.abs(STAGE.compute(clip(frames), FlowParams())).max() < 0.01
    by_network = STAGE.compute(clip(frames), FlowParams(backend=RAFT))
    np.testing.assert_array_equal(by_network, network_flow(weights.module(RAFT), frames[0], frames[1:]))
    swapped = network_flow(weights.module(RAFT), frames[0, ..., ::-1], frames[1:, ..., ::-1])
    assert not np.allclose(by_network, swapped)


@pytest.mark.parametrize("given", [{"preset": "opencv"}, {"mode": "exact"}])
def test_what_is_tvl1s_alone_is_refused_with_another_backend(given: dict[str, str]) -> None:
    text = RECIPE.replace("raft-small}", f"raft-small, {next(iter(given))}: {next(iter(given.values()))}}}")
    with pytest.raises(UsageError, match=r"node 'flow'.*belongs to tvl1, not to raft-small: leave it at"):
        resolve(parse(text, "test"))
    assert FlowParams(backend=RAFT, preset="micro", mode="clip") == FlowParams(backend=RAFT)
    FlowParams(**given)


def test_every_backend_but_tvl1_calls_for_weights_of_its_name() -> None:
    for backend in FlowParams.model_json_schema()["properties"]["backend"]["enum"]:
        called_for = STAGE.weights(FlowParams(backend=backend))
        assert called_for == (() if backend == "tvl1" else (backend,))
        assert all(name in weights.WEIGHTS for name in called_for)


def release(folder: Path) -> list[Sample]:
    """Three clips of three coloured frames, each noise that moves by a pixel."""
    samples = []
    for index in range(3):
        (folder / f"clip{index}").mkdir(parents=True)
        noise = np.random.default_rng(index).integers(20, 236, (60, 60, 3), dtype=np.uint8)
        for n in range(3):
            cv2.imwrite(str(folder / f"clip{index}" / f"img{n}.png"), np.roll(noise, n, axis=1))
        samples.append(Sample(id=f"s{index}", subject="x", clip=f"clip{index}", onset=0, apex=1, offset=2, fps=100))
    return samples


def test_extraction_uses_the_weights_and_keeps_what_others_gave(random_raft: Path, tmp_path: Path) -> None:
    stages_for_tests.install()
    samples, store = release(tmp_path / "release"), stores.create(tmp_path / "s")

    def run() -> tuple[dict[str, int], dict[str, np.ndarray]]:
        nodes = resolve(parse(RECIPE, "cheap"))
        made = plan.make(store, "tiny", samples, tmp_path / "release", nodes, ["flow"])
        done = extract.run(made, "cheap", 1).computed
        feature = stores.open(tmp_path / "s").feature("tiny/flow")
        return done, {sample: feature[sample] for sample in feature.done}

    (first_done, first), (again_done, again) = run(), run()
    assert (first_done, again_done) == ({"flow": 3}, {})
    assert first["s0"].shape == (2, 2, 48, 48)
    _add_random(tmp_path, seed=2)
    other_done, other = run()
    assert other_done == {"flow": 3}
    assert not np.allclose(other["s0"], first["s0"])
    _add_random(tmp_path, seed=1)
    back_done, back = run()
    assert back_done == {}, "the key of the first weights was still there"
    assert all(np.array_equal(first[s], back[s]) and np.array_equal(first[s], again[s]) for s in first)


@pytest.mark.slow
def test_workers_give_the_same_bytes_with_a_network(tmp_path: Path) -> None:
    """A worker imports Torch in its first task: the threads must be limited in that one too."""
    samples = release(tmp_path / "release")
    rows = [f"{s.id},x,{s.clip},{s.onset},{s.apex},{s.offset},{s.fps}" for s in samples]
    (tmp_path / "tiny.csv").write_text("\n".join(["id,subject,clip,onset,apex,offset,fps", *rows]) + "\n")
    (tmp_path / "cheap.yaml").write_text(RECIPE.replace("raft-small", "flownet2s"))
    torch.manual_seed(3)
    half = {key: tensor.half() for key, tensor in networks.build("flownet2s").state_dict().items()}
    torch.save({"state_dict": half}, tmp_path / "flownet2s.pth")
    place = {"MEPIPE_WEIGHTS": tmp_path / "w", "MEPIPE_STAGES": Path(stages_for_tests.__file__).parent / "extra_stages"}
    mepipe("weights", "add", "flownet2s", tmp_path / "flownet2s.pth", **place)
    found = []
    for workers in (1, 3):
        store = tmp_path / f"s{workers}"
        about = (
            "--manifest",
            tmp_path / "tiny.csv",
            "--root",
            tmp_path / "release",
            "--recipe",
            tmp_path / "cheap.yaml",
        )
        out = mepipe("extract", *about, "--store", store, "-j", workers, "--json", **place, XDG_CACHE_HOME=tmp_path)
        assert json.loads(out.stdout)["computed"] == {"flow": 3}
        feature = stores.open(store).feature("tiny/flow")
        found.append([feature[s.id] for s in samples])
    for index in range(3):
        np.testing.assert_array_equal(found[0][index], found[1][index])
