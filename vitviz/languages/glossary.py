"""The words of the field that the pages use: what each means, in every language, and where the papers say so.

``glossary.toml`` beside this file has a table a term, in the order in which they are listed. The same pattern finds terms in a
page's sentences in the browser and in the tests, so it keeps to what Python and JavaScript both read.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

SPOKEN = ("en", "ko")
PAPERS = ("deep_clustering", "supertokens", "subspace", "coat")
"""The nouns of the four papers, in their order; a term of none of them has ``paper=""``."""
PLACES = ("equations", "tables", "figures")
"""What a number may be that is cited."""
MAX_TEXT = 320

_KEY = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_NUMBERS = re.compile(r"\d+(-\d+)?(, \d+(-\d+)?)*")
_KNOWN = {"name", "forms", "text", "formula", "paper", "source", "page", "only", *PLACES}
_PARTICLES = (
    "은 는 이 가 을 를 과 와 의 에 에서 에게 에는 에서는 에게서 에도 으로 로 으로는 로는 도 만 만이 만을 만으로 "
    "까지 부터 마다 보다 처럼 이나 나 이란 란 이며 며 이고 고 이다 입니다 입니까 인 인지 이라 라 이라는 라는 이라면 "
    "끼리 별 별로 들 하여 하고 하는 한 할 해"
)
"""What may hang on a Korean word without making it another; the last few make verbs of what was done."""


@dataclass(frozen=True, kw_only=True)
class Term:
    """A term of the field.

    name, forms, text: by language; forms are the other ways it is written on the pages.
    paper, source: the one of ``PAPERS`` that it belongs to, or whose it is otherwise; at most one of them.
    places: what of ``PLACES`` is cited to its numbers, as ``{"equations": "2-4"}``.
    page: where it is seen, a file name of ``pages/``. only: the pages whose sentences mean this by it; empty for all.
    """

    key: str
    name: Mapping[str, str]
    forms: Mapping[str, tuple[str, ...]]
    text: Mapping[str, str]
    page: str
    formula: str = ""
    paper: str = ""
    source: str = ""
    places: Mapping[str, str]
    only: tuple[str, ...] = ()


@lru_cache
def glossary() -> tuple[Term, ...]:
    """The terms that come with vitviz."""
    return read_glossary(Path(__file__).with_name("glossary.toml"))


def read_glossary(path: Path) -> tuple[Term, ...]:
    """The terms of a file, checked. Raises ValueError naming the term and what is wrong with it."""
    terms = tuple(_term(key, plain) for key, plain in tomllib.loads(path.read_text(encoding="utf-8")).items())
    for language in SPOKEN:
        _check_forms(terms, language)
    return terms


def forms_of(term: Term, language: str) -> set[str]:
    """Every way the term is written in the pages' sentences, the first letter small; English ones in the plural too."""
    forms = {term.name[language], *term.forms[language]}
    if language == "en":
        forms |= {f"{form}s" for form in forms if form[-1].isalpha() and form[-1] != "s"}
    return {_uncapitalised(form) for form in forms}


def places_of_forms(terms: Sequence[Term], language: str) -> dict[str, list[int]]:
    """Form -> the places in ``terms`` of what it may mean: one, or several that keep to different pages."""
    found: dict[str, list[int]] = {}
    for place, term in enumerate(terms):
        for form in sorted(forms_of(term, language)):
            found.setdefault(form, []).append(place)
    return found


def form_pattern(terms: Sequence[Term], language: str) -> str:
    """A regular expression for Python and JavaScript that finds any form as a word of its own, the longest first."""
    forms = sorted({form for term in terms for form in forms_of(term, language)}, key=lambda form: (-len(form), form))
    any_form = "|".join(_either_case(form) for form in forms)
    if language != "ko":
        return f"(?<![A-Za-z0-9_./-])(?:{any_form})(?![A-Za-z0-9_/-])"
    particles = "|".join(sorted(_PARTICLES.split(), key=lambda one: (-len(one), one)))
    return f"(?<![A-Za-z0-9가-힣])(?:{any_form})(?![A-Za-z0-9])(?=(?:들)?(?:{particles})?(?![가-힣]))"


