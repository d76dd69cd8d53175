"""Pieces of the page that compares: pickers, tables, charts, and the measurement on this machine."""

import threading
from collections.abc import Sequence

import streamlit as st

from vitviz.explain.comparison import ComparedRow, learning_curves
from vitviz.explain.comparison_setups import OWN, Setup, find_setups
from vitviz.explain.paper_claims import COMPARISONS, Comparison, standard_error
from vitviz.figures import comparison as figures
from vitviz.runs.folder import Run, find_run
from vitviz.ui import compare_words as words
from vitviz.ui import run_views
from vitviz.ui.labels import safe_label
from vitviz.ui.memory import settle_memory
from vitviz.ui.navigation import address_of
from vitviz.ui.pickers import choose

_SECONDS = 18
_BATCH = 2  # small, so that many turns fit into the time
_MEASURED = "compare_throughput"


def pick_comparison(comparisons: dict[str, Comparison]) -> Comparison:
    """The comparison chosen among those there are, bound to ``?table=``."""
    return comparisons[choose("Comparison", tuple(comparisons), key="table", label_visibility="collapsed")]


def describe(comparison: Comparison) -> None:
    """What is compared and where the claims are printed."""
    st.header(f"{comparison.table}: {comparison.title.lower()}" if comparison.table else safe_label(comparison.title))
    st.markdown(comparison.question)
    if comparison.paper:
        st.caption(words.paper_sentence(comparison))


def pick_setup(comparison: Comparison, runs: Sequence[Run]) -> Setup | None:
    """The setup whose runs are compared, bound to ``?setup=`` where there are several; None without a run."""
    setups = {setup.title: setup for setup in find_setups(comparison, runs)}
    if not setups:
        return None
    titles = list(setups)
    if len(titles) == 1:
        return setups[titles[0]]
    help_text = "Runs on other images, or with another recipe, are not mixed."
    return setups[st.selectbox("Our runs on", titles, key="setup", bind="query-params", help=help_text)]


def pick_runs(comparison: Comparison, setup: Setup | None) -> tuple[Run, ...]:
    """The runs of a setup; among any runs those that were chosen, bound to ``?runs=``."""
    if setup is None:
        return ()
    if comparison.key != OWN:
        return setup.runs
    found = {run.name: run for run in setup.runs}
    chosen = st.multiselect("Runs", list(found), default=list(found)[:12], key="runs", bind="query-params")
    return tuple(found[name] for name in chosen)


def no_run_yet(comparison: Comparison, rows: Sequence[ComparedRow]) -> None:
    """The empty state, or the rows that are still missing, each with the one line that makes them."""
    missing = [row.claim.variant for row in rows if not row.runs]
    base = f"python -m vitviz train {comparison.method} --preset {comparison.preset}"
    if not comparison.rows:
        if not rows:
            st.info("There is no run to compare yet. This makes one:", icon=":material/play_circle:")
            st.code(f"python -m vitviz train {comparison.method} --preset clothing-supertoken", language=None)
        return
    if len(missing) == len(rows):
        st.info(
            "There is no run of ours for this table yet. This makes one for every row:", icon=":material/play_circle:"
        )
        st.code(base, language=None)
    elif missing:
        st.caption(f"{len(missing)} of {len(rows)} rows have no run of ours. This makes them:")
        st.code(f"{base} --rows {','.join(missing)}", language=None)


def scores(comparison: Comparison, rows: Sequence[ComparedRow]) -> None:
    """The paper's scores beside ours, row by row."""
    names = [row.claim.title for row in rows]
    has_claims, has_runs = any(row.claim.top1 is not None for row in rows), any(row.finished for row in rows)
    if not has_claims and not has_runs:
        return
    left, right = st.columns(2) if has_claims and has_runs else (st.container(), st.container())
    if has_claims:
        with left:
            errors = [standard_error(row.claim.top1 or 0.0, comparison.num_test_images) for row in rows]
            figure = figures.claimed_scores(rows, standard_errors=errors, names=names)
            run_views.chart(figure, key="claims")
            st.caption(words.CLAIMS.format(num=comparison.num_test_images))
    if has_runs:
        with right:
            run_views.chart(figures.own_scores(rows, names=names), key="own_scores")
            st.caption(words.OWN_SCORES)


def score_table(comparison: Comparison, rows: Sequence[ComparedRow]) -> None:
    """Row by row: the claim, ours with its spread, seeds and epochs."""
    has_claims = any(row.claim.top1 is not None for row in rows)
    table: dict[str, list[str]] = {"row": [safe_label(row.claim.title) for row in rows]}
    if comparison.rows:
        unknown = "no claim" if has_claims else "not known"
        claims = [unknown if row.claim.top1 is None else f"{row.claim.top1:.2f} %" for row in rows]
        table["the paper's claim"] = claims
    table["ours: mean (smallest to largest)"] = [words.score_words(row) for row in rows]
    table["seeds"] = [str(len(row.finished)) for row in rows]
    table["epochs"] = [", ".join(sorted({str(run.num_epochs) for run in row.runs})) or "–" for row in rows]
    st.table(table, hide_index=True, border="horizontal", alt="scores of the paper and ours, row by row")


