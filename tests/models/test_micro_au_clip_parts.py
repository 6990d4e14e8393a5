"""Micro-AU CLIP's losses and modules, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("open_clip")

from mepipe.errors import UsageError  # noqa: E402
from mepipe.models import micro_au_clip as model  # noqa: E402
from mepipe.models import micro_au_clip_losses as losses  # noqa: E402
from mepipe.models import micro_au_clip_parts as parts  # noqa: E402
from mepipe.networks import clip  # noqa: E402
from mepipe.networks.clip_image import image_encoder  # noqa: E402

LABELS = torch.tensor([[1.0, 0], [1, 1], [0, 1]])  # three samples, two units


def test_multi_task_loss_by_hand() -> None:
    logits = torch.tensor([[2.0, 0], [-1, 3], [0, 0]])
    each = [[math.log(1 + math.exp(-2)), math.log(2)], [math.log(1 + math.e), math.log(1 + math.exp(-3))]]
    each.append([math.log(2), math.log(2)])
    expected = np.mean(each, axis=0).sum()
    assert losses.multi_task(logits, LABELS).item() == pytest.approx(expected, abs=1e-6)


def test_dependency_loss_by_hand() -> None:
    weights = torch.tensor([[0.7, 0.3], [0.5, 0.5], [0.0, 1.0]])
    expected = ((0.09 + 0.09) / 2 + (0.25 + 0.25) / 2 + 0) / 3
    assert losses.dependency(weights, LABELS).item() == pytest.approx(expected, abs=1e-7)


def test_label_matrices_by_hand() -> None:
    first, second = losses.same_class(LABELS).tolist()
    assert first == [[1, 1, 0], [1, 1, 0], [0, 0, 1]]
    assert second == [[1, 0, 0], [0, 1, 1], [0, 1, 1]]
    assert losses.diagonal(LABELS).tolist() == [np.eye(3).tolist()] * 2


def test_contrastive_loss_by_hand() -> None:
    """One unit, three images in the plane at 0, 60 and 90 degrees; its texts at 0 (active) and 90."""
    angles = torch.deg2rad(torch.tensor([0.0, 60, 90]))
    images = torch.stack([angles.cos(), angles.sin()], dim=1)[:, None] * torch.tensor([1.0, 5, 2])[:, None, None]
    active, absent = torch.tensor([3.0, 0]), torch.tensor([0, 0.5])
    texts = torch.stack([active, active, absent])[:, None]
    cos = [[1, 1, 0], [0.5, 0.5, math.sin(math.pi / 3)], [0, 0, 1]]
    forth = [row[n] - math.log(sum(map(math.exp, row))) for n, row in enumerate(cos)]
    back = []
    for n, column in enumerate(zip(*cos, strict=True)):
        of_class = column[2] if n == 2 else (column[0] + column[1]) / 2
        back.append(of_class - math.log(sum(map(math.exp, column))))
    expected = -(sum(forth) / 3 + sum(back) / 3) / 2
    matrices = losses.same_class(torch.tensor([[1.0], [1], [0]]))
    assert losses.contrastive(images, texts, matrices, 1.0).item() == pytest.approx(expected, abs=1e-6)
    # and of two units alike, twice that
    twice = losses.contrastive(images.expand(-1, 2, -1), texts.expand(-1, 2, -1), matrices.expand(2, -1, -1), 1.0)
    assert twice.item() == pytest.approx(2 * expected, abs=1e-6)


def test_diagonal_contrast_is_clips_loss() -> None:
    images, texts = torch.randn(5, 1, 8), torch.randn(5, 1, 8)
    found = losses.contrastive(images, texts, losses.diagonal(torch.zeros(5, 1)), 0.07)
    normed = (torch.nn.functional.normalize(x[:, 0], dim=1) for x in (images, texts))
    scores = next(normed) @ next(normed).T / 0.07
    own = torch.arange(5)
    expected = (torch.nn.functional.cross_entropy(scores, own) + torch.nn.functional.cross_entropy(scores.T, own)) / 2
    torch.testing.assert_close(found, expected)


def test_regions_are_table_i() -> None:
    assert parts.regions([1, 2, 4]) == ((19, 20, 21, 22, 23, 24),) * 3
    assert parts.regions([7, 12, 14, 15, 17]) == ((38, 41, 44, 47), (48, 54), (55, 59, 60, 64), (48, 54), (7, 8, 9, 57))
    with pytest.raises(UsageError, match=r"no landmarks for action unit 6.*1, 2, 4, 7, 12, 14, 15, 17"):
        parts.regions([4, 6])


def test_landmarks_lie_in_patches_by_rows() -> None:
    """A crop of 224 px in 7 x 7 patches of 32 px; pixel 31 is the last of the first."""
    points = torch.tensor([[0.0, 0], [31, 0], [32, 0], [0, 32], [223, 223], [-9, 240], [70, 100]])
    assert parts.patches(points, 224, 7).tolist() == [0, 0, 1, 7, 48, 42, 3 * 7 + 2]


def test_patch_attention_by_hand() -> None:
    net = parts.PatchAttention(2, 1)
    with torch.no_grad():
        for parameter, value in zip(net.parameters(), ([[1.0, 0]], [0.0], [[2.0]], [5.0]), strict=True):
            parameter.copy_(torch.tensor(value))
    tokens = torch.tensor([[[0.5, 3], [-1, 7], [1, 0]]])
    scores = [math.exp(1), math.exp(0), math.exp(2)]  # twice the first number where it is above 0; 5 shifts all alike
    expected = [
        sum(s * t for s, t in zip(scores, column, strict=True)) / sum(scores) for column in ([0.5, -1, 1], [3, 7, 0])
    ]
    torch.testing.assert_close(net(tokens), torch.tensor([expected]))


def test_other_pooling_by_hand() -> None:
    tokens = torch.tensor([[[0.5, 3], [-1, 7], [1, 0]]])
    torch.testing.assert_close(parts.Pool(greatest=False)(tokens), torch.tensor([[0.5 / 3, 10 / 3]]))
    torch.testing.assert_close(parts.Pool(greatest=True)(tokens), torch.tensor([[1.0, 7]]))


def test_global_attention_by_hand() -> None:
    net = parts.GlobalAttention(2, 4)
    features = torch.tensor([[[1.0, 0, 0, 0], [0, 2, 0, 0]]])
    with torch.no_grad():
        net.query.weight.copy_(torch.eye(4))
        net.key.weight.copy_(torch.eye(4))
        net.value.weight.copy_(3 * torch.eye(4))
        net.weigh.weight.copy_(torch.tensor([[1.0, 0, 0, 0], [0, 0, 0, -1]]))  # of A: its first, less its last number
        net.weigh.bias.copy_(torch.tensor([0.25, 0.5]))
    # Q K^T / 2 is [[1/2, 0], [0, 2]]
    first, last = math.exp(0.5) / (math.exp(0.5) + 1), math.exp(2) / (math.exp(2) + 1)
    scores = [math.exp(first + 0.25), math.exp(max(0.0, 0.5 - last))]
    w = [s / sum(scores) for s in scores]
    shared, weights = net(features)
    torch.testing.assert_close(weights, torch.tensor([w]))
    torch.testing.assert_close(shared, torch.tensor([[3 * w[0], 6 * w[1], 0, 0]]))


def test_sum_and_concatenation_go_through_a_perceptron() -> None:
    features = torch.randn(3, 2, 4)
    added, joined = parts.Joined(2, 4, 5, False), parts.Joined(2, 4, 5, True)
    torch.testing.assert_close(added(features)[0], added.mix(features[:, 0] + features[:, 1]))
    torch.testing.assert_close(joined(features)[0], joined.mix(torch.cat([features[:, 0], features[:, 1]], dim=1)))


@torch.inference_mode()
def test_tails_go_on_where_the_frozen_layers_end() -> None:
    image, text = image_encoder("tiny", None, 3), clip.text_encoder("tiny", None, 3)
    pictures, ids = torch.randn(2, 3, 64, 64), clip.tokens(["The eyebrows are lowering", "The lips are not parting"])
    for trained in (1, 2):
        seen = parts.ImageTail(image, trained)(image.tokens(pictures, 2 - trained))
        torch.testing.assert_close(seen[:, 0], image(pictures))
        read = parts.TextTail(text, trained)(*parts.before(text, ids, trained))
        torch.testing.assert_close(read, text(ids), atol=1e-5, rtol=1e-5)  # cut to the longest: another order of sums


def test_emotions_by_hand() -> None:
    """Units 1, 2, 4, 12 in the plane; a unit's active text is at 0 degrees, the other at 180: cosines are opposites.

    A combination's sum is that of its units' cosines less that of the others'. Combinations of these units: surprise
    1+2, positive 12, negative 4, 1, 1+4, 1+2+4.
    """
    texts = torch.tensor([[-1.0, 0], [1, 0]]).expand(4, 2, 2)
    cosines = torch.tensor([[0.9, 0.8, -0.9, -0.5], [-0.9, -0.9, -0.6, 0.3], [0.5, -0.9, 0.4, -0.9]])
    features = torch.stack([cosines, (1 - cosines.square()).sqrt()], dim=-1)
    found = model.nearness(features, texts, (1, 2, 4, 12))
    negative = [0.9 - 0.8 + 0.9 + 0.5, 0.9 + 0.9 - 0.6 - 0.3, 0.5 + 0.9 + 0.4 + 0.9]  # 1; 4; 1+4
    positive = [-0.9 - 0.8 + 0.9 - 0.5, 0.9 + 0.9 + 0.6 + 0.3, -0.5 + 0.9 - 0.4 - 0.9]
    surprise = [0.9 + 0.8 + 0.9 + 0.5, -0.9 - 0.9 + 0.6 - 0.3, 0.5 - 0.9 - 0.4 + 0.9]
    torch.testing.assert_close(found, torch.tensor([negative, positive, surprise]).T, atol=1e-5, rtol=1e-5)
    assert [model.CATEGORIES[n] for n in found.argmax(dim=1)] == ["surprise", "positive", "negative"]
