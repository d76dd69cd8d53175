"""The network of a run on a page: whether there is one, after which round, and the picture that it is fed."""

import numpy as np
import streamlit as st

from vitviz.errors import Problem
from vitviz.runs.folder import Run
from vitviz.ui import attention_words as words
from vitviz.ui import photos
from vitviz.ui.choices import choose, choose_number, choose_stop
from vitviz.ui.labels import safe_label
from vitviz.ui.language import say
from vitviz.ui.pickers import PickedImage

PHOTO, OF_RUN = "A photo", "An image of the run"


def has_network(run: Run) -> bool:
    """Whether there are weights to look through: a run may be kept for its scores alone."""
    return run.has_weights() or run.has_resume_point()


def version_of(run: Run) -> str:
    """Changes whenever the weights of a run may have."""
    return f"{run.version()}-{len(run.metrics())}"


def pick_kept_round(run: Run, *, key: str = "round") -> int | None:
    """One of the rounds whose weights were kept, bound to ``?round=``, the last to begin with; None where there is no choice."""
    rounds = [index for index in range(run.num_rounds()) if run.has_weights(index)]
    if len(rounds) < 2:
        return None
    return choose_stop("Round", rounds, key=key)


def pick_picture(run: Run | None, key: str) -> PickedImage:
    """A photo, or an image that ``run`` was trained on or held out; ``key`` as in :func:`vitviz.ui.photos.pick_photo`.

    Raises: Problem for what is no picture.
    """
    images = None if run is None else _images_of(run)
    if images is None:
        return photos.pick_photo(key)
    with st.sidebar:
        kinds = (OF_RUN, PHOTO) if run.description().img_size < 64 else (PHOTO, OF_RUN)
        kind = choose("Picture", kinds, key="picture")
    return photos.pick_photo(key) if kind == PHOTO else _pick_sample(run, images)


def link_to(picture: PickedImage) -> dict[str, str]:
    """What a link to another page has to say for it to show the same picture."""
    return {"picture": PHOTO, **photos.link_to(picture)}


def _pick_sample(run: Run, images: np.ndarray) -> PickedImage:
    """One image of the run by its row, bound to ``?sample=``."""
    samples, about = run.samples(), run.description()
    first = int(np.flatnonzero(samples.held_out)[0]) if samples.held_out.any() else 0
    with st.sidebar:
        row = choose_number("Image (row)", 0, len(images) - 1, key="sample", first=first, help=words.SAMPLE)
    known = samples.classes[row]
    label = about.class_names[known] if 0 <= known < len(about.class_names) else "unlabelled"
    part = "held out" if samples.held_out[row] else "a training image"
    st.caption(say(f"Image {row} of run {safe_label(run.name)}, class {safe_label(label)}, {part}"))
    return PickedImage(
        pixels=np.asarray(images[samples.indices[row]]),
        name=f"image {row} of run {run.name}",
        notes=(),
        key=f"{run.name}-{about.dataset_fingerprint}-{row}",
        address={"picture": OF_RUN, "sample": str(row)},
    )


def _images_of(run: Run) -> np.ndarray | None:
    """All images of a run's data set; None when they are not on this machine."""
    try:
        return _images(run.name, run.description().dataset_fingerprint, _run=run)
    except Problem:
        return None


@st.cache_resource(max_entries=3, show_spinner=False)
def _images(name: str, fingerprint: str, _run: Run) -> np.ndarray:
    from vitviz.training.setup import load_shown_images

    return load_shown_images(_run)
