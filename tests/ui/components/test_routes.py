"""The routes of a run over plain HTTP."""

import gzip
import io
import re
import urllib.error
import urllib.request

import numpy as np
import pytest
from PIL import Image
from starlette.requests import Request

from vitviz.ui.routes import routes

START = "/vitviz/runs/fake"


def _get(address: str, **headers: str):
    request = urllib.request.Request(
        address, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )
    with urllib.request.urlopen(request) as answer:
        return answer.status, answer.headers, answer.read()


def _status_of(address: str, method: str = "GET", **headers: str) -> int:
    request = urllib.request.Request(address, method=method, headers=headers)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    caught.value.close()
    return caught.value.code


def test_the_map_is_sent_gzipped_and_kept_for_good_under_its_version(server):
    _, headers, packed = _get(f"{server}{START}/map.bin?v=v1", Accept_Encoding="gzip")
    assert headers["Content-Encoding"] == "gzip"
    assert headers["Cache-Control"] == "private, max-age=31536000, immutable"
    assert gzip.decompress(packed)[:4] == b"VZRM"


def test_the_map_is_sent_inflated_to_a_client_without_gzip(server):
    _, headers, content = _get(f"{server}{START}/map.bin?v=old", Accept_Encoding="identity")
    assert headers["Content-Encoding"] is None
    assert headers["Cache-Control"] == "no-cache"
    assert content[:4] == b"VZRM"


def test_a_known_version_is_not_sent_again(server):
    assert _status_of(f"{server}{START}/margin.bin", **{"If-None-Match": '"v1"'}) == 304


@pytest.mark.parametrize(
    "path",
    [
        "/vitviz/runs/other/map.bin",
        "/vitviz/runs/..%2ffake/map.bin",
        f"{START}/tile-1.webp",
        f"{START}/tile-99999.webp",
    ],
)
def test_what_is_not_listed_is_not_found(server, path):
    assert _status_of(server + path) in (400, 404)


def test_only_reading_is_allowed(server):
    assert _status_of(f"{server}{START}/map.bin", method="POST") == 405


def test_a_tile_holds_the_thumbnails_in_sample_order(server):
    _, headers, content = _get(f"{server}{START}/tile-0.webp?v=v1")
    assert headers["Content-Type"] == "image/webp"
    sheet = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), int)
    assert sheet.shape == (1024, 1024, 3)
    shade = 33 * 3 * 37 % 256  # sample 33 is image 99: second row, second column
    middle = sheet[32 + 8 : 32 + 24, 32 + 8 : 32 + 24].mean(axis=(0, 1))
    assert np.abs(middle - [shade, 120, 255 - shade]).max() < 12


def test_what_breaks_is_a_number_that_leads_to_the_log(caplog):
    def broken(name):
        raise ZeroDivisionError("of no use to a browser")

    request = Request({"type": "http", "path_params": {"run": "any"}, "headers": [], "query_string": b""})
    answer = routes(find=broken)[0].endpoint(request)
    assert answer.status_code == 500 and answer.headers["Cache-Control"] == "no-store"
    (incident,) = re.findall(rb"something broke \(incident ([0-9a-f]{6})\)", answer.body)
    assert incident.decode() in caplog.text and b"browser" not in answer.body
