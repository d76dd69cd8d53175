"""The page of ViT deep clustering: a run, round by round."""

import numpy as np
import streamlit as st

from vitviz.errors import Problem
from vitviz.explain import deep_clustering as explain
from vitviz.explain.placement import check_placeable, place_image
from vitviz.explain.restoration import nearest_training_images, restore_samples
from vitviz.explain.seed_stability import mean_curve, seed_band
from vitviz.explain.sheets import contact_sheet
from vitviz.figures import deep_clustering as figures
from vitviz.runs.compact import has_embeddings
from vitviz.runs.folder import Run, list_runs
from vitviz.ui import explorer, film_strip, river, run_moves, run_placement, run_views, words
from vitviz.ui.choices import choose, choose_from
from vitviz.ui.handed import pick_given
from vitviz.ui.labels import safe_label
from vitviz.ui.language import say, say_problem
from vitviz.ui.missing_images import RESTORED_NEEDS, are_missing, offer_images
from vitviz.ui.navigation import METHOD_PAGES
from vitviz.ui.pickers import describe_run, pick_run
from vitviz.ui.problems import shown_problems

VIEWS = ("Map", "River", "Curves", "Clusters", "Movers", "Your image")
METHODS = tuple(noun for noun, shown_on in METHOD_PAGES.items() if shown_on == "deep_clustering")


def main() -> None:
    st.title(say("Deep clustering"))
    run = pick_run(METHODS, preset="digits")
    if run is None:
        run_views.no_run_yet("deep_clustering", "digits")
        return
    describe_run(run)
    about = run.description()
    st.caption(f"**{safe_label(say(about.title) or run.name)}.** {say(words.intro(about.method))}")
    run_views.live_status(run)
    if not run.round_metrics():
        st.info(
            say("The first round is not finished yet. This page fills as rounds arrive."),
            icon=":material/hourglass_top:",
        )
        return
    control = explain.find_control(run, list_runs())
    run_views.headline(run, control)
    offer_images(run)
    view = choose("View", VIEWS, key="view", label_visibility="collapsed")
    with shown_problems():
        {
            "Map": show_map,
            "River": show_river,
            "Curves": show_curves,
            "Clusters": show_clusters,
            "Movers": show_movers,
            "Your image": show_upload,
        }[view](run, control)


def show_map(run: Run, control: Run | None) -> None:
    explorer.show(run, explain.find_other_seeds(run, list_runs()))


def show_river(run: Run, control: Run | None) -> None:
    river.show(run)


def show_curves(run: Run, control: Run | None) -> None:
    others = explain.find_other_seeds(run, list_runs())
    scores = {"NMI": "nmi", "ACC": "acc", "ARI": "ari", "AMI": "ami"}
    left, right = st.columns(2)
    with left:
        score = choose("Score", list(scores), key="score")
        zoomed = st.toggle(say("Held-out images only, zoomed in"), key="zoom", bind="query-params")
        lines = explain.score_curves(run, scores[score], control=control, others=others)
        band = seed_band(run, others, scores[score])
        lines += [] if band is None else [mean_curve(band, run)]
        shown = [line for line in lines if line.role in ("main", "control", "seed", "mean")] if zoomed else lines
        value_range = None if zoomed else (0, 1.02)
        figure = figures.curves(shown, title=f"{score} against classes", value_range=value_range, band=band)
        run_views.chart(figure, key="scores")
        st.caption(say(words.score_caption(score, run, control)))
        show_seeds(run, others)
        run_views.chart(
            figures.curves(explain.pair_of_curves(run, control, "within_share", "W/T"), title="W/T, share of variance"),
            key="within",
        )
        st.caption(say(words.WITHIN if control is None else f"{words.WITHIN} {words.PULLED}"))
    with right:
        show_rule = show_stop_rule if "stop_rule" in run.description().settings else show_losses
        show_rule(run)
        run_views.chart(
            figures.curves(
                explain.pair_of_curves(run, control, "nmi_previous", "NMI to the round before"),
                title="NMI, ids r to r - 1",
            ),
            key="previous",
        )
        st.caption(say(words.PREVIOUS))
    lines = explain.pair_of_curves(run, control, "reconstruction_error", "held-out error of the restored image")
    run_views.chart(figures.curves(lines, title="mean squared error, pixels 0 to 1"), key="forgets")
    st.caption(say(words.FORGETS))


def show_seeds(run: Run, others: list[Run]) -> None:
    st.caption(say(words.SEED_BAND if others else words.NO_SEEDS))
    if not others:
        st.code(words.other_seed_command(run), language=None, wrap_lines=True)


def show_losses(run: Run) -> None:
    """The loss of a method that stops by no rule, where it has one."""
    if all(record.get("loss") is None for record in run.round_metrics()):
        return
    run_views.chart(figures.curves(explain.pair_of_curves(run, None, "loss", "loss"), title="loss"), key="stop")
    st.caption(say(words.LOSSES))


