"""A reader sees all of a file or none, a full disk costs nothing that was there, and the disk is told in the right order."""

import errno
import json
import os
import stat
from pathlib import Path

import numpy as np
import pytest

from vitviz.runs import atomic


def test_a_file_is_replaced_whole_and_leaves_nothing_beside_it(tmp_path):
    for content in (b"first", b"second, longer"):
        atomic.write_file(tmp_path / "a", lambda file, content=content: file.write(content))
        assert (tmp_path / "a").read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), ValueError, KeyboardInterrupt])
def test_a_write_that_fails_leaves_the_old_file_as_it_was(tmp_path, error):
    (tmp_path / "a").write_bytes(b"old")

    def write(file):
        file.write(b"half")
        raise error

    with pytest.raises((OSError, ValueError, KeyboardInterrupt)):
        atomic.write_file(tmp_path / "a", write)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"old"


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_a_file_has_the_permissions_its_user_asked_for(tmp_path, mask):
    before = os.umask(mask)
    try:
        atomic.write_file(tmp_path / "a", lambda file: file.write(b"x"))
        assert os.umask(mask) == mask
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o666 & ~mask


def test_json_comes_back_and_numbers_that_are_none_are_refused(tmp_path):
    value = {"text": "ünï\u2028", "number": 0.1, "list": [1, None, True]}
    atomic.write_json(tmp_path / "a", value)
    assert json.loads((tmp_path / "a").read_text()) == value
    for number in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="not JSON compliant"):
            atomic.write_json(tmp_path / "a", {"number": number})
    assert json.loads((tmp_path / "a").read_text()) == value


@pytest.fixture
def disk_log(monkeypatch) -> list[tuple[str, str]]:
    """What the disk was told, in order: ("sync", path) and ("rename", target)."""
    told = []

    def logging(name, function, path_of):
        def call(*arguments):
            told.append((name, path_of(*arguments)))
            return function(*arguments)

        return call

    def path_of_descriptor(descriptor):
        return os.readlink(f"/proc/self/fd/{descriptor}")

    monkeypatch.setattr(os, "fsync", logging("sync", os.fsync, path_of_descriptor))
    monkeypatch.setattr(os, "rename", logging("rename", os.rename, lambda source, target: str(target)))
    monkeypatch.setattr(os, "replace", logging("rename", os.replace, lambda source, target: str(target)))
    return told


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_a_file_is_on_the_disk_before_its_name_and_its_name_before_the_call_returns(tmp_path, disk_log):
    atomic.write_file(tmp_path / "a", lambda file: file.write(b"x"))
    (first, written), (second, named), (third, folder) = disk_log
    assert (first, second, third) == ("sync", "rename", "sync")
    assert Path(written).name.startswith(".tmp-")
    assert (named, folder) == (str(tmp_path / "a"), str(tmp_path))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_every_file_of_a_round_is_on_the_disk_before_the_round_has_its_name(new_run, new_round, disk_log):
    run = new_run()
    disk_log.clear()
    run.save_round(0, new_round(), {"a": np.ones(3)})
    named = disk_log.index(("rename", str(run.path / "rounds" / "000")))
    synced = {Path(path).name for kind, path in disk_log[:named] if kind == "sync"}
    files = {path.name for path in (run.path / "rounds" / "000").iterdir()}
    assert files - {"manifest.json"} <= synced
    manifest = [
        index for index, (kind, path) in enumerate(disk_log) if kind == "rename" and path.endswith("manifest.json")
    ]
    last_array = max(
        index for index, (kind, path) in enumerate(disk_log[:named]) if path.endswith((".npy", ".safetensors"))
    )
    assert last_array < manifest[0] < named
    assert disk_log[-1] == ("sync", str(run.path / "rounds"))


def test_a_disk_that_fills_up_at_any_point_of_a_round_keeps_the_rounds_before(new_run, new_round, monkeypatch):
    run = new_run()
    run.save_round(0, new_round(0), {"a": np.ones(3)})
    sync, points = os.fsync, 0
    for point in range(1, 100):
        left = iter(range(point))

        def full(descriptor, left=left):
            if next(left, None) is None:
                raise OSError(errno.ENOSPC, "No space left on device")
            sync(descriptor)

        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", full)
            try:
                run.save_round(1, new_round(1), {"a": np.ones(3)})
            except OSError:
                points += 1
            else:
                break
        assert (run.num_rounds(), run.damaged_files()) == (1, [])
    assert points >= 10
    assert (run.num_rounds(), run.damaged_files()) == (2, [])
