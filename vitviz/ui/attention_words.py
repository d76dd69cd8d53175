"""The sentences of the attention page: what a map shows, how it was made, and what it does not show."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from vitviz.ui.labels import safe_label
from vitviz.ui.language import say

if TYPE_CHECKING:
    from vitviz.explain.attention import BirdsEye
    from vitviz.explain.attention_flow import Flow, FlowRow
    from vitviz.explain.attention_layers import Layer, Row
    from vitviz.explain.attribution import Attribution, Faithfulness
    from vitviz.explain.opened_models import OpenedModel
    from vitviz.explain.token_views import LogitLens, PatchPca, Tokens
    from vitviz.explain.weight_keys import KeyReport

INTRO = (
    "In every layer each token takes a share of every other one. **Click a patch to see what it takes**; without a pin you see "
    "what the CLS token takes, or the mean of all patches. A map says where a layer looks, not why the network answers so."
)
NETWORKS = (
    "A run trained here, or any vision transformer that timm knows, with weights of yours, published ones or none."
)
NO_RUN = "There is no run to look into on this machine. 'Any timm ViT' works without one."
RUNS = "A run of super tokens or of deep clustering, looked at after any round that kept its weights."
SAMPLE = "The row of the image in the run: the number that the round map and its CSV show."
TIMM = "Type to search: ViT, DeiT, EVA, BEiT, DINO with registers, Swin, CaiT and more."
WEIGHTS = "Nothing is downloaded before you press a button that says so. 'random weights' shows the untrained network."
SIDE = "The side of the square that the network is fed. Other sizes than its own resample its position embeddings."
FILE = "safetensors, or what torch.save wrote of tensors alone. A file that could run code is refused, and never run."
NO_FILE = "No file yet: the weights are random."
PART = "Several parts of the file could be the model, as a teacher and a student. The one that fits best is read first."
HUB = "owner/name, optionally @revision, of a model of timm's kind. Its config.json is checked value by value."
DOWNLOAD = "Over the network, once; afterwards they lie in the cache of this machine."
FRAMING = {"centre": "Centre", "squash": "Whole picture"}
UNTRAINED = (
    "**This network is untrained**: its weights are random, so its maps say nothing about what ViTs learn. Give weights in the "
    "sidebar."
)
UNTRAINED_BESIDE = "**This network is untrained**: its weights are random."
NO_CLASSIFIER = "The classifier of this network is random: what a class is, it never learned."

QUERY = "Whose attention is shown while no patch is pinned. A pinned patch is the query itself; Esc lets go of it."
LAYER = "Counted from 0, in the order of the forward pass."
HEADS = "One head, or all of them as one map: their mean, largest or smallest share."
NORMALISATION = "What the numbers of the map mean. The picture of one map is the same but for 'range'."
MASS = "Only the fewest patches that hold this much of the map stay."
ONE_SCALE = "One colour scale for all maps; else each map has its own, from 0 to its largest."
SHEET_ALT = "attention of every layer, downwards, and every head, across"
CANVAS = {
    "keys": "Click a patch to make it the query · arrows move it · hold B for the photo alone · Esc clears",
    "idle": "Click a patch.",
}
SHEET = {
    "picture": "All maps; an arrow key moves to the next layer or head",
    "keys": "Click a map to enlarge it · arrows go on to the next",
    "idle": "Click a map.",
    "clear": "Show all heads as one",
}
ROLLOUT = (
    "Rollout (Abnar and Zuidema 2020): the attention of all layers multiplied, each token keeping a part of itself. It follows "
    "where information could have come from; it knows nothing of values, MLPs or the answer."
)
RELEVANCE = (
    "Relevance (Chefer, Gur and Wolf 2021): attention weighted by the gradient of one score, so it depends on what is asked. "
    "Only what pushes the score up is kept."
)
FLOW = {"rollout": ROLLOUT, "relevance": RELEVANCE}
FUSION = "How the heads of a layer become one before layers are multiplied."
DISCARD = "This share of each row, the smallest, is set to 0 before layers are multiplied."
RESIDUAL = "What a token keeps of itself in each layer. The paper's is .5."
LAST_LAYER = (
    "The control: the last layer alone, mean of its heads, same query. What the other layers add is the difference."
)
TARGET = (
    "What is explained: a class of the classifier, the likeliest first, or nearness to a cluster's center of the run."
)
BASELINE = "What stands for 'nothing there'."
STEPS = "Points on the way from the baseline. They are doubled until the sum is right to within 1 %."
METHOD = "How the score is traced back to the picture."
SIGNED = "signed: red pushes the score up, blue down. positive: only what pushes it up."
FAITHFUL = (
    "Are these the patches that count? Deletion takes them away, the most important first: a faithful map makes the value fall "
    "fast (small area). Insertion puts them back: it rises fast (large area). Grey: five random orders, the control."
)
PCA = (
    "Each patch coloured by the three main directions in which the tokens of this picture differ (red, green, blue). Like "
    "colours, like tokens; the colours name nothing."
)
SIMILARITY = "Click a patch: the cosine of its token with every other, −1 to 1."
FOREGROUND = "Keep only the patches on one side of the first component, and take new components of those."
LENS = (
    "The final norm, pooling and classifier run on what each block puts out, as if it were the last (nostalgebraist 2020). Only "
    "the last row is what the network answers; the others were not trained to be read."
)
BESIDE = "Both pictures have one locked scale, so a colour means the same number in both."
DIFFERENCE = "Half the sum of differences between the two maps, each made to sum to 1: 0 equal, 1 disjoint."
COMPLETENESS = (
    "How far the sum of the map is from the difference of the scores it should add up to, over that difference."
)
LENS_CURVES = (
    "The probability of the final answer after each block, and how undecided the answer is, in bits (all probabilities). An even "
    "guess has the logarithm of the number of classes."
)
METHOD_NAMES = {
    "integrated_gradients": "integrated gradients",
    "gradient_shap": "GradientSHAP",
    "saliency": "saliency",
    "occlusion": "occlusion",
    "layer_grad_cam": "layer Grad-CAM",
}
COSTS = {
    "integrated_gradients": "A forward and a backward pass a step.",
    "gradient_shap": "A forward and a backward pass a sample.",
    "saliency": "",
    "occlusion": "A forward pass a window.",
    "layer_grad_cam": "",
}


def keys_sentence(keys: "KeyReport") -> str:
    """How a file of weights met a network, said clause by clause; made safe."""
    return safe_label(", ".join(say(clause) for clause in keys.clauses()) + ".", max_length=400)


def network_caption(label: str, tokens: str) -> str:
    """Which network, and what becomes of the picture in it."""
    return f"Network: {safe_label(say(label), max_length=160)}; {safe_label(say(tokens), max_length=120)}."


def sheet_caption(bird: "BirdsEye", one_scale: bool) -> str:
    """What the bird's-eye view shows."""
    scale = "one colour scale for all" if one_scale else "each from 0 to its own largest share"
    left = f" {len(bird.left_out)} layers have no such map and are left out." if bird.left_out else ""
    uneven = len({row.layer.num_heads for row in bird.rows}) > 1
    bare = " Where the photo is bare the layer has no such head." if uneven else ""
    query = bird.rows[0].query
    return f"Rows are layers, from the first down; columns are heads, from 0; query {query}; {scale}.{left}{bare}"


