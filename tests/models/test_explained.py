"""What models answer when they are asked to explain themselves agrees with what they say."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("timm")

import torch.nn.functional as F  # noqa: E402

from mepipe.models import configs, declare, prompts  # noqa: E402
from mepipe.models import hcp_mer_losses as losses  # noqa: E402
from mepipe.networks.clip_image import SIZES  # noqa: E402

CLASSES = ["negative", "positive", "surprise"]
UNITS = ["AU2", "AU4", "AU7", "AU12"]


def learner(name, names=CLASSES, **changes):
    torch.manual_seed(0)
    model = declare.get(name)
    return model.build(configs.choose(name, "tiny", changes), names, {}, 0)().eval()


def drawn(*shape, high=None):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(shape, generator=generator) if high is None else torch.randint(high, shape, generator=generator)


def given(name, size=0):
    """Inputs of two samples."""
    return {
        "mpt": lambda: (drawn(2, 3, 112, 112), drawn(2, 16, 3, size, size)),
        "ra-icl": lambda: (drawn(2, 3, 3, size, size),),
        "ststnet": lambda: (drawn(2, 3, 28, 28),),
        "resnet18-flow": lambda: (drawn(2, 3, size, size),),
        "mlp": lambda: (drawn(2, 6 * size**2),),
        "mer-clip": lambda: (drawn(2, 16, 3, 24, 24, high=256).float(), torch.zeros(2, 7, 77)),
        "micro-au-clip": lambda: (drawn(2, 17, SIZES["tiny"].width), drawn(2, 68, high=16).float()),
        "hcp-mer": lambda: (drawn(2, 64), drawn(2, 64)),
    }[name]()


LAST = {
    "mpt": lambda net, x: net.head(x),
    "ra-icl": lambda net, x: net.online.head(x),
    "ststnet": lambda net, x: net.head(x),
    "resnet18-flow": lambda net, x: net.network.fc(x),
    "mlp": lambda net, x: net.layers[-1](x),
    "mer-clip": lambda net, x: net.cls_head.fc_cls(x.unflatten(1, (2, -1))).mean(dim=1),
    "micro-au-clip": lambda net, x: net.logits(x),
}


def size(name):
    config = configs.choose(name, "tiny")
    return {"mpt": "motion_size", "mlp": "grid"}.get(name, "size"), config


@pytest.mark.parametrize("name", sorted(LAST))
@torch.no_grad()
def test_the_last_layer_judges_by_what_is_shown(name):
    field, config = size(name)
    net = learner(name, UNITS if name == "micro-au-clip" else CLASSES)
    inputs = given(name, getattr(config, field, 0))
    torch.testing.assert_close(LAST[name](net, net.represent(*inputs)), net(*inputs))


@torch.no_grad()
def test_of_hcp_mer_it_is_the_directions_that_texts_are_compared_with():
    net = learner("hcp-mer")
    inputs = given("hcp-mer")
    halves = net.represent(*inputs).chunk(2, dim=1)
    assert all(half.norm(dim=1).allclose(torch.ones(2)) for half in halves)
    _, texts = net.features(inputs)
    torch.testing.assert_close(net.fused(net.responses(halves, texts)), net(*inputs))
    found = net.similarity(CLASSES, torch.tensor([2, 0]), *inputs)
    cosines = losses.cosines(halves[1], texts[1])
    assert found["componential: image - text"].mean[[2, 0]] == pytest.approx(cosines.numpy(), abs=1e-5)
    assert found["holistic: text - text"].mean.diagonal() == pytest.approx(1, abs=1e-5)
    assert [group.name for group in prompts.groups(CLASSES)] == CLASSES


@torch.no_grad()
def test_units_attend_to_the_patches_of_their_own_landmarks_and_no_others():
    net = learner("micro-au-clip", UNITS)
    tokens, places = given("micro-au-clip")
    found = net.attention(tokens, places)
    assert list(found) == ["class token", *(f"{name}, its landmarks" for name in UNITS)]
    for name, region in zip(UNITS, net.regions, strict=True):
        shares = found[f"{name}, its landmarks"].flatten(1)
        torch.testing.assert_close(shares.sum(dim=1), torch.ones(2))
        for sample, mine in zip(shares, places[:, list(region)].long(), strict=True):
            assert set(sample.nonzero()[:, 0].tolist()) == set(mine.tolist())


@torch.no_grad()
def test_similarities_of_units_follow_their_labels():
    net = learner("micro-au-clip", UNITS)
    inputs, labels = given("micro-au-clip"), torch.tensor([[1.0, 0, 0, 1], [1, 1, 0, 0]])
    found, features = net.similarity(UNITS, labels, *inputs), net.represent(*inputs)
    texts = net.written()
    here = F.cosine_similarity(features[:, 0], texts[0, 1], dim=-1).mean()  # AU2 is there in both
    assert found["unit - text"].rows[:2] == ("AU2-", "AU2+")
    assert found["unit - text"].mean[1, 1] == pytest.approx(float(here), abs=1e-6)
    assert found["unit - text"].count[0].tolist() == [0, 0]
    pair = F.cosine_similarity(features[0, 1], features[1, 1], dim=0)  # AU4 in one of them
    assert found["AU4: samples"].mean[0, 1] == pytest.approx(float(pair), abs=1e-6)


@torch.no_grad()
def test_attention_of_mer_clip_goes_to_patches_of_eight_steps_and_to_itself():
    net = learner("mer-clip")
    (shares,) = net.attention(*given("mer-clip")).values()
    assert shares.shape == (2, 8, 4, 4)
    assert (shares > 0).all()
    assert (shares.sum(dim=(1, 2, 3)) < 1).all()


@torch.no_grad()
@pytest.mark.parametrize("name", ["mpt", "mer-clip", "ra-icl", "ststnet"])
def test_what_was_seen_is_in_the_units_that_it_is_shown_in(name):
    field, config = size(name)
    net, inputs = learner(name), given(name, getattr(config, field, 0))
    seen = net.seen(*inputs)
    if name == "mpt":
        assert seen.shape == (2, 3, 112, 112)
        assert seen[inputs[0].abs() < 1].allclose((inputs[0] * 0.5 + 0.5)[inputs[0].abs() < 1])
    elif name == "mer-clip":
        torch.testing.assert_close(seen * 255, inputs[0][:, ::2])
    else:  # maps are in pixels of a face of 224, and shown in their own
        maps = inputs[0][:, 0] if name == "ra-icl" else inputs[0]
        torch.testing.assert_close(seen, maps[:, :2] * maps.shape[-1] / 224)
