"""From names in a file to a model's parameters: every wrapping is found, what does not fit is told, nothing is guessed."""

from collections import OrderedDict

import pytest
import torch
from torch import nn

from vitviz.errors import Problem
from vitviz.explain.timm_names import import_timm
from vitviz.explain.weight_keys import FilePart, find_parts, fit_weights, lacking_in, load_fit


def toy() -> nn.Module:
    parts = {"norm": nn.LayerNorm(3), "blocks": nn.Sequential(nn.Linear(3, 3)), "head": nn.Linear(3, 2)}
    return nn.Sequential(OrderedDict(parts)).requires_grad_(False)


def numbered(model: nn.Module, start: float = 0) -> dict[str, torch.Tensor]:
    """Tensors of the model's shapes, each of one number of its own."""
    return {key: torch.full_like(value, start + at) for at, (key, value) in enumerate(model.state_dict().items())}


def under(part: str, tensors: dict) -> dict:
    return {part + key: value for key, value in tensors.items()}


@pytest.mark.parametrize(
    "part", ["", "module.", "state_dict.", "model.module.", "teacher.backbone.", "_orig_mod.encoder.", "what.ever.x."]
)
def test_the_tensors_are_found_however_they_are_wrapped(part):
    model = toy()
    tensors = numbered(model, 5)
    fit = fit_weights(model, under(part, tensors))
    load_fit(model, fit)
    assert all(torch.equal(value, tensors[key]) for key, value in model.state_dict().items())
    assert fit.keys.part == part and set(fit.keys.loaded) == set(tensors)
    assert fit.keys.missing == fit.keys.unexpected == fit.keys.reshaped == fit.lacking == ()


def test_choosing_what_fits_leaves_the_model_as_it_is():
    model = toy()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    fit_weights(model, numbered(model, 5))
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize("better", ["teacher.", "model_ema.", "state_dict_ema."])
def test_of_two_parts_that_fit_alike_the_averaged_one_is_taken(better):
    model = toy()
    tensors = under("a.", numbered(model)) | under(better, numbered(model, 9)) | under("student.", numbered(model))
    keys = fit_weights(model, tensors).keys
    assert keys.part == better and keys.num_elsewhere == 2 * len(numbered(model))
    assert set(keys.parts) == {FilePart(name, 6) for name in ("a.", better, "student.")}


def test_the_part_with_more_that_fits_is_taken_whatever_its_name():
    model = toy()
    partial = {key: value for key, value in numbered(model).items() if key != "norm.weight"}
    found = find_parts(model.state_dict(), under("teacher.", partial) | under("student.", numbered(model)))
    assert found == [FilePart("student.", 6), FilePart("teacher.", 5)]


def test_a_name_that_ends_alike_somewhere_is_no_part():
    model = toy()
    tensors = numbered(model) | {"decoder.norm.weight": torch.ones(3)}
    assert find_parts(model.state_dict(), tensors) == [FilePart("", 6)]


@pytest.mark.parametrize("wanted", ["student", "student.", "student.backbone"])
def test_the_caller_chooses_a_part(wanted):
    model = toy()
    tensors = under("teacher.backbone.", numbered(model)) | under("student.backbone.", numbered(model, 9))
    fit = fit_weights(model, tensors, part=wanted)
    assert fit.keys.part == "student.backbone."
    assert fit.tensors["norm.weight"][0] == 9


def test_a_part_that_is_not_there_is_answered_with_those_that_are():
    model = toy()
    with pytest.raises(Problem, match="no part 'stud': its names begin with student, teacher"):
        fit_weights(model, under("teacher.", numbered(model)) | under("student.", numbered(model)), part="stud")


def test_what_lacks_is_left_over_or_has_another_shape_is_told():
    model = toy()
    tensors = numbered(model) | {"decoder.weight": torch.ones(1), "head.weight": torch.ones(5, 3)}
    del tensors["blocks.0.bias"]
    fit = fit_weights(model, under("m.", tensors) | {"step": torch.tensor(1)})
    keys = fit.keys
    assert keys.missing == ("blocks.0.bias",) and keys.unexpected == ("decoder.weight",)
    assert keys.reshaped == ("head.weight",) and keys.num_elsewhere == 1
    assert fit.lacking == ("blocks.0.bias",)  # the head may be another
    assert keys.sentence() == (
        "4 tensors loaded from 'm', 1 missing (blocks.0.bias), 1 left over (decoder.weight), "
        "1 of another shape (head.weight), 1 in other parts of the file."
    )
    assert keys.rows()[:3] == (
        ("head.weight", "another shape"),
        ("blocks.0.bias", "missing in the file"),
        ("decoder.weight", "left over in the file"),
    )
    assert len(keys.rows()) == 7 and all(what == "loaded" for _, what in keys.rows()[3:])


def test_a_file_of_something_else_fits_nowhere():
    model = toy()
    fit = fit_weights(model, {"conv1.weight": torch.ones(2)})
    assert fit.keys.parts == (FilePart("", 0),) and fit.tensors == {}
    assert fit.lacking == ("norm.weight", "norm.bias", "blocks.0.weight", "blocks.0.bias")
    assert lacking_in(model.state_dict(), numbered(model)) == ()


def test_whole_numbers_are_no_weights():
    model = toy()
    tensors = numbered(model) | {"blocks.0.weight": torch.ones(3, 3, dtype=torch.int8)}
    with pytest.raises(Problem, match=r"'blocks.0.weight' holds int8, not floating-point numbers"):
        fit_weights(model, tensors)


