"""The page that trains, in Korean: every method and preset, the queue, what became of jobs, problems and an estimate."""

import time

import pytest
import streamlit as st

from vitviz.errors import Problem
from vitviz.runs import jobs
from vitviz.runs.records import Job, Progress
from vitviz.training import launch, queue
from vitviz.training.configs import CONFIGS
from vitviz.training.estimate import Estimate, tell
from vitviz.training.presets import PRESETS

# what the command line takes, as it takes it, and the data sets that ship
ROWS = {row for preset in PRESETS.values() for row in preset.variants}
NAMES = [*CONFIGS, *PRESETS, *ROWS, "digits", "scikit-learn", "CIFAR"]

pytestmark = pytest.mark.usefixtures("own_folders", "nobody_begins")


@pytest.fixture
def nobody_begins(monkeypatch) -> None:
    """Jobs stay in the queue."""
    st.cache_data.clear()
    monkeypatch.setattr(queue, "promote", lambda: None)
    monkeypatch.setattr(launch, "promote", lambda: None)


@pytest.mark.parametrize("method", CONFIGS)
def test_the_form_of_every_method_and_preset_speaks_korean(korean, method):
    app = korean.open_korean("train", method=method)
    presets = [name for name, preset in PRESETS.items() if preset.method == method]
    for preset in [*presets, "none"]:
        app.selectbox(key="preset").set_value(preset).run()
        assert not app.exception
        assert korean.untranslated(app, names=NAMES) == [], preset


def test_a_link_chooses_in_korean_what_it_chooses_in_english(korean):
    app = korean.open_korean("train", method="supertokens", preset="none", source="a path")
    assert (app.selectbox(key="preset").value, app.selectbox(key="source").value) == ("none", "a path")
    assert app.selectbox(key="source").options[-1] == "경로 직접 입력"
    app.selectbox(key="method").set_value("idec").run()
    assert app.selectbox(key="preset").value == "digits-unsupervised"
    assert "preset" not in app.query_params and "source" not in app.query_params


FULL = str(Problem("pets holds no images", "none of its files is an image by its name", "repair or remove these files"))


@pytest.mark.parametrize(
    ("state", "error"), [("finished", ""), ("failed", ""), ("failed", FULL), ("cancelled", ""), ("interrupted", "")]
)
def test_what_became_of_a_job_is_told_in_korean(korean, copy_run, state, error):
    run = copy_run("mine", num_rounds=2)
    jobs.write_job(run, Job(arguments=("train",), asked=1.0, started=2.0))
    run.set_status(state, error=error)
    app = korean.open_korean("train")
    assert korean.untranslated(app, names=[*NAMES, "mine", "pets"]) == []


def test_a_run_at_work_and_one_that_waits_are_told_in_korean(korean, copy_run, monkeypatch):
    run = copy_run("mine", num_rounds=2)
    launch.start("second", ("train", "idec", "--run", "second"))
    run.set_status("running", progress=Progress(done=8, total=20, note="drawing maps of 2 rounds"))
    job = Job(arguments=("train",), asked=1.0, started=time.time() - 5)
    monkeypatch.setattr(queue, "at_work", lambda: (run, job))
    app = korean.open_korean("train")
    assert "1. second" in " ".join(one.value for one in app.markdown)
    assert len(app.get("plotly_chart")) == 2
    assert korean.untranslated(app, names=[*NAMES, "mine", "second"]) == []


@pytest.mark.parametrize("settings", ["nonsense", "epochz=3", "epochs=few", "stop-rule=never"])
def test_a_setting_that_is_none_is_refused_in_korean(korean, settings):
    app = korean.open_korean("train", set=settings)
    assert app.error
    assert korean.untranslated(app, names=[*NAMES, settings, "nonsense", "epochs", "few", "never", "set"]) == []


@pytest.mark.parametrize(
    "refuse",
    [
        lambda: launch.resume("nobody"),
        lambda: queue.own_run("No Name"),
        lambda: launch.start("mine", ("train",)),
        lambda: queue.remove("mine"),
        lambda: launch.cancel("mine"),
    ],
)
def test_the_problems_of_the_queue_are_told_in_korean(korean, copy_run, refuse):
    copy_run("mine", num_rounds=2)
    with pytest.raises(Problem) as raised:
        refuse()
    _is_said(raised.value)


def test_a_closed_server_and_a_full_queue_are_told_in_korean(monkeypatch):
    for number in range(queue.MOST_WAITING):
        launch.start(f"run-{number}", ("train",))
    with pytest.raises(Problem) as full:
        launch.start("last", ("train",))
    monkeypatch.setenv("VITVIZ_ALLOW_TRAIN", "0")
    with pytest.raises(Problem) as closed:
        launch.start("last", ("train",))
    for problem in (full.value, closed.value):
        _is_said(problem)


def _is_said(problem: Problem) -> None:
    """Every part of it is a phrase."""
    from vitviz.languages.phrases import phrase_book

    book = phrase_book("ko")
    assert [part for part in (problem.what, problem.why, problem.hint) if part and not book.knows(part)] == []


def test_an_estimate_is_told_in_korean():
    from vitviz.languages.phrases import phrase_book

    found = ("1,797 of 1,797 images at 32 px, 10 classes (0, 1, 2)", "3 of 1,800 looked at could not be read")
    basis = "measured just now: 2 epochs and a round of this network on 300 of 1,797 images, maps by what they took elsewhere"
    lines = tell(Estimate(seconds=(60.0, 200.0), memory=(1e9, 2e9), found=found, basis=basis))
    said = [phrase_book("ko").say(line) for line in lines]
    english = [
        word for line in said for word in ("images", "classes", "could", "where", "measured", "maps") if word in line
    ]
    assert english == [] and len(said) == 4
