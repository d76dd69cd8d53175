"""The claims are whole and consistent, and what is built from them has the sizes that are known."""

import dataclasses
from itertools import pairwise

import pytest

from vitviz.explain.paper_claims import COMPARISONS, PaperRow, standard_error
from vitviz.explain.paper_sizes import count_autoencoder, count_size
from vitviz.training.presets import PRESETS

ROWS = {(key, row.variant): row for key, one in COMPARISONS.items() for row in one.rows}


@pytest.mark.parametrize("key", COMPARISONS)
def test_a_table_has_the_rows_of_its_preset(key):
    comparison = COMPARISONS[key]
    preset = PRESETS[comparison.preset]
    assert comparison.key == key
    assert comparison.method == preset.method
    assert {row.variant for row in comparison.rows} == set(preset.variants)


@pytest.mark.parametrize("key", COMPARISONS)
def test_the_rows_of_a_preset_differ_in_the_settings_that_the_table_varies_and_in_no_other(key):
    comparison = COMPARISONS[key]
    assert {name for settings in PRESETS[comparison.preset].variants.values() for name in settings} == set(
        comparison.varies
    )


@pytest.mark.parametrize(("table", "variant"), ROWS)
def test_a_row_is_built_as_its_runs_are(table, variant):
    settings = PRESETS[table].variants[variant]
    row = ROWS[table, variant]
    if COMPARISONS[table].method in ("subspace", "coat"):
        assert settings == row.options
        return
    built = {
        "embedding": row.embedding,
        **{f"conv_{key}" if key == "stem" else key: row.options[key] for key in row.options},
    }
    defaults = {"embedding": "supertoken", "conv_stem": "table4"}
    assert {**defaults, **settings} == {**defaults, **built}


def test_claims_are_those_of_the_paper():
    tables = {key: [row.score for row in one.rows if row.score is not None] for key, one in COMPARISONS.items()}
    assert tables == {
        "table6": [78.44, 81.14, 83.52],
        "table7": [],
        "table8": [82.96, 83.02, 83.52, 83.30],
        "table2": [93.68, 89.44, 87.22, 92.01, 91.46, 94.10, 92.39],
        "coat-cifar10": [],
    }
    assert [row.images_per_second for row in COMPARISONS["table8"].rows] == [766, 749, 737, 718]
    assert [row.embedding_parameters for row in COMPARISONS["table6"].rows] == [0.30e6, 1.00e6, None, None, 0.09e6]


def test_a_table_without_claims_says_so():
    for comparison in COMPARISONS.values():
        if not any(row.score for row in comparison.rows):
            assert "not known" in comparison.doubts[0]


def test_claims_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        COMPARISONS["table6"].rows[0].score = 100.0


def test_one_standard_error_of_the_paper_is_half_a_point():
    assert standard_error(83.02, 5_000) == pytest.approx(0.53, abs=0.005)
    assert standard_error(50, 2_500) == pytest.approx(1.0)
    assert standard_error(100, 10) == standard_error(0, 10) == 0


@pytest.mark.parametrize(
    ("variant", "embedding", "total"),
    [
        ("patch", 297_600, 18_162_916),
        ("conv", 3_490_560, 21_355_876),
        ("conv-1x1", 2_310_912, 20_176_228),
        ("earlyconv", 1_021_488, 18_886_804),
        ("supertoken", 132_192, 17_997_508),
    ],
)
def test_parameters_are_those_of_the_models_built_as_printed(variant, embedding, total):
    size = count_size(ROWS["table6", variant])
    assert (size.embedding_parameters, size.parameters) == (embedding, total)


def test_multiply_adds_are_those_worked_out_by_hand():
    width, tokens = 384, 196
    patch = count_size(ROWS["table6", "patch"])
    assert patch.embedding_macs == tokens * 768 * width
    layers = 12 * ((1 + tokens) * (4 * width**2 + 2 * 3 * width**2) + 2 * (1 + tokens) ** 2 * width)
    assert patch.macs == patch.embedding_macs + layers + width * 100


def test_super_tokens_are_lighter_in_parameters_and_not_in_multiply_adds():
    patch, tokens = count_size(ROWS["table6", "patch"]), count_size(ROWS["table6", "supertoken"])
    assert tokens.embedding_parameters < patch.embedding_parameters
    assert tokens.embedding_macs == pytest.approx(217e6, rel=0.005) and patch.embedding_macs == pytest.approx(
        58e6, rel=0.005
    )
    assert tokens.macs - patch.macs == tokens.embedding_macs - patch.embedding_macs


def test_an_iteration_more_adds_multiply_adds_and_no_parameters():
    sizes = [count_size(row) for row in COMPARISONS["table8"].rows]
    assert len({size.parameters for size in sizes}) == 1
    steps = {later.embedding_macs - earlier.embedding_macs for earlier, later in pairwise(sizes)}
    assert len(steps) == 1 and steps.pop() > 0


def test_a_row_that_names_no_embedding_has_no_size_and_one_that_is_not_there_is_refused():
    assert count_size(PaperRow(variant="x", title="x")) is None
    with pytest.raises(ValueError, match="embedding='waves' must be one of patch, conv, supertoken"):
        count_size(PaperRow(variant="x", title="x", embedding="waves"))


@pytest.mark.parametrize("key", COMPARISONS)
def test_a_contrast_pairs_rows_that_differ_in_one_setting(key):
    comparison = COMPARISONS[key]
    options = {row.variant: row.options for row in comparison.rows}
    setting, without = {"subspace": ("attention", False), "coat": ("kind", "unclustered")}.get(
        comparison.method, ("", None)
    )
    for variant, control in comparison.contrast.pairs if comparison.contrast else ():
        assert {name for name in options[variant] if options[variant][name] != options[control][name]} == {setting}
        assert options[control][setting] == without


def test_a_contrast_is_what_the_paper_claims_of_every_pair():
    scores = {row.variant: row.score for row in COMPARISONS["table2"].rows}
    pairs = COMPARISONS["table2"].contrast.pairs
    assert [round(scores[variant] - scores[control], 2) for variant, control in pairs] == [2.02, 6.88, 0.38]


@pytest.mark.parametrize(
    ("variant", "channels", "hidden"),
    [("15ch", 15, 0), ("1ch", 1, 0), ("1ch-attention", 1, 1), ("3ch-attention", 3, 1)],
)
def test_an_autoencoder_has_the_parameters_worked_out_by_hand(variant, channels, hidden):
    size = count_autoencoder(ROWS["table2", variant])
    assert (size.encoder, size.decoder) == (9 * channels + channels, 9 * channels + 1)
    assert size.gate == (channels * hidden + hidden + hidden * channels + channels if hidden else 0)
    assert size.latent_dim == 16 * 16 * channels


def test_a_row_that_names_no_channels_is_no_autoencoder():
    assert count_autoencoder(ROWS["table6", "patch"]) is None
