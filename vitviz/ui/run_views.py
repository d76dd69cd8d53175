"""Pieces of a page that show a run: headline, charts, grids, names of clusters, pictures."""

from collections.abc import Sequence

import numpy as np
import streamlit as st

from vitviz.explain import deep_clustering as explain
from vitviz.figures.description import describe
from vitviz.figures.theme import cluster_colors
from vitviz.runs.folder import Run
from vitviz.ui.components.image_grid import image_grid
from vitviz.ui.figure_files import offer_figure_files, picture_options, with_recipe
from vitviz.ui.followed import follow_pick
from vitviz.ui.labels import safe_label
from vitviz.ui.language import say, say_figure, say_told
from vitviz.ui.pickers import PickedImage
from vitviz.ui.routes import run_addresses
from vitviz.ui.words import is_pulled


def no_run_yet(method: str, preset: str) -> None:
    """The empty state: what would be here, and the one line that makes it."""
    st.info(
        say("There is no run to show yet. A run is one training, kept as a folder; this makes one:"),
        icon=":material/play_circle:",
    )
    st.code(f"python -m vitviz train {method} --preset {preset}", language=None)


def live_status(run: Run) -> None:
    """One line while a run is being written, refreshed every two seconds; nothing for a finished one."""
    state = run.status().state
    if run.is_shipped() or state == "finished":
        return

    @st.fragment(run_every=2 if state in ("running", "queued") else None)
    def tick() -> None:
        status = run.status()
        progress = status.progress
        if status.state in ("running", "queued"):
            share = min(progress.done / progress.total, 1.0) if progress.total else 0.0
            note = safe_label(say(progress.note))
            st.progress(share, say(f"{status.state}: {note}, {progress.done:d} of at most {progress.total:d} records"))
        elif status.state in ("interrupted", "cancelled"):
            again = f"python -m vitviz train {run.description().method} --run {run.name} --resume"
            st.warning(say(f"This run was {status.state}. `{again}` goes on, and so does the page Train."))
        elif status.state == "failed":
            st.error(safe_label(say(f"This run failed: {say_told(status.error)}"), max_length=600))
        if (run.version(), status.state) != (shown, state):
            st.rerun()

    shown = run.version()
    tick()


def headline(run: Run, control: Run | None) -> None:
    """Four numbers of the last round with their change since round 0, and the warnings of the run."""
    records = run.round_metrics()
    first, last = records[0], records[-1]
    beside = [{}, *(control.round_metrics() if control is not None else [])][-1]
    # a row that wraps: four abreast on a desk, two on a phone
    with st.container(horizontal=True):
        _metric("Held-out NMI", first.get("held_out_nmi"), last.get("held_out_nmi"), "normal")
        _metric("Held-out ACC", first.get("held_out_acc"), last.get("held_out_acc"), "normal")
        _metric("Within share W/T", first.get("within_share"), last.get("within_share"), "off")
        if first.get("raw_kmeans_nmi") is not None:
            _control_metric("NMI, raw pixels", first["raw_kmeans_nmi"], "k-means alone")
        elif is_pulled(run):
            _control_metric("NMI at α = 0", beside.get("held_out_nmi"), "the control")
    warnings = [f"round {record['index']}: {text}" for record in records for text in record.get("warnings", ())]
    if warnings:
        num = "1 warning" if len(warnings) == 1 else f"{len(warnings)} warnings"
        with st.expander(say(f"**{num}**: clustering may be freezing mistakes"), icon=":material/warning:"):
            for text in warnings:
                st.markdown(f"- {safe_label(say(text), max_length=200)}")


def grid(
    run: Run,
    round_index: int,
    samples: np.ndarray,
    *,
    key: str,
    total: int | None = None,
    notes: Sequence[str] = (),
    thumb: int = 48,
) -> int | None:
    """Thumbnails of ``samples`` framed in their cluster's colour at a round; what is clicked is followed, and returned once.

    ``notes`` stand on hover, already in the reader's language; without them the image's number and cluster.
    """
    about, known, names = run.description(), run.samples(), said_names(run)
    form = say("image {number}, {cluster}")
    labels, colors = run.round(round_index).matched_labels, cluster_colors(classes_of_clusters(run).shape[1])
    items = []
    for place, sample in enumerate(samples):
        label = about.class_names[known.classes[sample]] if known.classes[sample] >= 0 else "?"
        note = notes[place] if notes else form.format(number=known.indices[sample], cluster=names[labels[sample]])
        items.append({"id": int(sample), "label": label, "color": colors[labels[sample]], "note": note})
    place = f"{key}_{run.name}"
    return image_grid(
        key=place,
        tile_url=run_addresses(run).tile,
        items=items,
        total=total,
        thumb=thumb,
        on_pick=follow_pick(place),
    )


