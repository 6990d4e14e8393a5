from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from mepipe.models.ra_icl_regions import Regions, alignment, inconsistency, pool, probabilities


def test_each_place_is_shared_among_all_regions() -> None:
    torch.manual_seed(0)
    found = probabilities(torch.randn(2, 8, 16), torch.randn(2, 16, 7, 7))
    assert found.shape == (2, 8, 7, 7)
    torch.testing.assert_close(found.sum(dim=1), torch.ones(2, 7, 7))
    # cosines lie in -1..1, so no region has more than this of a place
    assert float(found.max()) < math.e / (math.e + 7 / math.e)


def test_softmax_of_cosines_by_hand() -> None:
    embeddings = torch.tensor([[[3.0, 0.0], [0.0, 0.5], [-2.0, 0.0]]])  # lengths do not count
    dense = torch.tensor([[4.0], [0.0]]).view(1, 2, 1, 1)
    total = math.e + 1 + 1 / math.e
    expected = torch.tensor([math.e / total, 1 / total, 1 / math.e / total])
    torch.testing.assert_close(probabilities(embeddings, dense)[0, :, 0, 0], expected)


def test_a_low_temperature_makes_a_place_choose() -> None:
    embeddings, dense = torch.eye(2)[None], torch.tensor([0.8, 0.6]).view(1, 2, 1, 1)
    found = probabilities(embeddings, dense, 0.1)[0, :, 0, 0]
    torch.testing.assert_close(found, torch.tensor([0.8, 0.6]).div(0.1).softmax(dim=0))
    assert found.tolist() == pytest.approx([1 / (1 + math.exp(-2)), 1 / (1 + math.exp(2))])


def test_alignment_of_equal_assignments_is_their_entropy_and_the_least_there_is() -> None:
    torch.manual_seed(0)
    target = torch.randn(2, 4, 3, 3).softmax(dim=1)
    entropy = torch.distributions.Categorical(target.permute(0, 2, 3, 1)).entropy().mean()
    torch.testing.assert_close(alignment(target, target), entropy)
    assert alignment(target, torch.randn(2, 4, 3, 3).softmax(dim=1)) > entropy
    even = torch.full((1, 4, 2, 2), 0.25)
    assert float(alignment(even, even)) == pytest.approx(math.log(4))


def test_pooling_over_one_pixel_is_that_pixel_and_over_all_is_the_mean() -> None:
    torch.manual_seed(0)
    features = torch.randn(1, 5, 3, 4)
    regions = torch.zeros(1, 2, 3, 4)
    regions[0, 0, 2, 1] = 0.3
    regions[0, 1] = 0.7
    found = pool(regions, features)
    torch.testing.assert_close(found[0, 0], features[0, :, 2, 1])
    torch.testing.assert_close(found[0, 1], features[0].mean(dim=(1, 2)))


def test_inconsistency_is_least_where_embeddings_agree() -> None:
    torch.manual_seed(0)
    a, b = torch.randn(2, 4, 8), torch.randn(2, 4, 8)
    assert float(inconsistency(a, 3 * a)) == pytest.approx(-1)
    assert float(inconsistency(a, -a)) == pytest.approx(1)
    assert -1 < float(inconsistency(a, b)) < 1


def regions(queries: int = 4) -> Regions:
    torch.manual_seed(0)
    return Regions(channels=12, queries=queries, dim=16, layers=2).eval()


def test_mirrored_features_give_mirrored_regions_and_the_same_embeddings() -> None:
    module = regions()
    features = torch.randn(2, 12, 5, 7)
    (found, embedded), (mirrored, same) = module(features), module(features.flip(-1))
    torch.testing.assert_close(mirrored, found.flip(-1), atol=1e-5, rtol=0)  # sums in another order
    torch.testing.assert_close(same, embedded, atol=1e-4, rtol=0)


def test_pixels_and_regions_pass_through_one_projector() -> None:
    module = regions()
    features = torch.randn(1, 12, 4, 4)
    found, embedded = module(features)
    by_hand = module.project(pool(found, features)[0])
    torch.testing.assert_close(embedded[0], by_hand)


def test_aligning_with_a_fixed_target_makes_queries_find_its_regions() -> None:
    """Features of two kinds in two halves: the assignment follows a target that tells them apart."""
    module = regions(queries=2).train()
    features = torch.zeros(2, 12, 4, 4)
    features[:, :6, :, :2] = 1
    features[:, 6:, :, 2:] = 1
    target = torch.zeros(2, 2, 4, 4)
    target[:, 0, :, :2] = 1
    target[:, 1, :, 2:] = 1
    optimiser = torch.optim.Adam(module.parameters(), lr=3e-3)
    for _ in range(40):
        optimiser.zero_grad()
        alignment(target, module(features)[0]).backward()
        optimiser.step()
    found = module(features)[0].detach()
    assert torch.equal(found.argmax(dim=1), target.argmax(dim=1))
    # as sure as cosines of 1 and -1 allow
    assert float(alignment(target, found)) == pytest.approx(float(F.softplus(torch.tensor(-2.0))), abs=0.1)