def find_terms(text: str, terms: Sequence[Term], language: str) -> set[str]:
    """Keys of the terms that a text in that language mentions, on whatever page."""
    places = places_of_forms(terms, language)
    found = re.findall(form_pattern(terms, language), text)
    return {terms[place].key for form in found for place in places[plain_form(form)]}


def single_numbers(numbers: str) -> list[int]:
    """``"1, 3-5"`` -> 1, 3, 4, 5."""
    ends = [[int(end) for end in part.split("-")] for part in numbers.split(", ")]
    return [number for first, *last in ends for number in range(first, (last or [first])[0] + 1)]


def plain_form(found: str) -> str:
    """What the pattern found as it stands among the forms."""
    return _uncapitalised(re.sub(r"\s+", " ", found))


def _uncapitalised(form: str) -> str:
    """The first letter small, unless the second is large too: NMI stays."""
    return form if form[1:2].isupper() or len(form) == 1 else form[:1].lower() + form[1:]


def _either_case(form: str) -> str:
    escaped = re.sub(r"([\\^$.*+?()\[\]{}|/])", r"\\\1", form).replace(" ", r"\s+")
    return f"[{form[0].upper()}{form[0]}]{escaped[1:]}" if "a" <= form[0] <= "z" else escaped


def _term(key: str, plain: Any) -> Term:
    if not _KEY.fullmatch(key):
        raise ValueError(f"term '{key}': a key is a-z, 0-9 and -")
    if unknown := sorted(set(plain) - _KNOWN):
        raise ValueError(f"term '{key}': {unknown[0]} is none of {', '.join(sorted(_KNOWN))}")
    name, text = (_in_every_language(key, plain, what) for what in ("name", "text"))
    forms = {language: tuple(plain.get("forms", {}).get(language, ())) for language in SPOKEN}
    places = {place: _numbers(key, plain[place]) for place in PLACES if place in plain}
    paper, source = plain.get("paper", ""), plain.get("source", "")
    if paper not in ("", *PAPERS):
        raise ValueError(f"term '{key}': paper='{paper}' is none of {', '.join(PAPERS)}")
    if (paper and source) or (places and not paper and not source):
        raise ValueError(f"term '{key}': a number is of one paper or one source")
    rest = {"formula": plain.get("formula", ""), "page": plain.get("page", ""), "only": tuple(plain.get("only", ()))}
    return Term(key=key, name=name, forms=forms, text=text, paper=paper, source=source, places=places, **rest)


def _in_every_language(key: str, plain: Mapping[str, Any], what: str) -> Mapping[str, str]:
    given = {language: plain.get(what, {}).get(language, "") for language in SPOKEN}
    for language, text in given.items():
        if not isinstance(text, str) or not text.strip() or len(text) > MAX_TEXT:
            raise ValueError(f"term '{key}': {what}.{language} must be 1 to {MAX_TEXT} characters")
    return given


def _numbers(key: str, given: Any) -> str:
    if not isinstance(given, str) or not _NUMBERS.fullmatch(given):
        raise ValueError(f'term \'{key}\': {given!r} must be numbers and ranges, as "1, 4" or "2-4"')
    return given


def _check_forms(terms: Sequence[Term], language: str) -> None:
    """No form may mean two terms on one page. Raises ValueError naming both."""
    for form, places in places_of_forms(terms, language).items():
        pages = [page for place in places for page in terms[place].only]
        if len(places) > 1 and (not all(terms[place].only for place in places) or len(set(pages)) < len(pages)):
            keys = " and ".join(terms[place].key for place in places)
            raise ValueError(f"'{form}' means {keys}: let each keep to pages of its own")
