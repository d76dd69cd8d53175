"""The image canvas: a picture with label regions, boundaries and heat over it, scrubbed and pointed at in the browser.

Pictures and layers come from routes (``vitviz.ui.kept``), never through the websocket; ``vitviz.explain.canvas_layers`` packs
them. Opacity, mode, picture and scrubbing make no server call; Python hears of pins and of the step once scrubbing settles.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st

from vitviz.figures.theme import CLUSTER_COLORS, SEQUENTIAL_COLORS
from vitviz.ui.components.assets import read_assets
from vitviz.ui.language import say

MODES = ("colors", "lines", "both", "none")

LABELS = {
    "picture": "Picture; Shift and an arrow key move the pin",
    "photo": "Photo",
    "bases": "Picture",
    "modes": "Overlay",
    "mode_colors": "Colours",
    "mode_lines": "Boundaries",
    "mode_both": "Both",
    "mode_none": "None",
    "alpha": "Opacity",
    "blink": "See the photo alone (hold B)",
    "smooth": "Smooth the map between cells",
    "step": "Step",
    "step_of": "{name} = {step} / {last}",
    "previous": "Previous step",
    "next": "Next step",
    "play": "Play",
    "pause": "Pause",
    "clear": "Clear the pin",
    "cell": "row {row}, column {column}",
    "idle": "Click a place of the picture.",
    "idle_bare": "Hold B for the photo alone.",
    "stretched": "Drawn stretched: the picture has {width} x {height} pixels.",
    "failed": "The picture could not be loaded. Reload the page to try again.",
    "keys": "Click to pin · arrows move it · hold B for the photo alone · Esc clears",
    "keys_steps": "Click to pin · Shift + arrows move it · ← → steps · Space plays · hold B for the photo alone · Esc clears",
}


@dataclass(frozen=True)
class CanvasState:
    """What the viewer has done.

    ``pins``: (x, y, id) with x, y in 0..1 of the picture and the id the browser read there, oldest first. After the labels
    have changed x and y still hold, the id may not: ``explain.canvas_layers.label_at`` reads it anew. ``step``: the step
    last heard of.
    """

    pins: tuple[tuple[float, float, int], ...]
    step: int


_component = st.components.v2.component(
    "vitviz.image_canvas",
    css=read_assets("shared.css", "image_canvas.css"),
    js=read_assets(
        "dom.js",
        "image_canvas_data.js",
        "image_canvas_paint.js",
        "image_canvas_drawing.js",
        "image_canvas_controls.js",
        "image_canvas_gestures.js",
        "image_canvas.js",
    ),
)


def image_canvas(
    *,
    key: str,
    photo_url: str,
    width: int,
    height: int,
    alt: str,
    labels_url: str | None = None,
    colors: Sequence[str] = CLUSTER_COLORS,
    color_of_id: Sequence[int] | Sequence[Sequence[int]] = (),
    id_text: str = "region {id}, row {row}, column {column}",
    id_texts: Sequence[str] = (),
    sizes: Sequence[int] = (),
    heat_url: str | None = None,
    heat_title: str = "",
    heat_max: float = 1.0,
    heat_min: float = 0.0,
    heat_colors: Sequence[str] = SEQUENTIAL_COLORS,
    heat_step: int | None = None,
    heat_hides_zero: bool = False,
    can_smooth: bool = False,
    bases: Sequence[Mapping[str, str]] = (),
    base: int = 0,
    mode: str = "both",
    modes: Sequence[str] = MODES,
    alpha: float = 0.3,
    heat_alpha: float = 0.5,
    step: int = 0,
    step_name: str = "t",
    step_texts: Sequence[str] = (),
    tell_step: bool = True,
    pins: Sequence[Sequence[float]] = (),
    max_pins: int = 1,
    pin_stride: int = 1,
    max_height: int = 640,
    follow: str = "",
    labels: Mapping[str, str] | None = None,
    on_change: Callable[[], None] = lambda: None,
) -> CanvasState:
    """Show a picture with its layers and return where the viewer's pins are and which step is shown.

    Args:
        photo_url, width, height, alt: the picture, its size in pixels, and what it shows in words. Layers lie over all of it,
            whatever their own resolution.
        labels_url: from ``pack_labels``; ``colors`` as ``#rrggbb`` and ``color_of_id`` the index of a colour for every id, one
            list for all steps or one a step; the id itself where the list ends. ``id_text`` may name id, row, column, and size:
            that of the id in ``sizes``; ``id_texts`` says it of each id by itself. Pieces under 16 CSS pixels get no outline.
        heat_url: from ``pack_heat``, drawn in ``heat_colors`` with a colour bar called ``heat_title`` from ``heat_min`` to
            ``heat_max``, the values that 0 and 1 stand for; only at ``heat_step`` when given; ``heat_hides_zero`` leaves cells of
            0 clear. While heat shows, colours rest; without labels its cells are what is pointed at. ``can_smooth`` offers to
            blend neighbouring cells; the numbers stay theirs.
        bases: other pictures of the same scene to look at instead, each ``{"label": ..., "url": ...}``; ``base`` is the one to
            begin with, 0 the photo.
        mode, alpha, heat_alpha: the overlay to begin with (one of ``modes``) and opacities in 0..1; then the viewer's.
        step_texts: what the player reads at each step instead of "t = 3 of 5".
        step, pins: the step and the pins (x, y, ...) to begin with, taken again whenever ``follow`` changes.
        tell_step: tell Python of a settled step by itself; pins are told always.
        max_pins: 0, 1 or 2; a further pin replaces the oldest. pin_stride: cells that an arrow key moves a pin.
        max_height: CSS pixels; the picture is as wide as there is room otherwise.
        labels: texts that replace those of ``LABELS``. All texts are given in English and said in the reader's language here.

    Raises ValueError for an unknown ``mode``.
    """
    if mode not in modes or set(modes) - set(MODES):
        raise ValueError(f"mode={mode!r} must be one of modes={', '.join(modes)}, and those of {', '.join(MODES)}")
    texts = {name: say(text) for name, text in {**LABELS, **(labels or {})}.items()}
    start = [[float(x), float(y)] for x, y, *_ in pins]
    result = _component(
        key=key,
        data={
            "bases": [
                {"label": texts["photo"], "url": photo_url},
                *({**one, "label": say(one["label"])} for one in bases),
            ],
            "base": int(base),
            "width": int(width),
            "height": int(height),
            "alt": say(alt),
            "labels_url": labels_url or "",
            "colors": list(colors),
            "color_of_id": [np.asarray(part).tolist() for part in color_of_id],
            "id_text": say(id_text),
            "id_texts": [say(text) for text in id_texts],
            "sizes": [int(size) for size in sizes],
            "heat_url": heat_url or "",
            "heat_title": say(heat_title),
            "heat_max": float(heat_max),
            "heat_min": float(heat_min),
            "heat_step": heat_step,
            "heat_hides_zero": heat_hides_zero,
            "heat_colors": list(heat_colors),
            "can_smooth": can_smooth,
            "mode": mode,
            "modes": list(modes),
            "alpha": float(alpha),
            "heat_alpha": float(heat_alpha),
            "step": int(step),
            "step_name": step_name,
            "step_texts": [say(text) for text in step_texts],
            "tell_step": tell_step,
            "pins": start,
            "max_pins": int(max_pins),
            "pin_stride": int(pin_stride),
            "max_height": int(max_height),
            "follow": follow,
            "labels": texts,
        },
        default={"view": None},
        on_view_change=on_change,
    )
    return _state(result.view, follow, start, step)


def read_canvas(key: str, *, follow: str = "", pins: Sequence[Sequence[float]] = (), step: int = 0) -> CanvasState:
    """What the canvas of that key last told, before it is drawn in this rerun: for layers that depend on pins or step.

    ``follow``, ``pins`` and ``step`` as they will be given to ``image_canvas``.
    """
    told = st.session_state.get(key)
    return _state(told.get("view") if told else None, follow, [[float(x), float(y)] for x, y, *_ in pins], step)


def _state(view: Mapping[str, Any] | None, follow: str, start: list[list[float]], step: int) -> CanvasState:
    """The viewer's last word, or the start when that was about what was shown before."""
    if not view or view.get("follow") != follow:
        return CanvasState(pins=tuple((x, y, -1) for x, y in start), step=int(step))
    return CanvasState(pins=tuple((float(x), float(y), int(one)) for x, y, one in view["pins"]), step=int(view["step"]))
