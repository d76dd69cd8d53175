"""How many pictures a session holds: counted once each, forgotten when replaced, refused in one sentence beyond the bound."""

import io

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from vitviz.errors import Problem
from vitviz.ui import quota
from vitviz.ui.quota import MAX_BYTES, MAX_PICTURES, hold


@pytest.fixture(autouse=True)
def session(monkeypatch) -> dict:
    """What Streamlit keeps for the session."""
    kept = {}
    monkeypatch.setattr(quota.st, "session_state", kept)
    return kept


def pictures(number: int, size: int = 1000, first: int = 0) -> dict[str, int]:
    return {f"key{first + index}": size for index in range(number)}


def test_as_many_pictures_as_are_allowed_are_held_and_one_more_is_refused():
    hold("uploader", pictures(MAX_PICTURES))
    with pytest.raises(Problem, match="201 pictures of 0 MB are more than a session may hold: at most 200 and 100 MB"):
        hold("camera", {"another": 1000})
    with pytest.raises(Problem, match=r"; remove some of them, or reload the page to begin anew$"):
        hold("camera", {"another": 1000})


def test_as_many_bytes_as_are_allowed_are_held_and_one_more_is_refused():
    hold("uploader", {"a": MAX_BYTES - 5})
    hold("camera", {"b": 5})
    with pytest.raises(Problem, match="2 pictures of 100 MB"):
        hold("camera", {"b": 6})


def test_a_picture_in_two_places_counts_once():
    hold("uploader", {"a": MAX_BYTES})
    hold("camera", {"a": MAX_BYTES})


def test_a_place_holds_what_it_was_given_last():
    for index in range(3):
        hold("camera", {f"snapshot {index}": MAX_BYTES})
    hold("camera", {})
    hold("uploader", {"another": MAX_BYTES})


def test_what_was_refused_is_not_held():
    hold("uploader", pictures(150))
    with pytest.raises(Problem):
        hold("camera", pictures(51, first=150))
    hold("camera", pictures(50, first=150))


def png(seed: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (40, 60, 3), np.uint8)).save(file, "PNG")
    return file.getvalue()


def _page() -> None:
    import streamlit as st

    from vitviz.ui.pickers import decode_given, pick_image
    from vitviz.ui.problems import shown_problems

    with shown_problems():
        picked = pick_image("place")
        if picked is not None:
            st.text(f"{picked.pixels.shape} {picked.name}")
    for name, content in st.session_state.get("given", {}).items():
        with shown_problems():
            decode_given(content, name, max_side=1024)


def test_the_pickers_hold_what_they_decode(monkeypatch):
    monkeypatch.undo()
    app = AppTest.from_function(_page, default_timeout=60)
    app.session_state["given"] = {f"{index}.png": png(index) for index in range(3)}
    app.run()
    assert sorted(app.session_state["held_pictures"]) == ["0.png", "1.png", "2.png"]
    monkeypatch.setattr(quota, "MAX_PICTURES", 3)
    app.file_uploader[0].set_value(("cat [x](https://evil.example).png", png(7), "image/png")).run()
    assert app.error[0].value.startswith("4 pictures of 0 MB are more than a session may hold")
    app.session_state["given"] = {}
    app.session_state["held_pictures"] = {}
    app.run()
    assert not app.error
    assert app.text[0].value == "(40, 60, 3) cat [x](https://evil.example).png"
    assert list(app.session_state["held_pictures"]) == ["place_file"]
