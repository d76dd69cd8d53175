import subprocess
import sys

import numpy as np
import pytest

from vitviz.data.sets import SETS, data_folder, open_image_set
from vitviz.errors import Problem


def test_importing_the_floor_imports_no_heavy_library():
    modules = "images sets sources archives tables arrays cache decoding download batches device cifar_batches folders"
    heavy = "torch timm umap streamlit pyarrow sklearn scipy skimage torchvision pandas"
    script = (
        f"import importlib, sys\nfor name in '{modules}'.split(): importlib.import_module('vitviz.data.' + name)\n"
        f"print([name for name in '{heavy}'.split() if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout.strip() == "[]"


def test_the_digits_are_scikit_learns_enlarged():
    from sklearn.datasets import load_digits

    digits = open_image_set("digits")
    assert digits.images.shape == (1797, 32, 32, 3) and digits.held_out is None
    assert digits.class_names == tuple("0123456789") and digits.images.max() == 255
    np.testing.assert_array_equal(digits.labels, load_digits().target)
    np.testing.assert_array_equal(digits.images[..., 0], digits.images[..., 2])
    means = digits.images[..., 0].reshape(-1, 8, 4, 8, 4).mean((2, 4)).ravel()
    assert np.corrcoef(means, load_digits().images.ravel())[0, 1] > 0.98


def test_the_digits_cannot_be_changed_and_are_the_same_each_time():
    digits = open_image_set("digits")
    with pytest.raises(ValueError, match="read-only"):
        digits.images[0] = 0
    assert open_image_set("digits").fingerprint == digits.fingerprint
    assert open_image_set("digits", img_size=16).images.shape == (1797, 16, 16, 3)


def test_a_limit_on_the_digits_keeps_their_classes_even():
    digits = open_image_set("digits", limit=100)
    assert len(digits) == 100 and set(np.bincount(digits.labels)) <= {9, 10, 11}


def test_an_unknown_name_names_the_nearest_and_a_missing_path_itself(tmp_path):
    with pytest.raises(Problem, match="did you mean 'digits'"):
        open_image_set("digit")
    with pytest.raises(Problem, match="there is no such file or folder"):
        open_image_set(tmp_path / "pets")
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(Problem, match=r"notes\.txt is not read"):
        open_image_set(tmp_path / "notes.txt")


@pytest.mark.parametrize("name", ["cifar10", "coil20", "clothing"])
def test_a_known_set_that_is_not_here_says_how_to_get_it(name):
    assert not SETS[name].available()
    with pytest.raises(Problem, match=f"python -m vitviz data get {name}") as caught:
        open_image_set(name)
    assert "VITVIZ_DATA" in str(caught.value)


def test_every_named_set_is_described_in_a_sentence():
    for name, known in SETS.items():
        assert known.name == name and known.title and known.how_to_get
        assert known.description.endswith(".") and any(letter.isdigit() for letter in known.description)
    assert SETS["digits"].available()


@pytest.mark.parametrize("size", [0, 7, 1025, -3])
def test_a_size_out_of_range_is_refused(tmp_path, make_folder, size):
    root = make_folder(tmp_path / "pets", {"1.png": (16, 16)})
    for source in ("digits", root):
        with pytest.raises(Problem, match=f"img_size={size} must be 8 to 1024"):
            open_image_set(source, img_size=size)


def test_a_limit_below_one_is_refused():
    with pytest.raises(Problem, match="limit=0 must be at least 1"):
        open_image_set("digits", limit=0)


def test_the_data_folder_follows_the_environment(tmp_path, monkeypatch):
    assert data_folder() == tmp_path / "data"
    monkeypatch.delenv("VITVIZ_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert data_folder() == tmp_path / "xdg/vitviz/data"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert data_folder() == tmp_path / "home/.cache/vitviz/data"


def test_a_named_set_in_the_data_folder_is_found_and_keeps_its_name(tmp_path):
    import scipy.io

    (tmp_path / "data/coil20").mkdir(parents=True)
    scipy.io.savemat(tmp_path / "data/coil20/COIL20.mat", {"fea": np.eye(4, 64), "gnd": [[1], [1], [2], [2]]})
    assert SETS["coil20"].available()
    coil = open_image_set("coil20")
    assert coil.name == "coil20" and coil.images.shape == (4, 32, 32, 3)


@pytest.fixture
def data():
    import os

    if not os.environ.get("VITVIZ_DATA"):
        pytest.skip("VITVIZ_DATA does not name a data folder")


@pytest.mark.data
def test_the_coil_objects_of_the_data_folder_stand_upright(data):
    coil = open_image_set("coil20")
    assert coil.images.shape == (1440, 32, 32, 3) and np.bincount(coil.labels).tolist() == [72] * 20
    duck = coil.images[0, ..., 0].astype(float)
    assert duck[18:].mean() > 1.5 * duck[:14].mean()  # its body is below its head


@pytest.mark.data
def test_the_clothes_of_the_data_folder_hold_their_test_part_out(data):
    clothes = open_image_set("clothing", limit=378)
    assert len(clothes) == 378 and abs(int(clothes.held_out.sum()) - 37) <= 5
    assert len(clothes.class_names) == 10 and clothes.class_names[0] == "dress"


@pytest.mark.data
def test_a_part_of_cifar_keeps_classes_and_test_part_even(data):
    cifar = open_image_set("cifar10", limit=600)
    assert cifar.images.shape == (600, 32, 32, 3) and cifar.report.found == 60_000
    assert np.bincount(cifar.labels).tolist() == [60] * 10 and cifar.held_out.sum() == 100
