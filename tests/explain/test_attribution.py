"""The methods by name, and that sessions which share a model get their own maps."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from vitviz.explain.attribution import METHODS, class_target, faithfulness, pooled
from vitviz.nn.torchvision_import import import_torchvision
from vitviz.nn.vit import VisionTransformer

import_torchvision()
import timm  # noqa: E402

IMAGES = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 0.5
SIZES = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "num_heads": 3, "depth": 3, "num_classes": 5}


@pytest.fixture(scope="module", params=["ours", "timm"])
def model(request) -> torch.nn.Module:
    made = VisionTransformer(**SIZES) if request.param == "ours" else timm.create_model("vit_tiny_patch16_224", **SIZES)
    generator = torch.Generator().manual_seed(0)
    for name, parameter in made.eval().requires_grad_(False).named_parameters():
        if parameter.ndim > 1 or name.endswith("bias"):
            parameter.normal_(std=0.1, generator=generator)
    return made


def test_every_method_has_its_settings_with_defaults_and_a_sentence():
    for name, method in METHODS.items():
        assert method.attribute.__name__ == name
        assert method.sentence.endswith(".") and method.sentence.count(". ") == 0
        assert not {"batch_size", "on_progress", "model", "images", "target"} & method.settings.keys()
    assert METHODS["integrated_gradients"].settings["num_steps"] == 64
    assert METHODS["occlusion"].settings == {"window": 1, "stride": 1, "baseline": "mean"}


@pytest.mark.parametrize("name", METHODS)
def test_eight_threads_on_one_model_each_get_what_they_get_alone(model, name):
    fewer = {"integrated_gradients": {"num_steps": 8, "max_steps": 8}, "gradient_shap": {"num_samples": 8}}

    def attribute(index: int) -> np.ndarray:
        return (
            METHODS[name]
            .attribute(model, IMAGES[index : index + 1], class_target(index % 5), **fewer.get(name, {}))
            .map
        )

    alone = [attribute(index) for index in range(8)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(attribute, [*range(8)] * 2))
    assert all((found == alone[index % 8]).all() for index, found in enumerate(together))
    assert len({found.tobytes() for found in alone}) == 8


def test_an_attribution_can_be_judged_on_the_grid_of_the_model(model):
    found = METHODS["occlusion"].attribute(model, IMAGES[:1], class_target(2))
    judged = faithfulness(model, IMAGES[:1], class_target(2), pooled(found, (4, 4)), num_points=17)
    assert judged.own.deletion[0] == judged.random[0].deletion[0] == judged.own.insertion[-1]
    assert judged.own.deletion_auc < judged.random_deletion()[0]


def test_naming_the_methods_loads_neither_torch_nor_captum():
    code = "import sys, vitviz.explain.attribution, vitviz.explain.token_views; print(*{'torch', 'captum'} & {*sys.modules})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""
