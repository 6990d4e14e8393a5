"""Motion maps from anywhere, against maps whose values are known, and statistics against NumPy's."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from mepipe.errors import MepipeError  # noqa: E402
from mepipe.models import maps  # noqa: E402


def field(u, v, strain, height=8, width=8):
    return np.broadcast_to(np.array([u, v, strain], np.float32)[:, None, None], (3, height, width)).copy()


def test_the_same_movement_is_the_same_number_whatever_size_it_is_stored_in():
    # a hundredth of the face to the right, two hundredths down
    for width in (28, 56, 224, 448):
        found = maps.converted(field(0.01 * width, 0.02 * width, 0.1, width, width), 28)
        np.testing.assert_allclose(found[0, :, 5, 9].numpy(), [2.24, 4.48, 0.1], rtol=1e-5)  # pixels of 224; float32


def test_u_goes_by_the_width_and_v_by_the_height():
    found = maps.converted(field(1, 1, 1, height=56, width=112), 16)
    np.testing.assert_allclose(found[0, :, 0, 0].numpy(), [2, 4, 1], rtol=1e-6)


def test_a_picture_has_no_motion_at_127_5_and_no_strain_at_0():
    picture = np.zeros((4, 4, 3), np.uint8)
    picture[..., 0], picture[..., 1] = 0, 255
    np.testing.assert_allclose(maps.converted(picture, 4)[0, :, 0, 0].numpy(), [-1, 1, 0])
    picture[..., 0], picture[..., 1], picture[..., 2] = 127, 128, 255
    found = maps.converted(picture, 4)[0, :, 0, 0].numpy()
    np.testing.assert_allclose(found, [-0.5 / 127.5, 0.5 / 127.5, 1], atol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float32, np.float64, np.int16])
@pytest.mark.parametrize("size", [5, 12, 31])
def test_channels_first_and_last_one_and_a_set_are_the_same(dtype, size):
    values = np.random.default_rng(0).integers(0, 99, (2, 3, 12, 20)).astype(dtype)
    expected = maps.converted(values, size)
    assert expected.shape == (2, 3, size, size)
    assert expected.dtype == torch.float32
    assert torch.equal(maps.converted(values.transpose(0, 2, 3, 1), size), expected)
    assert torch.equal(maps.converted(values[1], size), expected[1:])
    assert torch.equal(maps.converted(values[1].transpose(1, 2, 0), size), expected[1:])


def test_where_the_channel_could_be_first_or_last_it_is_where_the_store_puts_it():
    values = np.arange(27).reshape(3, 3, 3)
    first, last = maps.converted(values.astype(np.float32), 3)[0], maps.converted(values.astype(np.uint8), 3)[0]
    assert first[2].argmax() == 8
    assert first[2, 0, 0] == 18
    assert last[2, 0, 0] == pytest.approx(2 / 255)


def test_shrinking_averages_and_leaves_no_aliasing():
    stripes = field(0, 0, 0, 64, 64)
    stripes[2, :, ::2] = 1  # a stripe a pixel wide: picked, it would be all or nothing
    found = maps.converted(stripes, 8)[0, 2]
    np.testing.assert_allclose(found.numpy(), 0.5, atol=0.02)  # the filter's support is cut at the border


@settings(max_examples=25)
@given(st.integers(4, 40), st.integers(4, 40), st.integers(2, 40))
def test_a_ramp_stays_a_ramp_away_from_the_border(height, width, size):
    x = np.broadcast_to((np.arange(width, dtype=np.float32) + 0.5) / width, (height, width))
    found = maps.converted(np.stack([0 * x, 0 * x, x]), size)[0, 2]
    place = (torch.arange(size) + 0.5) / size
    reach = max(1 / width, 1 / size)  # what the filter sees to either side
    inside = (place > reach) & (place < 1 - reach)
    np.testing.assert_allclose(found[:, inside].numpy(), place[inside].expand(size, -1).numpy(), atol=0.02)


@pytest.mark.parametrize("shape", [(8, 8), (2, 8, 8), (8, 8, 2), (1, 2, 3, 8, 8), (0, 3, 8, 8), (4,)])
def test_what_is_no_map_is_refused_by_name(shape):
    with pytest.raises(MepipeError, match=r"s1_4 has shape .* three channels"):
        maps.converted(np.zeros(shape, np.float32), 8, "s1_4")


def test_a_set_of_maps_is_refused_where_one_is_read():
    with pytest.raises(MepipeError, match="s1 has 4 maps, and this model reads one"):
        maps.single({"motion-map": {"s1": np.zeros((4, 3, 8, 8), np.float32)}}, ["s1"], 8)


def test_maps_come_in_the_order_asked_for():
    read = {"mine": {"a": field(0, 0, 1), "b": field(0, 0, 2)[None]}}
    found = maps.single(read, ["b", "a", "b"], 4)
    assert found.dtype == torch.float16
    assert found[:, 2, 0, 0].tolist() == [2, 1, 2]


def test_pooled_flow_is_the_mean_and_deviation_of_each_cell():
    values = np.random.default_rng(1).standard_normal((3, 16, 16)).astype(np.float32)
    found = maps.pooled({"motion-map": {"a": values}}, ["a"], 2).numpy()
    scaled = values * np.array([14, 14, 1], np.float32)[:, None, None]  # 224 / 16
    cells = scaled.reshape(3, 2, 8, 2, 8)
    expected = np.concatenate([cells.mean((2, 4)).ravel(), cells.std((2, 4)).ravel()])
    assert found.shape == (1, 24)
    np.testing.assert_allclose(found[0], expected, rtol=1e-4, atol=1e-5)  # float32


def test_standardised_training_data_have_mean_0_and_deviation_1():
    x = torch.randn(50, 4, 6, generator=torch.Generator().manual_seed(0)) * torch.tensor([1, 2, 30, 0.0])[:, None] + 5
    module = maps.Standardise(4)
    module.fit(x.split(16))
    y = module(x).transpose(0, 1).flatten(1)
    np.testing.assert_allclose(y.mean(dim=1).numpy(), 0, atol=1e-5)  # float32
    np.testing.assert_allclose(y.std(dim=1, correction=0).numpy(), [1, 1, 1, 0], atol=1e-5)
    np.testing.assert_allclose(module.mean.numpy(), x.mean(dim=(0, 2)).numpy(), rtol=1e-5)
    assert module.deviation[3] == 1
    assert [name for name, _ in module.named_parameters()] == []
