"""One pass over images: what a step does, what it leaves alone, and when it stops."""

import dataclasses
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from vitviz.errors import Problem
from vitviz.nn.vit import VisionTransformer, init_weights
from vitviz.training.feed import EpochPlan
from vitviz.training.loop import embed_images, train_epoch
from vitviz.training.state import cosine_lr, load_state_tensors, make_optimizer, state_tensors

CLASSES = torch.arange(60) % 10


def network(**changes) -> VisionTransformer:
    shape = {"img_size": 32, "patch_size": 16, "num_classes": 10, "embed_dim": 16, "depth": 2, "num_heads": 2}
    return init_weights(VisionTransformer(**{**shape, **changes}), torch.Generator().manual_seed(0))


def plan(**changes) -> EpochPlan:
    settings = {"rows": np.arange(60), "batch_size": 16, "lr": lambda share: 1e-3, "seed": 0, "epoch": 0}
    return EpochPlan(**{**settings, **changes})


def loss(model, pixels, rows):
    return {"loss": F.cross_entropy(model(pixels).logits, CLASSES[torch.from_numpy(rows)])}


def train(model, images, **changes) -> dict[str, float]:
    return train_epoch(model, make_optimizer(model, lr=1e-3, weight_decay=0.05), images, loss, plan(**changes))


def parameters(model) -> torch.Tensor:
    return torch.cat([value.detach().float().flatten() for value in model.state_dict().values()])


@pytest.fixture
def images(digits) -> np.ndarray:
    return digits[:60]


# Training


def test_the_same_plan_gives_the_same_network_whatever_the_global_generator_says(images):
    results = []
    for seed in (1, 2):
        model = network(drop_rate=0.2, drop_path_rate=0.2)
        torch.manual_seed(seed)
        train(model, images, augment="shift")
        results.append(parameters(model))
    assert torch.equal(*results)


@pytest.mark.parametrize("change", [{"epoch": 1}, {"seed": 1}, {"augment": "shift"}, {"batch_size": 20}])
def test_another_plan_gives_another_network(images, change):
    models = network(), network()
    for model, changes in zip(models, ({}, change), strict=True):
        train(model, images, **changes)
    assert not torch.equal(*map(parameters, models))


def test_dropout_follows_the_epoch(images):
    class Noise(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(1))

    seen = []

    def noisy(model, pixels, rows):
        seen.append(F.dropout(torch.ones(50), 0.5).tolist())
        return {"loss": model.weight.sum()}

    for epoch in (0, 0, 1):
        model = Noise()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        train_epoch(model, optimizer, images, noisy, plan(epoch=epoch, batch_size=60))
    assert seen[0] == seen[1] != seen[2]


def test_training_leaves_the_global_generator_where_it_was(images):
    model = network(drop_rate=0.5)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train(model, images)
    assert torch.equal(torch.rand(3), expected)


def test_only_the_rows_of_the_plan_are_seen_each_once(images):
    seen = []

    def watching(model, pixels, rows):
        seen.extend(rows.tolist())
        assert torch.equal(pixels, torch.from_numpy(images[rows].copy()).permute(0, 3, 1, 2) / 127.5 - 1)
        return loss(model, pixels, rows)

    model, chosen = network(), np.array([3, 5, 8, 13, 21, 34, 55])
    optimizer = make_optimizer(model, lr=1e-3, weight_decay=0.0)
    train_epoch(model, optimizer, images, watching, plan(rows=chosen, batch_size=3))
    assert sorted(seen) == chosen.tolist() and seen != chosen.tolist()


def test_the_parts_of_the_loss_are_means_over_images_not_batches(images):
    def size(model, pixels, rows):
        return {"loss": model.head.bias.sum() * 0, "rows": torch.tensor(float(rows.sum())) / len(rows)}

    model = network()
    parts = train_epoch(model, make_optimizer(model, lr=0.0, weight_decay=0.0), images, size, plan(batch_size=16))
    assert parts["rows"] == pytest.approx(np.arange(60).mean(), rel=1e-6)
    assert parts["seconds"] > 0 and parts["images_per_second"] == pytest.approx(60 / parts["seconds"])


def test_the_learning_rate_is_asked_for_before_every_step(images):
    model, asked = network(), []
    optimizer = make_optimizer(model, lr=1.0, weight_decay=0.0)

    def rate(share):
        asked.append(share)
        return 0.001 * (1 - share)

    train_epoch(model, optimizer, images, loss, plan(lr=rate, batch_size=16))
    assert asked == [0, 0.25, 0.5, 0.75]
    assert {group["lr"] for group in optimizer.param_groups} == {0.00025}


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_number_that_is_none_stops_training_before_its_step(images, bad):
    model, steps = network(), []

    def poisoned(model, pixels, rows):
        steps.append(parameters(model))
        return loss(model, pixels * bad if len(steps) == 3 else pixels, rows)

    optimizer = make_optimizer(model, lr=1e-3, weight_decay=0.0)
    with pytest.raises(Problem, match=r"training stopped at step 3 of epoch 7: the loss is not finite .*0\.001"):
        train_epoch(model, optimizer, images, poisoned, plan(epoch=7))
    assert torch.equal(parameters(model), steps[2])
    assert torch.isfinite(parameters(model)).all()


