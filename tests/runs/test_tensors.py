"""Named arrays come back with their names, types and shapes, and halving touches single precision alone."""

import numpy as np
import pytest

from vitviz.runs import tensors

ARRAYS = {
    "single": np.arange(6, dtype=np.float32).reshape(2, 3) / 7,
    "double": np.arange(3.0),
    "count": np.array(4, dtype=np.int64),
    "turned": np.arange(6, dtype=np.float32).reshape(2, 3).T,
}


def test_arrays_and_notes_come_back_as_they_were(tmp_path):
    tensors.save(tmp_path / "a.safetensors", ARRAYS, {"position": "7"})
    found, notes = tensors.load(tmp_path / "a.safetensors")
    assert notes == {"position": "7"}
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        assert np.array_equal(found[name], array)


def test_a_file_without_notes_has_none(tmp_path):
    tensors.save(tmp_path / "a.safetensors", ARRAYS)
    assert tensors.load(tmp_path / "a.safetensors")[1] == {}


def test_halving_is_for_single_precision_only_and_changes_no_argument():
    half = tensors.halved(ARRAYS)
    assert {name: array.dtype for name, array in half.items()} == {
        "single": np.float16,
        "double": np.float64,
        "count": np.int64,
        "turned": np.float16,
    }
    assert ARRAYS["single"].dtype == np.float32
    np.testing.assert_allclose(half["single"], ARRAYS["single"], rtol=1e-3)


def test_a_writing_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.safetensors"
    tensors.save(path, {"a": np.ones(2)})
    with pytest.raises(Exception, match="object"):
        tensors.save(path, {"a": np.array([None])})
    assert tensors.load(path)[0]["a"].tolist() == [1, 1]
    assert [file.name for file in tmp_path.iterdir()] == ["a.safetensors"]
