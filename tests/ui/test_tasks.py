"""Work beside a page: one task at a time, shared by key, stopped when told or when nobody waits, its problems kept."""

import logging
import threading
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from vitviz.errors import Problem
from vitviz.ui import tasks
from vitviz.ui.tasks import Desk, Task

PAGE = Path(__file__).parent / "task_app.py"
LONG = 30  # seconds that no test takes


class Stopped(Exception):
    pass


@pytest.fixture
def desk() -> Desk:
    return Desk()


def _wait(task: Task) -> Task:
    """Until the task is over, asking for it all the while."""
    over = threading.Event()

    def look() -> None:
        while not task.is_over():
            over.wait(0.005)
        over.set()

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    watcher.join(LONG)
    assert task.is_over()
    return task


def _gated():
    """Work that waits for its gate, and stops when it is told to."""
    begun, gate = threading.Event(), threading.Event()

    def work(on_progress):
        begun.set()
        assert gate.wait(LONG)
        if not on_progress(1, 2):
            raise Stopped
        return "done"

    return work, begun, gate


def test_what_the_work_gives_is_the_result_and_its_progress_is_seen(desk):
    task = _wait(desk.start("a", lambda on_progress: on_progress(3, 4) and "result"))
    assert (task.state, task.result, task.done, task.total) == ("finished", "result", 3, 4)


def test_who_asks_for_the_same_gets_the_same_task(desk):
    work, begun, gate = _gated()
    first = desk.start("a", work)
    assert begun.wait(LONG) and desk.start("a", lambda on_progress: "other") is first and desk.find("a") is first
    gate.set()
    assert _wait(first).result == "done" and desk.start("a", work) is first
    assert desk.find("b") is None


def test_a_task_waits_for_the_one_before_it(desk):
    work, begun, gate = _gated()
    first = desk.start("a", work)
    second = desk.start("b", lambda on_progress: "second")
    assert begun.wait(LONG) and second.state == "waiting"
    gate.set()
    assert _wait(second).result == "second" and first.state == "finished"


def test_a_task_that_is_stopped_ends_and_can_be_begun_again(desk):
    work, begun, gate = _gated()
    task = desk.start("a", work)
    assert begun.wait(LONG)
    task.is_stopped = True
    gate.set()
    assert _wait(task).state == "cancelled" and task.problem is None
    again = desk.start("a", lambda on_progress: "again")
    assert again is not task and _wait(again).result == "again"


def test_a_task_that_nobody_asks_for_any_more_is_given_up(desk, monkeypatch):
    work, begun, gate = _gated()
    task, waiting = desk.start("a", work), desk.start("b", lambda on_progress: "never")
    assert begun.wait(LONG)
    monkeypatch.setattr(tasks, "_PATIENCE", -1.0)
    gate.set()
    assert _wait(task).state == "cancelled" and _wait(waiting).state == "cancelled"


def test_a_problem_is_kept_for_the_page_to_tell(desk):
    def work(on_progress):
        raise Problem("the picture is too large", "it has no end")

    task = _wait(desk.start("a", work))
    assert task.state == "failed" and str(task.problem) == "the picture is too large: it has no end"


def test_what_nobody_expected_is_logged_and_told_in_one_sentence(desk, caplog):
    with caplog.at_level(logging.ERROR, logger="vitviz"):
        task = _wait(desk.start("a", lambda on_progress: 1 / 0))
    assert task.state == "failed" and str(task.problem).startswith("this could not be computed: the server's log")
    assert caplog.records[0].exc_info[0] is ZeroDivisionError
    assert str(task.problem).rpartition("incident ")[2].rstrip(")") in caplog.text


def test_the_last_48_are_kept(desk):
    for number in range(60):
        _wait(desk.start(str(number), lambda on_progress: number))  # noqa: B023
    assert [desk.find(str(number)) is not None for number in (0, 11, 12, 59)] == [False, False, True, True]


# On a page


@pytest.fixture
def at_once(monkeypatch) -> None:
    """What is begun is over."""

    def start(self, key, work):
        self._tasks[key] = task = Task()
        task.run(work)
        return task

    monkeypatch.setattr(Desk, "start", start)
    st.cache_resource.clear()


def test_a_page_offers_a_button_and_then_shows_the_result(at_once):
    app = AppTest.from_file(PAGE).run()
    assert [one.label for one in app.button] == ["Compute it"] and app.caption[0].value == "takes long"
    app.button[0].click().run()
    assert not app.exception and [one.value for one in app.text] == ["result 42"]


def test_a_page_that_begins_by_itself_shows_the_result(at_once):
    app = AppTest.from_file(PAGE)
    app.query_params["begin"] = "yes"
    assert [one.value for one in app.run().text] == ["result 42"]


def test_what_was_given_up_because_nobody_waited_begins_again_by_itself(at_once):
    desk = tasks.desk()
    desk._tasks["key"] = left = Task()
    left.state = "cancelled"
    app = AppTest.from_file(PAGE)
    app.query_params["begin"] = "yes"
    assert [one.value for one in app.run().text] == ["result 42"]


def test_a_page_tells_what_went_wrong_and_lets_try_again(at_once):
    app = AppTest.from_file(PAGE)
    app.query_params.update({"begin": "yes", "fail": "yes"})
    app.run()
    assert "it failed: as asked" in app.error[0].value.replace("\\", "") and [one.label for one in app.button] == [
        "Compute it"
    ]


def test_a_page_shows_progress_with_a_button_to_stop(monkeypatch):
    st.cache_resource.clear()
    task = Task()
    task.state, task.done, task.total = "running", 30, 120
    monkeypatch.setattr(Desk, "find", lambda self, key: task)
    app = AppTest.from_file(PAGE).run()
    assert [one.label for one in app.button] == ["Stop"]
    (bar,) = app.get("progress")
    assert bar.proto.text == "A long work: 30 of 120 pictures" and bar.proto.value == 25
    app.button[0].click().run()
    assert task.is_stopped
    task.state = "cancelled"
    assert "A long work: stopped." in [one.value for one in app.run().caption]
