"""The sentences of the deep-clustering page: what a picture shows and what to look at."""

import shlex
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from vitviz.explain.cluster_river import River
from vitviz.explain.deep_clustering import StopInspection
from vitviz.explain.film_strip import NUM_NEIGHBORS as NUM_LINKS
from vitviz.explain.film_strip import Film
from vitviz.explain.map_trust import EXACT_LIMIT, NUM_CANDIDATES, NUM_NEIGHBORS
from vitviz.explain.movers_ledger import Ledger
from vitviz.explain.supertoken_features import clusters_supertokens
from vitviz.runs.folder import Run
from vitviz.training.configs import summary_of
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


def intro(method: str) -> str:
    """What happens in a run of that method; a method without a word of its own is told by its settings."""
    return INTRO.get(method) or summary_of(method)


SCORES = {
    "NMI": "Normalised mutual information of clusters and classes, 0 to 1 (the paper writes -1 to 1, a slip). Random ids show what "
    "chance scores.",
    "ACC": "Accuracy after the best one-to-one naming of clusters by classes (Hungarian assignment), 0 to 1.",
    "ARI": "Adjusted Rand index: pairs of images treated alike by clusters and classes, 0 for chance, 1 for equal.",
    "AMI": "Mutual information adjusted for chance, 0 for chance, 1 for equal.",
}
BESIDE_CONTROL = "The dashed line is the control with α = 0: same seed, same epochs, no pull."
BESIDE_PIXELS = "The dashed line is k-means on the raw pixels: what no method is needed for."
WITHIN = "The share of the embeddings' variance that lies inside clusters."
PULLED = "This is what the extra loss visibly moves: compare the control."
LOSSES = "The loss of every round. This method has no stop rule: it makes as many rounds as it is told to."
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
DRAWN = "Only those that move: a block is as tall as what enters or leaves it, whichever is more, so that few movers can be told apart."
NO_RIVER = (
    "A river needs two rounds: this run has one so far. It shows which images go from cluster to cluster between them."
)
NO_MAP = "This run was handed on without its embeddings, and a map is made of them. River, Curves, Clusters and Movers show its rounds."
FILM_SUPERTOKENS = "Super tokens: those the network of that round gathers the image into, each in its mean colour."
NO_ATTENTION = "No attention is shown: the method has none, or the run kept no weights of its rounds (keep-round-weights=true keeps them)."
LEDGER = "Books balance: right before + repaired - broken = right after."
LEDGER_BESIDE = (
    "Filled: this run. Hollow: the control, the same seed and epochs without the pull (α = 0), between the same rounds. What both repair, "
    "plain further training repairs; only the difference is the clustering's."
)
KIN = (
    "Kin: of the 15 images nearest to a mover in the embedding (not on the map), the share that is of its class; the column is the mean of "
    "the class's movers. A true repair moves among its kin: its share rises. Where an image is called repaired and its share does not rise, "
    "the cluster was renamed round it."
)
NO_CONTROL = "There is no control of this run here (the same seed and epochs with α = 0), so nothing says how much plain training would repair."
NO_PULL = "This method pulls nothing, so there is no control with α = 0. Images move because the method changes from round to round."
SEED_BAND = (
    "The band reaches from the lowest to the highest of the seeds here, this run among them; each thin line is one of them. "
    "A difference smaller than the band is chance."
)
NO_SEEDS = (
    "There is no band: no other seed of these settings is here. One run says what happened once. This makes another:"
)
EPSILONS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)


def score_caption(score: str, run: Run, control: Run | None) -> str:
    """What a score means, and what the dashed line beside it is."""
    if control is not None:
        return f"{SCORES[score]} {BESIDE_CONTROL}"
    is_beside_pixels = score == "NMI" and run.round_metrics()[0].get("raw_kmeans_nmi") is not None
    return f"{SCORES[score]} {BESIDE_PIXELS}" if is_beside_pixels else SCORES[score]


def no_control(run: Run) -> str:
    """Why nothing stands beside a run."""
    return NO_CONTROL if is_pulled(run) else NO_PULL


