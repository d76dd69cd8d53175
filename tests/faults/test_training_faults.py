"""Whatever goes wrong while a run trains: one sentence that names it, the rounds before as they were, the last one finite.

A fault either stops the run, which then says so in its status, or, where training can go on, is told in the record of its
round, in the notes of the run, or beside its maps.
"""

import copy
import dataclasses
import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vitviz.clustering import algorithms
from vitviz.clustering.kmeans import kmeans
from vitviz.config import from_plain
from vitviz.data.sets import open_image_set
from vitviz.errors import Problem
from vitviz.nn.vit import ViTOutput
from vitviz.runs import atomic, tensors
from vitviz.runs.folder import Run
from vitviz.training import deep_clustering, feed, loop
from vitviz.training.drive import drive
from vitviz.training.methods import METHODS, config_of
from vitviz.training.setup import start_run

SHARED = {"num_restarts": 2, "projection": "none"}
TINY = {
    "deep_clustering": {
        "limit": 120,
        "patch_size": 16,
        "embed_dim": 16,
        "depth": 1,
        "epochs": 1,
        "extra_epochs": 0,
        "max_rounds": 2,
        "epochs_per_round": 1,
        "stop_rule": "max_rounds",
        "gate": False,
    },
    "idec": {"limit": 120, "embed_dim": 5, "hidden": [16], "epochs": 1, "max_rounds": 2, "epochs_per_round": 1},
    "subspace": {"limit": 120, "channels": 3, "epochs": 2, "num_steps": 2, "subspace_dim": 4, "solver": "ridge"},
    "coat": {
        "dataset": "digits",
        "img_size": 32,
        "limit": 120,
        "held_out_fraction": 0.5,
        "patch_size": 4,
        "embed_dims": [8, 8, 8, 8],
        "serial_depths": [1, 1, 1, 1],
        "mlp_ratios": [2, 2, 2, 2],
        "num_heads": 2,
        "epochs": 1,
        "bfloat16": "off",
    },
}


@pytest.fixture(scope="session")
def _parsed_digits():
    from sklearn.datasets import load_digits

    return load_digits()


@pytest.fixture(autouse=True)
def digits_are_parsed_once(_parsed_digits, monkeypatch) -> None:
    """scikit-learn reads its digits from text, which takes longer than a tiny run."""
    monkeypatch.setattr("sklearn.datasets.load_digits", lambda: copy.deepcopy(_parsed_digits))


@dataclass
class Bench:
    """Where a fault is made: ``patch`` undoes itself, ``folder`` is the test's own."""

    patch: pytest.MonkeyPatch
    folder: Path

    def start(self, method: str = "deep_clustering", **changes) -> Run:
        return start_run("faulty", method, from_plain(METHODS[method].config, {**SHARED, **TINY[method], **changes}))

    def serve(self, **changes) -> None:
        """From now on the data set is the digits with these fields."""
        images = dataclasses.replace(open_image_set("digits", limit=120), **changes)
        self.patch.setattr("vitviz.training.setup.open_image_set", lambda *_, **__: images)

    def spoil_batch(self, after: int, spoil: Callable) -> None:
        """Change every batch of pixels behind the first ``after``."""
        seen = []

        def change(pixels, draws):
            seen.append(1)
            return spoil(pixels) if len(seen) > after else pixels

        self.patch.setattr(feed, "apply_draws", change)


@pytest.fixture
def bench(monkeypatch, tmp_path) -> Bench:
    return Bench(monkeypatch, tmp_path)


def _set_pixel(value: float) -> Callable:
    def spoil(pixels):
        pixels[0, 0, 0, 0] = value
        return pixels

    return spoil


# Faults that stop a run: each makes the run and the fault


def nan_pixel(bench):
    bench.spoil_batch(2, _set_pixel(float("nan")))
    return bench.start()


def infinite_pixel(bench):
    bench.spoil_batch(2, _set_pixel(float("inf")))
    return bench.start()


def loss_that_is_none(bench):
    seen, loss = [], deep_clustering.deep_clustering_loss

    def poisoned(*arguments):
        seen.append(1)
        parts = loss(*arguments)
        return {**parts, "loss": parts["loss"] * float("nan")} if len(seen) > 4 else parts

    bench.patch.setattr(deep_clustering, "deep_clustering_loss", poisoned)
    return bench.start()


