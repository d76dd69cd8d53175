"""The sentences of the page that compares: computed from the rows, so that they follow the runs."""

from collections.abc import Sequence

from vitviz.explain.comparison import ComparedRow, Step, find_contrasts, find_steps, rank, rank_claims
from vitviz.explain.comparison_setups import Setup
from vitviz.explain.embedding_costs import Throughput
from vitviz.explain.paper_claims import Comparison, Contrast, PaperRow, standard_error
from vitviz.explain.scoring import Scoring
from vitviz.ui.labels import safe_label
from vitviz.ui.language import say

INTRO = (
    "What a paper claims, beside what the same variants do here. Most runs here are shorter than the paper's, and see fewer and "
    "smaller images, so **compare the order and the differences, not the numbers themselves**."
)
SIZES = (
    "Counted from the models built as printed, at 224 px with 100 classes. A multiply-add is one product and one sum: "
    "fewer parameters do not mean fewer of them."
)
AUTOENCODER_SIZES = (
    "Parameters of encoder, gate and decoder, and how many numbers an image becomes in Z; counted from the models built as "
    "printed, at 32 px in grey. Beside them stands C with one number for every pair of images, 1,440 x 1,440 = 2,073,600, in "
    "every row."
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
VERIFY = (
    "`python -m vitviz runs NAME` prints the scores of any of these runs and the command that makes it again, "
    "with `--json` every record."
)


def setup_sentence(setup: Setup) -> str:
    """What the runs of ours were trained and scored on, with the two scores that need no network."""
    scoring = setup.scoring
    split = scoring.split.format(num_images=setup.num_images, num_train=setup.num_train, num_scored=setup.num_scored)
    controls = scoring.controls.format(chance=setup.chance, largest_class=setup.largest_class)
    return (
        f"Ours: {safe_label(say(setup.dataset))}, {setup.img_size} px, {split}, {setup.num_classes} classes. "
        f"**{controls}**"
    )


def paper_sentence(comparison: Comparison) -> str:
    """Where a claim is printed and what it was measured on."""
    about = f"{comparison.table} of {comparison.paper}. {comparison.data}"
    return about + (f", {comparison.num_test_images:,} test images." if comparison.num_test_images else ".")


def claims_caption(comparison: Comparison) -> str:
    """What the marks of the paper's scores are, and what is known of the chance in them."""
    if not comparison.num_test_images:
        return "Diamonds are the paper's numbers, one a row; how far they scatter over seeds is not known here."
    return (
        "Diamonds are the paper's numbers, one training each; whiskers: one standard error of a score on "
        f"{comparison.num_test_images:,} test images."
    )


def own_caption(scoring: Scoring, *, has_claims: bool) -> str:
    """What the marks of our scores are."""
    dots = f"A dot is one run {scoring.when}, one a seed; the stroke is their mean."
    axes = "Mind that the two axes differ." if has_claims else ""
    return " ".join(part for part in (dots, axes, scoring.score_note) if part)


def curve_caption(scoring: Scoring) -> str:
    """What the lines of the learning curves are."""
    return f"Thin lines are seeds, the thick one is their mean. {scoring.curve_note}".strip()


def error_sentence(comparison: Comparison, rows: Sequence[ComparedRow]) -> str:
    """How much chance is in the paper's scores: one standard error beside the range of the claims; empty without claims."""
    claims = [row.claim.score for row in rank_claims(rows)]
    if len(claims) < 2 or not comparison.num_test_images:
        return ""
    error = standard_error(sum(claims) / len(claims), comparison.num_test_images)
    apart = claims[0] - claims[-1]
    weight = "which chance alone may give" if apart < 2 * error else "more than chance gives to equal networks"
    return (
        f"One standard error of a score on {comparison.num_test_images:,} test images is {error:.2f} points. The paper's scores "
        f"lie within {apart:.2f} points of each other, {weight}."
    )


def verdict(comparison: Comparison, rows: Sequence[ComparedRow], setup: Setup | None) -> str:
    """Whether ours agrees with the paper: the two orders, then a list of differences beside what seeds change.

    The differences are those of the comparison's contrast where it has one, else every step down our order.
    """
    ranked, claimed = rank(rows), rank_claims(rows)
    paper = f"the paper's is {_order(claimed, [row.claim.score for row in claimed])}" if len(claimed) > 1 else ""
    if len(ranked) < 2 or setup is None:
        waiting = "No two rows have a finished run of ours yet, so there is no order to compare"
        return f"{waiting}; {paper}." if paper else f"{waiting}."
    ours = f"In our runs the order is **{_order(ranked, [row.mean for row in ranked])}**"
    lines = [f"{ours}; {paper}. {_agreement(ranked, claimed)}".strip() if paper else f"{ours}.", ""]
    if comparison.contrast is None:
        lines += [f"- {_step(step)}" for step in find_steps(ranked)]
    else:
        lines += _contrast(comparison.contrast, rows)
    control = max((setup.chance, setup.scoring.chance), (setup.largest_class, setup.scoring.largest))
    if beaten := [_title(row) for row in ranked if min(row.scores) <= control[0]]:
        lines.append(f"- Not above {control[1]} with every seed: {', '.join(beaten)}.")
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


def score_words(scores: Sequence[float]) -> str:
    """``61.20 % (60.80 to 61.50)`` of scores in percent, one a seed; ``61.20 %`` of one, or that there is none."""
    if not scores:
        return "no run yet"
    mean = f"{sum(scores) / len(scores):.2f} %"
    return mean if len(scores) == 1 else f"{mean} ({min(scores):.2f} to {max(scores):.2f})"


def _order(rows: Sequence[ComparedRow], scores: Sequence[float]) -> str:
    return " > ".join(f"{_title(row)} ({score:.2f} %)" for row, score in zip(rows, scores, strict=True))


def _agreement(ranked: Sequence[ComparedRow], claimed: Sequence[ComparedRow]) -> str:
    shared = [row for row in ranked if row.claim.score is not None]
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


def _contrast(contrast: Contrast, rows: Sequence[ComparedRow]) -> list[str]:
    """Whether the claim holds over its pairs, and a line a pair."""
    steps = find_contrasts(contrast, rows)
    if not steps:
        return [f"- Whether {contrast.claim} is open: no pair of rows that tells has finished runs of ours yet."]
    gains = sum(step.is_clear and step.difference > 0 for step in steps)
    losses = sum(step.is_clear and step.difference < 0 for step in steps)
    how = {
        gains == len(steps): "is borne out here",
        0 < gains < len(steps): f"is borne out in {gains} of {len(steps)} pairs only",
        gains == 0 and losses > 0: "is not borne out here",
        gains == losses == 0: "is open here",
    }[True]
    rest = len(steps) - gains - losses
    lines = [
        f"- **That {contrast.claim} {how}**: of {len(steps)} pairs {gains} gain more than seeds differ by, {losses} lose more, "
        f"and {rest} cannot be told from chance."
    ]
    return lines + [f"- {_pair(step)}" for step in steps]


def _pair(step: Step) -> str:
    words = f"{_title(step.better)} against {_title(step.worse)}: {step.difference:+.2f} points"
    if step.spread is None:
        words = f"{words}, with one seed and so with an unknown share of chance"
    else:
        words = (
            f"{words}, {'more' if step.is_clear else 'not more'} than the {step.spread:.2f} points that seeds differ by"
        )
    claims = step.better.claim.score, step.worse.claim.score
    return words + ("." if None in claims else f"; the paper claims {claims[0] - claims[1]:+.2f}.")


def _title(row: ComparedRow) -> str:
    return safe_label(say(row.claim.title))
