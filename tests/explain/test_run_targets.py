"""A cluster of a run as what a score is of: its center is the one that the run stored."""

import numpy as np
import pytest
import torch

from vitviz.errors import Problem
from vitviz.explain.opened_models import load_run_model
from vitviz.explain.preprocessing import to_input
from vitviz.explain.run_targets import center_of, cluster_target, list_clusters
from vitviz.runs.folder import Run, shipped_root
from vitviz.training.setup import load_images


@pytest.fixture(scope="module")
def digits() -> Run:
    return Run(shipped_root() / "digits")


@pytest.mark.parametrize("index", [0, 6])
def test_the_center_of_a_matched_cluster_is_that_of_its_raw_id(digits, index):
    arrays = digits.round(index)
    for cluster in list_clusters(digits, index):
        raw = set(np.asarray(arrays.labels)[np.asarray(arrays.matched_labels) == cluster].tolist())
        assert len(raw) == 1
        assert np.array_equal(center_of(digits, index, cluster), arrays.centers[raw.pop()])


def test_the_score_of_an_image_is_minus_the_squared_distance_that_the_run_stored(digits):
    index, rows = 6, [0, 5, 1000, 1700]
    opened, arrays = load_run_model(digits, index), digits.round(index)
    images = to_input(opened.model, np.asarray(load_images(digits)[rows]), opened.preprocessing)
    for row, image in zip(rows, images, strict=True):
        target = cluster_target(digits, index, int(arrays.matched_labels[row]))
        with torch.inference_mode():
            score = target.score(opened.model, image[None])
        assert -score.item() == pytest.approx(float(arrays.distances[row]) ** 2, rel=0.01, abs=0.01)
        assert target.label == f"cluster {arrays.matched_labels[row]} at round {index}"


def test_a_run_that_clustered_on_the_sphere_is_asked_on_the_sphere(digits, monkeypatch):
    opened = load_run_model(digits, 6)
    images = to_input(opened.model, np.asarray(load_images(digits)[:2]), opened.preprocessing)
    plain = cluster_target(digits, 6, 3)
    about = digits.description()
    monkeypatch.setitem(about.settings, "embedding", "cls_normalised")
    with torch.inference_mode():
        far, near = (target.score(opened.model, images) for target in (plain, cluster_target(digits, 6, 3)))
        unit = torch.nn.functional.normalize(opened.model(images).embedding, dim=1)
    wanted = -(unit - torch.tensor(center_of(digits, 6, 3))).square().sum(dim=1)
    assert torch.allclose(near, wanted) and not torch.allclose(near, far)


def test_an_empty_cluster_is_named(digits):
    with pytest.raises(Problem, match="cluster 99 of run 'digits' is empty"):
        center_of(digits, 6, 99)