def gradient_that_is_none(bench):
    seen, loss = [], deep_clustering.deep_clustering_loss

    def steep(output, *rest):
        seen.append(1)
        parts = loss(output, *rest)
        # the root of 0 is 0, and its slope infinite
        return {**parts, "loss": parts["loss"] + (output.embedding * 0).sum().sqrt()} if len(seen) > 4 else parts

    bench.patch.setattr(deep_clustering, "deep_clustering_loss", steep)
    return bench.start()


def learning_rate_that_explodes(bench):
    return bench.start(round_lr=1e30, max_rounds=3, epochs_per_round=2)


def more_clusters_than_images(bench):
    return bench.start(num_clusters=61)


def more_clusters_than_images_unsupervised(bench):
    return bench.start("idec", num_clusters=121)


def no_images(bench):
    (bench.folder / "none" / "a").mkdir(parents=True)
    return bench.start(dataset=str(bench.folder / "none"))


def nothing_left_to_train_on(bench):
    bench.serve(held_out=np.ones(120, bool))
    return bench.start()


def identical_images_to_a_subspace(bench):
    bench.serve(images=np.full((120, 32, 32, 3), 7, np.uint8))
    return bench.start("subspace")


def huge_embeddings(bench):
    embed = loop.embed_images

    def huge(*arguments, **options):
        embeddings, logits = embed(*arguments, **options)
        return embeddings * 1e9, logits

    run = bench.start()
    _train_to_round_0(run)
    bench.patch.setattr(deep_clustering, "embed_images", huge)
    return run


def embeddings_that_are_none(bench):
    embed = loop.embed_images

    def none(*arguments, **options):
        embeddings, logits = embed(*arguments, **options)
        return embeddings / 0, logits

    run = bench.start()
    _train_to_round_0(run)
    bench.patch.setattr(deep_clustering, "embed_images", none)
    return run


def out_of_memory(bench):
    loss = deep_clustering.deep_clustering_loss
    run = bench.start(batch_size=32)
    _train_to_round_0(run)

    def greedy(output, classes, *rest):
        if len(classes) > 8:
            torch.empty(2**48)  # a pebibyte
        return loss(output, classes, *rest)

    bench.patch.setattr(deep_clustering, "deep_clustering_loss", greedy)
    return run


def corrupt_start(bench):
    tensors.save(bench.folder / "start.safetensors", {"head.bias": np.ones(10, np.float32)})
    content = bytearray((bench.folder / "start.safetensors").read_bytes())
    content[-3] ^= 4
    (bench.folder / "start.safetensors").write_bytes(content)
    return bench.start("coat", start=str(bench.folder / "start.safetensors"))


def start_without_numbers(bench):
    tensors.save(bench.folder / "start.safetensors", {"head.bias": np.full(10, np.nan, np.float32)})
    return bench.start("coat", start=str(bench.folder / "start.safetensors"))


def flipped_bit_in_the_resume_point(bench):
    run = bench.start()
    _train_to_round_0(run)
    path = run.path / "resume.safetensors"
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    return run


def resume_point_without_numbers(bench):
    run = bench.start()
    _train_to_round_0(run)
    state, place = run.resume_point()
    name = next(name for name in state if name.startswith("model."))
    run.save_resume_point({**state, name: state[name] * np.float32("nan")}, place)
    return run


def changed_data_set(bench):
    run = bench.start()
    _train_to_round_0(run)
    bench.serve(fingerprint="another")
    return run


def full_disk(bench):
    run = bench.start(max_rounds=3)
    _train_to_round_0(run)
    write = atomic.write_file

    def full(path, content):
        if path.parent.name.startswith(".tmp-") or path.name != "status.json":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(path, content)

    bench.patch.setattr(atomic, "write_file", full)
    return run


def read_only_disk(bench):
    run = bench.start()
    _train_to_round_0(run)

    def refuse(folder):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    bench.patch.setattr(atomic, "probe", refuse)
    return run


def classes_that_cannot_be_told_apart(bench):
    bench.serve(labels=np.zeros(120, np.int32), class_names=("only",))
    return bench.start("coat")


