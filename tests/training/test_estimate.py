"""How long a run will take: the method itself, trained for a moment on a part of its images, in a folder that is thrown away."""

import dataclasses

import pytest

from vitviz.config import to_plain
from vitviz.errors import Problem
from vitviz.runs.folder import list_runs, own_root
from vitviz.training.estimate import Estimate, estimate, shorten, tell
from vitviz.training.methods import METHODS, config_of
from vitviz.training.planned_records import count_records, planned_records


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_estimated_and_leaves_no_run_behind(tiny, method):
    found = estimate(method, tiny(method))
    assert 0 < found.seconds[0] < found.seconds[1] < 600
    assert 50e6 < found.memory[0] < found.memory[1] < 20e9
    assert found.found[0].startswith("200 of 1,797 images") and "on " in found.basis
    assert list_runs() == [] and not own_root().exists()


def test_a_longer_run_on_more_images_is_estimated_longer(tiny):
    counts = ((200, 2), (1000, 200), (1000, 2000))
    short, long, longest = (estimate("deep_clustering", tiny(limit=limit, epochs=epochs)) for limit, epochs in counts)
    assert short.seconds[1] < long.seconds[1] < longest.seconds[1]
    assert longest.seconds[0] - 3 > 2 * (long.seconds[0] - 3) > 10 * (short.seconds[0] - 3)


def test_what_keeps_a_run_from_being_trained_keeps_it_from_being_estimated(tiny):
    with pytest.raises(Problem, match="did you mean 'digits'"):
        estimate("deep_clustering", tiny(dataset="digit"))
    with pytest.raises(Problem, match="num_clusters=500 must be at most the number of points"):
        estimate("deep_clustering", tiny(num_clusters=500))


@pytest.mark.parametrize("method", METHODS)
def test_the_short_form_is_the_same_network_on_the_same_images(tiny, method):
    config = tiny(method)
    changed = {name for name, value in to_plain(shorten(config, 100)).items() if value != to_plain(config)[name]}
    assert changed <= {
        "limit",
        "epochs",
        "extra_epochs",
        "gate",
        "max_rounds",
        "epochs_per_round",
        "stop_rule",
        "num_steps",
        "warmup_epochs",
    }


def test_it_is_told_in_four_sentences():
    told = tell(Estimate(seconds=(40.0, 200.0), memory=(5e8, 1.5e9), found=("5 of 9 images",), basis="measured"))
    assert told[0] == "Images: 5 of 9 images."
    assert (
        told[1].startswith("Time: 40 s where nothing else runs, to 3 min on a machine as busy")
        and told[2] == "Memory: 0.5 to 1.5 GB."
    )
    assert told[3] == "Basis: measured."


# How many records


@pytest.mark.parametrize("method", METHODS)
def test_a_run_yields_as_many_records_of_every_kind_as_planned(train, method):
    run = train("counted", method)
    plan = planned_records(config_of(run))
    for kind, (least, most) in plan.items():
        assert least <= len([record for record in run.metrics() if record["kind"] == kind]) <= most
    assert len(run.metrics()) <= count_records(config_of(run))


@pytest.mark.parametrize(
    ("changes", "epochs", "rounds"),
    [
        ({}, (4, 4), (3, 3)),
        ({"stop_rule": "relative", "max_rounds": 9}, (4, 11), (3, 10)),
        ({"stop_rule": "absolute", "max_rounds": 9}, (3, 11), (2, 10)),
        ({"stop_rule": "relative", "max_rounds": 1}, (3, 3), (2, 2)),
        ({"extra_epochs": 5}, (4, 9), (3, 3)),
        ({"extra_epochs": 5, "gate": False}, (4, 4), (3, 3)),
        ({"start": "reinitialise"}, (6, 6), (3, 3)),
        ({"max_rounds": 0}, (2, 2), (1, 1)),
    ],
    ids=str,
)
def test_records_are_counted_from_the_earliest_stop_to_the_end(tiny, changes, epochs, rounds):
    assert planned_records(dataclasses.replace(tiny(), **changes)) == {"epoch": epochs, "round": rounds}


def test_a_run_that_begins_anew_in_every_round_is_counted(train):
    run = train("anew", start="reinitialise")
    assert len(run.metrics()) == count_records(config_of(run)) == 9
