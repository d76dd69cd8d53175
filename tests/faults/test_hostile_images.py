"""Images that were made to do harm: whatever the bytes, pixels or one sentence; a bomb costs its header and no more."""

import io
import struct
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np
import psutil
import pytest
from PIL import Image

from vitviz.data.decoding_apart import DecodingChild
from vitviz.data.images import FORMATS
from vitviz.errors import Problem

MAX_SIDE = 1024
NUM_QUICK, NUM_FULL = 1_000, 100_000


def save(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def originals() -> list[bytes]:
    """Every format, in the modes that are read differently."""
    pixels = np.random.default_rng(0).integers(0, 256, (24, 31, 4), np.uint8)
    colour, clear, grey = (Image.fromarray(pixels[..., part]) for part in (slice(3), slice(4), 0))
    exif = Image.Exif()
    exif[0x0112] = 6
    found = [save(colour, kind) for kind in FORMATS]
    found += [
        save(clear, "PNG"),
        save(clear, "WEBP"),
        save(grey, "PNG"),
        save(grey.convert("P"), "PNG", transparency=3),
        save(Image.fromarray(pixels[..., 0].astype(np.uint16) * 200), "PNG"),
        save(Image.fromarray(pixels[..., 0] / np.float32(3)), "TIFF"),
        save(colour, "TIFF", compression="tiff_lzw"),
        save(colour, "TIFF", compression="tiff_deflate"),
        save(grey.convert("1"), "TIFF", compression="group4"),
        save(colour, "JPEG", progressive=True, exif=exif),
        save(colour.convert("CMYK"), "JPEG"),
        save(grey, "GIF", save_all=True, append_images=[grey.rotate(90)] * 2),
        save(colour, "WEBP", lossless=True),
        save(grey.convert("1"), "BMP"),
    ]
    return found


def png(width: int, height: int, *, depth: int = 1, rows: bytes = b"", more: bytes = b"") -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + more + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


def text_chunk(size: int) -> bytes:
    body = b"note\0\0" + zlib.compress(bytes(size), 9)
    return struct.pack(">I", len(body)) + b"zTXt" + body + struct.pack(">I", zlib.crc32(b"zTXt" + body))


def tiff(width: int, height: int, *, tile: int = 0) -> bytes:
    """A grey TIFF of zeros in one strip, or one tile, deflated."""
    data = zlib.compress(bytes(2**20), 9)
    tags = {256: width, 257: height, 258: 8, 259: 8, 262: 1, 277: 1}
    places = {322: tile, 323: tile, 324: 8, 325: len(data)} if tile else {273: 8, 278: height, 279: len(data)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted({**tags, **places}.items()))
    count = struct.pack("<H", len(tags) + len(places))
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + count + entries + bytes(4)


def webp(width: int, height: int) -> bytes:
    sizes = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    still = save(Image.new("RGB", (8, 8)), "WEBP", lossless=True)[12:]
    body = b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + sizes + still
    return b"RIFF" + struct.pack("<I", len(body)) + body


def jpeg(width: int, height: int) -> bytes:
    content = save(Image.new("L", (8, 8)), "JPEG")
    start = content.index(b"\xff\xc0") + 5
    return content[:start] + struct.pack(">HH", height, width) + content[start + 4 :]


def bmp(width: int, height: int) -> bytes:
    content = save(Image.new("1", (8, 8)), "BMP")
    return content[:18] + struct.pack("<ii", width, height) + content[26:]


BOMBS: dict[str, Callable[[], bytes]] = {
    "100 megapixels in 13 kB": lambda: png(10_000, 10_000, rows=bytes(1251) * 10_000),
    "a PNG of 3,600 megapixels": lambda: png(60_000, 60_000),
    "a BMP of 4,225 megapixels": lambda: bmp(65_000, 65_000),
    "a GIF of 4,294 megapixels": lambda: b"GIF89a\xff\xff\xff\xff" + save(Image.new("P", (8, 8)), "GIF")[10:],
    "a TIFF of 2,500 megapixels": lambda: tiff(50_000, 50_000),
    "a TIFF of one tile of 1,600 megapixels": lambda: tiff(64, 64, tile=40_000),
    "a WebP of 268 megapixels": lambda: webp(16_383, 16_383),
    "a JPEG of 4,225 megapixels": lambda: jpeg(65_000, 65_000),
}


@pytest.fixture(scope="module")
def child() -> Iterator[DecodingChild]:
    made = DecodingChild()
    yield made
    made.close()


def outcome(child: DecodingChild, content: bytes) -> str:
    """``"pixels"``, or why there are none. What is no Problem is not caught."""
    try:
        (pixels,), _ = child.ask("image", content, name="it.png", max_side=MAX_SIDE)
    except Problem as problem:
        sentence, why = str(problem), problem.why
    else:
        assert pixels.dtype == np.uint8 and pixels.shape[2] == 3 and max(pixels.shape) <= MAX_SIDE
        return "pixels"
    assert sentence.startswith("it.png ") and "\n" not in sentence
    return why


def test_a_thousand_mutated_images_are_pixels_or_one_sentence_and_end_nothing(child, mutants):
    found = Counter(outcome(child, content) for content in mutants(originals(), NUM_QUICK, seed=0))
    first = child.pid
    assert found["pixels"] > 100 and len(found) > 3
    assert not [why for why in found if "ended the program" in why]
    assert child.pid == first is not None


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_by_what_its_header_claims(child, name):
    content = BOMBS[name]()
    assert len(content) < 20_000
    why = outcome(child, content)
    assert "megapixels" in why or why == "its header claims more pixels than are ever read"


def test_a_text_beside_the_picture_that_inflates_to_gigabytes_is_refused(child):
    why = outcome(child, png(8, 8, rows=bytes(16), more=text_chunk(2**26) * 20))
    assert why == "the file ends too early or is damaged"


@pytest.mark.full
def test_a_hundred_thousand_mutated_images(child, mutants, tell):
    found, slowest = Counter(), (0.0, -1)
    outcome(child, originals()[0])
    first, before = child.pid, psutil.Process(child.pid).memory_info().rss
    for index, content in enumerate(mutants(originals(), NUM_FULL, seed=1)):
        start = time.perf_counter()
        found[outcome(child, content)] += 1
        slowest = max(slowest, (time.perf_counter() - start, index))
    growth = (psutil.Process(child.pid).memory_info().rss - before) / 2**20
    tell(
        f"{NUM_FULL:,} mutated images: {found['pixels']:,} pixels, {NUM_FULL - found['pixels']:,} sentences, 0 tracebacks"
    )
    tell(
        f"slowest {slowest[0]:.3f} s (mutant {slowest[1]}), child grew by {growth:.1f} MB, {dict(found.most_common(4))}"
    )
    assert not [why for why in found if "ended the program" in why]
    assert child.pid == first


@pytest.mark.full
@pytest.mark.parametrize("name", BOMBS)
def test_what_a_bomb_costs(name, tell):
    child, content = DecodingChild(), BOMBS[name]()
    try:
        outcome(child, originals()[0])
        process = psutil.Process(child.pid)
        before, start = _peak(process), time.perf_counter()
        why = outcome(child, content)
        tell(f"{name}: {1e3 * (time.perf_counter() - start):.1f} ms, peak +{_peak(process) - before:.1f} MB: {why}")
    finally:
        child.close()


def _peak(process: psutil.Process) -> float:
    """The most memory (MB) that a process has had; what it has now where the system does not keep that."""
    if sys.platform == "linux":
        with open(f"/proc/{process.pid}/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) / 1024
    return process.memory_info().rss / 2**20
