"""The packed round map undone by an oracle, and the lasso against a slow reference."""

import gzip
import struct

import numpy as np
import pytest

from vitviz.explain.round_map import (
    MAX_VERTICES,
    map_coordinates,
    pack_column,
    pack_round_map,
    points_inside,
    polygon_from_text,
    polygon_to_text,
)


def _random_map(num_rounds: int, num_points: int, num_clusters: int, seed: int = 0):
    """Random walks: (points, clusters, classes, held_out, ids)."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(size=(num_rounds, num_points, 2)) * np.r_[8, np.full(num_rounds - 1, 0.6)][:, None, None]
    clusters = np.repeat(rng.integers(0, num_clusters, (1, num_points)), num_rounds, axis=0)
    moved = rng.random(clusters.shape) < 0.1
    clusters[moved] = rng.integers(0, num_clusters, moved.sum())
    classes = rng.integers(-1, 10, num_points)
    return steps.cumsum(axis=0), clusters, classes, rng.random(num_points) < 0.1, rng.permutation(num_points)


def _decode(packed: bytes) -> dict:
    """What the browser does, in a few lines of numpy."""
    content = gzip.decompress(packed)
    magic, version, cluster_bytes, rounds, points, clusters, classes = struct.unpack_from("<4sHH4I", content)
    assert (magic, version) == (b"VZRM", 1)
    planes, offset = np.frombuffer(content, np.uint8)[40:].astype(np.int64), 0

    def take(shape: tuple[int, ...], num_bytes: int) -> np.ndarray:
        nonlocal offset
        count = int(np.prod(shape))
        parts = planes[offset : offset + num_bytes * count].reshape(num_bytes, *shape)
        offset += num_bytes * count
        return sum(part << 8 * byte for byte, part in enumerate(parts))

    every = (rounds, points)
    decoded = {
        "x": take(every, 2).cumsum(axis=0) % 2**16,
        "y": take(every, 2).cumsum(axis=0) % 2**16,
        "clusters": take(every, cluster_bytes).cumsum(axis=0) % 256**cluster_bytes,
        "classes": take((points,), 2) - 1,
        "ids": take((points,), 4).cumsum() % 2**32,
        "held_out": take((points,), 1).astype(bool),
        "counts": (clusters, classes),
    }
    assert offset == len(planes)
    return decoded


@pytest.mark.parametrize("num_clusters", [7, 400])
def test_unpacking_gives_back_what_was_packed(num_clusters):
    points, clusters, classes, held_out, ids = _random_map(5, 800, num_clusters)
    decoded = _decode(pack_round_map(points, clusters, classes, held_out, ids))
    places = np.stack([decoded["x"], decoded["y"]], axis=-1)
    np.testing.assert_array_equal((places / 65535).astype(np.float32), map_coordinates(points))
    np.testing.assert_array_equal(decoded["clusters"], clusters)
    np.testing.assert_array_equal(decoded["classes"], classes)
    np.testing.assert_array_equal(decoded["ids"], ids)
    np.testing.assert_array_equal(decoded["held_out"], held_out)
    assert decoded["counts"] == (clusters.max() + 1, classes.max() + 1)


def test_sixty_thousand_points_in_twenty_rounds_take_less_than_six_megabytes():
    assert len(pack_round_map(*_random_map(20, 60_000, 10))) < 6_000_000


def test_a_column_comes_back_within_a_level():
    values = np.random.default_rng(1).random((4, 300)).astype(np.float32)
    values[1, 5] = np.nan
    levels = (
        np.frombuffer(gzip.decompress(pack_column(values)), np.uint8).reshape(4, 300).cumsum(axis=0, dtype=np.uint8)
    )
    np.testing.assert_allclose(levels / 255, np.nan_to_num(values), atol=0.5 / 255 + 1e-6)


def test_the_map_keeps_aspect_and_one_scale_for_all_rounds():
    points = np.array([[[0, 0], [10, 0]], [[0, 0], [5, 5]]], float)
    placed = map_coordinates(points)
    width, height = placed[0, 1, 0] - placed[0, 0, 0], placed[1, 1, 1] - placed[1, 0, 1]
    assert width == pytest.approx(0.96, abs=1e-4)
    assert height == pytest.approx(width / 2, abs=1e-4)
    assert ((placed > 0) & (placed < 1)).all()


def test_a_single_point_lies_in_the_middle():
    np.testing.assert_allclose(map_coordinates(np.ones((1, 1, 2))), 0.5, atol=1e-4)


def test_points_that_cannot_be_placed_are_refused():
    with pytest.raises(ValueError, match="finite"):
        map_coordinates(np.array([[[0.0, np.nan]]]))
    points, clusters, classes, held_out, ids = _random_map(2, 10, 3)
    with pytest.raises(ValueError, match="classes of shape"):
        pack_round_map(points, clusters, classes[:5], held_out, ids)


def _slow_points_inside(points, polygon) -> list[bool]:
    """The even-odd rule, one point and one edge at a time."""
    answers = []
    for x, y in points:
        odd = False
        for k in range(len(polygon)):
            (x1, y1), (x0, y0) = polygon[k], polygon[k - 1]
            if (y1 > y) != (y0 > y) and x < (x0 - x1) * (y - y1) / (y0 - y1) + x1:
                odd = not odd
        answers.append(odd)
    return answers


def test_points_inside_agrees_with_a_slow_reference_also_for_crossing_polygons():
    rng = np.random.default_rng(2)
    points = rng.random((400, 2))
    for num_vertices in (3, 4, 9, 30):
        polygon = rng.random((num_vertices, 2))
        assert points_inside(points, polygon).tolist() == _slow_points_inside(points, polygon)


def test_a_polygon_of_two_vertices_holds_nothing():
    assert not points_inside(np.random.default_rng(3).random((50, 2)), np.array([[0, 0], [1, 1]])).any()


def test_a_polygon_survives_its_text():
    polygon = np.random.default_rng(4).integers(0, 1000, (20, 2)) / 999
    np.testing.assert_array_equal(polygon_from_text(polygon_to_text(polygon)), polygon)


def test_a_long_outline_is_simplified_without_losing_its_points():
    angles = np.linspace(0, 2 * np.pi, 500, endpoint=False)
    circle = 0.5 + 0.3 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    simple = polygon_from_text(polygon_to_text(circle))
    assert len(simple) == MAX_VERTICES
    points = np.random.default_rng(5).random((5000, 2))
    assert (points_inside(points, simple) != points_inside(points, circle)).mean() < 0.01


@pytest.mark.parametrize(
    "text", [None, "", "12", "abcdef" * 3, "123456" * 2, "123456" * 49, "１２３４５６" * 3, "-12345" * 3]
)
def test_a_text_that_is_no_polygon_gives_none(text):
    assert polygon_from_text(text) is None
