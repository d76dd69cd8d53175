"""The sentences of the page of subspace clustering: what a picture shows, from which run and step, and what to look at."""

from collections.abc import Callable, Mapping, Sequence
from shlex import quote
from typing import TYPE_CHECKING, Any

from vitviz.runs.folder import Run
from vitviz.training.subspace_config import MAX_DENSE_IMAGES
from vitviz.ui.labels import safe_label

if TYPE_CHECKING:
    from vitviz.explain.subspace import Pair, Snapshot
    from vitviz.explain.subspace_images import Gates, Rebuilt, Ring, Row

INTRO = (
    "Every image is written as a mix of the others, **Z = C Z**: row i of C says what image i is made of. Images of "
    "the same thing need each other, so C falls into blocks, and spectral clustering finds them. **No label is used**; "
    "labels only score the result."
)
CLICK = (
    "Click a cell to see the two images that it stands for, and what each takes of the other. Drag a rectangle to see the images "
    "of its rows and columns and the mean affinity in it."
)
NO_COEFFICIENTS = "The first C of this run is not finished yet. This page fills as the steps arrive."
LAYERS_HELP = (
    "Coefficients: the paper's own affinity, \\|C\\| + \\|Cᵀ\\|. Thresholded: the same of the largest entries of each "
    "column alone. Affinity: what was clustered, by the rule of the run."
)
ZOOM_HELP = "Around the row of the pinned pair; at the first images of the order without a pin."
RHO_HELP = (
    "Of each column of C the largest entries are kept until they hold this share of its sum of magnitudes. DSC-Net "
    "takes .04; a sparse C is not thresholded."
)
HEAT_TITLES = {"coefficients": "|C| + |Cᵀ|", "thresholded": "|C| + |Cᵀ|, kept", "affinity": "affinity"}
COEFFICIENT, REVERSE = "First takes of second", "Second takes of first"
COEFFICIENT_HELP = (
    "C at the row of the first image and the column of the second: its weight in the mix that makes the first."
)
REVERSE_HELP = "C at the row of the second image and the column of the first."
COSINE_HELP = "Between the two images' features Z, 1 for the same direction."
NO_STEPS = (
    "This run has one C, solved from the features of the pretrained encoder: there are no steps to go through. A run "
    "by the paper's optimiser has them:"
)
SCORES = {
    "ACC": "Accuracy after the best one-to-one naming of clusters by classes (Hungarian assignment), 0 to 1, over all images.",
    "NMI": "Normalised mutual information of clusters and classes, 0 to 1, over all images.",
    "ARI": "Adjusted Rand index: pairs treated alike by clusters and classes, 0 for chance, 1 for equal, over all images.",
}
MASS_CURVE = (
    "The share of \\|C\\| + \\|Cᵀ\\| that lies inside clusters (no label needed) at every scored step, before any "
    "post-processing."
)
CHANNELS = "What the encoder's {count} channels make of this image, all on one scale, 0 to {ceiling:.2f}."
GATED = "The same after the gate of this image: each channel times its factor."
GATES = (
    "Each channel's factor, 0 to 1: the mean over all images, and as a whisker how far it varies between them "
    "(standard deviation)."
)
GATE_CLASSES = (
    "The mean factor of each channel for each class. Equal rows mean that the gate does not look at what is in the "
    "picture."
)
NO_GATE = "This run has no channel attention: its encoder lets every channel through whole. `--set attention=true` adds the gate."
REBUILT = (
    "From the left: the image; decoded from its own features Z; decoded from the mix that C puts in their place, C Z. "
    "The better the mix describes it, the less the last two differ."
)
GATED_REBUILT = " The gate came when the decoder was trained already, so what is decoded is darker than the image."
RING = (
    "The images of the same class in the order of the data set, once around{turn}. The lines lead to those that this "
    "one is made of, wider for more. Of its mix {outside:.1%} comes from other classes."
)
ROW = (
    "Coefficients of the images it takes most of; negative ones are taken away. The last bar is the share of all "
    "others together."
)
REGROUP = (
    "Another way from the same features to clusters, computed here and now; the run stays as it is. No label is looked "
    "at until the scores."
)
REGROUP_HELP = {
    "solver": (
        "stored: the C of this step, kept in 16 bits. ridge: the exact minimiser over a dense C. neighbors: each image "
        "of its nearest ones alone, weights not negative. adam: the paper's optimiser on these features, stopped "
        "early."
    ),
    "affinity": "ji: DSC-Net's post-processing. simple: \\|C\\| + \\|Cᵀ\\| alone, the rule the paper prints.",
}


