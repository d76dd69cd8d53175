import os

import numpy as np
import pytest

from vitviz.data.sets import open_image_set
from vitviz.errors import Problem

PETS = {"cat/1.png": (16, 16), "cat/2.png": (16, 16), "dog/1.png": (16, 16)}


def many(count=120):
    return {f"{'cat' if number % 2 else 'dog'}/{number:03}.png": (16, 16) for number in range(count)}


def test_each_subfolder_is_a_class_in_alphabetical_order(tmp_path, make_folder):
    pets = open_image_set(make_folder(tmp_path / "pets", PETS))
    assert pets.class_names == ("cat", "dog")
    assert pets.labels.tolist() == [0, 0, 1] and pets.labels.dtype == np.int32
    assert pets.held_out is None
    assert pets.name == "pets" and len(pets) == 3
    assert pets.report.notes == () and pets.report.summary() == "3 of 3 images are used"


def test_the_pixels_of_images_that_fit_are_those_of_the_files(tmp_path, make_folder):
    from PIL import Image

    root = make_folder(tmp_path / "pets", PETS)
    pets = open_image_set(root)
    for row, name in enumerate(PETS):
        np.testing.assert_array_equal(pets.images[row], np.asarray(Image.open(root / name)))


def test_images_of_mixed_sizes_become_64_and_the_report_counts_them(tmp_path, make_folder):
    root = make_folder(tmp_path / "pets", {"cat/1.png": (64, 64), "cat/2.png": (100, 80), "dog/3.png": (30, 90)})
    pets = open_image_set(root)
    assert pets.images.shape == (3, 64, 64, 3)
    assert "2 images: resized to 64 x 64 (shorter side, centre crop)" in pets.report.notes


def test_a_size_that_all_images_share_is_kept_unless_another_is_asked_for(tmp_path, make_folder):
    root = make_folder(tmp_path / "pets", dict.fromkeys(PETS, (24, 24)))
    assert open_image_set(root).images.shape == (3, 24, 24, 3)
    assert open_image_set(root, img_size=32).images.shape == (3, 32, 32, 3)


@pytest.mark.parametrize("size", [(512, 512), (4, 4), (20, 30)])
def test_a_shared_size_that_is_no_handy_square_becomes_64(tmp_path, make_folder, size):
    root = make_folder(tmp_path / "pets", {"a/1.png": size, "b/1.png": size})
    assert open_image_set(root).images.shape == (2, 64, 64, 3)


def test_an_empty_class_keeps_its_id_and_is_named(tmp_path, make_folder):
    root = make_folder(tmp_path / "pets", {"ant/1.png": (16, 16), "cat/1.png": (16, 16)})
    (root / "bee").mkdir()
    pets = open_image_set(root)
    assert pets.class_names == ("ant", "bee", "cat") and pets.labels.tolist() == [0, 2]
    assert "class 'bee' is empty and keeps its id" in pets.report.notes


def test_a_new_empty_class_is_noticed_although_no_image_changed(tmp_path, make_folder):
    root = make_folder(tmp_path / "pets", PETS)
    before = open_image_set(root)
    (root / "bee").mkdir()
    after = open_image_set(root)
    assert after.class_names == ("bee", "cat", "dog")
    assert after.fingerprint != before.fingerprint


def test_a_flat_folder_has_no_labels_and_says_so(tmp_path, make_folder):
    photos = open_image_set(make_folder(tmp_path / "photos", {"1.png": (16, 16), "2.png": (16, 16)}))
    assert photos.labels.tolist() == [-1, -1] and photos.class_names == ()
    assert "no labels: scores against labels are not defined" in photos.report.notes


def test_images_beside_class_folders_are_unlabelled(tmp_path, make_folder):
    pets = open_image_set(make_folder(tmp_path / "pets", {"0.png": (16, 16), **PETS}))
    assert pets.labels.tolist() == [-1, 0, 0, 1]
    assert any(note.startswith("1 of the images have no label") for note in pets.report.notes)


def test_one_class_is_noted(tmp_path, make_folder):
    pets = open_image_set(make_folder(tmp_path / "pets", {"cat/1.png": (16, 16), "cat/2.png": (16, 16)}))
    assert "only one class: scores against labels are not defined" in pets.report.notes


