"""A Streamlit server over a fake run."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def server(serve) -> str:
    """The address of a running fake app."""
    return serve(Path(__file__).parent / "fake_app.py").address
