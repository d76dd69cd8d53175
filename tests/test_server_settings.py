"""What the server is told in ``.streamlit/config.toml``, and that docs/security.md names tests that are there."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
WANTED = {
    "server": {
        "address": "127.0.0.1",
        "enableXsrfProtection": True,
        "enableStaticServing": False,
        "maxUploadSize": 20,
        "disconnectedSessionTTL": 600,
    },
    "browser": {"gatherUsageStats": False},
    "client": {"showErrorDetails": "none"},
}


@pytest.mark.parametrize("section", WANTED)
def test_the_server_is_as_closed_as_is_promised(section):
    settings = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())
    assert settings[section] | WANTED[section] == settings[section]


def test_every_test_that_the_promises_name_is_there():
    named = re.findall(r"`(tests/[\w/]+\.py)`", (ROOT / "docs" / "security.md").read_text())
    assert len(set(named)) > 20
    assert [name for name in named if not (ROOT / name).is_file()] == []
