"""Images known again by a few numbers: in another order, after compression, and not in another data set."""

import io

import numpy as np
import pytest
from PIL import Image

from vitviz.data.sketches import find_again, sketch
from vitviz.errors import Problem

NUM = 400


def smooth_images(seed: int = 0, number: int = NUM) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (number, 6, 6, 3), np.uint8)
    return np.stack([np.asarray(Image.fromarray(one).resize((32, 32), Image.Resampling.BICUBIC)) for one in coarse])


def compressed(image: np.ndarray) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=75)
    return np.asarray(Image.open(file))


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return smooth_images()


@pytest.fixture(scope="module")
def classes() -> np.ndarray:
    return np.arange(NUM) % 4


def test_a_sketch_is_eight_numbers_in_grey_levels_and_linear_in_the_picture(images):
    numbers = sketch(images[:5])
    assert numbers.shape == (5, 8) and numbers.dtype == np.float16
    half = sketch((images[:5] // 2 * 2) // 2).astype(float)
    assert np.allclose(half * 2, numbers.astype(float), atol=4)


def test_images_are_found_again_in_another_order_and_after_compression(images, classes):
    order = np.random.default_rng(1).permutation(NUM)
    others = np.stack([compressed(images[row]) for row in order])
    found = find_again(sketch(images), classes, sketch(others), classes[order])
    assert np.array_equal(order[found], np.arange(NUM))


def test_one_that_is_not_there_gets_the_nearest_left_over_of_its_class(images, classes):
    others = images.copy()
    others[8] = 255 - others[8]
    found = find_again(sketch(images), classes, sketch(others), classes)
    assert found[8] == 8 and np.array_equal(found, np.arange(NUM))


@pytest.mark.parametrize("change", ["other images", "other classes"])
def test_another_data_set_is_refused_in_words(images, classes, change):
    others = smooth_images(seed=7) if change == "other images" else images
    labels = classes if change == "other images" else classes + 10
    with pytest.raises(Problem, match=r"data set is another one: \d+% of the run's images are found"):
        find_again(sketch(images), classes, sketch(others), labels)


def test_images_of_odd_sizes_have_a_sketch_too():
    assert np.isfinite(sketch(np.zeros((2, 13, 9, 3), np.uint8))).all()
