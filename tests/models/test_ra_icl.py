from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.models import resnet18

from mepipe.models import declare, ra_icl
from mepipe.models.configs import choose
from mepipe.models.configs.ra_icl import CONFIGURATIONS, RaICLConfig
from mepipe.models.ra_icl import RaICL
from mepipe.recipe.model import load

SMALL = {"width": 4, "dim": 16, "queries": 4, "layers": 1, "size": 64, "pool": False}


def small(**changes: object) -> RaICL:
    torch.manual_seed(0)
    return RaICL(3, RaICLConfig.model_validate(SMALL | changes))


def batch(samples: int = 3) -> tuple[tuple[Tensor], Tensor]:
    generator = torch.Generator().manual_seed(1)
    return (torch.randn(samples, 3, 3, 64, 64, generator=generator),), torch.arange(samples) % 3


def test_of_width_64_it_is_torchvisions_resnet_18_up_to_its_last_maps() -> None:
    torch.manual_seed(0)
    whole = resnet18()
    trunk = ra_icl.residual(64, pool=True).eval()
    state = {name: value for name, value in whole.state_dict().items() if not name.startswith("fc.")}
    trunk.load_state_dict(state)
    images = torch.randn(1, 3, 96, 96)
    whole.eval().fc = torch.nn.Identity()
    with torch.no_grad():
        torch.testing.assert_close(trunk(images).mean(dim=(2, 3)), whole(images))
    fresh = ra_icl.residual(64, pool=True)
    for name, value in resnet18().state_dict().items():
        if "conv" in name:  # as random, too
            assert float(fresh.state_dict()[name].std() / value.std()) == pytest.approx(1, abs=0.05)


def test_attention_averaged_over_places_is_the_logits() -> None:
    model = small().eval()
    (three,), _ = batch()
    with torch.no_grad():
        features = model.online.trunk(three[:, 0])
        maps = ra_icl.attention(features, model.online.head.weight)
        assert maps.shape == (3, 3, 4, 4)
        torch.testing.assert_close(maps.mean(dim=(2, 3)), model(three))


def test_attention_of_one_place_by_hand() -> None:
    features = torch.tensor([1.0, 2.0]).view(1, 2, 1, 1)
    weight = torch.tensor([[3.0, -1.0], [0.5, 4.0]])
    assert ra_icl.attention(features, weight).flatten().tolist() == [1.0, 8.5]


def test_attention_loss_is_the_mean_square_difference_from_the_map_turned_back() -> None:
    torch.manual_seed(0)
    maps = torch.randn(2, 3, 4, 4)
    assert float(ra_icl.attention_loss(maps, maps.flip(-1))) == 0
    even = maps + maps.flip(-1)
    assert float(ra_icl.attention_loss(even, even)) == 0
    one, other = torch.tensor([[[[1.0, 2.0]]]]), torch.tensor([[[[5.0, 1.0]]]])
    assert float(ra_icl.attention_loss(one, other)) == ((1 - 1) ** 2 + (2 - 5) ** 2) / 2


def test_the_target_follows_as_an_exponential_moving_average() -> None:
    model = small(momentum=0.9)
    start = copy.deepcopy(model.online.state_dict())
    with torch.no_grad():
        for p in model.online.parameters():
            p += 1.0
    for _ in range(5):
        model.after_step()
    for name, value in model.target.named_parameters():
        # what stays of the beginning after k steps is 0.9^k
        torch.testing.assert_close(value, start[name] + 1 - 0.9**5)
    still = small(momentum=1.0)
    with torch.no_grad():
        still.online.head.weight += 1
    still.after_step()
    assert not torch.equal(still.online.head.weight, still.target.head.weight)


def test_only_the_online_network_and_the_predictor_are_trained() -> None:
    model = small()
    inputs, labels = batch()
    model.objective(inputs, labels, 0.0).backward()
    assert all(p.grad is None for p in model.target.parameters())
    without = [n for n, p in model.named_parameters() if not n.startswith("target.") and p.grad is None]
    assert without == []
    trained = {id(p) for group, _ in model.rates() for p in group}
    assert trained == {id(p) for n, p in model.named_parameters() if not n.startswith("target.")}


def test_recognition_is_of_the_middle_instance_by_the_online_network_alone() -> None:
    model = small().eval()
    (three,), _ = batch()
    other = three.clone()
    other[:, 1:] = torch.randn(3, 2, 3, 64, 64)
    with torch.no_grad():
        before = model(three)
        for module in (model.target, model.predict, model.online.regions):
            for p in module.parameters():
                p.fill_(torch.nan)
        assert torch.equal(model(other), before)


