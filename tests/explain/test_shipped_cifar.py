"""The shipped runs of CIFAR-10: all images in numbers, scores that their ids bear out, a control, no image of the data set."""

import numpy as np
import pytest

from vitviz.errors import Problem
from vitviz.explain.deep_clustering import find_control, find_other_seeds
from vitviz.explain.film_strip import film_of
from vitviz.explain.map_trust import trust_of_round
from vitviz.explain.movers_ledger import kin_shares
from vitviz.explain.seed_stability import seed_band, stability
from vitviz.runs.compact import has_embeddings
from vitviz.runs.folder import Run, shipped_root

SHIPPED = [Run(path.parent) for path in sorted(shipped_root().glob("*/run.json"))]


@pytest.fixture(scope="module")
def run() -> Run:
    return Run(shipped_root() / "cifar10-laptop")


@pytest.fixture(scope="module", params=["cifar10-laptop", "cifar10-laptop-supertoken"])
def either(request) -> Run:
    return Run(shipped_root() / request.param)


@pytest.fixture(
    scope="module", params=["cifar10-laptop", "cifar10-laptop-s1", "cifar10-laptop-s2", "cifar10-laptop-supertoken"]
)
def trained(request) -> Run:
    return Run(shipped_root() / request.param)


def test_all_images_are_in_every_round_and_on_every_map(either):
    samples = either.samples()
    assert (len(samples.indices), int(samples.held_out.sum())) == (60_000, 10_000)
    assert np.bincount(samples.classes).tolist() == [6_000] * 10
    assert either.projection().points.shape == (either.num_rounds(), 60_000, 2)
    assert all(len(either.round(index).labels) == 60_000 for index in range(either.num_rounds()))


def test_scores_are_those_of_its_ids_and_above_what_two_cores_were_asked_for(trained):
    from sklearn.metrics import normalized_mutual_info_score

    samples = trained.samples()
    for index, record in enumerate(trained.round_metrics()):
        ids = np.asarray(trained.round(index).labels)[samples.held_out]
        nmi = normalized_mutual_info_score(samples.classes[samples.held_out], ids)
        assert record["held_out_nmi"] == pytest.approx(nmi, abs=1e-6)
    assert record["held_out_acc"] >= 0.68 and record["held_out_nmi"] >= 0.50


def test_every_round_tightens_the_clusters(trained):
    shares = [record["within_share"] for record in trained.round_metrics()]
    assert np.all(np.diff(shares) < 0)


def test_it_holds_numbers_and_no_image(either):
    kinds = {path.suffix for path in either.path.rglob("*") if path.is_file()}
    assert kinds == {".json", ".jsonl", ".npy", ".npz", ".safetensors"}
    assert either.samples().sketches.shape == (60_000, 8)


def test_its_seeds_are_the_same_images_and_settings_and_make_a_band(run):
    others = find_other_seeds(run, SHIPPED)
    assert sorted(other.name for other in others) == ["cifar10-laptop-s1", "cifar10-laptop-s2"]
    for other in others:
        assert np.array_equal(other.samples().indices, run.samples().indices)
        assert np.array_equal(other.samples().held_out, run.samples().held_out)
    band = seed_band(run, others, "nmi")
    assert band.num_seeds == 3 and np.all(band.low < band.high) and len(band.mean) == 6
    agreement = stability(run, others)
    assert agreement.shape == (6, 60_000) and 0 <= agreement.min() < 0.2 and agreement.max() <= 1


def test_its_control_is_found_and_says_nothing_of_embeddings_that_it_lacks(run):
    control = find_control(run, SHIPPED)
    assert control.name == "cifar10-laptop-control"
    assert not has_embeddings(control) and has_embeddings(run)
    film = film_of(control, 5)
    assert film.neighbors.shape == (6, 0) and np.isnan(film.kin).all() and film.restored is None
    assert np.isnan(kin_shares(control, 5, np.array([5, 6]))).all()
    with pytest.raises(Problem, match="handed on without its embeddings"):
        trust_of_round(control, 5)


def test_its_super_tokens_are_shown_on_a_photograph_by_the_weights_of_the_last_round():
    from vitviz.explain.opened_models import load_run_model
    from vitviz.explain.supertokens import features_of_run, group_features

    run = Run(shipped_root() / "cifar10-laptop-supertoken")
    assert [run.has_weights(index) for index in range(6)] == [False] * 5 + [True]
    assert find_control(run, SHIPPED) is None and not has_embeddings(run)
    pixels = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    features = features_of_run(load_run_model(run).model, pixels, run_name=run.name)
    grouping = group_features(features, num_iterations=3)
    assert grouping.grid == (8, 12) and "fed 48 x 32 px" in grouping.recipe


def test_a_setting_that_came_after_a_run_counts_as_its_default(run):
    assert "compile" not in run.description().settings
    assert {other.name for other in find_other_seeds(Run(shipped_root() / "digits"), SHIPPED)} == {
        "digits-s1",
        "digits-s2",
    }
