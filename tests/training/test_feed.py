"""Images that lie on the device, and those that are copied there: the same numbers, and the choice between them."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from vitviz.training import feed
from vitviz.training.feed import EpochPlan, ResidentImages, fits, load_batches, pixels_of, place_images
from vitviz.training.loop import embed_images, train_epoch
from vitviz.training.state import make_optimizer

CPU = torch.device("cpu")


def plan(**changes) -> EpochPlan:
    settings = {"rows": np.arange(5, 45), "batch_size": 16, "lr": lambda share: 1e-2, "seed": 0, "epoch": 0}
    return EpochPlan(**{**settings, "augment": "shift_flip", **changes})


class Mean(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(3, 2)

    def forward(self, images):
        embedding = images.mean(dim=(2, 3))
        return SimpleNamespace(embedding=embedding, logits=self.layer(embedding))


@pytest.fixture
def resident(digits) -> ResidentImages:
    return ResidentImages(digits[:60], CPU)


def test_resident_images_are_to_the_bit_those_that_are_copied(digits, resident):
    rows = np.array([3, 59, 0, 3])
    assert torch.equal(pixels_of(resident, rows, CPU), pixels_of(digits[:60], rows, CPU))
    assert resident.take(rows).is_contiguous() and len(resident) == 60
    given, wanted = (
        list(load_batches(images, plan().batches(), plan(), CPU, torch.Generator().manual_seed(0)))
        for images in (resident, digits[:60])
    )
    assert all(np.array_equal(one[0], other[0]) for one, other in zip(given, wanted, strict=True))
    assert all(torch.equal(one[1], other[1]) for one, other in zip(given, wanted, strict=True))


def test_training_and_embedding_take_either(digits, resident):
    def loss(model, pixels, rows):
        return {"loss": model(pixels).logits.square().mean()}

    found = []
    for images in (digits[:60], resident):
        torch.manual_seed(0)
        model = Mean()
        train_epoch(model, make_optimizer(model, lr=1e-2, weight_decay=0.0), images, loss, plan())
        found.append(embed_images(model, images, np.arange(60))[1])
    assert torch.equal(*found)


def test_no_batch_of_resident_images_is_copied(resident, monkeypatch):
    monkeypatch.setattr(feed, "to_tensor", None)
    assert pixels_of(resident, np.arange(4), CPU).shape == (4, 3, 32, 32)


def test_images_stay_where_they_are_for_a_cpu_and_where_they_would_fill_a_gpu(digits, monkeypatch):
    assert place_images(digits, CPU) is digits
    monkeypatch.setattr(feed, "available_bytes", lambda device: digits.nbytes)
    assert place_images(digits, torch.device("cuda")) is digits


def test_a_quarter_of_the_free_memory_is_the_most_that_images_take():
    assert fits(25, 100) and not fits(26, 100)


def test_images_that_fit_are_moved_to_the_gpu_once(digits, monkeypatch):
    # the meta device stands for one: it has shapes and no memory
    monkeypatch.setattr(feed, "available_bytes", lambda device: 4 * digits.nbytes)
    monkeypatch.setattr(feed, "ResidentImages", lambda images, device: ResidentImages(images, torch.device("meta")))
    placed = place_images(digits, torch.device("cuda"))
    assert placed.pixels.is_meta and placed.pixels.dtype == torch.uint8
    assert placed.shape == digits.shape and placed.pixels.nbytes == digits.nbytes


def test_a_plan_tells_its_batches_which_hold_every_row_once():
    batches = plan().batches()
    assert [len(batch) for batch in batches] == [16, 16, 8]
    assert sorted(np.concatenate(batches)) == list(range(5, 45))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_resident_images_are_those_that_are_copied(digits):
    device = torch.device("cuda")
    placed, rows = place_images(digits, device), np.arange(40)
    assert isinstance(placed, ResidentImages) and placed.pixels.device.type == "cuda"
    assert torch.equal(pixels_of(placed, rows, device), pixels_of(digits, rows, device))
