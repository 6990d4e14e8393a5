from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from mepipe import store
from mepipe.view import sample as pictures
from mepipe.view.colour import flow_colours, robust_scale
from tests.conftest import mepipe


def test_stillness_is_white_and_directions_have_their_hues() -> None:
    flow = np.zeros((2, 1, 4), np.float32)
    flow[:, 0, 1], flow[:, 0, 2], flow[:, 0, 3] = (1, 0), (-1, 0), (0.5, 0)
    still, right, left, half = flow_colours(flow, 1.0)[0]
    np.testing.assert_allclose(still, [1, 1, 1])
    np.testing.assert_allclose(right, [1, 0, 0])
    np.testing.assert_allclose(left, [0, 1, 1], atol=1e-12)
    np.testing.assert_allclose(half, [1, 0.5, 0.5])


def test_a_scale_is_round_and_never_small() -> None:
    assert robust_scale(np.full(9, 0.123), 0.5) == 0.5
    assert robust_scale(np.full(9, 1.234), 0.5) == pytest.approx(1.3)


def test_motion_is_the_mean_of_what_moves_most() -> None:
    flow = np.zeros((1, 2, 10, 10), np.float32)
    flow[0, 0, 0], flow[0, 1, 0] = 3, 4
    assert pictures.motion(flow)[0] == pytest.approx(5)


def test_one_sample_and_a_contact_sheet_are_drawn(workplace: dict[str, Path], tmp_path: Path) -> None:
    opened = store.open(workplace["MEPIPE_STORE"])
    name = opened.feature("demo/frames").ids[0]
    mepipe("inspect", name, "-o", tmp_path / "one.png", **workplace)
    mepipe("inspect", "-d", "demo", "-o", tmp_path / "sheet.png", **workplace)
    for file in ("one.png", "sheet.png"):
        picture = imread(tmp_path / file)
        assert min(picture.shape[:2]) > 600
        assert picture[..., :3].std() > 0.1


def test_the_curve_peaks_where_the_apex_is_annotated(workplace: dict[str, Path]) -> None:
    opened = store.open(workplace["MEPIPE_STORE"])
    for name in opened.feature("demo/flow.tvl1").ids:
        view = pictures.gather(opened.features("demo"), name)
        peak = view.positions["flow.tvl1"][int(np.argmax(pictures.motion(view.arrays["flow.tvl1"])))]
        step = float(np.diff(view.positions["flow.tvl1"]).max())
        assert abs(peak - view.row["apex"]) <= 1.5 * step  # frames are chosen at regular intervals, not at the apex


def test_what_is_not_there_is_said_in_its_place(workplace: dict[str, Path], tmp_path: Path) -> None:
    opened = store.open(workplace["MEPIPE_STORE"])
    features = opened.features("demo")
    view = pictures.gather(features, features["frames"].ids[0])
    for node in ("flow.tvl1", "strain"):
        view.absent[node] = "flow: the reason"
        del view.arrays[node]
    texts = [t.get_text() for axes in pictures.one(view, "demo").axes for t in axes.texts]
    assert texts.count("flow: the reason") == 2