def is_pulled(run: Run) -> bool:
    """Whether the method of a run has a weight α that could be 0."""
    return "cluster_weight" in run.description().settings


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
    engine = engines.get(projection.engine) or safe_label(projection.engine)
    note = projection.settings.get("note")
    why = f" ({safe_label(note, max_length=200)})" if note else ""
    return (
        f"Run {run.name}: {len(run.samples().indices):,} images in {len(projection.points)} rounds, placed by "
        f"{engine}, seed {safe_label(projection.seed)}{why}. Rings are held-out images. Distances on a map are "
        "a sketch of those in the embedding: trust who is near whom, not how far."
    )


def color_sentences(run: Run, others: Sequence[Run]) -> list[str]:
    """What the colours of the map mean that are not to be guessed."""
    num = len(run.samples().indices)
    if num <= EXACT_LIMIT:
        ranked = f"Ranks are exact, among all {num:,} images."
    else:
        ranked = f"Ranks are those among {NUM_CANDIDATES:,} images drawn once; of more than {EXACT_LIMIT:,} an exact answer would take too long."
    share = f"{1 / (2 * run.description().num_clusters - 1):.2f}"
    seeds = (
        f"**Seeds agree**: in how far an image keeps the same company in {len(others) + 1} seeds of these settings, the mean over pairs of seeds; "
        f"1 is exactly the same company, independent groupings would come to about {share}. Look at the dark images: their cluster is chance."
        if others
        else "**Seeds agree** is not offered: no other seed of these settings is here. This makes one:"
    )
    return [
        "**Margin**: how clearly an image belongs to its cluster, 0 halfway between two centers, 1 on its own.",
        f"**Trust** (trustworthiness, k = {NUM_NEIGHBORS}): are an image's neighbours on this map its neighbours in the embedding? 0.5 is what a "
        "random map comes to, 1 a faithful one; colours are drawn out towards 1, by the cube root. Read nothing into the places of dark images.",
        f"**Continuity** (k = {NUM_NEIGHBORS}): are its neighbours in the embedding still near it on this map? Dark images were torn from theirs. {ranked}",
        seeds,
        f"**Lines** from a picked image: solid to its {NUM_LINKS} nearest in the embedding, dashed to images that are near on the map alone.",
    ]


def other_seed_command(run: Run) -> str:
    """A line that makes the run again with the next seed."""
    about = run.description()
    seed = about.seed + 1
    line = f"python -m vitviz train {about.method} --run {run.name}-s{seed}"
    parts = shlex.split(about.command) if about.command.count("'") % 2 == 0 else []
    kept = [f"{flag} {shlex.quote(value)}" for flag, value in pairwise(parts) if _is_kept(flag, value)]
    return " ".join([line, *kept, f"--set seed={seed}"])


def _is_kept(flag: str, value: str) -> bool:
    return flag in ("--preset", "--set") and not value.startswith("seed=")


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


SWAP = (
    "For a picture that has them the other way round than the images of this run: ink on paper beside digits that are light on "
    "dark."
)


def upload_hint(classes: str, img_size: int) -> str:
    """What picture to give."""
    if not classes:
        return f"Give a picture like those of this run. It is cut to a square and shrunk to {img_size} px."
    return f"Give a picture of what this run knows ({classes}). It is cut to a square and shrunk to {img_size} px."


def rounds_sentence(rounds: np.ndarray) -> str:
    """Those rounds in words: ``rounds 0 to 5``, or ``rounds 0 and 5`` where some between are left out."""
    if len(rounds) == 1:
        return f"round {rounds[0]}"
    if len(rounds) == rounds[-1] - rounds[0] + 1:
        return f"rounds {rounds[0]} to {rounds[-1]}"
    return f"rounds {', '.join(map(str, rounds[:-1]))} and {rounds[-1]}"


def no_placement(problem: str) -> str:
    """Why this run takes no picture."""
    return f"Pictures are placed in a run by its network. {safe_label(problem, max_length=300)}. Choose another run in the sidebar."


def path_caption(num_shown: int, num_images: int, last: int) -> str:
    """What the path of an uploaded picture over the map shows."""
    shown = f"all {num_images:,} images" if num_shown == num_images else f"{num_shown:,} of {num_images:,} images"
    return (
        f"The map of round {last} ({shown}), and where the picture stood in every round, the star last. It is placed among its five nearest "
        "images of each round, not by a new map."
    )


def nobody_moved(before: int, after: int, part: str) -> str:
    """Why there is nothing to see."""
    return f"No image changed its side between round {before} and round {after} ({part} images)."


