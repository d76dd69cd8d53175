"""Whether the clustered network says the same as the unclustered one: of this picture, and of many held-out images."""

from dataclasses import replace

import numpy as np
import streamlit as st

from vitviz.errors import Problem
from vitviz.figures import coat_maps as figures
from vitviz.runs.folder import list_runs
from vitviz.ui import coat_words as words
from vitviz.ui import run_views
from vitviz.ui.coat_counts import held_out_images
from vitviz.ui.coat_sources import FACTORISED, METHOD, SOFTMAX, Shown, computed
from vitviz.ui.labels import safe_label
from vitviz.ui.language import say
from vitviz.ui.navigation import page

WIDTHS = (1.0, 2.0, 4.0, 8.0, 16.0)
MOST_IMAGES = 256
_TOP = 5


@st.fragment
def show_answers(shown: Shown) -> None:
    """The class of this picture twice; agreement over held-out images; the way to the table of less data."""
    left, right = st.columns(2, gap="medium")
    with left:
        st.subheader(say("This picture"))
        _one_answer(shown)
    with right:
        st.subheader(say("Held-out images"))
        _many_answers(shown)
    _less_data()


def _one_answer(shown: Shown) -> None:
    from vitviz.explain.coat_images import answer, exact_of

    network = shown.network
    if not network.is_trained:
        st.info(say(words.NO_TRAINED_ANSWER), icon=":material/casino:")
        return

    def make():
        against = exact_of(network.trained)
        fed, feed = shown.look.fed, network.preprocessing
        return answer(network.model, fed, shown.clustering, against=against, preprocessing=feed)

    with st.spinner(say("Classifying …")):
        found = computed("answer", shown, make)
    order = np.argsort(-np.maximum(found.exact, found.clustered), kind="stable")[:_TOP]
    names = network.class_names or [f"class {index}" for index in range(len(found.exact))]
    chart = figures.answers([names[one] for one in order], found.exact[order], found.clustered[order])
    run_views.chart(chart, key="coat_answer")
    same = int(found.exact.argmax()) == int(found.clustered.argmax())
    st.markdown(say(words.answer_sentence(same, found.kl)))
    st.caption(words.caption(shown, words.ANSWER, words.clustering_words(shown.clustering)))


def _many_answers(shown: Shown) -> None:
    """Agreement over bucket widths, of queries and of the MLP."""
    run = shown.network.run
    if run is None:
        st.caption(say(words.LITE_ALONE))
        return
    rows = np.flatnonzero(run.samples().held_out)[:MOST_IMAGES]
    images = held_out_images(run, rows)
    if images is None:
        st.caption(say(words.NO_IMAGES.format(dataset=safe_label(run.description().dataset))))
        return
    number = len(images)
    if not st.toggle(say(f"Compare {number} held-out images"), key="many", bind="query-params", help=say(words.MANY)):
        st.caption(say(words.MANY))
        return
    with st.spinner(say("Classifying them, clustered ten ways …"), show_time=True):
        lines = _agreements(shown, images)
    run_views.chart(figures.agreement_lines(WIDTHS, lines), key="coat_agreement")
    st.caption(say(words.agreement_caption(shown, number, run.description().img_size)))


def _agreements(shown: Shown, images: np.ndarray) -> dict[str, list[tuple[float, float]]]:
    """For the queries and for the MLP a pair for each width: share of images of the same class, share of prototypes."""
    from vitviz.explain.coat_images import agreement, counts_of, exact_of
    from vitviz.nn.query_groups import Grouping

    network = shown.network
    feed = replace(network.preprocessing, img_size=images.shape[1])
    exact = exact_of(network.trained)
    kind = SOFTMAX if SOFTMAX in shown.clustering.attention else FACTORISED
    found = {}
    for name, of in ((f"queries, {kind}", "queries"), ("MLP (ours)", "mlp")):
        found[name] = []
        for width in WIDTHS:
            grouping = Grouping(r_rel=width)
            clustering = (
                replace(exact, attention=(kind, kind, *exact.attention[2:]), grouping=grouping)
                if of == "queries"
                else replace(exact, mlp_stages=(1, 2), mlp_grouping=grouping)
            )

            def measure(clustering=clustering, of=of) -> tuple[float, float]:
                both = {"preprocessing": feed, "batch_size": 32}
                same = agreement(network.model, images, clustering, against=exact, **both).top1
                shares = counts_of(network.model, images[:64], clustering, of=of, **both).shares
                return same, float(shares.mean())

            found[name].append(computed("agreement", _of_network(shown), measure, kind, of, width))
    return found


def _of_network(shown: Shown) -> Shown:
    """The same under the network's own key: what does not depend on the photo is computed once for all."""
    return replace(shown, key=shown.network.key)


def _less_data() -> None:
    """The way to the table of what the paper claims, where there are runs for it."""
    if any(_is_of_table(run) for run in list_runs()):
        st.page_link(
            page("compare"),
            label=say("Less data, less time? See what was measured"),
            icon=":material/compare_arrows:",
            query_params={"table": "coat-cifar10"},
        )


def _is_of_table(run) -> bool:
    try:
        about = run.description()
    except Problem:
        return False
    return about.method == METHOD and about.preset == "coat-cifar10"
