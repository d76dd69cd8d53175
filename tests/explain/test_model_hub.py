"""Files of the hub: from the cache without a packet sent, over the network only when asked, checked, and every fault a sentence.

The hub of these tests is a server of this process, so that the real client is what is tested.
"""

import hashlib
import http.server
import json
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from vitviz.errors import Problem
from vitviz.explain import model_hub
from vitviz.explain.model_hub import WEIGHT_FILES, HubModel, fetch_config, fetch_file, parse_hub_name, pin

PLACE = HubModel("someone/vit")
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """What the server has, and what was asked of it."""

    def __init__(self):
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """An empty cache of this test's own; the client has no other settings of the machine."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    return tmp_path / "hub"


@pytest.fixture
def hub(cache, monkeypatch) -> Iterator[Hub]:
    from huggingface_hub import constants

    held = Hub()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.answer()

        def do_GET(self):
            self.wfile.write(self.answer())

        def answer(self) -> bytes:
            held.asked.append(f"{self.command} {self.path}")
            content = held.files.get(self.path.rpartition("/")[2], b"")
            self.send_response(200 if content else 404)
            self.send_header("X-Repo-Commit", COMMIT)
            if not content:
                self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            return content

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")
    yield held
    server.shutdown()
    server.server_close()


@pytest.fixture
def no_network(monkeypatch) -> None:
    def refuse(*_, **__):
        pytest.fail("the network was touched")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("hf-hub:someone/vit", PLACE),
        ("hf-hub:timm/vit_tiny.augreg", HubModel("timm/vit_tiny.augreg")),
        ("hf-hub:someone/vit@v1.0", HubModel("someone/vit", "v1.0")),
    ],
)
def test_a_name_of_the_hub_is_a_repository_and_a_revision(name, wanted):
    assert parse_hub_name(name) == wanted and f"hf-hub:{wanted}" == name


@pytest.mark.parametrize(
    "name",
    [
        "someone/vit",
        "hf-hub:",
        "hf-hub:vit",
        "hf-hub:../vit",
        "hf-hub:a/b/c",
        "hf-hub:a/b@",
        "hf-hub:a/../b",
        "hf-hub:a /b",
    ],
)
def test_anything_else_names_no_repository(name):
    with pytest.raises(Problem, match="names no model of the hub; write hf-hub:owner/name"):
        parse_hub_name(name)


def test_without_leave_nothing_is_fetched(cache, no_network):
    with pytest.raises(
        Problem, match="someone/vit is not on this machine: nothing is fetched unasked; allow the download"
    ):
        fetch_file(PLACE, WEIGHT_FILES, download=False)


def test_with_leave_it_is_fetched_and_from_then_on_there(hub, monkeypatch):
    hub.files["model.safetensors"] = b"numbers"
    path = fetch_file(PLACE, WEIGHT_FILES, download=True)
    assert path.read_bytes() == b"numbers" and path.parent.name == COMMIT
    asked = len(hub.asked)
    assert fetch_file(PLACE, WEIGHT_FILES, download=False) == path and len(hub.asked) == asked > 0


def test_the_older_format_is_taken_where_there_is_no_other(hub):
    hub.files["pytorch_model.bin"] = b"numbers"
    assert fetch_file(PLACE, WEIGHT_FILES, download=True).name == "pytorch_model.bin"


def test_a_repository_without_weights_is_one_sentence(hub):
    with pytest.raises(
        Problem, match=r"someone/vit holds nothing that can be read: it has no model.safetensors or pytorch"
    ):
        fetch_file(PLACE, WEIGHT_FILES, download=True)


def test_too_large_a_file_is_refused_before_it_is_fetched(hub, monkeypatch):
    hub.files["model.safetensors"] = bytes(100)
    monkeypatch.setattr(model_hub, "MAX_BYTES", 99)
    with pytest.raises(Problem, match=r"model.safetensors of someone/vit is too large"):
        fetch_file(PLACE, WEIGHT_FILES, download=True)
    assert not [line for line in hub.asked if line.startswith("GET")]


def test_a_file_that_is_not_what_was_published_is_thrown_away(hub):
    hub.files["model.safetensors"] = b"numbers"
    path = fetch_file(PLACE, WEIGHT_FILES, download=True)
    path.resolve().write_bytes(b"numbxrs")
    with pytest.raises(Problem, match="damaged: its sha256 is not the one it was published with"):
        fetch_file(PLACE, WEIGHT_FILES, download=False)
    assert fetch_file(PLACE, WEIGHT_FILES, download=True).read_bytes() == b"numbers"


def test_a_network_that_fails_is_one_sentence(hub, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr("time.sleep", lambda seconds: None)  # the client tries again and again, for half a minute
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{probe.getsockname()[1]}"
    monkeypatch.setattr(constants, "ENDPOINT", nobody)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", nobody + "/{repo_id}/resolve/{revision}/{filename}")
    with pytest.raises(
        Problem, match=r"someone/vit could not be fetched: .*; check the name and the network"
    ) as raised:
        fetch_file(PLACE, WEIGHT_FILES, download=True)
    assert "\n" not in str(raised.value)


def test_the_config_is_plain_values(hub):
    hub.files["config.json"] = json.dumps({"architecture": "test_vit"}).encode()
    assert fetch_config(PLACE, download=True) == {"architecture": "test_vit"}


@pytest.mark.parametrize("content", [b"{", b"[1]", b"\xff\xfe", b"[" * 100_000, b" " * 2**20 + b"{}"])
def test_a_config_that_is_no_table_is_one_sentence(hub, content, cache):
    hub.files["config.json"] = content
    with pytest.raises(Problem, match=r"config.json of someone/vit could not be read"):
        fetch_config(PLACE, download=True)
    shutil.rmtree(cache)


def test_a_pinned_repository_is_read_at_the_commit_of_its_config(hub):
    hub.files = {"config.json": b"{}", "model.safetensors": b"weights"}
    place = pin(PLACE, download=True)
    assert place == HubModel("someone/vit", COMMIT)
    hub.asked.clear()
    fetch_file(place, WEIGHT_FILES, download=True)
    assert hub.asked and all(f"/resolve/{COMMIT}/" in request for request in hub.asked)


def test_nothing_is_pinned_over_the_network_unasked(cache, no_network):
    with pytest.raises(Problem, match="is not on this machine"):
        pin(PLACE, download=False)
