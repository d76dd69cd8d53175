"""The sentences of a subspace run over its steps and seeds, and of its spectrum."""

from collections.abc import Sequence

from vitviz.runs.folder import Run

JUMP = (
    "ACC counts images after the best one-to-one naming, so a cluster that splits or merges moves a whole class at "
    "once; the mass inside classes, which no cluster changes, moves slowly."
)
BAND = "The band reaches from the lowest to the highest of {count} seeds, the thin lines are the other seeds."
ONE_SEED = "One seed is here. With others of the same settings this page draws their band; `--set seed=1` makes one."
MARKS = {
    "fixed": "fixed: the step named in the settings before training",
    "eigengap": "eigengap: the step with the largest gap after the K-th eigenvalue",
    "oracle": "oracle: the best ACC, which takes the labels to know, and so is no result",
}
EIGENGAP = (
    "The gap after the K-th eigenvalue of the graph's Laplacian: the wider, the clearer the graph falls into K parts. It "
    "needs no label."
)
NO_LABELS = "ACC, NMI and ARI take labels, and these images have none."
SPECTRUM = (
    "Eigenvalues of the normalised graph Laplacian, ascending. As many lie near 0 as the graph has separate parts; the "
    "shaded gap is the one after the K of the run."
)
SPECTRAL_MAP = (
    "The images in the first two principal directions of their spectral coordinates (unit rows), which are what "
    "k-means clustered: {share:.0%} of the variance. The rest lies in directions that are not drawn."
)


def seeds_sentence(others: Sequence[Run]) -> str:
    """How many seeds the band is of."""
    return BAND.format(count=len(others) + 1) if others else ONE_SEED


def jump_sentence(jump: tuple[int, int, float] | None) -> str:
    """The largest change of ACC between two scored steps that follow each other."""
    if jump is None:
        return ""
    before, after, change = jump
    points = f"{100 * change:+.1f}".replace("-", "−")
    return f"The largest jump: {points} points of ACC from step {before} to step {after}. {JUMP}"


def gap_sentence(num_clusters: int, suggested: int, gap: float) -> str:
    """What the spectrum would say of K."""
    same = suggested == num_clusters
    verdict = f"which is the K of the run ({num_clusters})" if same else f"while the run was given K = {num_clusters}"
    return (
        f"The largest gap among these follows eigenvalue {suggested}, {verdict}. After eigenvalue {num_clusters} the "
        f"gap is {gap:.3g}."
    )
