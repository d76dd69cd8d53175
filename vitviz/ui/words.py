"""The sentences of the deep-clustering page: what a picture shows and what to look at."""

from vitviz.explain.deep_clustering import StopInspection
from vitviz.runs.folder import Run
from vitviz.ui.labels import safe_label

INTRO = {
    "deep_clustering": (
        "A vision transformer is trained on labels, k-means groups its embeddings, and each further round retrains it with an "
        "extra pull of every image towards its cluster's center. **The method is supervised**: the labels take part in every "
        "round, so a score on held-out images is the one to trust."
    ),
    "idec": (
        "A small autoencoder is trained to restore images, k-means places centers, and each further round sharpens the "
        "assignment. **No label is used**; labels only score the result. An addition beside the paper, whose method is supervised."
    ),
}
SCORES = {
    "NMI": "Normalised mutual information of clusters and classes, 0 to 1 (the paper writes -1 to 1, a slip). The dashed line is the "
    "control with α = 0: same seed, same epochs, no pull. Random ids show what chance scores.",
    "ACC": "Accuracy after the best one-to-one naming of clusters by classes (Hungarian assignment), 0 to 1.",
    "ARI": "Adjusted Rand index: pairs of images treated alike by clusters and classes, 0 for chance, 1 for equal.",
    "AMI": "Mutual information adjusted for chance, 0 for chance, 1 for equal.",
}
WITHIN = "The share of the embeddings' variance that lies inside clusters. This is what the extra loss visibly moves: compare the control."
PREVIOUS = "How alike the ids of two neighbouring rounds are, 1 for equal. It says that the rounds settle, not that they are right."
FORGETS = "What the embedding forgets: error of images restored from it by ridge regression, on images the decoder has not seen."
RESTORED = (
    "Figure 5 of the paper: each image restored from its embedding alone, by a linear (ridge) decoder fitted on the training images. "
    "What is blurred has been forgotten. From the left: images that stayed, that left, that joined. The last row is the training image that lies nearest in the embedding."
)
MOVERS = (
    "An image is right when its cluster stands for its class (Hungarian naming in each round). Repaired: wrong, then right. "
    "Broken: right, then wrong. Moved: wrong both times, in another cluster."
)
EPSILONS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)


def map_caption(run: Run) -> str:
    """What the round map shows, and what made it."""
    projection = run.projection()
    if projection is None:
        return "The map is drawn when the run is finished."
    engines = {
        "aligned_umap": "AlignedUMAP (all rounds at once)",
        "warm_umap": "UMAP started from the round before, turned by rigid Procrustes",
        "umap": "independent UMAPs",
        "pca": "the first two principal components of the last round",
    }
    note = projection.settings.get("note")
    why = f" ({safe_label(note, max_length=200)})" if note else ""
    return (
        f"Run {run.name}: {len(run.samples().indices):,} images in {len(projection.points)} rounds, placed by "
        f"{safe_label(engines.get(projection.engine, projection.engine))}{why}, seed "
        f"{safe_label(projection.seed)}. Rings are held-out images. Distances on a map are "
        "a sketch of those in the embedding: trust who is near whom, not how far."
    )


def stop_sentence(inspection: StopInspection, epsilon: float) -> str:
    """What the stop rule does at this epsilon, in words."""
    how = "relative, twice in a row" if inspection.relative else "absolute, once: the paper's rule"
    rounds = len(inspection.losses) - 1
    if inspection.stops_at is None:
        return f"With ε = {epsilon:g} ({how}) the run would have gone on through all {rounds} rounds."
    return f"With ε = {epsilon:g} ({how}) the run would have stopped after round {inspection.stops_at} of {rounds}."


def confusion_caption(round_index: int, part: str) -> str:
    """What the confusion matrix counts."""
    return f"Rows are classes, columns matched clusters, at round {round_index}, {part} images. A clean run has one bright cell a row."


def upload_hint(classes: str, img_size: int) -> str:
    """What picture to give."""
    return f"Give a picture of what this run knows ({classes}). It is cut to a square and shrunk to {img_size} px."


def path_caption(num_shown: int, num_images: int, last: int) -> str:
    """What the path of an uploaded picture over the map shows."""
    shown = f"all {num_images:,} images" if num_shown == num_images else f"{num_shown:,} of {num_images:,} images"
    return (
        f"The map of round {last} ({shown}), and where the picture stood in every round, the star last. It is placed among its five nearest "
        "images of each round, not by a new map."
    )
