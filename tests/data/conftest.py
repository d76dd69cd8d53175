"""Every test here gets a cache of its own and no data folder, and may write small images that tell their place."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(autouse=True)
def own_cache(request, tmp_path, monkeypatch):
    """``VITVIZ_CACHE`` in the test's folder; ``VITVIZ_DATA`` is kept for tests marked ``data`` and empty for others."""
    monkeypatch.setenv("VITVIZ_CACHE", str(tmp_path / "cache"))
    if not request.node.get_closest_marker("data"):
        monkeypatch.setenv("VITVIZ_DATA", str(tmp_path / "data"))


@pytest.fixture
def encode():
    """``encode(number, size, kind)``: the bytes of an image (width, height) of random pixels that depend on ``number``."""

    def make(number: int = 0, size: tuple[int, int] = (16, 16), kind: str = "PNG") -> bytes:
        pixels = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, kind)
        return file.getvalue()

    return make


@pytest.fixture
def make_folder(encode):
    """``make_folder(root, {"cat/1.png": (16, 16)})``: write images of the given sizes and return ``root``."""

    def make(root: Path, sizes: dict[str, tuple[int, int]]) -> Path:
        for number, (name, size) in enumerate(sizes.items()):
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode(number, size))
        return root

    return make