def row_notes(rows: Sequence[ComparedRow]) -> None:
    """What every row is, and its runs as links."""
    lines = []
    for row in rows:
        note = f", {safe_label(row.claim.note, max_length=200)}" if row.claim.note else ""
        lines.append(f"- **{safe_label(row.claim.title)}**{note}: {_links(row)}")
    st.markdown("\n".join(lines))


@st.fragment
def curves(rows: Sequence[ComparedRow], setup: Setup) -> None:
    """Held-out score and loss over epochs or seconds."""
    if not any(len(run.scores) for row in rows for run in row.runs):
        return
    st.header("Learning curves")
    left, right = st.columns(2)
    with left:
        against = choose("Over", ("epoch", "seconds"), key="over")
        figure = _learning_curves(rows, "score", against, "held-out top-1, percent", chance=setup.chance)
        run_views.chart(figure, key="top1")
    with right:
        loss = choose("Loss on", ("training images", "held-out images"), key="loss")
        measure = "loss" if loss == "training images" else "held_out_loss"
        run_views.chart(_learning_curves(rows, measure, against, f"loss, {loss}"), key="loss_curves")
    st.caption(words.CURVES)


def sizes(comparison: Comparison) -> None:
    """Parameters and multiply-adds of the rows at the paper's size, beside what the paper claims."""
    known = [place for place, row in enumerate(comparison.rows) if row.embedding]
    if not known:
        return
    st.header("Size, built as printed")
    with st.spinner("Building the models …"):
        counted = _count_sizes(comparison.key)
    settle_memory()
    claims = [comparison.rows[place].embedding_parameters for place in known]
    table = {"row": [safe_label(comparison.rows[place].title) for place in known]}
    if any(claims):
        table["embedding, the paper's claim (Table 1)"] = [
            "no claim" if one is None else f"{one / 1e6:.2f} M" for one in claims
        ]
    table["embedding, parameters"] = [f"{counted[place].embedding_parameters:,}" for place in known]
    table["whole model, parameters"] = [f"{counted[place].parameters:,}" for place in known]
    table["embedding, multiply-adds"] = [f"{counted[place].embedding_macs / 1e6:,.1f} M" for place in known]
    table["whole model, multiply-adds"] = [f"{counted[place].macs / 1e9:.3f} G" for place in known]
    st.table(table, hide_index=True, border="horizontal", alt="parameters and multiply-adds, row by row")
    st.caption(words.SIZES)


@st.fragment
def throughput(comparison: Comparison) -> None:
    """Images a second at t = 1 to 4, measured when asked for, beside what the paper claims."""
    claimed = [row for row in comparison.rows if row.images_per_second is not None]
    if not claimed:
        return
    st.header("Speed, measured here")
    if st.button(f"Measure for about {_SECONDS} seconds", icon=":material/speed:"):
        _measure([row.options["num_iterations"] for row in claimed])
    measured = st.session_state.get(_MEASURED)
    if measured is None:
        rates = ", ".join(f"{row.title}: {row.images_per_second:.0f}" for row in claimed)
        st.caption(f"Nothing is measured yet. The paper claims, in images a second: {rates}.")
        return
    run_views.chart(
        figures.relative_throughput(
            [row.title for row in claimed],
            measured=[one.images_per_second for one in measured],
            spreads=[one.spread for one in measured],
            claimed=[row.images_per_second for row in claimed],
        ),
        key="throughput",
    )
    st.caption(words.speed_sentence(claimed, measured))
    st.caption(words.THROUGHPUT.format(seconds=_SECONDS, batch=_BATCH))


def doubts(comparison: Comparison) -> None:
    """Where the paper contradicts itself or leaves a thing open."""
    if comparison.doubts:
        with st.expander("What the paper leaves open", icon=":material/help:"):
            for one in comparison.doubts:
                st.markdown(f"- {one}")


def _learning_curves(
    rows: Sequence[ComparedRow], measure: str, against: str, title: str, *, chance: float | None = None
):
    lines = learning_curves(rows, measure, against)
    return figures.learning_curves(lines, num_rows=len(rows), against=against, title=title, chance=chance)


def _links(row: ComparedRow) -> str:
    links = []
    for run in row.runs:
        note = "" if run.score is not None else f" (epoch {len(run.scores)} of {run.num_epochs})"
        links.append(f"[{safe_label(run.name)}]({address_of(find_run(run.name))}){note}")
    return ", ".join(links) or "no run yet"


def _measure(iterations: Sequence[int]) -> None:
    """Measure and keep the result for this session; says so where somebody else's measurement is under way."""
    from vitviz.explain.embedding_costs import measure_throughput

    lock = _measuring()
    if not lock.acquire(blocking=False):
        st.warning("Another measurement is under way on this machine. Try again in a moment.")
        return
    try:
        with st.spinner("Measuring …", show_time=True):
            st.session_state[_MEASURED] = measure_throughput(iterations=iterations, batch_size=_BATCH, seconds=_SECONDS)
    finally:
        lock.release()
    settle_memory()


@st.cache_resource(show_spinner=False)
def _measuring() -> threading.Lock:
    """Held while this process measures: two at a time would measure each other."""
    return threading.Lock()


@st.cache_resource(show_spinner=False, max_entries=32)
def _count_sizes(key: str) -> tuple:
    """The sizes of a table's rows, counted once a process: they depend on nothing but the code."""
    from vitviz.explain.paper_sizes import count_size

    return tuple(count_size(row) for row in COMPARISONS[key].rows)
