"""Presets of Clustering CoaT."""

from vitviz.training.preset import MILD, Preset

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
    "epochs": 8,
    "warmup_epochs": 1.0,
    "bfloat16": "off",
    "projection": "none",
    **MILD,
}
_CLOTHING = {
    "dataset": "clothing",
    "img_size": 224,
    "min_crop": 0.5,
    "epochs": 20,
    "warmup_epochs": 2.0,
    "batch_size": 32,
    "lr": 3e-4,
    "projection": "none",
    **MILD,
    "cutmix": 0.0,
}

COAT: dict[str, Preset] = {
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
        settings={**_CIFAR_COAT, "limit": 30_000},
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
        settings=_CLOTHING,
        variants={name: {"kind": kind} for name, kind in _COAT_KINDS.items()},
        seeds=(0, 1, 2),
    ),
    "clothing-coat": Preset(
        method="coat",
        paper="coat",
        title="Clothing, CoaT-Lite Tiny",
        why="CoaT-Lite Tiny as published, on 3,409 photographs of clothes at 112 pixels: weights to cluster on the page.",
        settings={**_CLOTHING, "kind": "unclustered", "img_size": 112, "epochs": 12},
    ),
}
