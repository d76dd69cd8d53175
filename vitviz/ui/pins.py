"""Pins of the image canvas in the address, so that a copied link shows the same."""

from collections.abc import Sequence

import streamlit as st


def asked_pins() -> tuple[tuple[float, float], ...]:
    """The pin of ``?pin=``: x and y in thousandths of the picture."""
    x, _, y = st.query_params.get("pin", "").partition("_")
    known = all(one.isascii() and one.isdigit() and len(one) < 4 for one in (x, y))
    return (((int(x) + 0.5) / 1000, (int(y) + 0.5) / 1000),) if known else ()


def remember_pin(pins: Sequence[Sequence[float]]) -> None:
    """The first pin into ``?pin=``; without one, none there."""
    write_address("pin", pin_text(pins) if pins else None)


def pin_text(pins: Sequence[Sequence[float]]) -> str:
    """The first pin as it stands in the address."""
    return "_".join(str(min(int(one * 1000), 999)) for one in pins[0][:2])


def write_address(name: str, text: str | None) -> None:
    """Put ``text`` under a name into the address, or take the name out of it."""
    if text is None:
        st.query_params.pop(name, None)
    elif st.query_params.get(name) != text:
        st.query_params[name] = text
