import os
import pickle
import struct

import numpy as np
import pytest
import scipy.io

from vitviz.data.sets import open_image_set
from vitviz.errors import Problem


def save_mat(path, features, labels=None):
    scipy.io.savemat(path, {"fea": features} if labels is None else {"fea": features, "gnd": labels})
    return path


def python_2_batch(pixels: np.ndarray, labels: list[int]) -> bytes:
    """What Python 2 with numpy 1 wrote for ``{"data": pixels, "labels": labels}``, byte for byte in kind."""
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    shape = b"K" + bytes([len(pixels)]) + b"M" + struct.pack("<H", pixels.shape[1]) + b"\x86"
    dtype = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    raw = b"T" + struct.pack("<i", pixels.size) + pixels.tobytes()
    numbers = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    return (
        b"\x80\x02}(U\x04data" + array + b"(K\x01" + shape + dtype + b"\x89" + raw + b"tbU\x06labels" + numbers + b"u."
    )


@pytest.fixture
def batches_folder(tmp_path):
    """A CIFAR-10 folder in small: three images a batch, written as in 2009, the test batch as Python 3 writes it."""
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (18, 3072), dtype=np.uint8)
    for number in range(5):
        rows = slice(3 * number, 3 * number + 3)
        (folder / f"data_batch_{number + 1}").write_bytes(python_2_batch(pixels[rows], [0, 1, 1]))
    test = {b"data": pixels[15:], b"labels": [1, 0, 1]}
    (folder / "test_batch").write_bytes(pickle.dumps(test, protocol=2))
    (folder / "batches.meta").write_bytes(b"\x80\x02}U\x0blabel_names](U\x03catU\x03doges.")
    return folder, pixels


def test_a_mat_file_is_read_column_by_column_and_scaled_from_0_to_1(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (4, 8, 8)).astype(float)
    features = images.transpose(0, 2, 1).reshape(4, 64) / 255
    objects = open_image_set(save_mat(tmp_path / "objects.mat", features, np.array([[5], [2], [5], [9]])))
    np.testing.assert_array_equal(objects.images[..., 1], images)
    assert objects.labels.tolist() == [1, 0, 1, 2] and objects.class_names == ("2", "5", "9")


def test_a_mat_file_of_bytes_keeps_its_values_and_without_gnd_has_no_labels(tmp_path):
    features = np.arange(128, dtype=np.uint8).reshape(2, 64)
    objects = open_image_set(save_mat(tmp_path / "objects.mat", features))
    assert objects.images.max() == 127 and objects.labels.tolist() == [-1, -1]


@pytest.mark.parametrize(
    ("features", "labels", "reason"),
    [
        (np.zeros((2, 63)), [1, 2], "rows of 63 numbers"),
        (np.full((2, 64), np.nan), [1, 2], "must lie in 0..1 or 0..255"),
        (np.full((2, 64), 300.0), [1, 2], "lies in 300..300"),
        (np.full((2, 64), -1.0), [1, 2], "lies in -1..-1"),
        (np.zeros((2, 64)), [1, 2, 3], "one number for each of 2 images"),
        (np.zeros((2, 64), complex), [1, 2], "not a matrix of numbers"),
    ],
)
def test_a_mat_file_that_holds_no_square_grey_images_is_refused(tmp_path, features, labels, reason):
    with pytest.raises(Problem, match=rf"objects\.mat could not be read.*{reason}"):
        open_image_set(save_mat(tmp_path / "objects.mat", features, labels))


def test_a_file_that_is_no_mat_file_and_one_without_fea_are_refused(tmp_path):
    (tmp_path / "fake.mat").write_bytes(b"nothing of the kind" * 20)
    with pytest.raises(Problem, match=r"fake\.mat could not be read"):
        open_image_set(tmp_path / "fake.mat")
    scipy.io.savemat(tmp_path / "other.mat", {"x": np.zeros(3)})
    with pytest.raises(Problem, match="no array 'fea'"):
        open_image_set(tmp_path / "other.mat")