def number(value: float) -> str:
    """A coefficient in three digits."""
    return "0" if value == 0 else f"{value:.3g}"


def orders(shown: "Snapshot", names: Sequence[str]) -> list[str]:
    """The orders there are: by classes only where there are classes."""
    return [name for name in names if name != "classes" or (shown.classes >= 0).any()]


def step_text(shown: "Snapshot") -> str:
    """Which C it is, in words."""
    return f"step {shown.step}" if shown.step else "the C of the pretrained features"


def sentence(text: str) -> str:
    """``text`` with its first letter large."""
    return text[:1].upper() + text[1:]


def image_name(run: Run, row: int) -> str:
    """``image 71``: its number in the data set."""
    return f"image {run.samples().indices[row]}"


def class_name(run: Run, row: int) -> str:
    """The class of a row as it is, not for markdown; ``unlabelled`` without one."""
    label = run.samples().classes[row]
    return run.description().class_names[label] if label >= 0 else "unlabelled"


def image_title(run: Run, shown: "Snapshot", row: int, clean: Callable[[str], str] = safe_label) -> str:
    """``image 71, class 0, cluster 3``, for markdown; ``clean=str`` for where a text is taken as it is."""
    name = class_name(run, row)
    known = f"class {clean(name if len(name) <= 40 else f'{name[:39]}…')}" if shown.classes[row] >= 0 else name
    return f"{image_name(run, row)}, {known}, cluster {shown.labels[row]}"


def affinity_caption(seen: Any) -> str:
    """Run, step, rule, order, cut and scale of the picture."""
    shown, woven = seen.shot, seen.woven
    what = {
        "coefficients": "\\|C\\| + \\|Cᵀ\\| without its diagonal",
        "thresholded": f"\\|C\\| + \\|Cᵀ\\| of the entries that hold {seen.rho:g} of their column" if seen.rho else "",
        "affinity": f"affinity by the rule '{safe_label(shown.affinity)}', which was clustered{_rule_text(shown)}",
    }[seen.layer]
    cut = (
        f"all {len(seen.order):,} images"
        if seen.is_whole
        else f"images {woven.start + 1:,} to {woven.stop:,} of the order"
    )
    cells = (
        "one cell an image"
        if woven.cell <= 1
        else f"a cell shows the largest value among {woven.cell:.3g} x {woven.cell:.3g} images"
    )
    return (
        f"Run {safe_label(seen.run.name)}, {step_text(shown)}, solver {safe_label(shown.solver)}: {what}; {cut}, by "
        f"{seen.order_name}; {cells}. Rows and columns are the images; what one takes of the other and the other of it "
        f"are added up. The scale ends at {number(woven.ceiling)}, which 99.5% of the entries above 0 stay below."
    )


def _rule_text(shown: "Snapshot") -> str:
    """What the rule was set to; nothing for the rule that has nothing to set."""
    if shown.affinity == "simple":
        return ""
    kept = "its own threshold" if shown.settings.threshold is None else f"rho = {shown.settings.threshold:g}"
    return f" ({kept}, d = {shown.settings.dim}, alpha = {shown.settings.power:g})"


def affinity_alt(seen: Any) -> str:
    """The picture for those who do not see it."""
    return f"affinity of {len(seen.order):,} images, run {seen.run.name}, {step_text(seen.shot)}, ordered by {seen.order_name}"


def pair_title(run: Run, pair: "Pair") -> str:
    """The two images by their numbers."""
    if pair.first == pair.second:
        return sentence(f"{image_name(run, pair.first)} and itself")
    return sentence(f"{image_name(run, pair.first)} and {image_name(run, pair.second)}")


