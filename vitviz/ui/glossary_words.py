"""What the glossary says besides the terms' own texts."""

import re

from vitviz.languages.glossary import Term

INTRO = (
    "The words of the field as these pages use them, with the papers' equation numbers. On every other page a term has a dotted "
    "line: point at it or tap it. By keyboard, the first Tab of a page leads to its terms."
)
FIND = "Find in names, texts and numbers"
NONE = "No term has that in it."
ALL = "all terms"
PAPERS = {
    "deep_clustering": "ViT deep clustering",
    "supertokens": "Super-token convolutional embedding",
    "subspace": "Deep subspace clustering with channel attention",
    "coat": "Clustering CoaT",
}
"""The titles of the papers by their nouns."""
COMMON = "Words of all papers, and of the tools"
BROWSER = {
    "button": "Terms explained on this page: {count}",
    "keys": "→ or Enter: next · ←: back · Esc: close",
    "place": "Term {number} of {count}",
}
"""What the browser says on its own; it fills the places itself."""
_PLACES = {"equations": "eq. {numbers}", "tables": "Table {numbers}", "figures": "Figure {numbers}"}


def citation(term: Term) -> list[str]:
    """Whose the term is and where it stands there, part by part, as English phrases to be said and joined by commas."""
    whose = PAPERS.get(term.paper) or term.source
    return [whose, *places(term)] if whose else []


def places(term: Term) -> list[str]:
    """Where the term stands in its paper, as ``eq. (2)–(4)`` and ``Table 8``: English phrases to be said."""
    return [_PLACES[place].format(numbers=_written(place, numbers)) for place, numbers in term.places.items()]


def _written(place: str, numbers: str) -> str:
    """Numbers of equations stand in brackets, as the papers print them."""
    each = r"(\1)" if place == "equations" else r"\1"
    return re.sub(r"(\d+)", each, numbers).replace("-", "–")
