"""One image of a subspace run: what it is made of, where that lies on the ring of its class, and what its channels see."""

import numpy as np
import streamlit as st

from vitviz.explain.sheets import contact_sheet
from vitviz.explain.subspace import Snapshot
from vitviz.explain.subspace_images import channel_maps, channel_sheet, gates_of, rebuild, ring_of, row_of
from vitviz.figures import subspace_images as figures
from vitviz.figures.theme import cluster_colors
from vitviz.runs.folder import Run
from vitviz.ui import run_views
from vitviz.ui import subspace_words as words
from vitviz.ui.components.image_grid import image_grid
from vitviz.ui.language import say
from vitviz.ui.routes import run_addresses
from vitviz.ui.run_views import chart
from vitviz.ui.subspace_sources import cached, latent_of, model_of, pick_step, pictures_of, snapshot_of

MOST, COLUMNS = 12, 5


def show_image(run: Run) -> None:
    """An image between those that it is made of."""
    left, right = st.columns((1, 1), gap="medium")
    with left:
        shot = snapshot_of(run, pick_step(run))
        sample = _pick_sample(run, shot)
        row = row_of(shot, sample, most=MOST)
        _show_rebuilt(run, shot, sample)
        st.markdown(say("**Made of**"))
        _go_to(_show_parts(run, shot, row), sample)
    with right:
        names = [words.image_name(run, one) for one in row.others]
        chart(
            figures.coefficient_bars(row, names=names),
            key="subspace_row",
            alt=f"coefficients of {words.image_name(run, sample)}, the largest first",
        )
        st.caption(say(words.row_sentence(row)))
        ring = ring_of(shot, run, sample)
        if ring is not None:
            chart(
                figures.ring(ring, names=[words.image_name(run, one) for one in ring.members]),
                key="subspace_ring",
                alt=f"{words.image_name(run, sample)} among the images of its class, with lines to those it is made of",
            )
            st.caption(say(words.ring_sentence(ring)))


def show_channels(run: Run) -> None:
    """What the encoder's channels see in one image, and how far the gate lets each through."""
    left, right = st.columns((1, 1), gap="medium")
    with left:
        shot = snapshot_of(run, pick_step(run))
        sample = _pick_sample(run, shot)
        pictures = pictures_of(run, [sample])
        if pictures is None:
            st.caption(say(words.no_images(run)))
        else:
            _show_maps(run, shot, sample, pictures[0])
    with right:
        gates = gates_of(shot)
        if gates is None:
            st.info(say(words.NO_GATE), icon=":material/tune:")
            return
        chart(
            figures.gate_bars(gates),
            key="subspace_gates",
            alt=f"mean and spread of the gate over {len(gates.mean)} channels",
        )
        st.caption(say(words.gate_sentence(gates)))
        if gates.by_class is not None:
            chart(
                figures.gate_heat(gates.by_class, class_names=run.description().class_names),
                key="subspace_gate_classes",
                alt="mean gate of each class and channel",
            )
            st.caption(say(words.GATE_CLASSES))


def _pick_sample(run: Run, shot: Snapshot) -> int:
    """A row of the run, bound to ``?image=``: by number, or by clicking a picture of its class."""
    last = len(shot.labels) - 1
    picked = st.session_state.pop("subspace_picked", None)
    if picked is not None:
        st.session_state["image"] = picked
    sample = st.number_input(say("Image (row of the run)"), 0, last, value=0, step=1, key="image", bind="query-params")
    st.caption(say(words.sentence(f"{words.image_title(run, shot, sample)}, {words.step_text(shot)}")))
    with st.expander(say("Choose by picture"), icon=":material/grid_view:"):
        alike = (
            np.flatnonzero(shot.classes == shot.classes[sample]) if shot.classes[sample] >= 0 else np.arange(last + 1)
        )
        firsts = [int(np.flatnonzero(shot.classes == one)[0]) for one in np.unique(shot.classes[shot.classes >= 0])]
        clicked = [_strip(run, shot, firsts, key="classes"), _strip(run, shot, alike[:120], key="alike")]
    for one in clicked:
        _go_to(one, sample)
    return int(sample)


def _go_to(clicked: int | None, sample: int) -> None:
    """The view of the row that was clicked, where that is another."""
    if clicked is not None and clicked != sample:
        st.session_state["subspace_picked"] = clicked
        st.rerun(scope="fragment")


def _strip(run: Run, shot: Snapshot, rows, *, key: str) -> int | None:
    """Thumbnails of rows framed in their cluster's colour; the one just clicked."""
    colors = cluster_colors(run_views.classes_of_clusters(run).shape[1])
    items = [
        {
            "id": int(row),
            "label": words.class_name(run, row),
            "color": colors[shot.labels[row]],
            "note": say(words.image_title(run, shot, row, str)),
        }
        for row in rows
    ]
    return image_grid(
        key=f"subspace_{key}_{run.name}", tile_url=run_addresses(run).tile, items=items, thumb=48, label=say("Images")
    )


def _show_parts(run: Run, shot: Snapshot, row) -> int | None:
    """The images that one is made of, the largest coefficient first, each with its coefficient under it; the one clicked."""
    colors = cluster_colors(run_views.classes_of_clusters(run).shape[1])
    items = [
        {
            "id": int(one),
            "label": words.number(value),
            "color": colors[shot.labels[one]],
            "note": say(f"{words.number(value)} of {words.image_title(run, shot, one, str)}"),
        }
        for one, value in zip(row.others, row.values, strict=True)
    ]
    tile_url = run_addresses(run).tile
    return image_grid(
        key=f"subspace_parts_{run.name}", tile_url=tile_url, items=items, thumb=72, captions=True, label=say("Images")
    )


def _show_rebuilt(run: Run, shot: Snapshot, sample: int) -> None:
    pictures = pictures_of(run, [sample])
    if pictures is None:
        st.caption(say(words.no_images(run)))
        return

    def make():
        return rebuild(model_of(run, shot.round), shot, latent_of(run, shot.round), pictures[0], sample)

    rebuilt = cached("rebuilt", run, shot.round, make, sample)
    triple = [_colored(one) for one in (rebuilt.original, rebuilt.from_latent, rebuilt.from_others)]
    st.image(
        contact_sheet(np.stack(triple), columns=3, cell=160),
        alt=say(f"{words.image_name(run, sample)}: itself, decoded from Z, decoded from C Z"),
    )
    st.caption(say(words.rebuilt_sentence(rebuilt, has_gate=shot.gate is not None)))


def _show_maps(run: Run, shot: Snapshot, sample: int, pixels: np.ndarray) -> None:
    channels = cached("channels", run, shot.round, lambda: channel_maps(model_of(run, shot.round), pixels), sample)
    st.image(contact_sheet(_colored(pixels)[None], columns=1, cell=128), alt=say(words.image_name(run, sample)))
    st.image(channel_sheet(channels, columns=COLUMNS), alt=say(f"{len(channels.maps)} channel maps"))
    st.caption(say(words.CHANNELS.format(count=len(channels.maps), ceiling=channels.ceiling)))
    if channels.gate is not None:
        st.image(channel_sheet(channels, gated=True, columns=COLUMNS), alt=say("the same after the gate"))
        st.caption(say(f"{words.GATED} Factors: {', '.join(f'{factor:.2f}' for factor in channels.gate)}."))


def _colored(pixels: np.ndarray) -> np.ndarray:
    return pixels if pixels.ndim == 3 else np.repeat(pixels[:, :, None], 3, axis=2)
