"""A map over the picture that the network was fed, on the page of attention: drawn, told in one line, and taken away."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st

from vitviz import __version__
from vitviz.explain import map_files
from vitviz.explain.canvas_layers import pack_heat
from vitviz.figures.theme import DIVERGING_COLORS, SEQUENTIAL_COLORS
from vitviz.ui import attention_words as words
from vitviz.ui.attention_sources import Shown
from vitviz.ui.components.image_canvas import CanvasState, image_canvas, read_canvas
from vitviz.ui.kept import encode_picture, keep
from vitviz.ui.language import say
from vitviz.ui.pins import asked_pins

BINARY = "application/octet-stream"
MAX_HEIGHT = 460
ALPHA = 0.5


@dataclass(frozen=True)
class Heat:
    """A map to be drawn: values (rows, columns) float32 from ``low`` to ``high``; title: of its colour bar, with the unit.

    hides_zero: cells that are 0 show the picture.
    """

    values: np.ndarray
    title: str
    low: float
    high: float
    hides_zero: bool = False

    @property
    def colors(self) -> Sequence[str]:
        """Sequential from 0, diverging for values of either sign."""
        return DIVERGING_COLORS if self.low < 0 else SEQUENTIAL_COLORS

    def scaled(self) -> np.ndarray:
        """Values as 0..1."""
        return ((self.values - self.low) / ((self.high - self.low) or 1.0)).clip(0, 1).astype(np.float32)


def heat_of(values: np.ndarray, title: str, *, high: float | None = None, hides_zero: bool = False) -> Heat:
    """A map of values of 0 or more, from 0 to its largest or to ``high``."""
    top = float(values.max()) if high is None else high
    return Heat(values, title, 0.0, top or 1.0, hides_zero)


def signed_heat(values: np.ndarray, title: str, high: float) -> Heat:
    """A map of values of either sign, white at 0, from -high to high."""
    return Heat(values, title, -(high or 1.0), high or 1.0)


def read_pins(key: str, shown: Shown) -> CanvasState:
    """What is pinned on the canvas of that key, before it is drawn in this rerun."""
    return read_canvas(key, follow=shown.key, pins=asked_pins())


def show_heat(
    shown: Shown,
    heat: Heat | None,
    *,
    key: str,
    alt: str,
    max_pins: int = 0,
    bases: Sequence[dict[str, str]] = (),
    base: int = 0,
    alpha: float = ALPHA,
    max_height: int = MAX_HEIGHT,
) -> CanvasState:
    """The picture as it was fed with a map over it; ``max_pins`` 1 where a click makes a patch the query."""
    height, width = shown.fed.shape[:2]
    layer = {}
    if heat is not None:
        layer = {
            "heat_url": keep(pack_heat(heat.scaled()), BINARY),
            "heat_title": heat.title,
            "heat_min": heat.low,
            "heat_max": heat.high,
            "heat_colors": heat.colors,
            "heat_hides_zero": heat.hides_zero,
        }
    return image_canvas(
        key=key,
        photo_url=fed_url(shown),
        width=width,
        height=height,
        alt=alt,
        mode="none",
        modes=("none",),
        heat_alpha=alpha,
        can_smooth=True,
        bases=bases,
        base=base,
        pins=asked_pins() if max_pins else (),
        max_pins=max_pins,
        max_height=max_height,
        labels=words.CANVAS if max_pins else {},
        follow=shown.key,
        **layer,
    )


def fed_url(shown: Shown) -> str:
    """Where the browser finds the picture as it was fed, pixel for pixel."""
    return keep(*encode_picture(shown.fed, exact=True))


def recipe_of(shown: Shown, what: str) -> str:
    """One line that says how a map was made."""
    return words.recipe(shown.network.opened, shown.picture.name, what, __version__)


def take_away(shown: Shown, heat: Heat, what: str, *, name: str) -> None:
    """The recipe to copy, and the map as PNG, SVG and npy."""
    line = recipe_of(shown, what)
    offer_files(line, lambda: _overlay(shown, heat), heat.values, name=name, svg=lambda: _svg(shown, heat, line))


def offer_files(
    line: str,
    pixels: Callable[[], np.ndarray],
    values: np.ndarray,
    *,
    name: str,
    svg: Callable[[], bytes] | None = None,
) -> None:
    """A recipe to copy, and a figure's pixels (H, W, 3) uint8 and numbers as files; nothing is made before it is asked for."""
    with st.expander(say("Recipe and files"), icon=":material/download:"):
        st.code(line, language=None, wrap_lines=True)
        with st.container(horizontal=True):
            _button("PNG", lambda: map_files.png(pixels(), line), f"{name}.png", "image/png")
            if svg is not None:
                _button("SVG", svg, f"{name}.svg", "image/svg+xml")
            _button("npy", lambda: map_files.npy(values), f"{name}.npy", BINARY)


def _button(label: str, make: Callable[[], bytes], file_name: str, kind: str) -> None:
    st.download_button(say(label), make, file_name, kind, key=f"save_{file_name}", on_click="ignore")


def _overlay(shown: Shown, heat: Heat) -> np.ndarray:
    return map_files.overlay_pixels(shown.fed, heat.scaled(), heat.colors, alpha=ALPHA, hides_zero=heat.hides_zero)


def _svg(shown: Shown, heat: Heat, line: str) -> bytes:
    return map_files.svg(
        _overlay(shown, heat), heat.colors, title=heat.title, low=heat.low, high=heat.high, recipe=line
    )
