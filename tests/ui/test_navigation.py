"""The list of pages against the files there are."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from streamlit.testing.v1 import AppTest

from vitviz.training.methods import METHODS
from vitviz.ui import navigation

PAGES = Path(__file__).resolve().parents[2] / "pages"
LISTED = [name for entries in navigation.SECTIONS.values() for name, _, _ in entries]


def test_every_file_of_pages_is_listed_once():
    assert sorted(LISTED) == sorted(path.stem for path in PAGES.glob("*.py"))


def _write_pages() -> None:
    import streamlit as st

    from vitviz.ui import navigation

    st.json({section: [[one.title, one.url_path] for one in pages] for section, pages in navigation.pages().items()})
    st.json([navigation.page(name).url_path for entries in navigation.SECTIONS.values() for name, _, _ in entries])


@pytest.fixture(scope="module")
def written() -> list:
    """What a running app says of its pages."""
    return [json.loads(one.value) for one in AppTest.from_function(_write_pages).run().json]


def test_home_alone_is_the_page_without_an_address(written):
    assert written[1] == ["" if name == "home" else name for name in LISTED]


def test_sections_hold_the_pages_in_their_order(written):
    wanted = {
        section: [[title, "" if name == "home" else name] for name, title, _ in entries]
        for section, entries in navigation.SECTIONS.items()
    }
    assert written[0] == wanted


def test_every_method_has_a_page_that_exists():
    assert set(navigation.METHOD_PAGES) == set(METHODS)
    assert set(navigation.METHOD_PAGES.values()) <= set(LISTED)


@pytest.mark.parametrize("method", ["supertokens", "subspace", "coat"])
@pytest.mark.parametrize(
    ("state", "is_bare", "wanted"),
    [
        ("finished", True, "compare?table=own&runs=mine"),
        ("finished", False, "{method}?run=mine"),
        ("running", True, "{method}?run=mine"),
    ],
)
def test_a_finished_run_that_kept_its_scores_alone_is_looked_at_among_any_runs(method, state, is_bare, wanted):
    run = SimpleNamespace(
        name="mine",
        description=lambda: SimpleNamespace(method=method),
        is_scores_only=lambda: is_bare,
        status=lambda: SimpleNamespace(state=state),
    )
    assert navigation.address_of(run) == wanted.format(method=method)


@pytest.mark.parametrize(
    ("method", "is_bare", "wanted"),
    [("deep_clustering", True, True), ("idec", True, True), ("coat", True, False), ("coat", False, True)],
)
def test_a_page_shows_a_run_that_grows_as_soon_as_there_is_what_it_needs(method, is_bare, wanted):
    run = SimpleNamespace(description=lambda: SimpleNamespace(method=method), is_scores_only=lambda: is_bare)
    assert navigation.is_shown(run) is wanted


def test_a_page_that_there_is_not_is_no_page():
    with pytest.raises(StopIteration):
        navigation.page("../../etc/passwd")
