"""Settings: plain values in, a config out, the same values back; and every mistake in one sentence."""

import dataclasses
import json
import random
import types
import typing
from dataclasses import dataclass, make_dataclass
from typing import Literal

import pytest

from vitviz.config import from_plain, parse_settings, to_plain, unknown_name
from vitviz.errors import Problem
from vitviz.training.deep_clustering_config import DeepClusteringConfig
from vitviz.training.methods import METHODS
from vitviz.training.presets import PRESETS, find_preset

CONFIGS = [method.config for method in METHODS.values()]
KINDS = (int, float, bool, str, Literal["red", "green"], Literal[1, 2, "three"])


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One field of every kind."""

    num_rounds: int = 3
    alpha: float = 0.01
    is_loud: bool = False
    title: str = "none yet"
    colour: Literal["red", "green"] = "red"
    size: Literal[1, 2] = 1
    limit: int | None = None
    widths: tuple[int, ...] = (8, 4)

    def __post_init__(self):
        if self.num_rounds < 0:
            raise Problem(f"num_rounds={self.num_rounds} must be at least 0")


def random_value(hint: object, draw: random.Random) -> object:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return random_value(draw.choice(args), draw)
    if hint is type(None):
        return None
    if origin is Literal:
        return draw.choice(args)
    if origin is tuple:
        return tuple(random_value(args[0], draw) for _ in range(draw.randint(0, 4)))
    makers = {
        int: lambda: draw.choice((1, 2, 4, 8)),
        float: lambda: draw.choice((0.5, 1e-3, draw.random() / 2 + 0.01)),
        bool: lambda: draw.random() < 0.5,
        str: lambda: draw.choice(("auto", "a b", "ünï, 1=2", "true", "7")),
    }
    return makers[hint]()


def random_config(config_class: type, draw: random.Random) -> object:
    hints = typing.get_type_hints(config_class)
    values = {field.name: random_value(hints[field.name], draw) for field in dataclasses.fields(config_class)}
    # numbers that others must divide, and lists of a certain length
    fitting = {"embed_dim": 64, "img_size": 64, "clustered_stages": (2, 3)}
    fitting |= {"embed_dims": (64, 64, 128, 8), "serial_depths": (1, 2, 4, 8), "mlp_ratios": (0.5, 1.0, 2.0, 4.5)}
    return config_class(**{**values, **{name: value for name, value in fitting.items() if name in values}})


def random_class(draw: random.Random) -> type:
    """A config class of up to eight fields of every kind a config may have."""
    fields = []
    for index in range(draw.randint(1, 8)):
        hint = draw.choice(KINDS)
        hint = draw.choice((hint, hint | None, tuple[hint, ...]))
        fields.append((f"setting_{index}", hint, dataclasses.field(default=random_value(hint, draw))))
    return make_dataclass("Random", fields, frozen=True, kw_only=True)


def having(names: str) -> list[tuple[type, str]]:
    """Every config class with every field of it that is among ``names`` (words)."""
    fields = {config_class: {field.name for field in dataclasses.fields(config_class)} for config_class in CONFIGS}
    return [(config_class, name) for config_class in CONFIGS for name in names.split() if name in fields[config_class]]


def as_words(config: object) -> list[str]:
    """The settings of ``config`` as one would type them after ``--set``."""
    words = []
    for name, value in to_plain(config).items():
        text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        words.append(f"{name.replace('_', '-')}={text}")
    return words


@pytest.mark.parametrize("config_class", [Sample, *CONFIGS])
@pytest.mark.parametrize("seed", range(20))
def test_a_config_survives_plain_values_json_and_the_command_line(config_class, seed):
    config = random_config(config_class, random.Random(seed))
    assert from_plain(config_class, to_plain(config)) == config
    assert from_plain(config_class, json.loads(json.dumps(to_plain(config), allow_nan=False))) == config
    assert from_plain(config_class, parse_settings(config_class, as_words(config))) == config


@pytest.mark.parametrize("seed", range(100))
def test_configs_of_any_fields_survive_json(seed):
    draw = random.Random(seed)
    config_class = random_class(draw)
    config = random_config(config_class, draw)
    assert from_plain(config_class, json.loads(json.dumps(to_plain(config)))) == config


@pytest.mark.parametrize("config_class", [Sample, *CONFIGS])
def test_missing_values_keep_their_defaults(config_class):
    assert from_plain(config_class, {}) == config_class()
    assert list(to_plain(config_class())) == [field.name for field in dataclasses.fields(config_class)]


@pytest.mark.parametrize("config_class", CONFIGS)
def test_configs_cannot_be_changed(config_class):
    with pytest.raises(dataclasses.FrozenInstanceError):
        config_class().seed = 1


@pytest.mark.parametrize(
    ("typed", "meant"), [("epoch", "epochs"), ("cluster_wieght", "cluster_weight"), ("Seed", "seed")]
)
def test_an_unknown_name_is_refused_with_the_nearest_one(typed, meant):
    with pytest.raises(Problem, match=f"unknown setting '{typed}'.*did you mean '{meant}'"):
        from_plain(DeepClusteringConfig, {typed: 1})
    with pytest.raises(Problem, match=f"did you mean '{meant}'"):
        parse_settings(DeepClusteringConfig, [f"{typed.replace('_', '-')}=1"])


def test_a_name_near_to_none_is_refused_with_all_there_are():
    assert "known: blue, red" in str(unknown_name("colour", "xyz", ["red", "blue"]))


def test_command_line_names_may_have_hyphens_or_underscores():
    expected = {"num_rounds": 7, "alpha": 0.5}
    assert parse_settings(Sample, ["num-rounds=7", "alpha = 0.5"]) == expected
    assert parse_settings(Sample, ["num_rounds= 7", "alpha=.5"]) == expected


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("num-rounds=1e3", 1000),
        ("num-rounds=-0", 0),
        ("num-rounds=12345678901234567890", 12345678901234567890),
        ("alpha=1", 1.0),
        ("alpha=1e-3", 0.001),
        ("is-loud=yes", True),
        ("is-loud=False", False),
        ("is-loud=OFF", False),
        ("title=a=b, c", "a=b, c"),
        ("title=None", "None"),
        ("limit=none", None),
        ("limit=", None),
        ("limit=5", 5),
        ("widths=256, 128", (256, 128)),
        ("widths=", ()),
        ("colour=green", "green"),
        ("size=2", 2),
    ],
)
def test_text_is_read_by_the_kind_of_its_setting(text, value):
    (found,) = parse_settings(Sample, [text]).values()
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("num_rounds", 1.5, "must be a whole number"),
        ("num_rounds", True, "must be a whole number"),
        ("num_rounds", "three", "must be a whole number"),
        ("num_rounds", None, "must be a whole number"),
        ("num_rounds", float("inf"), "must be a whole number"),
        ("num_rounds", [3], "must be a whole number"),
        ("num_rounds", -1, "must be at least 0"),
        ("alpha", "much", "must be a number"),
        ("alpha", False, "must be a number"),
        ("alpha", float("nan"), "must be a number"),
        ("alpha", "inf", "must be a number"),
        ("alpha", 10**400, "must be a number"),
        ("alpha", {}, "must be a number"),
        ("is_loud", 1, "must be true or false"),
        ("is_loud", "maybe", "must be true or false"),
        ("title", 5, "must be text"),
        ("colour", "blue", "choose one of red, green"),
        ("colour", ["red"], "choose one of red, green"),
        ("size", 3, "choose one of 1, 2"),
        ("size", True, "choose one of 1, 2"),
        ("limit", "few", "must be a whole number"),
        ("widths", 8, "must be a list"),
        ("widths", "88", "must be a list"),
        ("widths", [8, "wide"], "must be a whole number"),
    ],
)
def test_a_wrong_value_is_refused_with_its_name_and_the_rule(name, value, rule):
    with pytest.raises(Problem, match=rf"^{name}=.*{rule}"):
        from_plain(Sample, {name: value})


def test_a_setting_without_an_equals_sign_is_refused():
    with pytest.raises(Problem, match="--set alpha is not a setting"):
        parse_settings(Sample, ["alpha"])


@pytest.mark.parametrize(
    ("config_class", "name"), having("epochs batch_size epochs_per_round num_clusters num_restarts embed_dim depth")
)
def test_counts_below_one_are_refused(config_class, name):
    with pytest.raises(Problem, match=f"^{name}=0 must be at least 1"):
        from_plain(config_class, {name: 0})


@pytest.mark.parametrize(
    ("config_class", "name"), having("max_rounds cluster_weight lr round_lr weight_decay seed epsilon")
)
def test_negative_amounts_are_refused(config_class, name):
    with pytest.raises(Problem, match=rf"^{name}=-1.* must be at least 0"):
        from_plain(config_class, {name: -1})


@pytest.mark.parametrize("config_class", CONFIGS)
@pytest.mark.parametrize("fraction", [0, 1, -0.5, 1.5])
def test_a_held_out_fraction_that_leaves_nothing_is_refused(config_class, fraction):
    with pytest.raises(Problem, match="must lie between 0 and 1"):
        from_plain(config_class, {"held_out_fraction": fraction})


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ({"num_heads": 5}, "embed_dim=48 must be divisible by num_heads=5"),
        ({"num_heads": 0}, "num_heads=0 must be at least 1"),
        ({"patch_size": 0}, "patch_size=0 must be at least 1"),
        ({"drop_rate": 1.0}, "must be less than 1"),
        ({"drop_path_rate": 1.5}, "must be less than 1"),
    ],
)
def test_networks_that_cannot_be_are_refused(values, rule):
    with pytest.raises(Problem, match=rule):
        from_plain(DeepClusteringConfig, values)


def test_a_rule_holds_for_numbers_that_are_none():
    with pytest.raises(Problem, match="lr=nan must be at least 0"):
        DeepClusteringConfig(lr=float("nan"))


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_makes_a_config_of_its_method(name):
    preset = PRESETS[name]
    config = from_plain(METHODS[preset.method].config, preset.settings)
    changed = {key: getattr(config, key) for key in preset.settings}
    assert changed == {k: tuple(v) if isinstance(v, list) else v for k, v in preset.settings.items()}
    assert preset.title and preset.why


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_found_by_its_name_its_method_and_its_paper(name):
    preset = PRESETS[name]
    assert find_preset(name) is find_preset(name, preset.method) is find_preset(name, preset.paper) is preset


def test_a_preset_of_another_method_is_refused():
    with pytest.raises(Problem, match="preset 'digits' is one of deep_clustering, not of idec"):
        find_preset("digits", "idec")
    with pytest.raises(Problem, match="did you mean 'digits'"):
        find_preset("digit")