def tile_text(row: "Row", head: int) -> str:
    """What the pointer reads on one map of the bird's-eye view."""
    return (
        f"layer {row.layer.index}, head {head}"
        if head < row.layer.num_heads
        else f"layer {row.layer.index} has no head {head}"
    )


EXTREMES = {
    "max": "the largest share of any head, 0 to 1; these need not sum to 1",
    "min": "the smallest share of any head, 0 to 1; these need not sum to 1",
}


def patch_name(place: tuple[int, int]) -> str:
    """``row 3, column 4``."""
    return f"row {place[0]}, column {place[1]}"


def no_such_query(query: object, own: str) -> str:
    """Why another query is shown than was asked for."""
    asked = patch_name(query) if isinstance(query, tuple) else str(query)
    return f"No layer with a map has {asked} as a query: {own} is shown."


def layer_words(layer: "Layer", num_layers: int) -> str:
    """``layer 11 of 0-11 (blocks.11.attn, global)``."""
    return f"layer {layer.index} of 0-{num_layers - 1} ({layer.name}, {layer.kind})"


def heads_words(heads: str) -> str:
    """``head 3``, or how all were fused."""
    return heads if heads.startswith("head ") else f"{heads} of all heads"


def map_caption(
    row: "Row", num_layers: int, heads: str, normalisation: str, mass: float, prefix_share: float | None
) -> str:
    """What the large map shows, with what it may be compared with."""
    beside = ""
    if row.layer.prefix and prefix_share is not None:
        beside = f" {prefix_share:.0%} of it falls on {prefix_words(row.layer.prefix)}."
    kept = f" Only the heaviest patches that hold {mass:.0%} are coloured." if mass < 1 else ""
    return (
        f"{_upper(layer_words(row.layer, num_layers))}, {heads_words(heads)}, query {row.query}; {normalisation}.{beside} "
        f"Spread evenly each of {row.layer.num_keys:,} tokens would get {1 / row.layer.num_keys:.2%}: the control.{kept}"
    )


