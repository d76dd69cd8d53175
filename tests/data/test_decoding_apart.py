"""The process that decodes: the same results as here, and what becomes of it, its files and its server when one goes wrong."""

import io
import os
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
import scipy.io
from PIL import Image

from vitviz.data import decoding_apart
from vitviz.data.decoding_apart import DecodingChild, check_answer, decode_image_apart, read_ground_truth_apart
from vitviz.data.decoding_child import MEMORY, NICENESS
from vitviz.data.ground_truth import read_ground_truth
from vitviz.data.images import decode_image
from vitviz.errors import Problem

ROOT = Path(__file__).resolve().parents[2]
SPOILED_PILLOW = """
import io, json, os, struct
import PIL.Image
honest = PIL.Image.open
def spoiled(file, **settings):
    content = file.getvalue()
    if content == b"abort": os.abort()
    if content == b"hoard": bytearray(2**31)
    if content == b"nonsense": os.write(0, bytes(range(64)))
    while content == b"spin": pass
    return honest(file, **settings)
PIL.Image.open = spoiled
"""


def save(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def noise(height: int = 60, width: int = 90, depth: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, depth), np.uint8)


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def truth_file() -> bytes:
    cells, file = np.empty((1, 2), object), io.BytesIO()
    for number in range(2):
        cells[0, number] = {"Segmentation": noise()[..., number].astype(np.uint16)}
    scipy.io.savemat(file, {"groundTruth": cells})
    return file.getvalue()


GREY = noise()[..., 0]
PICTURES = {
    "a.png": save(Image.fromarray(noise())),
    "turned.jpg": save(Image.fromarray(noise()), "JPEG", exif=turned()),
    "large.jpg": save(Image.fromarray(noise(300, 500)), "JPEG"),
    "clear.webp": save(Image.fromarray(noise(depth=4)), "WEBP"),
    "deep.png": save(Image.fromarray(GREY.astype(np.uint16) * 77)),
    "float.tif": save(Image.fromarray(GREY / np.float32(7)), "TIFF"),
    "film.gif": save(
        Image.fromarray(GREY), "GIF", save_all=True, append_images=[Image.fromarray(255 - GREY)] * 2, duration=9
    ),
    "print.jpg": save(Image.fromarray(noise(depth=4), "CMYK"), "JPEG"),
}
NO_PICTURES = {
    "empty.png": b"",
    "cut.jpg": PICTURES["a.png"][:900],
    "torn [x](https://evil.example).webp": PICTURES["clear.webp"][:200],
    "text.txt": b"%!PS-Adobe-3.0 EPSF-3.0",
    "dot.png": save(Image.new("RGB", (1, 1))),
    "huge.bmp": b"BM" + bytes(16) + (40_000).to_bytes(4, "little") * 2 + bytes(60),
    "\udcff lone.png": b"x",
}


@pytest.fixture(scope="module")
def child() -> Iterator[DecodingChild]:
    made = DecodingChild()
    yield made
    made.close()


@pytest.fixture
def spoiled(tmp_path, monkeypatch) -> Iterator[DecodingChild]:
    """A child in which some files do to Pillow what a bug in a decoder might, and which takes no file of three seconds."""
    (tmp_path / "sitecustomize.py").write_text(SPOILED_PILLOW)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(decoding_apart, "_SPARE_SECONDS", 2.0)
    made = DecodingChild(seconds=3.0, wait_seconds=0.01)
    yield made
    made.close()


def problem_of(work) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with pytest.raises(Problem) as caught:
            work()
    return (caught.value.what, caught.value.why, caught.value.hint)


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_exactly_what_it_is_when_decoded_here(child, name):
    (pixels,), notes = child.ask("image", PICTURES[name], name=name, max_side=64)
    here = decode_image(PICTURES[name], name=name, max_side=64)
    np.testing.assert_array_equal(pixels, here.pixels)
    assert (pixels.dtype, notes) == (np.uint8, here.notes)
    assert not pixels.flags.writeable


