import numpy as np
import pytest
import torch

from vitviz.data.batches import batch_indices, split_held_out, stratified_order, to_tensor
from vitviz.errors import Problem


def batches(count=10, size=3, **options):
    return list(batch_indices(count, size, **{"seed": 1, "epoch": 0, **options}))


def test_an_epoch_holds_every_image_once():
    assert sorted(np.concatenate(batches()).tolist()) == list(range(10))
    assert [len(batch) for batch in batches()] == [3, 3, 3, 1]


def test_drop_last_leaves_out_only_the_short_batch():
    assert [len(batch) for batch in batches(drop_last=True)] == [3, 3, 3]
    assert [len(batch) for batch in batches(9, drop_last=True)] == [3, 3, 3]
    np.testing.assert_array_equal(np.concatenate(batches())[:9], np.concatenate(batches(drop_last=True)))


def test_the_order_depends_on_seed_and_epoch_and_on_nothing_else():
    order = np.concatenate(batches(1000))
    np.random.default_rng(99).random(5)
    np.testing.assert_array_equal(order, np.concatenate(batches(1000, size=7)))
    assert (order != np.concatenate(batches(1000, epoch=1))).any()
    assert (order != np.concatenate(batches(1000, seed=2))).any()


def test_without_shuffling_the_order_is_that_of_the_rows():
    assert np.concatenate(batches(shuffle=False)).tolist() == list(range(10))


def test_no_images_are_no_batches_and_no_batch_size_is_a_problem():
    assert batches(0) == []
    with pytest.raises(Problem, match="batch_size=0"):
        batch_indices(10, 0, seed=0, epoch=0)


@pytest.mark.parametrize("fraction", [0, 0.1, 0.2, 0.5, 0.77])
def test_the_split_has_the_exact_total_and_each_class_its_share(fraction):
    labels = np.repeat([-1, 0, 1, 2], [7, 100, 31, 3])
    held_out = split_held_out(labels, fraction, seed=0)
    assert held_out.sum() == int(fraction * len(labels) + 0.5)
    for label in (-1, 0, 1, 2):
        of_class = held_out[labels == label]
        assert abs(of_class.sum() - fraction * len(of_class)) <= 1


def test_half_of_1797_digits_hold_899_out():
    from sklearn.datasets import load_digits

    held_out = split_held_out(load_digits().target, 0.5, seed=3)
    assert held_out.sum() == 899 and (~held_out).sum() == 898


def test_the_split_repeats_with_its_seed_and_changes_with_another():
    labels = np.arange(200) % 5
    np.testing.assert_array_equal(split_held_out(labels, 0.5, seed=0), split_held_out(labels, 0.5, seed=0))
    assert (split_held_out(labels, 0.5, seed=0) != split_held_out(labels, 0.5, seed=1)).any()


@pytest.mark.parametrize("fraction", [-0.1, 1, 1.5, float("nan")])
def test_a_fraction_outside_0_to_1_is_refused(fraction):
    with pytest.raises(Problem, match="held-out fraction"):
        split_held_out(np.zeros(4, int), fraction, seed=0)


def test_every_prefix_of_the_stratified_order_holds_each_group_in_proportion():
    groups = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [60, 30, 10]))
    order = stratified_order(groups, seed=0)
    assert sorted(order.tolist()) == list(range(100))
    for length in range(1, 101):
        counts = np.bincount(groups[order[:length]], minlength=3)
        assert (np.abs(counts - length * np.array([0.6, 0.3, 0.1])) <= 1.5).all()


def test_tensors_lie_in_minus_one_to_one_with_channels_first():
    images = np.random.default_rng(0).integers(0, 256, (3, 4, 5, 3), dtype=np.uint8)
    images[0, 0, 0] = (0, 255, 51)
    tensor = to_tensor(images, "cpu")
    assert tensor.shape == (3, 3, 4, 5) and tensor.dtype == torch.float32 and tensor.is_contiguous()
    assert tensor[0, :2, 0, 0].tolist() == [-1, 1]
    np.testing.assert_allclose(tensor.numpy(), (images.transpose(0, 3, 1, 2) / 255 - 0.5) / 0.5, atol=1e-6)


def test_a_read_only_part_of_a_memory_map_becomes_a_tensor_and_stays_as_it_was(tmp_path):
    np.save(tmp_path / "images.npy", np.full((4, 2, 2, 3), 7, np.uint8))
    images = np.load(tmp_path / "images.npy", mmap_mode="r")
    to_tensor(images[1:3], "cpu").fill_(0)
    assert (images == 7).all()


def test_another_dtype_is_reached_from_float32():
    images = np.arange(12, dtype=np.uint8).reshape(1, 2, 2, 3) + 240
    tensor = to_tensor(images, torch.device("cpu"), torch.bfloat16)
    assert tensor.dtype == torch.bfloat16
    assert torch.equal(tensor, to_tensor(images, "cpu").to(torch.bfloat16))
