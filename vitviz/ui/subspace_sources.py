"""What the page of subspace clustering is given: a run, one of its steps, and everything computed from it. All cached."""

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from vitviz.errors import Problem
from vitviz.explain.subspace import Snapshot, layer_of, order_images, shares_before, take_snapshot
from vitviz.explain.subspace_scores import chosen_round
from vitviz.runs.folder import Run
from vitviz.ui import run_views
from vitviz.ui.language import say
from vitviz.ui.pickers import pick_run

if TYPE_CHECKING:
    from vitviz.explain.subspace_regroup import Regrouping

METHODS, PRESET = ("subspace",), "digits-subspace-steps"

_lock = threading.Lock()  # two cores: a class that opens the page together computes one after the other


def pick_subspace_run() -> Run | None:
    """The run of ``?run=``; one that was kept for its scores alone belongs to the comparison."""
    return pick_run(METHODS, preset=PRESET, accept=lambda run: not run.is_scores_only())


def pick_step(run: Run) -> int:
    """The round of the step of the fine-tuning that is looked at, bound to ``?step=``; the run's own choice to begin with."""
    records = run.round_metrics()
    if len(records) == 1:
        return 0
    steps = [record["step"] for record in records]
    chosen = steps[min(chosen_round(run), len(steps) - 1)]  # another round may have come since the records were read
    begin_at("step", chosen)
    step = st.select_slider(say("Step of the fine-tuning"), steps, value=chosen, key="step", bind="query-params")
    return steps.index(step)


def begin_at(key: str, usual: Any) -> None:
    """To be called before the widget ``key``: one that still stands where it began goes to ``usual``, where another run or round
    has changed that.
    """
    began = st.session_state.get(f"subspace_{key}_began")
    if began not in (None, usual) and st.session_state.get(key) == began:
        st.session_state[key] = usual
    st.session_state[f"subspace_{key}_began"] = usual


def snapshot_of(run: Run, round_index: int) -> Snapshot:
    """``explain.subspace.take_snapshot``, kept by run, version and round."""
    return _snapshot(run.name, run.version(), round_index, _run=run)


def layer_matrix(run: Run, shown: Snapshot, layer: str, rho: float | None) -> Any:
    """``explain.subspace.layer_of``, kept; what a threshold needs is computed once for all thresholds."""
    shares = None
    if layer == "kept":
        shares = cached(
            "shares",
            run,
            shown.round,
            lambda: shares_before(shown.coefficients, count_diagonal=shown.settings.count_diagonal),
        )

    def make() -> Any:
        with _lock:
            return layer_of(shown, layer, rho=rho, shares=shares)

    return cached("layer", run, shown.round, make, layer, rho)


def ordered(run: Run, shown: Snapshot, order: str) -> np.ndarray:
    """``explain.subspace.order_images``, kept."""
    return cached("order", run, shown.round, lambda: order_images(shown, order), order)


def latent_of(run: Run, round_index: int) -> np.ndarray:
    """Z (N, D) float16 of a round, mapped from its file."""
    return run.round(round_index).embeddings


def model_of(run: Run, round_index: int):
    """The network of a round, shared and read-only."""
    model = _model(run.name, run.version(), round_index, _run=run)
    return model


def pictures_of(run: Run, rows: Sequence[int]) -> np.ndarray | None:
    """The images (M, H, W, 3) uint8 of rows of the run, None when the data set is not on this machine."""
    try:
        return run_views.pictures(run, np.asarray(rows))
    except Problem:
        return None


def regrouped(
    run: Run, round_index: int, settings: "Regrouping", on_stage: Callable[[str], None] = lambda stage: None
) -> tuple:
    """``explain.subspace_regroup.regroup``, kept by run, round and settings."""
    return _regrouped(
        run.name, run.version(), round_index, repr(settings), _run=run, _settings=settings, _tell=on_stage
    )


def cached(name: str, run: Run, round_index: int, make: Callable[[], Any], *more: Any) -> Any:
    """``make()`` kept under ``name``, the run's version and whatever else it depends on; shared, so read-only."""
    return _kept(name, run.name, run.version(), round_index, repr(more), _make=make)


@st.cache_resource(max_entries=8, show_spinner=False)
def _snapshot(name: str, version: str, round_index: int, _run: Run) -> Snapshot:
    with _lock:
        return take_snapshot(_run, round_index)


@st.cache_resource(max_entries=24, show_spinner=False)
def _kept(name: str, run: str, version: str, round_index: int, more: str, _make: Callable[[], Any]) -> Any:
    return _make()


@st.cache_resource(max_entries=4, show_spinner=False)
def _model(name: str, version: str, round_index: int, _run: Run):
    from vitviz.training.subspace_model import load_model

    return load_model(_run, round_index)


@st.cache_resource(max_entries=4, show_spinner=False)
def _regrouped(name: str, version: str, round_index: int, settings: str, _run: Run, _settings, _tell) -> tuple:
    from vitviz.explain.subspace_regroup import regroup

    with _lock:
        return regroup(_run, round_index, _settings, _tell)
