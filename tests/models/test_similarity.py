"""Matrices of mean cosines against small cases by hand."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from mepipe.models import similarity  # noqa: E402

AXES = torch.eye(2)


def test_cosines_are_added_up_by_class_and_averaged_over_networks():
    cosines = torch.tensor([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]])
    one = similarity.grouped(cosines, torch.tensor([0, 0, 1]), torch.tensor([0, 1]), ("a", "b"))
    assert one.mean.tolist() == [[0.75, 0.25], [0.0, 1.0]]
    other = similarity.grouped(torch.tensor([[0.0, 0.25]]), torch.tensor([0]), torch.tensor([0, 1]), ("a", "b"))
    both = one + other
    assert both.mean.tolist() == [[0.5, 0.25], [0.0, 1.0]]
    assert both.count.tolist() == [[3, 3], [1, 1]]


def test_a_sample_is_not_compared_with_itself():
    features = torch.tensor([[2.0, 0.0], [3.0, 0.0], [0.0, 1.0]])
    found = similarity.of_pairs(features, torch.tensor([0, 0, 1]), ("a", "b")).mean
    assert found[0].tolist() == [1.0, 0.0]
    assert found[1, 0] == 0.0
    assert np.isnan(found[1, 1])  # there is one sample of it: nothing to compare


def test_whole_matrices_of_samples_are_averaged():
    cosines = torch.stack([similarity.between(AXES, AXES), similarity.between(AXES, AXES.flip(0))])
    found = similarity.whole(cosines, ("a", "b"), ("c", "d"))
    assert found.mean.tolist() == [[0.5, 0.5], [0.5, 0.5]]
    assert (found.rows, found.columns) == (("a", "b"), ("c", "d"))
