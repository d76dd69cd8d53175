"""The four papers on the first page: what each groups, its page, and its runs with their scores."""

from collections.abc import Sequence
from urllib.parse import parse_qsl

import streamlit as st

from vitviz.errors import Problem
from vitviz.runs.folder import Run
from vitviz.ui import home_words as words
from vitviz.ui.labels import safe_label
from vitviz.ui.language import say
from vitviz.ui.navigation import METHOD_PAGES, address_of, page
from vitviz.ui.problems import shown_problems

_PAPERS = (
    ("deep_clustering", "ViT deep clustering", "Images, by k-means and retraining in turns"),
    ("supertokens", "Super-token convolutional embedding", "Pixels, into tokens before the transformer"),
    ("subspace", "Deep subspace clustering with channel attention", "Images, each written as a mix of others"),
    ("coat", "Clustering CoaT", "Queries, inside the attention"),
)
"""Page, title, and what is grouped and how."""

_FIRST = (
    *("digits", "cifar10-laptop", "digits-half-trained"),
    *("clothing-supertoken", "digits-subspace-steps", "clothing-coat"),
)
_MOST = 3  # runs of a paper


def show_papers(runs: Sequence[Run]) -> None:
    """A row a paper: the way to its page, then its runs side by side."""
    st.header(say(words.PAPERS))
    for name, title, sentence in _PAPERS:
        with st.container(border=True):
            left, right = st.columns((2, 3))
            with left, st.container(gap=None):
                st.page_link(page(name), label=f"**{say(title)}**")
                st.caption(say(sentence))
            with right:
                _row(_runs_of(name, runs))


def _row(runs: Sequence[Run]) -> None:
    columns = st.columns(_MOST) if len(runs) > 1 else (st.container(),)  # empty columns are high on a telephone
    for column, run in zip(columns, runs, strict=False):
        with column, st.container(gap=None), shown_problems():
            _cell(run)


def _runs_of(name: str, runs: Sequence[Run]) -> list[Run]:
    """The shipped runs that are meant to be begun with, else the newest there are."""
    shown = [run for run in runs if _page_of(run) == name]
    first = sorted((run for run in shown if run.name in _FIRST), key=lambda run: _FIRST.index(run.name))
    return first or shown[:_MOST]


def _page_of(run: Run) -> str | None:
    """The page that has more of the run than its scores."""
    try:
        return None if run.is_scores_only() else METHOD_PAGES.get(run.description().method)
    except Problem:
        return None


def _cell(run: Run) -> None:
    about, records = run.description(), run.round_metrics()
    name, _, query = address_of(run).partition("?")
    label, values = safe_label(say(about.title or run.name)), dict(parse_qsl(query))
    st.page_link(page(name), label=label, icon=":material/arrow_forward:", query_params=values)
    if records and (score := words.score(records)):
        st.caption(say(score))
