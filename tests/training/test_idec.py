"""IDEC: soft assignments and their target, and a run that never looks at a label."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from vitviz.clustering.kmeans import kmeans
from vitviz.clustering.metrics import nmi
from vitviz.nn.autoencoder import AutoencoderOutput
from vitviz.runs.folder import Run
from vitviz.training.drive import drive
from vitviz.training.idec import embed_with, idec_loss, soft_assignment, target_distribution
from vitviz.training.methods import METHODS, config_of


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def points(scale: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    return scale * torch.randn(50, 4, generator=seeded()), scale * torch.randn(3, 4, generator=seeded(1))


@pytest.mark.parametrize("scale", [0.0, 1e-3, 1.0, 1e3])
def test_rows_of_assignment_and_target_sum_to_one(scale):
    q = soft_assignment(*points(scale))
    p = target_distribution(q)
    for rows in (q, p):
        assert rows.shape == (50, 3) and (rows >= 0).all()
        assert torch.allclose(rows.sum(dim=1), torch.ones(50), atol=1e-6)


def test_the_assignment_is_student_t_around_every_center():
    embeddings, centers = (part.double() for part in points())
    expected = torch.stack([1 / (1 + ((embeddings - center) ** 2).sum(dim=1)) for center in centers], dim=1)
    assert torch.allclose(soft_assignment(embeddings, centers), expected / expected.sum(dim=1, keepdim=True), atol=1e-9)


def test_the_target_is_the_square_divided_by_the_soft_size_of_the_cluster():
    q = torch.tensor([[0.8, 0.2], [0.7, 0.3], [0.6, 0.4]], dtype=torch.float64)
    weight = q**2 / q.sum(dim=0)
    assert torch.allclose(target_distribution(q), weight / weight.sum(dim=1, keepdim=True), atol=1e-12)


def test_the_target_is_surer_where_clusters_are_of_one_size():
    q = torch.tensor([[0.7, 0.3], [0.3, 0.7]])
    p = target_distribution(q)
    assert p[0].tolist() == pytest.approx([0.49 / 0.58, 0.09 / 0.58])
    assert torch.equal(p.argmax(dim=1), q.argmax(dim=1))


def test_the_loss_is_reconstruction_plus_gamma_times_the_divergence():
    embeddings, centers = points()
    restored, target_pixels = torch.rand(50, 9, generator=seeded()), torch.rand(50, 9, generator=seeded(1))
    output = AutoencoderOutput(embeddings, restored, target_pixels, torch.zeros(50, 1))
    q = soft_assignment(embeddings, centers)
    target = target_distribution(q)
    parts = idec_loss(output, centers, target, 0.1)
    divergence = F.kl_div(q.log(), target, reduction="batchmean").item()
    reconstruction = (restored - target_pixels).square().mean().item()
    assert parts["cluster_loss"].item() == pytest.approx(divergence, rel=1e-4)
    assert parts["loss"].item() == pytest.approx(reconstruction + 0.1 * divergence, rel=1e-5)
    assert idec_loss(output, centers, None, 0.1).keys() == {"loss", "reconstruction_loss"}
    assert idec_loss(output, centers, q, 0.1)["cluster_loss"].item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("scale", [0.0, 1.0, 1e4])
def test_loss_and_gradients_are_finite_even_on_a_center_and_far_away(scale):
    embeddings, centers = points(scale)
    embeddings[0] = centers[0]
    embeddings.requires_grad_(), centers.requires_grad_()
    target = torch.eye(3)[torch.arange(50) % 3]
    pixels = torch.zeros(50, 4)
    loss = idec_loss(AutoencoderOutput(embeddings, pixels, pixels, pixels), centers, target, 0.1)["loss"]
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(embeddings.grad).all() and torch.isfinite(centers.grad).all()


def test_a_run_ends_with_every_round_and_finite_records(finished_idec):
    records = finished_idec.metrics()
    assert [record["kind"] for record in records] == ["epoch"] * 3 + ["round"] + ["epoch", "round"] * 3
    assert finished_idec.status().state == "finished" and finished_idec.num_rounds() == 4
    assert all(np.isfinite(record["loss"]) for record in records)
    for record in finished_idec.round_metrics():
        assert record["loss"] == pytest.approx(record["reconstruction_loss"] + 0.1 * record["cluster_loss"], abs=1e-6)


def test_round_0_says_what_kmeans_on_raw_pixels_scores(finished_idec, digits):
    samples, records = finished_idec.samples(), finished_idec.round_metrics()
    pixels = torch.from_numpy(digits[..., 0].reshape(200, -1).copy()) / 255
    labels = kmeans(pixels, 10, generator=seeded(), num_restarts=2).labels.numpy()
    expected = nmi(samples.classes[samples.held_out], labels[samples.held_out])
    assert records[0]["raw_kmeans_nmi"] == pytest.approx(expected, abs=1e-9)
    assert all("raw_kmeans_nmi" not in record for record in records[1:])


def test_ids_are_those_of_the_nearest_center(finished_idec):
    for index in range(4):
        arrays = finished_idec.round(index)
        gaps = np.linalg.norm(arrays.embeddings.astype(float)[:, None] - arrays.centers.astype(float), axis=2)
        assert (gaps.argmin(axis=1) == arrays.labels).mean() > 0.99  # stored in half precision
        assert np.allclose(np.sort(gaps)[:, 0], arrays.distances, atol=1e-2)
        assert np.allclose(np.sort(gaps)[:, 1], arrays.runner_up_distances, atol=1e-2)
        assert (arrays.predictions == -1).all()


def test_an_image_is_embedded_by_the_network_of_its_round(finished_idec, digits):
    for index in (0, 3):
        assert np.allclose(embed_with(finished_idec, index, digits), finished_idec.round(index).embeddings, atol=2e-2)


def test_it_has_no_control(finished_idec):
    assert METHODS["idec"].control(config_of(finished_idec)) is None


@pytest.mark.parametrize("changes", [{}, {"epochs_per_round": 3, "epochs_per_update": 2}], ids=["plain", "updates"])
def test_resumed_after_any_record_it_comes_to_the_same_bits(train_and_stop, content_of, changes):
    changes = {"epochs": 2, "max_rounds": 2, **changes}
    whole, stopped = train_and_stop("idec", **changes)
    for stop, run in enumerate(stopped, start=1):
        assert len(run.metrics()) == stop
        drive(run)
        assert content_of(Run(run.path)) == content_of(whole)
