"""Text as markup in both languages at once: the page shows one of them, and needs no dictionary to change."""

import html
import json
from collections.abc import Iterable, Sequence
from typing import Any

from vitviz.languages.phrases import phrase_book


def escaped(text: Any) -> str:
    """``text`` so that it stands for itself in markup and in a quoted attribute."""
    return html.escape(str(text))


def in_both(text: str) -> tuple[str, str]:
    """``text`` in English and in Korean; twice the same where the phrase book has nothing."""
    return text, phrase_book("ko").say(text)


def said(text: str, *, tag: str = "span") -> str:
    """``text`` escaped, in both languages where they differ; ``tag`` is ``tspan`` inside a picture."""
    english, korean = (escaped(one) for one in in_both(text))
    return english if english == korean else f'<{tag} lang="en">{english}</{tag}><{tag} lang="ko">{korean}</{tag}>'


def label(text: str) -> str:
    """The attributes that name an element for those who cannot see it; the script swaps the languages."""
    english, korean = (escaped(one) for one in in_both(text))
    return f'aria-label="{english}" data-en="{english}" data-ko="{korean}"'


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, caption: str, kind: str = "") -> str:
    """A table; ``head`` is said, the cells are markup already; ``kind`` is a class of the style sheet."""
    titles = "".join(f'<th scope="col">{said(one)}</th>' for one in head)
    lines = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return (
        f'<div class="wide {kind}" tabindex="0" role="region" {label(caption)}><table><thead><tr>{titles}</tr></thead>'
        f"<tbody>{lines}</tbody></table></div>"
    )


def data_block(name: str, value: Any) -> str:
    """Plain values for the script, as JSON that no name can end."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    text = text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return f'<script type="application/json" id="{name}">{text}</script>'
