import contextlib
import hashlib
import http.server
import io
import sys
import tarfile
import threading
import types
from pathlib import Path

import pytest

from vitviz.data import download as module
from vitviz.data.cifar_batches import FILES
from vitviz.data.download import download, fetch_file
from vitviz.data.sets import data_folder
from vitviz.errors import Problem

HOSTILE_MEMBERS = ("/etc/data_batch_9", "cifar-10-batches-py/readme.html", "../../evil.py")


@pytest.fixture
def fake_site(monkeypatch):
    """``fake_site(write)``: CIFAR10 as torchvision describes it, and a site that fetches it by ``write(archive)``."""

    def fake(write):
        datasets = types.ModuleType("torchvision.datasets")
        places = {"url": "https://evil.example", "filename": "cifar-10-python.tar.gz"}
        datasets.CIFAR10 = type("CIFAR10", (), {**places, "base_folder": "cifar-10-batches-py"})

        def fetch_file(url, path, progress):
            assert url == places["url"]
            write(path)
            assert progress(5, 5)

        monkeypatch.setattr(module, "fetch_file", fetch_file)
        monkeypatch.setitem(sys.modules, "torchvision", types.ModuleType("torchvision"))
        monkeypatch.setitem(sys.modules, "torchvision.datasets", datasets)
        file = io.BytesIO()
        _pack(file)
        monkeypatch.setattr(module, "CIFAR10_SHA256", hashlib.sha256(file.getvalue()).hexdigest())

    return fake


class _Site(http.server.BaseHTTPRequestHandler):
    """Promises ``length`` bytes and gives ``content``."""

    content, length = b"x" * 3_000_000, 3_000_000

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(self.length))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(self.content)

    def log_message(self, *_):
        pass


@pytest.fixture
def site():
    """The address of a server on this machine that gives 3,000,000 bytes."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


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


def test_cifar_is_fetched_whole_without_its_archive(fake_site):
    fake_site(write_batches)
    calls = []
    folder = download("cifar10", lambda done, total: not calls.append((done, total)))
    assert folder == data_folder() / "cifar10/cifar-10-batches-py"
    files = {f"cifar10/cifar-10-batches-py/{name}" for name in FILES}
    assert files_below(data_folder()) == {"cifar10", "cifar10/cifar-10-batches-py", *files}
    assert not any((data_folder() / name).is_symlink() for name in files)
    assert calls == [(5, 5)]


@pytest.mark.parametrize("error", [OSError("the network is unreachable"), RuntimeError("the network is unreachable")])
def test_a_failing_network_is_one_sentence_and_leaves_nothing(fake_site, error):
    def fail(archive):
        write_batches(archive)
        raise error

    fake_site(fail)
    with pytest.raises(Problem, match="'cifar10' could not be fetched: the network is unreachable"):
        download("cifar10")
    assert files_below(data_folder()) == set()


def test_an_archive_that_is_another_is_not_looked_into(fake_site, monkeypatch):
    fake_site(lambda archive: archive.write_bytes(b"another"))
    monkeypatch.setattr(tarfile, "open", lambda *_, **__: pytest.fail("the archive was opened"))
    with pytest.raises(Problem, match="'cifar10' could not be fetched: the archive's sha256 is not that of CIFAR-10"):
        download("cifar10")
    assert files_below(data_folder()) == set()


def test_a_set_that_is_there_is_not_fetched_again(fake_site):
    def never(archive):
        raise AssertionError("fetched again")

    fake_site(never)
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


def test_a_file_is_fetched_in_parts_that_are_told(site, tmp_path):
    calls = []
    fetch_file(site, tmp_path / "archive", lambda done, total: not calls.append((done, total)))
    assert (tmp_path / "archive").read_bytes() == _Site.content
    assert len(calls) > 1 and calls[-1] == (3_000_000, 3_000_000)
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)


def test_a_download_stops_when_it_is_told_to(site, tmp_path):
    calls = []
    with pytest.raises(OSError, match="stopped"):
        fetch_file(site, tmp_path / "archive", lambda done, total: bool(calls.append(done)))
    assert len(calls) == 1


def test_a_download_that_breaks_off_is_not_taken_for_whole(site, tmp_path, monkeypatch):
    monkeypatch.setattr(_Site, "length", 4_000_000)
    with pytest.raises(OSError, match="broke off after 3,000,000 of 4,000,000 bytes"):
        fetch_file(site, tmp_path / "archive", lambda done, total: True)