@pytest.mark.parametrize("name", NO_PICTURES)
def test_what_is_no_picture_gets_exactly_the_sentence_it_gets_here(child, name):
    content = NO_PICTURES[name]
    here = problem_of(lambda: decode_image(content, name=name, max_side=64))
    assert problem_of(lambda: child.ask("image", content, name=name, max_side=64)) == here


def test_drawings_of_people_are_read_by_the_same_child(child):
    maps, _ = child.ask("ground_truth", truth_file(), name="1.mat")
    np.testing.assert_array_equal(maps, read_ground_truth(truth_file(), name="1.mat"))
    assert {one.dtype for one in maps} == {np.dtype(np.int32)}
    colours = PICTURES["a.png"]
    here = problem_of(lambda: read_ground_truth(colours, name="a.png"))
    assert problem_of(lambda: child.ask("ground_truth", colours, name="a.png")) == here


def test_all_sessions_share_one_child():
    def ask() -> None:
        decoded = decode_image_apart(PICTURES["a.png"], name="a.png", max_side=64)
        found.append((decoding_apart._shared_child().pid, decoded.pixels.tobytes()))

    found, threads = [], [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6 and len(set(found)) == 1
    assert len(read_ground_truth_apart(truth_file(), name="1.mat")) == 2


def test_a_file_that_ends_the_decoder_is_one_sentence_and_the_next_is_read(spoiled):
    words = r"cat\.png could not be read: it ended the program that decodes; save it anew"
    for _ in range(2):
        with pytest.raises(Problem, match=words):
            spoiled.ask("image", b"abort", name="cat.png", max_side=64)
    assert spoiled.ask("image", PICTURES["a.png"], name="a.png", max_side=64)[0][0].shape == (43, 64, 3)


def test_a_child_that_was_harmed_before_is_replaced_and_the_file_is_read(child):
    child.ask("image", PICTURES["a.png"], name="a.png", max_side=64)
    first = child.pid
    os.kill(first, signal.SIGSTOP)  # so that it dies with the question unanswered
    answers = []
    asking = threading.Thread(
        target=lambda: answers.append(child.ask("image", PICTURES["a.png"], name="a.png", max_side=64))
    )
    asking.start()
    os.kill(first, signal.SIGKILL)
    asking.join()
    assert len(answers) == 1 and child.pid != first


def test_a_file_that_never_ends_is_given_up(spoiled):
    with pytest.raises(Problem, match=r"cat\.png could not be read: decoding it takes longer than 3 seconds; make it"):
        spoiled.ask("image", b"spin", name="cat.png", max_side=64)
    assert spoiled.pid is None


def test_a_child_that_hears_no_alarm_is_ended_by_its_parent(spoiled):
    spoiled.ask("image", PICTURES["a.png"], name="a.png", max_side=64)
    process = psutil.Process(spoiled.pid)
    process.suspend()
    with pytest.raises(Problem, match="takes longer than 3 seconds"):
        spoiled.ask("image", PICTURES["a.png"], name="cat.png", max_side=64)
    assert not process.is_running()


def test_a_file_that_needs_more_memory_than_there_is_for_the_child_is_one_sentence(spoiled):
    if sys.platform == "darwin":
        pytest.skip("macOS does not bound the address space")
    with pytest.raises(Problem, match=r"cat\.png could not be read: there is not enough memory for it"):
        spoiled.ask("image", b"hoard", name="cat.png", max_side=64)
    assert spoiled.pid is not None


def test_nonsense_of_a_child_that_was_taken_over_is_not_believed(spoiled):
    with pytest.raises(Problem, match="it ended the program that decodes"):
        spoiled.ask("image", b"nonsense", name="cat.png", max_side=64)


@pytest.mark.parametrize(
    ("task", "answer", "size"),
    [
        ("image", {}, 0),
        ("image", {"problem": "text"}, 0),
        ("image", {"problem": [1, 2]}, 0),
        ("image", {"problem": ["a"] * 4}, 0),
        ("image", {"arrays": [], "notes": []}, 0),
        ("image", {"arrays": [[2, 2, 3]] * 2, "notes": []}, 24),
        ("image", {"arrays": [[2, 2, 4]], "notes": []}, 16),
        ("image", {"arrays": [[2, 2]], "notes": []}, 4),
        ("image", {"arrays": [[2, -2, 3]], "notes": []}, 12),
        ("image", {"arrays": [[2, 2.0, 3]], "notes": []}, 12),
        ("image", {"arrays": [[2**40, 2**40, 3]], "notes": []}, 12),
        ("image", {"arrays": [[2, 2, 3]], "notes": []}, 13),
        ("image", {"arrays": [[2, 2, 3]], "notes": []}, 11),
        ("image", {"arrays": [[2, 2, 3]], "notes": [7]}, 12),
        ("image", {"arrays": [[2, 2, 3]], "notes": ["a"] * 99}, 12),
        ("image", {"arrays": [[2, 2, 3]], "notes": ["[x](https://evil.example)"]}, 12),
        ("image", {"arrays": [[2, 2, 3]], "notes": ["www.evil.example"]}, 12),
        ("image", {"arrays": 7, "notes": []}, 12),
        ("ground_truth", {"arrays": [[2, 2, 3]], "notes": []}, 48),
        ("ground_truth", {"arrays": [[2, 2]] * 51, "notes": []}, 51 * 16),
    ],
)
def test_an_answer_that_no_honest_child_gives_is_refused(task, answer, size):
    with pytest.raises((ValueError, TypeError, KeyError)) as caught:
        check_answer(task, answer, bytearray(size))
    assert not isinstance(caught.value, Problem)


def test_who_stands_in_line_too_long_is_told_to_try_again(spoiled):
    def spin() -> None:
        with pytest.raises(Problem, match="takes longer"):
            spoiled.ask("image", b"spin", name="a", max_side=64)
        ended.append(True)

    ended, asking = [], threading.Thread(target=spin)
    asking.start()
    while spoiled.pid is None and asking.is_alive():
        pass
    with pytest.raises(Problem, match=r"cat\.png was not read: this server is busy with other files; try again"):
        spoiled.ask("image", PICTURES["a.png"], name="cat.png", max_side=64)
    asking.join()
    assert ended == [True]


def test_the_child_is_started_when_it_is_needed_and_bounds_itself():
    child = DecodingChild()
    assert child.pid is None
    child.ask("image", PICTURES["a.png"], name="a.png", max_side=64)
    child.ask("ground_truth", truth_file(), name="1.mat")
    process = psutil.Process(child.pid)
    assert process.nice() == min(psutil.Process().nice() + NICENESS, 19)
    if sys.platform == "linux":
        assert process.rlimit(psutil.RLIMIT_AS) == (MEMORY, MEMORY)
        assert not any("torch" in one.path for one in process.memory_maps())
    child.close()
    assert child.pid is None and not process.is_running()


def test_the_child_dies_with_its_parent_however_that_ends():
    code = (
        "import os, signal, sys\n"
        "from vitviz.data.decoding_apart import DecodingChild\n"
        "child = DecodingChild()\n"
        "child.ask('image', sys.stdin.buffer.read(), name='a', max_side=64)\n"
        "print(child.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    # the child holds the other end of stderr: the call returns when it, too, has ended
    done = subprocess.run(
        [sys.executable, "-c", code], input=PICTURES["a.png"], cwd=ROOT, capture_output=True, timeout=60
    )
    assert done.returncode == -signal.SIGKILL
    assert int(done.stdout) and done.stderr == b""


def test_an_interrupt_for_the_server_is_not_for_the_child(child):
    child.ask("image", PICTURES["a.png"], name="a.png", max_side=64)
    first = child.pid
    os.kill(first, signal.SIGINT)
    child.ask("image", PICTURES["a.png"], name="a.png", max_side=64)
    assert child.pid == first
