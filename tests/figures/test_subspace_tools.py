"""Figures of the tools: a number in every bar, chance beside it, and every control drawn."""

from types import SimpleNamespace

import numpy as np

from vitviz.figures.subspace_tools import block_strengths, channel_energy, equaliser_scores


def test_every_block_has_its_number_its_colour_and_its_chance():
    found = SimpleNamespace(share=np.array([0.5, 1.0]), chance=np.array([0.25, 0.75]), sizes=np.array([3, 9]))
    figure = block_strengths(found, names=["cluster 0", "<b>1"], colors=["#111111", "#222222"])
    bars, chance = figure.data
    assert list(bars.text) == ["50.0%", "100.0%"] and list(bars.marker.color) == ["#111111", "#222222"]
    assert list(bars.y) == list(chance.y) == ["cluster 0", "&lt;b&gt;1"]
    assert list(chance.x) == [0.25, 0.75]


def test_the_equaliser_draws_the_setting_and_both_controls():
    chosen, trained = {"ACC": 0.4, "NMI": 0.5}, {"ACC": 0.9, "NMI": 0.8}
    figure = equaliser_scores(chosen, trained, {"ACC": [0.1, 0.3], "NMI": [0.2, 0.6]})
    drawn = {trace.name: list(trace.x) for trace in figure.data[2:]}
    assert drawn == {"as trained": [0.9, 0.8], "your setting": [0.4, 0.5]}
    assert [list(trace.x) for trace in figure.data[:2]] == [[0.1, 0.3], [0.2, 0.6]]
    assert sum(bool(trace.showlegend) for trace in figure.data[:2]) == 1


def test_the_energy_of_every_channel_is_drawn_twice():
    figure = channel_energy(np.array([0.2, 0.8]), np.array([0.5, 0.5]))
    assert {trace.name: list(trace.y) for trace in figure.data} == {
        "as trained": [0.5, 0.5],
        "your setting": [0.2, 0.8],
    }
