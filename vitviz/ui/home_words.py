"""What the first page says."""

from collections.abc import Mapping, Sequence
from typing import Any

TITLE = "See how vision transformers group things"
IDEA = "Real trainings round by round, real networks layer by layer, a control beside every claim. No internet, no GPU needed."
BEGIN = "Ways to begin"
TEASERS = "What a network makes of pictures"
PAPERS = "Four papers"

NO_RUN = "There is no run yet. The line below makes the first one in about two minutes."
NO_MAP = "No run here has a map yet. The line below makes one in about two minutes."
FIRST_RUN = "python -m vitviz train deep_clustering --preset digits"

LESSON, ALL_LESSONS = "Take a lesson", "All lessons"
LESSON_TEXT = "Guided tours: predict, look, be told why."
MICROSCOPE = "Put your photo under the microscope"
MICROSCOPE_TEXT = "See which pixels become one token."
MICROSCOPE_NOTE = "Upload a photo, take one, or begin with a bundled one"
STEP_THROUGH = "Step through a run"
STEP_THROUGH_TEXT = "Maps, curves, movers, and the control."

SUPERTOKENS = "Super tokens"
SUPERTOKENS_TEXT = "Pixels are gathered into tokens that follow the picture, not a grid."
SUBSPACE = "Subspace clustering"
SUBSPACE_TEXT = "Every image is written as a mix of others; sorted by cluster, blocks appear."
ATTENTION = "Attention"
ATTENTION_TEXT = "Where the network looks before it answers, layer by layer, head by head."
ENGINES = {"aligned_umap": "AlignedUMAP", "warm_umap": "UMAP", "umap": "UMAP", "pca": "two principal components"}
PHOTO, UNSORTED, BY_CLUSTER, AS_TOKENS, LOOKED_AT = "photo", "as they come", "by cluster", "super tokens", "attention"


def lesson_note(title: str) -> str:
    """Which lesson it is."""
    return f"First: {title}"


def run_note(run: str, num_rounds: int) -> str:
    """Which run it begins with."""
    return f"Begins with run {run}, {num_rounds} rounds"


def live_caption(run: str, num_images: int, engine: str) -> str:
    """What the live map shows, and what placed its images."""
    return (
        f"Run {run}: {num_images:,} images placed by {ENGINES.get(engine, engine)}, one colour a cluster. "
        "Framed, with their way: those that change cluster."
    )


def round_note(index: int, last: int, changed: int | None, nmi: float | None) -> str:
    """What a round of the live map says: which, how many images changed cluster in it, and its score."""
    parts = [f"Round {index} of {last}."]
    if changed is not None:
        parts.append(f"{changed:,} images change cluster.")
    if nmi is not None:
        parts.append(f"Held-out NMI {nmi:.3f}.")
    return " ".join(parts)


def change_note(last: int, changed: int, first_nmi: float | None, last_nmi: float | None) -> str:
    """The same from the first round to the last."""
    told = f"From round 0 to {last}. {changed:,} images change cluster."
    return told if first_nmi is None or last_nmi is None else f"{told} Held-out NMI {first_nmi:.3f} to {last_nmi:.3f}."


def tokens_note(run: str, num_tokens: int, iterations: int) -> str:
    """What the picture of super tokens shows."""
    return f"Run {run}: {num_tokens} super tokens after {iterations} iterations, each in its mean colour"


def attention_note(run: str, layer: int) -> str:
    """What the picture of attention shows."""
    return f"Run {run}: CLS in layer {layer}, mean of heads, relative to the largest share"


def affinity_note(run: str, num_images: int) -> str:
    """What the picture of C shows."""
    return f"Run {run}: |C| + |Cᵀ| of {num_images:,} images in the last round, dark to bright"


def tokens_alt(photo: str) -> str:
    """For who cannot see it."""
    return f"{photo}, one colour a super token"


def attention_alt(photo: str) -> str:
    """For who cannot see it."""
    return f"{photo}, brighter where the network looks"


def affinity_alt(order: str) -> str:
    """For who cannot see it; ``order`` is one of the captions."""
    return f"Which images make each other up, {order}"


def score(records: Sequence[Mapping[str, Any]]) -> str:
    """The score that counts of a run's rounds, and on what it is counted; nothing where there is none."""
    counting = counted(records)
    if counting.get("acc") is not None:
        after = f" after step {counting['step']:d}" if counting.get("step") else ""
        chosen = ", chosen without labels" if records[-1].get("selection") else ""
        return f"ACC {counting['acc']:.3f} over all images{after}{chosen}"
    if len(records) == 1 and counting.get("held_out_top1") is not None:
        return f"Held-out accuracy {counting['held_out_top1']:.3f}"
    first, last = records[0].get("held_out_nmi"), counting.get("held_out_nmi")
    if first is None or last is None:
        return ""
    return f"Held-out NMI {last:.3f} after {len(records) - 1} rounds, {last - first:+.3f} since round 0"


def counted(records: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The round whose scores count: the one a run chose among its rounds, else the last."""
    last = records[-1]
    return records[last["selection"]["round"]] if last.get("selection") else last
