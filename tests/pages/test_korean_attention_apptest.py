"""The page of attention wholly in Korean, in every view."""

from collections.abc import Callable

import pytest

from vitviz.ui import tasks

CREDIT = ("Stefan van der Walt", "scikit", "image")
CLASSES = ("dress", "hat", "longsleeve", "outwear", "pants", "shirt", "shoes", "shorts", "skirt", "t-shirt")
MODELS = ("ViT", "DeiT", "EVA", "BEiT", "DINO", "Swin", "CaiT", "digits")  # digits: the name of a run
NAMES = (*CREDIT, *CLASSES, *MODELS)
OTHER = {"network": "Any timm ViT"}
FILE = {**OTHER, "weights": "a file of mine", "norm": "range", "heads": "max", "mass": "50"}

pytestmark = pytest.mark.usefixtures("own_folders")


@pytest.fixture
def never_done(monkeypatch) -> None:
    """What is done beside the page waits for its turn for ever."""
    monkeypatch.setattr(tasks.Desk, "find", lambda self, key: None)
    monkeypatch.setattr(tasks.Desk, "start", lambda self, key, work: tasks.Task())


@pytest.fixture
def at_once(monkeypatch) -> None:
    """What is done beside the page is done when it is asked for."""

    def start(self, key: str, work: Callable) -> tasks.Task:
        task = tasks.Task()
        task.run(work)
        return task

    monkeypatch.setattr(tasks.Desk, "find", lambda self, key: None)
    monkeypatch.setattr(tasks.Desk, "start", start)
    monkeypatch.setattr(tasks, "_PATIENCE", float("inf"))  # nobody asks again while it is done


@pytest.mark.parametrize(
    "query",
    [
        {"view": "Attention", "pin": "500_500", "layer": "1"},
        {"view": "Attention", "run": "digits"},
        {"view": "Attention", "timm": "vit_wee_patch16_reg1_gap_256", **OTHER},
        {"view": "Attention", "timm": "swin_tiny_patch4_window7_224", "one_scale": "true", **OTHER},
        {"view": "Attention", **FILE},
        {"view": "Attention", "weights": "by name on the hub", **OTHER},
        {"view": "Through layers", "fusion": "max"},
        {"view": "Through layers", "flow": "relevance"},
        {"view": "Attribution", "method": "integrated_gradients", "run": "digits"},
        {"view": "Attribution", "method": "occlusion", **OTHER},
        {"view": "Patches", "pin": "400_400", "keep": "high"},
        {"view": "Logit lens"},
        {"view": "Logit lens", **OTHER},
        {"view": "Side by side"},
        {"view": "Side by side", "beside": "another network"},
    ],
)
def test_a_view_of_attention_says_no_english(korean, never_done, query):
    assert korean.untranslated(korean.open_korean("attention", **query), names=NAMES) == []


def test_a_tested_attribution_says_no_english(korean, at_once):
    app = korean.open_korean("attention", view="Attribution", method="saliency", run="digits")
    assert len(app.metric) == 2
    assert korean.untranslated(app, names=NAMES) == []


def test_the_page_of_attention_without_a_run_says_no_english(korean, nothing_shipped, never_done):
    app = korean.open_korean("attention", network="Trained run", view="Attribution")
    assert korean.untranslated(app, names=NAMES) == []
