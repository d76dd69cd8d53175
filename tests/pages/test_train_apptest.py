"""The page that trains under AppTest: every method and preset as a line, mistakes, the queue, a real job from start to resume."""

import os
import shlex
import signal
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import numpy as np
import pytest
import streamlit as st
from PIL import Image
from streamlit.testing.v1 import AppTest

from vitviz.__main__ import _parser
from vitviz.config import from_plain, parse_settings
from vitviz.runs import jobs
from vitviz.runs.folder import Run, own_root, shipped_root
from vitviz.training import launch, queue
from vitviz.training.configs import CONFIGS
from vitviz.training.presets import PRESETS

ROUTER = shipped_root().parent / "vitviz" / "ui" / "router.py"
TINY = """\
limit=200
patch-size=16
embed-dim=16
depth=1
extra-epochs=0
epochs-per-round=3
num-restarts=2
stop-rule=max_rounds
projection=none
epochs=2
max-rounds=12"""

pytestmark = pytest.mark.usefixtures("own_folders", "fresh_caches")


@pytest.fixture
def fresh_caches() -> None:
    """Nothing is remembered of other tests."""
    st.cache_resource.clear()
    st.cache_data.clear()


@pytest.fixture
def nobody_begins(monkeypatch) -> None:
    """Jobs stay in the queue."""
    monkeypatch.setattr(queue, "promote", lambda: None)
    monkeypatch.setattr(launch, "promote", lambda: None)


@pytest.fixture
def nobody_is_left() -> Iterator[None]:
    """Whatever a test does, it leaves no process behind."""
    yield
    for _, job in jobs.list_jobs():
        for pid in jobs.processes_of(job):
            os.kill(pid, signal.SIGKILL)


def _open(**query: str) -> AppTest:
    app = AppTest.from_file(ROUTER, default_timeout=60).run()
    app.switch_page("../../pages/train.py")
    app.query_params.update(query)
    app.run()
    assert not app.exception, app.exception
    return app


def _lines(app: AppTest) -> list[list[str]]:
    """The words of every command that is shown, after ``python -m vitviz``."""
    return [
        shlex.split(line)[3:] for code in app.code for line in code.value.splitlines() if line.startswith("python -m")
    ]


def _errors(app: AppTest) -> str:
    return " ".join(error.value for error in app.error).replace("\\", "").replace("\u2060", "")


def _waits(app: AppTest) -> list[str]:
    return [text.value.replace("\\", "") for text in app.markdown if text.value.endswith(" waits")]


# The form


def test_where_nothing_is_trained_the_page_teaches_and_shows_the_line_it_would_run(nobody_begins):
    app = _open()
    assert "Nothing is being trained" in app.info[0].value and "A **run** is one training" in app.caption[0].value
    assert _lines(app)[0] == shlex.split("train deep_clustering --run my-digits --preset digits --no-control")
    assert app.button(key="start").label == "Start" and not app.error


@pytest.mark.parametrize("method", CONFIGS)
def test_the_line_of_every_preset_is_one_that_the_command_line_takes(nobody_begins, method):
    app = _open(method=method)
    presets = app.selectbox(key="preset").options
    assert set(presets) == {"none", *(name for name, preset in PRESETS.items() if preset.method == method)}
    for preset in presets:
        app.selectbox(key="preset").set_value(preset).run()
        assert not app.exception and not app.error
        options = _parser().parse_args(_lines(app)[0])
        assert (options.method, options.preset or "none") == (method, preset)
        changed = parse_settings(CONFIGS[method], options.set)
        settings = dict(PRESETS[preset].settings) if preset != "none" else {}
        from_plain(CONFIGS[method], {**settings, **changed})
        assert set(changed) <= {"dataset"}


def test_a_link_gives_the_choices_back(nobody_begins):
    app = _open(method="supertokens", preset="table8", row="t3", source="digits", set="depth=1")
    (words, *_) = _lines(app)
    line = "train supertokens --run my-table8 --preset table8 --rows t3 --seeds 0 --set dataset=digits --set depth=1"
    assert words == shlex.split(line)
    app.number_input(key="supertokens_table8_t3_seed").set_value(4).run()
    assert _lines(app)[0][7:10] == ["t3", "--seeds", "4"]


def test_another_method_forgets_preset_images_and_settings_of_the_last(nobody_begins):
    app = _open(preset="digits-half-trained", source="digits", set="depth=1")
    assert "depth=1" in _lines(app)[0]
    app.selectbox(key="method").set_value("subspace").run()
    assert _lines(app)[0] == shlex.split(
        "train subspace --run my-digits-subspace --preset digits-subspace --no-control"
    )
    assert not app.exception and not app.error


