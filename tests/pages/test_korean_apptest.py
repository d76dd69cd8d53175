"""The frame around every page in Korean; each page has a file of its own beside this one."""

import pytest

from vitviz.ui.navigation import SECTIONS

PAGES = [name for entries in SECTIONS.values() for name, _, _ in entries]

pytestmark = pytest.mark.usefixtures("own_folders")


@pytest.mark.parametrize("page", PAGES)
def test_every_page_can_be_opened_in_korean_and_the_frame_speaks_it(korean, page):
    app = korean.open_korean(page)
    assert app.session_state["lang"] == "KO"


def test_the_reader_of_pages_finds_english_that_was_left(korean):
    app = korean.open_korean("runs")
    app.title[0].proto.body = "Not one word of Korean"
    assert "Not one word of Korean" in korean.untranslated(app)
