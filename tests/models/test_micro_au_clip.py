"""Micro-AU CLIP: its loss, what it reads, what is trained, and that it learns units where they are."""

from __future__ import annotations

import copy
import itertools
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("open_clip")

from torch import Tensor, nn  # noqa: E402

from mepipe import weights  # noqa: E402
from mepipe.errors import MepipeError, UsageError  # noqa: E402
from mepipe.models import micro_au_clip as model  # noqa: E402
from mepipe.models import micro_au_clip_losses as losses  # noqa: E402
from mepipe.models.configs.micro_au_clip import CONFIGURATIONS, MicroAUConfig  # noqa: E402
from mepipe.networks import clip  # noqa: E402
from mepipe.networks.clip_image import SIZES, image_encoder  # noqa: E402
from mepipe.ops.landmarks import to_68  # noqa: E402
from mepipe.recipe.model import load  # noqa: E402
from mepipe.stages.embed import EmbedParams  # noqa: E402

UNITS = (2, 4, 12)
NAMES = ("AU2", "AU4", "AU12")
TINY = CONFIGURATIONS["tiny"]
IMAGE, TEXT = image_encoder("tiny", None).requires_grad_(False), clip.text_encoder("tiny", None).requires_grad_(False)
# In which of 4 x 4 patches each landmark lies: brows in the second row, mouth in the last; each its own column
PLACES = torch.full((68,), 5.0)
PLACES[list(range(19, 25))] = torch.tensor([4.0, 4, 5, 6, 7, 7])
PLACES[[48, 54]] = torch.tensor([13.0, 14])


def network(config: MicroAUConfig = TINY, seed: int = 0) -> model.MicroAUCLIP:
    torch.manual_seed(seed)
    return model.MicroAUCLIP(IMAGE, TEXT, UNITS, config)


def samples(count: int, seed: int) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """Tokens with a trace of each active unit in the patches of its region, on noise; every combination in turn."""
    fixed, drawn = torch.Generator().manual_seed(0), torch.Generator().manual_seed(seed)
    traces = 2 * torch.randn(3, 64, generator=fixed)
    labels = torch.tensor([[n >> a & 1 for a in range(3)] for n in range(count)], dtype=torch.float32)
    tokens = torch.randn(count, 17, 64, generator=drawn)
    for unit, region in enumerate((slice(5, 9), slice(5, 9), slice(14, 16))):
        tokens[:, region] += labels[:, unit, None, None] * traces[unit]
    return (tokens, PLACES.expand(count, -1)), labels


def test_logits_are_the_softmax_of_equation_7() -> None:
    inputs, _ = samples(5, seed=1)
    net = network().eval()
    features, weighed, _ = net.features(*inputs)
    assert features.shape == (5, 3, 64)
    torch.testing.assert_close(weighed.sum(dim=1), torch.ones(5))
    scores = torch.stack([head(features[:, n]).softmax(dim=1)[:, 1] for n, head in enumerate(net.heads)], dim=1)
    torch.testing.assert_close(net(*inputs).sigmoid(), scores)
    # and emotions are inferred from what the scores are
    torch.testing.assert_close(net.emotions(*inputs), model.nearness(features, net.written(), UNITS))


def test_a_unit_sees_the_patches_of_its_own_landmarks_alone() -> None:
    (_, places), net = samples(2, seed=1)[0], network()
    seen = torch.randn(2, 17, 64)
    before = net.local(seen, places)
    seen[:, 1 + 14] += 1  # the right corner of the mouth
    changed = (net.local(seen, places) != before).flatten(2).any(dim=2)
    assert changed.tolist() == [[False, False, True]] * 2
    seen[:, 1 + 10] += 1  # where no unit has a landmark
    seen[:, 0] += 1
    assert torch.equal((net.local(seen, places) != before).any(dim=2), changed)


