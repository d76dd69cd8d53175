"""Two gloo processes come to the numbers of one: in float64 to rounding, whatever the batch is made of."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from vitviz.ranks import SOLO, Ranks
from vitviz.training.shared_batch_norm import SharedBatchNorm2d, average_over, share_batch_norm

ROOT = Path(__file__).resolve().parents[2]
_SPEC = importlib.util.spec_from_file_location("ranks_worker", Path(__file__).parent / "ranks_worker.py")
ranks_worker = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(ranks_worker)


@pytest.fixture(scope="module")
def alone() -> dict[str, np.ndarray]:
    return ranks_worker.results(SOLO)


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> dict[str, np.ndarray]:
    out = tmp_path_factory.mktemp("pair") / "found.npz"
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = [*launch, ranks_worker.__file__, str(out)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    with np.load(out) as found:
        return dict(found)


def difference(pair, alone, case: str) -> float:
    names = [name for name in alone if name.startswith(f"{case}/")]
    assert names and set(pair) == set(alone)
    return max(float(np.abs(pair[name] - alone[name]).max()) for name in names)


@pytest.mark.parametrize("case", ranks_worker.CASES)
def test_in_float64_parameters_buffers_and_losses_agree_to_rounding(pair, alone, case):
    assert difference(pair, alone, case) < 1e-12


def test_in_float32_they_agree_to_a_few_digits_less(pair, alone):
    assert 0 < difference(pair, alone, "float32") < 1e-3


def test_k_means_gives_everybody_the_same_cluster(pair, alone):
    assert np.array_equal(pair["kmeans/labels"], alone["kmeans/labels"])
    assert difference(pair, alone, "kmeans") < 1e-12


def test_the_cases_differ_so_that_none_passes_for_another(alone):
    finals = [float(alone[f"{case}/loss.1"]) for case in ranks_worker.CASES]
    assert len(set(finals)) == len(finals)


def test_alone_a_batch_norm_stays_the_one_it_is():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    assert type(share_batch_norm(model, SOLO)[1]) is nn.BatchNorm2d


def test_a_shared_batch_norm_keeps_names_parameters_and_what_it_does_when_it_is_alone_or_evaluates():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    names, parameters = list(model.state_dict()), list(model.parameters())
    x = torch.randn(5, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    wanted = model(x).detach()
    shared = share_batch_norm(model, Ranks(0, 2))
    assert isinstance(shared[1], SharedBatchNorm2d) and list(shared.state_dict()) == names
    assert all(one is other for one, other in zip(shared.parameters(), parameters, strict=True))
    average_over(shared, SOLO)
    assert torch.equal(shared(x), wanted)
    average_over(shared, Ranks(0, 2))
    assert shared.eval()(x).shape == wanted.shape  # asks nobody
