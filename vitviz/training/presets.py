"""Named settings that a command line, a page and the documents mean the same thing by. No torch in here.

A preset's ``reaches`` says what it is expected to reach and where that was measured (``docs/results.md``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from vitviz.config import unknown_name
from vitviz.errors import Problem


@dataclass(frozen=True, kw_only=True)
class Preset:
    """Settings for one method. ``paper`` is the noun it is listed under, ``method`` the one that runs it.

    With ``variants`` it stands for several runs, as the rows of a paper's table: each adds its settings, at every seed.
    """

    method: str
    title: str
    why: str
    paper: str = "deep_clustering"
    settings: Mapping[str, Any] = field(default_factory=dict)
    variants: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    seeds: tuple[int, ...] = (0,)


class PresetRow(NamedTuple):
    """One run of a preset with variants."""

    name: str
    variant: str
    settings: dict[str, Any]


_CIFAR = {
    "dataset": "cifar10",
    "stem": "conv",
    "augment": "shift_flip",
    "batch_size": 128,
    "lr": 1e-3,
    "warmup_epochs": 1.0,
    "bfloat16": "auto",
}

# a few thousand images and a few dozen epochs: DeiT's full strength would keep such a run from fitting anything
_MILD = {"rand_augment": 5.0, "random_erasing": 0.1, "mixup": 0.2, "cutmix": 0.5}
_CIFAR_TOKENS = {
    "dataset": "cifar10",
    "img_size": 32,
    "stride": 4,
    "embed_dim": 96,
    "depth": 4,
    "min_crop": 0.6,
    **_MILD,
}
_CLOTHING_TOKENS = {
    "dataset": "clothing",
    "img_size": 224,
    "min_crop": 0.5,
    "depth": 4,
    "epochs": 20,
    "warmup_epochs": 2.0,
    "batch_size": 32,
    "lr": 3e-4,  # the paper's 1e-3 at 128, scaled with the batch
    **_MILD,
    "cutmix": 0.0,
}
_SMALL_PHOTOS = {**_CLOTHING_TOKENS, "img_size": 112, "embed_dim": 96, "epochs": 12, "projection": "none"}

_COIL20 = {"dataset": "coil20", "num_clusters": 20}
_DSC_NET = {**_COIL20, "count_diagonal": True}

_COAT_KINDS = {"unclustered": "unclustered", "factorised": "factorised", "softmax": "softmax", "mlp": "clustered_mlp"}
_CIFAR_COAT = {
    "dataset": "cifar10",
    "img_size": 32,
    "limit": 6_000,
    "patch_size": 2,
    "embed_dims": (32, 64, 96, 128),
    "serial_depths": (1, 1, 2, 2),
    "mlp_ratios": (4.0, 4.0, 4.0, 4.0),
    "num_heads": 4,
    "min_crop": 0.6,
    "batch_size": 64,
    "epochs": 12,
    "warmup_epochs": 1.0,
    "bfloat16": "off",
    "projection": "none",
    **_MILD,
}

PRESETS: dict[str, Preset] = {
    "digits": Preset(
        method="deep_clustering",
        title="Digits, step by step",
        why="Six rounds on 1,797 handwritten digits: clusters tighten while the labels hold them in place.",
        settings={"max_rounds": 6, "stop_rule": "max_rounds"},
    ),
    "digits-half-trained": Preset(
        method="deep_clustering",
        title="Digits, started too early",
        why="Phase 2 begins with a half-trained network and a strong pull (alpha = 1): wrong clusters freeze.",
        settings={
            "epochs": 12,
            "lr": 1e-3,
            "gate": False,
            "cluster_weight": 1.0,
            "round_lr": 2e-3,
            "epochs_per_round": 2,
            "max_rounds": 6,
            "stop_rule": "max_rounds",
        },
    ),
    "digits-unsupervised": Preset(
        method="idec",
        title="Digits without labels",
        why="IDEC on a small autoencoder: 30 updates in ten rounds sharpen the clusters, and no label is ever used.",
    ),
    "digits-pseudo-labels": Preset(
        method="deep_clustering",
        title="Digits on pseudo-labels",
        why="A ViT trained on k-means ids instead of labels falls below plain k-means: the lesson why labels matter.",
        settings={"targets": "pseudo_labels", "max_rounds": 6, "stop_rule": "max_rounds"},
    ),
    "cifar10-mini": Preset(
        method="deep_clustering",
        title="CIFAR-10, 6,000 images",
        why="The paper's data set at the size of a laptop: 6,000 images to train on, 1,200 held out.",
        settings={
            **_CIFAR,
            "limit": 7_200,
            "embed_dim": 192,
            "depth": 6,
            "num_heads": 6,
            "mlp_ratio": 2.0,
            "epochs": 10,
            "extra_epochs": 0,
            "max_rounds": 3,
            "epochs_per_round": 2,
        },
    ),
    "cifar10": Preset(
        method="deep_clustering",
        title="CIFAR-10",
        why="All 50,000 images and 10,000 held out; meant for a GPU.",
        settings={
            **_CIFAR,
            "patch_size": 4,
            "embed_dim": 256,
            "depth": 8,
            "num_heads": 8,
            "mlp_ratio": 3.0,
            "drop_path_rate": 0.1,
            "batch_size": 256,
            "epochs": 100,
            "warmup_epochs": 5.0,
            "epochs_per_round": 3,
        },
    ),
    "clothing-supertoken": Preset(
        method="supertokens",
        paper="supertokens",
        title="Clothing, super tokens",
        why="3,409 photographs of clothes at 224 pixels: a small ViT that sees 196 super tokens instead of patches.",
        settings={**_CLOTHING_TOKENS, "embedding": "supertoken"},
    ),
    "clothing-patch": Preset(
        method="supertokens",
        paper="supertokens",
        title="Clothing, patches",
        why="The same photographs, body and recipe behind a 16 x 16 patch embedding: what super tokens are compared with.",
        settings={**_CLOTHING_TOKENS, "embedding": "patch"},
    ),
    "clothing-conv": Preset(
        method="supertokens",
        paper="supertokens",
        title="Clothing, convolutions",
        why="The same photographs, body and recipe behind five convolutions.",
        settings={**_CLOTHING_TOKENS, "embedding": "conv"},
    ),
    "cifar10-supertoken": Preset(
        method="supertokens",
        paper="supertokens",
        title="CIFAR-10, super tokens",
        why="The super-token embedding with one token every 4 pixels, on 32 x 32 images; all 50,000 are meant for a GPU.",
        settings={**_CIFAR_TOKENS, "embedding": "supertoken"},
    ),
    "cifar10-patch": Preset(
        method="supertokens",
        paper="supertokens",
        title="CIFAR-10, patches",
        why="The same images and body behind a 4 x 4 patch embedding.",
        settings={**_CIFAR_TOKENS, "embedding": "patch"},
    ),
    "cifar10-conv": Preset(
        method="supertokens",
        paper="supertokens",
        title="CIFAR-10, convolutions",
        why="The same images and body behind five convolutions, two of them strided.",
        settings={**_CIFAR_TOKENS, "embedding": "conv"},
    ),
    "table6": Preset(
        method="supertokens",
        paper="supertokens",
        title="Table 6: three embeddings",
        why="Patch, convolution (in its three forms) and super tokens before one body, three seeds, 5,000 CIFAR-10 images.",
        settings={
            **_CIFAR_TOKENS,
            "limit": 6_000,
            "epochs": 12,
            "batch_size": 64,
            "bfloat16": "off",
            "projection": "none",
        },
        variants={
            "patch": {"embedding": "patch"},
            "conv": {"embedding": "conv"},
            "supertoken": {"embedding": "supertoken"},
            "conv-1x1": {"embedding": "conv", "conv_stem": "table4_1x1"},
            "earlyconv": {"embedding": "conv", "conv_stem": "earlyconv"},
        },
        seeds=(0, 1, 2),
    ),
    "table7": Preset(
        method="supertokens",
        paper="supertokens",
        title="Table 7: how much convolution first",
        why="Six tiers, from clustering bare pixels to convolving all the way, on clothing photographs of 112 pixels.",
        settings=_SMALL_PHOTOS,
        variants={
            "without-conv": {"tier": "without_conv"},
            "module1": {"tier": "module1"},
            "modules12": {"tier": "modules12"},
            "modules14": {"tier": "modules14"},
            "modules16": {"tier": "modules16"},
            "extra": {"tier": "extra"},
        },
    ),
    "table8": Preset(
        method="supertokens",
        paper="supertokens",
        title="Table 8: iterations",
        why="Clustering refined once to four times, on clothing photographs of 112 pixels.",
        settings=_SMALL_PHOTOS,
        variants={f"t{count}": {"num_iterations": count} for count in (1, 2, 3, 4)},
    ),
    "digits-subspace": Preset(
        method="subspace",
        paper="subspace",
        title="Digits, made of their neighbours",
        why="Every digit as a sum of its ten nearest others: which images express each other, in seconds and offline.",
        settings={"solver": "neighbors", "epochs": 40},
    ),
    "digits-subspace-steps": Preset(
        method="subspace",
        paper="subspace",
        title="Digits, C step by step",
        why="700 digits, 2 gated channels, 60 steps of DSC-Net's way, each second one scored: small, offline, to scrub through.",
        settings={
            "limit": 700,
            "channels": 2,
            "attention": True,
            "min_hidden": 2,
            "epochs": 60,
            "num_steps": 60,
            "fixed_step": 60,
            "score_every": 2,
            "round_every": 10,
            # of a data set, as DSC-Net sets them: rho, d and alpha
            "threshold": 0.1,
            "count_diagonal": True,
            "subspace_dim": 4,
            "power": 4.0,
        },
    ),
    "coil20": Preset(
        method="subspace",
        paper="subspace",
        title="COIL-20, neighbours",
        why="1,440 pictures of 20 turning objects, each made of its ten nearest others: no threshold, no fine-tuning, no label.",
        settings={**_COIL20, "solver": "neighbors", "epochs": 40},
    ),
    "coil20-gated": Preset(
        method="subspace",
        paper="subspace",
        title="COIL-20, two gated channels",
        why="2 channels behind the gate, the best of three starts, fine-tuned for 30 steps; then each image of its ten nearest.",
        settings={
            **_COIL20,
            "solver": "neighbors",
            "channels": 2,
            "attention": True,
            "min_hidden": 2,
            "num_starts": 3,
            "epochs": 40,
        },
    ),
    "coil20-paper": Preset(
        method="subspace",
        paper="subspace",
        title="COIL-20, DSC-Net step by step",
        why="The paper's own way: 1,200 epochs, then 30 steps of everything at once, each scored to show how ACC jumps.",
        settings={**_DSC_NET, "score_every": 1},
    ),
    "table2": Preset(
        method="subspace",
        paper="subspace",
        title="Table 2: channels and attention",
        why="15 channels, and 1, 2 and 3 without and with the channel gate, on COIL-20, three seeds; step 30, no label.",
        settings={**_DSC_NET, "round_every": 15},
        variants={
            "15ch": {"channels": 15, "attention": False},
            **{
                f"{channels}ch{'-attention' if attention else ''}": {"channels": channels, "attention": attention}
                for attention in (False, True)
                for channels in (1, 2, 3)
            },
        },
        seeds=(0, 1, 2),
    ),
    "coat-cifar10": Preset(
        method="coat",
        paper="coat",
        title="Clustering CoaT, less data",
        why="A small CoaT in four kinds on 10, 30 and 100 % of 5,000 CIFAR-10 images, equal steps: does clustering help?",
        settings=_CIFAR_COAT,
        variants={
            f"{name}-{percent}": {"kind": kind, "train_share": percent / 100}
            for percent in (100, 30, 10)
            for name, kind in _COAT_KINDS.items()
        },
        seeds=(0, 1, 2),
    ),
    "coat-cifar10-long": Preset(
        method="coat",
        paper="coat",
        title="Clustering CoaT, trained longer",
        why="The same small CoaT on 25,000 CIFAR-10 images: what the page looks into, as CoaT is and with clustered softmax.",
        settings={**_CIFAR_COAT, "limit": 30_000, "epochs": 8},
        variants={name: {"kind": _COAT_KINDS[name]} for name in ("unclustered", "softmax")},
        seeds=(0,),
    ),
    "coat-cifar10-taught": Preset(
        method="coat",
        paper="coat",
        title="Clustering CoaT, taught",
        why="Clustered softmax from the weights of coat-cifar10's unclustered-100 of the same seed, with or without its answers.",
        settings={
            **_CIFAR_COAT,
            "kind": "softmax",
            "start": "coat-cifar10-unclustered-100-s{seed}",
            "epochs": 4,
            "lr": 3e-4,
            "unclustered_share": 0.0,
        },
        variants={"taught": {"teacher": "coat-cifar10-unclustered-100-s{seed}"}, "alone": {"teacher": ""}},
        seeds=(0, 1, 2),
    ),
    "coat-clothing": Preset(
        method="coat",
        paper="coat",
        title="Clustering CoaT, clothing",
        why="CoaT-Lite Tiny in four kinds on 3,409 photographs of clothes at 224 pixels; meant for a GPU.",
        settings={
            "dataset": "clothing",
            "img_size": 224,
            "min_crop": 0.5,
            "epochs": 20,
            "warmup_epochs": 2.0,
            "batch_size": 32,
            "lr": 3e-4,
            "projection": "none",
            **_MILD,
            "cutmix": 0.0,
        },
        variants={name: {"kind": kind} for name, kind in _COAT_KINDS.items()},
        seeds=(0, 1, 2),
    ),
}


def find_preset(name: str, method: str | None = None) -> Preset:
    """The preset of that name. Raises Problem when there is none, or when it is neither of ``method`` nor listed under it."""
    if name not in PRESETS:
        raise unknown_name("preset", name, list(PRESETS))
    preset = PRESETS[name]
    if method not in (None, preset.method, preset.paper):
        raise Problem(f"preset '{name}' is one of {preset.method}, not of {method}")
    return preset


def preset_rows(preset: Preset, base: str, seeds: Sequence[int] = ()) -> list[PresetRow]:
    """The runs a preset with variants stands for, named ``<base>-<variant>-s<seed>``; all of a seed before the next seed."""
    return [
        PresetRow(f"{base}-{variant}-s{seed}", variant, {**preset.settings, **settings, "seed": seed})
        for seed in seeds or preset.seeds
        for variant, settings in preset.variants.items()
    ]
