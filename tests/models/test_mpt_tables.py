"""The rows of MPT's tables: what each trains, reads and costs, as the paper prints it."""

from functools import cache
from typing import get_args

import pytest

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")

from mepipe.errors import UsageError  # noqa: E402
from mepipe.models import backbones, configs, mpt  # noqa: E402
from mepipe.models.configs.mpt import CONFIGURATIONS, MPTConfig  # noqa: E402


@cache
def full_size(config):
    with torch.device("meta"):  # shapes without numbers: 86 M parameters cost nothing
        return mpt.MPT(backbones._empty(config.backbone), 3, config)


def multiplications(config):
    from torch.utils.flop_counter import FlopCounterMode

    model = full_size(config)
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        motion = torch.zeros(1, 16, 3, config.motion_size, config.motion_size)
        model(torch.zeros(1, 3, 224, 224), *([motion] if model.prompts else []))
    return counter.get_total_flops() / 2e9  # a multiply-add is two operations


# Tables V-VIII of the paper: millions of tunable parameters as printed.
@pytest.mark.parametrize(
    ("row", "millions"),
    [
        ("paper", 5.5),
        ("vi-motion-prompt", 0.2),
        ("vi-group-adapter", 3.5),
        ("vii-vpt-shallow", 5.5),
        ("vii-vpt-deep", 5.8),
        ("viii-primitive-adapter", 2.0),
        # a large model or a number of prompts does not change what is tuned, as printed
        ("ix-vit-b32", 5.5),
        ("ix-clip-b16", 5.5),
        ("ix-clip-b32", 5.5),
        ("fig5-1", 5.5),
        ("fig5-7", 5.5),
    ],
)
def test_tunable_parameters_are_those_of_the_papers_tables(row, millions):
    assert round(mpt.tunable(full_size(CONFIGURATIONS[row])) / 1e6, 1) == millions


def test_the_head_alone_is_a_linear_layer():
    # the paper prints 0.003 M for this, which is 2,307 rounded up
    assert mpt.tunable(full_size(CONFIGURATIONS["vi-partial"])) == 768 * 3 + 3


@pytest.mark.parametrize("row", ["vi-scratch", "vi-full"])
def test_the_whole_transformer_is_the_papers_without_a_layer_that_timm_dropped(row):
    # 86.4 M in table VI: older in21k checkpoints had a 768 x 768 pre-logits layer, the augreg ones have none
    whole = mpt.tunable(full_size(CONFIGURATIONS[row]))
    assert round((whole + 768 * 768 + 768) / 1e6, 1) == 86.4


def test_multiplications_are_the_papers_18_7_giga():
    assert round(multiplications(CONFIGURATIONS["paper"]), 1) == 18.7


@pytest.mark.parametrize(("kind", "millions", "length"), [("vpt-shallow", 5.5, 200), ("vpt-deep", 5.8, 50)])
def test_one_only_of_vpts_prompt_lengths_gives_the_number_that_is_printed(kind, millions, length):
    model = full_size(MPTConfig(prompt=kind, prompts=1))
    each = model.vectors.vectors.numel()
    lengths = (1, 5, 10, 50, 100, 200)  # what Jia et al. choose from
    fitting = [n for n in lengths if round((mpt.tunable(model) + (n - 1) * each) / 1e6, 1) == millions]
    assert fitting == [length]
    assert CONFIGURATIONS[f"vii-{kind}"].prompts == length


def test_rows_differ_from_the_paper_in_what_they_are_named_for():
    assert len({config.model_dump_json() for config in CONFIGURATIONS.values()}) == len(CONFIGURATIONS)
    assert next(iter(CONFIGURATIONS)) == "paper"
    for r in (4, 12):
        assert mpt.tunable(full_size(CONFIGURATIONS[f"xi-{r}"])) > 12 * 3 * 2 * 768 * 768 // r
    for name, config in CONFIGURATIONS.items():
        assert mpt.MODEL.weights(config) == (() if name == "vi-scratch" else (config.backbone,))


def test_backbones_that_can_be_chosen_are_those_that_there_are():
    assert get_args(MPTConfig.model_fields["backbone"].annotation) == tuple(backbones.BACKBONES)


@pytest.mark.parametrize("row", ["x-0", "x-10", "x-30", "x-50"])
def test_other_magnifications_are_nodes_of_their_own_with_that_alpha(row):
    from mepipe.recipe.model import load

    image, motion = mpt.MODEL.features(CONFIGURATIONS[row])
    nodes, usual = load("mpt-alpha").nodes, load("mpt").nodes
    assert nodes[nodes[motion].input].params == {"alpha": int(row[2:])}
    assert nodes[motion].model_copy(update={"input": "magnify"}) == usual["magnify.frames"]
    assert nodes[image] == usual[image]


def test_what_has_no_motion_prompts_reads_no_motion():
    for row in ("vi-group-adapter", "vi-full", "vii-vpt-deep"):
        assert mpt.MODEL.features(CONFIGURATIONS[row]) == ("rank-pool",)
    assert mpt.MODEL.features(CONFIGURATIONS["paper"]) == ("rank-pool", "magnify.frames")


def test_frames_that_cannot_be_cut_into_equal_cells_are_refused():
    with pytest.raises(UsageError, match=r"grid: frames of 30 pixels have no 4 x 4 equal cells \(got 4\)"):
        configs.choose("mpt", "tiny", {"motion_size": 30})