def test_the_loss_is_equation_12_and_each_row_has_its_own() -> None:
    inputs, labels = samples(6, seed=1)
    net = network().eval()
    features, weighed, whole = net.features(*inputs)
    tasks = losses.multi_task(net(*inputs), labels)
    gd, tau = losses.dependency(weighed, labels), TINY.temperature
    own = net.written()[torch.arange(3), labels.long()]
    same = losses.contrastive(features, own, losses.same_class(labels), tau)
    alone = losses.contrastive(features, own, losses.diagonal(labels), tau)
    said = "The outer eyebrows are raising, The eyebrows are not lowering, The lip corners are not pulling up"
    assert labels[1].tolist() == [1, 0, 0]
    torch.testing.assert_close(net._described(labels)[1], TEXT(clip.tokens([said]))[0], atol=1e-5, rtol=1e-5)
    described = losses.contrastive(whole[:, None], net._described(labels)[:, None], losses.diagonal(labels[:, :1]), tau)
    for changes, expected in (
        ({}, tasks + 0.6 * same + gd),
        ({"contrast": "diagonal"}, tasks + 0.6 * alone + gd),
        ({"contrast": "global"}, tasks + 0.6 * described + gd),
        ({"contrast": "none"}, tasks + gd),
        ({"beta": 0.0}, tasks + 0.6 * same),
    ):
        net.config = TINY.model_copy(update=changes)
        torch.testing.assert_close(net.objective(inputs, labels, 0.0), expected)


def test_texts_stand_in_the_order_of_labels() -> None:
    """Not active, then active: what a label picks."""
    found = network().written()
    for column, line in ((0, "The eyebrows are not lowering"), (1, "The eyebrows are lowering")):
        torch.testing.assert_close(found[1, column], TEXT(clip.tokens([line]))[0], atol=1e-5, rtol=1e-5)


