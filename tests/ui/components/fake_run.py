"""A run of random numbers that looks to the routes like one on disk."""

from types import SimpleNamespace

import numpy as np

from vitviz.errors import Problem

IMG_SIZE = 8


class FakeRun:
    """Blobs that tighten from round to round; class = blob, a tenth unlabelled, a fifth held out."""

    def __init__(self, num_points: int = 300, num_rounds: int = 4, num_clusters: int = 5, name: str = "fake"):
        rng = np.random.default_rng(0)
        self.name, self._num_rounds, self._num_clusters = name, num_rounds, num_clusters
        blobs = rng.integers(0, num_clusters, num_points)
        angles = 2 * np.pi * np.arange(num_clusters) / num_clusters
        homes = 4 * np.stack([np.cos(angles), np.sin(angles)], axis=1)[blobs]
        spreads = np.linspace(3, 0.6, num_rounds)[:, None, None]
        noise = rng.normal(size=(num_points, 2)) + 0.2 * rng.normal(size=(num_rounds, num_points, 2))
        self._points = (homes + spreads * noise).astype(np.float32)
        strays = rng.random((num_rounds, num_points)) < np.linspace(0.4, 0.05, num_rounds)[:, None]
        self._clusters = np.where(strays, rng.integers(0, num_clusters, strays.shape), blobs).astype(np.int32)
        self._distances = rng.random((num_rounds, num_points)).astype(np.float32)
        classes = np.where(rng.random(num_points) < 0.1, -1, blobs).astype(np.int32)
        self._samples = SimpleNamespace(
            indices=np.arange(num_points, dtype=np.int32) * 3,
            classes=classes,
            held_out=rng.random(num_points) < 0.2,
        )

    def version(self) -> str:
        return "v1"

    def num_rounds(self) -> int:
        return self._num_rounds

    def samples(self) -> SimpleNamespace:
        return self._samples

    def round(self, index: int) -> SimpleNamespace:
        return SimpleNamespace(
            embeddings=np.zeros((len(self._clusters[index]), 4), np.float16),
            matched_labels=self._clusters[index],
            distances=self._distances[index],
            runner_up_distances=np.ones_like(self._distances[index]),
        )

    def projection(self) -> SimpleNamespace:
        return SimpleNamespace(points=self._points, engine="none", seed=0, settings={})

    def description(self) -> SimpleNamespace:
        names = tuple(f"class {index}" for index in range(self._num_clusters))
        return SimpleNamespace(dataset_fingerprint="fake", class_names=names, num_clusters=self._num_clusters)


def finder(run: FakeRun):
    """``find_run`` of a listing that holds only ``run``."""

    def find(name: str) -> FakeRun:
        if name != run.name:
            raise Problem(f"there is no run named '{name}'")
        return run

    return find


def fake_images(run: FakeRun) -> np.ndarray:
    """(1000, 8, 8, 3) uint8, each image of one grey-blue."""
    shades = (np.arange(1000) * 37 % 256).astype(np.uint8)
    images = np.empty((1000, IMG_SIZE, IMG_SIZE, 3), np.uint8)
    images[..., 0], images[..., 1], images[..., 2] = shades[:, None, None], 120, 255 - shades[:, None, None]
    return images
