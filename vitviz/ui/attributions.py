"""Which places of the picture one score comes from: five methods, their settings, and a test of what they say."""

from typing import TYPE_CHECKING, Any

import streamlit as st

from vitviz.ui import attention_words as words
from vitviz.ui.attention_canvas import Heat, heat_of, show_heat, signed_heat, take_away
from vitviz.ui.attention_sources import Shown
from vitviz.ui.attention_targets import Asked, pick_target
from vitviz.ui.choices import choose, choose_from
from vitviz.ui.faithfulness import show_faithfulness
from vitviz.ui.language import say
from vitviz.ui.tasks import OnProgress, result_of

if TYPE_CHECKING:
    from vitviz.explain.attribution import Attribution

CANVAS = "attribution_map"
QUICK = ("saliency", "layer_grad_cam")
ORDER = (*QUICK, "integrated_gradients", "gradient_shap", "occlusion")  # those that take a few passes first
_LABELS = {
    "baseline": ("Baseline", words.BASELINE),
    "num_steps": ("Steps", words.STEPS),
    "num_samples": ("Samples", "Pictures the gradient is taken of."),
    "noise": ("Noise", "Over the picture's own standard deviation."),
    "seed": ("Seed", "Of the noise and the places on the way."),
    "window": ("Window, patches", "The side of what is covered."),
    "stride": ("Stride, patches", "How far the window moves; at most the window."),
    "block": ("Block", "Counted from 0, or from the end: -2 is the last but one."),
}
_FIXED = ("max_steps", "tolerance")
_RANGES = {
    "num_steps": (8, 256),
    "num_samples": (8, 512),
    "noise": (0.0, 1.0),
    "seed": (0, 9_999),
    "window": (1, 8),
    "stride": (1, 8),
}


@st.fragment
def show_attribution(shown: Shown) -> None:
    """The map of one method for one score, how it was made, and whether it beats chance."""
    from vitviz.explain.attribution import METHODS

    left, right = st.columns((3, 2), gap="medium")
    with right:
        asked = pick_target(shown)
        name = choose_from("Method", ORDER, key="method", help=words.METHOD, shown=words.METHOD_NAMES.get)
        st.caption(say(METHODS[name].sentence))
        settings = _pick_settings(shown, METHODS[name].settings)
        found, how = _attribute(shown, asked, name, settings), "positive"
        if found is not None and found.map.min() < 0:
            how = choose("Show", ("signed", "positive"), key="sign", help=words.SIGNED)
    with left:
        heat, scale_words = (None, "") if found is None else _heat(found, how)
        show_heat(
            shown,
            heat,
            key=CANVAS,
            alt=f"{shown.picture.name}: attribution of {asked.name} by {words.METHOD_NAMES[name]}",
        )
        if found is None:
            return
        st.caption(say(words.attribution_caption(found, scale_words)))
        take_away(shown, heat, f"{words.plain_recipe(found)}; {scale_words}", name=name.replace("_", "-"))
    with right:
        st.markdown(say(words.score_sentence(found)))
        if found.completeness is not None:
            st.metric(
                say("Missing from the sum"), f"{found.completeness:.2%}", border=True, help=say(words.COMPLETENESS)
            )
    _test(shown, found, asked)


def _attribute(shown: Shown, asked: Asked, name: str, settings: dict[str, Any]) -> "Attribution | None":
    """At once where it takes a few passes, else when it is asked for."""
    from vitviz.explain.attribution import METHODS

    def work(on_progress: OnProgress) -> "Attribution":
        opened = shown.network.opened
        return METHODS[name].attribute(opened.model, shown.images(), asked.target, **settings, on_progress=on_progress)

    key = f"attribution-{shown.key}-{asked.name}-{name}-{sorted(settings.items())}"
    title = words.METHOD_NAMES[name]
    return result_of(key, title, work, begin=name in QUICK, button=f"Compute {title}", hint=words.COSTS[name])


def _pick_settings(shown: Shown, defaults: dict[str, Any]) -> dict[str, Any]:
    """The method's own settings, each with its default; bound to the address."""
    from vitviz.explain.attribution import BASELINES

    chosen = {}
    with st.container(horizontal=True):
        for name, default in defaults.items():
            if name in _FIXED:
                continue
            label, text = _LABELS[name]
            if name == "baseline":
                kinds = list(BASELINES)
                chosen[name] = choose_from(label, kinds, index=kinds.index(default), key=name, help=text, width=150)
            else:
                low, high = _blocks(shown) if name == "block" else _RANGES[name]
                high = min(high, _side(shown)) if name in ("window", "stride") else high
                look = {"key": name, "bind": "query-params", "help": say(text), "width": 150}
                chosen[name] = st.number_input(say(label), low, high, default, **look)
    return chosen


def _side(shown: Shown) -> int:
    """The shorter side of the grid of tokens that windows are counted in."""
    from vitviz.nn.block_outputs import grid_of

    return min(grid_of(shown.network.opened.model, *shown.fed.shape[:2]))


def _blocks(shown: Shown) -> tuple[int, int]:
    from vitviz.nn.block_outputs import block_names

    depth = len(block_names(shown.network.opened.model))
    return -depth, depth - 1


def _heat(found: "Attribution", how: str) -> tuple[Heat, str]:
    from vitviz.explain.attribution import scaled

    drawn = scaled(found.map, how)
    values = drawn.values * drawn.scale
    if how == "positive":
        return heat_of(values, "attribution", high=drawn.scale), drawn.words
    return signed_heat(values, "attribution", drawn.scale), drawn.words


def _test(shown: Shown, found: "Attribution", asked: Asked) -> None:
    """Deletion and insertion by the tokens of the network, on whose grid the map is summed."""
    from vitviz.explain.attribution import pooled
    from vitviz.nn.block_outputs import grid_of

    rows, columns = grid_of(shown.network.opened.model, *shown.fed.shape[:2])
    height, width = found.map.shape
    importance = pooled(found, (min(rows, height), min(columns, width)))
    show_faithfulness(shown, importance, asked, about=found.recipe)
