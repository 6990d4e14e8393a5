"""What MER-CLIP reads: the middle of frames, texts of action units, movement."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")
pytest.importorskip("open_clip")

from mepipe.errors import MepipeError  # noqa: E402
from mepipe.models import prompts  # noqa: E402
from mepipe.models.configs.mer_clip import CONFIGURATIONS, MerClipConfig  # noqa: E402
from mepipe.models.mer_clip_inputs import Clips, class_tokens, motion, normalised, unit_tokens  # noqa: E402
from mepipe.networks import clip  # noqa: E402
from tests.networks.reference import golden  # noqa: E402


def stored(count=3, size=64):
    rng = np.random.default_rng(0)
    return {f"c{i}": rng.integers(0, 256, (16, size, size, 3), dtype=np.uint8) for i in range(count)}


def test_the_middle_of_frames_is_taken_as_it_is_where_the_size_fits():
    frames = stored()
    clips = Clips(frames, ["c1", "c0"], 56, 0.875)[torch.tensor([1, 0])]
    assert clips.dtype == torch.uint8
    for found, name in zip(clips, ("c0", "c1"), strict=True):
        assert np.array_equal(found, frames[name][:, 4:60, 4:60].transpose(0, 3, 1, 2))


def test_the_papers_224_pixels_are_those_of_the_recipes_256():
    frames = stored(1, 256)
    assert np.array_equal(
        Clips(frames, ["c0"], 224, CONFIGURATIONS["paper"].crop)[torch.tensor([0])][0],
        frames["c0"][:, 16:240, 16:240].transpose(0, 3, 1, 2),
    )


def test_what_memory_does_not_hold_is_read_when_asked_for_and_is_the_same():
    frames, asked = stored(), []

    class Read(dict):
        def __getitem__(self, name):
            asked.append(name)
            return frames[name]

    rows, names = torch.tensor([2, 0, 2]), list(frames)
    whole = Clips(frames, names, 28, 1.0)[rows]
    some = Clips(Read(), names, 28, 1.0, memory=2 * 16 * 3 * 28 * 28)
    assert asked == ["c0", "c1"]
    assert torch.equal(some[rows], whole)
    assert asked == ["c0", "c1", "c2", "c2"]


@pytest.mark.parametrize("shape", [(8, 64, 64, 3), (16, 64, 64, 1), (64, 64, 3)])
def test_other_arrays_are_refused_with_what_makes_the_right_ones(shape):
    with pytest.raises(MepipeError, match=r"c0 has frames of shape .* mepipe extract --recipe mer-clip"):
        Clips({"c0": np.zeros(shape, np.uint8)}, ["c0"], 28, 1.0)


def test_texts_of_units_are_the_papers_in_each_template():
    aus = {"a": "1+2", "b": "4", "c": "?", "d": ""}
    found = unit_tokens(MerClipConfig(), aus, ["b", "c", "a", "d"])
    known = golden("mer_clip")
    assert found.shape == (4, 7, 77)
    assert np.array_equal(found[2, 0], known["tokens"][0])  # This micro-expression involves a combination of ...
    assert np.array_equal(found[0, 5], known["tokens"][1])  # The hallmark of this micro-expression is ...
    assert not found[[1, 3]].any()
    assert found[[0, 2]].any(dim=-1).all()


def test_names_of_units_and_other_numbers_of_templates():
    found = unit_tokens(MerClipConfig(texts="name", templates=1), {"a": "6+12"}, ["a"])
    expected = "This micro-expression involves a combination of Cheek Raiser and Lip Corner Puller."
    assert torch.equal(found[0], clip.tokens([expected]).int())
    comma = unit_tokens(MerClipConfig(joint=",", templates=1), {"a": "6+12"}, ["a"])
    expected = "This micro-expression involves a combination of raising the cheeks, pulling the corners of the lips."
    assert torch.equal(comma[0], clip.tokens([expected]).int())


def test_shuffled_units_say_the_same_in_other_orders_alike_in_every_run():
    aus = {f"s{i}": "1+2+4+7" for i in range(8)}
    found = unit_tokens(MerClipConfig(shuffled=True), aus, list(aus))
    assert torch.equal(found, unit_tokens(MerClipConfig(shuffled=True), aus, list(aus)))
    first = {tuple(row) for row in found[:, 0].tolist()}
    assert len(first) > 4
    words = {tuple(sorted(p)) for p in (prompts.phrases(a) for a in aus.values())}
    assert len(words) == 1


def test_texts_of_classes_are_their_names():
    found = class_tokens(MerClipConfig(templates=3), ["Negative", "surprise"])
    assert found.shape == (2, 3, 77)
    assert torch.equal(found[1, 1], clip.tokens(["Key features of this micro-expression are surprise."])[0].int())


def test_pixels_are_normalised_by_channel_as_the_official_code_does():
    frames = torch.tensor([123.675, 116.28, 103.53]).view(1, 1, 3, 1, 1).expand(1, 2, 3, 4, 4)
    assert not normalised(frames).any()
    white = normalised(torch.full((1, 1, 3, 1, 1), 255.0)).flatten()
    torch.testing.assert_close(white, torch.tensor([2.2489, 2.4286, 2.6400]), atol=1e-4, rtol=0)


def test_light_that_drifts_is_no_motion_and_movement_is():
    face = torch.randn(3, 16, 16)
    drift = torch.stack([face * (1 + 0.05 * t) + 0.3 * t for t in range(16)])
    moved = drift.clone()
    moved[8, :, 4:8, 4:8] += 2
    still, moving = motion(torch.stack([drift, moved]))
    assert still.abs().max() < 0.1  # rounding, over the least that is divided by
    assert moving.square().mean() == pytest.approx(1, abs=1e-4)
    assert moving[8, :, 4:8, 4:8].square().sum() / moving.square().sum() > 0.9
    assert not moving[0].any()
