"""A picture that goes along from one page of photos to another."""

import io
from pathlib import Path

import numpy as np
import pytest
import streamlit as st
from PIL import Image
from streamlit.testing.v1 import AppTest

from vitviz.ui import handed
from vitviz.ui.photos import MAX_SIDE, bundled_photo, link_to
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


def test_what_is_kept_is_bounded_in_bytes_and_the_one_used_longest_ago_goes_first(monkeypatch):
    monkeypatch.setattr(handed, "MAX_BYTES", 4 * _mine("").pixels.nbytes)
    for number in range(4):
        link_to(_mine(f"{number}"))
    assert _open(given="0").text[0].value == "0.png"
    link_to(_mine("4"))
    shown = [_open(given=key).text[0].value for key in ("0", "1", "2", "3", "4")]
    assert shown == ["0.png", "Chelsea the cat", "2.png", "3.png", "4.png"]


def test_a_class_of_forty_with_the_largest_photos_is_kept():
    assert handed.MAX_BYTES >= 40 * MAX_SIDE * MAX_SIDE * 3


def _png() -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((4, 6, 3), 9, np.uint8)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def uploaded() -> AppTest:
    """The page after a file was given."""
    app = _open(photo="coffee")
    app.file_uploader(key="test_file").upload("mine.png", _png(), "image/png").run(timeout=30)
    assert [one.value for one in app.text] == ["mine.png"]
    return app


def test_an_uploaded_picture_is_in_the_address_so_a_reload_shows_it_again(uploaded):
    given = uploaded.query_params["given"]
    assert [one.value for one in _open(photo="coffee", given=given).text] == ["mine.png"]


def test_an_uploaded_picture_says_that_it_goes_before_the_photograph_chosen(uploaded):
    assert any("remove it to see the photograph chosen" in one.value for one in uploaded.sidebar.caption)
    assert r"mine\.png" in [one.value for one in uploaded.main.caption]


def test_who_takes_the_uploaded_picture_away_or_goes_back_is_not_held_at_it(uploaded):
    del uploaded.query_params["given"]
    uploaded.run()
    assert "given" not in uploaded.query_params
    uploaded.file_uploader(key="test_file").clear().run()
    assert "given" not in uploaded.query_params
    assert [one.value for one in uploaded.text] == ["A cup of coffee"]


def test_the_page_names_its_picture_and_has_a_way_to_another_except_before_a_class():
    app = _open(photo="coffee")
    assert [one.value for one in app.main.caption] == ["A cup of coffee"]
    assert [one.label for one in app.main.button] == ["Your own photo"]
    assert not _open(photo="coffee", present="1").main.button


def test_the_formats_that_are_read_stand_where_a_file_is_taken_before_one_is_refused():
    said = " ".join(one.value for one in _open().sidebar.markdown)
    assert "HEIC" in said and "20 MB" in said
