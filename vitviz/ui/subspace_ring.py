"""One object of a turntable as a ring of its views, and the pair that is picked on it."""

import streamlit as st

from vitviz.explain.subspace import Snapshot
from vitviz.explain.subspace_turn import Turn, objects_of, open_objects, taken_by, turn_length, turn_of
from vitviz.figures.theme import cluster_colors
from vitviz.runs.folder import Run
from vitviz.ui import subspace_tool_words as tool_words
from vitviz.ui import subspace_words as words
from vitviz.ui.components.turn_ring import turn_ring
from vitviz.ui.language import say
from vitviz.ui.pins import write_address
from vitviz.ui.routes import run_addresses
from vitviz.ui.subspace_pairs import show_pair
from vitviz.ui.subspace_sources import cached, pick_step, pictures_of, snapshot_of

KEY = "subspace_turn"


def show_ring(run: Run) -> None:
    """The ring of an object; what it needs where the run has no turntable."""
    if turn_length(run) is None or not objects_of(run):
        st.info(say(tool_words.needs_turn(run)), icon=":material/360:")
        st.code("python -m vitviz train subspace --preset coil20", language=None)
        return
    st.caption(say(tool_words.RING))
    left, right = st.columns((3, 2), gap="medium")
    with left:
        shot = snapshot_of(run, pick_step(run))
        chosen, most = _pick_object(run)
        turn = cached("turn", run, shot.round, lambda: turn_of(shot, run, chosen, most=most), chosen, most)
        pair = _draw(run, shot, turn, f"{run.name}-{run.version()}-{shot.round}-{chosen}-{most}")
        st.caption(say(tool_words.turn_caption(run, shot, chosen, most)))
        if pictures_of(run, turn.members[:1]) is None:
            st.caption(say(words.no_images(run)))
    with right:
        _show_numbers(turn)
        if pair is None:
            st.caption(say(tool_words.PICK_A_VIEW))
        else:
            show_pair(run, shot, *pair)
        found = cached("turns", run, shot.round, lambda: open_objects(shot, run, most=most), most)
        st.caption(say(tool_words.objects_sentence(run, found)))
    write_address("pair", None if pair is None else f"{pair[0]}_{pair[1]}")


def _pick_object(run: Run) -> tuple[int, int]:
    names = run.description().class_names
    known = {names[one]: one for one in objects_of(run)}
    with st.container(horizontal=True):
        name = st.selectbox(say("Object"), list(known), key="object", bind="query-params")
        most = st.slider(say("Images that each view is joined to"), 1, 6, 3, key="joined", bind="query-params")
    return known[name], most


def _draw(run: Run, shot: Snapshot, turn: Turn, follow: str) -> tuple[int, int] | None:
    colors = cluster_colors(int(shot.labels.max()) + 1)
    strangers = [
        {
            "place": int(place),
            "row": int(row),
            "color": colors[shot.labels[row]],
            "title": say(tool_words.stranger_title(run, shot, turn, int(place), int(row), weight)),
            "weight": round(float(weight), 4),
        }
        for (place, row), weight in zip(turn.strangers, turn.stranger_weights, strict=True)
    ]
    views = [
        {
            "row": int(row),
            "color": colors[shot.labels[row]],
            "title": say(tool_words.view_title(run, shot, turn, place)),
            "takes": taken_by(turn, place),
        }
        for place, row in enumerate(turn.members)
    ]
    has_pictures = pictures_of(run, turn.members[:1]) is not None
    return turn_ring(
        key=KEY,
        views=views,
        degrees=turn.degrees,
        links=[(start, stop, weight) for (start, stop), weight in zip(turn.links, turn.weights, strict=True)],
        strangers=strangers,
        open_gaps=turn.open_gaps,
        alt=say(tool_words.turn_alt(turn)),
        tile_url=run_addresses(run).tile if has_pictures else "",
        picked=_asked(turn),
        follow=follow,
    )


def _asked(turn: Turn) -> tuple[int, int] | None:
    """The pair of ``?pair=``, where its first is a view of this object."""
    first, _, second = st.query_params.get("pair", "").partition("_")
    if not all(one.isascii() and one.isdigit() and len(one) < 7 for one in (first, second)):
        return None
    known = {int(row) for row in turn.members} | {int(row) for _, row in turn.strangers}
    return (int(first), int(second)) if int(first) in turn.members and int(second) in known else None


def _show_numbers(turn: Turn) -> None:
    look = {"border": True, "delta_color": "off", "delta_arrow": "off"}
    with st.container(horizontal=True):
        even = say(f"taken evenly: {turn.inside_random:.1%}")
        st.metric(say("Taken of the same object"), f"{turn.inside:.1%}", even, help=say(tool_words.INSIDE_HELP), **look)
        even = say(f"taken evenly: {turn.near_random:.1%}")
        st.metric(say("Taken from within 30°"), f"{turn.near:.1%}", even, help=say(tool_words.INSIDE_HELP), **look)
    st.markdown(say(tool_words.loop_sentence(turn)))