def parts(model: RaICL) -> set[str]:
    names = {name for name, _ in model.named_modules()}
    return {part for part in ("target", "predict", "online.regions", "target.regions") if part in names}


EVERYTHING = {"target", "predict", "online.regions", "target.regions"}
ROWS = {
    "M1": ("motion-map", set()),
    "M2": ("instances", set()),
    "M3": ("motion-map", EVERYTHING),
    "M4": ("instances", EVERYTHING),
    "M5": ("instances", {"target"}),
    "M6": ("instances", EVERYTHING),
    "M7": ("instances.apex-window", EVERYTHING),
    "M8": ("instances.full", EVERYTHING),
    "M9": ("instances.random", EVERYTHING),
    "M10": ("instances.uniform", EVERYTHING),
}


@pytest.mark.parametrize("row", ROWS)
def test_rows_of_table_3_have_their_parts_and_read_their_instances(row: str) -> None:
    config = CONFIGURATIONS[row]
    node, expected = ROWS[row]
    model = small(**config.model_dump(include={"instances", "irc", "mrd"}))
    assert parts(model) == expected
    assert ra_icl.MODEL.features(config) == (node,)
    stored = {n for recipe in ("ra-icl", "ra-icl-strategies") for n, v in load(recipe).nodes.items() if v.store}
    assert node in stored
    loss = model.objective(*batch(), 0.0)
    loss.backward()
    assert torch.isfinite(loss)


def test_each_network_has_its_temperature() -> None:
    model = small(**CONFIGURATIONS["sharp"].model_dump(include={"temperature", "temperature_target"}))
    assert (model.online.regions.temperature, model.target.regions.temperature) == (0.1, 0.04)
    features = torch.rand(2, 32, 4, 4)
    with torch.no_grad():
        (online, _), (target, _) = model.online.regions(features), model.target.regions(features)
    # the same weights: the same cosines, divided by each one's own temperature
    ratio = (target[:, 0] / target[:, 1]).log() / (online[:, 0] / online[:, 1]).log()
    torch.testing.assert_close(ratio, torch.full_like(ratio, 2.5), atol=0.01, rtol=0)


def test_the_default_is_the_papers() -> None:
    paper = next(iter(CONFIGURATIONS.values()))
    assert paper == CONFIGURATIONS["paper"] == CONFIGURATIONS["M6"] == choose("ra-icl")
    schedule = ra_icl.MODEL.schedule(paper)
    assert (schedule.epochs, schedule.batch, schedule.lr, schedule.weight_decay) == (100, 32, 1e-3, 1e-4)
    assert schedule.optimiser == "adam"
    assert schedule.rate(99) == pytest.approx(1e-3 * 0.9**99)
    weights = (paper.weight_classification, paper.weight_attention, paper.weight_regions)
    assert (paper.momentum, paper.queries, *weights) == (0.99, 8, 0.5, 0.5, 0.5)
    assert paper.temperature == paper.temperature_target == 1
    assert declare.get("ra-icl") is ra_icl.MODEL


def test_the_papers_network_counts_as_a_resnet_18() -> None:
    with torch.device("meta"):
        model = RaICL(3, CONFIGURATIONS["paper"])
        maps = model.online.trunk(torch.empty(1, 3, 224, 224))
    assert maps.shape == (1, 512, 7, 7)
    fc = 512 * 1000 + 1000
    assert sum(p.numel() for p in model.online.trunk.parameters()) == 11_689_512 - fc  # torchvision's documentation


def test_the_objective_is_the_weighted_sum_of_its_parts() -> None:
    """Without random transforms: eq. 15 by hand, both directions one after the other."""
    inputs, labels = batch()
    model = small(gain=0, blur=0, weight_classification=0.3, weight_attention=0.7, weight_regions=0.2).eval()
    one, other = inputs[0][:, 1], inputs[0][:, 2]
    expected = torch.zeros(())
    for seen, mirrored in ((one, other), (other, one)):
        features, target = model.online.trunk(seen), model.target.trunk(ra_icl.flip(mirrored))
        expected = expected + 0.3 * F.cross_entropy(model.online.logits(features), labels) / 2
        maps = [ra_icl.attention(f, model.online.head.weight) for f in (features, target)]  # the target began the same
        expected = expected + 0.7 * (maps[0] - maps[1].flip(-1)).square().mean() / 2
        (regions, z), (known, fixed) = model.online.regions(features), model.target.regions(target)
        aligned = -(known.flip(-1) * regions.log()).sum(dim=1).mean()
        predicted = torch.stack([model.predict(z[:, m]) for m in range(4)], dim=1)
        expected = expected + 0.2 * (aligned - F.cosine_similarity(predicted, fixed, dim=2).mean())
    torch.testing.assert_close(model.objective(inputs, labels, 0.0), expected)