@pytest.mark.parametrize("bad", [torch.tensor(torch.nan), torch.tensor(-torch.inf), torch.tensor(1e300).double()])
def test_numbers_that_are_not_or_do_not_stay_finite_are_refused(bad):
    model = toy()
    tensors = numbered(model) | {"norm.weight": bad.expand(3).clone().double() * 1.0}
    if bad.dtype == torch.float64:
        tensors["norm.weight"] = torch.full((3,), 1e300, dtype=torch.float64)
    with pytest.raises(Problem, match=r"some numbers of 'norm.weight' are NaN or infinite"):
        load_fit(model, fit_weights(model, tensors))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_the_model_s_own(dtype):
    model = toy()
    load_fit(model, fit_weights(model, {key: value.to(dtype) for key, value in numbered(model, 3).items()}))
    assert {value.dtype for value in model.state_dict().values()} == {torch.float32}
    assert all(torch.equal(value, numbered(model, 3)[key]) for key, value in model.state_dict().items())


def small_vit(img_size: int, patch_size: int = 8) -> nn.Module:
    import_timm()
    from timm.models.vision_transformer import VisionTransformer

    sizes = {"embed_dim": 12, "depth": 1, "num_heads": 2, "num_classes": 3}
    return VisionTransformer(img_size=img_size, patch_size=patch_size, **sizes).requires_grad_(False)


def test_position_embeddings_of_another_grid_are_resampled_as_timm_does_and_that_is_said():
    model, other = small_vit(64), small_vit(32)
    tensors = other.state_dict()
    fit = fit_weights(model, under("teacher.module.", tensors))
    from timm.layers import resample_abs_pos_embed

    wanted = resample_abs_pos_embed(tensors["pos_embed"], new_size=(8, 8), num_prefix_tokens=1)
    assert torch.allclose(fit.tensors["pos_embed"], wanted, atol=1e-6)
    assert fit.keys.resampled == ("pos_embed",) and fit.lacking == () and fit.keys.reshaped == ()
    assert "1 of them resampled (pos_embed)" in fit.keys.sentence()
    assert ("pos_embed", "loaded, resampled") in fit.keys.rows()


@pytest.mark.filterwarnings("ignore:.*searchsorted:UserWarning", "ignore:Using a non-tuple sequence:UserWarning")
def test_relative_positions_of_another_window_are_resampled_and_that_is_said():
    import_timm()
    from timm.models.beit import Beit

    def beit(img_size: int) -> nn.Module:
        sizes = {"embed_dim": 12, "depth": 1, "num_heads": 2, "num_classes": 3, "use_rel_pos_bias": True}
        return Beit(img_size=img_size, patch_size=8, **sizes).requires_grad_(False)

    name, small = "blocks.0.attn.relative_position_bias_table", beit(32)
    offsets = torch.tensor([[10.0 * y + x for x in range(-3, 4)] for y in range(-3, 4)])  # of 4 x 4 tokens, 3 for CLS
    table = torch.cat([offsets.flatten(), torch.tensor([91.0, 92.0, 93.0])])[:, None].expand(-1, 2).clone()
    fit = fit_weights(beit(64), small.state_dict() | {name: table})
    assert set(fit.keys.resampled) == {name, "pos_embed"} and fit.lacking == ()
    found = fit.tensors[name][:, 0]
    assert found[-3:].tolist() == [91, 92, 93]
    assert torch.allclose(found[:225].reshape(15, 15)[::7, ::7], offsets[::3, ::3], atol=1e-4)


def test_patches_of_another_size_are_another_model_and_not_resampled():
    model, other = small_vit(64, 16), small_vit(32, 8)
    fit = fit_weights(model, other.state_dict())
    assert fit.lacking == ("patch_embed.proj.weight",) and fit.keys.resampled == ()


def test_names_of_other_codes_are_converted_as_timm_does():
    model = small_vit(32)
    own = {key: torch.full_like(value, at + 1) for at, (key, value) in enumerate(model.state_dict().items())}
    theirs = {key.replace("blocks.0.attn.proj", "blocks.0.attn.out"): value for key, value in own.items()}
    assert fit_weights(model, theirs).lacking == ("blocks.0.attn.proj.weight", "blocks.0.attn.proj.bias")
    trunk = under("visual.trunk.", own) | {"text.weight": torch.ones(2), "pre_logits.fc.weight": torch.ones(2)}
    fit = fit_weights(
        model, {key: value.flatten(1) if key.endswith("embed.proj.weight") else value for key, value in trunk.items()}
    )
    assert fit.lacking == () and fit.tensors["patch_embed.proj.weight"].shape == (12, 3, 8, 8)
    assert fit.keys.part == "visual.trunk." and fit.keys.num_elsewhere == 2


def test_what_makes_the_converter_stumble_is_no_fit_but_no_error_either():
    model = small_vit(32)
    broken = model.state_dict() | {"pos_embed": torch.zeros(7)}
    fit = fit_weights(model, broken)
    assert fit.lacking == ("pos_embed",) and fit.keys.reshaped == ("pos_embed",)


def test_a_converter_that_knows_the_beginnings_of_another_code_sees_the_whole_file():
    model = small_vit(32)
    names = {
        "radio_model.model.patch_generator.embedder.weight": torch.ones(12, 3 * 8 * 8),
        "radio_model.model.patch_generator.pos_embed": torch.ones(1, 128 * 128, 12),
        "radio_model.model.patch_generator.cls_token.token": torch.ones(1, 12),
    }
    fit = fit_weights(model, {**names, "other.norm.weight": torch.ones(12)})
    assert {"patch_embed.proj.weight", "cls_token"} <= set(fit.keys.loaded)
    assert fit.keys.part == "" and fit.keys.num_elsewhere == 0
