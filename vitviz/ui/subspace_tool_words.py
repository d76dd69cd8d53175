"""The sentences of the tools of subspace clustering: ring, loom, blocks, equaliser; what to look at, what is the control."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from vitviz.runs.folder import Run
from vitviz.ui.labels import safe_label
from vitviz.ui.subspace_words import image_title, step_text

if TYPE_CHECKING:
    from vitviz.explain.subspace import Snapshot
    from vitviz.explain.subspace_blocks import Block, BlockStrengths
    from vitviz.explain.subspace_equaliser import Equalised
    from vitviz.explain.subspace_turn import Turn

LOOM = (
    "The C of this step stays as it is stored; what is made of it changes. Move a slider: threshold, rank and power are taken "
    "again, the images are sorted and clustered anew, and the scores stand beside the run's own. No label is looked at until "
    "the scores."
)
NO_SLIDERS = "The simple rule has nothing to set: it adds \\|C\\| and \\|Cᵀ\\|."
DIM_HELP = (
    "The affinity keeps the rank d K + 1: d dimensions for each of K clusters. DSC-Net takes 12 for COIL-20. A small d forgets "
    "what joins a cluster, a large one keeps noise."
)
POWER_HELP = (
    "The cosines are raised to this power: the higher, the less a weak tie counts. DSC-Net takes 8 for COIL-20."
)
STAGES = {"solve": "Solving for C …", "affinity": "Making the affinity …", "cluster": "Clustering …"}
SHOWING = "showing {shown} of {total}"
RING = (
    "The views of one object in the order of their angle. Each is joined to the images that its row of C takes most of: **an "
    "object on a turntable is a closed loop**, and each view needs the ones beside it. What to look for: a gap that nothing "
    "spans, and a neighbour of another object, which stands outside the ring."
)
PICK_A_VIEW = (
    "Click an image to see it beside the one that it takes most of; then click another of those that it takes."
)
INSIDE_HELP = (
    "Of the magnitudes of the rows of C of all these views. Beside it, what a row that took evenly of all images of the run "
    "would have."
)
EQUALISER = (
    "Each channel of the encoder is a band. Mute it, leave it as trained, or make it twice as loud: the features are scaled, C "
    "is solved again by the run's own solver, and clusters and accuracy follow. The run stays as it is. No label is looked at "
    "until the scores."
)
CONTROLS = (
    "Two controls: **as trained** is the same computation with every slider at 1, and **random gates** replace the trained gate "
    "by factors drawn without a look at anything, with the same mean. If the gate matters, as trained lies above the random "
    "gates."
)
GAIN_HELP = "0 mutes the channel, 1 leaves it as trained, 2 doubles it."
ENERGY = "How much of the squared size of the features each channel holds: as trained, and with your sliders."


def strengths_alt(found: "BlockStrengths") -> str:
    """The bars of all clusters in words."""
    low, high = found.share.min(), found.share.max()
    return f"block strength of {len(found.ids)} clusters, from {low:.0%} to {high:.0%}, each beside chance"


def strengths_sentence(found: "BlockStrengths") -> str:
    """What the bars are, and which cluster is the weakest."""
    weakest = int(found.share.argmin())
    alone = f" Images without affinity to any other: {found.isolated:,}." if found.isolated else ""
    return (
        "Block strength: of the affinity that a cluster's images have, the share that stays inside the cluster; the line is "
        "chance, the share if affinity were dealt evenly over all pairs. "
        f"The weakest is cluster {found.ids[weakest]} with {found.share[weakest]:.1%}, against {found.chance[weakest]:.1%} "
        f"by chance.{alone}"
    )


def block_title(block: "Block") -> str:
    """Its size."""
    return f"Block of {len(block.rows):,} x {len(block.columns):,} images"


def pairs_joined(block: "Block") -> str:
    """How many of its pairs have any affinity."""
    return f"{block.num_joined:,} of {block.num_pairs:,} pairs joined"


def block_sentence(block: "Block") -> str:
    """How the block stands against the whole."""
    if not block.num_pairs:
        return "The block is one image and itself, which counts nowhere."
    cluster = f"Of its pairs {block.same_cluster:.0%} are of one cluster."
    if block.mean_all <= 0:
        return f"There is no affinity at all. {cluster}"
    return f"A pair in this block has {block.mean / block.mean_all:.3g} times the mean affinity of all pairs. {cluster}"


def members_sentence(run: Run, shown: "Snapshot", rows: np.ndarray) -> str:
    """How many images, of which clusters, the most frequent first."""
    ids, counts = np.unique(shown.labels[rows], return_counts=True)
    order = np.argsort(-counts, kind="stable")[:4]
    parts = ", ".join(f"{ids[at]} ({counts[at]})" for at in order)
    more = f" and {len(ids) - 4} more" if len(ids) > 4 else ""
    return f"{len(rows):,} images; of cluster (how many): {parts}{more}"


def needs_turn(run: Run) -> str:
    """What the ring needs that this run does not have."""
    return (
        "The ring needs objects on a turntable, photographed once all around at known angles: COIL-20, 20 objects, 72 views "
        f"each, 5° apart, every view in the run. This run is of {safe_label(run.description().dataset_title)}, whose images have "
        "no angle. Choose a run of COIL-20 in the sidebar, or make one:"
    )


def view_title(run: Run, shown: "Snapshot", turn: "Turn", place: int) -> str:
    """A view by its angle, and what it takes most of."""
    name = f"{place * turn.degrees:g}°, {image_title(run, shown, int(turn.members[place]), str)}"
    linked = sorted(
        ((weight, int(to)) for (at, to), weight in zip(turn.links, turn.weights, strict=True) if at == place),
        reverse=True,
    )
    if not linked:
        return f"{name}: takes nothing of its own object"
    return f"{name}: takes " + ", ".join(f"{weight:.0%} of {to * turn.degrees:g}°" for weight, to in linked)


def stranger_title(run: Run, shown: "Snapshot", turn: "Turn", place: int, row: int, weight: float) -> str:
    """An image of another object, and which view takes of it."""
    return f"{image_title(run, shown, row, str)}: {weight:.0%} of the view at {place * turn.degrees:g}°"


def turn_alt(turn: "Turn") -> str:
    """The ring in words."""
    return (
        f"{len(turn.members)} views around a ring, {turn.degrees:g}° apart, {len(turn.open_gaps)} open gaps, "
        f"{len(turn.strangers)} neighbours of other objects"
    )


def turn_caption(run: Run, shown: "Snapshot", chosen: int, most: int) -> str:
    """Run, step, object, and what the marks are."""
    name = safe_label(run.description().class_names[chosen])
    return (
        f"Run {safe_label(run.name)}, {step_text(shown)}, solver {safe_label(shown.solver)}: object {name}, each view with the "
        f"{most} largest entries of its row of C. Frames have the colour of the cluster; wider lines take more; orange marks an "
        "open gap and images of other objects. The angle is the order of the data set."
    )


def loop_sentence(turn: "Turn") -> str:
    """Whether the loop is closed, and where it is open."""
    gaps = [f"{place * turn.degrees:g}°" for place in turn.open_gaps]
    strangers = len(turn.strangers)
    if not gaps:
        first = "**The loop is closed**: every gap between two views is spanned by a link of neighbours."
    elif len(gaps) > 6:
        first = f"**There is no loop**: {len(gaps)} of {len(turn.members)} gaps are spanned by no link of neighbours."
    else:
        first = f"**The loop is open** after {', '.join(gaps)}: no link of neighbours spans the gap there."
    second = (
        f"Of the neighbours {strangers} are of other objects." if strangers else "No neighbour is of another object."
    )
    return f"{first} {second}"


def objects_sentence(run: Run, found: Mapping[int, tuple[int, int]]) -> str:
    """The objects that are worth a look."""
    if not found:
        return "Of all objects the loop is closed, and no view takes most of another object."
    names = run.description().class_names
    worst = sorted(found, key=lambda one: (-found[one][0], -found[one][1]))[:8]
    parts = ", ".join(f"{safe_label(names[one])} ({found[one][0]} / {found[one][1]})" for one in worst)
    return f"Worth a look, with open gaps / neighbours of other objects: {parts}."


def channel_name(index: int) -> str:
    """A channel, counted from 1."""
    return f"Channel {index + 1}"


def equalised_caption(run: Run, shown: "Snapshot", found: "Equalised", title: str) -> str:
    """What the small matrix is."""
    return (
        f"{title}: affinity of run {safe_label(run.name)}, {step_text(shown)}, solver {safe_label(shown.solver)}, sorted by "
        f"its own clusters; {found.unchanged:.1%} of the images keep the run's cluster."
    )


def solved_alone(at_the_run: float, as_trained: float) -> str:
    """Why as trained is not the run's own score where C and Z were trained together."""
    return (
        f"The run itself came to ACC {at_the_run:.3f} here, as trained to {as_trained:.3f}: with adam, C and the features were "
        "trained together, and here C alone is solved again. Hold your setting against as trained, not against the run."
    )


def equalised_alt(title: str) -> str:
    """The small matrix in words."""
    return f"affinity matrix in the order of its clusters, {title}"


def random_range(values: Sequence[float]) -> str:
    """What random gates reach."""
    return f"random gates: {min(values):.3f} to {max(values):.3f}"


def quiet_channels(shown: int, total: int) -> str:
    """Which channels have a slider."""
    return f"The {shown} loudest of {total} channels have a slider; the others stay as trained."


def scores_alt(kind: str) -> str:
    """The dots in words."""
    return f"accuracy, NMI and ARI with {kind}, as trained, and with random gates"


def seconds_alt(seconds: Mapping[str, float]) -> str:
    """The bar in words."""
    return f"what each stage took, {sum(seconds.values()):.1f} s in all"
