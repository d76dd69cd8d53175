"""All runs as a table, and the lines that make them."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from vitviz.errors import Problem
from vitviz.runs.folder import Run, list_runs
from vitviz.ui.home_words import counted as _counting
from vitviz.ui.language import say, say_keys
from vitviz.ui.navigation import address_of, page, title_of_method

COMMANDS = (
    "python -m vitviz train deep_clustering --preset digits --set seed=1 --run my-digits",
    "python -m vitviz train deep_clustering --set dataset=path/to/folder --set num-clusters=5 --run my-photos",
    "python -m vitviz train supertokens --set dataset=path/to/folder --run my-tokens",
    "python -m vitviz runs",
)


def make_your_own(*, highlighted: bool = True) -> None:
    """The lines that make and list runs; ``highlighted`` keeps the browser busy, so not where a page must be there at once."""
    st.header(say("Make your own"))
    st.markdown(say("On the page Train, or in a terminal beside the app; the page Runs shows the run while it grows."))
    st.page_link(page("train"), label=say("Train a run"), icon=":material/model_training:")
    if highlighted:
        st.code("\n".join(COMMANDS), language=None, wrap_lines=True)
    else:
        st.markdown("\n".join(f"* `{line}`" for line in COMMANDS))


def table(runs: Sequence[Run]) -> None:
    """One line a run, with its last scores; a damaged run says so in its line."""
    if not runs:
        st.info(say("There is no run yet."), icon=":material/folder_open:")
        return
    looks = {
        "open": st.column_config.LinkColumn(say("open"), display_text=say("open")),
        "NMI": st.column_config.NumberColumn(format="%.3f"),
        "ACC": st.column_config.NumberColumn(format="%.3f"),
        "W/T": st.column_config.NumberColumn(format="%.3f"),
    }
    st.dataframe([say_keys(_row(run)) for run in runs], hide_index=True, column_config=say_keys(looks))


def growing_table() -> None:
    """The table of all runs, looked at again every three seconds while one is being trained."""
    is_growing = _is_any_growing(list_runs())

    @st.fragment(run_every=3 if is_growing else None)
    def tick() -> None:
        runs = list_runs()
        table(runs)
        if _is_any_growing(runs) != is_growing:
            st.rerun()

    tick()


def _is_any_growing(runs: Sequence[Run]) -> bool:
    return any(not run.is_shipped() and run.status().state == "running" for run in runs)


def _row(run: Run) -> dict[str, Any]:
    try:
        about, records = run.description(), run.round_metrics()
    except Problem as problem:
        return {"run": run.name, "state": say(f"cannot be read: {problem.why or problem.what}")}
    counting = _counting(records) if records else {}
    # a method that holds nothing out scores all its images
    prefix, images = ("", "all images") if "nmi" in counting else ("held_out_", "held-out images")
    nmi, acc = counting.get(f"{prefix}nmi"), counting.get(f"{prefix}acc")
    return {
        "run": run.name,
        "open": address_of(run),
        "state": say("shipped" if run.is_shipped() else run.status().state),
        "method": say(title_of_method(about.method)),
        "data set": say(about.dataset_title),
        "seed": about.seed,
        "rounds": len(records),
        "NMI": nmi,
        "ACC": acc,
        "scored on": "–" if nmi is None and acc is None else say(images),
        "W/T": counting.get("within_share"),
        "made": about.created[:10],
    }
