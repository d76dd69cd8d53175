"""The sentences of the super-token page: what a picture shows and what to look at."""

from vitviz.explain.segmentation import SegmentScores
from vitviz.explain.supertokens import Health, TokenCard
from vitviz.ui.labels import safe_label
from vitviz.ui.language import say

INTRO = (
    "Before the transformer sees a picture, its pixels are gathered into super tokens: each pixel is shared out "
    "among the 3 x 3 "
    "cells around it, each cell moves to the mean of what it was given, and again, t times. **Click one to see what"
    " belongs to it.**"
)
SOURCES = (
    "What is compared when pixels are gathered: the features of a trained super-token embedding, the patch tokens of any ViT "
    "(post hoc: it was not trained for it), or plain colour and place."
)
SIMILARITY = (
    "dot: the paper's product of pixel and super token. neg_sq_distance: minus their squared distance. cosine: the "
    "angle between "
    "them. 'as meant' is what the source was made for."
)
SCALE = (
    "The similarities are multiplied by it before the softmax: larger is more decided. The paper's is 1 / "
    "sqrt(channels)."
)
ZOOM = (
    "How large the picture is fed, against the size the run was trained with: at 2 it has four times as many super tokens, each "
    "of a quarter of the area. The network never saw things that large."
)
BORDER = (
    "masked: cells beyond the border take no part. stvit: they take part as zeros, as in STViT's code, and swallow "
    "their share."
)
TIMM = "Type to search timm's ViTs by name. Nothing is downloaded."
WEIGHTS = "A safetensors file with the weights of that very model. Without one the weights are random."
UNTRAINED = (
    "**This ViT is untrained**: its weights are random, so its groups say nothing about what ViTs learn. Give its "
    "weights as a "
    "safetensors file in the sidebar."
)
DOT_UNTRAINED = (
    "**The dot product needs trained features.** On untrained ones it groups worse than the plain patch grid: achievable "
    "segmentation accuracy .875 at t = 1 and .867 at t = 3 against .8995 for the grid (50 photographs of BSDS500, about 196 "
    "segments; `python -m benchmarks.segmentation`). A distance, under Options, loses less; colour and place, under Pixels, win."
)
RECONSTRUCTION = (
    "Every super token in its mean colour. Hard: each pixel takes the colour of the token it goes to most; soft: of"
    " all nine, by "
    "their shares. What is lost is what one colour cannot tell. Hold B to compare with the photo."
)
BESIDE = (
    "The grid is where the super tokens start from; SLIC has as many segments as they end with. Explained variation is the share "
    "of the colour variance that mean colours keep (Moore et al. 2008), 0 to 1: the grid is what must be beaten, SLIC what is "
    "hard to beat."
)
SCORES = (
    "Means over the people who drew. ASA: pixels that could be right at best. Undersegmentation: pixels that leak "
    "over true borders. "
    "Recall and precision of boundaries within 2 pixels."
)
TRUTH = "A .mat file of BSDS500 or a label image (PNG, TIFF, BMP; one number a pixel) of the same size as the photo."
CHANGES = (
    "How far the super tokens still move, in units of the features. A curve that falls to 0 has settled; one that "
    "stays up swings."
)
HEALTH = (
    "Candidates: how many of the nine a pixel really weighs (1: decided, 9: undecided). Own cell: pixels that stay "
    "where the grid put "
    "them. Labels used: tokens that are somebody's first choice. Pieces: more pieces than labels means torn regions."
)
EMBEDDINGS = (
    "The same photo, its centre at 224 px, through the paper's embeddings, width 384, one picture at a time on this"
    " machine's processor. "
    "Weights change no cost, so none are loaded. A multiply-add is one product and one sum."
)
CLAIMS = (
    "Table 1 of the paper claims 0.30, 1.00 and 0.09 M parameters. Built as printed the three have **297,600**, "
    "**3,490,560** and "
    "**132,192**; the claim for convolutions fits the stem of EarlyConv, whose own has 1,019,664. So super tokens "
    "take 2.25 times fewer "
    "parameters than patches, and 7.7 times fewer than EarlyConv's stem, but more multiply-adds than patches: "
    "lighter in parameters, not in work."
)
EXPLAINED = "The share of the picture's colour variance that one colour a region keeps, 0 to 1."
SOFT_SIZE = "The sum of its shares over all pixels, in pixels of the picture."
ENTROPY = "How undecided the pixels that give to it are, in bits: 0 decided, 3.17 all nine alike."
TO_ATTENTION = (
    "The same picture and place in the network that the features come from, whole and squeezed to its square."
)
CLICK = "Click a super token to see its share of every pixel, its size, entropy and colour."
REPAIRED = (
    "Every segment keeps its largest piece, small pieces join a neighbour. SLIC does the same, so this is the fair "
    "comparison."
)
NO_RUN = "There is no run of super tokens yet. 'Pixels' and 'Any timm ViT' work without one; this makes one:"


