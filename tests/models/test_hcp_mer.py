"""HCP_MER: its losses and modules by hand, its texts as CLIP reads them, and that it learns from embeddings alone."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("open_clip")

from torch import Tensor, nn  # noqa: E402

from mepipe import weights  # noqa: E402
from mepipe.errors import MepipeError, UsageError  # noqa: E402
from mepipe.models import hcp_mer, prompts  # noqa: E402
from mepipe.models import hcp_mer_losses as losses  # noqa: E402
from mepipe.models.configs.hcp_mer import CONFIGURATIONS, HCPConfig  # noqa: E402
from mepipe.networks import clip  # noqa: E402
from mepipe.recipe.model import load  # noqa: E402
from mepipe.stages.embed import EmbedParams  # noqa: E402
from tests.conftest import SHARED  # noqa: E402

CLASSES = ("negative", "positive", "surprise")
TINY = CONFIGURATIONS["tiny"]
ENCODER = clip.text_encoder("tiny", None)


def unit(degrees: Sequence[float]) -> Tensor:
    """Vectors in the plane, of lengths that no cosine may depend on."""
    angles = torch.deg2rad(torch.tensor(degrees))
    lengths = 1 + torch.arange(len(degrees), dtype=torch.float32)[:, None]
    return lengths * torch.stack([angles.cos(), angles.sin()], dim=1)


def test_cosines_of_known_angles() -> None:
    found = losses.cosines(unit([0, 60]), unit([0, 90, 180]))
    expected = [[1, 0, -1], [0.5, math.cos(math.pi / 6), -0.5]]
    torch.testing.assert_close(found, torch.tensor(expected), atol=1e-6, rtol=0)


# Two samples, of classes 1 and 0; three classes. Cosines by the angles between images and texts.
IMAGES = ([0.0, 90.0], [45.0, 10.0])
TEXTS = ([30.0, 60.0, 120.0], [0.0, 20.0, 200.0])
LABELS = [1, 0]


def by_hand(rows: Sequence[tuple[float, Sequence[float]]], tau: float) -> float:
    """The mean over samples of -log(own / (own + others)), of angles to the own text and to the others."""

    def similar(degrees: float) -> float:
        return math.exp(math.cos(math.radians(degrees)) / tau)

    return sum(-math.log(similar(own) / (similar(own) + sum(map(similar, rest)))) for own, rest in rows) / 2


@pytest.mark.parametrize(
    ("negatives", "holistic", "componential"),
    [
        # angle to the own text, and to those of the other classes
        ("classes", [(60, [30, 120]), (60, [30, 30])], [(25, [45, 155]), (10, [10, 190])]),
        # to the text of the other sample's class
        ("batch", [(60, [30]), (60, [30])], [(25, [45]), (10, [10])]),
        # to the other branch's text of the same class
        ("branches", [(60, [20]), (60, [90])], [(25, [15]), (10, [20])]),
    ],
)
def test_contrastive_loss_by_hand(negatives, holistic, componential) -> None:
    images, texts = [unit(a) for a in IMAGES], [unit(a) for a in TEXTS]
    found = losses.contrastive(images, texts, torch.tensor(LABELS), 0.5, negatives)
    expected = by_hand(holistic, 0.5) + by_hand(componential, 0.5)
    assert found.item() == pytest.approx(expected, abs=1e-5)  # float32


def test_consistency_by_hand() -> None:
    h, c = (0.7, 0.2, 0.1), (0.5, 0.2, 0.3)
    expected = (0.2 * math.log(7 / 5) - 0.2 * math.log(1 / 3)) / 2
    both = torch.tensor([h, h]).log(), torch.tensor([c, h]).log()
    assert losses.consistency(*both).item() == pytest.approx(expected / 2, abs=1e-6)  # the second sample's is 0
    assert losses.consistency(*both[::-1]).item() == pytest.approx(expected / 2, abs=1e-6)


def test_consistency_of_certain_opinions_that_differ_is_a_number() -> None:
    sure = torch.tensor([[200.0, 0.0], [0.0, 200.0]]).log_softmax(dim=1)
    found = losses.consistency(sure[:1], sure[1:])
    assert found.item() == pytest.approx(200, rel=1e-5)


def test_focal_loss_by_hand() -> None:
    chances = torch.tensor([[0.8, 0.2], [0.6, 0.4]]).log()
    expected = -0.25 * (0.2**2 * math.log(0.8) + 0.6**2 * math.log(0.4)) / 2
    assert losses.focal(chances, torch.tensor([0, 1]), 0.25, 2).item() == pytest.approx(expected, abs=1e-7)
    plain = losses.focal(chances, torch.tensor([0, 1]), 1, 0)
    assert plain.item() == pytest.approx(nn.functional.nll_loss(chances, torch.tensor([0, 1])).item())


def test_focal_loss_is_that_of_the_public_implementation_without_a_factor() -> None:
    path = SHARED / "reference" / "golden" / "mer_clip.npz"
    if not path.exists():
        pytest.skip(f"needs {path.name} of ../shared/reference/golden")
    known = np.load(path)
    logits, labels = (torch.from_numpy(known[f"focal_{key}"]) for key in ("logits", "labels"))
    found = losses.focal(logits.log_softmax(dim=1), labels, alpha=1, gamma=2)
    assert found.item() == pytest.approx(known["focal_loss"].item(), abs=2e-5)  # its tolerance


def test_gate_by_hand() -> None:
    gate = hcp_mer.Gate(2)
    with torch.no_grad():
        gate.weight.copy_(torch.tensor([[1.0, 0.0, 0.0, 2.0], [0.0, -1.0, 0.0, 0.0]]))
        gate.bias.copy_(torch.tensor([0.1, 0.2]))
    h, c = (0.9, 0.1), (0.3, 0.7)
    a = 1 / (1 + math.exp(-(0.9 + 1.4))) + 0.1
    b = 1 / (1 + math.exp(0.1)) + 0.2
    first, second = a * h[0] + b * c[0], a * h[1] + b * c[1]
    found = gate(torch.tensor([h]).log(), torch.tensor([c]).log()).exp()
    torch.testing.assert_close(found, torch.tensor([[first, second]]) / (first + second))


def test_gate_starts_with_both_alike() -> None:
    h, c = torch.tensor([[0.9, 0.1]]), torch.tensor([[0.3, 0.7]])
    torch.testing.assert_close(hcp_mer.Gate(2)(h.log(), c.log()).exp(), (h + c) / 2)


def test_adapter_by_hand() -> None:
    net = hcp_mer.Bottleneck(2, 1).eval()
    with torch.no_grad():
        values = ([[1.0, 2]], [3.0], [4.0], [5.0], [[6.0], [7]], [8.0, 9])
        for parameter, value in zip(net.parameters(), values, strict=True):
            parameter.copy_(torch.tensor(value))
        net.norm.running_mean.fill_(2)
        net.norm.running_var.fill_(9 - 1e-5)  # to which the layer adds as much
    hidden = (1 * 1 + 2 * 2 + 3 - 2) / 3 * 4 + 5  # linear, normalised, scaled and shifted: 13, which ReLU leaves
    expected = torch.tensor([[1 + 6 * hidden + 8, 2 + 7 * hidden + 9]])
    torch.testing.assert_close(net(torch.tensor([[1.0, 2.0]])), expected)
    # and a training batch of one sample is normalised in the same way
    torch.testing.assert_close(net.train()(torch.tensor([[1.0, 2.0]])), expected)


def test_adapters_start_as_the_identity() -> None:
    config = CONFIGURATIONS["paper-casme3"]
    net, x = hcp_mer.adapter(512, config), torch.randn(4, 512)
    assert [(layer.down.out_features, layer.up.out_features) for layer in net] == [(128, 512)] * 2
    assert torch.equal(net(x), x)
    assert len(hcp_mer.adapter(512, CONFIGURATIONS["without-adapter"])) == 0


TEXTS_OF = ["micro-expression of anger", "micro-expression of raising the brows, and sometimes parting the lips."]


@torch.inference_mode()
def test_without_learned_tokens_texts_are_read_as_clip_reads_them() -> None:
    branch = hcp_mer.Prompts(ENCODER, "a photo of", TEXTS_OF, context=0)
    torch.testing.assert_close(branch(ENCODER), ENCODER(clip.tokens(TEXTS_OF)), atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_learned_tokens_stand_half_before_and_half_after_the_classes_own() -> None:
    # three tokens that begin as "a photo of": one before, two after
    branch = hcp_mer.Prompts(ENCODER, "a photo of", TEXTS_OF, context=3)
    expected = ENCODER(clip.tokens([f"a {text} photo of" for text in TEXTS_OF]))
    torch.testing.assert_close(branch(ENCODER), expected, atol=1e-5, rtol=1e-5)
    branch = hcp_mer.Prompts(ENCODER, "a photo of", TEXTS_OF, context=8)
    words, learned = ENCODER.token_embedding.weight, branch.context
    assert torch.equal(learned[:3], words[clip.pieces("a photo of")])
    assert 0.01 < learned[3:].std() < 0.03
    pieces = clip.pieces(TEXTS_OF[0])
    expected = [words[clip.START], *learned[:4], *words[pieces], *learned[4:], words[clip.END]]
    assert torch.equal(branch.embedded()[0, : len(pieces) + 10], torch.stack(expected))


def network(config: HCPConfig = TINY, seed: int = 0) -> hcp_mer.HCPMER:
    torch.manual_seed(seed)
    return hcp_mer.HCPMER(ENCODER, prompts.groups(CLASSES), config)


def embeddings(count: int, seed: int, classes: int = 3, width: int = 64) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """Both embeddings of samples of each class in turn: a face that all share, a trace of the class, and noise."""
    fixed, drawn = torch.Generator().manual_seed(0), torch.Generator().manual_seed(seed)
    face, traces = torch.randn(2, width, generator=fixed), torch.randn(2, classes, width, generator=fixed)
    labels = torch.arange(count) % classes
    noise = torch.randn(2, count, width, generator=drawn)
    made = face[:, None] * 3 + traces[:, labels] + 0.5 * noise
    return (made[0], made[1]), labels


def test_the_loss_is_equation_9_and_each_ablation_lacks_its_part() -> None:
    inputs, labels = embeddings(12, seed=1)
    net = network().eval()
    with torch.no_grad():
        for parameter in [p for p in net.parameters() if p.requires_grad]:
            parameter.add_(0.1 * torch.randn_like(parameter))  # so that no part is zero
    images, texts = net.features(inputs)
    h, c = net.responses(images, texts)
    con = losses.contrastive(images, texts, labels, 0.01, "classes")
    cc, lf = losses.consistency(h, c), losses.focal(net.fused([h, c]), labels, 0.25, 2)
    for changes, expected in (
        ({}, con + 0.5 * cc + 0.5 * lf),
        ({"weight_consistency": 0.0}, con + 0.5 * lf),
        ({"weight_focal": 0.0}, con + 0.5 * cc),
    ):
        net.config = TINY.model_copy(update=changes)
        torch.testing.assert_close(net.objective(inputs, labels, 0.0), expected)
    torch.testing.assert_close(net(*inputs), net.fused([h, c]))
    torch.testing.assert_close(net(*inputs).exp().sum(dim=1), torch.ones(12))


@pytest.mark.parametrize(("branches", "which"), [("holistic", 0), ("componential", 1)])
def test_one_branch_sees_its_own_embedding_and_texts(branches: str, which: int) -> None:
    inputs, labels = embeddings(6, seed=1)
    net = network(TINY.model_copy(update={"branches": branches}))
    groups = prompts.groups(CLASSES)
    names = [[f"{g.marker} {g.name}" for g in groups], [f"{g.marker} {g.movement}" for g in groups]][which]
    assert net(inputs[which]).shape == (6, 3)
    fixed = net.prompts[0].get_buffer("fixed")
    for row, name in zip(fixed, names, strict=True):
        own = ENCODER.token_embedding.weight[clip.pieces(name)]
        assert torch.equal(row[1 + 4 : 1 + 4 + len(own)], own)  # after the start and four learned tokens
    texts = net.prompts[0](ENCODER)
    response = (losses.cosines(inputs[which], texts) / 0.01).log_softmax(dim=1)
    expected = losses.contrastive([inputs[which]], [texts], labels, 0.01, "classes")
    torch.testing.assert_close(
        net.objective((inputs[which],), labels, 0.0), expected + 0.5 * losses.focal(response, labels, 0.25, 2)
    )


def trained(inputs: tuple[Tensor, ...], labels: Tensor, config: HCPConfig = TINY, steps: int = 30) -> hcp_mer.HCPMER:
    net = network(config).train()
    optimiser = hcp_mer.schedule(config).make(net)
    for _ in range(steps):
        optimiser.zero_grad()
        net.objective(inputs, labels, 0.0).backward()
        optimiser.step()
    return net.eval()


@pytest.mark.parametrize("changes", [{}, {"negatives": "batch"}, {"branches": "componential"}, {"bottleneck": 0}])
def test_it_learns_what_the_embeddings_tell_of_classes(changes: dict) -> None:
    config = TINY.model_copy(update=changes)
    branch = slice(1, 2) if config.branches == "componential" else slice(0, 2)
    (inputs, labels), (unseen, truth) = embeddings(48, seed=1), embeddings(48, seed=2)
    found = trained(inputs[branch], labels, config)(*unseen[branch]).argmax(dim=1)
    assert (found == truth).float().mean() > 0.8


def test_it_learns_nothing_of_classes_from_labels_that_tell_nothing() -> None:
    (inputs, labels), (unseen, truth) = embeddings(54, seed=1), embeddings(54, seed=2)
    shuffled = torch.arange(54) // 3 % 3
    assert torch.equal(torch.bincount(3 * labels + shuffled), torch.full((9,), 6)), "every pair alike often"
    guessed = trained(inputs, shuffled)(*unseen).argmax(dim=1)
    assert (guessed == truth).float().mean() < 0.5  # chance is 1/3, a standard error 0.06


def test_only_tokens_adapters_and_gate_are_trained() -> None:
    before = copy.deepcopy(ENCODER.state_dict())
    inputs, labels = embeddings(12, seed=1)
    net = trained(inputs, labels, steps=3)
    assert all(torch.equal(value, before[key]) for key, value in ENCODER.state_dict().items())
    assert all(parameter.grad is None for parameter in ENCODER.parameters())
    still = [n for n, p in net.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
    assert not still
    assert {n.partition(".")[0] for n, p in net.named_parameters() if p.requires_grad} == {
        "prompts",
        "adapters",
        "gate",
    }


@pytest.mark.parametrize("steps", [2, pytest.param(10, marks=pytest.mark.slow)])
def test_full_size_trains_without_an_image_encoder(steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def tripped(*args: object, **kwargs: object) -> None:
        raise AssertionError("an image encoder, which begins with a convolution, was instantiated")

    monkeypatch.setattr(nn.Conv2d, "__init__", tripped)
    monkeypatch.setattr(clip.open_clip.CLIP, "__init__", tripped)
    config = CONFIGURATIONS["paper"]
    net = hcp_mer.build(config, CLASSES, {}, seed=0)().train()
    adapters, tokens, gate = 2 * (2 * 512 * 64 + 3 * 64 + 512), 2 * 8 * 512, 2 * 6 + 2
    assert sum(p.numel() for p in net.parameters() if p.requires_grad) == adapters + tokens + gate
    inputs, labels = embeddings(16, seed=1, width=512)
    optimiser, seen = hcp_mer.schedule(config).make(net), []
    for _ in range(steps):
        optimiser.zero_grad()
        loss = net.objective(inputs, labels, 0.0)
        loss.backward()
        optimiser.step()
        seen.append(loss.item())
    assert all(map(math.isfinite, seen))
    assert seen[-1] < seen[0]


def test_it_reads_the_embeddings_that_its_branches_call_for() -> None:
    assert hcp_mer.features(CONFIGURATIONS["paper"]) == ("apex.embed", "flownet2.embed")
    assert hcp_mer.features(CONFIGURATIONS["flow-tvl1"]) == ("apex.embed", "tvl1.embed")
    assert hcp_mer.features(CONFIGURATIONS["without-com"]) == ("apex.embed",)
    assert hcp_mer.features(CONFIGURATIONS["without-hol"]) == ("flownet2.embed",)
    read = {"apex.embed": {"a": np.ones(64), "b": np.zeros((1, 64))}}
    (made,) = hcp_mer.inputs(TINY, read, ["b", "a"])
    assert made.dtype == torch.float32
    assert made.sum(dim=1).tolist() == [0, 64]
    with pytest.raises(MepipeError, match=r"apex\.embed holds embeddings of 64 numbers, and clip-vit-b32 makes 512"):
        hcp_mer.inputs(CONFIGURATIONS["paper"], read, ["a"])


@pytest.mark.parametrize(
    ("recipe", "configuration"),
    [("hcp-mer", "paper"), ("hcp-mer-tvl1", "flow-tvl1"), ("hcp-mer-tiny", "tiny")],
)
def test_recipes_store_what_their_configuration_reads(recipe: str, configuration: str) -> None:
    nodes, config = load(recipe).nodes, CONFIGURATIONS[configuration]
    for name in hcp_mer.features(config):
        assert nodes[name].store is True
        params = EmbedParams(**nodes[name].params)
        assert (params.model, params.cut) == (config.backbone, "embedding")


def test_classes_are_known_by_name() -> None:
    assert len(hcp_mer.build(TINY, ["happy", "sad"], {}, seed=0)().prompts[0].get_buffer("ends")) == 2
    with pytest.raises(UsageError, match="no prompts for class 'I'"):
        hcp_mer.build(TINY, ["I", "II"], {}, seed=0)


def test_folds_draw_their_own_tokens_and_share_the_text_encoder() -> None:
    make = hcp_mer.build(TINY, CLASSES, {}, seed=0)
    torch.manual_seed(1)
    one = make()
    torch.manual_seed(2)
    other = make()
    assert one.encoder is other.encoder
    assert not torch.equal(one.prompts[0].context, other.prompts[0].context)


def test_every_configuration_is_valid_and_begins_with_weights_that_are_known() -> None:
    for name, config in CONFIGURATIONS.items():
        assert HCPConfig.model_validate(config.model_dump()) == config, name
        if config.backbone != "tiny":
            (begun,) = hcp_mer.MODEL.weights(config)
            assert weights.get(begun).network == begun.replace("-", "_")
