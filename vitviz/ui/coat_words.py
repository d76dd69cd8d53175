"""The sentences of the page of Clustering CoaT: what a picture shows, what to look at, and what the idea does not do."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vitviz.ui.labels import safe_label
from vitviz.ui.language import say

if TYPE_CHECKING:
    from vitviz.explain.coat import ClusteredBlock, GroupMap, PrototypeAttention
    from vitviz.explain.coat_costs import BreakEven
    from vitviz.explain.coat_times import CoreTimes
    from vitviz.nn.coat_block import Clustering
    from vitviz.nn.query_groups import Grouping

INTRO = (
    "Every token asks where to look with a query of its own. Clustering CoaT lets tokens with similar queries **share one "
    "prototype**: their mean. **Click a token to see its group, and what its prototype looks at instead of itself.**"
)
NETWORKS = "A run trained here, or CoaT-Lite as published, with weights of your own or none."
NO_RUN = "There is no trained run of Clustering CoaT on this machine; here is CoaT-Lite instead."
MAKE_RUN = "This makes one:"
SIZES = "CoaT-Lite as published. Without weights the larger ones show nothing new but their cost."
FED = "The short side of the picture as it is fed, in pixels. More pixels, more tokens."
ZOOM = (
    "How large the picture is fed, against the size the run was trained with. At 2 and 4 there are 4 and 16 times as many "
    "tokens; the network never saw pictures that large."
)
WEIGHTS = "A safetensors file with timm's names. Without one the weights are random."
KINDS = (
    "How the attention of the clustered stages works. factorised: prototypes times (softmax(K)ᵀ V), CoaT's own form. softmax: "
    "softmax(prototypes Kᵀ) V, the paper's text. none: every query asks for itself."
)
MLP = "Cluster the MLP of stages 1–2 too"
MLP_HELP = "Prototypes of tokens go through the MLP, their outcome to all members. **Ours, not the paper's.**"
METHODS = (
    "e2lsh: a locality hash, as many groups as the picture asks for. sign: signs of random projections. sign+lloyd: then two "
    "steps of k-means. kmeans: from k-means++. blocks and random are blind to the content: the controls."
)
WIDTH = "Width of a hash bucket in standard deviations: wider, fewer groups."
BITS = "At most 2 to the power of b groups a head."
NUMBER = "At most so many groups a head; empty ones do not count."
UNTRAINED = (
    "**This network is untrained**: its groups, how many there are, maps and answers say nothing about what CoaT learns. What "
    "the parts cost at a given number of prototypes needs no weights. Give weights as a safetensors file in the sidebar."
)
OTHER_FORM = {
    "factorised": (
        "**Softmax on weights trained factorised.** The two forms compute different things, so such weights lose by "
        "the change unless they are trained on; “Same answer?” shows it. The groups of the first block are the same in both."
    ),
    "softmax": (
        "**Factorised on weights trained with softmax.** The two forms compute different things, so such weights lose by "
        "the change unless they are trained on; “Same answer?” shows it."
    ),
}
NOTHING = "Nothing is clustered. Choose **factorised** or **softmax** in the sidebar, or cluster the MLP."
NO_QUERIES = "No queries are clustered. Choose **factorised** or **softmax** in the sidebar."
CANVAS = {
    "keys": "Click to pin a token · arrows move it · hold B for the photo alone · Esc clears",
    "idle": "Click a token.",
}
TONES = (
    "The colour says where a group's prototype lies along the first principal component of all prototypes of this head, "
    "0 to 1: like colours, like queries. It names nothing."
)
TOKEN_TONES = (
    "The colour says where a group lies along the first principal component of what its tokens are after the block, "
    "0 to 1."
)
CLICK = "Click a token: its group is outlined, and beside it stands what its prototype looks at."
SEEN = "softmax: the share of each value, 0 to 1. factorised: weights of either sign; CoaT's own form has no map of shares."
COUNTS = "Prototypes of each head. A head with few prototypes asks few different questions of this picture."
ADAPTIVE = "e2lsh makes as many groups as the picture asks for: a plain picture needs few, a busy one many."
FIXED = "**{method} does not adapt**: it has at most {most} groups whatever the picture. Below is how many are in use."
WHISKERS = "Bars are means over heads; whiskers reach from the head with fewest to the one with most."
GALLERY_RUN = (
    "The first {number} held-out images of the run at {size} px, fewest prototypes first. Under each stands its "
    "number of prototypes, the mean over heads."
)
GALLERY_BUNDLED = (
    "The bundled photographs, each its middle square at {size} px, so that all have as many tokens. Under each stands "
    "its number of prototypes, the mean over heads; fewest first."
)
ERRORS = (
    "All methods with as many prototypes as sign has in use. **kmeans** is about the best there is, **blocks** and **random** "
    "know nothing of the content, **singletons** (every query its own prototype) must be 0."
)
CURVE = "What a knob buys, clustering included: bucket widths of e2lsh, bits of the others. Down and left is better."
LEVEL = "Bits b of sign; all others get as many prototypes."
ATTENTION_EVEN = (
    " Where attention is nearly even, as in an untrained network, averaging queries changes little: "
    "small bars prove nothing."
)
AGAINST = "macs: multiply-adds of attention's core, clustering included. prototypes: in use, a head."
COMPUTED = "Multiply-adds are counted, for this picture and the prototypes it has; milliseconds are measured below."
ANSWER = "The five likeliest classes of either."
MANY = "Ten clusterings of each image: takes several seconds, once."
TIMES = "Normal random queries, keys and values of one picture, grouped by sign. They take turns for about {seconds} seconds."
NOT_MEASURED = (
    "Nothing is measured yet: the milliseconds of the four cores on this machine, for this many tokens and prototypes."
)
BUSY = "Another measurement is under way on this machine. Try again in a moment."
OWN = "as published"
BREAK_EVEN = (
    "In multiply-adds, clustering included; sums over groups and sorting are not counted. A stage gains with fewer prototypes "
    "a head than the number given; 'never': not even with one."
)
NO_IMAGES = (
    "The held-out images of this run are not on this machine, so only this picture is compared. "
    "`python -m vitviz data get {dataset}` says how they come here."
)
LITE_ALONE = (
    "A trained run also compares a few hundred held-out images; with your own weights this picture alone is compared."
)
AGREEMENT = (
    "How often an image gets the class that it gets with nothing clustered, not how often that class is right. Wider buckets, "
    "fewer prototypes: point at a value for their share."
)
NO_TRAINED_ANSWER = "An untrained network has no answer to compare: its classes are chance."


def method_words(grouping: "Grouping") -> str:
    """A method with its knob."""
    if grouping.method == "e2lsh":
        bound = f", at most {grouping.max_clusters:,} groups a head" if grouping.max_clusters else ""
        return f"e2lsh, r = {grouping.r_rel:g}{bound}"
    if grouping.method in ("sign", "sign+lloyd"):
        return f"{grouping.method}, b = {grouping.num_bits}"
    return f"{grouping.method}, C = {grouping.num_clusters}"


def clustering_words(clustering: "Clustering") -> str:
    """What is clustered, and how, in a line, said."""
    parts = []
    for kind in ("factorised", "softmax"):
        stages = [str(stage) for stage, found in enumerate(clustering.attention, 1) if found == kind]
        if stages:
            parts.append(f"queries of stages {' and '.join(stages)}, {kind}, by {method_words(clustering.grouping)}")
    if clustering.mlp_stages:
        stages = " and ".join(map(str, clustering.mlp_stages))
        parts.append(f"MLP of stages {stages} (ours) by {method_words(clustering.mlp_grouping)}")
    return "; ".join(say(part) for part in parts) or say("nothing clustered")


def zoom_sentence(zoom: int, img_size: int) -> str:
    """What a network is fed beyond what it knows."""
    return f"Fed at {zoom * img_size} px. The network was trained at {img_size} px and never saw pictures this large."


def trained_sentence(clustering: "Clustering") -> str:
    """What a run clusters by itself."""
    return f"As at its last epoch: {safe_label(clustering_words(clustering), max_length=200)}."


def caption(shown: Any, text: str, *where: str) -> str:
    """Network, how it was fed, where in it; then what to look at: said, part by part."""
    recipe = "; ".join(say(part) for part in (shown.network.label, *where, shown.look.recipe))
    return f"{safe_label(recipe[:1].upper() + recipe[1:], max_length=400)}. {say(text)}"


def map_caption(shown: Any, block: "ClusteredBlock", head: int | str) -> str:
    """Which map it is."""
    if isinstance(head, str):
        method = method_words(shown.clustering.mlp_grouping)
        return caption(shown, TOKEN_TONES, f"{block.name}, tokens before the MLP by {method}")
    method = method_words(shown.clustering.grouping)
    return caption(shown, TONES, f"{block.name}, head {head}, {block.kind}, by {method}")


def group_sentence(groups: "GroupMap", head: int, row: int, column: int, *, has_padding: bool) -> str:
    """A token and its group."""
    group = int(groups.ids[head, row, column])
    size, total = int(groups.sizes[head, group]), int(groups.sizes[head].sum())
    others = {1: "stands alone", 2: "shares a prototype with one other"}.get(
        size, f"shares a prototype with {size - 1:,} others"
    )
    share = f"{size / total:.1%}" if size / total >= 0.01 else f"{size / total:.2%}"
    padded = " (those on padding included)" if has_padding else ""
    return f"The token at row {row}, column {column} {others}: group {group}, {share} of {total:,} tokens{padded}."


def attention_sentence(seen: "PrototypeAttention") -> str:
    """How far the prototype's look is from the token's own."""
    moved = "" if seen.moved is None else f", and {seen.moved:.1%} of the weight lies elsewhere"
    clustered, exact = (_weight(one, seen.kind) for one in (seen.cls_clustered, seen.cls_exact))
    cls = f"The CLS token, which lies on no place, gets {clustered} instead of {exact}."
    return (
        f"Against the token itself the prototype's weights are off by {seen.weight_error:.1%}{moved}; what it gathers is off "
        f"by {seen.output_error:.1%}. {cls}"
    )


def weight_title(kind: str) -> str:
    """What the colour of a map of weights stands for."""
    return "share of the value" if kind == "softmax" else "weight of the value"


def counts_row(name: str, kind: str, num_tokens: int, counts: Sequence[int]) -> dict[str, str]:
    """One block in the table of prototypes."""
    mean = sum(counts) / len(counts)
    return {
        "clustered": name,
        "attention": kind,
        "tokens": f"{num_tokens:,}",
        "prototypes a head, mean": f"{mean:,.0f}",
        "fewest to most": f"{min(counts):,}–{max(counts):,}" if len(counts) > 1 else "one head",
        "of its tokens": f"{mean / num_tokens:.1%}",
    }


def headline(macs: Mapping[str, Any]) -> list[str]:
    """The four statements that the idea must be judged by; ``macs`` name to ``CoatMacs``, named as the bars are."""
    own, parts = macs[OWN].total, macs[OWN].parts
    factorised, softmax, full = (macs[name] for name in ("queries, factorised", "queries, softmax", "full softmax"))
    mlp = macs["MLP clustered (ours)"]
    core = _core(full) / _core(softmax)
    return [
        f"**It cannot make CoaT lighter.** CoaT's own attention is factorised, so it is linear already. Prototypes touch only "
        f"Q M, **{parts.get('Q M', 0) / own:.2%}** of this model's multiply-adds; finding them costs "
        f"{factorised.parts.get('clustering', 0) / own:.2%}. Whole model: {_change(factorised.total, own)}.",
        f"**Against full softmax attention it wins**: stages 1–2 with clustered softmax take {_times(core)} multiply-adds of "
        f"attention, the whole model {_change(softmax.total, full.total)} against full softmax, and "
        f"{_change(softmax.total, own)} against CoaT as published.",
        "**Weights lose by it.** What was trained factorised loses accuracy in the softmax form unless trained on, the more "
        "stages take it; the factorised form keeps nearly all. “Same answer?” shows both on your picture.",
        f"**What does make it lighter is ours, not the paper's**: the same clustering before the MLP of stages 1–2. The MLP is "
        f"{parts['MLP'] / own:.1%} of the model; clustered, the whole model: {_change(mlp.total, own)}.",
    ]


def histogram_caption(current: float, counts: Any, side: int) -> str:
    """Where this picture is among the others."""
    return (
        f"The dashed line is your picture, its middle square at {side} px: {current:,.0f}. The others have "
        f"{counts.min():,.0f} to {counts.max():,.0f}."
    )


def lines_caption(stage: int, current: float | None) -> str:
    """What the lines of the cores show."""
    own = "" if current is None else f" The dotted line is this picture: {current:,.0f} a head."
    return f"Multiply-adds of one block's attention core in stage {stage}; both axes are logarithmic.{own}"


def agreement_caption(shown: Any, number: int, size: int) -> str:
    """What agreement means, and of which run."""
    run = safe_label(shown.network.run.name)
    return f"Run {run}, {number} held-out images at {size} px, stages 1–2, by e2lsh. {AGREEMENT}"


def break_even_row(one: "BreakEven", counts: str) -> dict[str, str]:
    """Where clustering begins to pay in a stage, in words."""

    def below(number: float) -> str:
        if number <= 1:
            return "never"
        return "always" if number >= one.num_tokens else f"below {number:,.0f}"

    return {
        "stage": str(one.stage),
        "tokens": f"{one.num_tokens:,}",
        "this picture has": counts,
        "clustered softmax beats full softmax": below(one.softmax_full),
        "clustered softmax beats CoaT's own": below(one.softmax_factorised),
        "factorised beats CoaT's own": below(one.factorised),
        "clustered MLP beats MLP": below(one.mlp),
    }


def times_about(times: "CoreTimes") -> str:
    """Size and machine of a measurement."""
    threads = "1 thread" if times.num_threads == 1 else f"{times.num_threads} threads"
    return f"{times.num_tokens:,} tokens, {times.num_clusters:,} prototypes, {threads}"


def times_sentence(times: "CoreTimes") -> str:
    """What the measured milliseconds say of the idea."""
    took = {core.kind: core.milliseconds for core in times.cores}
    full, own = took["full softmax"] / took["softmax"], took["factorised"] / took["unclustered"]
    against = f"{own:.2g} times as long as" if own >= 1 else f"{1 / own:.2g} times less than"
    return (
        f"Here full softmax takes **{full:,.1f} times as long as** clustered softmax; clustering the queries of CoaT's own core "
        f"takes **{against}** that core unclustered."
    )


def answer_sentence(same: bool, kl: float) -> str:
    """Whether the class stays."""
    small = "below 0.0001" if kl < 1e-4 else f"{kl:.4f}"
    verdict = "The class stays the same." if same else "**The class changes.**"
    return f"{verdict} KL divergence of the probabilities: {small} nats (0: nothing changes)."


def _weight(value: float, kind: str) -> str:
    return f"{100 * value:.2g}%" if kind == "softmax" else f"{value:.2g}".replace("-", "−")


def _core(macs: Any) -> int:
    """Multiply-adds of attention in the first two stages, clustering included."""
    parts = ("Q K^T", "A V", "clustering")
    return sum(stage.get(part, 0) for stage in macs.stages[:2] for part in parts)


def _times(factor: float) -> str:
    return f"{factor:,.1f} times fewer" if factor >= 1 else f"{1 / factor:,.1f} times more"


def _change(now: int, before: int) -> str:
    share = now / before - 1
    return f"**{share:+.1%}**".replace("-", "−")
