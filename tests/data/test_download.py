import hashlib
import io
import sys
import tarfile
import types
from pathlib import Path

import pytest

from vitviz.data import download as module
from vitviz.data.cifar_batches import FILES
from vitviz.data.download import download
from vitviz.data.sets import data_folder
from vitviz.errors import Problem

HOSTILE_MEMBERS = ("/etc/data_batch_9", "cifar-10-batches-py/readme.html", "../../evil.py")


@pytest.fixture
def fake_torchvision(monkeypatch):
    """``fake_torchvision(write)``: CIFAR10 as torchvision describes it, with a ``download_url`` that is ``write(archive)``."""

    def fake(write):
        datasets, utils = types.ModuleType("torchvision.datasets"), types.ModuleType("torchvision.datasets.utils")
        places = {"url": "https://evil.example", "filename": "cifar-10-python.tar.gz", "tgz_md5": "0" * 32}
        datasets.CIFAR10 = type("CIFAR10", (), {**places, "base_folder": "cifar-10-batches-py"})

        def download_url(url, root, filename, md5):
            assert (url, md5) == (places["url"], places["tgz_md5"])
            write(Path(root) / filename)

        utils.download_url = download_url
        monkeypatch.setitem(sys.modules, "torchvision", types.ModuleType("torchvision"))
        monkeypatch.setitem(sys.modules, "torchvision.datasets", datasets)
        monkeypatch.setitem(sys.modules, "torchvision.datasets.utils", utils)
        file = io.BytesIO()
        _pack(file)
        monkeypatch.setattr(module, "CIFAR10_SHA256", hashlib.sha256(file.getvalue()).hexdigest())

    return fake


def _pack(file) -> None:
    """The seven files of CIFAR-10 and members that have no business there, a link among them; the same bytes each time."""
    with tarfile.open(fileobj=file, mode="w:") as archive:
        for name in (*(f"cifar-10-batches-py/{name}" for name in FILES), *HOSTILE_MEMBERS):
            member = tarfile.TarInfo(name)
            member.size = 5
            archive.addfile(member, io.BytesIO(b"batch"))
        link = tarfile.TarInfo("cifar-10-batches-py/data_batch_1")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)


def write_batches(archive: Path) -> None:
    with archive.open("wb") as file:
        _pack(file)


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")} if folder.exists() else set()


def test_cifar_is_fetched_whole_without_its_archive(fake_torchvision):
    fake_torchvision(write_batches)
    calls = []
    folder = download("cifar10", lambda done, total: calls.append((done, total)))
    assert folder == data_folder() / "cifar10/cifar-10-batches-py"
    files = {f"cifar10/cifar-10-batches-py/{name}" for name in FILES}
    assert files_below(data_folder()) == {"cifar10", "cifar10/cifar-10-batches-py", *files}
    assert not any((data_folder() / name).is_symlink() for name in files)
    assert calls == [(0, 1), (1, 1)]


@pytest.mark.parametrize("error", [OSError("the network is unreachable"), RuntimeError("the network is unreachable")])
def test_a_failing_network_is_one_sentence_and_leaves_nothing(fake_torchvision, error):
    def fail(archive):
        write_batches(archive)
        raise error

    fake_torchvision(fail)
    with pytest.raises(Problem, match="'cifar10' could not be fetched: the network is unreachable"):
        download("cifar10")
    assert files_below(data_folder()) == set()


def test_an_archive_that_is_another_is_not_looked_into(fake_torchvision, monkeypatch):
    fake_torchvision(lambda archive: archive.write_bytes(b"another"))
    monkeypatch.setattr(tarfile, "open", lambda *_, **__: pytest.fail("the archive was opened"))
    with pytest.raises(Problem, match="'cifar10' could not be fetched: the archive's sha256 is not that of CIFAR-10"):
        download("cifar10")
    assert files_below(data_folder()) == set()


def test_a_set_that_is_there_is_not_fetched_again(fake_torchvision):
    def never(archive):
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