@st.fragment
def show_stop_rule(run: Run) -> None:
    rule = choose("Stop rule", ("relative", "absolute"), key="rule")
    epsilon = st.select_slider(
        say("Stop when the loss changes by less than ε"), words.EPSILONS, value=0.05, key="epsilon", bind="query-params"
    )
    inspection = explain.inspect_stop(run, rule=rule, epsilon=epsilon)
    run_views.chart(figures.loss_and_stop(inspection, epsilon=epsilon), key="stop")
    st.caption(say(words.stop_sentence(inspection, epsilon)))


def show_clusters(run: Run, control: Run | None) -> None:
    names = run_views.cluster_names(run)
    left, right = st.columns(2)
    with left:
        run_views.chart(figures.cluster_sizes(explain.cluster_sizes(run), names=names), key="sizes")
        st.caption(
            say(
                "Images in every cluster, round by round. Ids are matched between rounds, so a colour stays with its group."
            )
        )
    with right, shown_problems():
        part = choose("Images", ("held out", "train", "all"), key="part")
        shown_round = run_views.pick_round(run, "Round", key="confusion_round", default=run.num_rounds() - 1)
        counts = explain.confusion(run, shown_round, part)
        figure = figures.confusion(
            counts, class_names=run.description().class_names, cluster_names=run_views.short_names(names)
        )
        run_views.chart(figure, key="confusion")
        st.caption(say(words.confusion_caption(shown_round, part)))
    show_cluster_change(run, names)


@st.fragment
def show_cluster_change(run: Run, names: list[str]) -> None:
    st.header(say("The same cluster at two rounds"))
    columns = st.columns(3)
    with columns[0]:
        cluster = choose_from("Cluster", range(len(names)), key="cluster", shown=names.__getitem__)
    with columns[1]:
        before = run_views.pick_round(run, "Round a", key="round_a", default=0)
    with columns[2]:
        after = run_views.pick_round(run, "Round b", key="round_b", default=run.num_rounds() - 1)
    change = explain.change_of_cluster(run, cluster, before, after)
    groups = {
        "stayed": change.stayed,
        f"left after round {before}": change.left,
        f"joined by round {after}": change.joined,
    }
    for column, (title, samples) in zip(st.columns(3), groups.items(), strict=True):
        with column:
            st.markdown(say(f"**{len(samples):,} {title}**"))
            run_views.grid(run, after, samples[:24], key=f"change_{title[:6]}", total=len(samples), thumb=36)
    film_strip.show(run)
    show_restored(run, np.concatenate([change.stayed[:8], change.left[:4], change.joined[:4]]), before, after)


def show_restored(run: Run, samples: np.ndarray, before: int, after: int) -> None:
    st.header(say("What the embedding still knows"))
    st.caption(say(words.with_small_copy(words.RESTORED, run)))
    if not has_embeddings(run):
        return
    if are_missing(run):
        st.info(say(RESTORED_NEEDS), icon=":material/image_not_supported:")
        return
    with shown_problems():
        nearest = nearest_training_images(run, after, samples)
        rows = {
            "original": run_views.pictures(run, samples),
            f"restored at round {before}": restore_samples(run, before, samples),
            f"restored at round {after}": restore_samples(run, after, samples),
            f"nearest training image at round {after}": run_views.pictures(run, nearest.samples),
        }
        for title, images in rows.items():
            st.caption(say(title))
            st.image(
                contact_sheet(run_views.shrink(images), columns=16, cell=64), alt=say(f"{len(images)} images, {title}")
            )


def show_movers(run: Run, control: Run | None) -> None:
    run_moves.show(run, control)


def show_upload(run: Run, control: Run | None) -> None:
    try:
        check_placeable(run)
    except Problem as problem:
        st.info(say(words.no_placement(say_problem(problem))), icon=":material/info:")
        return
    left, right = st.columns((1, 2))
    with left:
        picked = pick_given("placed")
        size = run.description().img_size
        if picked is None:
            st.caption(say(words.upload_hint(run_views.classes_sentence(run), size)))
            return
        inverted = st.toggle(say("Swap light and dark"), key="inverted", help=say(words.SWAP))
        pixels = run_views.as_run_sees(run, picked, inverted=inverted)
        st.image(
            contact_sheet(pixels[None], columns=1, cell=224),
            caption=say(f"as the network sees it, {size} x {size} px"),
            alt=say("your picture"),
        )
        for note in picked.notes:
            st.caption(say(note))
    with right:
        placement = run_placement.placed(place_image, run, pixels, f"{picked.key}-{inverted}")
        run_placement.show_placement(run, placement)


main()
