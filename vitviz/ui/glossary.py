"""The glossary for the browser, which explains terms where they stand, and as a list to read and search."""

import gzip
import json
from collections.abc import Sequence
from functools import lru_cache

import streamlit as st

from vitviz.languages.glossary import MAX_TEXT, PAPERS, Term, form_pattern, glossary, places_of_forms, single_numbers
from vitviz.languages.phrases import PhraseBook, phrase_book
from vitviz.ui import glossary_words as words
from vitviz.ui.choices import choose_from
from vitviz.ui.kept import keep
from vitviz.ui.labels import safe_label
from vitviz.ui.language import language, say
from vitviz.ui.navigation import page


def glossary_address() -> str:
    """Where the browser finds the glossary in the chosen language; asked for in every run, so that it stays there."""
    return keep(_packed(language()), "application/octet-stream")


def show_glossary() -> None:
    """One term, as ``?term=`` asks, or all that fit what is searched for, by paper."""
    terms = {term.key: term for term in glossary()}
    left, right = st.columns(2)
    with left:
        chosen = choose_from("Term", [words.ALL, *terms], key="term", shown=lambda key: _shown(terms.get(key)))
    if chosen != words.ALL:
        with st.container(border=True):
            st.markdown(_entry(terms[chosen], words.citation(terms[chosen])))
            st.page_link(page(terms[chosen].page))
        return
    wanted = right.text_input(say(words.FIND), key="find", bind="query-params")
    found = [term for term in terms.values() if _fits(term, wanted)]
    if not found:
        st.info(say(words.NONE))
    for paper in (*PAPERS, ""):
        _group(paper, [term for term in found if term.paper == paper])


def _shown(term: Term | None) -> str:
    return words.ALL if term is None else term.name[language()]


def _group(paper: str, terms: Sequence[Term]) -> None:
    """The terms of a paper in two columns, which need not name it again."""
    if not terms:
        return
    st.header(say(words.PAPERS.get(paper, words.COMMON)))
    half = (len(terms) + 1) // 2
    entries = [_entry(term, words.places(term) if paper else words.citation(term)) for term in terms]
    for column, part in zip(st.columns(2), (entries[:half], entries[half:]), strict=True):
        if part:
            column.markdown("\n\n".join(part))
    if paper:
        st.page_link(page(paper))


def _entry(term: Term, cited: Sequence[str]) -> str:
    """A term as markdown: its names, what it is, formula and what is cited of it."""
    chosen = language()
    names = [
        f"**{safe_label(term.name[chosen])}**",
        *([safe_label(other)] if (other := _other_name(term, chosen)) else []),
    ]
    where = [f"`{term.formula}`"] if term.formula else []
    if cited:
        where.append(safe_label(", ".join(map(say, cited))))
    lines = [" · ".join(names), safe_label(term.text[chosen], max_length=MAX_TEXT), " — ".join(where)]
    return "  \n".join(line for line in lines if line)


def _other_name(term: Term, chosen: str) -> str:
    """The name in the other language, empty where it is the same."""
    return next((name for spoken, name in term.name.items() if spoken != chosen and name != term.name[chosen]), "")


def _fits(term: Term, wanted: str) -> bool:
    """Whether every word searched for stands in the term: names and forms of both languages, its text, every number cited."""
    forms = [form for spoken in term.forms.values() for form in spoken]
    numbers = [f"({number})" for number in single_numbers(term.places.get("equations", "0"))]
    cited = map(say, words.citation(term))
    whole = " ".join([*term.name.values(), *forms, term.text[language()], term.formula, *cited, *numbers]).casefold()
    return all(word in whole for word in wanted.casefold().split())


@lru_cache
def _packed(chosen: str) -> bytes:
    """Everything that the browser needs, as gzipped JSON: the same bytes for the same glossary."""
    book, terms = phrase_book(chosen), glossary()
    plain = {
        "pattern": form_pattern(terms, chosen),
        "forms": places_of_forms(terms, chosen),
        "terms": [_told(term, chosen, book) for term in terms],
        "words": {key: book.say(text) for key, text in words.BROWSER.items()},
    }
    return gzip.compress(json.dumps(plain, ensure_ascii=False).encode(), mtime=0)


def _told(term: Term, chosen: str, book: PhraseBook) -> dict[str, str | list[str]]:
    return {
        "name": term.name[chosen],
        "also": _other_name(term, chosen),
        "text": term.text[chosen],
        "formula": term.formula,
        "cited": ", ".join(map(book.say, words.citation(term))),
        "only": list(term.only),
    }
