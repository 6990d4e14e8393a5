from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from mepipe.models.ra_icl_instances import Instances, blur, flip, strengthen


def numbered(count: int, size: int = 4) -> np.ndarray:
    """A set in which an instance's strain is its number."""
    values = np.zeros((count, 3, size, size), np.float16)
    values[:, 2] = np.arange(count)[:, None, None]
    return values


SETS = {"long": numbered(16), "short": numbered(3), "pair": numbered(2), "single": numbered(1), "map": numbered(1)[0]}
IDS = list(SETS)


def drawn(source: Instances, sample: str, times: int) -> list[list[int]]:
    row = torch.tensor([IDS.index(sample)])
    return [source[row][0, :, 2, 0, 0].int().tolist() for _ in range(times)]


@pytest.mark.parametrize("memory", [0, 3 * 16 * 2 * 17, 1 << 30], ids=["lazy", "one sample kept", "all kept"])
def test_the_middle_instance_first_then_two_that_differ(memory: int) -> None:
    source = Instances(SETS, IDS, 4, memory)
    torch.manual_seed(0)
    for middle, one, other in drawn(source, "long", 60):
        assert middle == 8
        assert one != other
    assert {two for _, *rest in drawn(source, "short", 80) for two in [tuple(rest)]} == {
        (a, b) for a in range(3) for b in range(3) if a != b
    }
    assert drawn(source, "single", 2) == drawn(source, "map", 2) == [[0, 0, 0]] * 2


def test_every_ordered_pair_is_as_likely() -> None:
    source = Instances(SETS, IDS, 4)
    torch.manual_seed(0)
    pairs = [tuple(rest) for _, *rest in drawn(source, "short", 3000)]
    counts = [pairs.count(pair) for pair in set(pairs)]
    # 500 each; 4 standard deviations of a binomial draw
    assert max(abs(c - 500) for c in counts) < 82


def test_kept_or_read_each_time_gives_the_same() -> None:
    rows = torch.tensor([0, 1, 4, 2])
    found = []
    for memory in (0, 1 << 30):
        torch.manual_seed(3)
        found.append(Instances(SETS, IDS, 8, memory)[rows])
    assert found[0].shape == (4, 3, 3, 8, 8)
    assert found[0].dtype == torch.float16
    assert torch.equal(*found)


def test_maps_from_elsewhere_are_single_instances_of_any_layout_and_size() -> None:
    rng = np.random.default_rng(0)
    field, picture = rng.standard_normal((3, 28, 28)).astype(np.float32), np.zeros((40, 30, 3), np.uint8)
    for memory in (0, 1 << 30):
        found = Instances({"a": field, "b": picture}, ["a", "b"], 64, memory)[torch.tensor([1, 0])]
        assert found.shape == (2, 3, 3, 64, 64)
        assert torch.equal(found[:, 0], found[:, 2])
        assert found[0, 0, :, 0, 0].tolist() == [-1, -1, 0]


def test_a_mirrored_face_moves_the_other_way_along_x() -> None:
    # corners of a mouth that part: the left one to the left, the right one to the right, and both up
    motion = torch.zeros(1, 3, 2, 4)
    motion[0, 0, 1] = torch.tensor([-1.0, 0, 0, 1])
    motion[0, 1, 1] = torch.tensor([-0.5, 0, 0, -0.5])
    motion[0, 2, 0] = torch.tensor([1.0, 2, 3, 4])
    mirrored = flip(motion)
    assert torch.equal(mirrored[0, :2], motion[0, :2])  # they still part, and still rise
    assert mirrored[0, 2, 0].tolist() == [4, 3, 2, 1]
    assert torch.equal(flip(mirrored), motion)


def test_the_flow_of_a_mirrored_movement_is_the_mirrored_flow() -> None:
    # a face that stretches about x = 5: u = 0.1 (x - 5); mirrored in a width of 16 it stretches about x = 10
    x = torch.arange(16.0).expand(1, 16, 16)
    motion = torch.stack([0.1 * (x - 5), torch.zeros_like(x), torch.full_like(x, 0.1)], dim=1)
    torch.testing.assert_close(flip(motion)[0, 0], 0.1 * (x[0] - 10))


def test_strengthening_keeps_directions_and_ratios() -> None:
    torch.manual_seed(0)
    motion = torch.randn(200, 3, 4, 4)
    factor = strengthen(motion, 0.4) / motion
    torch.testing.assert_close(factor, factor[:, :1, :1, :1].expand_as(factor))
    assert 0.6 <= float(factor.min()) < 0.65
    assert 1.35 < float(factor.max()) <= 1.4001  # float32
    assert torch.equal(strengthen(motion, 0), motion)


def test_blur_is_gaussian_and_keeps_a_constant() -> None:
    torch.manual_seed(0)
    torch.testing.assert_close(blur(torch.full((8, 3, 16, 16), 2.0), 3.0), torch.full((8, 3, 16, 16), 2.0))
    point = torch.zeros(40, 3, 33, 33)
    point[:, :, 16, 16] = 1
    blurred = blur(point, 2.0)
    torch.testing.assert_close(blurred.sum(dim=(2, 3)), torch.ones(40, 3), atol=1e-5, rtol=0)
    x = torch.arange(33.0) - 16
    spread = (blurred[:, 0].sum(dim=1) * x**2).sum(dim=1).sqrt()
    wide = spread[spread > 0.9]  # of narrower ones, sums over pixels are not integrals
    assert len(wide) > 10
    assert float(spread.max()) <= 2.0
    for sigma, row in zip(wide, blurred[spread > 0.9, 1, 16], strict=True):
        torch.testing.assert_close(row / row[16], torch.exp(-(x**2) / (2 * sigma**2)), atol=2e-4, rtol=0)
    assert all(a <= b + 1e-6 for a, b in pairwise(blurred[0, 0, 16, :17].tolist()))
    assert torch.equal(blur(point, 0), point)