def test_changed_settings_are_in_the_line_and_in_that_of_the_control(nobody_begins):
    app = _open()
    app.number_input(key="deep_clustering_digits__epochs").set_value(5).run()
    app.number_input(key="deep_clustering_digits__cluster_weight").set_value(0.5).run()
    first, control = _lines(app)[:2]
    assert first[5:] == shlex.split("digits --set epochs=5 --set cluster-weight=0.5 --no-control")
    assert control[3:] == shlex.split(
        "my-digits-control --preset digits --set epochs=5 --set cluster-weight=0.0 --no-control"
    )
    app.toggle(key="control").set_value(False).run()
    assert [line[0] for line in _lines(app)] == ["train", "export", "train"]


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("cluster-wieght=1", "unknown setting 'cluster_wieght': did you mean 'cluster_weight'?"),
        ("embed-dim=50", "embed_dim=50 must be divisible by num_heads=4"),
        ("epochs", "--set epochs is not a setting"),
        ("start=cold", "start=cold is not a choice: choose one of warm, reinitialise"),
    ],
)
def test_a_setting_that_cannot_be_is_told_before_anything_begins(nobody_begins, typed, sentence):
    app = _open()
    app.text_area(key="set").set_value(typed).run()
    assert sentence in _errors(app) and not app.exception
    assert [button.key for button in app.button] == ["more_round"]


def test_a_name_that_cannot_be_or_is_taken_is_refused(nobody_begins, copy_run):
    copy_run("taken")
    app = _open(control="false")
    app.text_input(key="name").set_value("../up").run()
    assert "'../up' cannot name a run" in _errors(app)
    app.text_input(key="name").set_value("taken").run()
    app.button(key="start").click().run()
    assert "run 'taken' exists" in _errors(app) and queue.waiting() == []


def test_a_path_is_looked_into_before_it_is_trained_on(nobody_begins, tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "pets" / name / "1.png")
    app = _open(source="a path", control="false")
    assert "there are no images yet" in _errors(app)
    for path, sentence in (
        ("/there/is/none", "could not be opened"),
        (str(tmp_path / "runs"), "no such file"),
        ("digit", "did you mean"),
    ):
        app.text_input(key="path").set_value(path).run()
        assert sentence in _errors(app), path
    app.text_input(key="path").set_value(str(tmp_path / "pets")).run()
    assert any("2 images in 2 classes lie there: cat, dog." in caption.value for caption in app.caption)
    assert f"dataset={tmp_path / 'pets'}" in _lines(app)[0] and "num-clusters=2" in _lines(app)[0]
    clusters = next(field for field in app.number_input if field.label == "num clusters")
    clusters.set_value(5).run()
    assert "num-clusters=5" in _lines(app)[0]


def test_hostile_names_of_classes_become_no_markdown(nobody_begins, tmp_path):
    folder = tmp_path / "pets" / "[x](https:)"
    folder.mkdir(parents=True)
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(folder / "1.png")
    app = _open(source="a path")
    app.text_input(key="path").set_value(str(tmp_path / "pets")).run()
    (caption,) = (caption.value for caption in app.caption if "lie there" in caption.value)
    assert "[x](" not in caption and "\\[x\\]" in caption


# The queue


def test_a_name_that_was_used_does_not_stand_in_the_form_of_the_next_run(nobody_begins):
    app = _open(control="false")
    app.text_input(key="name").set_value("mine").run()
    app.button(key="start").click().run()
    assert [run.name for run, _ in queue.waiting()] == ["mine"]
    assert (app.text_input(key="name").value, _lines(app)[1][3]) == ("", "my-digits")


def test_runs_are_queued_in_order_with_their_lines_and_removed(nobody_begins):
    app = _open()
    app.button(key="start").click().run()
    assert _waits(app) == ["**1. my-digits** waits", "**2. my-digits-control** waits"]
    assert app.button(key="start").label == "Queue it (2 waiting)"
    assert _lines(app)[2][3] == "my-digits-2"
    app.button(key="remove_my-digits").click().run()
    assert _waits(app) == ["**1. my-digits-control** waits"] and not (own_root() / "my-digits").exists()


def test_a_sixth_run_is_refused_on_the_page(nobody_begins):
    for number in range(5):
        launch.start(f"run{number}", ("runs",))
    app = _open(control="false")
    app.button(key="start").click().run()
    assert "5 runs are waiting already" in _errors(app) and len(_waits(app)) == 5