def trained(inputs: tuple[Tensor, ...], labels: Tensor, config: MicroAUConfig, steps: int = 60) -> model.MicroAUCLIP:
    net, schedule = network(config).train(), model.schedule(config)
    optimiser = schedule.make(net)
    schedule.set_rate(optimiser, 0)
    for step in range(steps):
        rows = torch.arange(8) + 8 * (step % (len(labels) // 8))
        optimiser.zero_grad()
        net.objective(tuple(x[rows] for x in inputs), labels[rows], 0.0).backward()
        optimiser.step()
    return net.eval()


@pytest.mark.parametrize(
    "changes", [{}, {"dependency": "add", "pool": "mean"}, {"dependency": "cat", "pool": "max"}, {"dependency": "none"}]
)
def test_it_learns_units_from_their_patches(changes: dict) -> None:
    (inputs, labels), (unseen, truth) = samples(64, seed=1), samples(64, seed=2)
    found = trained(inputs, labels, TINY.model_copy(update=changes))(*unseen) > 0
    assert (found == truth.bool()).float().mean(dim=0).min() > 0.85


def test_it_learns_nothing_of_units_from_labels_that_tell_nothing() -> None:
    (inputs, labels), (unseen, truth) = samples(64, seed=1), samples(64, seed=2)
    net = trained(inputs, labels[torch.randperm(64, generator=torch.Generator().manual_seed(3))], TINY)
    right = ((net(*unseen) > 0) == truth.bool()).float().mean()
    assert 0.3 < right < 0.7  # chance is 1/2; a standard error of 192 guesses is .04, and guesses hang together


def test_last_layers_and_all_that_is_new_are_trained_at_their_rates() -> None:
    inputs, labels = samples(8, seed=1)
    frozen = copy.deepcopy((IMAGE.state_dict(), TEXT.state_dict()))
    net = trained(inputs, labels, TINY, steps=2)
    for encoder, state in zip((IMAGE, TEXT), frozen, strict=True):
        assert all(torch.equal(value, state[key]) for key, value in encoder.state_dict().items())
    still = {name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()}
    assert still <= {f"pools.{n}.score.2.bias" for n in range(3)}, "but for what a softmax takes away"
    (encoders, one), (rest, more) = ((set(map(id, group)), factor) for group, factor in net.rates())
    assert (one, more) == (1, TINY.faster)
    assert encoders | rest == set(map(id, net.parameters()))
    assert encoders == set(map(id, [*net.image.parameters(), *net.text.parameters()]))
    schedule = model.schedule(CONFIGURATIONS["paper"])
    assert [schedule.rate(epoch) for epoch in (0, 39, 40, 79)] == pytest.approx([1e-3, 1e-3, 1e-4, 1e-4])


def test_fixed_texts_stay_and_folds_have_networks_of_their_own() -> None:
    net = network(TINY.model_copy(update={"train_text": False}))
    assert not any(p.requires_grad for p in net.text.parameters())
    make = model.build(TINY, NAMES, {}, seed=0)
    one, other = make(), make()
    assert one.image.proj is not other.image.proj
    assert torch.equal(one.image.proj, other.image.proj), "both begin with the same weights"
    assert one.frozen_text == other.frozen_text


def landmarks(crop: int) -> np.ndarray:
    """478 points in a crop; those of the scheme's 48th place, the mouth's corner: second column, last row."""
    points = np.full((478, 2), crop * 0.9, np.float32)
    points[61] = (crop * 0.26, crop * 0.76)
    assert np.array_equal(to_68(points)[48], points[61])
    return points


def test_it_reads_tokens_and_the_patches_of_landmarks() -> None:
    assert model.features(TINY) == ("flow.tokens", "landmarks")
    read = {"flow.tokens": {s: np.full((17, 64), n, np.float32) for n, s in enumerate("ab")}}
    read["landmarks"] = {s: landmarks(224) for s in "ab"}
    tokens, places = model.inputs(TINY, read, ["b", "a"])
    assert (tokens.dtype, places.dtype) == (torch.float16, torch.uint8)
    assert tokens[:, 0, 0].tolist() == [1, 0]
    assert places[0, 48] == 3 * 4 + 1  # of 4 x 4
    with pytest.raises(MepipeError, match=r"flow\.tokens holds 17 x 64 numbers.*clip-vit-b32 makes 50 x 768"):
        model.inputs(CONFIGURATIONS["paper"], read, ["a"])
    read["landmarks"] = {"a": landmarks(448)}
    with pytest.raises(MepipeError, match=r"landmarks reach to 403 px, which is no crop of 224 px\. Say --crop"):
        model.inputs(TINY, read, ["a"])


@pytest.mark.parametrize(("recipe", "configuration"), [("micro-au-clip", "paper"), ("micro-au-clip-tiny", "tiny")])
def test_recipes_cut_where_training_begins(recipe: str, configuration: str) -> None:
    nodes, config = load(recipe).nodes, CONFIGURATIONS[configuration]
    params = EmbedParams(**nodes["flow.tokens"].params)
    assert params.model == config.backbone
    assert params.cut == f"block-{SIZES[params.model].layers - config.trained}"
    assert nodes["magnify"].params["factor"] == 3
    assert all(nodes[name].store for name in model.features(config))


def test_units_without_landmarks_or_texts_are_refused() -> None:
    with pytest.raises(UsageError, match="no landmarks for action unit 6"):
        model.build(TINY, ["AU4", "AU6"], {}, seed=0)()


def test_every_configuration_builds_but_for_its_size() -> None:
    inputs, labels = samples(2, seed=1)
    small = {"backbone": "tiny", "trained": 1, "hidden": 8}
    for name, config in CONFIGURATIONS.items():
        assert MicroAUConfig.model_validate(config.model_dump()) == config, name
        net = network(config.model_copy(update=small))
        assert net.objective(inputs, labels, 0.0).isfinite(), name
        if config.backbone != "tiny":
            (begun,) = model.MODEL.weights(config)
            assert weights.get(begun).network == begun.replace("-", "_")


@pytest.mark.slow
def test_full_size_runs_its_last_three_layers_only_and_its_loss_falls() -> None:
    """CLIP ViT-B/32, eight units, the paper's batch, random weights."""
    config, size = CONFIGURATIONS["paper"], SIZES["clip-vit-b32"]
    units = (1, 2, 4, 7, 12, 14, 15, 17)
    net = model.build(config, [f"AU{n}" for n in units], {}, seed=0)().train()
    assert not [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.Embedding)], "no layers before the cut"
    assert [len(net.image.blocks), len(net.text.blocks)] == [3, 3]
    drawn = torch.Generator().manual_seed(0)
    inputs = torch.randn(8, size.tokens, size.width, generator=drawn), torch.randint(0, 49, (8, 68), generator=drawn)
    labels = torch.randint(0, 2, (8, 8), generator=drawn).float()
    schedule = model.schedule(config)
    optimiser, seen = schedule.make(net), []
    schedule.set_rate(optimiser, 0)
    for _ in range(10):
        optimiser.zero_grad()
        loss = net.objective(inputs, labels, 0.0)
        loss.backward()
        optimiser.step()
        seen.append(loss.item())
    assert all(map(math.isfinite, seen))
    assert all(later < earlier for earlier, later in itertools.pairwise(seen)), seen
