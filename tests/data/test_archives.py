import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from vitviz.data import archives
from vitviz.data.sets import open_image_set
from vitviz.errors import Problem


@pytest.fixture
def make_zip(tmp_path, encode):
    """``make_zip({"cat/1.png": b"..."})``: an archive of these and of 120 good images of cats and dogs."""

    def make(extra=(), *, good=120, method=zipfile.ZIP_DEFLATED):
        path = tmp_path / "pets.zip"
        with zipfile.ZipFile(path, "w", method) as archive:
            for number in range(good):
                archive.writestr(f"{'cat' if number % 2 else 'dog'}/{number:03}.png", encode(number))
            for name, content in dict(extra).items():
                archive.writestr(name, content)
        return path

    return make


def white_png(side):
    file = io.BytesIO()
    Image.new("RGB", (side, side), "white").save(file, "PNG")
    return file.getvalue()


def test_a_zip_holds_the_same_set_as_the_folder_it_was_made_of(tmp_path, make_zip):
    path = make_zip()
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            target = tmp_path / "pets" / member.filename
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(archive.read(member))
    from_zip, from_folder = open_image_set(path), open_image_set(tmp_path / "pets")
    np.testing.assert_array_equal(from_zip.images, from_folder.images)
    assert from_zip.fingerprint == from_folder.fingerprint
    assert from_zip.class_names == ("cat", "dog")


@pytest.mark.parametrize("name", ["../evil.png", "/evil.png", "cat/../../evil.png", "C:/evil.png", "..\\evil.png"])
def test_a_member_whose_name_leads_out_is_skipped_and_nothing_is_written(tmp_path, make_zip, encode, name):
    path = make_zip({name: encode(7)})
    before = {file for file in tmp_path.rglob("*") if "cache" not in file.parts}
    pets = open_image_set(path)
    assert [reason for _, reason in pets.report.skipped] == ["its name leads out of the archive"]
    assert len(pets) == 120 and pets.class_names == ("cat", "dog")
    assert {file for file in tmp_path.rglob("*") if "cache" not in file.parts} == before


def test_a_member_that_inflates_too_far_stops_everything(make_zip):
    path = make_zip({"cat/bomb.png": white_png(64) + bytes(3 * 2**20)})
    with pytest.raises(Problem, match=r"pets\.zip is refused: cat/bomb\.png inflates more than 200 times"):
        open_image_set(path)


def test_a_small_plain_picture_may_compress_as_well_as_it_likes(make_zip):
    file = io.BytesIO()
    Image.new("RGB", (256, 256), "white").save(file, "BMP")
    pets = open_image_set(make_zip({"cat/plain.bmp": file.getvalue()}))
    assert len(pets) == 121


def test_a_large_member_is_skipped_by_its_declared_size(make_zip, monkeypatch):
    monkeypatch.setattr(archives, "MAX_MEMBER_BYTES", 2000)
    pets = open_image_set(make_zip({"cat/large.png": white_png(16) + bytes(3000)}))
    assert pets.report.skipped == (("cat/large.png", "it is larger than 20 MB"),)


def test_too_many_members_and_too_many_bytes_are_refused(make_zip, monkeypatch):
    path = make_zip(good=10)
    monkeypatch.setattr(archives, "MAX_MEMBERS", 9)
    with pytest.raises(Problem, match="10 members"):
        open_image_set(path)
    monkeypatch.setattr(archives, "MAX_MEMBERS", 10)
    monkeypatch.setattr(archives, "MAX_TOTAL_BYTES", 1000)
    with pytest.raises(Problem, match="at most 4 are read"):
        open_image_set(path)


def test_a_damaged_member_is_skipped_and_named(make_zip, encode):
    path = make_zip({"cat/torn.png": encode(500)}, method=zipfile.ZIP_STORED)
    content = path.read_bytes()
    at = content.index(encode(500)) + 100
    path.write_bytes(content[:at] + bytes([content[at] ^ 255]) + content[at + 1 :])
    assert open_image_set(path).report.skipped == (("cat/torn.png", "its part of the archive is damaged"),)


def test_a_file_that_is_no_zip_and_an_encrypted_one_are_refused(tmp_path, make_zip):
    (tmp_path / "fake.zip").write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(Problem, match=r"fake\.zip could not be read"):
        open_image_set(tmp_path / "fake.zip")
    path = make_zip(good=1)
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(bytes(content))
    with pytest.raises(Problem, match="protected by a password"):
        open_image_set(path)


def test_a_zip_without_images_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "texts.zip", "w") as archive:
        archive.writestr("a.txt", "hello")
    with pytest.raises(Problem, match="texts holds no images"):
        open_image_set(tmp_path / "texts.zip")


@pytest.mark.parametrize("name", ["pets.tar", "pets.tar.gz", "pets.tgz"])
def test_tar_archives_are_refused_with_a_sentence(tmp_path, name):
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(Problem, match="tar archives are not accepted"):
        open_image_set(tmp_path / name)
