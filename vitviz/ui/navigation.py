"""The pages there are: their files, titles and addresses. Adding a page is one line here."""

from pathlib import Path

import streamlit as st

from vitviz.runs.folder import Run
from vitviz.training.configs import CONFIGS
from vitviz.ui.language import say

_PAGES = Path(__file__).resolve().parents[2] / "pages"

SECTIONS: dict[str, list[tuple[str, str, str]]] = {
    "": [("home", "Home", "home"), ("lessons", "Lessons", "school"), ("glossary", "Glossary", "menu_book")],
    "Explore": [
        ("supertokens", "Super tokens", "bubble_chart"),
        ("attention", "Attention", "visibility"),
        ("deep_clustering", "Deep clustering", "scatter_plot"),
        ("subspace", "Subspace clustering", "grid_on"),
        ("coat", "Clustering CoaT", "hub"),
        ("compare", "Compare", "compare_arrows"),
    ],
    "Run": [("train", "Train", "model_training"), ("runs", "Runs", "folder_open")],
}
"""Section to (file name, title, Material icon)."""

_WITH_ROUNDS = "deep_clustering"
METHOD_PAGES = {noun: noun if noun in ("supertokens", "subspace", "coat") else _WITH_ROUNDS for noun in CONFIGS}
"""The page that shows the runs of a method: its own, or that of everything with rounds."""

_TITLES = {name: title for entries in SECTIONS.values() for name, title, _ in entries}
_WITHOUT_PAGE = {"idec": "IDEC", "spectral": "Spectral clustering"}
_NEED_WEIGHTS = ("supertokens", "subspace", "coat")


def address_of(run: Run) -> str:
    """Where a run is looked at: the page of its method, or the comparison when it has finished and kept its scores alone."""
    known = METHOD_PAGES.get(run.description().method, "")
    is_bare = known in _NEED_WEIGHTS and run.is_scores_only() and run.status().state == "finished"
    return f"compare?table=own&runs={run.name}" if is_bare else f"{known}?run={run.name}"


def title_of_method(noun: str) -> str:
    """What a method is called in English: as its page, else by a name of its own, else by its noun."""
    return {**_TITLES, **_WITHOUT_PAGE}.get(noun, noun)


def is_shown(run: Run) -> bool:
    """Whether the page of its method has something of the run to show by now: while it grows, some need its first weights."""
    return METHOD_PAGES.get(run.description().method) not in _NEED_WEIGHTS or not run.is_scores_only()


def pages() -> dict[str, list]:
    """Every section with its ``st.Page`` objects, for ``st.navigation``."""
    return {say(section): [page(name) for name, _, _ in entries] for section, entries in SECTIONS.items()}


def page(name: str):
    """The ``st.Page`` of that file name: the same file, title and address wherever it is linked from."""
    title, icon = next(
        (title, icon) for entries in SECTIONS.values() for known, title, icon in entries if known == name
    )
    is_home = name == "home"
    return st.Page(
        _PAGES / f"{name}.py",
        title=say(title),
        icon=f":material/{icon}:",
        url_path="" if is_home else name,
        default=is_home,
    )
