"""Super-token clustering against its dense form, and the laws it keeps."""

import math
from itertools import product

import pytest
import torch
from torch.nn import functional as F

from vitviz.nn import supertokens
from vitviz.nn.supertokens import KEEP, SuperTokens, cluster_pixels, hard_labels

SIMILARITIES = ("dot", "neg_sq_distance", "cosine")
BORDERS = ("masked", "stvit")
GRADS = ("association_stopped", "full")
SHAPES = [(8, 8, 2), (7, 9, 2), (12, 6, 3), (5, 11, 4), (3, 2, 5), (1, 13, 2), (6, 5, 1), (17, 16, 4)]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def features(*shape: int, seed: int = 1, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64).to(dtype)


def cluster(x: torch.Tensor, **changes) -> SuperTokens:
    return cluster_pixels(x, **{"cell_size": 2, "num_iterations": 3, "bypass_single_pixels": False, **changes})


def similarity_of(pixels: torch.Tensor, tokens: torch.Tensor, kind: str) -> torch.Tensor:
    if kind == "cosine":
        pixels, tokens = F.normalize(pixels, dim=-1), F.normalize(tokens, dim=-1)
    if kind == "neg_sq_distance":
        return -(pixels[:, :, None] - tokens[:, None]).square().sum(dim=-1)
    return pixels @ tokens.mT


