"""What the server is told in ``.streamlit/config.toml``, and that docs/security.md names tests that are there."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

from vitviz.data.decoding_apart import decode_image_apart
from vitviz.errors import Problem

ROOT = Path(__file__).resolve().parents[1]
WANTED = {
    "server": {
        "address": "127.0.0.1",
        "enableXsrfProtection": True,
        "enableStaticServing": False,
        "maxUploadSize": 400,  # weights; what takes pictures is bounded by itself
        "disconnectedSessionTTL": 600,
    },
    "browser": {"gatherUsageStats": False},
    "client": {"showErrorDetails": "none"},
}


@pytest.mark.parametrize("section", WANTED)
def test_the_server_is_as_closed_as_is_promised(section):
    settings = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())
    assert settings[section] | WANTED[section] == settings[section]


def test_every_place_that_takes_a_file_says_how_large_it_may_be():
    takers = [
        (path.name, ast.unparse(node))
        for path in (ROOT / "vitviz" / "ui").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("file_uploader")
    ]
    assert len(takers) >= 5
    assert [name for name, call in takers if "max_upload_size=" not in call] == []


def test_a_picture_above_20_megabytes_is_not_decoded():
    with pytest.raises(Problem, match=r"large.png was not read: 20\.0 MB, at most 20 are read"):
        decode_image_apart(bytes(20 * 2**20 + 1), name="large.png", max_side=64)


def test_every_test_that_the_promises_name_is_there():
    named = re.findall(r"`(tests/[\w/]+\.py)`", (ROOT / "docs" / "security.md").read_text())
    assert len(set(named)) > 20
    assert [name for name in named if not (ROOT / name).is_file()] == []