def test_attention_agrees_perfectly_where_instance_and_network_are_the_same_but_for_the_mirror() -> None:
    """With kernels that are their own mirror images a mirrored map is attended to at the mirrored places."""
    model = small(gain=0, blur=0, mrd=False, weight_classification=0)
    with torch.no_grad():
        for branch in (model.online, model.target):
            for module in branch.modules():
                if isinstance(module, torch.nn.Conv2d):
                    module.weight.copy_((module.weight + module.weight.flip(-1)) / 2)
            branch.trunk.conv1.weight[:, 0] = 0  # u alone changes its sign
    # strided convolutions of an even width are not mirrored exactly: of an odd one they are
    symmetric = torch.randn(2, 1, 3, 65, 65).expand(-1, 3, -1, -1, -1)
    loss = model.eval().objective((symmetric,), torch.tensor([0, 1]), 0.0)
    assert float(loss.detach()) == pytest.approx(0, abs=1e-10)


def test_flow_and_strain_are_scaled_by_what_the_training_samples_have() -> None:
    model = small()
    three = torch.randn(40, 3, 3, 16, 16) * torch.tensor([3.0, 1.0, 0.05]).view(3, 1, 1)
    model.fit((part,) for part in three.split(10))
    flow = 5**0.5  # of 3 and 1
    # 30,000 draws each: half a percent
    assert model.scale.flatten().tolist() == pytest.approx([flow, flow, 0.05], rel=0.02)
    still = small()
    still.fit([(torch.zeros(2, 3, 3, 4, 4),)])
    assert torch.isfinite(still(torch.zeros(1, 3, 3, 64, 64))).all()


def trained(steps: int, **changes: object) -> tuple[RaICL, list[float]]:
    """Six maps of three classes, each a blob that moves its own way at its own place."""
    place = torch.arange(64.0)
    maps = torch.zeros(6, 3, 64, 64)
    for sample in range(6):
        at = 16 * (sample % 3 + 1)
        blob = torch.exp(-((place - at) ** 2)[:, None] / 50 - (place - 20 - 4 * sample) ** 2 / 50)
        maps[sample, sample % 2] = blob
    model = small(**changes)
    inputs, labels = (maps[:, None].repeat(1, 3, 1, 1, 1),), torch.arange(6) % 3
    model.fit([inputs])
    optimiser = ra_icl.MODEL.schedule(model.config).make(model)
    losses = []
    torch.manual_seed(4)
    for _ in range(steps):
        optimiser.zero_grad()
        loss = model.train().objective(inputs, labels, 0.0)
        loss.backward()
        optimiser.step()
        model.after_step()
        losses.append(float(loss.detach()))
    with torch.no_grad():
        assert model.eval()(*inputs).argmax(dim=1).tolist() == labels.tolist() or steps < 10
    return model, losses


@pytest.mark.parametrize("row", ["M2", pytest.param("M6", marks=pytest.mark.slow)])
def test_it_learns_six_maps_by_heart(row: str) -> None:
    _, losses = trained(40, **CONFIGURATIONS[row].model_dump(include={"irc", "mrd"}), momentum=0.9, lr=5e-3)
    assert min(losses[-5:]) < losses[0] - 0.4


def test_one_seed_gives_the_same_network_and_another_another() -> None:
    (one, _), (same, _) = trained(2), trained(2)
    for name, value in one.state_dict().items():
        assert torch.equal(value, same.state_dict()[name]), name
    (three,), labels = batch()
    torch.manual_seed(9)
    first = one.objective((three,), labels, 0.0)
    torch.manual_seed(10)
    assert float(first.detach()) != float(one.objective((three,), labels, 0.0).detach())


def test_maps_from_elsewhere_train_the_single_instance_row() -> None:
    """As `mepipe store import` keeps them: arrays [channel, y, x], pictures [y, x, channel], of any size."""
    rng = np.random.default_rng(0)
    kinds = (rng.standard_normal((3, 28, 28)).astype(np.float32), rng.integers(0, 256, (40, 30, 3), dtype=np.uint8))
    config = choose("ra-icl", "M1", {**SMALL, "epochs": 1})
    for values in kinds:
        sources = ra_icl.MODEL.inputs(config, {"theirs": {"a": values, "b": values}}, ["a", "b"])
        model = ra_icl.MODEL.build(config, ["a", "b", "c"], {}, 0)()
        given = tuple(source[torch.tensor([1, 0])].float() for source in sources)
        assert given[0].shape == (2, 3, 3, 64, 64)
        model.objective(given, torch.tensor([0, 1]), 0.0).backward()
        assert model(*given).shape == (2, 3)