def cluster_names(run: Run) -> list[str]:
    """``cluster 3 (cat)``: the matched id and the class it stands for in the last round."""
    about, standing = run.description(), classes_of_clusters(run)[-1]
    named = (
        f" ({about.class_names[one]})" if one >= 0 and about.class_names[one] != str(index) else ""
        for index, one in enumerate(standing)
    )
    return [f"cluster {index}{extra}" for index, extra in enumerate(named)]


def said_names(run: Run) -> list[str]:
    """:func:`cluster_names` in the reader's language."""
    return [say(name) for name in cluster_names(run)]


def classes_of_clusters(run: Run) -> np.ndarray:
    """``explain.deep_clustering.classes_of_clusters``, kept by run and version: (R, K) class ids, -1 for none."""
    return _classes_of_clusters(run.name, run.version(), _run=run)


def short_names(names: Sequence[str]) -> list[str]:
    """``cluster 3 (cat)`` as ``3 cat``: for axes."""
    return [name.removeprefix("cluster ").replace("(", "").replace(")", "") for name in names]


def pick_round(run: Run, title: str, *, key: str, default: int) -> int:
    """A round of the run, bound to the address."""
    last = run.num_rounds() - 1
    if last == 0:
        return 0
    return st.slider(say(title), 0, last, value=min(default, last), key=key, bind="query-params")


@st.fragment
def chart(figure, *, key: str, alt: str = "") -> None:
    """A plotly figure in Streamlit's theme, its picture, numbers and recipe to take away; nothing phones anywhere.

    ``alt``: what it shows, for who cannot see it; what the figure itself tells when empty.
    """
    said = say_figure(figure)
    words = [alt] if alt else describe(said)
    alt = " ".join(say(sentence) for sentence in words)
    shown = with_recipe(said, key)
    config = {"displaylogo": False, "toImageButtonOptions": picture_options(shown, key), "responsive": True}
    st.plotly_chart(shown, key=f"chart_{key}", config=config, alt=alt)
    offer_figure_files(figure, key=key)


def pictures(run: Run, samples: np.ndarray) -> np.ndarray:
    """The images (M, H, W, 3) uint8 of ``samples`` (M,) rows of a run. Raises Problem when they are not on this machine."""
    images = _images(run.name, run.description().dataset_fingerprint, _run=run)
    return images[run.samples().indices[samples]]


def shrink(images: np.ndarray) -> np.ndarray:
    """Images at no more than 64 pixels a side, by taking every n-th pixel."""
    step = max(images.shape[1] // 64, 1)
    return np.asarray(images)[:, ::step, ::step]


def as_run_sees(run: Run, picked: PickedImage, *, inverted: bool = False) -> np.ndarray:
    """The picture cut to the run's square, light and dark swapped if ``inverted``: (img_size, img_size, 3) uint8."""
    from vitviz.data.images import fit_image

    pixels = fit_image(picked.pixels, run.description().img_size)
    return 255 - pixels if inverted else pixels


def classes_sentence(run: Run) -> str:
    """The classes of a run, a few of them by name."""
    names = [safe_label(name) for name in run.description().class_names]
    return ", ".join(names) if len(names) <= 12 else f"{', '.join(names[:12])} and {len(names) - 12} more"


@st.cache_resource(max_entries=16, show_spinner=False)
def _classes_of_clusters(name: str, version: str, _run: Run) -> np.ndarray:
    return explain.classes_of_clusters(_run)


@st.cache_resource(max_entries=4, show_spinner=False)
def _images(name: str, fingerprint: str, _run: Run) -> np.ndarray:
    from vitviz.training.setup import load_shown_images

    return load_shown_images(_run)


def _metric(title: str, first: float | None, last: float | None, color: str) -> None:
    if last is None:
        st.metric(
            say(title), say("not defined"), border=True, help=say("The data set has no labels, or only one class.")
        )
        return
    change = None if first is None or first == last else say(f"{last - first:+.3f} since round 0")
    st.metric(say(title), f"{last:.3f}", change, delta_color=color, border=True)


def _control_metric(title: str, value: float | None, note: str) -> None:
    if value is None:
        st.metric(say(title), "–", say("no control run here"), delta_color="off", delta_arrow="off", border=True)
    else:
        st.metric(say(title), f"{value:.3f}", say(note), delta_color="off", delta_arrow="off", border=True)
