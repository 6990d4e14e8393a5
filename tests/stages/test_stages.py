"""Every stage does what it declares, and gives what it gave under its version.

frozen.json keeps some of each stage's output beside its version. When a stage's values are meant to change, raise its
version and run `python -m tests.stages.test_stages` to freeze them anew.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mepipe import stages, weights
from mepipe.clip import Clip
from mepipe.stages import declare
from mepipe.stages.align import AlignParams
from mepipe.stages.declare import Annotation, Params, Source, Stage
from mepipe.stages.embed import EmbedParams
from tests.conftest import MODEL, has_solutions, landmarker_here

FROZEN = Path(__file__).with_name("frozen.json")
FRAMES = 20
OWN = [n for n in stages.names() if not n.endswith("-for-tests")]


@cache
def source() -> Source:
    """A smile on a public-domain portrait, as if decoded."""
    from mepipe.datasets.demo.portraits import someone
    from mepipe.datasets.demo.render import ClipSpec, clip

    spec = ClipSpec(person=someone(0, 0), aus="6+12", peak=2.0, frames=FRAMES, apex=12, first=100)
    frames, _ = clip(spec)
    pairs = [(100 + i, f if f.ndim == 3 else f[..., None]) for i, f in enumerate(frames)]
    return Source(pairs, 100, 112, 100 + FRAMES - 1, 200.0)


@cache
def given(kind: str) -> Any:
    """A value of a kind, made by the stages that come before."""
    if kind == "source":
        return source()
    if kind == "clip":
        return run("align")
    return run("flow")


def params(stage: Stage) -> Params:
    """The defaults, but for align's landmarker where MediaPipe has no face mesh of its own, and weights not shipped."""
    if stage.name == "embed":
        return EmbedParams(model="tiny", weights="random")
    return AlignParams(landmarker=landmarker_here()) if stage.name == "align" else stage.params()


@cache
def run(name: str) -> Any:
    stage = declare.get(name)
    chosen = params(stage)
    if "torch" in stage.libraries or any(weights.get(named).network for named in stage.weights(chosen)):
        pytest.importorskip("torch")
    with pytest.MonkeyPatch.context() as patch:
        if name == "align":
            patch.setenv("MEPIPE_WEIGHTS", str(MODEL.parent))
        return stage.compute(given(stage.inputs[0]), chosen)


def array(value: Any) -> np.ndarray:
    return value.frames if isinstance(value, Clip) else value


def positions(stage: Stage) -> tuple[np.ndarray | None, tuple[int, ...]]:
    """The frame numbers and the shape that the declarations of a stage and of what feeds it foretell."""
    about = Annotation(100, 112, 100 + FRAMES - 1, 200.0)
    path = {"source": [], "clip": ["align"], "flow": ["align", "flow"]}[stage.inputs[0]]
    numbers: np.ndarray = np.arange(100, 100 + FRAMES, dtype=float)
    shape: tuple[int, ...] = (0, 0, 0)
    for step in [*(declare.get(n) for n in path), stage]:
        shape = step.shape(params(step), shape)
        found = step.timeline(params(step), about, numbers) if step.timeline else None
        numbers = numbers if found is None else found
    return (numbers if stage.timeline else None), shape


@pytest.mark.parametrize("name", OWN)
def test_a_stage_gives_what_it_declares(name: str) -> None:
    stage = declare.get(name)
    output, value = stage.output(params(stage)), run(name)
    numbers, shape = positions(stage)
    assert array(value).dtype == output.dtype
    assert array(value).shape == (shape if numbers is None else (len(numbers), *shape))
    assert len(output.dims) == array(value).ndim
    assert (output.dims[0] == "frame") == (numbers is not None)
    if output.channels:
        assert array(value).shape[output.dims.index("channel")] == len(output.channels)
    assert isinstance(value, Clip) == (output.kind == "clip")
    if isinstance(value, Clip):
        np.testing.assert_allclose(value.position, numbers)


@pytest.mark.parametrize("name", OWN)
def test_every_parameter_is_described_and_has_a_default(name: str) -> None:
    stage = declare.get(name)
    for field, about in stage.params.model_fields.items():
        assert about.description, field
        assert not about.is_required(), field
    assert stage.summary
    assert stage.name == name


def sample_of(name: str) -> dict[str, Any]:
    values = array(run(name)).astype(np.float64)
    picks = np.random.default_rng(5).integers(0, values.size, 24)
    return {
        "version": declare.get(name).version,
        "shape": list(values.shape),
        "values": [round(float(v), 6) for v in values.ravel()[picks]],
        "mean": round(float(values.mean()), 6),
        "spread": round(float(values.std()), 6),
    }


@pytest.mark.skipif(not has_solutions(), reason="frozen with the face mesh that mediapipe 1 has no more")
@pytest.mark.parametrize("name", OWN)
def test_values_do_not_move_without_the_version(name: str) -> None:
    kept, now = json.loads(FROZEN.read_text())[name], sample_of(name)
    again = "if they are meant to, raise the stage's version and run python -m tests.stages.test_stages"
    assert now["version"] == kept["version"], f"frozen under another version: {again}"
    assert now["shape"] == kept["shape"], f"the values moved: {again}"
    # Other processors round otherwise: far below this, which is far below what another parameter does.
    slack = 0.02 * kept["spread"]
    np.testing.assert_allclose(now["values"], kept["values"], atol=max(slack, 1e-6), err_msg=again)
    np.testing.assert_allclose(now["mean"], kept["mean"], atol=slack, err_msg=again)


if __name__ == "__main__":
    FROZEN.write_text(json.dumps({name: sample_of(name) for name in OWN}, indent=1) + "\n")
