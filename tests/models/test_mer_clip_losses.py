"""MER-CLIP's losses, against closed forms and what the official code gives."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from mepipe.models.hcp_mer_losses import focal  # noqa: E402
from mepipe.models.mer_clip_losses import alignment_weight, contrastive  # noqa: E402
from tests.networks.reference import golden  # noqa: E402


def test_pairs_that_are_the_same_and_unlike_all_others_cost_what_a_softmax_of_the_scale_does():
    eye = torch.eye(5)
    expected = math.log(math.exp(1 / 0.07) + 4) - 1 / 0.07
    assert contrastive(3 * eye, 0.5 * eye, 1 / 0.07) == pytest.approx(expected, abs=1e-6)  # lengths do not count
    assert contrastive(eye, eye.roll(1, 0), 1 / 0.07) == pytest.approx(expected + 1 / 0.07, rel=1e-6)


def test_two_texts_for_three_clips_by_hand_both_ways():
    clips = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    texts = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    # rows of cosines: [1 0 0], [0 1 1], [1 0 0]; columns: [1 0 1], [0 1 0], [0 1 0]
    e = math.e
    rows = [math.log((e + 2) / e), math.log((1 + 2 * e) / e), math.log(e + 2)]
    columns = [math.log((2 * e + 1) / e), math.log((e + 2) / e), math.log(e + 2)]
    assert contrastive(clips, texts, 1.0) == pytest.approx((sum(rows) + sum(columns)) / 6, abs=1e-6)


def test_a_batch_of_one_has_nothing_to_tell_apart():
    assert float(contrastive(torch.randn(1, 4), torch.randn(1, 4), 14.0)) == 0


def test_losses_are_the_official_codes():
    known = {k: torch.from_numpy(np.asarray(v)) for k, v in golden("mer_clip").items() if v.dtype.kind in "fi"}
    scale = 1 / 0.07
    found = contrastive(known["contrastive_video"], known["contrastive_text"], scale)
    torch.testing.assert_close(found, known["contrastive_loss"], atol=1e-5, rtol=1e-5)
    pair = contrastive(known["clip_embedding"], known["text_features"], scale)
    torch.testing.assert_close(pair, known["clip_loss"], atol=1e-5, rtol=1e-5)  # float32 in both
    scores, labels = known["class_scores"].log_softmax(dim=1), known["pair_labels"]
    emotion = focal(scores, labels, 1.0, 2.0)
    torch.testing.assert_close(emotion, known["pair_focal_loss"], atol=1e-5, rtol=1e-5)
    weight = alignment_weight(2.0, 27 / 55)
    total = weight * pair + (2 - weight) * emotion
    torch.testing.assert_close(total, known["total_loss_epoch27"], atol=1e-5, rtol=1e-5)
    found = focal(known["focal_logits"].log_softmax(dim=1), known["focal_labels"], 1.0, 2.0)
    torch.testing.assert_close(found, known["focal_loss"], atol=1e-5, rtol=1e-5)


def test_without_focus_it_is_cross_entropy():
    logits, labels = torch.randn(7, 3), torch.arange(7) % 3
    found = focal(logits.log_softmax(dim=1), labels, 1.0, 0.0)
    torch.testing.assert_close(found, torch.nn.functional.cross_entropy(logits, labels))


def test_alignment_weighs_two_at_the_start_and_almost_one_at_the_end():
    weights = [alignment_weight(2.0, e / 55) for e in range(55)]
    assert weights[0] == 2
    assert weights[-1] == pytest.approx(1 + 1 / 55)
    np.testing.assert_allclose(np.diff(weights), -1 / 55)
    assert {alignment_weight(1.0, e / 55) for e in range(55)} == {1.0}


@pytest.mark.parametrize("first", ["2", "1.5"])
def test_weights_are_the_official_codes(first):
    known = golden("mer_clip")[f"progressive_weights_{first}_1"]
    np.testing.assert_allclose([alignment_weight(float(first), e / 55) for e in range(55)], known, atol=1e-12)
