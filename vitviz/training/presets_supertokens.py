"""Presets of the super-token convolutional embedding."""

from vitviz.training.preset import MILD, Preset

_CIFAR_TOKENS = {
    "dataset": "cifar10",
    "img_size": 32,
    "stride": 4,
    "embed_dim": 96,
    "depth": 4,
    "min_crop": 0.6,
    **MILD,
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
    **MILD,
    "cutmix": 0.0,
}
_SMALL_PHOTOS = {**_CLOTHING_TOKENS, "img_size": 112, "embed_dim": 96, "epochs": 12, "projection": "none"}

SUPERTOKENS: dict[str, Preset] = {
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
}