def map_caption(recipe: str, step: int, *, trained_with: int | None = None) -> str:
    """What made a map, and what to look at; ``trained_with`` names the t of a trained run."""
    trained = "" if trained_with in (None, step) else f" (it was trained with t = {trained_with})"
    return (
        f"{_safe(recipe)}; t = {step}{trained}. Lines part pixels that go to different super tokens most. "
        "Specks have no line. Colours only tell neighbours apart, they mean nothing."
    )


def recipe_caption(recipe: str, step: int, text: str) -> str:
    """A caption with what made the figure."""
    return f"{text} {_safe(recipe)}; t = {step}."


def card_title(card: TokenCard) -> str:
    """Which super token it is."""
    return f"Super token {card.cell}, row {card.row}, column {card.column}"


def swatch_svg(color: tuple[int, int, int]) -> str:
    """A patch of a colour."""
    size = 'width="160" height="24"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}><rect {size} rx="4" fill="rgb{color}"/></svg>'


def color_sentence(card: TokenCard) -> str:
    """Its mean colour in numbers."""
    return f"Mean colour {', '.join(map(str, card.mean_color))}"


def share_caption(step: int) -> str:
    """What the heat shows."""
    return f"On the photo: the share of each pixel that it gets at t = {step}, 0 to 1."


def flow_caption(card: TokenCard) -> str:
    """Where the token's pixels come from."""
    return (
        f"The squares are its cell and the eight around it: {card.shares[1, 1]:.0%} of its mass comes from its own. Its pixels "
        f"weigh {2**card.entropy_bits:.2f} of 9 candidates."
    )


def grid_sentence(rows: int, columns: int, height: int, width: int) -> str:
    """The grid and the map it lies over."""
    return f"{rows} rows, {columns} columns, over a feature map of {height} x {width}."


def health_sentence(health: Health, step: int) -> str:
    """One iteration's health in a line."""
    torn = health.components - health.labels_used
    pieces = "no region is torn" if torn == 0 else f"{torn:,} torn-off pieces"
    return (
        f"At t = {step} a pixel weighs {health.effective_candidates:.2f} of 9 candidates, {health.own_cell_share:.0%} of the "
        f"pixels stay in their own cell, {health.labels_used:,} of {health.num_labels:,} labels are used, {pieces}."
    )


def score_row(scores: SegmentScores) -> dict[str, float | int]:
    """Scores as a row of a table."""
    return {
        "ASA": scores.asa,
        "undersegmentation": scores.undersegmentation_error,
        "boundary recall": scores.boundary_recall,
        "boundary precision": scores.boundary_precision,
        "explained variation": scores.explained_variation,
        "segments": scores.num_labels,
        "pieces": scores.num_components,
    }


def _safe(recipe: str) -> str:
    """A recipe, which names runs and files, said and made safe, as the beginning of a sentence."""
    said = say(recipe)
    return safe_label(said[:1].upper() + said[1:], max_length=400)
