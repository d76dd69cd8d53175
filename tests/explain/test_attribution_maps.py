"""Maps: sums that stay when they are pooled, scales that say what 1 stands for, and pictures without content."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from vitviz.errors import Problem
from vitviz.explain.attribution_maps import Attribution, cell_starts, make_baseline, pooled, scaled


def attribution(values: np.ndarray) -> Attribution:
    return Attribution("saliency", values.astype(np.float32), "class 1", 0.0, None, None, "")


@pytest.mark.parametrize("grid", [(3, 4), (2, 2), (5, 7), (6, 8), (1, 1)])
def test_pooling_keeps_the_sum_and_gives_each_cell_its_own(grid):
    values = np.random.default_rng(0).normal(size=(6, 8))
    found, down, across = pooled(attribution(values), grid), cell_starts(6, grid[0]), cell_starts(8, grid[1])
    assert found.shape == grid and found.dtype == np.float32
    assert found.sum() == pytest.approx(values.sum(), abs=1e-4)
    for row, top in enumerate(down):
        for column, left in enumerate(across):
            cell = values[top : [*down, 6][row + 1], left : [*across, 8][column + 1]]
            assert found[row, column] == pytest.approx(cell.sum(), abs=1e-5)


def test_a_map_that_is_coarser_than_the_grid_is_a_problem():
    with pytest.raises(Problem, match="coarser than a grid of 4 x 2"):
        pooled(attribution(np.zeros((3, 3))), (4, 2))


def test_signed_and_positive_scales_stand_for_the_99th_percentile():
    values = np.concatenate([np.linspace(-50, -1, 50), np.linspace(1, 100, 100)])
    signed, positive = scaled(values, "signed"), scaled(values, "positive")
    assert signed.scale == pytest.approx(np.quantile(np.abs(values), 0.99))
    assert positive.scale == pytest.approx(np.quantile(np.linspace(1, 100, 100), 0.99))
    np.testing.assert_allclose(signed.values, np.clip(values / signed.scale, -1, 1), rtol=1e-6)
    assert not positive.values[:50].any() and positive.values.max() == 1 and positive.values.dtype == np.float32
    assert "99th percentile" in signed.words and signed.words != positive.words


def test_two_maps_can_stand_on_one_scale():
    one, other = np.linspace(-1, 1, 101), np.linspace(-4, 4, 101)
    locked = scaled(one, scale=scaled(other).scale)
    np.testing.assert_allclose(locked.values, one / scaled(other).scale, rtol=1e-6)


def test_a_map_of_zeros_is_drawn_as_zeros_and_an_unknown_scale_is_a_problem():
    assert not scaled(np.zeros((2, 2)), "positive").values.any()
    with pytest.raises(Problem, match="must be one of positive, signed"):
        scaled(np.zeros(2), "loud")


def test_black_is_what_the_model_is_fed_for_black():
    images, model = torch.rand(1, 3, 4, 5), torch.nn.Module()
    assert (make_baseline(model, images, "black") == -1).all()
    model.pretrained_cfg = {"mean": (0.4, 0.5, 0.6), "std": (0.2, 0.25, 0.3)}
    assert make_baseline(model, images, "black")[0, :, 2, 3].tolist() == pytest.approx([-2, -2, -2])


def test_the_mean_colour_is_each_channel_s_own():
    images = torch.rand(1, 3, 4, 5)
    mean = make_baseline(torch.nn.Module(), images, "mean")
    torch.testing.assert_close(mean, images.mean(dim=(2, 3), keepdim=True).expand(1, 3, 4, 5))


def test_a_blurred_picture_is_scipy_s():
    images = torch.rand(1, 3, 32, 48)
    wanted = gaussian_filter(images[0].double().numpy(), sigma=(0, 2, 2), mode="mirror", radius=(0, 6, 6))
    np.testing.assert_allclose(make_baseline(torch.nn.Module(), images, "blur")[0], wanted, atol=1e-6)


def test_a_tiny_picture_can_be_blurred_and_an_unknown_baseline_is_a_problem():
    assert make_baseline(torch.nn.Module(), torch.ones(1, 3, 2, 9), "blur").allclose(torch.ones(1, 3, 2, 9))
    with pytest.raises(Problem, match="must be one of black, mean, blur"):
        make_baseline(torch.nn.Module(), torch.ones(1, 3, 2, 2), "white")