def dense(
    x: torch.Tensor, *, cell_size=2, num_iterations=3, similarity="dot", border="masked", grad="full"
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Every pixel against every cell of the grid and of a ring of zeros around it: tokens (B, C, h, w), association, sizes."""
    h, w = -(-x.shape[2] // cell_size), -(-x.shape[3] // cell_size)
    cells = torch.tensor(list(product(range(-1, h + 1), range(-1, w + 1))))
    own = torch.tensor(list(product(range(x.shape[2]), range(x.shape[3])))) // cell_size
    inside = ((cells >= 0) & (cells < torch.tensor([h, w]))).all(dim=-1)
    shut = ((own[:, None] - cells).abs().amax(dim=-1) > 1) | (~inside if border == "masked" else False)
    pixels, q = x.flatten(2).mT, (own[:, None] == cells).all(dim=-1).to(x).expand(len(x), -1, -1)
    tokens = (q / q.sum(dim=1, keepdim=True).clamp(min=1)).mT @ pixels
    for _ in range(num_iterations):
        with torch.set_grad_enabled(grad == "full"):
            logits = similarity_of(pixels, tokens, similarity) / math.sqrt(x.shape[1])
            q = logits.masked_fill(shut, -torch.inf).softmax(dim=-1)
        tokens = inside[:, None] * ((q / q.sum(dim=1, keepdim=True).clamp(min=1e-12)).mT @ pixels)
    at = (own[:, None] + torch.tensor(list(product(range(-1, 2), repeat=2))) + 1) @ torch.tensor([w + 2, 1])
    nine = q.gather(2, at.expand(len(x), -1, -1)).mT.unflatten(2, x.shape[2:])
    return tokens[:, inside].mT.unflatten(2, (h, w)), nine, q.sum(dim=1)[:, inside].unflatten(1, (h, w))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("border", BORDERS)
def test_any_size_equals_the_dense_form(shape, similarity, border):
    height, width, cell_size = shape
    x, chosen = features(3, 5, height, width), {"similarity": similarity, "border": border, "cell_size": cell_size}
    for num_iterations in range(4):
        ours = cluster(x, **chosen, num_iterations=num_iterations, keep=("association", "sizes"))
        tokens, association, sizes = dense(x.double(), **chosen, num_iterations=num_iterations)
        assert torch.allclose(ours.tokens.double(), tokens, atol=1e-5)
        assert torch.allclose(ours.association.double(), association, atol=1e-5)
        assert torch.allclose(ours.sizes.double(), sizes, atol=1e-5)


@pytest.mark.parametrize("grad", GRADS)
@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("num_iterations", [0, 1, 3])
def test_the_gradient_is_that_of_the_dense_form(grad, similarity, border, num_iterations):
    chosen = {"grad": grad, "similarity": similarity, "border": border, "num_iterations": num_iterations}
    ours, theirs = (features(2, 4, 7, 5, dtype=torch.float64).requires_grad_() for _ in range(2))
    direction = features(2, 4, 4, 3, seed=2, dtype=torch.float64)
    cluster(ours, **chosen).tokens.backward(direction)
    dense(theirs, **chosen)[0].backward(direction)
    assert torch.allclose(ours.grad, theirs.grad, atol=1e-10)


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_the_full_gradient_passes_gradcheck(similarity):
    x = features(1, 2, 3, 5, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda y: cluster(y, grad="full", similarity=similarity).tokens, x)


def test_with_the_association_stopped_the_gradient_is_that_of_the_last_weighted_sum():
    x = features(1, 2, 3, 5, dtype=torch.float64)
    shares, (rows, columns) = cluster(x, keep=("association",)).association, (2, 3)

    def weighted_sum(y):
        sums = y.new_zeros(1, 2, rows + 2, columns + 2)
        sizes = y.new_zeros(1, 1, rows + 2, columns + 2)
        for row, column, lane in product(range(3), range(5), range(9)):
            at = (..., row // 2 + lane // 3, column // 2 + lane % 3)
            sums[at] += shares[:, lane, row, column] * y[..., row, column]
            sizes[at] += shares[:, lane, row, column]
        return (sums / sizes.clamp(min=1e-12))[..., 1:-1, 1:-1]

    assert torch.allclose(cluster(x).tokens, weighted_sum(x), atol=1e-10)
    ours = torch.autograd.functional.jacobian(lambda y: cluster(y).tokens, x)
    assert torch.allclose(ours, torch.autograd.functional.jacobian(weighted_sum, x), atol=1e-10)
    assert torch.autograd.gradcheck(weighted_sum, x.requires_grad_())


def test_the_gradient_keeps_the_association_and_the_sizes_only():
    x, kept = features(2, 64, 8, 8).requires_grad_(), []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(tuple(t.shape)) or t, lambda t: t):
        cluster(x)
    assert kept == [(2 * 4, 16, 16), (2, 6, 6, 1)]


@pytest.mark.parametrize("num_iterations", range(5))
@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_rows_sum_to_one_and_nothing_is_lost(num_iterations, similarity):
    x = features(3, 6, 13, 10, dtype=torch.float64)
    out = cluster(x, cell_size=3, num_iterations=num_iterations, similarity=similarity, keep=KEEP)
    assert (out.association >= 0).all()
    assert torch.allclose(out.association.sum(dim=1), torch.ones(3, 13, 10, dtype=torch.float64), atol=1e-6)
    assert torch.allclose(out.sizes.sum(dim=(1, 2)), torch.full((3,), 130.0, dtype=torch.float64))
    assert torch.allclose((out.sizes[:, None] * out.tokens).sum(dim=(2, 3)), x.sum(dim=(2, 3)))


def test_zeros_beyond_the_border_swallow_their_share_as_in_stvit():
    out = cluster(features(2, 4, 8, 8), border="stvit", keep=("association", "sizes"))
    assert torch.allclose(out.association.sum(dim=1), torch.ones(2, 8, 8), atol=1e-6)
    assert (out.sizes.sum(dim=(1, 2)) < 60).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_no_iteration_is_average_pooling_to_the_bit(shape):
    height, width, cell_size = shape
    x = features(3, 5, height, width)
    ours = cluster(x, cell_size=cell_size, num_iterations=0).tokens
    assert torch.equal(ours, F.avg_pool2d(x, cell_size, ceil_mode=True))


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_a_constant_image_stays_constant(similarity):
    color = features(1, 6, 1, 1)
    tokens = cluster(color.expand(2, 6, 11, 8), cell_size=3, similarity=similarity).tokens
    assert torch.allclose(tokens, color.expand_as(tokens), atol=1e-6)


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize(
    "move",
    [
        lambda x: x.flip(2),
        lambda x: x.flip(3),
        lambda x: x.mT,
        lambda x: x[:, [2, 0, 3, 1]],
        lambda x: x[[2, 0, 1]],
    ],
    ids=["flip down", "flip across", "transpose", "channels", "images"],
)
def test_clustering_commutes_with(move, border):
    x = features(3, 4, 10, 14)
    assert torch.allclose(cluster(move(x), border=border).tokens, move(cluster(x, border=border).tokens), atol=1e-5)


def test_where_a_pixel_stands_inside_its_cell_does_not_matter():
    x = features(2, 5, 9, 12)
    cells = F.unfold(x, 3, stride=3)
    order = torch.randperm(9, generator=seeded())
    mixed = F.fold(cells.unflatten(1, (5, 9))[:, :, order].flatten(1, 2), (9, 12), 3, stride=3)
    assert torch.allclose(cluster(x, cell_size=3).tokens, cluster(mixed, cell_size=3).tokens, atol=1e-5)


@pytest.mark.parametrize("num_cells", [1, 2, 3])
@pytest.mark.parametrize("num_iterations", [1, 2])
def test_a_shift_by_whole_cells_shifts_what_is_far_from_the_border(num_cells, num_iterations):
    x, far = features(1, 4, 30, 30), 2 * num_iterations
    whole = cluster(x, num_iterations=num_iterations).tokens[..., num_cells:, num_cells:]
    shifted = cluster(x[..., 2 * num_cells :, 2 * num_cells :], num_iterations=num_iterations).tokens
    inner = (..., slice(far, -far), slice(far, -far))
    assert torch.allclose(shifted[inner], whole[inner], atol=1e-5)
    assert not torch.allclose(shifted, whole, atol=1e-5)


def test_distances_do_not_see_a_common_offset():
    x, offset = features(2, 4, 8, 10, dtype=torch.float64), 5 * features(1, 4, 1, 1, seed=3, dtype=torch.float64)
    plain = cluster(x, similarity="neg_sq_distance").tokens
    assert torch.allclose(cluster(x + offset, similarity="neg_sq_distance").tokens, plain + offset, atol=1e-9)


def test_what_lies_beyond_the_image_in_memory_has_no_effect():
    framed = torch.full((2, 4, 12, 12), torch.nan)
    framed[..., 1:8, 2:11] = features(2, 4, 7, 9)
    assert torch.equal(cluster(framed[..., 1:8, 2:11]).tokens, cluster(features(2, 4, 7, 9)).tokens)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("grad", GRADS)
def test_large_features_stay_finite(dtype, similarity, grad):
    x = (features(2, 16, 12, 12) * 1000).to(dtype).requires_grad_()
    tokens = cluster(x, similarity=similarity, grad=grad).tokens
    tokens.float().sum().backward()
    assert tokens.dtype == dtype and x.grad.dtype == dtype
    assert tokens.isfinite().all() and x.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_sixteen_bits_cost_rounding_only(dtype):
    x = features(2, 16, 12, 12).to(dtype)
    assert torch.equal(cluster(x).tokens, cluster(x.float()).tokens.to(dtype))


def test_autocast_changes_nothing():
    plain, cast = (features(2, 16, 8, 8).requires_grad_() for _ in range(2))
    cluster(plain).tokens.square().sum().backward()
    with torch.autocast("cpu", torch.bfloat16):
        cluster(cast).tokens.square().sum().backward()
    assert torch.equal(plain.grad, cast.grad)


def test_chunks_change_nothing(monkeypatch):
    whole, parts = (features(7, 5, 6, 9).requires_grad_() for _ in range(2))
    together = cluster(whole, keep=KEEP)
    monkeypatch.setattr(supertokens, "_CHUNK_BYTES", 2 * 4 * 5 * 6 * 9)
    apart = cluster(parts, keep=KEEP)
    for name in ("tokens", "association", "sizes"):
        assert torch.allclose(getattr(together, name), getattr(apart, name), atol=1e-6)
    assert [step.tokens.shape for step in apart.history] == [(7, 5, 3, 5)] * 4
    for out in (together, apart):
        out.tokens.square().sum().backward()
    assert torch.allclose(whole.grad, parts.grad, atol=1e-5)


def test_the_history_is_what_fewer_iterations_give():
    x = features(2, 4, 8, 6)
    history = cluster(x, num_iterations=4, keep=KEEP).history
    assert len(history) == 5
    for num_iterations, step in enumerate(history):
        alone = cluster(x, num_iterations=num_iterations, keep=KEEP)
        assert torch.equal(step.tokens, alone.tokens)
        assert torch.equal(step.association, alone.association) and torch.equal(step.sizes, alone.sizes)


@pytest.mark.parametrize("border", BORDERS)
def test_a_hard_label_is_the_cell_with_the_largest_share(border):
    x = features(2, 4, 7, 9) * 3
    association = cluster(x, border=border, keep=("association",)).association
    labels = hard_labels(association, cell_size=2)
    assert labels.dtype == torch.int64 and labels.shape == (2, 7, 9) and labels.min() >= 0 and labels.max() < 4 * 5
    own = torch.arange(7)[:, None] // 2 * 5 + torch.arange(9) // 2
    offsets = torch.tensor([row * 5 + column for row, column in product(range(-1, 2), repeat=2)])
    best = association[..., 2:5, 2:7].argmax(dim=1)  # away from the border, where every one of the 9 is inside
    assert torch.equal(labels[..., 2:5, 2:7], (own[2:5, 2:7] + offsets[best]))
    start = cluster(x, border=border, num_iterations=0, keep=("association",)).association
    assert torch.equal(hard_labels(start, cell_size=2), own.expand(2, -1, -1))


def test_cells_of_one_pixel_are_passed_through_unless_asked_otherwise():
    x = features(2, 4, 5, 6)
    assert torch.equal(cluster_pixels(x, cell_size=1, num_iterations=3).tokens, x)
    assert not torch.allclose(cluster(x, cell_size=1).tokens, x, atol=1e-2)


@pytest.mark.parametrize("keep", [(), *((name,) for name in KEEP), KEEP])
def test_a_field_that_was_not_asked_for_is_none(keep):
    out = cluster(features(1, 3, 4, 4), keep=keep)
    assert {name for name in KEEP if getattr(out, name) is not None} == set(keep)


def test_channels_last_and_no_images_are_welcome():
    x = features(3, 4, 8, 6)
    assert torch.allclose(cluster(x.to(memory_format=torch.channels_last)).tokens, cluster(x).tokens, atol=1e-6)
    assert cluster(x[:0]).tokens.shape == (0, 4, 4, 3)


@pytest.mark.parametrize(
    ("shape", "changes", "rule"),
    [
        ((4, 8, 8), {}, r"features of shape \(4, 8, 8\)"),
        ((1, 4, 0, 8), {}, r"features of shape \(1, 4, 0, 8\)"),
        ((1, 4, 8, 8), {"cell_size": 0}, "cell_size=0 must be at least 1"),
        ((1, 4, 8, 8), {"num_iterations": -1}, "num_iterations=-1 at least 0"),
        ((1, 4, 8, 8), {"similarity": "l2"}, "similarity='l2' must be one of dot, neg_sq_distance, cosine"),
        ((1, 4, 8, 8), {"border": "zeros"}, "border='zeros' must be one of masked, stvit"),
        ((1, 4, 8, 8), {"grad": "none"}, "grad='none' must be one of association_stopped, full"),
        ((1, 4, 8, 8), {"keep": ("labels",)}, "labels"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_rule(shape, changes, rule):
    with pytest.raises(ValueError, match=rule):
        cluster(features(*shape), **changes)