def prefix_words(prefix: Sequence[str]) -> str:
    """``CLS and 4 registers``."""
    registers = sum(name.startswith("register") for name in prefix)
    parts = [name for name in prefix if not name.startswith("register")]
    return " and ".join(parts + ([f"{registers} registers" if registers > 1 else "1 register"] if registers else []))


def recipe(opened: "OpenedModel", picture: str, what: str, version: str) -> str:
    """One line that says how a figure was made: to copy, and inside the files."""
    return f"{what.rstrip('. ')}; picture: {picture}; {opened.recipe}; vitviz {version}"


def flow_caption(flow: "Flow", row: "FlowRow") -> str:
    """What a map of rollout or relevance shows."""
    outside = f" {row.prefix.sum():.0%} of it lies on {prefix_words(flow.prefix)}." if flow.prefix else ""
    return f"{_capital(flow.recipe)}; for the token {row.query}.{outside if flow.score is None else ''}"


def score_sentence(found: "Attribution") -> str:
    """What is explained, and how much of it there is."""
    if found.baseline_score is None:
        return f"Score of {safe_label(say(found.target))}: {found.score:.3f}."
    return (
        f"Score of {safe_label(say(found.target))}: {found.score:.3f}, without the picture {found.baseline_score:.3f}: "
        f"{found.score - found.baseline_score:+.3f} to be explained."
    )


def attribution_caption(found: "Attribution", scale_words: str) -> str:
    """What an attribution shows and how."""
    return f"{_capital(plain_recipe(found))}. Colours: {scale_words}."


def plain_recipe(found: "Attribution") -> str:
    """An attribution's recipe with the method's name as it is written."""
    return found.recipe.replace(found.method, METHOD_NAMES[found.method], 1)


def faithful_sentence(found: "Faithfulness") -> str:
    """Whether the order beats chance, in numbers."""
    (low, low_spread), (high, high_spread) = found.random_deletion(), found.random_insertion()
    below, above = found.own.deletion_auc < low - low_spread, found.own.insertion_auc > high + high_spread
    verdict = {
        (True, True): "Both are better than chance.",
        (True, False): "Deletion beats chance, insertion does not.",
        (False, True): "Insertion beats chance, deletion does not.",
        (False, False): "**Neither beats chance**: do not trust this map.",
    }[bool(below), bool(above)]
    return f"{verdict} {_capital(found.recipe)}."


def spread(pair: tuple[float, float]) -> str:
    """``chance .231 ± .012``."""
    return f"chance {pair[0]:.3f} ± {pair[1]:.3f}"


def pca_caption(tokens: "Tokens", found: "PatchPca") -> str:
    """Which tokens, and how much the three colours tell."""
    shares = ", ".join(f"{share:.0%}" for share in found.shares)
    return f"{block_words(tokens)}; the three components hold {shares} of the variance. {PCA}"


def block_words(tokens: "Tokens") -> str:
    """``Tokens after block 3 of 0-11, behind the final norm``."""
    normed = ", behind the final norm" if tokens.is_normed else ""
    return f"Tokens after block {tokens.block} of 0-{tokens.depth - 1}{normed}"


def lens_caption(lens: "LogitLens", names: Mapping[int, str]) -> str:
    """When the answer that it ends with first stands on top."""
    final = int(lens.classes[-1, 0])
    last, others = len(lens.classes) - 1, (lens.classes[:, 0] != final).nonzero()[0]
    since = int(others[-1]) + 1 if len(others) else 0
    return f"The final answer, {safe_label(names[final])}, is on top from block {since} of 0-{last} on. {LENS}"


def class_option(opened: "OpenedModel", index: int) -> str:
    """A class in a list and in the address: ``class 3: dress``, or its number alone."""
    return f"class {index}: {opened.class_names[index]}" if opened.class_names else f"class {index}"


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _capital(text: str) -> str:
    """A recipe, which names runs and files, said and made safe, as the beginning of a sentence."""
    return safe_label(_upper(say(text)), max_length=500)
