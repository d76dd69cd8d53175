"""Links to pages of the app, for components: an address that a new tab can open, and the way there within the session."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode

import streamlit as st

from vitviz.ui.language import KEY, LANGUAGES, language
from vitviz.ui.navigation import page


@dataclass(frozen=True)
class Link:
    """A page by its file name, and the values of its address as English has them."""

    page: str
    query: Mapping[str, str] = field(default_factory=dict)

    def address(self) -> str:
        """Relative to the first page; the language goes along, since a new tab knows nothing of this session."""
        chosen = language()
        spoken = {} if chosen == "en" else {KEY: next(name for name, folder in LANGUAGES.items() if folder == chosen)}
        query = urlencode({**self.query, **spoken})
        return f"{self.page}?{query}" if query else self.page

    def follow(self) -> None:
        """Go there; nothing after this is run."""
        st.switch_page(page(self.page), query_params=dict(self.query))


def follow_one_of(links: Sequence[Link], address: str | None) -> None:
    """Go where ``address`` leads if it is that of one of the links; a component's word alone leads nowhere."""
    for link in links:
        if link.address() == address:
            link.follow()
