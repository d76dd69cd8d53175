"""A picture that goes along from one page of photos to another."""

from pathlib import Path

import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from vitviz.ui.photos import bundled_photo, link_to
from vitviz.ui.pickers import PickedImage

PAGE = Path(__file__).parent / "photo_app.py"


@pytest.fixture(autouse=True)
def fresh() -> None:
    st.cache_resource.clear()


def _mine(key: str) -> PickedImage:
    return PickedImage(np.full((4, 6, 3), 7, np.uint8), f"{key}.png", ("scaled by its own range",), key)


def _open(**query: str) -> AppTest:
    app = AppTest.from_file(PAGE)
    app.query_params.update(query)
    app.run()
    assert not app.exception
    return app


def test_a_bundled_photograph_is_named_in_the_link():
    assert link_to(bundled_photo("coffee")) == {"photo": "coffee"}
    assert [one.value for one in _open(photo="coffee").text] == ["A cup of coffee"]


def test_an_uploaded_picture_is_found_under_the_hash_of_its_content_with_its_notes():
    link = link_to(_mine("abc"))
    assert link == {"given": "abc"}
    app = _open(**link)
    assert [one.value for one in app.text] == ["abc.png"]
    said = " ".join(one.value for one in app.sidebar.caption)
    assert "from another page" in said and "scaled by its own range" in said


def test_a_picture_that_is_gone_says_so_and_a_photograph_stands_in():
    app = _open(given="ffff")
    assert "no longer on the server" in app.sidebar.caption[0].value
    assert app.text[0].value == "Chelsea the cat"


def test_the_last_sixteen_are_kept():
    for number in range(20):
        link_to(_mine(f"{number:02}"))
    assert [_open(given=key).text[0].value for key in ("03", "04", "19")] == ["Chelsea the cat", "04.png", "19.png"]