def pair_sentence(run: Run, pair: "Pair") -> str:
    """Whether they belong together, and how much of the first the second is."""
    if pair.first == pair.second:
        return "A cell of the diagonal: what an image takes of itself has no part in the affinity."
    cluster = "the same cluster" if pair.same_cluster else "different clusters"
    known = {True: ", and the same class", False: ", and different classes", None: ""}[pair.same_class]
    if pair.rank is None:
        taken = "The first takes nothing of the second."
    else:
        taken = f"The second is the first's number {pair.rank:,} of those it takes most of."
    return f"{taken} They are in {cluster}{known}."


def masses_sentence(masses: Mapping[str, float | None]) -> str:
    """What the masses say."""
    text = (
        "Of what this picture shows, the share that joins images of one cluster, or class, beside what random ids of "
        "the same sizes would hold."
    )
    return text if masses.get("class") is not None else f"{text} The images have no labels."


def no_images(run: Run) -> str:
    """How the images of a run come to this machine."""
    from vitviz.data.sets import SETS

    name = run.description().dataset
    if name not in SETS:
        return f"The images of this run are not on this machine: they were read from {safe_label(name)}."
    return (
        f"The images of this run are not on this machine. `python -m vitviz data get {name}` says how they come here."
    )


def headline_sentence(run: Run, record: Mapping[str, Any]) -> str:
    """Which step the headline is of, and who chose it."""
    selection = [{}, *(one.get("selection") or {} for one in run.round_metrics())][-1]
    rules = {"fixed": "the step fixed before training", "eigengap": "the step with the largest eigengap"}
    chosen = (
        f"step {record['step']:d}, {rules.get(selection.get('rule'), 'the last')}"
        if record["step"]
        else "the pretrained features"
    )
    size = f"{len(run.samples().indices):,} images"
    return (
        f"Over all {size}, none held out: {chosen}, solver {safe_label(record['solver'])} "
        f"({safe_label(record['solver_reason'], max_length=200)}). The run itself looked at no label."
    )


def steps_command(run: Run) -> str:
    """The line that makes a run of the same images that has steps; of the first of them where they are too many for it."""
    about = run.description()
    if about.dataset == "coil20":
        return "python -m vitviz train subspace --preset coil20-paper"
    settings = f"--set {quote(f'dataset={about.dataset}')} --set num-clusters={about.num_clusters} --set solver=adam"
    limit = MAX_DENSE_IMAGES if about.num_images > MAX_DENSE_IMAGES else about.settings.get("limit")
    return f"python -m vitviz train subspace {settings}" + (f" --set limit={limit}" if limit else "")


def seconds_sentence(seconds: Mapping[str, float]) -> str:
    """How long a regrouping took here."""
    return f"Clustered in {sum(seconds.values()):.1f} s on this machine"


def unchanged_sentence(share: float) -> str:
    """How many images stay where the run has them."""
    return f"{share:.1%} of the images keep the cluster that the run gave them at this step."


def rebuilt_sentence(rebuilt: "Rebuilt", *, has_gate: bool) -> str:
    """The two errors of one image."""
    errors = f"Mean squared error, pixels 0 to 1: {rebuilt.error_latent:.4f} and {rebuilt.error_others:.4f}."
    return f"{REBUILT} {errors}{GATED_REBUILT if has_gate else ''}"


def ring_sentence(ring: "Ring") -> str:
    """What the ring shows of one image."""
    turn = f"; each is {ring.angle_step:g}° further" if ring.angle_step else ""
    return RING.format(turn=turn, outside=ring.outside)


def row_sentence(row: "Row") -> str:
    """How many images make up most of one."""
    if not len(row.others):
        return "This image takes nothing of any other."
    shown, count = float(row.share.sum()), len(row.others)
    hold = "The one shown holds" if count == 1 else f"The {count} shown hold"
    own = (
        f" Its own entry in C is {number(row.self_value)}, and takes no part in the affinity." if row.self_value else ""
    )
    return f"{hold} {shown:.0%} of the row's sum of magnitudes. {ROW}{own}"


def gate_sentence(gates: "Gates") -> str:
    """Whether the gate looks at the images."""
    if gates.is_dead:
        return f"{GATES} **This gate is dead**: it says the same of every image (every spread below .001)."
    return f"{GATES} The largest spread is {gates.spread.max():.3f}."
