"""Presets of deep subspace clustering with channel attention."""

from vitviz.training.preset import Preset

_COIL20 = {"dataset": "coil20", "num_clusters": 20}
_DSC_NET = {**_COIL20, "count_diagonal": True}

SUBSPACE: dict[str, Preset] = {
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
}
