"""Cards that are links to pages of the app as a whole, with small pictures or without."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from vitviz.ui.components.assets import read_assets

LAYOUTS = ("column", "row")
"""Below each other, with pictures before the words; side by side where there is room, pictures above the words."""

_component = st.components.v2.component(
    "vitviz.link_cards",
    css=read_assets("shared.css", "link_cards.css"),
    js=read_assets("dom.js", "follow_link.js", "link_cards.js"),
)


@dataclass(frozen=True)
class Picture:
    """A square picture by its address, what it shows for who cannot see it, and a word below it; texts are said already."""

    url: str
    alt: str
    caption: str


@dataclass(frozen=True)
class Card:
    """Where it leads (an address that a new tab can open), its name, a sentence, a line in small; texts are said already.

    more: the address and the name of a second link, or None.
    """

    address: str
    label: str
    text: str
    note: str = ""
    pictures: Sequence[Picture] = ()
    more: tuple[str, str] | None = None


def link_cards(*, key: str, label: str, cards: Sequence[Card], layout: str = "column") -> str | None:
    """Show the cards; the address of the link that was just pressed, else None.

    ``label`` names them all for screen readers; ``layout`` is one of ``LAYOUTS``. Raises ValueError for another.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"layout={layout!r} must be one of {', '.join(LAYOUTS)}")
    data = {"label": label, "layout": layout, "cards": [_plain(card) for card in cards]}
    return _component(key=key, data=data, on_opened_change=lambda: None).opened


def _plain(card: Card) -> dict[str, Any]:
    return {**vars(card), "pictures": [vars(picture) for picture in card.pictures]}