def test_the_original_cifar_batches_are_read_and_their_test_batch_is_held_out(batches_folder):
    folder, pixels = batches_folder
    cifar = open_image_set(folder)
    np.testing.assert_array_equal(cifar.images, pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
    assert cifar.labels.tolist() == [0, 1, 1] * 5 + [1, 0, 1]
    assert cifar.class_names == ("cat", "dog")
    assert np.flatnonzero(cifar.held_out).tolist() == [15, 16, 17]
    assert open_image_set(folder.parent).fingerprint == cifar.fingerprint


class _Trap:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.mkdir, (self.target,)


def test_a_batch_that_would_run_code_is_refused_before_it_does(batches_folder, tmp_path):
    folder, _ = batches_folder
    (folder / "data_batch_2").write_bytes(pickle.dumps({"data": _Trap(str(tmp_path / "trapped"))}))
    with pytest.raises(Problem, match=r"data_batch_2 could not be read: it asks for posix\.mkdir"):
        open_image_set(folder)
    assert not (tmp_path / "trapped").exists()


@pytest.mark.parametrize(
    "name", ["builtins\neval", "numpy\nfromfile", "numpy.core.multiarray\nfromstring", "os\nsystem"]
)
def test_every_other_name_is_refused(batches_folder, name):
    folder, _ = batches_folder
    (folder / "test_batch").write_bytes(b"\x80\x02c" + name.encode() + b"\n.")
    with pytest.raises(Problem, match="which no CIFAR-10 batch needs"):
        open_image_set(folder)


@pytest.mark.parametrize(
    "batch",
    [
        {"data": np.zeros((2, 3071), np.uint8), "labels": [0, 0]},
        {"data": np.zeros((2, 3072), np.float32), "labels": [0, 0]},
        {"data": np.zeros((2, 3072), np.uint8), "labels": [0]},
        {"data": np.zeros((2, 3072), np.uint8), "labels": [0, 2]},
        {"data": np.zeros((2, 3072), np.uint8), "labels": [0, "cat"]},
        ["data", "labels"],
    ],
)
def test_a_batch_of_wrong_content_is_refused_by_name(batches_folder, batch):
    folder, _ = batches_folder
    (folder / "data_batch_3").write_bytes(pickle.dumps(batch, protocol=4))
    with pytest.raises(Problem, match="data_batch_3 could not be read"):
        open_image_set(folder)


def test_a_truncated_and_a_missing_batch_are_named(batches_folder):
    folder, _ = batches_folder
    content = (folder / "data_batch_1").read_bytes()[:200]
    (folder / "data_batch_1").write_bytes(content)
    with pytest.raises(Problem, match="data_batch_1 could not be read"):
        open_image_set(folder)
    (folder / "test_batch").unlink()
    with pytest.raises(Problem, match="cifar-10-batches-py is incomplete: test_batch is missing"):
        open_image_set(folder)


def test_cells_nested_deeper_than_the_reader_can_go_are_refused_and_not_read(tmp_path):
    path = tmp_path / "deep.mat"
    path.write_bytes(_nested_cells(depth=60))
    with pytest.raises(Problem, match=r"deep\.mat could not be read: it holds cells in cells deeper than 8"):
        open_image_set(path)


def _nested_cells(depth: int) -> bytes:
    """A .mat file of version 5 whose one variable, ``fea``, is a cell in a cell in a cell ..."""

    def element(kind: int, data: bytes) -> bytes:
        return struct.pack("<II", kind, len(data)) + data + b"\0" * (-len(data) % 8)

    body = b""
    for level in range(depth):
        name = b"fea" if level == depth - 1 else b""
        flags = element(6, struct.pack("<II", 1, 0))
        dimensions = element(5, struct.pack("<ii", 1, 1 if body else 0))
        body = element(14, flags + dimensions + element(1, name) + body)
    return b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<H", 0x0100) + b"IM" + body
