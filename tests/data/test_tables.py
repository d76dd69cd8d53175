import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vitviz.data import tables
from vitviz.data.sets import open_image_set
from vitviz.errors import Problem


@pytest.fixture
def make_parquet(tmp_path, encode):
    """Write images as structs of bytes and path, with labels and declared class names, in row groups of 50."""

    def make(path="set.parquet", labels=(0, 1, 1), names=("cat", "dog"), images=None, first=0, column="img"):
        images = [encode(first + n) for n in range(len(labels))] if images is None else images
        cells = [image if image is None else {"bytes": image, "path": "../../secret.png"} for image in images]
        table = pa.table({column: cells, "label": list(labels)} if labels[0] != "none" else {column: cells})
        if names:
            features = {column: {"_type": "Image"}, "label": {"names": list(names), "_type": "ClassLabel"}}
            table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, tmp_path / path, row_group_size=50)
        return tmp_path / path

    return make


def test_images_labels_and_declared_class_names_are_read(make_parquet, encode):
    from vitviz.data.images import decode_image

    pets = open_image_set(make_parquet(names=("cat", "dog", "eel")))
    assert pets.labels.tolist() == [0, 1, 1] and pets.class_names == ("cat", "dog", "eel")
    assert pets.images.shape == (3, 16, 16, 3)
    np.testing.assert_array_equal(pets.images[2], decode_image(encode(2)).pixels)


def test_labels_of_text_are_numbered_alphabetically(make_parquet):
    pets = open_image_set(make_parquet(labels=("dog", "cat", None), names=()))
    assert pets.class_names == ("cat", "dog") and pets.labels.tolist() == [1, 0, -1]


def test_whole_numbers_without_names_are_their_own_names(make_parquet):
    pets = open_image_set(make_parquet(labels=(7, 3, 7, -1, None), names=()))
    assert pets.class_names == ("3", "7") and pets.labels.tolist() == [1, 0, 1, -1, -1]


def test_raw_bytes_without_labels_are_an_unlabelled_set(tmp_path, encode):
    pq.write_table(pa.table({"picture": [encode(0), encode(1)]}), tmp_path / "raw.parquet")
    pictures = open_image_set(tmp_path / "raw.parquet")
    assert pictures.labels.tolist() == [-1, -1] and pictures.class_names == ()


def test_a_folder_of_splits_holds_out_test_and_not_validation(make_parquet, tmp_path):
    for number, split in enumerate(("train-00000-of-00001", "validation", "test")):
        make_parquet(f"pets/{split}.parquet", first=10 * number)
    pets = open_image_set(tmp_path / "pets")
    assert len(pets) == 9 and pets.labels.tolist() == [0, 1, 1] * 3
    assert pets.held_out.sum() == 3
    test = open_image_set(tmp_path / "pets" / "test.parquet")
    np.testing.assert_array_equal(pets.images[pets.held_out], test.images)


def test_without_a_test_file_validation_is_held_out(make_parquet, tmp_path):
    for number, split in enumerate(("train", "validation")):
        make_parquet(f"pets/{split}.parquet", first=10 * number)
    assert open_image_set(tmp_path / "pets").held_out.tolist() == [False] * 3 + [True] * 3


def test_a_limit_reads_the_right_rows_across_row_groups_and_files(make_parquet, tmp_path):
    for number, split in enumerate(("train", "test")):
        make_parquet(f"pets/{split}.parquet", labels=[n % 2 for n in range(130)], first=1000 * number)
    whole, part = open_image_set(tmp_path / "pets"), open_image_set(tmp_path / "pets", limit=26)
    rows = [next(i for i, image in enumerate(whole.images) if (image == wanted).all()) for wanted in part.images]
    assert len(part) == 26 and rows == sorted(rows)
    np.testing.assert_array_equal(part.labels, whole.labels[rows])
    np.testing.assert_array_equal(part.held_out, whole.held_out[rows])
    assert np.bincount(part.labels + 2 * part.held_out).max() <= 7


def test_a_cell_without_bytes_is_skipped_and_its_path_never_opened(make_parquet, encode, tmp_path):
    images = [encode(number) for number in range(149)] + [None]
    pets = open_image_set(make_parquet(labels=[0] * 150, images=images))
    assert pets.report.skipped == (("set.parquet row 149", "its cell holds no image bytes"),)


def test_an_image_of_more_bytes_than_allowed_is_skipped(make_parquet, monkeypatch, encode):
    monkeypatch.setattr(tables, "MAX_IMAGE_BYTES", 3000)
    path = make_parquet(labels=[0] * 120, images=[encode(number) for number in range(119)] + [bytes(3001)])
    assert open_image_set(path).report.skipped == (("set.parquet row 119", "it is larger than 20 MB"),)


def test_a_label_beyond_the_declared_names_is_refused(make_parquet):
    with pytest.raises(Problem, match="label 2 has no class name"):
        open_image_set(make_parquet(labels=(0, 2), names=("cat", "dog")))


def test_files_that_disagree_about_the_classes_are_refused(make_parquet, tmp_path):
    make_parquet("pets/train.parquet")
    make_parquet("pets/test.parquet", names=("dog", "cat"))
    with pytest.raises(Problem, match="disagree about the classes"):
        open_image_set(tmp_path / "pets")


def test_a_table_without_images_and_a_file_that_is_none_are_refused(tmp_path):
    pq.write_table(pa.table({"x": [1, 2]}), tmp_path / "numbers.parquet")
    (tmp_path / "fake.parquet").write_bytes(b"PAR1 nothing PAR1")
    with pytest.raises(Problem, match=r"numbers\.parquet could not be read: none of its columns \(x\)"):
        open_image_set(tmp_path / "numbers.parquet")
    with pytest.raises(Problem, match=r"fake\.parquet could not be read"):
        open_image_set(tmp_path / "fake.parquet")


def test_damaged_tables_raise_nothing_but_problems(make_parquet, tmp_path):
    original, random, outcomes = make_parquet().read_bytes(), np.random.default_rng(0), set()
    for number in range(60):
        data = bytearray(original)
        for place in random.integers(len(data) - 1200, len(data), 4):
            data[place] = random.integers(256)
        path = tmp_path / f"mutant{number}.parquet"
        path.write_bytes(bytes(data))
        try:
            outcomes.add(len(open_image_set(path)))
        except Problem:
            outcomes.add("problem")
    assert "problem" in outcomes
