"""Finding a vision transformer of timm by words, and the weights that are published for it; all of it offline."""

import pytest

from vitviz.errors import Problem
from vitviz.explain.model_hub import HubModel
from vitviz.explain.timm_names import check_name, find_published, list_models, list_pretrained, list_timm_vits


def test_every_family_with_attention_is_there_and_no_other():
    names = list_models()
    families = """vit_tiny_patch16_224 deit_tiny_distilled_patch16_224 deit3_small_patch16_224 eva02_tiny_patch14_224
        beit_base_patch16_224 vit_relpos_small_patch16_224 swin_tiny_patch4_window7_224 swinv2_tiny_window8_256
        cait_xxs24_224 xcit_nano_12_p16_224 hiera_tiny_224 pvt_v2_b0 vitamin_small_224 vit_small_patch14_reg4_dinov2"""
    assert set(families.split()) <= set(names) and len(set(names)) == len(names)
    assert not [name for name in names if name.startswith(("resnet", "convnext", "mixer", "levit"))]
    assert "vit_base_patch16_sapiens2" not in names  # its pictures are no squares


def test_plain_vits_are_those_with_tokens_after_every_block():
    names = list_timm_vits()
    assert {"test_vit", "vit_tiny_patch16_224", "deit_tiny_patch16_224", "beit_base_patch16_224"} <= set(names)
    assert not [name for name in names if name.startswith(("resnet", "swin", "convnext"))]
    assert names == sorted(set(names)) and set(names) < set(list_models())
    assert list_timm_vits("deit") == [name for name in names if name.startswith("deit")]


def test_the_very_name_comes_first_then_what_begins_so_then_what_holds_it():
    assert list_models("vit_tiny_patch16_224")[0] == "vit_tiny_patch16_224"
    begins = [name.startswith("vit") for name in list_models("vit base")]
    assert begins == sorted(begins, reverse=True) and True in begins and False in begins
    assert list_models("deit tiny") == ["deit_tiny_patch16_224", "deit_tiny_distilled_patch16_224"]
    lengths = [len(name) for name in list_models("swin_tiny")]
    assert lengths == sorted(lengths)


def test_every_word_must_occur_in_any_order_and_case():
    assert set(list_models("REG4 Small")) == set(list_models("small reg4")) != set()
    assert all("reg4" in name and "small" in name for name in list_models("small reg4"))
    assert list_models("small nosuchword") == []


def test_words_of_published_weights_are_found_after_those_of_names():
    found = list_models("tiny augreg")
    assert "vit_tiny_patch16_224" in found and not any("augreg" in name for name in found)
    held = ["clip" in name for name in list_models("clip")]
    assert held == sorted(held, reverse=True) and True in held and False in held


def test_tags_are_those_that_timm_can_fetch():
    assert list_pretrained("vit_tiny_patch16_224") == ("augreg_in21k", "augreg_in21k_ft_in1k")
    assert list_pretrained("no_such_model") == ()


def test_where_weights_are_published():
    place, files = find_published("vit_tiny_patch16_224.augreg_in21k")
    assert place == HubModel("timm/vit_tiny_patch16_224.augreg_in21k")
    assert files == ("model.safetensors", "pytorch_model.bin")
    default, _ = find_published("vit_tiny_patch16_224")
    assert default == HubModel("timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k")
    with pytest.raises(Problem, match="no weights are published for swinv2_cr_base_224 alone: its tags are: none"):
        find_published("swinv2_cr_base_224")


@pytest.mark.parametrize("name", ["vit_tiny_patch16_225", "resnet18", "", "hf-hub:a/b", "../x"])
def test_an_unknown_name_is_a_problem(name):
    with pytest.raises(Problem, match="timm has no ViT named"):
        check_name(name, list_models())


def test_a_name_or_tag_that_is_not_there_is_answered_with_those_that_are():
    with pytest.raises(Problem, match="did you mean 'vit_tiny_patch16_224'"):
        check_name("vit_tiny_patch16_2244", list_models())
    with pytest.raises(Problem, match="'dino' are published for vit_tiny_patch16_224: those there are: augreg_in21k, "):
        check_name("vit_tiny_patch16_224.dino", list_models())
    check_name("vit_tiny_patch16_224.augreg_in21k", list_models())
