"""A subspace run over its steps and seeds, and its spectrum."""

import streamlit as st

from vitviz.explain.subspace_scores import (
    chosen_round,
    find_seeds,
    gap_of,
    largest_jump,
    marks_of,
    mass_steps,
    pretraining_curve,
    score_steps,
    spectral_points,
)
from vitviz.figures import subspace as figures
from vitviz.runs.folder import Run, list_runs
from vitviz.ui import run_views
from vitviz.ui import subspace_step_words as step_words
from vitviz.ui import subspace_words as words
from vitviz.ui.choices import choose
from vitviz.ui.labels import safe_label
from vitviz.ui.language import say, say_keys
from vitviz.ui.run_views import chart
from vitviz.ui.subspace_sources import cached, pick_step, snapshot_of

SCORES = {"ACC": "acc", "NMI": "nmi", "ARI": "ari"}
CURVES = {**SCORES, "eigengap": "eigengap"}


def headline(run: Run) -> None:
    """The scores of the step that the run itself chose, and by which rule; its warnings."""
    records = run.round_metrics()
    record = records[min(chosen_round(run), len(records) - 1)]
    with st.container(horizontal=True):
        for name, key in SCORES.items():
            value = record.get(key)
            st.metric(
                say(name),
                say("no labels") if value is None else f"{value:.3f}",
                border=True,
                help=say(words.SCORES[name]),
            )
        st.metric(
            say("Mass inside clusters"), f"{record['in_block_mass']:.1%}", border=True, help=say(words.MASS_CURVE)
        )
    st.caption(say(words.headline_sentence(run, record)))
    for text in record.get("warnings", ()):
        st.warning(safe_label(say(words.sentence(text)), max_length=300), icon=":material/warning:")


def show_steps(run: Run) -> None:
    """Scores and mass over the steps, with what each rule would have picked, and the same of other seeds."""
    if not any(record["kind"] == "step" for record in run.metrics()):
        show_pretraining(run)
        return
    step = run.round_metrics()[pick_step(run)]["step"]
    others, marks = find_seeds(run, list_runs()), marks_of(run)
    left, right = st.columns(2, gap="medium")
    with left:
        has_labels = any(record["acc"] is not None for record in run.round_metrics())
        score = choose("Score", list(CURVES) if has_labels else ["eigengap"], key="score")
        lines = score_steps(run, CURVES[score], others)
        chart(
            figures.step_curves(lines, title=f"{score}, all images", marks=marks, key=CURVES[score], at=step),
            key="subspace_scores",
            alt=f"{score} over the steps of run {run.name}",
        )
        about = (
            words.SCORES.get(score, step_words.EIGENGAP)
            if has_labels
            else f"{step_words.EIGENGAP} {step_words.NO_LABELS}"
        )
        st.caption(say(f"{about} {step_words.seeds_sentence(others)}"))
        if sentence := step_words.jump_sentence(largest_jump(run)):
            st.markdown(say(sentence))
    with right:
        lines = mass_steps(run, others)
        chart(
            figures.step_curves(lines, title="mass inside", marks={}, key="in_block_mass", at=step),
            key="subspace_mass",
            alt=f"mass inside clusters over the steps of run {run.name}",
        )
        st.caption(say(words.MASS_CURVE))
    if marks:
        _marks_table(marks)
    _losses(run, step)


def show_spectrum(run: Run) -> None:
    """Eigenvalues with the gap, and the images in their spectral coordinates."""
    left, right = st.columns(2, gap="medium")
    with left:
        shot = snapshot_of(run, pick_step(run))
        chart(
            figures.eigenvalues(shot.eigenvalues, num_clusters=shot.num_clusters),
            key="subspace_eigenvalues",
            alt=f"eigenvalues of the graph, run {run.name}, {words.step_text(shot)}",
        )
        suggested, gap = gap_of(shot.eigenvalues, shot.num_clusters)
        st.caption(say(f"{step_words.SPECTRUM} {step_words.gap_sentence(shot.num_clusters, suggested, gap)}"))
    with right:
        color_by = choose("Colour", ["cluster", "class"] if (shot.classes >= 0).any() else ["cluster"], key="color")
        points, share = cached("points", run, shot.round, lambda: spectral_points(shot.embedding))
        by_class = color_by == "class"
        ids = shot.classes if by_class else shot.labels
        names = list(run.description().class_names) if by_class else run_views.cluster_names(run)
        chart(
            figures.spectral_map(points, ids, names=[say(name) for name in names], numbers=run.samples().indices),
            key="subspace_map",
            alt=f"spectral coordinates of {len(points):,} images, coloured by {color_by}",
        )
        st.caption(say(step_words.SPECTRAL_MAP.format(share=share)))


def show_pretraining(run: Run) -> None:
    """What there is to see of a run without fine-tuning."""
    st.info(say(words.NO_STEPS), icon=":material/skip_next:")
    st.code(words.steps_command(run), language=None)
    chart(
        figures.pretraining(*pretraining_curve(run)),
        key="subspace_pretraining",
        alt="reconstruction loss over the epochs of the pretraining",
    )


def _marks_table(marks: dict) -> None:
    rows = [
        {
            "rule": say(step_words.MARKS.get(name, name)),
            "step": mark["step"],
            **{title: mark[key] for title, key in CURVES.items() if mark.get(key) is not None},
        }
        for name, mark in marks.items()
    ]
    numbers = {say(name): st.column_config.NumberColumn(format="%.4f") for name in CURVES}
    st.dataframe([say_keys(row) for row in rows], hide_index=True, column_config=numbers)


def _losses(run: Run, step: int) -> None:
    with st.expander(say("Losses")):
        left, right = st.columns(2, gap="medium")
        with left:
            lines = score_steps(run, "loss")
            chart(
                figures.step_curves(lines, title="loss of the fine-tuning", marks={}, key="loss", at=step),
                key="subspace_loss",
                alt="loss over the steps of the fine-tuning",
            )
        with right:
            epochs, losses = pretraining_curve(run)
            chart(
                figures.pretraining(epochs, losses),
                key="subspace_pretraining",
                alt="reconstruction loss over the epochs of the pretraining",
            )