STOPPING = {
    nan_pixel: r"training stopped at step 1 of epoch 1000: pixels are not finite \(learning rate .*, images \d+\)",
    infinite_pixel: r"training stopped at step 1 of epoch 1000: pixels are not finite \(learning rate .*, images \d+\)",
    loss_that_is_none: r"training stopped at step 2 of epoch 1000: the loss is not finite \(learning rate .*, images \d",
    gradient_that_is_none: r"step 2 of epoch 1000: the gradient of the loss is not finite \(learning rate .*, images \d",
    learning_rate_that_explodes: r"the loss is not finite \(learning rate .* and \d+ more\); lower the learning rate",
    more_clusters_than_images: r"num_clusters=61 must be at most the number of points \(60\)",
    more_clusters_than_images_unsupervised: r"num_clusters=121 must be at most the number of points \(120\)",
    no_images: r"none holds no images",
    nothing_left_to_train_on: r"120 of 120 images would be held out: some must be, and some must be left",
    identical_images_to_a_subspace: r"the encoder died",
    huge_embeddings: r"the embeddings cannot be kept: their largest number is .*; lower the learning rate",
    embeddings_that_are_none: r"the embeddings hold values that are not finite",
    out_of_memory: r"out of memory \(1\.0 PiB more were needed at once, .* are available\); set batch_size=8, which fits",
    corrupt_start: r"start=.*start\.safetensors cannot be read: its bytes are not those that were written",
    start_without_numbers: r"the weights cannot be used: some numbers of 'head\.bias' are NaN or infinite",
    flipped_bit_in_the_resume_point: r"run 'faulty' cannot go on: resume\.safetensors changed since it was written",
    resume_point_without_numbers: r"the weights cannot be used: some numbers of 'model\..*' are NaN or infinite",
    changed_data_set: r"the data set of run 'faulty' changed since it began",
    full_disk: r"run 'faulty' stopped: the disk is full; round 0 is intact; free some space, then go on with --resume",
    read_only_disk: r"run 'faulty' cannot be written to: the disk is read-only; round 0 is intact",
    classes_that_cannot_be_told_apart: r"cannot train a classifier: of 1 classes",
}


def _train_to_round_0(run: Run) -> None:
    records = METHODS[run.description().method].train(config_of(run), run)
    while next(records)["kind"] != "round":
        pass
    records.close()


def _files_of(run: Run) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted((run.path / "rounds").rglob("*")) if path.is_file()}


def _is_finite(run: Run) -> bool:
    """Whether every number of the last round, and of its record, is one."""
    last = run.round(run.num_rounds() - 1)
    arrays = [getattr(last, field.name) for field in dataclasses.fields(last)]
    numbers = [value for value in (run.round_metrics() or [{}])[-1].values() if isinstance(value, float)]
    return all(np.isfinite(array).all() for array in arrays if array is not None) and np.isfinite(numbers).all()


@pytest.mark.parametrize("fault", STOPPING, ids=lambda fault: fault.__name__)
def test_a_fault_stops_the_run_in_one_sentence_and_keeps_what_there_was(bench, fault):
    met: dict = {"before": {}}
    with pytest.raises(Problem, match=STOPPING[fault]) as raised:
        _meet(bench, fault, met)
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 400
    if "run" not in met:
        return  # found before there was a run
    bench.patch.undo()
    run = met["run"]
    assert run.status().state in ("failed", "interrupted")
    assert run.status().error in (str(raised.value), "")
    assert {path: path.read_bytes() for path in met["before"]} == met["before"]
    assert not list(run.path.rglob(".tmp-*"))
    if run.num_rounds():
        assert _is_finite(run)


def _meet(bench: Bench, fault: Callable, met: dict) -> None:
    """Make the fault and drive the run into it; ``met`` keeps the run and the files of its rounds before."""
    met["run"] = fault(bench)
    met["before"] = _files_of(met["run"])
    drive(met["run"])


def test_clusters_that_are_too_many_are_told_before_anything_is_trained(bench):
    run = more_clusters_than_images(bench)
    with pytest.raises(Problem):
        drive(run)
    assert run.metrics() == []


def test_a_batch_that_has_no_room_costs_no_parameter_and_what_fits_is_found_by_trying(bench):
    run = out_of_memory(bench)
    before = {name: value.copy() for name, value in run.resume_point()[0].items()}
    with pytest.raises(Problem, match="set batch_size=8, which fits"):
        drive(run)
    assert all(np.array_equal(value, before[name]) for name, value in run.resume_point()[0].items())


