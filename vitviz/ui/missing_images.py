"""Where the images of a run are not on this machine: what stands for them, and one click that brings them here."""

from pathlib import Path

import streamlit as st

from vitviz.data.download import can_download, download
from vitviz.data.sets import SETS
from vitviz.runs.folder import Run
from vitviz.ui.language import say
from vitviz.ui.tasks import OnProgress, downloads, result_of

STAND_IN = "The images of {title} are not on this machine; a tile with the first letters of its class stands for each."
RESTORED_NEEDS = "To see what the embedding still knows, the images have to be on this machine."
_MB = 10**6


def are_missing(run: Run) -> bool:
    """Whether the run is of a named data set that is not on this machine."""
    known = SETS.get(run.description().dataset)
    return known is not None and not known.available()


def offer_images(run: Run) -> None:
    """Nothing where the images are here; else a line, and a button where the data set has a download."""
    if not are_missing(run):
        return
    known = SETS[run.description().dataset]
    with st.container(horizontal=True, vertical_alignment="center", key="missing_images"):
        st.caption(say(STAND_IN.format(title=known.title)))
        if not can_download(known.name):
            st.caption(say(f"`python -m vitviz data get {known.name}` says how they come here."))
            return
        if _fetched(known.name, known.title) is not None and not are_missing(run):
            st.rerun()


def _fetched(name: str, title: str) -> Path | None:
    return result_of(
        f"download-{name}",
        f"Images of {title}",
        lambda on_progress: download(name, _in_megabytes(on_progress)),
        begin=False,
        button="Get them",
        hint=SETS[name].how_to_get,
        unit="MB",
        icon=":material/download:",
        at=downloads,
    )


def _in_megabytes(on_progress: OnProgress) -> OnProgress:
    return lambda done, total: on_progress(done // _MB, total // _MB)
