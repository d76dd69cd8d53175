"""A round is there whole or not at all, and rounds are counted up to the first gap."""

import numpy as np
import pytest

from vitviz.runs import round_folders


@pytest.fixture
def rounds(tmp_path, new_round):
    """Three rounds, the second with weights."""
    folder = tmp_path / "rounds"
    folder.mkdir()
    for index in range(3):
        round_folders.write(folder, index, new_round(index), {"a": np.ones(2, np.float32)} if index == 1 else None)
    return folder


def test_a_round_lies_in_a_folder_of_its_number(rounds):
    assert sorted(path.name for path in rounds.iterdir()) == ["000", "001", "002"]
    assert [(rounds / name / "weights.safetensors").exists() for name in ("000", "001", "002")] == [False, True, False]
    assert round_folders.folder_of(rounds, 12).name == "012"


def test_what_was_written_is_read_back_from_the_disk_and_not_into_memory(rounds, new_round):
    found = round_folders.read(rounds, 1)
    assert np.array_equal(found.embeddings, new_round(1).embeddings)
    assert isinstance(found.embeddings, np.memmap)


def test_rounds_are_counted_up_to_the_first_that_is_not_complete(rounds):
    assert round_folders.count(rounds) == 3
    (rounds / "001" / "manifest.json").unlink()
    assert not round_folders.is_complete(rounds, 1) and round_folders.is_complete(rounds, 2)
    assert round_folders.count(rounds) == 1


def test_a_round_that_is_dropped_leaves_nothing(rounds):
    round_folders.drop(rounds, 2)
    assert sorted(path.name for path in rounds.iterdir()) == ["000", "001"]


def test_a_file_that_was_changed_is_named(rounds):
    assert round_folders.damaged_files(rounds, 1) == []
    (rounds / "001" / "labels.npy").write_bytes(b"nothing")
    assert round_folders.damaged_files(rounds, 1) == ["rounds/001/labels.npy"]
    assert round_folders.damaged_files(rounds, 0) == []


def test_a_writing_that_fails_leaves_no_round(rounds, new_round, monkeypatch):
    def fail(folder):
        raise OSError("full")

    monkeypatch.setattr("vitviz.runs.manifest.write", fail)
    with pytest.raises(OSError, match="full"):
        round_folders.write(rounds, 3, new_round(3), None)
    assert round_folders.count(rounds) == 3 and not (rounds / "003").exists()
