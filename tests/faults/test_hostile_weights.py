"""Checkpoints and settings that were made to do harm: tensors that can be computed with or one sentence, and nothing is run."""

import io
import json
import pickle
import shutil
import socket
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save

from vitviz.config import from_plain
from vitviz.errors import Problem
from vitviz.explain.opened_models import load_run_model
from vitviz.explain.timm_configs import arguments_of
from vitviz.explain.timm_models import load_model_by_name
from vitviz.explain.weight_files import read_weights
from vitviz.explain.weight_keys import fit_weights, load_fit
from vitviz.runs.folder import find_run, own_root, shipped_root
from vitviz.training.methods import METHODS

NUM_QUICK, NUM_FULL = 300, 3_000
QUICK_CONFIGS, FULL_CONFIGS = 100, 500
KNOWN = ("vit_tiny_patch16_224", "deit_small_patch16_224", "swin_tiny_patch4_window7_224")


class Trap:
    """What a pickle may ask for: on loading it, ``opened`` becomes true."""

    opened = False

    def __reduce__(self):
        return setattr, (Trap, "opened", True)


@pytest.fixture(autouse=True)
def nothing_is_run_and_nobody_asked(monkeypatch):
    """No test may open the trap or the network."""
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("the network was touched"))
    yield
    assert not Trap.opened


def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.LayerNorm(5), torch.nn.Linear(5, 3))


def torch_file(content: object, **settings) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, **settings)
    return file.getvalue()


