"""doctor: each thing that may be wrong with a machine is found, named, and told with what to do; nothing is changed."""

import dataclasses
import errno
import http.server
import json
import os
import shutil
import signal
import socket
import threading
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import pytest

from vitviz.__main__ import main
from vitviz.doctor import folders, machine, servers
from vitviz.doctor.findings import Finding
from vitviz.doctor.report import checks, examine, report
from vitviz.runs.folder import own_root

SHIPPED = Path(__file__).resolve().parents[1] / "checkpoints"


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch) -> Path:
    """Runs, caches, logs and data sets are looked for in the folder of the test, where there are none that are shipped."""
    monkeypatch.setattr("vitviz.runs.folder.shipped_root", lambda: tmp_path / "shipped")
    for name in ("runs", "cache", "data", "logs"):
        monkeypatch.setenv(f"VITVIZ_{name.upper()}", str(tmp_path / name))
    before = signal.getsignal(signal.SIGTERM)
    yield tmp_path
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def run() -> Path:
    """The folder of a whole run of one's own."""
    own_root().mkdir()
    source = next(path for path in sorted(SHIPPED.iterdir()) if (path / "rounds" / "000").exists())
    return Path(shutil.copytree(source, own_root() / "mine"))


def states(found: Iterator[Finding]) -> list[str]:
    return [one.state for one in found]


# The whole


def test_every_check_comes_to_something_and_this_machine_can_do_what_is_asked(capsys, own_folders):
    assert main(["doctor", "--json", "--port", str(_free_port())]) == 0
    found = [Finding(**one) for one in json.loads(capsys.readouterr().out)]
    names = {one.name for one in found}
    assert {"python", "libraries", "torch", "device", "bfloat16", "torchvision", "memory"} <= names
    assert {"runs folder", "cache", "log", "data", "runs", "browser", "chromium"} <= names
    assert all(one.what and one.state in ("ok", "hint") for one in found)
    assert all(one.do for one in found if one.state == "hint")
    assert sorted(path.name for path in own_folders.iterdir()) == [], "a doctor changes nothing"


def test_something_broken_is_told_with_what_to_do_and_ends_with_1(capsys, run):
    content = bytearray((run / "rounds" / "000" / "labels.npy").read_bytes())
    content[-1] ^= 1
    (run / "rounds" / "000" / "labels.npy").write_bytes(content)
    assert main(["doctor", "--port", str(_free_port())]) == 1
    told = capsys.readouterr().out
    assert "BROKEN  runs         run 'mine' is damaged: rounds/000/labels.npy" in told
    assert "-> put these files back from a copy" in told


def test_a_check_that_fails_itself_does_not_end_the_others(capsys):
    def check_nothing():
        raise ZeroDivisionError("of all things")

    assert not report([check_nothing, lambda: Finding("after", "ok", "reached")])
    told = capsys.readouterr().out
    assert "BROKEN  nothing      could not be looked at: ZeroDivisionError: of all things" in told and "reached" in told


def test_every_check_of_the_modules_is_asked():
    asked = {getattr(check, "func", check) for check in checks()}
    there = {
        value
        for module in (machine, folders, servers)
        for name, value in vars(module).items()
        if name.startswith("check_")
    }
    assert asked == there


# The machine


def test_an_old_python_is_told(monkeypatch):
    monkeypatch.setattr(machine.sys, "version_info", (3, 10, 4))
    assert machine.check_python().state == "broken"


def test_a_library_that_is_missing_is_broken_and_one_of_another_version_a_hint(monkeypatch, tmp_path):
    (tmp_path / "requirements.txt").write_text("# why\nnumpy==0.1\nno-such-library==1.0\npytest\n")
    monkeypatch.setattr(machine, "REQUIREMENTS", tmp_path / "requirements.txt")
    missing, other = machine.check_libraries()
    assert (missing.state, missing.what) == ("broken", "no-such-library is missing")
    assert other.state == "hint" and "instead of 0.1" in other.what
    (tmp_path / "requirements.txt").unlink()
    assert states(machine.check_libraries()) == ["hint"]


def test_a_torch_that_cannot_be_imported_is_told_in_a_line(monkeypatch):
    def fail(name="auto"):
        raise ImportError("libcudart.so.12: cannot open shared object file\nand more")

    monkeypatch.setattr("vitviz.data.device.pick_device", fail)
    (found,) = machine.check_device()
    assert found.state == "broken" and found.what.endswith("cannot open shared object file")


def test_a_torch_built_for_a_gpu_that_sees_none_is_a_hint(monkeypatch):
    import torch

    monkeypatch.setattr(torch.version, "cuda", "13.0")
    assert [one.name for one in machine.check_device() if one.state == "hint"] == ["device"]


