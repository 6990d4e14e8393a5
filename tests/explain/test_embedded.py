"""Pictures that stage embed read: found by lineage, read by the same encoder, and looked through to their patches."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from mepipe import store  # noqa: E402
from mepipe.clip import Clip  # noqa: E402
from mepipe.errors import MepipeError  # noqa: E402
from mepipe.explain import embedded  # noqa: E402
from mepipe.models import configs, hcp_mer  # noqa: E402
from mepipe.networks.clip_image import prepare  # noqa: E402
from mepipe.stages import embed  # noqa: E402
from mepipe.store import layout  # noqa: E402
from mepipe.store.ledger import Record  # noqa: E402
from mepipe.train.selection import Selection  # noqa: E402

CLASSES = ("negative", "positive", "surprise")


def made_by(stage, params, upstream):
    return {"stage": stage, "version": 1, "params": params, "libraries": {}, "upstream": upstream}


UP = {"apex": made_by("magnify-learned", {"factor": 2}, "source"), "flow": made_by("flow", {}, "source")}
PARAMS = embed.EmbedParams(model="tiny", weights="random")


def lineage(kind):
    return made_by("embed", PARAMS.model_dump(mode="json"), UP[kind])


def put(opened, snapshot, folder, dims, value, attributes):
    about = {"key": folder[-8:] * 8, **attributes}
    spec = layout.FeatureSpec(folder, dims, value.shape, str(value.dtype), (), None, False, about)
    layout.create_feature(opened.place, snapshot, ["a"], spec)
    feature = opened.feature(f"{snapshot}/{folder}")
    feature.ledger.append([Record("a", "done", "f", digest=feature.write("a", value))])
    return opened.feature(f"{snapshot}/{folder}")


@pytest.fixture(autouse=True)
def _own_encoder():
    embedded._encoder.cache_clear()


@pytest.fixture
def made(tmp_path):
    """Of one sample: a pair of frames and a flow, and what the stage embeds of each; and their store."""
    rng = np.random.default_rng(0)
    frames = rng.uniform(0, 1, (2, 80, 80, 3)).astype("f4")
    flow = np.repeat(np.repeat(rng.normal(size=(1, 2, 10, 10)), 8, axis=2), 8, axis=3).astype("f4")
    clip = Clip(frames, np.arange(2.0), 200.0, 0, 1, 1, white=1.0)
    opened = store.create(tmp_path / "store")
    snapshot = layout.create_snapshot(opened.place, "demo", [{"id": "a", "frames": "a"}])
    about = {"units": "grey level, 0..1"}
    pictures = {
        "apex": ("magnify-00000001", ("frame", "y", "x", "channel"), frames, about),
        "flow": ("flow-00000002", ("frame", "channel", "y", "x"), flow, {"units": "px"}),
    }
    inputs = {"apex": clip, "flow": flow}
    features = {}
    for n, kind in enumerate(inputs):
        about, made = {"units": "1", "lineage": lineage(kind)}, embed.compute(inputs[kind], PARAMS)
        features[kind] = put(opened, snapshot, f"{kind}.embed-0000000{n}", ("channel",), made, about)
    return opened, snapshot, pictures, features


def selection(features):
    return Selection(("demo",), "3", CLASSES, features, {"a": 0}, {"a": "s"}, {}, {}, {}, {}, {}, {})


def branches(made, kinds=("apex", "flow")):
    opened, snapshot, pictures, features = made
    for kind in kinds:
        folder, dims, value, about = pictures[kind]
        put(opened, snapshot, folder, dims, value, {**about, "lineage": UP[kind]})
    return embedded.branches(opened, selection(features), ("apex.embed", "flow.embed"), "a")


def test_pictures_are_found_and_the_encoder_makes_of_them_what_the_store_holds(made):
    opened, _, pictures, features = made
    for kind, branch in zip(("apex", "flow"), branches(made), strict=True):
        tokens = branch.entering()
        np.testing.assert_allclose(branch.embedding(tokens)[0].numpy(), features[kind]["a"], atol=1e-5)
        assert branch.seen().shape == (64, 64, 3)
    frame = torch.from_numpy(pictures["apex"][2][-1])
    assert torch.equal(
        embedded.branches(opened, selection(features), ("x", "y"), "a")[0].prepared(), prepare(frame, 64)
    )


def test_what_is_lacking_is_said_as_commands(made):
    opened, *_, features = made
    found = branches(made, ["flow"])
    assert found[0] is None
    assert found[1].node == "flow.embed"
    assert embedded.commands(opened, selection(features), "hcp-mer", "a") == [
        "mepipe magnify-learned --dataset demo --recipe hcp-mer"
    ]


def test_a_picture_of_something_else_is_refused(made):
    pictures = made[2]
    folder, dims, value, about = pictures["apex"]
    pictures["apex"] = (folder, dims, value[:, ::-1].copy(), about)
    with pytest.raises(MepipeError, match="its embedding is not the one"):
        branches(made)[0].entering()


def test_attention_is_a_share_of_each_patch(made):
    shares = branches(made)[0].attention().values
    assert shares.shape == (4, 4)
    assert (shares > 0).all()
    assert shares.sum() < 1


@pytest.mark.slow
def test_evidence_is_the_change_of_a_logit_along_its_patches(made):
    """Grad-CAM by differences: each channel's mean gradient, from a small shift of that channel at all patches."""
    both = branches(made)
    torch.manual_seed(0)
    learner = hcp_mer.build(configs.choose("hcp-mer", "tiny"), CLASSES, {}, 0)().double().eval()
    tokens = [branch.entering().double() for branch in both]
    for branch in both:
        branch.encoder.double()
    found = embedded.evidence([_Fixed(b, t) for b, t in zip(both, tokens, strict=True)], learner, 1)

    @torch.no_grad()
    def logit(shifted):
        return learner(both[0].embedding(shifted), both[1].embedding(tokens[1]))[0, 1]

    weights = torch.zeros(tokens[0].shape[-1], dtype=torch.float64)
    for channel in range(len(weights)):
        shift = torch.zeros_like(tokens[0])
        shift[0, 1:, channel] = 1e-5  # their mean gradient is a sixteenth of what this changes
        weights[channel] = (logit(tokens[0] + shift) - logit(tokens[0] - shift)) / 2e-5 / 16
    expected = torch.relu(tokens[0][0, 1:] @ weights).view(4, 4)
    torch.testing.assert_close(found[0], expected, atol=1e-6, rtol=1e-4)


class _Fixed:
    """A branch whose tokens are given: in float64, so that differences can be small."""

    def __init__(self, branch, tokens):
        self.embedding, self.tokens = branch.embedding, tokens

    def entering(self):
        return self.tokens.clone()


def test_pooled_samples_are_looked_up_in_their_own_dataset(made):
    opened, snapshot, pictures, features = made
    folder, dims, value, about = pictures["flow"]
    put(opened, snapshot, folder, dims, value, {**about, "lineage": UP["flow"]})
    pooled = {node: SimpleNamespace(features={"demo": feature, "samm": None}) for node, feature in features.items()}
    both = replace(selection(pooled), datasets=("samm", "demo"))
    apex, flow = embedded.branches(opened, both, ("apex.embed", "flow.embed"), "demo/a")
    assert apex is None
    assert flow.entering().shape == (1, 17, 64)
    (command,) = embedded.commands(opened, both, "hcp-mer", "demo/a")
    assert command == "mepipe magnify-learned --dataset demo --recipe hcp-mer"
