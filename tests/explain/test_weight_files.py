"""Files of weights: two formats arrive as tensors, everything else is one sentence, and nothing in a file is ever run."""

import copy
import io
import pickle
import zipfile
from collections.abc import Callable

import numpy as np
import pytest
import torch
from safetensors.torch import save
from torch import nn

from vitviz.errors import Problem
from vitviz.explain import weight_files
from vitviz.explain.weight_files import read_weights

TENSORS = {
    "norm.weight": torch.arange(6.0),
    "blocks.0.weight": torch.linspace(-1, 1, 12).reshape(3, 4).half(),
    "count": torch.tensor(7),
}


def torch_file(content: object, **settings) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, **settings)
    return file.getvalue()


def rewritten(content: bytes, change: Callable[[str, bytes], bytes] = lambda name, held: held, **settings) -> bytes:
    """The archive's members written again, each as ``change`` makes it."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(file, "w", **settings) as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    return file.getvalue()


def equal(found: dict, wanted: dict) -> bool:
    return found.keys() == wanted.keys() and all(
        found[key].dtype == value.dtype and torch.equal(found[key], value) for key, value in wanted.items()
    )


@pytest.mark.parametrize("make", [save, torch_file])
def test_tensors_arrive_as_they_were_saved(make, tmp_path):
    content = make(TENSORS)
    (tmp_path / "own.bin").write_bytes(content)
    assert equal(read_weights(content), TENSORS)
    assert equal(read_weights(tmp_path / "own.bin"), TENSORS)


def test_nested_dictionaries_become_dotted_names_and_what_is_no_tensor_is_left_out():
    model = nn.Linear(2, 3)
    content = {
        "epoch": 12,
        "lr": [0.1, 0.2],
        "teacher": {"backbone": dict(TENSORS)},
        "state_dict": model.state_dict(),
        "optimizer": {"state": {0: {"exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 0.1}]},
        "best": nn.Parameter(torch.ones(2)),
    }
    wanted = {f"teacher.backbone.{key}": value for key, value in TENSORS.items()}
    wanted |= {f"state_dict.{key}": value for key, value in model.state_dict().items()}
    found = read_weights(torch_file(content))
    assert equal(found, {**wanted, "best": torch.ones(2)})
    assert not any(value.requires_grad for value in found.values())


def test_a_dictionary_in_two_places_is_read_once():
    shared = {"weight": torch.ones(2)}
    assert list(read_weights(torch_file({"a": shared, "b": shared}))) == ["a.weight"]


class Trap:
    opened = False

    def __reduce__(self):
        return (setattr, (Trap, "opened", True))


def test_the_trap_of_the_next_test_is_one():
    try:
        pickle.loads(pickle.dumps(Trap()))
        assert Trap.opened
    finally:
        Trap.opened = False


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (lambda: torch_file({"weight": torch.ones(2), "more": Trap()}), "setattr, which is code to run"),
        (lambda: torch_file(Trap(), pickle_protocol=4), "more than tensors"),
        (lambda: torch_file(Trap(), _use_new_zipfile_serialization=False), "pickle: opening one can run code"),
        (lambda: pickle.dumps(Trap()), "pickle: opening one can run code"),
        (lambda: pickle.dumps(Trap(), protocol=0), "nor one that torch.save wrote"),
        (lambda: b"PK\0\0" + pickle.dumps(Trap()), "pickle: opening one can run code"),
    ],
)
def test_a_pickle_that_would_run_code_is_refused_and_runs_nothing(content, words):
    with pytest.raises(Problem, match=words):
        read_weights(content())
    assert not Trap.opened


def test_what_a_pickle_would_call_is_refused_before_torch_sees_it(monkeypatch):
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("torch.load was called"))
    with pytest.raises(Problem, match="setattr"):
        read_weights(torch_file(Trap()))


def test_torch_is_told_to_load_weights_only(monkeypatch):
    asked = {}
    monkeypatch.setattr(torch, "load", lambda file, **settings: asked.update(settings) or {"weight": torch.ones(2)})
    read_weights(torch_file(TENSORS))
    assert asked["weights_only"] is True and asked["map_location"] == "cpu"


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (nn.Linear(2, 2), "torch.nn.modules.linear.Linear"),
        (torch.eye(3).to_sparse(), "_rebuild_sparse_tensor"),
        (torch.zeros(3, device="meta"), "_rebuild_meta_tensor_no_storage"),
        (np.float64(1.5), "numpy"),
    ],
    ids=["a whole model", "sparse", "meta", "numpy"],
)
def test_what_is_more_than_dense_tensors_is_refused_by_its_name(value, name):
    with pytest.raises(Problem, match=f"beside tensors there is .*{name}.*; save its state_dict alone"):
        read_weights(torch_file({"weight": value}))


def test_a_tensor_that_claims_more_numbers_than_are_stored_is_refused():
    with pytest.raises(Problem, match="weight claims more numbers than are stored"):
        read_weights(torch_file({"weight": torch.zeros(1).expand(10**12)}))


def test_a_compressed_archive_is_refused_before_it_is_unpacked():
    bomb = rewritten(torch_file({"weight": torch.zeros(4_000_000)}), compression=zipfile.ZIP_DEFLATED)
    assert len(bomb) < 100_000
    with pytest.raises(Problem, match=r"compressed, which torch\.save never does"):
        read_weights(bomb)


def test_an_archive_whose_members_lie_over_each_other_is_refused():
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(torch_file(TENSORS))) as old, zipfile.ZipFile(file, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name) + bytes(1000) * (name == "archive/data/0"))
        large = next(member for member in new.filelist if member.filename == "archive/data/0")
        for number in range(10, 20):
            again = copy.copy(large)
            again.filename = f"archive/data/{number}"
            new.filelist.append(again)
    with pytest.raises(Problem, match="unpacked it is larger than the file"):
        read_weights(file.getvalue())


@pytest.mark.parametrize(
    "content",
    [
        rewritten(torch_file(TENSORS)) + b"\0" * 30,
        rewritten(torch_file(TENSORS))[:-30],
        rewritten(torch_file(TENSORS), lambda name, held: held[:-1] if name.endswith("data/1") else held),
        rewritten(torch_file(TENSORS), lambda name, held: held[:60] if name.endswith("data.pkl") else held),
    ],
    ids=["something follows", "the end is missing", "a tensor is cut", "the list is cut"],
)
def test_a_damaged_archive_is_one_sentence(content):
    with pytest.raises(
        Problem, match=r"could not be read: (the archive|its list of contents) is damaged|torch\.save wrote"
    ):
        read_weights(content)


@pytest.mark.parametrize("content", [b"", b"{}", b"not weights at all", b"\xff" * 64, b"\x02\0\0\0\0\0\0\0[]"])
def test_a_file_that_is_no_weights_is_refused(content):
    with pytest.raises(Problem, match=r"not a safetensors file, nor one that torch\.save wrote"):
        read_weights(content)


def test_a_damaged_or_empty_safetensors_file_is_one_sentence():
    with pytest.raises(Problem, match="begins as a safetensors file, but is damaged"):
        read_weights(save(TENSORS)[:-3])
    with pytest.raises(Problem, match="there are no tensors with names"):
        read_weights(save({}))


def test_a_header_of_megabytes_is_refused():
    header = b"{}".ljust(2**20 + 8)
    with pytest.raises(Problem, match=r"header of 1\.0 MiB"):
        read_weights(len(header).to_bytes(8, "little") + header)


@pytest.mark.parametrize("length", [0x4280, 0x4B50])
def test_a_safetensors_file_whose_first_bytes_look_like_a_pickle_is_read(length):
    content = save(TENSORS)
    start = 8 + int.from_bytes(content[:8], "little")
    padded = length.to_bytes(8, "little") + content[8:start].rstrip().ljust(length) + content[start:]
    assert padded.startswith((b"\x80", b"PK"))
    assert equal(read_weights(padded), TENSORS)


@pytest.mark.parametrize("make", [save, torch_file])
def test_sizes_are_bounded(make, monkeypatch, tmp_path):
    content = make(TENSORS)
    (tmp_path / "large.pth").write_bytes(content)
    monkeypatch.setattr(weight_files, "MAX_TENSORS", 2)
    with pytest.raises(Problem, match="more than 2 tensors"):
        read_weights(content)
    monkeypatch.setattr(weight_files, "MAX_BYTES", len(content) - 1)
    with pytest.raises(Problem, match=r"large\.pth cannot be opened: .* GiB, at most"):
        read_weights(tmp_path / "large.pth")


@pytest.mark.parametrize("make", [save, torch_file])
def test_a_name_without_end_is_refused(make):
    with pytest.raises(Problem, match="name is longer than 500 characters"):
        read_weights(make({"a." * 300: torch.ones(1)}))


def test_a_path_that_leads_nowhere_is_named(tmp_path):
    with pytest.raises(Problem, match=r"gone\.pth could not be read"):
        read_weights(tmp_path / "gone.pth")


@pytest.mark.parametrize("make", [save, torch_file])
def test_whatever_bytes_change_the_answer_is_tensors_or_one_sentence(make):
    rng, content = np.random.default_rng(0), make(TENSORS)
    refused = 0
    for _ in range(150):
        changed = bytearray(content)
        for place in rng.integers(0, len(content), 3):
            changed[place] = rng.integers(0, 256)
        try:
            read_weights(bytes(changed))
        except Problem:
            refused += 1
    assert refused > 10