def rewritten(content: bytes, change: Callable[[str, bytes], bytes], **settings) -> bytes:
    """The archive's members written again, each as ``change`` makes it."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(file, "w", **settings) as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    return file.getvalue()


def with_pickle(old: bytes, new: bytes) -> bytes:
    """A file of ten numbers whose list of contents says ``new`` where it said ``old``."""

    def change(name: str, held: bytes) -> bytes:
        if not name.endswith("data.pkl"):
            return held
        assert old in held
        return held.replace(old, new)

    return rewritten(torch_file({"0.weight": torch.zeros(10)}), change)


def safetensors_file(header: dict[str, Any], data: bytes) -> bytes:
    packed = json.dumps(header).encode()
    return len(packed).to_bytes(8, "little") + packed + data


def same_numbers_twice() -> bytes:
    parts = {name: {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]} for name in ("a", "b")}
    return safetensors_file(parts, bytes(16))


def one_tensor(**changes: Any) -> bytes:
    return safetensors_file({"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16], **changes}}, bytes(16))


CRAFTED: dict[str, Callable[[], bytes]] = {
    "code in a pickle": lambda: torch_file({"0.weight": torch.ones(2), "more": Trap()}),
    "code by a newer opcode": lambda: torch_file(Trap(), pickle_protocol=4),
    "code in an old file": lambda: torch_file(Trap(), _use_new_zipfile_serialization=False),
    "code without an archive": lambda: pickle.dumps(Trap()),
    "a sparse tensor": lambda: torch_file({"0.weight": torch.eye(3).to_sparse()}),
    "a tensor of no storage": lambda: torch_file({"0.weight": torch.zeros(3, device="meta")}),
    "a number repeated a trillion times": lambda: torch_file({"0.weight": torch.zeros(1).expand(10**12)}),
    "a size of a billion": lambda: with_pickle(b"K\x0a\x85", b"J\x00\x00\x00\x40\x85"),
    "a storage of a billion": lambda: with_pickle(b"K\x0at", b"J\x00\x00\x00\x40t"),
    "a place before the storage": lambda: with_pickle(b"QK\x00K\x0a\x85", b"QJ\xff\xff\xff\xffK\x0a\x85"),
    "an archive that inflates": lambda: rewritten(
        torch_file({"0.weight": torch.zeros(4_000_000)}), lambda _, held: held, compression=zipfile.ZIP_DEFLATED
    ),
    "a safetensors header of a megabyte": lambda: (2**20 + 8).to_bytes(8, "little") + b"{}".ljust(2**20 + 8),
    "two tensors in one place": same_numbers_twice,
    "a shape that overflows": lambda: one_tensor(shape=[2**32, 2**32]),
    "numbers behind the end": lambda: one_tensor(data_offsets=[0, 2**40], shape=[2**38]),
}


def outcome(content: bytes) -> str:
    """What became of a file: ``"used"`` when its tensors were computed with, else the sentence. Only a Problem is caught."""
    model = network()
    try:
        tensors = read_weights(content, "it.bin")
        fit = fit_weights(model, tensors)
        load_fit(model, fit)
    except Problem as problem:
        sentence = str(problem)
    else:
        assert all(parameter.isfinite().all() for parameter in model.parameters())
        assert model(torch.ones(2, 6)).shape == (2, 3)  # numbers that are finite and huge may still overflow in it
        assert all(len(one.reshape(-1).tolist()) == one.numel() for one in tensors.values())  # every number is there
        return "used"
    assert "\n" not in sentence
    return sentence


def originals() -> list[bytes]:
    state = network().state_dict()
    return [save(state), torch_file(state), torch_file({"epoch": 3, "model": dict(state), "optimizer": {"lr": [0.1]}})]


def test_the_trap_is_one_and_a_good_file_is_used():
    try:
        pickle.loads(pickle.dumps(Trap()))
        assert Trap.opened
    finally:
        Trap.opened = False
    assert [outcome(content) for content in originals()] == ["used"] * 3


@pytest.mark.parametrize("name", CRAFTED)
def test_a_crafted_checkpoint_is_one_sentence(name):
    assert outcome(CRAFTED[name]()).startswith(("it.bin ", "the weights "))


def test_mutated_checkpoints_are_computed_with_or_one_sentence(mutants):
    found = Counter(outcome(content) for content in mutants(originals(), NUM_QUICK, seed=0))
    assert found["used"] > 10 and len(found) > 5


@pytest.mark.full
def test_three_thousand_mutated_checkpoints(mutants, tell):
    found = Counter(outcome(content) for content in mutants(originals(), NUM_FULL, seed=1))
    tell(f"{NUM_FULL:,} mutated checkpoints: {found['used']:,} used, {NUM_FULL - found['used']:,} sentences, 0 escapes")
    assert found["used"] > 100


NAMES = (
    *("local-dir:/etc", "local-dir:../vit", "hf_hub:timm/vit", "https://evil.example/vit", "timm/vit:latest", "a:b"),
    *("hf-hub:../vit", "hf-hub:evil.example:80/vit", "../vit_tiny_patch16_224", "vit_tiny_patch16_224:x", ""),
)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_is_an_address_is_no_model(name):
    with pytest.raises(Problem, match=r"names no model of the hub|timm has no ViT named"):
        load_model_by_name(name, pretrained=not name.startswith("hf-hub:"), download=True)


# Settings


ODD = (
    *(None, True, 0, 1, -1, 2**31, 2**64, 10**400, 1e308, -0.5, float("nan"), "", "a:b", "hf-hub:x/y", "../../etc"),
    *([], [1, 2, 3], {}, {"a": 1}, [[[]]], "vit_tiny_patch16_224", "\x00", "sigmoid", [3, 10**9, 10**9], [0, 0, 0]),
)
HUB_KEYS = ("architecture", "num_classes", "model_args", "pretrained_cfg", "url", "_target_", "tokenizer", "auto_map")
ARGUMENTS = ("img_size", "global_pool", "num_classes", "depth", "embed_dim", "patch_size", "weight_init", "act_layer")
FEEDING = ("mean", "std", "crop_pct", "crop_mode", "interpolation", "input_size", "url", "file", "custom_load")


def hub_config(random: np.random.Generator) -> dict[str, Any]:
    def some(names: tuple[str, ...], share: float) -> dict[str, Any]:
        return {name: ODD[random.integers(len(ODD))] for name in names if random.random() < share}

    config = some(HUB_KEYS, 0.2)
    if random.random() < 0.8:
        config["architecture"] = KNOWN[random.integers(len(KNOWN))]
    if random.random() < 0.6:
        config["model_args"] = some(ARGUMENTS, 0.15) | {"img_size": int(random.choice([-1, 8, 16, 224, 1024, 1025]))}
    if random.random() < 0.6:
        config["pretrained_cfg"] = some(FEEDING, 0.2)
    return config


def check_hub_config(seed: int) -> str:
    config = hub_config(np.random.default_rng(seed))
    try:
        name, arguments = arguments_of(config, KNOWN)
    except Problem as problem:
        sentence = str(problem)
    else:
        assert name in KNOWN and ":" not in name
        assert set(arguments) <= {"num_classes", "img_size", "global_pool", "pretrained_cfg_overlay"}
        assert 16 <= arguments.get("img_size", 16) <= 1024 and 0 <= arguments.get("num_classes", 0) <= 50_000
        return "valid"
    assert "\n" not in sentence and len(sentence) < 400
    return sentence


def run_settings(method: str, random: np.random.Generator) -> dict[str, Any]:
    """The method's own defaults, of which some became another value, a hundredfold, or got an unknown neighbour."""
    names = list(METHODS[method].config.__dataclass_fields__)
    settings = {}
    for name in names:
        if random.random() < 0.08:
            settings[name] = ODD[random.integers(len(ODD))]
        elif random.random() < 0.03:
            settings[name] = int(random.choice([2, 7, 64, 100, 4096, 10**6]))
    return settings | ({"depht": 3} if random.random() < 0.1 else {})


