"""Controls that every page shares: which run, which round, which picture."""

import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
import streamlit as st

from vitviz.data.decoding_apart import MAX_MEGABYTES, decode_image_apart
from vitviz.errors import Problem
from vitviz.explain.scoring import SCORINGS
from vitviz.runs.folder import Run, list_runs
from vitviz.ui.choices import choose_name
from vitviz.ui.labels import safe_label
from vitviz.ui.language import say
from vitviz.ui.quota import hold

_READABLE = (
    f"JPEG, PNG and the like, at most {MAX_MEGABYTES} MB. A phone's HEIC is not read: share it as JPEG, or take a screenshot "
    "of it."
)


@dataclass(frozen=True)
class PickedImage:
    """A picture somebody gave: pixels (H, W, 3) uint8, where it came from, what decoding did to it, and a content key.

    address: what a link says for a page to find the picture by itself; empty for one that somebody brought.
    """

    pixels: np.ndarray
    name: str
    notes: tuple[str, ...]
    key: str
    address: Mapping[str, str] = field(default_factory=dict)


def pick_run(
    belongs: Collection[str] | Callable[[Run], bool],
    *,
    preset: str,
    accept: Callable[[Run], bool] = lambda run: True,
) -> Run | None:
    """The run chosen in the sidebar, bound to ``?run=``; None without one.

    ``belongs``: which runs are of this page, by their methods or by what it says of a run; ``accept``: which of these have come
    far enough; ``preset`` names the one to begin with where it exists.
    """
    known = {run.name: run for run in list_runs() if _is_of(run, belongs)}
    found = {name: run for name, run in known.items() if accept(run)}
    asked = st.query_params.get("run", "")
    if asked in known and asked not in found:
        st.info(say(_why_not(known[asked])))
    if not found:
        return None
    names = list(found)
    start = names.index(preset) if preset in names else 0
    with st.sidebar:
        return found[choose_name("Run", names, key="run", index=start, help="A run is one training, kept as a folder.")]


def describe_run(run: Run) -> None:
    """What the chosen run is, in the sidebar, small."""
    about = run.description()
    with st.sidebar:
        st.caption(say(f"**{safe_label(say(about.title) or run.name)}**"))
        size = f"{about.num_images:,} images, {about.img_size} px"
        st.caption(
            say(f"{safe_label(say(about.dataset_title))}, {size}, {about.num_clusters} clusters, seed {about.seed}")
        )
        st.caption(
            say(
                f"Made {safe_label(about.created[:10])} on {safe_label(say(about.device))}"
                + (", shipped with vitviz" if run.is_shipped() else "")
            )
        )
        with st.expander(say("Settings and origin")):
            st.json(about.settings, expanded=False)
            st.code(about.command or say("no command recorded"), language=None, wrap_lines=True)
            for note in _notes(run):
                st.caption(safe_label(say(note), max_length=300))


def _notes(run: Run) -> list[str]:
    """What was done to the images. Where a method scores all of them, that some were drawn as held out says nothing."""
    about = run.description()
    scoring = SCORINGS.get(about.method)
    scores_all = scoring is not None and scoring.is_clustering
    return [note for note in about.notes if not (scores_all and "are held out" in note)]


def pick_image(key: str, *, max_side: int = 1024, on_change: Callable[[], None] | None = None) -> PickedImage | None:
    """An uploaded picture, decoded within bounds; None until there is one. ``on_change`` is called when it is another or gone.

    Raises: Problem in one sentence for anything that is not a picture.
    """
    place = f"{key}_file"
    types = ["png", "jpg", "jpeg", "webp", "bmp", "tif", "tiff", "gif"]
    file = st.file_uploader(say("A picture"), type=types, max_upload_size=MAX_MEGABYTES, key=place, on_change=on_change)
    if file is None:
        st.markdown(f":small[{say(_READABLE)}]")
        hold(place, {})
        return None
    return decode_given(file.getvalue(), file.name, max_side=max_side, place=place)


def decode_given(content: bytes, name: str, *, max_side: int = 1024, place: str = "") -> PickedImage:
    """A picture that somebody gave as a file, decoded within bounds in a process of its own, and kept by its content.

    ``place`` is what holds it (see :func:`vitviz.ui.quota.hold`), ``name`` when empty.

    Raises: Problem in one sentence for anything that is not a picture, and for more than a session may hold.
    """
    digest = hashlib.sha256(content).hexdigest()[:16]
    pixels, notes = _decode(digest, max_side, _content=content, _name=name)
    hold(place or name, {digest: pixels.nbytes})
    return PickedImage(pixels, name, notes, digest)


@st.cache_data(max_entries=32, show_spinner=False)
def _decode(digest: str, max_side: int, _content: bytes, _name: str) -> tuple[np.ndarray, tuple[str, ...]]:
    decoded = decode_image_apart(_content, name=_name, max_side=max_side)
    return decoded.pixels, decoded.notes


def _why_not(run: Run) -> str:
    """Why a run of this page cannot be shown here."""
    if run.status().state == "finished":
        return f"Run {safe_label(run.name)} was handed on without what is shown here, its network or its rounds."
    return f"Run {safe_label(run.name)} has not come far enough to be shown here. The page Train tells how far it is."


def _is_of(run: Run, belongs: Collection[str] | Callable[[Run], bool]) -> bool:
    try:
        return belongs(run) if callable(belongs) else run.description().method in belongs
    except Problem:
        return False
