"""Presets that stand for several runs: the rows of a paper's table."""

import pytest

from vitviz.clustering.affinity import DENSE_THRESHOLD
from vitviz.config import from_plain
from vitviz.training.methods import METHODS
from vitviz.training.presets import PRESETS, preset_rows
from vitviz.training.subspace_config import SubspaceConfig
from vitviz.training.supertokens import build_embedding

TABLES = [name for name, preset in PRESETS.items() if preset.variants]


def configs(name: str) -> dict:
    preset = PRESETS[name]
    return {
        row.variant: from_plain(METHODS[preset.method].config, row.settings) for row in preset_rows(preset, name, [0])
    }


def test_the_tables_of_the_super_token_paper_are_there_with_all_their_rows():
    assert {"table6", "table7", "table8"} <= set(TABLES)
    assert {config.embedding for config in configs("table6").values()} == {"patch", "conv", "supertoken"}
    assert len({config.tier for config in configs("table7").values()}) == 6
    assert [config.num_iterations for config in configs("table8").values()] == [1, 2, 3, 4]


@pytest.mark.parametrize("name", TABLES)
def test_rows_differ_in_nothing_but_what_the_table_varies(name):
    preset = PRESETS[name]
    varied = {key for settings in preset.variants.values() for key in settings}
    rows = [
        {key: value for key, value in row.settings.items() if key not in varied}
        for row in preset_rows(preset, "x", [3])
    ]
    assert all(row == rows[0] for row in rows) and rows[0]["seed"] == 3
    assert len({repr(config) for config in configs(name).values()}) == len(preset.variants)


def test_the_table_of_the_subspace_paper_has_seven_cells_that_no_label_chooses():
    found = configs("table2")
    assert {(config.channels, config.attention) for config in found.values()} == {
        (15, False),
        *((channels, attention) for channels in (1, 2, 3) for attention in (False, True)),
    }
    for config in found.values():
        assert (config.solver, config.epochs, config.num_steps, config.select) == ("adam", 1200, 30, "fixed")
    assert len(preset_rows(PRESETS["table2"], "t")) == 21


@pytest.mark.parametrize("name", ["coil20-paper", "table2"])
def test_what_is_called_dsc_net_has_the_numbers_of_its_code(name):
    every = configs(name).values() or [from_plain(SubspaceConfig, PRESETS[name].settings)]
    for config in every:
        assert (config.coefficient_weight, config.expression_weight, config.finetune_lr) == (1, 150, 1e-3)
        assert (config.affinity, config.threshold, config.subspace_dim, config.power) == ("ji", None, 12, 8)
        assert config.count_diagonal and DENSE_THRESHOLD == 0.04


def test_rows_are_named_after_base_variant_and_seed_and_a_seed_is_finished_first():
    rows = preset_rows(PRESETS["table8"], "mine", [4, 5])
    assert [row.name for row in rows] == [f"mine-t{count}-s{seed}" for seed in (4, 5) for count in (1, 2, 3, 4)]
    assert len(preset_rows(PRESETS["table6"], "t")) == 15


@pytest.mark.parametrize("name", [name for name in TABLES if PRESETS[name].method == "supertokens"])
def test_every_row_can_be_built_at_its_size(name):
    for config in configs(name).values():
        assert config.img_size % build_embedding(config).stride == 0