def ledger_sentence(ledger: Ledger) -> str:
    """The balance of a run."""
    start, repaired, broken, end, images = _totals(ledger)
    return (
        f"**This run**: {start:,} of {images:,} right at round {ledger.before}, {repaired:,} repaired, {broken:,} broken, so {end:,} right "
        f"at round {ledger.after} ({end - start:+,})."
    )


def control_sentence(ledger: Ledger) -> str:
    """The balance of its control."""
    start, repaired, broken, end, images = _totals(ledger)
    return (
        f"**Its control, α = 0**: {start:,} of {images:,} right at round {ledger.before}, {repaired:,} repaired, {broken:,} broken, so {end:,} "
        f"right at round {ledger.after} ({end - start:+,})."
    )


def _totals(ledger: Ledger) -> list[int]:
    counted = (ledger.right_before, ledger.repaired, ledger.broken, ledger.right_after, ledger.images)
    return [int(one.sum()) for one in counted]


def kin_sampled(measured: int, movers: int) -> str:
    """Why some rows are empty."""
    return f"Kin was measured for a fixed sample of {measured:,} of the {movers:,} movers."


def river_counts(river: River) -> str:
    """How many images travel at all, and where most go at once."""
    travel = f"{river.num_travellers:,} of {river.num_images:,} images change their cluster at least once."
    moves = river.moves()
    if len(moves) == 0:
        return f"{travel} Every image stays where it is."
    index, source, target, count, _, _ = moves[0]
    largest = f"The largest move: {count:,} images from cluster {source} to cluster {target} after round {index}."
    return f"{travel} {largest}"


def river_caption(river: River, drawn: np.ndarray) -> str:
    """What to look at in the river."""
    text = (
        "Each column is a round, each block a matched cluster in its own colour. Pale bands stay; strong bands move, in the colour "
        "of the cluster they leave. Look whether the strong bands grow thin from left to right: that is what settling means. "
        "A band of few images is drawn 1.5 px thick, so that it can be seen. Below, between two rounds: the share of the images that move."
    )
    hidden, images = len(river.moves()) - len(drawn), river.moves()[:, 3].sum() - drawn[:, 3].sum()
    return f"{text} The {hidden:,} smallest moves, of {images:,} images, are not drawn." if hidden else text


def picked_title(numbers: Sequence[int], count: int, names: Sequence[str]) -> str:
    """What is picked in the river: round and cluster, or round and two clusters."""
    index, *clusters = numbers
    first, *others = (safe_label(names[one]) for one in clusters)
    if not others:
        return f"**{count:,} images in {first} at round {index}**"
    if clusters[0] == clusters[1]:
        return f"**{count:,} images stay in {first} from round {index} to round {index + 1}**"
    return f"**{count:,} images go from {first} at round {index} to {others[0]} at round {index + 1}**"


def some_attention(rounds: np.ndarray) -> str:
    """Why some frames show no attention."""
    return f"The run kept the weights of {rounds_sentence(rounds)} alone, so attention is shown there."


def with_small_copy(text: str, run: Run) -> str:
    """``text``, and of a run that was handed on small what neighbours and restored images rest on."""
    basis = run.round(0).basis
    return text if basis is None else f"{text} {_small_copy(len(basis) - 1, basis.shape[1])}".strip()


def _small_copy(kept: int, dim: int) -> str:
    if not kept:
        return "This run was handed on without its embeddings: nothing is said of nearest images, and none is restored."
    return f"This run was handed on with {kept} of {dim} principal components of its embeddings: neighbours and restored images are those within them."


def film_caption(run: Run, film: Film) -> str:
    """What the strip of one image shows."""
    text = (
        f"Run {run.name}, {len(film.rounds)} of {run.num_rounds()} rounds. On the small maps the line is the image's way so far, not a new "
        "map. Margin: 0 halfway between two centers, 1 on its own. Nearest: in the embedding, framed in their cluster's colour. "
        "Restored: decoder output, not a photograph."
    )
    if run.description().method != "deep_clustering":
        return text
    text = f"{text} Attention: CLS in the last layer, mean of the heads, each round brightened to its own maximum."
    return f"{text} {FILM_SUPERTOKENS}" if clusters_supertokens(run) else text