def test_images_that_have_no_room_together_are_embedded_apart():
    class Narrow(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(3))

        def forward(self, pixels):
            if len(pixels) > 3:
                torch.empty(2**48)  # a pebibyte
            means = pixels.mean(dim=(2, 3)) * self.weight
            return ViTOutput(means, means)

    images = np.random.default_rng(0).integers(0, 256, (20, 4, 4, 3), dtype=np.uint8)
    found, _ = loop.embed_images(Narrow(), images, np.arange(20))
    expected = images.astype(np.float32).mean(axis=(1, 2)) / 127.5 - 1
    assert np.allclose(found.numpy(), expected, atol=1e-5)


# Faults that a run goes on with, and tells


def one_cluster(bench):
    return bench.start(num_clusters=1, max_rounds=1)


def identical_images(bench):
    bench.serve(images=np.full((120, 32, 32, 3), 7, np.uint8))
    return bench.start(num_clusters=4, max_rounds=1)


def few_different_images(bench):
    images = np.repeat(np.arange(3, dtype=np.uint8) * 80, 40)[:, None, None, None]
    bench.serve(images=np.broadcast_to(images, (120, 32, 32, 3)).copy())
    return bench.start(num_clusters=5, max_rounds=1)


def cluster_that_lost_its_points(bench):
    def from_afar(points, num_clusters, seed, num_restarts):
        centers = points[:num_clusters].clone()
        centers[-1] += 1e4
        return kmeans(points, num_clusters, centers=centers)

    bench.patch.setitem(algorithms.ALGORITHMS, "kmeans", from_afar)
    return bench.start(num_clusters=4, max_rounds=1)


def graph_without_edges(bench):
    return bench.start("subspace", ridge_strength=1e30)


def _folder_of(bench, class_names: tuple[str, ...], per_class: int = 6) -> str:
    rng = np.random.default_rng(0)
    for name in class_names:
        (bench.folder / "photos" / name).mkdir(parents=True)
        for index in range(per_class):
            pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(bench.folder / "photos" / name / f"{index}.png")
    return str(bench.folder / "photos")


def one_class(bench):
    return bench.start(dataset=_folder_of(bench, ("only",), 12), limit=None, num_clusters=2, max_rounds=1)


def no_labels(bench):
    return bench.start(dataset=_folder_of(bench, (".",), 12), limit=None, num_clusters=2, max_rounds=1)


def few_images_for_umap(bench):
    dataset = _folder_of(bench, ("a", "b"), 4)
    return bench.start(dataset=dataset, limit=None, num_clusters=2, max_rounds=1, projection="umap")


TOLD = {
    one_cluster: "all images are in one cluster: how it agrees with classes says nothing",
    identical_images: "all images have the same embedding: there is nothing to tell them apart by",
    few_different_images: "2 of 5 clusters are empty: fewer images differ than there are clusters",
    cluster_that_lost_its_points: "an empty cluster was seeded again from the largest",
    graph_without_edges: "the graph has no edges",
    one_class: "only one class: scores against labels are not defined",
    no_labels: "no labels: scores against labels are not defined",
    few_images_for_umap: "8 images are too few for UMAP",
}


@pytest.mark.parametrize("fault", TOLD, ids=lambda fault: fault.__name__)
def test_a_fault_that_a_run_can_go_on_with_is_told_and_the_last_round_is_finite(bench, fault):
    run = fault(bench)
    drive(run)
    told = [*run.description().notes]
    told += [warning for record in run.round_metrics() for warning in record.get("warnings") or ()]
    if run.projection() is not None:
        told.append(run.projection().settings.get("note", ""))
    assert any(TOLD[fault] in sentence for sentence in told)
    assert run.status().state == "finished"
    assert run.damaged_files() == [] and _is_finite(run)


@pytest.mark.parametrize("fault", [one_class, no_labels], ids=lambda fault: fault.__name__)
def test_scores_against_one_class_or_none_are_not_defined(bench, fault):
    run = fault(bench)
    drive(run)
    assert {run.round_metrics()[-1][name] for name in ("held_out_nmi", "train_nmi", "held_out_ari")} == {None}
