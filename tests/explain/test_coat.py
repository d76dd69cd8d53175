"""What a CoaT clusters in one picture: maps, colours and attention are those of the model, padding left out."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from vitviz.errors import Problem
from vitviz.explain import coat
from vitviz.explain.coat import CoatLook, at_picture, kept_bytes, look, prototype_attention, tone_map
from vitviz.explain.coat_input import AS_TRAINED, IMAGENET, Preprocessing, to_input
from vitviz.nn.coat import CoaT, init_weights
from vitviz.nn.coat_block import UNCLUSTERED, Clustering
from vitviz.nn.query_groups import Grouping
from vitviz.nn.query_prototypes import mix_factorised, mix_softmax

SMALL = {
    "patch_size": 2,
    "num_classes": 7,
    "embed_dims": (16, 24, 32, 40),
    "serial_depths": (2, 1, 1, 1),
    "mlp_ratios": (2, 2, 2, 2),
}
FEED = replace(AS_TRAINED, img_size=20)
SINGLETONS = Clustering(
    attention=("factorised", "softmax", "unclustered", "unclustered"), grouping=Grouping(r_rel=1e-5)
)


def small() -> CoaT:
    model = init_weights(CoaT(**SMALL), torch.Generator().manual_seed(0))
    for name, parameter in model.named_parameters():
        if "qkv" in name:
            parameter.data.mul_(30)
    return model.eval()


def photo(height: int = 60, width: int = 70) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / 7 + y / 11), np.cos(y / 5 - x / 17), np.sin(x * y / 400)]
    return np.rint(127.5 + 120 * np.stack(waves, axis=-1)).astype(np.uint8)


@pytest.fixture(scope="module")
def model() -> CoaT:
    return small()


@pytest.fixture(scope="module")
def seen(model) -> CoatLook:
    kinds = ("factorised", "softmax", "unclustered", "unclustered")
    return look(model, photo(), Clustering(attention=kinds, mlp_stages=(1, 3)), preprocessing=FEED)


def test_the_blocks_that_cluster_are_there_with_what_they_cluster(seen):
    assert [block.name for block in seen.blocks] == [
        "stage 1, block 1",
        "stage 1, block 2",
        "stage 2, block 1",
        "stage 3, block 1",
    ]
    assert [block.kind for block in seen.blocks] == ["factorised", "factorised", "softmax", "unclustered"]
    assert [block.queries is not None for block in seen.blocks] == [True, True, True, False]
    assert [block.tokens is not None for block in seen.blocks] == [True, True, False, True]
    assert [block.qkv is not None for block in seen.blocks] == [True, True, True, False]
    assert look(small(), photo(), UNCLUSTERED, preprocessing=FEED).blocks == ()


def test_maps_are_the_model_s_with_the_tokens_on_padding_cut_away(model, seen):
    assert (
        seen.fed.shape == (20, 24, 3)
        and "fed 24 x 20 px" in seen.recipe
        and "padded with zeros to 32 x 32" in seen.recipe
    )
    with torch.no_grad():
        images = to_input(model, seen.fed[None], FEED)
        blocks = model(images, keep=("groups", "prototypes", "qkv", "mlp_groups"), clustering=seen.clustering).blocks
    for ours, theirs in zip(seen.blocks, blocks[:4], strict=True):
        assert ours.grid == theirs.grid and ours.shown == (-(-20 // ours.stride), 24 // ours.stride)
        for groups, found in ((ours.queries, theirs.groups), (ours.tokens, theirs.mlp_groups)):
            if groups is None:
                continue
            ids = found.ids[0].unflatten(1, theirs.grid)[:, : ours.shown[0], : ours.shown[1]]
            assert groups.ids.dtype == np.int32 and np.array_equal(groups.ids, ids)
            assert np.array_equal(groups.sizes, found.sizes[0]) and np.array_equal(groups.counts, found.counts[0])
        if ours.queries is not None:
            assert np.allclose(ours.prototypes, theirs.prototypes[0])
            assert all(np.allclose(part, of[0]) for part, of in zip(ours.qkv, theirs.qkv, strict=True))


def test_tones_lie_in_order_along_the_first_principal_component(seen):
    for block in seen.blocks[:3]:
        for head, tones in enumerate(block.queries.tones):
            used = block.queries.sizes[head] > 0
            assert np.array_equal(np.isnan(tones), ~used)
            assert tones[used].min() > 0 and tones[used].max() < 1
            points, sizes = block.prototypes[head, 1:][used], block.queries.sizes[head][used]
            members = np.repeat(points, sizes, axis=0)
            _, _, axes = np.linalg.svd(members - members.mean(axis=0), full_matrices=False)
            along = (points - members.mean(axis=0)) @ axes[0]
            along *= np.sign(axes[0][np.abs(axes[0]).argmax()])
            order = np.argsort(along)
            assert np.all(np.diff(tones[used][order]) > -1e-6)
            assert np.average(tones[used], weights=sizes) == pytest.approx(0.5, abs=1e-5)
            shown = tone_map(block.queries, head)
            assert shown.shape == block.shown and not np.isnan(shown).any()


def test_the_tones_of_the_clustered_mlp_are_there_for_every_token(seen):
    for block in (seen.blocks[0], seen.blocks[3]):
        assert block.tokens.ids.shape == (1, *block.shown)
        assert not np.isnan(tone_map(block.tokens, 0)).any()
        assert block.tokens.sizes.sum() == block.grid[0] * block.grid[1]


def test_a_picture_of_one_colour_has_one_tone():
    grey = look(small(), np.full((16, 16, 3), 127, np.uint8), preprocessing=replace(FEED, img_size=16))
    for block in grey.blocks:
        assert np.isfinite(tone_map(block.queries, 0)).all()


def test_each_picture_pixel_takes_the_token_it_lies_in(seen):
    for block in seen.blocks:
        values = np.arange(np.prod(block.shown)).reshape(block.shown)
        shown = at_picture(block, np.stack([values, -values]), 20, 24)
        assert shown.shape == (2, 20, 24)
        for y, x in ((0, 0), (19, 23), (7, 13)):
            assert shown[0, y, x] == values[y // block.stride, x // block.stride] == -shown[1, y, x]


@pytest.mark.parametrize("kind", ["softmax", "factorised"])
@pytest.mark.parametrize("block", [0, 2])
def test_weights_mix_the_values_into_what_the_cores_give(seen, kind, block):
    chosen = seen.blocks[block]
    queries, keys, values = (torch.from_numpy(part)[None] for part in chosen.qkv)
    exact = (mix_softmax if kind == "softmax" else mix_factorised)(queries, keys, values)[0]
    asked = torch.from_numpy(chosen.prototypes)[None]
    clustered = (mix_softmax if kind == "softmax" else mix_factorised)(asked, keys, values)[0]
    for head, (x, y) in enumerate([(0.0, 0.0), (0.99, 0.99), (0.3, 0.6), (1.0, 1.0)]):
        found = prototype_attention(seen, block, head, x, y, kind=kind)
        place = 1 + found.row * chosen.grid[1] + found.column
        off = (clustered[head, 1 + found.group] - exact[head, place]).norm() / exact[head, place].norm()
        assert found.output_error == pytest.approx(float(off), rel=1e-3, abs=1e-5)
        assert found.exact.shape == found.clustered.shape == found.members.shape == found.grid == chosen.shown
        assert chosen.queries.ids[head, found.row, found.column] == found.group
        assert found.members[found.row, found.column] and found.members.sum() <= found.size
        if kind == "softmax":
            assert found.exact.min() >= 0 and found.exact.sum() + found.cls_exact <= 1 + 1e-5
            assert 0 <= found.moved <= 1
        else:
            assert found.moved is None


@pytest.mark.parametrize("kind", ["softmax", "factorised"])
def test_maps_of_weights_lie_where_the_keys_lie(seen, kind):
    chosen = seen.blocks[2]
    queries, keys, _ = (part[1].astype(np.float64) for part in chosen.qkv)
    found = prototype_attention(seen, 2, 1, 0.5, 0.5, kind=kind)
    place, width = 1 + found.row * chosen.grid[1] + found.column, queries.shape[1] ** -0.5
    if kind == "softmax":
        weights = np.exp(keys @ queries[place] * width)
        weights /= weights.sum()
    else:
        weights = np.exp(keys) / np.exp(keys).sum(axis=0) @ queries[place] * width
    rows, columns = chosen.shown
    assert found.exact == pytest.approx(weights[1:].reshape(chosen.grid)[:rows, :columns], rel=1e-4, abs=1e-6)
    assert found.cls_exact == pytest.approx(weights[0], rel=1e-4)


def test_a_query_by_itself_is_its_own_prototype_and_one_among_many_is_not(model, seen):
    alone = look(model, photo(), SINGLETONS, preprocessing=FEED)
    for kind in ("softmax", "factorised"):
        same = prototype_attention(alone, 0, 3, 0.4, 0.4, kind=kind)
        assert (same.weight_error, same.output_error, same.size) == (0, 0, 1)
        assert np.array_equal(same.exact, same.clustered)
        errors = [prototype_attention(seen, 0, head, 0.4, 0.4, kind=kind).weight_error for head in range(8)]
        assert max(errors) > 0.01


def test_places_outside_are_the_nearest_token(seen):
    inside, outside = (prototype_attention(seen, 0, 0, *at) for at in ((0.999, 0.999), (7.0, 7.0)))
    assert (inside.row, inside.column) == (outside.row, outside.column) == (9, 11)
    below = prototype_attention(seen, 0, 0, -1.0, -1.0)
    assert (below.row, below.column) == (0, 0)
    assert below.kind == "factorised" and prototype_attention(seen, 2, 0, 0.5, 0.5).kind == "softmax"


def test_the_last_token_may_reach_beyond_the_picture(model):
    seen = look(model, photo(), preprocessing=replace(FEED, img_size=21))
    assert seen.fed.shape[0] == 21 and seen.blocks[2].shown[0] == 6 and seen.blocks[2].stride == 4
    for y in (0.0, 0.5, 0.85, 0.99):
        assert prototype_attention(seen, 2, 0, 0.5, y).row == int(21 * y) // 4


def test_what_is_not_there_is_named(seen):
    with pytest.raises(Problem, match="stage 3, block 1 does not cluster its queries: its attention is unclustered"):
        prototype_attention(seen, 3, 0, 0.5, 0.5)
    with pytest.raises(Problem, match=r"kind='softmax' and head=8 must be of softmax, factorised and 0\.\.7"):
        prototype_attention(seen, 0, 8, 0.5, 0.5, kind="softmax")
    with pytest.raises(Problem, match="kind='full softmax'"):
        prototype_attention(seen, 0, 0, 0.5, 0.5, kind="full softmax")


def test_the_bytes_kept_are_those_foretold_and_too_many_are_refused(model, seen, monkeypatch):
    foretold = kept_bytes(model, *seen.fed.shape[:2], seen.clustering)
    assert sum(part.nbytes for block in seen.blocks if block.qkv for part in block.qkv) == foretold
    monkeypatch.setattr(coat, "MAX_BYTES", foretold - 1)
    with pytest.raises(Problem, match="the picture is too large for this model: fed at 24 x 20 px"):
        look(model, photo(), seen.clustering, preprocessing=FEED)


def test_looking_changes_nothing_of_the_model(model, seen):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    settings = model.clustering
    look(model, photo(), SINGLETONS, preprocessing=FEED)
    assert model.clustering is settings and all(
        torch.equal(value, before[name]) for name, value in model.state_dict().items()
    )


def test_images_are_scaled_as_runs_are_trained_and_as_timm_does(model):
    images = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3), np.uint8)
    shares = torch.from_numpy(images).permute(0, 3, 1, 2) / 255
    assert torch.allclose(to_input(model, images, AS_TRAINED), shares * 2 - 1, atol=1e-6)
    mean, std = (torch.tensor(of)[:, None, None] for of in (IMAGENET.mean, IMAGENET.std))
    assert torch.allclose(to_input(model, images, IMAGENET), (shares - mean) / std, atol=1e-5)


def test_the_recipe_names_size_and_scale(model):
    square = look(model, photo(32, 32), preprocessing=Preprocessing("by hand", img_size=32))
    assert square.recipe == "fed 32 x 32 px (bicubic, whole); by hand"
