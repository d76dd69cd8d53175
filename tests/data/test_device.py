import pytest
import torch

from vitviz.data import device as devices
from vitviz.data.device import describe_device, gains_from_bfloat16, pick_device
from vitviz.errors import Problem


@pytest.fixture
def only(monkeypatch):
    """``only(cuda=2)``: pretend that the machine has these devices beside its CPU."""

    def pretend(**counts):
        monkeypatch.setattr(devices, "_count_devices", lambda kind: {"cpu": 1, **counts}.get(kind, 0))

    return pretend


@pytest.mark.parametrize(("counts", "expected"), [({}, "cpu"), ({"mps": 1}, "mps"), ({"mps": 1, "cuda": 1}, "cuda")])
def test_auto_takes_cuda_before_mps_before_the_cpu(only, counts, expected):
    only(**counts)
    assert pick_device().type == expected


@pytest.mark.parametrize("name", ["cuda", "mps", "cuda:7", "toaster", "meta"])
def test_a_device_that_is_not_there_is_named_with_the_choices(only, name):
    only()
    with pytest.raises(Problem, match=f"device '{name}' cannot be used.*choose auto, cpu"):
        pick_device(name)


def test_an_index_beyond_the_last_device_is_refused(only):
    only(cuda=2)
    assert pick_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(Problem, match="this machine has 2 cuda devices"):
        pick_device("cuda:2")


def test_the_cpu_is_described_with_its_threads():
    words = describe_device(torch.device("cpu"))
    assert words.startswith("CPU, ") and words.endswith(f"{torch.get_num_threads()} threads")


@pytest.mark.parametrize(("gain", "expected"), [(1.1, False), (1.2, True)])
def test_bfloat16_is_used_on_a_cpu_from_a_gain_of_1_15(monkeypatch, gain, expected):
    monkeypatch.setattr(devices, "_cpu_bfloat16_gain", lambda: gain)
    assert gains_from_bfloat16(torch.device("cpu")) is expected


def test_the_cpu_is_timed_once_and_the_gain_is_a_positive_number():
    devices._cpu_bfloat16_gain.cache_clear()
    first = devices._cpu_bfloat16_gain()
    assert first > 0 and devices._cpu_bfloat16_gain() == first
    assert devices._cpu_bfloat16_gain.cache_info().hits == 1


@pytest.mark.parametrize(("capability", "expected"), [((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_bfloat16_is_used_on_cuda_from_capability_8(monkeypatch, capability, expected):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert gains_from_bfloat16(torch.device("cuda")) is expected
