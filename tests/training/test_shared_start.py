"""A control that begins where its run began phase 2: the same as one that was trained alone."""

import pytest

from vitviz.config import from_plain
from vitviz.errors import Problem
from vitviz.runs.folder import Run
from vitviz.training.drive import drive
from vitviz.training.methods import METHODS
from vitviz.training.setup import start_run
from vitviz.training.shared_start import share_start

pytestmark = pytest.mark.usefixtures("same_signals")


@pytest.fixture
def new_control(own_copy):
    """(name, settings) -> a run that has not begun, the settings of the finished one apart from these."""

    def make(name: str, **settings) -> Run:
        plain = own_copy.description().settings | {"cluster_weight": 0.0} | settings
        return start_run(name, "deep_clustering", from_plain(METHODS["deep_clustering"].config, plain))

    return make


def _scores(run: Run) -> list[dict]:
    return [
        {key: value for key, value in record.items() if key not in ("seconds", "images_per_second")}
        for record in run.metrics()
    ]


def test_a_control_with_a_shared_start_comes_to_what_it_comes_to_alone(own_copy, new_control, content_of):
    alone, shared = new_control("alone"), new_control("shared")
    assert share_start(own_copy, shared)
    assert [record["epoch"] for record in shared.metrics()] == [0, 1] and shared.num_rounds() == 0
    for run in (alone, shared):
        drive(run)
    assert _scores(shared) == _scores(alone) and len(_scores(alone)) == 7
    files = {name: digest for name, digest in content_of(shared).items() if name.startswith("rounds/")}
    assert files and all(content_of(alone)[name] == digest for name, digest in files.items())


def test_runs_that_differ_in_what_phase_1_reads_share_no_start(own_copy, new_control):
    other = new_control("other", lr=5e-4, seed=3)
    with pytest.raises(Problem, match="seed, lr differs"):
        share_start(own_copy, other)
    assert other.metrics() == []


def test_a_run_that_has_begun_keeps_its_own_start(own_copy, new_control):
    control = new_control("begun")
    drive(control)
    with pytest.raises(Problem, match="has begun already"):
        share_start(own_copy, control)


def test_without_a_start_nothing_is_shared(own_copy, new_control):
    (own_copy.path / "start.safetensors").unlink()
    control = new_control("alone")
    assert not share_start(Run(own_copy.path), control)
    assert control.metrics() == []
