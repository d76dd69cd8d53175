"""A Streamlit server over a fake run."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def server(serve) -> str:
    """The address of a running fake app."""
    here = Path(__file__).parent
    return serve(here / "fake_app.py", PYTHONPATH=f"{here}{os.pathsep}{here.parents[2]}").address
