"""The view of the movers: the ledger by class beside the control's, the images by kind, and all of them as a table."""

from collections.abc import Sequence

import numpy as np
import streamlit as st

from vitviz.explain.deep_clustering import Movers, Part, find_movers
from vitviz.explain.movers_ledger import Kin, Ledger, measure_kin, write_ledger
from vitviz.figures import deep_clustering as figures
from vitviz.runs.compact import has_embeddings
from vitviz.runs.folder import Run
from vitviz.ui import film_strip, run_views, words
from vitviz.ui.choices import choose
from vitviz.ui.language import say, say_keys
from vitviz.ui.results import cached

KINDS = ("repaired", "broken", "moved")


def show(run: Run, control: Run | None) -> None:
    """Who changed sides between two rounds of a part of the images, and what that did to every class."""
    columns = st.columns(3)
    with columns[0]:
        before = run_views.pick_round(run, "From round", key="round_a", default=0)
    with columns[1]:
        after = run_views.pick_round(run, "To round", key="round_b", default=run.num_rounds() - 1)
    with columns[2]:
        part = choose("Images", ("held out", "train", "all"), key="part")
    movers = find_movers(run, before, after, part)
    if len(movers.samples) == 0:
        st.info(say(words.nobody_moved(before, after, part)), icon=":material/check:")
        return
    run_views.chart(figures.moves(movers.kinds), key="moves")
    st.caption(say(words.MOVERS))
    with st.spinner(say("Looking up the neighbours of the movers …")):
        kin = _kept_kin(run, movers, before, after, part)
        ledger = _kept_ledger(run, before, after, part, kin)
        beside = None if control is None else _kept_ledger(control, before, after, part)
    _show_ledger(run, ledger, beside)
    _show_images(run, movers, before, after)
    film_strip.show(run)
    _show_table(run, movers, kin)


def _show_ledger(run: Run, ledger: Ledger, beside: Ledger | None) -> None:
    st.header(say("The ledger, class by class"))
    st.markdown(say(words.ledger_sentence(ledger)))
    st.markdown(say(words.no_control(run) if beside is None else words.control_sentence(beside)))
    names = run.description().class_names
    run_views.chart(figures.ledger_bars(ledger, beside, class_names=names), key="ledger")
    st.caption(say(words.LEDGER if beside is None else f"{words.LEDGER_BESIDE} {words.LEDGER}"))
    columns = _ledger_columns(ledger, beside, names)
    st.dataframe(say_keys(_known(columns)), hide_index=True)
    kin = words.KIN if has_embeddings(run) else ""
    st.caption(say(words.with_small_copy(kin, run)))


def _ledger_columns(ledger: Ledger, beside: Ledger | None, names: tuple[str, ...]) -> dict:
    """English column name to column."""
    columns = {
        "class": [names[one] for one in ledger.classes],
        "images": ledger.images,
        f"right at round {ledger.before}": ledger.right_before,
        "repaired": ledger.repaired,
        "broken": ledger.broken,
        f"right at round {ledger.after}": ledger.right_after,
        "moved": ledger.moved,
        "kin before": np.round(ledger.kin_before, 3),
        "kin after": np.round(ledger.kin_after, 3),
        "change of kin": np.round(ledger.kin_after - ledger.kin_before, 3),
    }
    if beside is None:
        return columns
    there = {int(one): place for place, one in enumerate(beside.classes)}
    places = [there.get(int(one)) for one in ledger.classes]

    def of_control(values: np.ndarray) -> list:
        return [None if place is None else values[place].item() for place in places]

    return columns | {
        "repaired, α = 0": of_control(beside.repaired),
        "broken, α = 0": of_control(beside.broken),
        "change of kin, α = 0": of_control(np.round(beside.kin_after - beside.kin_before, 3)),
    }


def _known(columns: dict[str, Sequence]) -> dict[str, Sequence]:
    """Without the kin of a run that was handed on without embeddings: columns of nothing but NaN."""

    def is_unknown(column: Sequence) -> bool:
        return len(column) > 0 and all(isinstance(one, float | np.floating) and np.isnan(one) for one in column)

    return {name: column for name, column in columns.items() if not is_unknown(column)}


def _show_images(run: Run, movers: Movers, before: int, after: int) -> None:
    names, form = run_views.said_names(run), say("{was} at round {before}, {now} at round {after}")
    for kind in KINDS:
        chosen = movers.kinds == kind
        if chosen.any():
            st.markdown(say(f"**{chosen.sum():,} {kind}**"))
            notes = [
                form.format(was=names[was], before=before, now=names[now], after=after)
                for was, now in zip(movers.before[chosen], movers.after[chosen], strict=True)
            ]
            run_views.grid(run, after, movers.samples[chosen], key=f"movers_{kind}", notes=notes)


def _show_table(run: Run, movers: Movers, kin: Kin) -> None:
    """The movers as a table that sorts and can be taken away."""
    about, samples, names = run.description(), run.samples(), run_views.said_names(run)
    said = {kind: say(kind) for kind in KINDS}
    with st.expander(say(f"Table of {len(movers.samples):,} images")):
        columns = {
            "image": samples.indices[movers.samples],
            "what": [said[kind] for kind in movers.kinds],
            "class": [about.class_names[one] for one in movers.classes],
            "from": [names[one] for one in movers.before],
            "to": [names[one] for one in movers.after],
            "distance / runner-up": np.round(movers.closeness, 3),
            "kin before": np.round(kin.before, 3),
            "kin after": np.round(kin.after, 3),
            "change of kin": np.round(kin.after - kin.before, 3),
        }
        st.dataframe(say_keys(_known(columns)), hide_index=True)
        if np.isnan(kin.before).any() and has_embeddings(run):
            st.caption(say(words.kin_sampled(int((~np.isnan(kin.before)).sum()), len(movers.samples))))


def _kept_ledger(run: Run, before: int, after: int, part: Part, kin: Kin | None = None) -> Ledger:
    key = f"{run.name}-{run.version()}-{before}-{after}-{part}"
    return cached("ledger", key, lambda: write_ledger(run, before, after, part, kin=kin))


def _kept_kin(run: Run, movers: Movers, before: int, after: int, part: Part) -> Kin:
    key = f"{run.name}-{run.version()}-{before}-{after}-{part}"
    return cached("kin", key, lambda: measure_kin(run, movers, before, after))
