import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from vitviz.data import cache, decoding
from vitviz.data.sets import open_image_set
from vitviz.errors import Problem

PETS = {f"{animal}/{number}.png": (20, 20) for animal in ("cat", "dog") for number in range(5)}


@pytest.fixture
def pets(tmp_path, make_folder):
    return make_folder(tmp_path / "pets", PETS)


@pytest.fixture
def decoded(monkeypatch):
    """The names of the images that were decoded since the start of the test."""
    names, decode = [], decoding.decode_image

    def count(source, **options):
        names.append(options["name"])
        return decode(source, **options)

    monkeypatch.setattr(decoding, "decode_image", count)
    return names


def cached_folders(tmp_path) -> list[Path]:
    return sorted((tmp_path / "cache/vitviz/decoded").iterdir())


def assert_equal(first, second):
    np.testing.assert_array_equal(first.images, second.images)
    np.testing.assert_array_equal(first.labels, second.labels)
    np.testing.assert_array_equal(first.held_out, second.held_out)
    assert (first.class_names, first.fingerprint, first.report) == (
        second.class_names,
        second.fingerprint,
        second.report,
    )


def test_a_second_open_decodes_nothing_and_returns_the_same(pets, decoded):
    first = open_image_set(pets)
    assert len(decoded) == 10
    second = open_image_set(pets)
    assert len(decoded) == 10
    assert isinstance(second.images, np.memmap) and not second.images.flags.writeable
    assert_equal(first, second)


def test_the_test_part_and_the_skipped_images_survive_the_cache(tmp_path, make_folder):
    names = {f"{split}/{number}.png": (8, 8) for split in ("train/a", "test/a") for number in range(60)}
    root = make_folder(tmp_path / "pets", names)
    (root / "train/a/7.png").write_bytes(b"broken")
    first, second = open_image_set(root), open_image_set(root)
    assert_equal(first, second)
    assert second.held_out.sum() == 60 and len(second.report.skipped) == 1 and len(second.images) == 119


def test_another_size_limit_or_file_is_decoded_anew(pets, decoded, encode):
    open_image_set(pets, img_size=16)
    for change in (
        lambda: open_image_set(pets, img_size=24),
        lambda: open_image_set(pets, img_size=16, limit=4),
        lambda: (pets / "cat/0.png").write_bytes(encode(77, (20, 21))) and open_image_set(pets, img_size=16),
        lambda: os.utime(pets / "cat/1.png", ns=(1, 1)) or open_image_set(pets, img_size=16),
    ):
        decoded.clear()
        change()
        assert decoded


@pytest.mark.parametrize("file", ["images.npy", "labels.npy", "meta.json"])
@pytest.mark.parametrize("damage", ["missing", "short", "empty", "nonsense"])
def test_a_damaged_cache_is_built_again(tmp_path, pets, decoded, file, damage):
    first = open_image_set(pets)
    images = np.array(first.images)
    (folder,) = cached_folders(tmp_path)
    content = (folder / file).read_bytes()
    if damage == "missing":
        (folder / file).unlink()
    else:
        (folder / file).write_bytes({"short": content[:-1], "empty": b"", "nonsense": b"x" * len(content)}[damage])
    decoded.clear()
    again = open_image_set(pets)
    assert len(decoded) == 10
    np.testing.assert_array_equal(again.images, images)
    assert again.fingerprint == first.fingerprint
    assert cached_folders(tmp_path) == [folder]
    assert open_image_set(pets) and len(decoded) == 10


def test_the_fingerprint_does_not_depend_on_the_place_and_does_on_the_content(tmp_path, pets, encode):
    before = open_image_set(pets)
    moved = Path(shutil.move(pets, tmp_path / "elsewhere"))
    assert open_image_set(moved).fingerprint == before.fingerprint
    (moved / "cat/0.png").write_bytes(encode(99, (20, 20)))
    changed = open_image_set(moved).fingerprint
    assert changed != before.fingerprint and len(changed) == 16 and int(changed, 16) >= 0


def test_the_fingerprint_sees_labels_names_and_size(tmp_path, pets):
    prints = [open_image_set(pets).fingerprint, open_image_set(pets, img_size=16).fingerprint]
    (pets / "cat").rename(pets / "cow")
    prints.append(open_image_set(pets).fingerprint)
    (pets / "cow/4.png").rename(pets / "dog/-.png")
    prints.append(open_image_set(pets).fingerprint)
    assert len(set(prints)) == 4


def test_a_cache_that_cannot_be_written_leaves_the_images_in_memory_and_says_so(tmp_path, pets, monkeypatch):
    kept = open_image_set(pets)
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("VITVIZ_CACHE", str(tmp_path / "file"))
    images = open_image_set(pets)
    np.testing.assert_array_equal(images.images, kept.images)
    assert not isinstance(images.images, np.memmap) and not images.images.flags.writeable
    assert images.fingerprint == kept.fingerprint
    assert "could not be kept in the cache folder (Not a directory)" in images.report.notes[-1]


def test_a_full_disk_while_writing_leaves_the_images_in_memory_and_no_rest(tmp_path, pets, monkeypatch):
    def fail(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache.os, "fsync", fail)
    images = open_image_set(pets)
    assert len(images) == 10 and "No space left" in images.report.notes[-1]
    assert cached_folders(tmp_path) == []


def test_a_set_that_is_refused_leaves_nothing_in_the_cache(tmp_path, pets):
    (pets / "cat/0.png").write_bytes(b"broken")
    with pytest.raises(Problem):
        open_image_set(pets)
    assert cached_folders(tmp_path) == []


def test_what_a_killed_build_left_is_swept_after_a_day_and_not_before(tmp_path, pets):
    root = tmp_path / "cache/vitviz/decoded"
    for name, age in ((".tmp-old", 2 * 24 * 3600), (".tmp-new", 60)):
        (root / name).mkdir(parents=True)
        os.utime(root / name, (time.time() - age,) * 2)
    open_image_set(pets)
    assert not (root / ".tmp-old").exists() and (root / ".tmp-new").exists()


def test_a_build_that_is_overtaken_takes_the_result_of_the_other(tmp_path, pets, monkeypatch):
    decode, builds = cache.decode_source, []

    def overtaken(source, request, write):
        monkeypatch.setattr(cache, "decode_source", decode)
        builds.append(open_image_set(pets))
        return decode(source, request, write)

    monkeypatch.setattr(cache, "decode_source", overtaken)
    builds.append(open_image_set(pets))
    assert_equal(*builds)
    assert len(cached_folders(tmp_path)) == 1


def test_processes_that_build_at_once_all_end_with_the_same_set(tmp_path, pets):
    script = "import sys; from vitviz.data.sets import open_image_set; print(open_image_set(sys.argv[1]).fingerprint)"
    command = [sys.executable, "-c", script, str(pets)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    prints = {process.communicate(timeout=60)[0].strip() for process in started}
    assert [process.returncode for process in started] == [0] * 4
    assert prints == {open_image_set(pets).fingerprint}
    assert len(cached_folders(tmp_path)) == 1


def test_progress_ends_with_all_images_and_is_silent_when_cached(pets):
    calls = []
    open_image_set(pets, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(10, 10)]
    open_image_set(pets, progress=lambda done, total: calls.append((done, total)))
    assert len(calls) == 1
