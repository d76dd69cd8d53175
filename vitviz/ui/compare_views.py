"""Pieces of the page that compares: pickers, tables and charts."""

from collections.abc import Sequence

import streamlit as st

from vitviz.explain.comparison import ComparedRow, learning_curves
from vitviz.explain.comparison_setups import OWN, Setup, find_setups
from vitviz.explain.paper_claims import Comparison, standard_error
from vitviz.explain.scoring import Curve, Scoring
from vitviz.figures import comparison as figures
from vitviz.runs.folder import Run, find_run
from vitviz.ui import compare_words as words
from vitviz.ui import run_views
from vitviz.ui.choices import choose, choose_from
from vitviz.ui.labels import safe_label
from vitviz.ui.language import say, say_keys
from vitviz.ui.navigation import address_of


def pick_comparison(comparisons: dict[str, Comparison]) -> Comparison:
    """The comparison chosen among those there are, bound to ``?table=``."""
    names = {key: one.table or one.title for key, one in comparisons.items()}
    look = {"shown": names.__getitem__, "label_visibility": "collapsed"}
    return comparisons[choose("Comparison", tuple(comparisons), key="table", **look)]


def describe(comparison: Comparison) -> None:
    """What is compared and where the claims are printed."""
    st.header(
        say(f"{comparison.table}: {comparison.title.lower()}")
        if comparison.table
        else safe_label(say(comparison.title))
    )
    st.markdown(say(comparison.question))
    if comparison.paper:
        st.caption(say(words.paper_sentence(comparison)))


def pick_setup(comparison: Comparison, runs: Sequence[Run]) -> Setup | None:
    """The setup whose runs are compared, bound to ``?setup=`` where there are several; None without a run."""
    setups = {setup.title: setup for setup in find_setups(comparison, runs)}
    if not setups:
        return None
    titles = list(setups)
    if len(titles) == 1:
        return setups[titles[0]]
    help_text = "Runs on other images, or with another recipe, are not mixed."
    start = _start(list(setups.values())) if comparison.key == OWN else 0
    chosen = choose_from("Our runs on", titles, index=start, key="setup", help=help_text, on_change=_forget_runs)
    return setups[chosen]


def pick_runs(comparison: Comparison, setup: Setup | None) -> tuple[Run, ...]:
    """The runs of a setup; among any runs those that were chosen, bound to ``?runs=``."""
    if setup is None:
        return ()
    if comparison.key != OWN:
        return setup.runs
    found = {run.name: run for run in setup.runs}
    chosen = st.multiselect(say("Runs"), list(found), default=list(found)[:12], key="runs", bind="query-params")
    return tuple(found[name] for name in chosen)


def no_run_yet(comparison: Comparison, rows: Sequence[ComparedRow]) -> None:
    """The empty state, or the rows that are still missing, each with the one line that makes them."""
    missing = [row.claim.variant for row in rows if not row.runs]
    base = f"python -m vitviz train {comparison.method} --preset {comparison.preset}"
    if not comparison.rows:
        if not rows:
            st.info(say("There is no run to compare yet. This makes one:"), icon=":material/play_circle:")
            st.code("python -m vitviz train supertokens --preset clothing-supertoken", language=None)
        return
    if len(missing) == len(rows):
        st.info(
            say("There is no run of ours for this table yet. This makes one for every row:"),
            icon=":material/play_circle:",
        )
        st.code(base, language=None)
    elif missing:
        st.caption(say(f"{len(missing)} of {len(rows)} rows have no run of ours. This makes them:"))
        st.code(f"{base} --rows {','.join(missing)}", language=None)


def scores(comparison: Comparison, scoring: Scoring, rows: Sequence[ComparedRow]) -> None:
    """The paper's scores beside ours, row by row."""
    names = [say(row.claim.title) for row in rows]
    has_claims, has_runs = any(row.claim.score is not None for row in rows), any(row.finished for row in rows)
    if not has_claims and not has_runs:
        return
    left, right = st.columns(2) if has_claims and has_runs else (st.container(), st.container())
    if has_claims:
        with left:
            num, errors = comparison.num_test_images, None
            if num:
                errors = [standard_error(row.claim.score or 0.0, num) for row in rows]
            figure = figures.claimed_scores(rows, score=scoring.name, standard_errors=errors, names=names)
            run_views.chart(figure, key="claims")
            st.caption(say(words.claims_caption(comparison)))
    if has_runs:
        with right:
            figure = figures.own_scores(rows, score=scoring.name, images=scoring.images, names=names)
            run_views.chart(figure, key="own_scores")
            st.caption(say(words.own_caption(scoring, has_claims=has_claims)))


