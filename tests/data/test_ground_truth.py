import io
import struct
import zlib

import numpy as np
import pytest
import scipy.io
from PIL import Image

from vitviz.data import ground_truth
from vitviz.data.ground_truth import read_ground_truth
from vitviz.data.mat_check import inflate_mat
from vitviz.errors import Problem

REGIONS = np.random.default_rng(0).integers(0, 700, (9, 13)).astype(np.uint16)


def save_image(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def save_mat(variables: dict, **options) -> bytes:
    file = io.BytesIO()
    scipy.io.savemat(file, variables, **options)
    return file.getvalue()


def annotators(*maps: np.ndarray, field: str = "Segmentation") -> np.ndarray:
    """A 1 x N cell array as BSDS500 has it."""
    cells = np.empty((1, len(maps)), object)
    for number, one in enumerate(maps):
        cells[0, number] = {field: one, "Boundaries": np.zeros(np.shape(one), bool)}
    return cells


def element(kind: int, data: bytes) -> bytes:
    return struct.pack("<II", kind, len(data)) + data + bytes(-len(data) % 8)


def array_head(kind: int, sizes: tuple[int, ...], name: bytes = b"") -> bytes:
    flags = element(6, struct.pack("<II", kind, 0))
    return flags + element(5, struct.pack(f"<{len(sizes)}i", *sizes)) + element(1, name)


def mat_of(body: bytes, *, compress: bool = False) -> bytes:
    """A version 5 file with one variable, whose body follows its tag."""
    variable = struct.pack("<II", 14, len(body)) + body
    if compress:
        packed = zlib.compress(variable)
        variable = struct.pack("<II", 15, len(packed)) + packed
    return b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<H", 0x100) + b"IM" + variable


@pytest.mark.parametrize("do_compression", [False, True])
def test_a_mat_file_gives_one_map_for_each_annotator(do_compression):
    maps = [REGIONS, REGIONS // 10, np.zeros((9, 13), np.uint16)]
    content = save_mat({"note": "text", "groundTruth": annotators(*maps)}, do_compression=do_compression)
    truths = read_ground_truth(content, name="1.mat")
    assert [truth.dtype for truth in truths] == [np.int32] * 3
    np.testing.assert_array_equal(truths, maps)


def test_whole_numbers_stored_as_floats_are_labels_too():
    (truth,) = read_ground_truth(save_mat({"groundTruth": annotators(REGIONS.astype(float))}), name="1.mat")
    np.testing.assert_array_equal(truth, REGIONS)


def label_images() -> dict[str, tuple[bytes, np.ndarray]]:
    small = (REGIONS % 200).astype(np.uint8)
    indexed = Image.fromarray(small)
    indexed.putpalette([value for number in range(256) for value in (255 - number, 0, number)])
    return {
        "grey.png": (save_image(Image.fromarray(small)), small),
        "deep.png": (save_image(Image.fromarray(REGIONS)), REGIONS),
        "indexed.png": (save_image(indexed), small),
        "transparent.png": (save_image(indexed, transparency=3), small),
        "grey.tif": (save_image(Image.fromarray(small), "TIFF"), small),
        "deep.tif": (save_image(Image.fromarray(REGIONS), "TIFF"), REGIONS),
        "grey.bmp": (save_image(Image.fromarray(small), "BMP"), small),
        "mask.png": (save_image(Image.fromarray(small > 99)), small > 99),
    }


@pytest.mark.parametrize("name", label_images())
def test_a_label_image_gives_its_numbers_unchanged(name):
    content, expected = label_images()[name]
    (truth,) = read_ground_truth(content, name=name)
    assert truth.dtype == np.int32
    np.testing.assert_array_equal(truth, expected)


GREY = Image.fromarray(REGIONS.astype(np.uint8))
HOSTILE = {
    "an empty file": ("a.png", b"", "neither a .mat file of BSDS500 nor a PNG"),
    "an empty .mat file": ("a.mat", b"", "not a MATLAB file"),
    "text": ("a.txt", b"no picture at all\n" * 99, "neither a .mat file"),
    "text called .mat": ("a.mat", b"no picture at all\n" * 99, "not a MATLAB file"),
    "a JPEG": ("a.jpg", save_image(GREY, "JPEG"), "neither a .mat file"),
    "a colour image": ("a.png", save_image(GREY.convert("RGB")), "colours and not one number each"),
    "a transparent image": ("a.png", save_image(GREY.convert("LA")), "colours and not one number each"),
    "floating point": ("a.tif", save_image(Image.fromarray(REGIONS / np.float32(3)), "TIFF"), "not one number"),
    "a cut image": ("a.png", save_image(Image.fromarray(REGIONS))[:-40], "could not be read"),
    "one pixel": ("a.png", save_image(Image.new("L", (1, 1))), "too small"),
    "too many pixels": ("a.png", save_image(Image.new("1", (5000, 4001))), "too large.*20.* megapixels"),
    "version 7.3": ("a.mat", b"MATLAB 7.3 MAT-file".ljust(512), "version 7.3; save it again with '-v7'"),
    "version 4": ("a.mat", save_mat({"groundTruth": REGIONS}, format="4"), "not a MATLAB file"),
    "another variable": ("a.mat", save_mat({"fea": REGIONS}), "no cell array 'groundTruth'"),
    "a plain matrix": ("a.mat", save_mat({"groundTruth": REGIONS}), "no cell array 'groundTruth'"),
    "another field": ("a.mat", save_mat({"groundTruth": annotators(REGIONS, field="Map")}), "no struct with"),
    "no cells": ("a.mat", save_mat({"groundTruth": np.empty((1, 0), object)}), "0 cells"),
    "51 cells": ("a.mat", save_mat({"groundTruth": annotators(*[REGIONS] * 51)}), "51 cells"),
    "three dimensions": ("a.mat", save_mat({"groundTruth": annotators(np.zeros((4, 4, 3)))}), "no matrix of numbers"),
    "complex numbers": ("a.mat", save_mat({"groundTruth": annotators(REGIONS * 1j)}), "no matrix of numbers"),
    "text for a map": ("a.mat", save_mat({"groundTruth": annotators("text")}), "no matrix of numbers"),
    "fractions": ("a.mat", save_mat({"groundTruth": annotators(REGIONS / 3)}), "must be whole numbers"),
    "negative": ("a.mat", save_mat({"groundTruth": annotators(-REGIONS.astype(int))}), "must be whole numbers"),
    "not a number": ("a.mat", save_mat({"groundTruth": annotators(REGIONS * np.nan)}), "must be whole numbers"),
    "an empty map": ("a.mat", save_mat({"groundTruth": annotators(np.zeros((0, 5)))}), "5 x 0 pixels"),
    "maps that differ": ("a.mat", save_mat({"groundTruth": annotators(REGIONS, REGIONS.T)}), "differ in size"),
    "wide cells": ("a.mat", mat_of(array_head(1, (60_000, 60_000), b"groundTruth")), "claims more values"),
    "negative sizes": ("a.mat", mat_of(array_head(1, (-1, -1), b"groundTruth")), "claims more values"),
    "an object": ("a.mat", mat_of(array_head(3, (1, 1), b"groundTruth")), "other than numbers, text, cells"),
    "unknown values": ("a.mat", mat_of(array_head(6, (1, 1), b"x") + element(99, bytes(8))), "too early or is damaged"),
    "a long element": (
        "a.mat",
        mat_of(array_head(6, (1, 1), b"x") + struct.pack("<II", 9, 2**31)),
        "claims more values",
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_anything_else_is_refused_in_one_sentence_that_names_the_file(case):
    name, content, reason = HOSTILE[case]
    with pytest.raises(Problem, match=rf"^{name} .*{reason}") as caught:
        read_ground_truth(content, name=name)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 200


def test_cells_nested_deeper_than_a_reader_can_follow_are_refused():
    body = array_head(1, (1, 1), b"groundTruth")
    body += (struct.pack("<II", 14, 8) + array_head(1, (1, 1))) * 100_000
    for compress in (False, True):
        with pytest.raises(Problem, match=r"cells in cells deeper than 8"):
            read_ground_truth(mat_of(body, compress=compress), name="deep.mat")


def test_a_few_kilobytes_that_inflate_past_the_bound_are_refused(monkeypatch):
    monkeypatch.setattr(ground_truth, "MAX_BYTES", 2**20)
    content = mat_of(array_head(9, (1, 2**21), b"x") + element(2, bytes(2**21)), compress=True)
    assert len(content) < 10_000
    with pytest.raises(Problem, match="holds more than 1 MB"):
        read_ground_truth(content, name="bomb.mat")
    with pytest.raises(Problem, match="large: 2 MB, and at most 1 are read"):
        read_ground_truth(bytes(2 * 2**20), name="long.png")


def test_maps_of_too_many_pixels_together_are_refused(monkeypatch):
    monkeypatch.setattr(ground_truth, "MAX_PIXELS", 2 * REGIONS.size)
    content = [save_mat({"groundTruth": annotators(*[REGIONS] * number)}) for number in (2, 3)]
    assert len(read_ground_truth(content[0], name="a.mat")) == 2
    with pytest.raises(Problem, match=r"a\.mat is too large"):
        read_ground_truth(content[1], name="a.mat")


def test_a_mat_file_with_changed_bytes_is_read_or_refused_and_never_ends_the_program():
    rng = np.random.default_rng(0)
    content = save_mat({"groundTruth": annotators(REGIONS[:3, :4], REGIONS[3:6, :4])}, do_compression=False)
    for _ in range(2000):
        damaged = bytearray(content)
        for place in rng.integers(100, len(content), rng.integers(1, 5)):
            damaged[place] = rng.choice([0, 1, 2, 5, 9, 14, 15, 127, 128, 255])
        try:
            truths = read_ground_truth(bytes(damaged), name="a.mat")
        except Problem:
            continue
        assert all(truth.ndim == 2 and truth.dtype == np.int32 for truth in truths)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("do_compression", [False, True])
def test_a_mat_file_that_ends_too_early_is_refused(share, do_compression):
    content = save_mat({"groundTruth": annotators(REGIONS, REGIONS)}, do_compression=do_compression)
    with pytest.raises(Problem, match=r"a\.mat could not be read"):
        read_ground_truth(content[: int(len(content) * share)], name="a.mat")


def test_an_inflated_file_reads_like_the_file_itself_and_holds_nothing_compressed():
    variables = {
        "x": np.arange(6.0).reshape(2, 3),
        "z": np.array([[1 + 2j]]),
        "s": "some text",
        "c": annotators(REGIONS),
    }
    packed = save_mat(variables, do_compression=True)
    plain = inflate_mat(packed, max_bytes=2**20)
    assert struct.unpack_from("<I", plain, 128) == (14,) and struct.unpack_from("<I", packed, 128) == (15,)
    before, after = (scipy.io.loadmat(io.BytesIO(content)) for content in (packed, plain))
    assert before.keys() == after.keys()
    for name in ("x", "z", "s"):
        np.testing.assert_array_equal(before[name], after[name])
    np.testing.assert_array_equal(after["c"][0, 0]["Segmentation"].item(), REGIONS)