def test_what_became_of_jobs_is_told_with_what_can_be_done(nobody_begins, copy_run):
    for name, state, error in (
        ("lost", "failed", "the disk [x](y) was full"),
        ("done", "finished", ""),
        ("left", "interrupted", ""),
    ):
        run = copy_run(name)
        run.set_status(state, error=error)
        jobs.write_job(run, jobs.Job(arguments=("runs",), asked=1.0, started=2.0))
    app = _open()
    assert "**lost** failed: the disk [x](y) was full" in _errors(app) and "\\[x\\]" in app.error[0].value
    assert "**done** is finished" in app.success[0].value and "**left** was interrupted" in app.warning[0].value
    keys = {button.key for button in app.button}
    assert {"resume_lost", "dismiss_lost", "dismiss_done", "resume_left"} <= keys and "resume_done" not in keys
    app.button(key="dismiss_done").click().run()
    assert not app.success and Run(own_root() / "done").num_rounds() == 7
    app.button(key="resume_lost").click().run()
    assert _waits(app) == ["**1. lost** waits"]


def test_where_training_is_switched_off_the_page_watches_only(nobody_begins, monkeypatch):
    launch.start("waits", ("runs",))
    monkeypatch.setenv("VITVIZ_ALLOW_TRAIN", "0")
    app = _open()
    assert "Training is switched off on this server" in app.info[0].value
    assert not app.selectbox and not app.text_input
    assert [(button.key, button.disabled) for button in app.button] == [("remove_waits", True)]


# Going on


def test_a_shipped_run_is_copied_before_it_gets_a_further_round(nobody_begins):
    app = _open(further="digits")
    assert [line[:3] for line in _lines(app)[-2:]] == [
        ["export", "digits", "runs/digits-more"],
        ["train", "deep_clustering", "--run"],
    ]
    app.button(key="more_round").click().run()
    assert _waits(app) == ["**1. digits-more** waits"]
    copy = Run(own_root() / "digits-more")
    assert copy.num_rounds() == 7 and not copy.has_resume_point() and copy.status().state == "queued"


def test_a_stopped_run_that_no_job_began_is_gone_on_with(nobody_begins, copy_run, tell_status):
    tell_status(copy_run("stopped", num_rounds=2), "running", is_alive=False)
    app = _open(further="stopped")
    assert any("**stopped** was interrupted" in text.value for text in app.markdown)
    app.button(key="resume_stopped").click().run()
    assert _waits(app) == ["**1. stopped** waits"]


# A real job


def _until(app: AppTest, condition: Callable[[], object], seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "\n".join(jobs.tail(run) for run, _ in jobs.list_jobs())
        time.sleep(0.05)
    app.run()
    assert not app.exception


def test_a_run_is_started_watched_and_given_a_further_round(nobody_is_left):
    app = _open(control="false", preset="none")
    app.text_area(key="set").set_value(TINY).run()
    app.text_input(key="name").set_value("grown").run()
    app.button(key="start").click().run()
    run = Run(own_root() / "grown")
    _until(app, lambda: len(run.metrics()) >= 4)
    assert len(app.get("plotly_chart")) == 2
    values = {metric.label: metric.value for metric in app.metric}
    assert set(values) == {"Images a second", "Time left", "Memory"} and values["Memory"].endswith("MB")
    assert "train deep_clustering --run grown" in app.expander[0].code[0].value
    assert _row(_open_runs(), "grown")["state"] == "running"
    _until(app, lambda: run.status().state == "finished" and queue.at_work() is None)
    assert "**grown** is finished" in app.success[0].value and run.num_rounds() == 13

    app.selectbox(key="further").set_value("grown").run()
    app.button(key="more_round").click().run()
    _until(app, lambda: run.num_rounds() == 14 and queue.at_work() is None)
    about = Run(run.path).description()
    assert "round 13 was added" in about.notes[-1] and "--set max-rounds=13" in about.command


def test_an_estimate_is_shown_and_one_that_fails_says_so(nobody_begins, monkeypatch):
    app = _open(control="false", preset="none", set=TINY)
    app.button(key="estimate").click().run()
    told = "\n".join(text.value for text in app.markdown).replace("\\", "")
    assert (
        "Images: 200 of 1,797 images at 32 px" in told and "Time: " in told and "Memory: " in told and "Basis: " in told
    )
    monkeypatch.setattr("vitviz.ui.train_start.sys", SimpleNamespace(executable="false"))
    app.number_input(key="deep_clustering_none__epochs").set_value(3).run()
    app.button(key="estimate").click().run()
    assert "the estimate came to an end without a word" in _errors(app)
    assert app.button(key="start") and queue.waiting() == [] and not own_root().exists()


def _open_runs() -> AppTest:
    app = AppTest.from_file(ROUTER, default_timeout=60).run()
    app.switch_page("../../pages/runs.py")
    return app.run()


def _row(app: AppTest, name: str) -> dict:
    return app.dataframe[0].value.set_index("run").loc[name].to_dict()


def test_the_way_here_is_on_the_page_of_runs(nobody_begins):
    assert "train" in {link.proto.page for link in _open_runs().get("page_link")}
