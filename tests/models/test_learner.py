"""Steps of the optimiser, and rates, against hand-computed ones."""

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from mepipe.models import configs, mer_clip  # noqa: E402
from mepipe.models.learner import Learner, Schedule  # noqa: E402
from mepipe.train import folds  # noqa: E402
from mepipe.train.protocols import Fold  # noqa: E402


class Several(Learner):
    """A norm, a linear layer and an attention, whose gradients are all what they are told to be."""

    def __init__(self):
        super().__init__()
        self.norm, self.linear, self.attn = nn.LayerNorm(2), nn.Linear(2, 2), nn.MultiheadAttention(2, 1)
        self.scale = nn.Parameter(torch.tensor(3.0))


def test_norms_and_biases_are_not_decayed_and_all_else_is():
    """AdamW by hand: with gradients of zero, a step multiplies by 1 - rate * decay what is decayed, and no more."""
    net = Several()
    before = {name: p.detach().clone().fill_(0.5) for name, p in net.named_parameters()}
    net.load_state_dict(before)
    optimiser = Schedule(1, 1, 0.1, optimiser="adamw", weight_decay=0.5, decay_all=False).make(net)
    for p in net.parameters():
        p.grad = torch.zeros_like(p)
    optimiser.step()
    after = {name: float(p.detach().flatten()[0]) for name, p in net.named_parameters()}
    bare = {"norm.weight", "norm.bias", "linear.bias", "attn.out_proj.bias"}
    assert after == {name: pytest.approx(0.5 if name in bare else 0.5 * (1 - 0.1 * 0.5)) for name in before}
    assert "attn.in_proj_bias" in after, "which is decayed: its name is not `bias`"


def test_groups_keep_their_factor_on_both_sides():
    class Faster(Several):
        def rates(self):
            return [([self.linear.weight, self.linear.bias], 10.0), ([self.scale], 1.0)]

    schedule = Schedule(1, 1, 0.1, optimiser="adamw", decay_all=False)
    optimiser = schedule.make(Faster())
    schedule.set_rate(optimiser, 0)
    assert [(len(g["params"]), g["lr"]) for g in optimiser.param_groups] == [(1, 1.0), (1, 1.0), (1, 0.1), (0, 0.1)]


def test_gradients_are_cut_together_to_one_norm():
    """Gradients 3 and 4 have norm 5: cut to 1 they are 0.6 and 0.8, and a step of SGD at rate 0.1 takes a tenth."""
    net = Learner()
    net.one, net.two = nn.Parameter(torch.tensor(1.0)), nn.Parameter(torch.tensor(1.0))
    schedule = Schedule(1, 1, 0.1, optimiser="sgd", clip_norm=1.0)
    optimiser = schedule.make(net)
    net.one.grad, net.two.grad = torch.tensor(3.0), torch.tensor(4.0)
    schedule.step(optimiser)
    assert [net.one.item(), net.two.item()] == pytest.approx([0.94, 0.92], abs=1e-6)
    net.one.grad, net.two.grad = torch.tensor(0.3), torch.tensor(0.4)  # shorter than that: as they are
    schedule.step(optimiser)
    assert [net.one.item(), net.two.item()] == pytest.approx([0.91, 0.88], abs=1e-6)


def test_with_a_floor_the_rate_rises_from_it_and_falls_to_it():
    schedule = Schedule(55, 16, 2.0, warmup=5, cosine=True, floor=0.1)
    assert [schedule.rate(e) for e in (0, 2.5, 5, 30, 55)] == pytest.approx([0.2, 1.1, 2.0, 1.1, 0.2])


class Falling(Learner):
    """A number whose gradient is one: it falls by each step's rate."""

    def __init__(self):
        super().__init__()
        self.number = nn.Parameter(torch.tensor(0.0, dtype=torch.float64))

    def forward(self, x):
        return torch.stack([self.number * torch.ones(len(x)), torch.zeros(len(x))], dim=1).float()

    def objective(self, inputs, labels, progress):
        return self.number


@pytest.mark.parametrize(
    ("floor", "rates"),
    [
        # two epochs of warm-up and two of cosine, three steps in each: 0.1 + 0.9 x / 2, then 0.1 + 0.45 (1 + cos)
        (0.1, [0.1, 0.25, 0.4, 0.55, 0.7, 0.85, 1.0, 0.93971143, 0.775, 0.55, 0.325, 0.16028857]),
        (0.0, [1 / 3] * 3 + [2 / 3] * 3 + [1.0] * 3 + [0.5] * 3),  # the same within an epoch
    ],
)
def test_the_rate_of_every_step_of_a_fold(floor, rates):
    ids = tuple("abcdefg")
    samples = folds.Samples(ids, torch.zeros(7, dtype=torch.int64), (torch.zeros(7, 1),))
    kept = []
    schedule = Schedule(4, 2, 1.0, optimiser="sgd", warmup=2, cosine=True, floor=floor)
    how = folds.How(schedule, 0, torch.device("cpu"))
    record = folds.train_fold(Fold("x", ids[:6], ids[6:]), samples, Falling, how, keep=kept.append)
    assert kept[0].number.item() == pytest.approx(-sum(rates), abs=1e-6)
    first = [sum(rates[:n]) for n in range(3)]  # before each of the first epoch's steps
    assert record["losses"][0] == pytest.approx(-sum(first) / 3, abs=1e-6)


def test_published_code_of_mer_clip_has_them_and_nothing_else_has():
    made = mer_clip.schedule(configs.choose("mer-clip", "published-code"))
    assert (made.floor, made.clip_norm, made.decay_all) == (0.1, 20.0, False)
    for name, config in configs.configurations("mer-clip").items():
        plain = (config.floor, config.clip_norm, config.decay_all) == (0.0, 0.0, True)
        assert plain is not name.startswith("published-code"), name
