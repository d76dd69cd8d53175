"""What the browser is sent to draw over a picture, read back byte by byte."""

import gzip
import struct

import numpy as np
import pytest

from vitviz.explain.canvas_layers import HEAT_MAGIC, LABELS_MAGIC, color_steps, label_at, pack_heat, pack_labels


def _unpack(packed: bytes) -> tuple[bytes, np.ndarray]:
    """As the browser reads it: the magic, and the values (steps, rows, columns) with labels added up modulo 65536."""
    content = gzip.decompress(packed)
    magic, *shape = struct.unpack_from("<4s3I", content)
    values = np.frombuffer(content, "<u2" if magic == LABELS_MAGIC else np.uint8, offset=16).reshape(shape)
    return magic, values.cumsum(axis=0, dtype=np.uint16) if magic == LABELS_MAGIC else values


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint16, np.uint8])
def test_labels_come_back_as_they_were(dtype):
    labels = np.random.default_rng(0).integers(0, min(65_536, np.iinfo(dtype).max + 1), (5, 7, 9)).astype(dtype)
    magic, found = _unpack(pack_labels(labels))
    assert magic == LABELS_MAGIC
    assert np.array_equal(found, labels)


def test_one_map_is_one_step():
    assert _unpack(pack_labels(np.arange(6).reshape(2, 3)))[1].shape == (1, 2, 3)
    assert _unpack(pack_heat(np.zeros((2, 3))))[1].shape == (1, 2, 3)


def test_packing_changes_nothing_of_what_it_is_given():
    labels = np.arange(12, dtype=np.uint16).reshape(2, 2, 3)
    pack_labels(labels)
    assert np.array_equal(labels, np.arange(12).reshape(2, 2, 3))


def test_the_same_labels_are_the_same_bytes():
    labels = np.arange(12).reshape(2, 2, 3)
    assert pack_labels(labels) == pack_labels(labels.copy())


def test_heat_is_rounded_to_256_levels():
    magic, found = _unpack(pack_heat(np.array([[0, 0.5, 1], [0.001, 0.002, 0.998]])))
    assert magic == HEAT_MAGIC
    assert found.tolist() == [[[0, 128, 255], [0, 1, 254]]]


@pytest.mark.parametrize(
    "labels",
    [
        np.zeros((2, 2)),
        np.array([[-1]]),
        np.array([[65_536]]),
        np.zeros((0, 3), int),
        np.zeros(3, int),
        np.zeros((1, 1, 1, 1), int),
        np.zeros((2, 2), bool),
    ],
    ids=["float", "negative", "too large", "empty", "flat", "too deep", "bool"],
)
def test_what_are_no_labels_are_refused(labels):
    with pytest.raises(ValueError, match="must be"):
        pack_labels(labels)


@pytest.mark.parametrize("value", [-0.01, 1.01, np.nan, np.inf])
def test_what_is_no_share_is_refused(value):
    with pytest.raises(ValueError, match="must be in"):
        pack_heat(np.array([[0.5, value]]))


def test_the_label_under_a_place_is_that_of_its_cell():
    labels = np.arange(6).reshape(2, 3)
    assert [label_at(labels, x, y) for x, y in [(0, 0), (0.34, 0.49), (0.99, 0.5), (1, 1)]] == [0, 1, 5, 5]


def test_regions_that_touch_at_the_deciding_steps_have_different_colours():
    rng = np.random.default_rng(0)
    centers = rng.uniform(0, 40, (5, 12, 2))
    y, x = np.mgrid[:40, :40]
    labels = ((y[..., None, None] - centers[..., 0]) ** 2 + (x[..., None, None] - centers[..., 1]) ** 2).argmin(axis=-1)
    labels = labels.transpose(2, 0, 1)
    colors = color_steps(labels, 10)
    assert len(colors) == labels.max() + 1
    assert colors.min() >= 0 and colors.max() < 10
    for step in (0, 2, 4):
        for here, there in ((labels[step, 1:], labels[step, :-1]), (labels[step, :, 1:], labels[step, :, :-1])):
            assert ((colors[here] != colors[there]) | (here == there)).all()


def test_large_maps_are_coloured_too():
    labels = (np.mgrid[:600, :700][0] // 60)[None].repeat(3, 0)
    colors = color_steps(labels, 4)
    assert (colors[1:] != colors[:-1]).all()


def test_one_region_needs_one_colour():
    assert color_steps(np.zeros((1, 3, 3), int), 10).shape == (1,)