def test_a_torchvision_that_cannot_be_mended_is_told(monkeypatch):
    def fail():
        raise RuntimeError("undefined symbol: everything")

    monkeypatch.setattr("vitviz.nn.torchvision_import.import_torchvision", fail)
    found = machine.check_torchvision()
    assert found.state == "broken" and "undefined symbol" in found.what


def test_little_memory_is_a_hint(monkeypatch):
    memory = namedtuple("memory", "available total")(2**29, 2**33)
    monkeypatch.setattr("psutil.virtual_memory", lambda: memory)
    assert machine.check_memory() == Finding(
        "memory", "hint", "0.5 of 8.0 GiB are free", "close other programs, or train with a smaller batch_size"
    )


def test_a_browser_for_the_tests_is_a_hint_at_most(tmp_path):
    assert machine.check_chromium(tmp_path / "chromium").state == "hint"


# The folders


@pytest.mark.parametrize(
    ("number", "words"), [(errno.ENOSPC, "the disk is full"), (errno.EROFS, "the disk is read-only")]
)
def test_a_folder_for_runs_that_cannot_be_written_is_broken(monkeypatch, number, words):
    def refuse(folder):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("vitviz.runs.atomic.probe", refuse)
    found = folders.check_runs_folder()
    assert found.state == "broken" and words in found.what and found.do
    assert states(folders.check_other_folders()) == ["hint", "hint"]


def test_a_file_in_the_place_of_the_folder_is_broken():
    own_root().write_text("this is no folder")
    assert folders.check_runs_folder().state == "broken"


def test_little_room_is_a_hint(monkeypatch):
    usage = namedtuple("usage", "free")(2**20)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    assert folders.check_runs_folder().state == "hint"


def test_runs_that_are_whole_are_counted_and_those_that_stopped_are_named(run):
    (whole,) = [one for one in folders.check_runs(all_bytes=False) if one.state == "ok"]
    assert whole.what == "1 runs, every byte as it was written"
    (run / "status.json").unlink()
    assert "mine stopped before the end" in [one.what for one in folders.check_runs(all_bytes=False)][-1]


def test_a_run_that_cannot_be_read_is_broken_and_named(run):
    (run / "run.json").write_text("{")
    (found,) = folders.check_runs(all_bytes=False)
    assert found.state == "broken" and "run 'mine'" in found.what and "run.json is damaged" in found.what


def test_a_large_run_is_compared_when_asked_to(run, monkeypatch):
    monkeypatch.setattr(folders, "_QUICK_BYTES", 10)
    (run / "rounds" / "000" / "centers.npy").write_bytes(b"nothing")
    (quick,) = folders.check_runs(all_bytes=False)
    assert quick.state == "ok" and "1 large ones not compared" in quick.what
    assert states(folders.check_runs(all_bytes=True)) == ["broken"]


# The servers


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class _Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"ok" if self.path == "/_stcore/health" else b"")

    def log_message(self, *words):
        pass


def test_a_free_port_a_streamlit_server_and_another_program_are_told_apart():
    assert servers.check_port(_free_port()).state == "ok"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(10)
        found = servers.check_port(silent.getsockname()[1])
        assert (found.state, found.what) == ("hint", "another program listens there")
    with http.server.HTTPServer(("127.0.0.1", 0), _Answers) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        found = servers.check_port(server.server_port)
        server.shutdown()
        thread.join()
    assert found.what == f"a Streamlit server answers at http://127.0.0.1:{server.server_port}"
    assert f"--server.port {server.server_port + 1}" in found.do


def test_another_server_is_named_with_its_port(monkeypatch):
    process = namedtuple("process", "info")
    listed = [
        process({"pid": 7, "cmdline": ["python", "-m", "streamlit", "run", "app.py", "--server.port=9000"]}),
        process({"pid": 8, "cmdline": ["python", "other.py"]}),
        process({"pid": 9, "cmdline": None}),
        process({"pid": 10, "cmdline": ["streamlit", "run", "app.py", "--server.port", "8502"]}),
        process({"pid": 11, "cmdline": ["streamlit", "run", "app.py"]}),
    ]
    monkeypatch.setattr("psutil.process_iter", lambda fields: listed)
    told = [found.what for found in servers.check_servers()]
    assert told == [
        f"process {pid} serves an app.py on port {port}" for pid, port in ((7, 9000), (10, 8502), (11, 8501))
    ]


def test_findings_are_plain_values():
    found = list(examine([machine.check_python]))
    assert json.loads(json.dumps([dataclasses.asdict(one) for one in found]))[0]["name"] == "python"
