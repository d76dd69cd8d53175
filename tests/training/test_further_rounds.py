"""A further round for a finished run: the same as if it had been asked for from the beginning, and written down."""

import shlex

import numpy as np
import pytest

from vitviz.__main__ import main
from vitviz.errors import Problem
from vitviz.runs.export import export_folder
from vitviz.runs.folder import Run, own_root
from vitviz.training.drive import drive
from vitviz.training.further_rounds import add_rounds, check_can_go_further

pytestmark = pytest.mark.usefixtures("same_signals")


@pytest.fixture
def whole(train) -> Run:
    """The tiny run with three rounds after the first instead of two."""
    return train("whole", max_rounds=3)


def test_a_round_that_is_added_is_the_one_that_a_longer_run_has(own_copy, whole, content_of):
    before = [content_of(own_copy)[f"rounds/{index:03d}/labels.npy"] for index in range(3)]
    add_rounds(own_copy, 1)
    drive(Run(own_copy.path))
    longer = Run(own_copy.path)
    assert longer.num_rounds() == 4 and longer.status().state == "finished"
    assert content_of(longer) == content_of(whole)
    assert [content_of(longer)[f"rounds/{index:03d}/labels.npy"] for index in range(3)] == before


def test_what_changed_is_written_down_and_the_command_makes_the_longer_run(own_copy, whole):
    old = own_copy.description()
    add_rounds(own_copy, 1)
    about = Run(own_copy.path).description()
    changed = {key for key in about.settings if about.settings[key] != old.settings[key]}
    assert changed == {"max_rounds"} and about.settings["max_rounds"] == 3
    assert about.notes[:-1] == old.notes and about.notes[-1].startswith("round 3 was added on ")
    assert "max_rounds 2 -> 3" in about.notes[-1]


def test_a_stop_rule_gives_way_and_that_is_noted(train):
    run = train("stops", stop_rule="absolute", epsilon=1e9, max_rounds=5)
    assert run.num_rounds() == 2
    add_rounds(run, 2)
    drive(Run(run.path))
    longer = Run(run.path)
    assert longer.num_rounds() == 4
    assert "rounds 2 to 3 were added" in longer.description().notes[-1]
    assert "stop_rule absolute -> max_rounds" in longer.description().notes[-1]


def test_a_run_without_a_resume_point_goes_on_from_its_weights(own_copy, whole, content_of):
    export_folder(own_copy, own_root() / "handed-on")
    handed = Run(own_root() / "handed-on")
    assert not handed.has_resume_point()
    assert main(["train", "deep_clustering", "--run", "handed-on", "--more-rounds", "1", "--no-control"]) == 0
    assert Run(handed.path).num_rounds() == 4
    last = Run(handed.path).round(3)
    assert np.array_equal(last.embeddings, whole.round(3).embeddings)
    assert np.array_equal(last.matched_labels, whole.round(3).matched_labels)


def test_the_command_names_the_run_and_each_setting_once(capsys):
    words = "--set limit=200 --set patch-size=16 --set embed-dim=16 --set depth=1 --set epochs=1 --set extra-epochs=0"
    words += " --set max-rounds=1 --set epochs-per-round=1 --set num-restarts=1 --set projection=none"
    assert main(["train", "deep_clustering", "--run", "told", "--no-control", *shlex.split(words)]) == 0
    for _ in range(2):
        assert main(["train", "deep_clustering", "--run", "told", "--more-rounds", "1", "--no-control"]) == 0
    run = Run(own_root() / "told")
    line = run.description().command
    assert run.num_rounds() == 4 and line.endswith("--run told --set max-rounds=3 --set stop-rule=max_rounds")
    assert line.count("max-rounds=") == line.count("--run") == line.count("stop-rule=") == 1
    capsys.readouterr()
    assert main([*shlex.split(line)[3:], "--settings"]) == 0
    printed = dict(one.split("=", 1) for one in capsys.readouterr().out.splitlines())
    assert printed["max-rounds"] == "3" and printed["limit"] == "200"


@pytest.mark.parametrize("state", ["failed", "cancelled", "interrupted", "queued"])
def test_a_run_that_is_not_finished_has_to_be_resumed_first(own_copy, state):
    own_copy.set_status(state)
    with pytest.raises(Problem, match="run 'tiny' is not finished; resume it first"):
        add_rounds(own_copy, 1)


def test_a_run_that_another_process_writes_is_left_alone(own_copy):
    own_copy.set_status("running")
    with pytest.raises(Problem, match="run 'tiny' is not finished"):
        check_can_go_further(own_copy)
    with own_copy.owned(), pytest.raises(Problem, match="run 'tiny' is being written by process"):
        add_rounds(Run(own_copy.path), 1)
    assert Run(own_copy.path).description().settings["max_rounds"] == 2


def test_other_methods_shipped_runs_and_no_rounds_are_refused(finished_idec, own_copy, monkeypatch):
    with pytest.raises(Problem, match="only deep clustering goes on round by round"):
        add_rounds(finished_idec, 1)
    with pytest.raises(Problem, match="more_rounds=0 must be at least 1"):
        add_rounds(own_copy, 0)
    monkeypatch.setattr("vitviz.runs.folder.shipped_root", lambda: own_copy.path.parent)
    with pytest.raises(Problem, match="came with vitviz and is read-only; python -m vitviz export tiny runs/NAME"):
        add_rounds(own_copy, 1)


def test_a_run_that_was_handed_on_without_weights_has_nothing_to_go_on_from(own_copy):
    for name in ("weights.safetensors", "resume.safetensors"):
        (own_copy.path / name).unlink()
    with pytest.raises(Problem, match="run 'tiny' has nothing to go on from"):
        add_rounds(own_copy, 1)
