"""Pictures decoded by the child process that serves all sessions, against decoding them in process: ms a picture.

``python -m benchmarks.decoding [--quick] [--json]``. Beside the time: memory of the child, of which the server keeps free.
"""

import io

import numpy as np
import psutil
from PIL import Image

from benchmarks.table import Row, interleaved, main
from vitviz.data.decoding_apart import DecodingChild
from vitviz.data.images import decode_image

RIVAL = "in process"
MAX_SIDE = 1024
SIZES = {"256 x 256": (256, 256), "1,024 x 768": (1024, 768), "12 megapixels": (4000, 3000)}


def measure(quick: bool) -> list[Row]:
    """JPEGs of three sizes and a PNG, shrunk to 1,024 pixels; raises AssertionError when a pixel differs."""
    child = DecodingChild()
    pictures = {f"JPEG, {name}": _encode(size, "JPEG") for name, size in SIZES.items()}
    pictures["PNG, 1,024 x 768"] = _encode(SIZES["1,024 x 768"], "PNG")
    try:
        rows = [_compare(child, name, content, pairs=9 if quick else 60) for name, content in pictures.items()]
        memory = psutil.Process(child.pid).memory_info().rss
    finally:
        child.close()
    return [*rows, Row("memory of the child", memory / 2**20, "MB")]


def _compare(child: DecodingChild, name: str, content: bytes, *, pairs: int) -> Row:
    def ours() -> np.ndarray:
        return child.ask("image", content, name=name, max_side=MAX_SIDE)[0][0]

    def rival() -> np.ndarray:
        return decode_image(content, name=name, max_side=MAX_SIDE).pixels

    assert np.array_equal(ours(), rival()), f"{name}: the child gives other pixels"
    seconds, rival_seconds = interleaved(ours, rival, pairs=pairs)
    return Row(name, seconds * 1e3, "ms", RIVAL, rival_seconds * 1e3)


def _encode(size: tuple[int, int], kind: str) -> bytes:
    """Smooth noise, which compresses about as photographs do."""
    width, height = size
    coarse = np.random.default_rng(0).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    file, options = io.BytesIO(), {"quality": 88} if kind == "JPEG" else {}
    Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(file, kind, **options)
    return file.getvalue()


if __name__ == "__main__":
    main(measure, __doc__)
