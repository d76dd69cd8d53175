"""The equaliser: a slider a channel, and what clusters and accuracy come to, beside as trained and random gates."""

import numpy as np
import streamlit as st

from vitviz.errors import Problem
from vitviz.explain.canvas_layers import pack_heat
from vitviz.explain.subspace import Snapshot
from vitviz.explain.subspace_equaliser import (
    LOUDEST,
    Equalised,
    channel_energy,
    equalise_controls,
    equalise_told,
    num_channels,
    scaled_energy,
)
from vitviz.figures import subspace_tools as figures
from vitviz.figures.theme import cluster_colors
from vitviz.runs.folder import Run
from vitviz.ui import subspace_step_words as step_words
from vitviz.ui import subspace_tool_words as tool_words
from vitviz.ui import subspace_words as words
from vitviz.ui.components.matrix_canvas import matrix_canvas
from vitviz.ui.kept import keep
from vitviz.ui.language import say
from vitviz.ui.problems import show_problem
from vitviz.ui.run_views import chart
from vitviz.ui.subspace_matrix import BINARY
from vitviz.ui.subspace_sources import cached, latent_of, pick_step, snapshot_of
from vitviz.ui.subspace_steps import SCORES
from vitviz.ui.tasks import result_of

MOST_SLIDERS = 16
STEP = 0.05
HEIGHT = 300


def show_equaliser(run: Run) -> None:
    """Sliders on the left, what they come to on the right; the controls are computed once a step."""
    st.caption(say(tool_words.EQUALISER))
    left, right = st.columns((2, 3), gap="medium")
    with left:
        index = pick_step(run)
        shot = snapshot_of(run, index)
        energy = cached("energy", run, index, lambda: channel_energy(latent_of(run, index), num_channels(run)))
        gains = _pick_gains(energy)
        alt = "share of the features of each channel, as trained and with your setting"
        chart(figures.channel_energy(scaled_energy(energy, gains), energy), key="equaliser_energy", alt=alt)
        st.caption(say(tool_words.ENERGY))
    with right:
        if not (energy * gains > 0).any():
            show_problem(
                Problem("every channel that says anything is muted", "there is nothing to cluster", "turn one up")
            )
            return
        controls = _controls(run, index)
        if controls is None:
            st.caption(say(tool_words.CONTROLS))
            return
        trained, random = controls
        found = trained if (gains == 1).all() else _chosen(run, index, gains)
        if found is not None:
            _show_found(run, shot, found, trained, random)
            _say_other_score(run, shot, trained)


def _say_other_score(run: Run, shot: Snapshot, trained: Equalised) -> None:
    own = run.round_metrics()[shot.round].get("acc")
    if shot.solver == "adam" and own is not None and trained.acc is not None:
        st.caption(say(tool_words.solved_alone(own, trained.acc)))


def _controls(run: Run, index: int) -> tuple[Equalised, list[Equalised]] | None:
    return result_of(
        f"equaliser-{run.name}-{run.version()}-{index}",
        "As trained, and random gates",
        lambda on_progress: equalise_controls(run, index, on_progress),
        begin=True,
        button="Compute the controls",
        unit="steps",
    )


def _chosen(run: Run, index: int, gains: np.ndarray) -> Equalised | None:
    return result_of(
        f"equaliser-{run.name}-{run.version()}-{index}-{gains.tolist()}",
        "Your setting",
        lambda on_progress: equalise_told(run, index, gains, on_progress),
        begin=True,
        button="Compute your setting",
        unit="steps",
    )


def _pick_gains(energy: np.ndarray) -> np.ndarray:
    """The factor (channels,) of each channel, bound to ``?gain_1=`` and so on; 1 to begin with."""
    gains = np.ones(len(energy))
    loudest = np.sort(np.argsort(-energy, kind="stable")[:MOST_SLIDERS])
    keys = {int(channel): f"gain_{channel + 1}" for channel in loudest}
    if st.button(say("All as trained"), icon=":material/restart_alt:", key="gains_reset"):
        for key in keys.values():
            st.session_state[key] = 1.0
    for channel, key in keys.items():
        text = say(tool_words.channel_name(channel))
        look = {"help": say(tool_words.GAIN_HELP), "key": key, "bind": "query-params"}
        gains[channel] = st.slider(text, 0.0, LOUDEST, 1.0, STEP, "%.2f", **look)
    if len(loudest) < len(energy):
        st.caption(say(tool_words.quiet_channels(len(loudest), len(energy))))
    return gains


def _show_found(run: Run, shot: Snapshot, found: Equalised, trained: Equalised, random: list[Equalised]) -> None:
    _show_scores(found, trained, random)
    first, second = st.columns(2, gap="small")
    for place, title, one in ((first, "Your setting", found), (second, "As trained", trained)):
        with place:
            _small_matrix(run, shot, one, title)
            st.caption(say(tool_words.equalised_caption(run, shot, one, title)))


def _show_scores(found: Equalised, trained: Equalised, random: list[Equalised]) -> None:
    """Three numbers against as trained, and the same as dots beside each random gate."""
    values = {name: getattr(found, key) for name, key in SCORES.items()}
    if any(value is None for value in values.values()):
        st.caption(say(step_words.NO_LABELS))
        values = {"mass": found.in_block_mass}
        keys = {"mass": "in_block_mass"}
    else:
        keys = SCORES
    before = {name: getattr(trained, key) for name, key in keys.items()}
    drawn = {name: [getattr(one, key) for one in random] for name, key in keys.items()}
    with st.container(horizontal=True):
        for name, value in values.items():
            change = f"{value - before[name]:+.3f}"
            is_same = float(change) == 0
            text = say("as trained" if is_same else f"{change} against as trained")
            look = {"delta_color": "off", "delta_arrow": "off"} if is_same else {}
            st.metric(
                say(name), f"{value:.3f}", text, border=True, help=say(tool_words.random_range(drawn[name])), **look
            )
    alt = tool_words.scores_alt("your setting")
    chart(figures.equaliser_scores(values, before, drawn), key="equaliser_scores", alt=alt)
    st.caption(say(tool_words.CONTROLS))


def _small_matrix(run: Run, shot: Snapshot, one: Equalised, title: str) -> None:
    colors = cluster_colors(int(one.labels.max()) + 1)
    matrix_canvas(
        key=f"subspace_equaliser_{title}",
        heat_url=keep(pack_heat(one.woven.values), BINARY),
        ids=one.ids,
        ideal=one.ids,
        ideal_colors=colors,
        alt=say(tool_words.equalised_alt(title)),
        heat_title=say(words.HEAT_TITLES["affinity"]),
        heat_max=one.woven.ceiling,
        can_point=False,
        max_height=HEIGHT,
        follow=f"{run.name}-{shot.round}-{one.gains.tolist()}",
    )
