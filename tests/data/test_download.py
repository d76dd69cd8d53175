import sys
import types
from pathlib import Path

import pytest

from vitviz.data.download import download
from vitviz.data.sets import data_folder
from vitviz.errors import Problem


@pytest.fixture
def fake_torchvision(monkeypatch):
    """``fake_torchvision(write)``: a CIFAR10 whose download is ``write(root)``."""

    def fake(write):
        class CIFAR10:
            base_folder = "cifar-10-batches-py"

            def __init__(self, root, download):
                assert download
                write(Path(root))

        module = types.ModuleType("torchvision.datasets")
        module.CIFAR10 = CIFAR10
        monkeypatch.setitem(sys.modules, "torchvision", types.ModuleType("torchvision"))
        monkeypatch.setitem(sys.modules, "torchvision.datasets", module)

    return fake


def write_batches(root: Path) -> None:
    (root / "cifar-10-python.tar.gz").write_bytes(b"archive")
    (root / "cifar-10-batches-py").mkdir()
    (root / "cifar-10-batches-py/data_batch_1").write_bytes(b"batch")


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")} if folder.exists() else set()


def test_cifar_is_fetched_whole_without_its_archive(fake_torchvision):
    fake_torchvision(write_batches)
    calls = []
    folder = download("cifar10", lambda done, total: calls.append((done, total)))
    assert folder == data_folder() / "cifar10/cifar-10-batches-py"
    assert files_below(data_folder()) == {
        "cifar10",
        "cifar10/cifar-10-batches-py",
        "cifar10/cifar-10-batches-py/data_batch_1",
    }
    assert calls == [(0, 1), (1, 1)]


@pytest.mark.parametrize("error", [OSError("the network is unreachable"), RuntimeError("the network is unreachable")])
def test_a_failing_network_is_one_sentence_and_leaves_nothing(fake_torchvision, error):
    def fail(root):
        write_batches(root)
        raise error

    fake_torchvision(fail)
    with pytest.raises(Problem, match="'cifar10' could not be fetched: the network is unreachable"):
        download("cifar10")
    assert files_below(data_folder()) == set()


def test_a_set_that_is_there_is_not_fetched_again(fake_torchvision):
    def never(root):
        raise AssertionError("fetched again")

    fake_torchvision(never)
    (data_folder() / "cifar10").mkdir(parents=True)
    (data_folder() / "cifar10/train.parquet").write_bytes(b"x")
    assert download("cifar10") == data_folder() / "cifar10"


@pytest.mark.parametrize("name", ["coil20", "clothing"])
def test_a_set_without_a_download_says_where_to_put_it(name):
    with pytest.raises(Problem, match=f"'{name}' has no download: put .* into the folder {name} of VITVIZ_DATA"):
        download(name)


def test_an_unknown_name_is_refused():
    with pytest.raises(Problem, match="did you mean 'cifar10'"):
        download("cifar")
