"""The three small pictures of the first page, each what a page shows when it is opened with the same photo or run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import streamlit as st

from vitviz.data.photographs import find_photograph, list_photographs, open_photograph
from vitviz.errors import Problem
from vitviz.explain import teasers
from vitviz.explain.mosaic import mosaic, square
from vitviz.figures.theme import SEQUENTIAL_COLORS
from vitviz.runs.folder import Run
from vitviz.ui import home_words as words
from vitviz.ui.components.link_cards import Card, Picture, link_cards
from vitviz.ui.kept import encode_picture, keep
from vitviz.ui.language import say
from vitviz.ui.links import Link, follow_one_of
from vitviz.ui.problems import show_problem

_AFFINITY_RUN = "digits-subspace-steps"
_MAX_SIDE = 640  # of a photo before its middle is cut out


@dataclass(frozen=True)
class _Drawn:
    """A picture as file content and media type, what it shows, and the word below it, both in English."""

    content: tuple[bytes, str]
    alt: str
    caption: str


@dataclass(frozen=True)
class _Teaser:
    """A card in English; without pictures and their note where there is nothing to draw them from."""

    link: Link
    label: str
    text: str
    note: str = ""
    pictures: tuple[_Drawn, ...] = ()


def show_teasers(runs: Sequence[Run]) -> None:
    """Super tokens, C and attention; where data are missing, the card alone."""
    by_name = {run.name: run for run in runs}
    found = [
        _dressed(_Teaser(Link("supertokens"), words.SUPERTOKENS, words.SUPERTOKENS_TEXT), _as_tokens, by_name),
        _dressed(_Teaser(Link("subspace"), words.SUBSPACE, words.SUBSPACE_TEXT), _as_affinity, by_name),
        _dressed(_Teaser(Link("attention"), words.ATTENTION, words.ATTENTION_TEXT), _as_attention, by_name),
    ]
    opened = link_cards(key="teasers", label=say(words.TEASERS), cards=[_said(one) for one in found])
    follow_one_of([one.link for one in found], opened)


def _dressed(bare: _Teaser, dress: Callable, runs: dict[str, Run]) -> _Teaser:
    """With its pictures; a problem is told, and costs the pictures alone."""
    try:
        return dress(bare, runs)
    except Problem as problem:
        show_problem(problem)
        return bare


def _said(one: _Teaser) -> Card:
    pictures = [Picture(keep(*drawn.content), say(drawn.alt), say(drawn.caption)) for drawn in one.pictures]
    return Card(one.link.address(), say(one.label), say(one.text), say(one.note), pictures)


def _as_tokens(bare: _Teaser, runs: dict[str, Run]) -> _Teaser:
    def note(told: teasers.Told) -> str:
        return words.tokens_note(told.run, len(set(told.values.flat)), told.step)

    return _as_seen(bare, runs, "supertokens", note, words.tokens_alt, words.AS_TOKENS)


def _as_attention(bare: _Teaser, runs: dict[str, Run]) -> _Teaser:
    def note(told: teasers.Told) -> str:
        return words.attention_note(told.run, told.step)

    return _as_seen(bare, runs, "attention", note, words.attention_alt, words.LOOKED_AT)


def _as_seen(
    bare: _Teaser,
    runs: dict[str, Run],
    name: str,
    note: Callable[[teasers.Told], str],
    alt: Callable[[str], str],
    caption: str,
) -> _Teaser:
    """A photo beside what a network sees in it; ``name`` is that of the page and of what is stored."""
    told = teasers.read_told()[name]
    if not _is_here(told, runs):
        return bare
    title, (photo, seen) = find_photograph(told.photo).title, _photo_twice(name)
    pictures = (_Drawn(photo, title, words.PHOTO), _Drawn(seen, alt(title), caption))
    return replace(bare, link=Link(name, {"photo": told.photo}), note=note(told), pictures=pictures)


def _as_affinity(bare: _Teaser, runs: dict[str, Run]) -> _Teaser:
    run = runs.get(_AFFINITY_RUN) or next((run for run in runs.values() if _has_coefficients(run)), None)
    if run is None or not _has_coefficients(run):
        return bare
    pictures = zip(
        _affinity_pictures(run.name, run.version(), _run=run), (words.UNSORTED, words.BY_CLUSTER), strict=True
    )
    return replace(
        bare,
        link=Link("subspace", {"run": run.name}),
        note=words.affinity_note(run.name, run.description().num_images),
        pictures=tuple(_Drawn(content, words.affinity_alt(order), order) for content, order in pictures),
    )


def _is_here(told: teasers.Told, runs: dict[str, Run]) -> bool:
    """Whether the page that is led to has the run, and this machine the photo."""
    return told.run in runs and told.photo in {one.name for one in list_photographs()}


def _has_coefficients(run: Run) -> bool:
    try:
        return run.description().method == "subspace" and run.num_rounds() > 0
    except Problem:
        return False


@st.cache_resource(max_entries=2, show_spinner=False)
def _photo_twice(noun: str) -> tuple[tuple[bytes, str], tuple[bytes, str]]:
    """The bundled photo as it is and as the network sees it, encoded."""
    told = teasers.read_told()[noun]
    photo = open_photograph(told.photo, max_side=_MAX_SIDE).pixels
    seen = mosaic(photo, told.values) if noun == "supertokens" else teasers.heat(photo, told.values, SEQUENTIAL_COLORS)
    return encode_picture(square(photo)), encode_picture(seen)


@st.cache_resource(max_entries=4, show_spinner=False)
def _affinity_pictures(name: str, version: str, _run: Run) -> tuple[tuple[bytes, str], ...]:
    """The last round's |C| + |C^T|, images as they come and by cluster, encoded."""
    return tuple(encode_picture(one) for one in teasers.affinity_twice(_run, SEQUENTIAL_COLORS))
