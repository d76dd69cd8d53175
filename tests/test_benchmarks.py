"""The benchmarks of GPUs and of several processes: they run on any machine, and their tables say what they hold."""

import pytest
import torch

from benchmarks import gpu, ranks

CPU = torch.device("cpu")


def test_a_network_is_measured_on_a_cpu_too(capsys):
    figures = gpu.measure("autoencoder", CPU, compile_it=False, num_steps=1, num_turns=1)
    assert [figure.work for figure in figures] == ["training", "embedding"]
    assert all(figure.images_per_second > 0 and figure.share > 0 for figure in figures)
    gpu.print_table(figures, "CPU, of a test")
    machine, head, *lines = capsys.readouterr().out.splitlines()
    assert machine == "CPU, of a test" and head.split()[0] == "network" and len(lines) == 2
    assert all("autoencoder" in line and "%" in line for line in lines)


@pytest.mark.parametrize("network", ["digits", "autoencoder"])
def test_the_work_of_a_network_is_that_of_its_products(network):
    about = gpu.NETWORKS[network]
    model = about.build()
    flops = gpu._flops(model, about, CPU)
    tokens = (about.img_size // about.config.patch_size) ** 2 + 1 if network == "digits" else 1
    linear = sum(2 * layer.weight.numel() for layer in model.modules() if isinstance(layer, torch.nn.Linear))
    # every token passes the linear layers, but for the head; attention and the patches come on top
    assert 0.9 * linear * tokens < flops["embedding"] < 1.3 * linear * tokens
    assert 2 * flops["embedding"] < flops["training"] <= 3 * flops["embedding"]


def test_the_table_of_processes_shows_medians_and_the_median_gain_of_a_turn():
    first, pair, threads = map(str, ranks.TEAMS)
    speeds = {first: [10.0, 20.0, 30.0], pair: [20.0, 20.0, 90.0], threads: [5.0, 10.0, 15.0]}
    head, row = ranks.table({"training": speeds})
    assert head[0] == "work" and head[1].startswith("1 process x 1 thread,") and len(head) == len(row) == 6
    assert row == ("training", "20", "20", "10", "2.00x", "0.50x")
