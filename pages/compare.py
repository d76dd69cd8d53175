"""The page that compares: what a paper's table claims beside what our runs give."""

import streamlit as st

from vitviz.explain.comparison import compare
from vitviz.explain.comparison_setups import list_comparisons
from vitviz.runs.folder import list_runs
from vitviz.ui import compare_costs as costs
from vitviz.ui import compare_views as views
from vitviz.ui import compare_words as words
from vitviz.ui.language import say
from vitviz.ui.problems import shown_problems


def main() -> None:
    st.title(say("Compare"))
    st.caption(say(words.INTRO))
    runs = list_runs()
    comparison = views.pick_comparison(list_comparisons(runs))
    views.describe(comparison)
    with shown_problems():
        setup = views.pick_setup(comparison, runs)
        rows = compare(comparison, views.pick_runs(comparison, setup))
        scoring = setup.scoring if setup is not None else comparison.scoring
        st.markdown(say(words.verdict(comparison, rows, setup)))
        if setup is not None:
            st.caption(say(words.setup_sentence(setup)))
        views.scores(comparison, scoring, rows)
        if note := words.error_sentence(comparison, rows):
            st.caption(say(note))
        if rows:
            views.score_table(comparison, scoring, rows)
            views.row_notes(scoring, rows)
        views.no_run_yet(comparison, rows)
        if setup is not None:
            views.curves(rows, setup)
    views.doubts(comparison)
    with shown_problems():
        costs.throughput(comparison)
    with shown_problems():
        costs.sizes(comparison)


main()
