"""Deletion and insertion where the answer is known: a model that sees nothing, and one that adds up what patches are worth."""

import numpy as np
import pytest
import torch

from vitviz.errors import Problem
from vitviz.explain.attribution_faithfulness import faithfulness
from vitviz.explain.attribution_methods import Cancelled
from vitviz.explain.attribution_targets import Target, class_target

ROWS, COLUMNS, SIDE = 3, 4, 5
WORTH = np.random.default_rng(0).permutation(np.arange(1.0, 13)).reshape(ROWS, COLUMNS)


class Sum(torch.nn.Module):
    """Adds up what each patch is worth times its brightness, which ``IMAGES`` have at 1 in each, and black at 0."""

    pretrained_cfg = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}  # noqa: RUF012

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        assert len(images) <= 4, "more than a batch"
        brightness = images.mean(dim=1).reshape(-1, ROWS, SIDE, COLUMNS, SIDE).mean(dim=(2, 4))
        return (brightness * torch.from_numpy(WORTH)).sum(dim=(1, 2))


class Constant(torch.nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.tensor([[1.0, 2.0, 3.0]]).expand(len(images), 3)


def score(model: torch.nn.Module, images: torch.Tensor) -> torch.Tensor:
    return model(images)


SUM_TARGET = Target("the sum", score, score, "sum")
IMAGES = torch.ones(1, 3, ROWS * SIDE, COLUMNS * SIDE)


def judge(importance: np.ndarray, **settings):
    return faithfulness(Sum(), IMAGES, SUM_TARGET, importance, **{"baseline": "black", "batch_size": 4, **settings})


def test_a_model_that_sees_nothing_has_flat_curves():
    found = faithfulness(Constant(), IMAGES, class_target(1), WORTH)
    wanted = torch.tensor([1.0, 2.0, 3.0]).softmax(dim=0)[1].item()
    for curves in (found.own, *found.random):
        np.testing.assert_allclose(np.stack([curves.deletion, curves.insertion]), wanted, rtol=1e-6)
        assert curves.deletion_auc == pytest.approx(wanted) and curves.insertion_auc == pytest.approx(wanted)
    assert found.random_deletion() == (pytest.approx(wanted), pytest.approx(0, abs=1e-9))
    assert found.quantity == "probability"


def test_a_model_that_adds_up_its_patches_has_the_analytic_areas():
    found, ranked = judge(WORTH, num_points=13), np.arange(12.0, 0, -1)
    rising = np.concatenate([[0], ranked.cumsum()])
    np.testing.assert_allclose(found.shares, np.arange(13) / 12)
    np.testing.assert_allclose(found.own.insertion, rising, atol=1e-4)
    np.testing.assert_allclose(found.own.deletion, 78 - rising, atol=1e-4)
    area = (rising[:-1] + rising[1:]).sum() / 2 / 12
    assert found.own.insertion_auc == pytest.approx(area) and found.own.deletion_auc == pytest.approx(78 - area)


def test_the_worst_order_is_the_mirror_of_the_best():
    best, worst = judge(WORTH, num_points=13).own, judge(-WORTH, num_points=13).own
    assert worst.deletion_auc == pytest.approx(best.insertion_auc) and worst.insertion_auc < best.insertion_auc - 10


def test_random_orders_lie_about_the_straight_line_and_depend_on_their_seeds_alone():
    found, other = judge(WORTH, num_points=13, seeds=range(40)), judge(-WORTH, num_points=13, seeds=range(40))
    for mean, deviation in (found.random_deletion(), found.random_insertion()):
        assert abs(mean - 39) < 3 * deviation / np.sqrt(40) and deviation > 1
    assert found.random_deletion() == other.random_deletion()
    assert judge(WORTH, seeds=[3]).random[0].deletion.tolist() == judge(WORTH, seeds=[9, 3]).random[1].deletion.tolist()


def test_fewer_points_lie_on_the_same_curve():
    many, few = judge(WORTH, num_points=13), judge(WORTH, num_points=4)
    assert few.shares.tolist() == [0, 4 / 12, 8 / 12, 1]
    assert few.own.deletion.tolist() == many.own.deletion[[0, 4, 8, 12]].tolist()


def test_more_points_than_cells_are_as_many_as_there_are():
    assert len(judge(WORTH, num_points=99).shares) == 13


def test_of_equal_cells_the_first_goes_first():
    found = judge(np.zeros((ROWS, COLUMNS)), num_points=13)
    np.testing.assert_allclose(found.own.insertion[1:], WORTH.ravel().cumsum(), atol=1e-4)


def test_cells_that_do_not_divide_the_picture_cover_it_once():
    found = judge(np.arange(6.0).reshape(2, 3), num_points=7).own
    assert found.insertion[-1] == pytest.approx(78) and found.insertion[0] == pytest.approx(0)
    assert (np.diff(found.insertion) > 0).all()


def test_what_stands_where_a_patch_is_gone_matters_and_is_named():
    flat = judge(WORTH, baseline="mean")
    np.testing.assert_allclose(flat.own.deletion, 78, rtol=1e-6)
    assert "mean colour" in flat.recipe and "black" in judge(WORTH).recipe


def test_progress_counts_every_picture_and_a_no_ends_it():
    told = []
    judge(WORTH, num_points=5, seeds=[0, 1], on_progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (2 + 2 * 3 * 3, 20) and [done for done, _ in told] == [4, 8, 12, 16, 20]
    told.clear()
    with pytest.raises(Cancelled):
        judge(WORTH, on_progress=lambda done, total: told.append(done) or len(told) < 2)
    assert len(told) == 2


@pytest.mark.parametrize("settings", [{"num_points": 1}, {"seeds": ()}])
def test_too_few_points_or_no_control_is_a_problem(settings):
    with pytest.raises(Problem, match="must be at least 2, with at least one seed"):
        judge(WORTH, **settings)


def test_a_grid_finer_than_the_picture_is_a_problem():
    with pytest.raises(Problem, match="finer than the picture"):
        judge(np.zeros((40, 4)))
