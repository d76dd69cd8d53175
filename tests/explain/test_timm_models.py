"""Vision transformers of timm by name: untrained and said so, or with weights that fit; the network only when asked."""

import hashlib
import io
import json
import socket
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save

from vitviz.errors import Problem
from vitviz.explain.preprocessing import IMAGENET, prepare
from vitviz.explain.timm_models import load_model_by_name, load_timm
from vitviz.explain.timm_names import import_timm

NAME = "test_vit"
DINO = "vit_small_patch16_224.dino"


@pytest.fixture(scope="module")
def tensors() -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in load_timm(NAME, seed=7).model.state_dict().items()}


def same(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    theirs = second.state_dict()
    return all(torch.equal(value, theirs[key]) for key, value in first.state_dict().items())


def test_an_untrained_model_is_called_untrained_and_is_a_function_of_its_seed():
    first, again, other = load_timm(NAME), load_timm(NAME), load_timm(NAME, seed=1)
    assert "untrained" in first.label and NAME in first.label
    assert first.keys is None and not first.model.training
    assert same(first.model, again.model)
    assert not same(first.model, other.model)


def test_loading_a_model_leaves_the_global_randomness_as_it_was():
    before = torch.get_rng_state()
    load_timm(NAME)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("from_file", [False, True])
def test_weights_of_one_s_own_arrive(tensors, tmp_path, from_file):
    content = save(tensors)
    (tmp_path / "own.safetensors").write_bytes(content)
    loaded = load_timm(NAME, weights=tmp_path / "own.safetensors" if from_file else content)
    assert all(torch.equal(value, tensors[key]) for key, value in loaded.model.state_dict().items())
    assert set(loaded.keys.loaded) == set(tensors)
    assert loaded.keys.missing == loaded.keys.unexpected == loaded.keys.reshaped == ()
    assert "weights of your own" in loaded.label and "untrained" not in loaded.label


def test_weights_in_half_precision_become_single(tensors):
    loaded = load_timm(NAME, weights=save({key: value.half() for key, value in tensors.items()}))
    assert {parameter.dtype for parameter in loaded.model.parameters()} == {torch.float32}


def test_what_the_classifier_lacks_and_what_is_left_over_is_reported(tensors):
    given = {key: value for key, value in tensors.items() if key != "head.bias"}
    given |= {"head.weight": torch.zeros(2, 2), "decoder.weight": torch.zeros(3)}
    keys = load_timm(NAME, weights=save(given)).keys
    assert keys.missing == ("head.bias",)
    assert keys.reshaped == ("head.weight",)
    assert keys.unexpected == ("decoder.weight",)
    assert set(keys.loaded) == set(tensors) - {"head.bias", "head.weight"}


@pytest.mark.parametrize("broken", ["missing", "reshaped", "another model"])
def test_weights_that_do_not_fit_are_refused(tensors, broken):
    given = {key: value for key, value in tensors.items() if key != "norm.weight"}
    if broken == "reshaped":
        given["norm.weight"] = torch.ones(3)
    if broken == "another model":
        given = {"conv1.weight": torch.ones(2, 2)}
    with pytest.raises(Problem, match=f"do not fit {NAME}"):
        load_timm(NAME, weights=save(given))


def test_weights_that_are_not_numbers_are_refused(tensors):
    given = {**tensors, "norm.weight": torch.full_like(tensors["norm.weight"], torch.nan)}
    with pytest.raises(Problem, match="NaN or infinite"):
        load_timm(NAME, weights=save(given))


class Trap:
    opened = False

    def __reduce__(self):
        return (setattr, (Trap, "opened", True))


def torch_file(content: object) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def test_a_pickle_is_refused_and_never_opened(tensors):
    with pytest.raises(Problem, match="setattr, which is code to run"):
        load_model_by_name(NAME, weights=torch_file({**tensors, "more": Trap()}))
    assert not Trap.opened


def test_a_checkpoint_as_it_is_written_by_training_is_opened(tensors):
    other = {key: value * 2 if value.is_floating_point() else value for key, value in tensors.items()}
    content = {
        "student": {f"module.backbone.{key}": value for key, value in other.items()},
        "teacher": {f"backbone.{key}": value for key, value in tensors.items()},
        "epoch": 3,
    }
    found = load_model_by_name(NAME, weights=torch_file(content))
    assert found.keys.part == "teacher.backbone." and [part.name for part in found.keys.parts] == [
        "teacher.backbone.",
        "student.module.backbone.",
    ]
    assert all(torch.equal(value, tensors[key]) for key, value in found.model.state_dict().items())
    chosen = load_model_by_name(NAME, weights=torch_file(content), part="student")
    assert all(torch.equal(value, other[key]) for key, value in chosen.model.state_dict().items())


def test_a_path_that_leads_nowhere_is_a_problem(tmp_path):
    with pytest.raises(Problem, match=r"gone\.safetensors could not be read"):
        load_timm(NAME, weights=tmp_path / "gone.safetensors")


@pytest.mark.parametrize(
    "name", ["vit_tiny_patch16_225", "hf-hub:someone/model", "resnet18", "swin_tiny_patch4_window7_224", ""]
)
def test_what_is_no_plain_vit_is_a_problem_for_super_tokens(name):
    with pytest.raises(Problem, match="no ViT named"):
        load_timm(name)


def test_a_model_that_would_fill_the_memory_is_refused_before_it_is_built():
    with pytest.raises(Problem, match=r"too large: .* million parameters"):
        load_timm("vit_giant_patch14_224")


def test_an_opened_model_is_read_only_and_says_what_it_is(tensors):
    untrained, trained = load_model_by_name(NAME), load_model_by_name(NAME, weights=save(tensors))
    for opened in (untrained, trained):
        assert not opened.model.training and not any(one.requires_grad for one in opened.model.parameters())
        assert opened.recipe == f"{opened.label}; {opened.preprocessing.sentence()}"
    assert not untrained.is_trained and not untrained.has_classifier and untrained.class_names == ()
    assert trained.is_trained and trained.has_classifier and len(trained.class_names) == 1000
    assert trained.class_names[0].startswith("tench")


@pytest.mark.parametrize(
    "name", ["test_vit_relpos", "xcit_nano_12_p16_224", "pvt_v2_b0", "deit_tiny_distilled_patch16_224"]
)
def test_other_families_are_opened_and_answer_a_picture(name):
    opened = load_model_by_name(name)
    fed, shown = prepare(opened.model, np.full((90, 130, 3), 100, np.uint8), opened.preprocessing)
    with torch.inference_mode():
        scores = opened.model(fed)
    side = opened.preprocessing.img_size
    assert shown.shape == (side, side, 3) and scores.shape == (1, 1000) and scores.isfinite().all()


def test_a_classifier_that_lacks_is_drawn_from_the_seed_and_said_to_be_untrained(tensors):
    given = {key: value for key, value in tensors.items() if not key.startswith("head")}
    first, again, other = (load_model_by_name(NAME, weights=save(given), seed=seed) for seed in (0, 0, 1))
    assert first.keys.missing == ("head.bias", "head.weight")
    assert not first.has_classifier and first.class_names == () and first.is_trained
    assert same(first.model, again.model) and not same(first.model, other.model)


def test_a_classifier_of_other_classes_is_built_as_the_file_has_it(tensors):
    given = {**tensors, "head.weight": tensors["head.weight"][:7].clone(), "head.bias": torch.arange(7.0)}
    opened = load_model_by_name(NAME, weights=save(given))
    assert opened.model.num_classes == 7 and torch.equal(opened.model.head.bias, torch.arange(7.0))
    assert opened.has_classifier and opened.class_names == () and opened.keys.reshaped == ()


def test_position_embeddings_of_another_size_are_resampled_and_that_is_said(tensors):
    opened = load_model_by_name(NAME, weights=save(tensors), img_size=224)
    assert opened.keys.resampled == ("pos_embed",) and "resampled (pos_embed)" in opened.keys.sentence()
    assert opened.model.patch_embed.img_size == (224, 224) and opened.preprocessing.img_size == 224


def test_a_size_that_cannot_be_is_one_sentence():
    with pytest.raises(Problem, match="img_size=4000 must be 16 to 1024"):
        load_model_by_name(NAME, img_size=4000)
    with pytest.raises(Problem, match="img_size=100 must be a multiple of 16: that is a token of test_vit"):
        load_model_by_name(NAME, img_size=100)
    with pytest.raises(Problem, match="img_size=240 must be a multiple of 32: that is a token of pvt_v2_b0"):
        load_model_by_name("pvt_v2_b0", img_size=240)
    assert load_model_by_name("pvt_v2_b0", img_size=256).preprocessing.img_size == 256


def test_weights_of_another_model_are_answered_with_the_model_they_fit():
    other = import_timm().create_model("vit_tiny_patch16_224").state_dict()
    with pytest.raises(Problem, match=rf"do not fit {NAME}: .* first; they fit vit_tiny_patch16_224$"):
        load_model_by_name(NAME, weights=torch_file({"model": other}))


def test_a_tag_brings_its_own_preprocessing():
    plain, tagged = import_timm().get_pretrained_cfg(DINO.partition(".")[0]), load_model_by_name(DINO).preprocessing
    assert (tagged.mean, tagged.std) == (IMAGENET.mean, IMAGENET.std) != (plain.mean, plain.std)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """``cache(repository, file=content)`` puts files into a cache of this test's own. The network is out of reach."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    for where, name in ((socket.socket, "connect"), (socket, "getaddrinfo")):
        monkeypatch.setattr(where, name, lambda *_, **__: pytest.fail("the network was touched"))

    def put(repository: str, files: dict[str, bytes]) -> None:
        folder = tmp_path / f"models--{repository.replace('/', '--')}"
        for part in ("refs", "blobs", "snapshots/c0ffee"):
            (folder / part).mkdir(parents=True)
        (folder / "refs/main").write_text("c0ffee")
        for name, content in files.items():
            blob = folder / "blobs" / hashlib.sha256(content).hexdigest()
            blob.write_bytes(content)
            (folder / "snapshots/c0ffee" / name).symlink_to(Path("../../blobs") / blob.name)

    return put


def test_published_weights_are_read_from_the_cache_without_the_network(cache, tensors):
    cache("timm/test_vit.r160_in1k", {"model.safetensors": save(tensors)})
    opened = load_model_by_name(NAME, pretrained=True)
    assert all(torch.equal(value, tensors[key]) for key, value in opened.model.state_dict().items())
    assert "published weights of timm/test_vit.r160_in1k at c0ffee" in opened.label


def test_published_weights_that_are_not_there_are_not_fetched_unasked(cache):
    with pytest.raises(Problem, match=r"timm/test_vit.r160_in1k is not on this machine: nothing is fetched unasked"):
        load_model_by_name(NAME, pretrained=True)
    with pytest.raises(Problem, match="someone/vit is not on this machine"):
        load_model_by_name("hf-hub:someone/vit")


def test_a_repository_of_the_hub_is_opened_as_its_config_says(cache, tensors):
    given = {**tensors, "head.weight": tensors["head.weight"][:3].clone(), "head.bias": torch.arange(3.0)}
    about = {"architecture": NAME, "num_classes": 3, "pretrained_cfg": {"mean": [0.1, 0.2, 0.3], "crop_pct": 1.0}}
    cache("someone/vit", {"config.json": json.dumps(about).encode(), "pytorch_model.bin": torch_file(given)})
    opened = load_model_by_name("hf-hub:someone/vit")
    assert opened.model.num_classes == 3 and torch.equal(opened.model.head.bias, torch.arange(3.0))
    assert opened.preprocessing.mean == (0.1, 0.2, 0.3) and opened.preprocessing.crop_share == 1
    assert opened.label.startswith(f"hf-hub:someone/vit ({NAME}), published weights of someone/vit at c0ffee")


def test_a_repository_whose_weights_would_run_code_is_refused(cache):
    about = json.dumps({"architecture": NAME}).encode()
    cache("someone/vit", {"config.json": about, "pytorch_model.bin": torch_file(Trap())})
    with pytest.raises(Problem, match=r"pytorch_model.bin cannot be opened: .*setattr, which is code to run"):
        load_model_by_name("hf-hub:someone/vit")
    assert not Trap.opened


def test_weights_come_from_one_place(tensors):
    with pytest.raises(Problem, match="either by name or from a file"):
        load_model_by_name(NAME, weights=save(tensors), pretrained=True)
