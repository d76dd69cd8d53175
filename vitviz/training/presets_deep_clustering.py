"""Presets of ViT deep clustering, IDEC among them."""

from vitviz.training.preset import Preset

_CIFAR = {
    "dataset": "cifar10",
    "stem": "conv",
    "augment": "shift_flip",
    "batch_size": 128,
    "lr": 1e-3,
    "warmup_epochs": 1.0,
    "bfloat16": "auto",
}

_LAPTOP = {
    **_CIFAR,
    "patch_size": 4,
    "embed_dim": 128,
    "depth": 6,
    "num_heads": 4,
    "mlp_ratio": 2.0,
    "epochs": 20,
    "extra_epochs": 0,
    "max_rounds": 5,
    "epochs_per_round": 2,
    "stop_rule": "max_rounds",
}

DEEP_CLUSTERING: dict[str, Preset] = {
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
    "digits-supertoken": Preset(
        method="deep_clustering",
        title="Digits, super tokens",
        why="The same rounds on a network that gathers strokes into 64 super tokens: watch them beside map and attention.",
        settings={"stem": "supertoken", "patch_size": 4, "max_rounds": 6, "stop_rule": "max_rounds"},
    ),
    "digits-unsupervised": Preset(
        method="idec",
        title="Digits without labels",
        why="IDEC on a small autoencoder: 30 updates in ten rounds sharpen the clusters, and no label is ever used.",
    ),
    "digits-spectral": Preset(
        method="spectral",
        title="Digits by their neighbours",
        why="No network, no label: spectral clustering of the pixels for 3, 6, 12, 24, 48 and 96 neighbours, one a round.",
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
    "cifar10-laptop": Preset(
        method="deep_clustering",
        title="CIFAR-10, all 60,000 images",
        why="All 50,000 images and 10,000 held out, with a network small enough for two cores and an afternoon.",
        settings=_LAPTOP,
    ),
    "cifar10-laptop-supertoken": Preset(
        method="deep_clustering",
        title="CIFAR-10, all 60,000 images, super tokens",
        why="The same rounds on a network that sees 64 super tokens instead of convolved patches.",
        settings={**_LAPTOP, "stem": "supertoken"},
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
}