def check_run_settings(seed: int) -> str:
    method = list(METHODS)[seed % len(METHODS)]
    settings = run_settings(method, np.random.default_rng(seed))
    try:
        config = from_plain(METHODS[method].config, settings)
    except Problem as problem:
        sentence = str(problem)
    else:
        assert getattr(config, "depth", 1) <= 48 and getattr(config, "embed_dim", 1) <= 2**16
        return "valid"
    assert "\n" not in sentence
    return sentence


@pytest.mark.parametrize("check", [check_hub_config, check_run_settings])
def test_generated_configs_are_valid_or_one_sentence(check):
    found = Counter(check(seed) for seed in range(QUICK_CONFIGS))
    assert 5 < found["valid"] < QUICK_CONFIGS - 5


@pytest.mark.full
@pytest.mark.parametrize("check", [check_hub_config, check_run_settings])
def test_five_hundred_generated_configs(check, tell):
    found = Counter(check(seed) for seed in range(1000, 1000 + FULL_CONFIGS))
    tell(f"{check.__name__}: {found['valid']} of {FULL_CONFIGS} configs valid, the rest {len(found) - 1} sentences")
    assert found["valid"] > 20


# Run folders of others


@pytest.fixture
def foreign(tmp_path) -> Path:
    """A shipped run, copied to where own runs are."""
    own_root().mkdir(parents=True)
    return Path(shutil.copytree(shipped_root() / "digits-unsupervised", own_root() / "foreign"))


CHANGED_SETTINGS = (
    {"hidden": [10_000_000]},
    {"input_size": 100_000},
    {"embed_dim": 11},
    {"unheard_of": 1},
    {"hidden": "wide"},
)


@pytest.mark.parametrize("changes", CHANGED_SETTINGS, ids=str)
def test_a_run_whose_settings_are_not_those_of_its_weights_is_one_sentence(foreign, changes):
    from vitviz.training.idec import embed_with

    record = json.loads((foreign / "run.json").read_text())
    record["settings"] |= changes
    (foreign / "run.json").write_text(json.dumps(record))
    with pytest.raises(Problem):
        embed_with(find_run("foreign"), 0, np.zeros((2, 32, 32, 3), np.uint8))


def test_mutated_descriptions_of_a_run_are_read_or_one_sentence(foreign, mutants):
    path, found = foreign / "run.json", Counter()
    for content in mutants([path.read_bytes()], NUM_QUICK, seed=0):
        path.write_bytes(content)
        try:
            found[find_run("foreign").description().method] += 1
            with pytest.raises(Problem):  # an autoencoder has no attention
                load_run_model(find_run("foreign"))
        except Problem:
            found["sentence"] += 1
    assert found["sentence"] > 50 and found["idec"] > 3
