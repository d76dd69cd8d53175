"""Work of seconds for one picture, done beside the page: with progress, cancelled by a click or when nobody waits any more.

Training is a process of its own (``vitviz.training``). This is for what a model already in memory does, one task at a time; all
sessions that ask for the same share one task, and a reload finds it again.
"""

import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import streamlit as st

from vitviz.errors import Problem
from vitviz.logs import log_incident
from vitviz.ui.labels import safe_label
from vitviz.ui.language import say
from vitviz.ui.problems import show_problem

OnProgress = Callable[[int, int], bool]
"""Told (done, in all) by the work; False when it should stop."""

_MAX_KEPT = 48
_PATIENCE = 20.0  # seconds without anybody asking: whoever waited has gone
_EVERY = 0.5


class Task:
    """One piece of work. state: ``waiting``, ``running``, ``finished``, ``cancelled`` or ``failed``."""

    def __init__(self) -> None:
        self.state, self.done, self.total = "waiting", 0, 0
        self.result: Any = None
        self.problem: Problem | None = None
        self.asked = time.monotonic()
        self.is_stopped = False

    def is_over(self) -> bool:
        """Whether nothing more will change."""
        return self.state in ("finished", "cancelled", "failed")

    def is_wanted(self) -> bool:
        """Whether it was not stopped, and somebody has asked for it lately."""
        return not self.is_stopped and time.monotonic() - self.asked < _PATIENCE

    def run(self, work: Callable[[OnProgress], Any]) -> None:
        """Do it; whatever goes wrong is kept for the page to tell."""
        if not self.is_wanted():
            self.state = "cancelled"
            return
        self.state = "running"
        try:
            self.result = work(self._progress)
            state = "finished"
        except Problem as problem:
            self.problem, state = problem, "failed"
        except Exception as error:
            # the work says that it was stopped by an exception of its own
            state = "failed" if self.is_wanted() else "cancelled"
            if state == "failed":
                incident = log_incident(error)
                self.problem = Problem("this could not be computed", f"the server's log says why (incident {incident})")
        self.state = state

    def _progress(self, done: int, total: int) -> bool:
        self.done, self.total = done, total
        return self.is_wanted()


class Desk:
    """The tasks of a process by key, the last 48 of them, and the one thread that does them (it ends with the process)."""

    def __init__(self) -> None:
        self._tasks: OrderedDict[str, Task] = OrderedDict()
        self._lock = threading.Lock()
        self._waiting: queue.SimpleQueue[tuple[Task, Callable[[OnProgress], Any]]] = queue.SimpleQueue()
        threading.Thread(target=self._work, name="vitviz-tasks", daemon=True).start()

    def find(self, key: str) -> Task | None:
        """The task of that key, which now counts as asked for."""
        with self._lock:
            task = self._tasks.get(key)
            if task is not None:
                task.asked = time.monotonic()
                self._tasks.move_to_end(key)
            return task

    def start(self, key: str, work: Callable[[OnProgress], Any]) -> Task:
        """The task of that key; begun if there is none, or if it was cancelled or failed."""
        task = self.find(key)
        if task is not None and task.state not in ("cancelled", "failed"):
            return task
        task = Task()
        with self._lock:
            self._tasks[key] = task
            self._tasks.move_to_end(key)
            while len(self._tasks) > _MAX_KEPT:
                self._tasks.popitem(last=False)
        self._waiting.put((task, work))
        return task

    def _work(self) -> None:
        while True:
            task, work = self._waiting.get()
            task.run(work)


@st.cache_resource(show_spinner=False)
def desk() -> Desk:
    """The desk of this process."""
    return Desk()


@st.cache_resource(show_spinner=False)
def downloads() -> Desk:
    """The desk of this process for what waits for a network: it keeps nobody waiting who computes."""
    return Desk()


def result_of(
    key: str,
    title: str,
    work: Callable[[OnProgress], Any],
    *,
    begin: bool,
    button: str,
    hint: str = "",
    unit: str = "pictures",
    icon: str = ":material/play_arrow:",
    at: Callable[[], Desk] = desk,
) -> Any:
    """What the work gives, once it is there; until then its progress, or a ``button`` that begins it.

    Args:
        key: all that the result depends on.
        begin: begin by itself; else when the button is pressed. ``hint`` stands below the button.
        unit: what is counted. at: whose thread does it.

    Returns: the result; None while there is none.
    """
    task = at().find(key)
    if task is not None and task.state == "cancelled" and not task.is_stopped:
        task = None  # nobody stopped it: whoever waited for it had gone
    if task is None and begin:
        task = at().start(key, work)
    if task is not None and task.state == "finished":
        return task.result
    if task is not None and not task.is_over():
        _show_progress(key, title, task, unit, at())
        return None
    if task is not None and task.problem is not None:
        show_problem(task.problem)
    elif task is not None:
        st.caption(say(f"{safe_label(say(title))}: stopped."))
    if st.button(say(button), key=f"begin_{title}", icon=icon):
        at().start(key, work)
        st.rerun()
    if hint:
        st.caption(say(hint))
    return None


def _show_progress(key: str, title: str, task: Task, unit: str, desk: Desk) -> None:
    """A bar with a button to stop, refreshed until it is over; then the page is drawn again."""

    @st.fragment(run_every=_EVERY)
    def tick() -> None:
        desk.find(key)
        if task.is_over():
            st.rerun()
        counted = f"{task.done:,} of {task.total:,} {unit}" if task.total else "waiting for its turn"
        share = min(task.done / task.total, 1.0) if task.total else 0.0
        st.progress(share, say(f"{safe_label(say(title))}: {counted}"))
        if st.button(say("Stop"), key=f"stop_{title}", icon=":material/stop:"):
            task.is_stopped = True

    tick()