def test_a_gradient_that_is_not_finite_stops_training_even_when_the_loss_is(images):
    def steep(model, pixels, rows):
        return {"loss": (model.head.bias * 0).sum().sqrt() + loss(model, pixels, rows)["loss"].detach()}

    model = network()
    with pytest.raises(Problem, match="training stopped at step 1"):
        train_epoch(model, make_optimizer(model, lr=1e-3, weight_decay=0.0), images, steep, plan())


def test_gradients_are_clipped_to_their_norm(images):
    norms = []

    class Watch(torch.optim.SGD):
        def step(self):
            parts = [p.grad.norm() for group in self.param_groups for p in group["params"] if p.grad is not None]
            norms.append(torch.stack(parts).norm().item())

    model = network()
    huge = lambda model, pixels, rows: {"loss": 1e6 * loss(model, pixels, rows)["loss"]}  # noqa: E731
    train_epoch(model, Watch(model.parameters(), lr=0.0), images, huge, plan(clip_norm=0.5))
    assert norms == pytest.approx([0.5] * 4, rel=1e-3)


# Embedding


@pytest.mark.parametrize("batch_size", [1, 7, 60, 1000])
@pytest.mark.parametrize("stem", ["linear", "conv"])
def test_embeddings_do_not_depend_on_the_batch_size(images, batch_size, stem):
    model = network(stem=stem, drop_rate=0.5, drop_path_rate=0.5)
    expected, expected_logits = embed_images(model, images, np.arange(60), batch_size=16)
    found, logits = embed_images(model, images, np.arange(60), batch_size=batch_size)
    assert torch.allclose(found, expected, atol=1e-5) and torch.allclose(logits, expected_logits, atol=1e-5)
    assert (found.shape, found.dtype, found.requires_grad) == ((60, 16), torch.float32, False)


def test_embeddings_come_in_the_order_of_the_rows(images):
    model, rows = network(), np.array([9, 3, 3, 50])
    every, _ = embed_images(model, images, np.arange(60))
    found, _ = embed_images(model, images, rows)
    assert torch.allclose(found, every[rows], atol=1e-5)


def test_embedding_changes_no_parameter_and_no_running_mean(images):
    model = network(stem="conv").train()
    before = parameters(model)
    embed_images(model, images, np.arange(60))
    assert torch.equal(parameters(model), before)


# Optimiser and learning rate


def test_biases_norms_tokens_and_positions_are_not_decayed():
    model = network(stem="conv")
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    decayed, others = make_optimizer(model, lr=1e-3, weight_decay=0.05).param_groups
    assert (decayed["weight_decay"], others["weight_decay"]) == (0.05, 0)
    assert all(names[id(p)].endswith("weight") and p.ndim >= 2 for p in decayed["params"])
    assert {"cls_token", "pos_embed", "norm.weight", "head.bias"} <= {names[id(p)] for p in others["params"]}
    assert len(decayed["params"]) + len(others["params"]) == len(names)


def test_the_learning_rate_warms_up_then_falls_to_a_hundredth_without_a_jump():
    shares = np.linspace(0, 1, 50, endpoint=False)
    rates = [cosine_lr(2.0, epoch=epoch, epochs=10, warmup_epochs=2)(share) for epoch in range(10) for share in shares]
    top = int(np.argmax(rates))
    assert top == 100 and rates[top] == pytest.approx(2.0)
    assert all(before <= after for before, after in pairwise(rates[: top + 1]))
    assert all(before >= after for before, after in pairwise(rates[top:]))
    assert max(abs(before - after) for before, after in pairwise(rates)) < 0.05
    assert cosine_lr(2.0, epoch=9, epochs=10, warmup_epochs=2)(1.0) == pytest.approx(0.02)


@pytest.mark.parametrize("epoch", [10, 11, 40])
def test_extra_epochs_keep_the_last_learning_rate(epoch):
    assert cosine_lr(2.0, epoch=epoch, epochs=10)(0.5) == pytest.approx(0.02)


@pytest.mark.parametrize("warmup", [0.0, 0.5, 10.0, 50.0])
def test_a_learning_rate_is_always_positive_and_at_most_its_base(warmup):
    rates = [
        cosine_lr(1.0, epoch=epoch, epochs=10, warmup_epochs=warmup)(0.1 * s) for epoch in range(12) for s in range(10)
    ]
    assert min(rates) > 0 and max(rates) <= 1


# State


def test_state_put_back_goes_on_to_the_same_bits(images):
    model, other = network(stem="conv"), network(stem="conv", depth=2)
    optimizer = make_optimizer(model, lr=1e-3, weight_decay=0.05)
    train_epoch(model, optimizer, images, loss, plan())
    tensors = {name: value.copy() for name, value in state_tensors(model, optimizer).items()}
    train_epoch(model, optimizer, images, loss, plan(epoch=1))

    again = make_optimizer(other, lr=1e-3, weight_decay=0.05)
    load_state_tensors(tensors, other, again)
    train_epoch(other, again, images, loss, plan(epoch=1))
    assert torch.equal(parameters(model), parameters(other))


def test_state_of_another_network_is_refused():
    tensors = state_tensors(network())
    with pytest.raises(Problem, match="the weights do not fit the model of these settings"):
        load_state_tensors(tensors, network(embed_dim=32))


def test_a_plan_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        plan().epoch = 3
