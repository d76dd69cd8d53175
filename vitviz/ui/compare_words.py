"""The sentences of the page that compares: computed from the rows, so that they follow the runs."""

from collections.abc import Sequence

from vitviz.explain.comparison import ComparedRow, Step, find_steps, rank, rank_claims
from vitviz.explain.comparison_setups import Setup
from vitviz.explain.embedding_costs import Throughput
from vitviz.explain.paper_claims import Comparison, PaperRow, standard_error
from vitviz.ui.labels import safe_label

INTRO = (
    "What a paper claims, beside what the same variants do here. The papers train longer, on more and larger images than most "
    "runs here, so **compare the order and the differences, not the numbers themselves**."
)
CLAIMS = "Diamonds are the paper's numbers, one training each; whiskers: one standard error of a score on {num:,} test images."
OWN_SCORES = (
    "A dot is one run after its last epoch, one a seed; the stroke is their mean. Mind that the two axes differ."
)
CURVES = (
    "Thin lines are seeds, the thick one is their mean. The training loss is that of mixed images and smoothed labels (Mixup, "
    "CutMix), so it cannot be held against the loss on held-out images, which are as they are."
)
SIZES = (
    "Counted from the models built as printed, at 224 px with 100 classes. A multiply-add is one product and one sum: "
    "fewer parameters do not mean fewer of them."
)
THROUGHPUT = (
    "The paper's whole ViT at 224 px, forward only, on this machine's processor: the four take turns, {batch} images at a "
    "time, for about {seconds} seconds. The claim comes from another machine, so compare the shares. Whiskers are one standard "
    "deviation of a turn."
)

_STEADY = 0.1
"""Up to this standard deviation, as a share of the mean, a measurement counts as undisturbed."""
_FEW = 5
"""With fewer rounds their standard deviation says little."""


def setup_sentence(setup: Setup) -> str:
    """What the runs of ours were trained and scored on, with the two scores that need no network."""
    return (
        f"Ours: {safe_label(setup.dataset)}, {setup.img_size} px, {setup.num_train:,} images to train on and "
        f"{setup.num_held_out:,} held out, {setup.num_classes} classes. **Guessing scores {setup.chance:.1f} %, always "
        f"naming the largest class {setup.largest_class:.1f} %.**"
    )


def paper_sentence(comparison: Comparison) -> str:
    """Where a claim is printed and what it was measured on."""
    about = f"{comparison.table} of {comparison.paper}. {comparison.data}"
    return about + (f", {comparison.num_test_images:,} test images." if comparison.num_test_images else ".")


def error_sentence(comparison: Comparison, rows: Sequence[ComparedRow]) -> str:
    """How much chance is in the paper's scores: one standard error beside the range of the claims; empty without claims."""
    claims = [row.claim.top1 for row in rank_claims(rows)]
    if len(claims) < 2 or not comparison.num_test_images:
        return ""
    error = standard_error(sum(claims) / len(claims), comparison.num_test_images)
    apart = claims[0] - claims[-1]
    weight = "which chance alone may give" if apart < 2 * error else "more than chance gives to equal networks"
    return (
        f"One standard error of a score on {comparison.num_test_images:,} test images is {error:.2f} points. The paper's scores "
        f"lie within {apart:.2f} points of each other, {weight}."
    )


def verdict(rows: Sequence[ComparedRow], setup: Setup | None) -> str:
    """Whether ours agrees with the paper: the two orders, then every step down ours with what seeds change, as a list."""
    ranked, claimed = rank(rows), rank_claims(rows)
    paper = f"the paper's is {_order(claimed, [row.claim.top1 for row in claimed])}" if len(claimed) > 1 else ""
    if len(ranked) < 2 or setup is None:
        waiting = "No two rows have a finished run of ours yet, so there is no order to compare"
        return f"{waiting}; {paper}." if paper else f"{waiting}."
    ours = f"In our runs the order is **{_order(ranked, [row.mean for row in ranked])}**"
    lines = [f"{ours}; {paper}. {_agreement(ranked, claimed)}".strip() if paper else f"{ours}.", ""]
    lines += [f"- {_step(step)}" for step in find_steps(ranked)]
    control = max(setup.largest_class, setup.chance)
    if beaten := [_title(row) for row in ranked if min(row.scores) <= control]:
        lines.append(f"- Not above the largest class with every seed: {', '.join(beaten)}.")
    return "\n".join(lines)


def speed_sentence(claimed: Sequence[PaperRow], measured: Sequence[Throughput]) -> str:
    """What the last row costs against the first, here and in the paper, and whether it is more than the noise."""
    first, last = measured[0], measured[-1]
    here = 1 - last.images_per_second / first.images_per_second
    there = 1 - claimed[-1].images_per_second / claimed[0].images_per_second
    rounds = min(first.num_rounds, last.num_rounds)
    noise = 2 * ((first.spread**2 + last.spread**2) / rounds) ** 0.5 / first.images_per_second
    sentence = (
        f"From {claimed[0].title} to {claimed[-1].title} this machine {'loses' if here >= 0 else 'gains'} {abs(here):.1%} "
        f"({first.images_per_second:.1f} to {last.images_per_second:.1f} images a second); "
        f"the paper claims a loss of {there:.1%}. "
    )
    worst = max(one.spread / one.images_per_second for one in measured)
    if rounds < _FEW:
        return f"{sentence}Only {rounds} rounds fitted into the time: **too few to tell this from noise.**"
    if worst > _STEADY:
        return f"{sentence}**The machine was busy, rounds differ by {worst:.0%}: measure again when it is quiet.**"
    size = "more" if abs(here) > noise else "not more"
    return f"{sentence}Ours is {size} than the noise of {rounds} rounds, {noise:.1%} (two standard errors)."


def score_words(row: ComparedRow) -> str:
    """``61.2 % (60.8 to 61.5)``, or that there is none."""
    if row.mean is None:
        return "no run yet"
    if row.spread is None:
        return f"{row.mean:.2f} %"
    return f"{row.mean:.2f} % ({min(row.scores):.2f} to {max(row.scores):.2f})"


def _order(rows: Sequence[ComparedRow], scores: Sequence[float]) -> str:
    return " > ".join(f"{_title(row)} ({score:.2f} %)" for row, score in zip(rows, scores, strict=True))


def _agreement(ranked: Sequence[ComparedRow], claimed: Sequence[ComparedRow]) -> str:
    shared = [row for row in ranked if row.claim.top1 is not None]
    if len(shared) < 2:
        return ""
    wanted = [row for row in claimed if row.mean is not None]
    same = [row.claim.variant for row in shared] == [row.claim.variant for row in wanted]
    which = "" if len(shared) == len(claimed) == len(ranked) else f" among the {len(shared)} rows that both have"
    return f"**{'The same order' if same else 'Another order'}{which}.**"


def _step(step: Step) -> str:
    words = f"{_title(step.better)} over {_title(step.worse)}: {step.difference:.2f} points"
    if step.spread is None:
        return f"{words}; with one seed what chance adds is not known."
    size = "more than" if step.is_clear else "not more than"
    verdict = "" if step.is_clear else ", so their order is open"
    return f"{words}, {size} the {step.spread:.2f} points that seeds differ by{verdict}."


def _title(row: ComparedRow) -> str:
    return safe_label(row.claim.title)