def score_table(comparison: Comparison, scoring: Scoring, rows: Sequence[ComparedRow]) -> None:
    """Row by row: the claim, ours with its spread and with the shares beside it, seeds, and epochs or the step that counts."""
    has_claims = any(row.claim.score is not None for row in rows)
    table: dict[str, list[str]] = {"row": [safe_label(say(row.claim.title)) for row in rows]}
    if comparison.rows:
        unknown = say("no claim" if has_claims else "not known")
        claims = [unknown if row.claim.score is None else f"{row.claim.score:.2f} %" for row in rows]
        table["the paper's claim"] = claims
    table["ours: mean (smallest to largest)"] = [say(words.score_words(row.scores)) for row in rows]
    for title in scoring.extras:
        shares = [row.extra(title) for row in rows]
        table[f"{title}: mean"] = [f"{sum(one) / len(one):.2f} %" if one else "–" for one in shares]
    table["seeds"] = [str(len(row.finished)) for row in rows]
    table[scoring.counted] = [_counted(scoring, row) for row in rows]
    alt = say("scores of the paper and ours, row by row")
    st.table(say_keys(table), hide_index=True, border="horizontal", alt=alt)


def row_notes(scoring: Scoring, rows: Sequence[ComparedRow]) -> None:
    """What every row is, and its runs as links."""
    lines = []
    for row in rows:
        note = f", {safe_label(say(row.claim.note), max_length=200)}" if row.claim.note else ""
        lines.append(f"- **{safe_label(say(row.claim.title))}**{note}: {_links(scoring, row)}")
    st.markdown("\n".join(lines))
    if any(row.finished for row in rows):
        st.caption(say(words.VERIFY))


@st.fragment
def curves(rows: Sequence[ComparedRow], setup: Setup) -> None:
    """The score, and what stands beside it, over epochs or steps or over seconds."""
    if not any(run.curves for row in rows for run in row.runs):
        return
    scoring = setup.scoring
    first, *others = scoring.curves
    st.header(say("Learning curves"))
    left, right = st.columns(2)
    with left:
        against = choose("Over", (scoring.record_kind, "seconds"), key="over")
        # far below the scores, the line of chance would flatten them
        chance = None if scoring.is_clustering else setup.chance
        run_views.chart(_learning_curves(rows, scoring, first, against, chance=chance), key="score_curves")
    with right:
        shown = choose("Beside it", [curve.title for curve in others], key="beside")
        beside = next(curve for curve in others if curve.title == shown)
        run_views.chart(_learning_curves(rows, scoring, beside, against), key="beside_curves")
    st.caption(say(words.curve_caption(scoring)))


def doubts(comparison: Comparison) -> None:
    """Where the paper contradicts itself or leaves a thing open."""
    if comparison.doubts:
        with st.expander(say("What the paper leaves open"), icon=":material/help:"):
            for one in comparison.doubts:
                st.markdown(f"- {say(one)}")


def _start(setups: Sequence[Setup]) -> int:
    """The first setup with a run that the link names, else the first."""
    named = set(st.query_params.get_all("runs"))
    return next((place for place, setup in enumerate(setups) if named & {run.name for run in setup.runs}), 0)


def _forget_runs() -> None:
    """Those chosen among another setup's runs: with none of them left, nothing would be shown."""
    st.session_state.pop("runs", None)
    st.query_params.pop("runs", None)


def _learning_curves(
    rows: Sequence[ComparedRow], scoring: Scoring, curve: Curve, against: str, *, chance: float | None = None
):
    lines = learning_curves(rows, curve, "seconds" if against == "seconds" else "records")
    title = f"{curve.title}, percent" if curve.in_percent else curve.title
    return figures.learning_curves(
        lines, num_rows=len(rows), against=against, phase=scoring.phase, title=title, chance=chance
    )


def _counted(scoring: Scoring, row: ComparedRow) -> str:
    """How many epochs the runs of a row have, or at which steps their scores count."""
    places = (run.counted_at if scoring.is_selected else run.num_planned for run in row.runs)
    return ", ".join(sorted({str(place) for place in places if place is not None})) or "–"


def _links(scoring: Scoring, row: ComparedRow) -> str:
    links = []
    for run in row.runs:
        far = say(f"{scoring.record_kind} {run.num_done} of {run.num_planned}")
        note = "" if run.score is not None else f" ({far})"
        links.append(f"[{safe_label(run.name)}]({address_of(find_run(run.name))}){note}")
    return ", ".join(links) or say("no run yet")
