"""What pages keep for the browser: found again, bounded, and served."""

import io
import threading

import numpy as np
import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient

from vitviz.explain.canvas_layers import pack_heat
from vitviz.ui import kept
from vitviz.ui.kept import Shelf, encode_picture, keep, keep_picture
from vitviz.ui.routes import routes

BINARY = "application/octet-stream"


@pytest.fixture
def client() -> TestClient:
    """The routes of the app without Streamlit."""
    return TestClient(Starlette(routes=routes()))


def test_what_is_kept_is_found_until_there_is_no_room():
    shelf = Shelf(max_bytes=10)
    first, second = shelf.put(b"aaaaa", BINARY), shelf.put(b"bbbbb", BINARY)
    assert shelf.get(first).content == b"aaaaa"
    third = shelf.put(b"ccccc", BINARY)
    assert shelf.get(second) is None, "the least recently used goes first"
    assert shelf.get(first).content + shelf.get(third).content == b"aaaaaccccc"


def test_the_same_content_is_kept_once():
    shelf = Shelf(max_bytes=10)
    assert len({shelf.put(b"aaaaa", BINARY) for _ in range(9)}) == 1
    other = shelf.put(b"bbbbb", BINARY)
    assert shelf.get(shelf.put(b"aaaaa", BINARY)) is not None
    assert shelf.get(other) is not None


def test_one_content_of_two_kinds_has_two_addresses():
    assert keep(b"x", "image/png") != keep(b"x", BINARY)


def test_what_does_not_fit_or_is_no_picture_is_refused():
    with pytest.raises(ValueError, match="more than"):
        Shelf(max_bytes=3).put(b"aaaa", BINARY)
    with pytest.raises(ValueError, match="media_type"):
        keep(b"<script>", "text/html")


def test_many_threads_may_keep_at_once():
    shelf = Shelf(max_bytes=1000)

    def fill(start: int) -> None:
        for index in range(300):
            shelf.put(bytes([start, index % 256]) * 20, BINARY)

    threads = [threading.Thread(target=fill, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    items = shelf._items.values()
    assert shelf._num_bytes == sum(len(item.content) for item in items) <= 1000


def test_a_kept_thing_is_served_for_good_and_not_twice(client):
    address = keep(b"\x89PNG...", "image/png")
    answer = client.get(address)
    assert (answer.content, answer.headers["content-type"]) == (b"\x89PNG...", "image/png")
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert client.get(address, headers={"If-None-Match": answer.headers["etag"]}).status_code == 304


def test_what_is_gzipped_reaches_the_browser_inflated(client):
    address = keep(pack_heat(np.zeros((2, 2))), BINARY)
    assert client.get(address).content[:4] == b"VZHT"
    assert client.get(address, headers={"Accept-Encoding": "identity"}).content[:4] == b"VZHT"


@pytest.mark.parametrize("digest", ["0" * 64, "..%2f..%2fetc%2fpasswd", "x"])
def test_what_is_not_kept_is_not_found(client, digest):
    answer = client.get(f"{kept.kept_prefix()}/{digest}")
    assert answer.status_code == 404
    assert "immutable" not in answer.headers.get("cache-control", "")


def test_a_small_picture_and_an_exact_one_lose_nothing(client):
    rng = np.random.default_rng(0)
    small, large = rng.integers(0, 256, (5, 9, 3), np.uint8), rng.integers(0, 256, (300, 20, 3), np.uint8)
    for address, pixels in ((keep_picture(small), small), (keep_picture(large, exact=True), large)):
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(client.get(address).content))), pixels)
    assert encode_picture(large)[1] == "image/jpeg"
