"""What can be taken away of a grouping, read back."""

import csv
import io

import numpy as np
import pytest
from PIL import Image

from vitviz.explain.supertoken_tables import COLUMNS, label_png, token_csv
from vitviz.explain.supertokens import features_of_pixels, group_features


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    pixels = np.full((60, 90, 3), (10, 200, 30), np.uint8)
    pixels[:, 45:] = (220, 40, 90)
    return pixels


@pytest.fixture(scope="module")
def grouping(picture):
    return group_features(features_of_pixels(picture), num_iterations=2)


def _rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_labels_come_back_from_the_png():
    labels = np.array([[0, 1, 300], [65_535, 2, 0]], np.int32)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(label_png(labels)))), labels)


@pytest.mark.parametrize("label", [-1, 65_536])
def test_labels_that_a_png_cannot_hold_are_refused(label):
    with pytest.raises(ValueError, match="must be"):
        label_png(np.array([[label]]))


def test_the_table_has_a_line_a_token_and_its_sizes_add_up(picture, grouping):
    rows = _rows(token_csv(picture, grouping, 2))
    assert ",".join(rows[0]) == COLUMNS
    assert [int(row["id"]) for row in rows] == list(range(grouping.grid[0] * grouping.grid[1]))
    assert sum(int(row["hard_size"]) for row in rows) == 60 * 90
    assert sum(float(row["soft_size"]) for row in rows) == pytest.approx(60 * 90, rel=1e-3)
    assert all(int(row["row"]) * grouping.grid[1] + int(row["column"]) == int(row["id"]) for row in rows)


def test_centres_and_colours_are_those_of_the_regions(picture, grouping):
    rows = _rows(token_csv(picture, grouping, 2))
    labels = grouping.labels[2]
    for row in rows[::17]:
        y, x = np.nonzero(labels == int(row["id"]))
        assert float(row["x"]) == pytest.approx(x.mean() + 0.5, abs=0.051)
        assert float(row["y"]) == pytest.approx(y.mean() + 0.5, abs=0.051)
        mean = picture[y, x].mean(axis=0)
        assert [float(row[name]) for name in ("red", "green", "blue")] == pytest.approx(mean.tolist(), abs=0.051)


def test_a_token_that_nobody_chose_has_no_centre_and_no_colour(picture, grouping):
    from dataclasses import replace

    emptied = replace(grouping, labels=np.zeros_like(grouping.labels))
    rows = _rows(token_csv(picture, emptied, 0))
    assert rows[1]["hard_size"] == "0"
    assert rows[1]["x"] == rows[1]["blue"] == ""
