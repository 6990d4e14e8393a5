"""What follows from a recipe before a frame is read."""

from __future__ import annotations

import pytest

pytest.importorskip("mediapipe")  # its version is part of the keys

from mepipe.datasets.manifest import Sample
from mepipe.recipe.model import load
from mepipe.recipe.resolve import resolve
from mepipe.run import shapes


def test_what_is_put_off_until_it_is_sampled_takes_no_memory() -> None:
    nodes = resolve(load("features"))
    clip = Sample(id="s", subject="x", clip="c", onset=0, apex=5, offset=2999, fps=200)
    frames = 3000 * 224 * 224 * 3  # bytes of the aligned clip; magnified, it would be four times as much
    assert shapes.largest(nodes, [name for name, node in nodes.items() if node.dtype], clip) == frames
    assert shapes.largest(nodes, ["magnify"], clip) == 4 * frames
