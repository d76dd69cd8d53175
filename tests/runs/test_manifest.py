"""No changed byte of a round goes unnoticed."""

import json
import random

import numpy as np
import pytest


@pytest.fixture
def run(new_run, new_round):
    """A run of three rounds, each with all its files."""
    run = new_run()
    for index in range(3):
        run.save_round(index, new_round(index), {"a": np.arange(5.0)})
    return run


def test_rounds_as_they_were_written_have_no_damaged_file(run):
    assert run.damaged_files() == []
    names = {path.name for path in (run.path / "rounds" / "001").iterdir()}
    assert set(json.loads((run.path / "rounds" / "001" / "manifest.json").read_text())) == names - {"manifest.json"}
    assert len(names) == 10


def test_a_flipped_bit_is_named_with_its_file(run):
    draw, found = random.Random(0), 0
    for path in sorted((run.path / "rounds").rglob("*.*")):
        if path.name == "manifest.json":
            continue
        content = path.read_bytes()
        for _ in range(12):
            flipped = bytearray(content)
            flipped[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
            path.write_bytes(flipped)
            assert run.damaged_files() == [path.relative_to(run.path).as_posix()]
            found += 1
        path.write_bytes(content)
    assert found >= 300
    assert run.damaged_files() == []


@pytest.mark.parametrize("change", ["shorter", "longer", "gone"])
def test_a_file_of_another_length_or_none_is_named(run, change):
    path = run.path / "rounds" / "002" / "labels.npy"
    content = path.read_bytes()
    path.unlink() if change == "gone" else path.write_bytes(content[:-1] if change == "shorter" else content + b"\0")
    assert run.damaged_files() == ["rounds/002/labels.npy"]


def test_a_flipped_bit_in_a_manifest_is_noticed_unless_it_changes_no_meaning(run):
    path, draw = run.path / "rounds" / "001" / "manifest.json", random.Random(0)
    content = path.read_bytes()
    for _ in range(300):
        flipped = bytearray(content)
        flipped[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        path.write_bytes(flipped)
        damaged = run.damaged_files()
        assert all(name.startswith("rounds/001/") for name in damaged)
        assert damaged or json.loads(flipped) == json.loads(content)


@pytest.mark.parametrize("content", [b"", b"{", b"7", b"null", b"\xff", b'{"labels.npy": 5}'])
def test_a_manifest_that_is_none_is_named(run, content):
    (run.path / "rounds" / "000" / "manifest.json").write_bytes(content)
    expected = ["rounds/000/labels.npy"] if b"labels" in content else ["rounds/000/manifest.json"]
    assert run.damaged_files() == expected