@pytest.mark.parametrize(
    ("splits", "held_out"),
    [
        (["train", "test"], [True, False]),
        (["train", "val"], [False, True]),
        (["test", "train", "val"], [True, False, False]),
    ],
)
def test_the_test_part_is_held_out_and_without_one_the_validation_part(tmp_path, make_folder, splits, held_out):
    names = {f"{split}/{animal}/1.png": (16, 16) for split in splits for animal in ("cat", "dog")}
    pets = open_image_set(make_folder(tmp_path / "pets", names))
    assert pets.class_names == ("cat", "dog")
    assert pets.labels.tolist() == [0, 1] * len(splits)
    assert pets.held_out.tolist() == np.repeat(held_out, 2).tolist()


def test_train_is_a_class_when_it_stands_among_other_vehicles(tmp_path, make_folder):
    rides = open_image_set(make_folder(tmp_path / "rides", {"car/1.png": (16, 16), "train/1.png": (16, 16)}))
    assert rides.class_names == ("car", "train") and rides.held_out is None


def test_a_folder_around_everything_is_ignored(tmp_path, make_folder):
    pets = open_image_set(make_folder(tmp_path / "outer", {f"pets/{name}": size for name, size in PETS.items()}))
    assert pets.class_names == ("cat", "dog")


def test_hidden_files_are_passed_over_and_others_counted(tmp_path, make_folder):
    root = make_folder(tmp_path / "pets", PETS)
    for name in (".DS_Store", "notes.txt", "cat/._1.png"):
        (root / name).write_bytes(b"x")
    assert open_image_set(root).report.notes == ("1 files that are not images by their names were passed over",)


def test_up_to_one_percent_corrupt_images_are_skipped_and_all_listed(tmp_path, make_folder):
    root = make_folder(tmp_path / "pets", many())
    (root / "cat/001.png").write_bytes(b"not an image")
    pets = open_image_set(root)
    assert len(pets) == len(pets.labels) == pets.report.used == 119 and pets.report.found == 120
    assert pets.report.skipped == (("cat/001.png", "it is not a JPEG, PNG, WebP, BMP, TIFF or GIF image"),)
    assert "119 of 120 images are used; 1 could not be read (first: cat/001.png" in pets.report.summary()


def test_more_than_one_percent_corrupt_images_stop_with_their_names(tmp_path, make_folder):
    root = make_folder(tmp_path / "pets", many())
    for name in ("cat/001.png", "cat/003.png"):
        (root / name).write_bytes(b"not an image")
    with pytest.raises(Problem, match=r"pets is not used: more than 1 % of its 120 images.*cat/001\.png.*cat/003\.png"):
        open_image_set(root)


def test_all_corrupt_images_are_named_at_once_and_of_very_many_the_first_twenty(tmp_path, make_folder):
    root = make_folder(tmp_path / "pets", many())
    bad = [f"cat/{number:03}.png" for number in range(30)]
    for name in bad[:12]:
        (root / name).write_bytes(b"not an image")
    with pytest.raises(Problem) as found:
        open_image_set(root)
    assert f"({', '.join(bad[:12])}: it is not a JPEG" in str(found.value)
    for name in bad:
        (root / name).write_bytes(b"not an image")
    with pytest.raises(Problem) as found:
        open_image_set(root)
    assert bad[19] in str(found.value) and bad[20] not in str(found.value)


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(Problem, match="empty holds no images"):
        open_image_set(tmp_path / "empty")


def test_the_limit_keeps_proportions_and_smaller_limits_are_contained_in_larger_ones(tmp_path, make_folder):
    names = {f"{animal}/{number:02}.png": (8, 8) for animal, count in (("a", 30), ("b", 10)) for number in range(count)}
    root = make_folder(tmp_path / "pets", names)
    small, large = open_image_set(root, limit=8), open_image_set(root, limit=20)
    assert np.bincount(small.labels).tolist() == [6, 2] and np.bincount(large.labels).tolist() == [15, 5]
    assert {image.tobytes() for image in small.images} < {image.tobytes() for image in large.images}
    assert "8 of 40 images were drawn, each class in proportion (limit)" in small.report.notes
    assert len(open_image_set(root, limit=1000)) == 40


def test_a_link_to_a_folder_outside_is_not_followed(tmp_path, make_folder):
    secret = make_folder(tmp_path / "secret", {"1.png": (16, 16)})
    root = make_folder(tmp_path / "pets", PETS)
    os.symlink(secret, root / "cat" / "more")
    assert len(open_image_set(root)) == 3
