"""Before a run begins: the line that does the same, what it would cost, and the button."""

import os
import subprocess
import sys
import threading

import streamlit as st

from vitviz.data.sets import find_images
from vitviz.errors import Problem
from vitviz.runs.folder import Run, list_runs, own_root
from vitviz.training import launch, queue
from vitviz.training.further_rounds import check_can_go_further
from vitviz.training.supervise import NICE
from vitviz.ui import train_words as words
from vitviz.ui.labels import safe_label
from vitviz.ui.language import say, say_told
from vitviz.ui.problems import shown_problems
from vitviz.ui.train_choices import NAME_IS_USED, Choice, pick_choice

_SECONDS = 120
_KEPT = "train_estimates"


def show_start() -> None:
    """The form of a new run."""
    st.header(say("Start a run"))
    with shown_problems():
        choice = pick_choice()
        lines = [launch.line_of(choice.arguments)]
        lines += [launch.line_of(choice.control[1])] if choice.control else []
        st.caption(say("This is what will be run; typed into a terminal it does the same."))
        st.code("\n".join(lines), language=None, wrap_lines=True)
        with st.container(horizontal=True):
            label = words.start_label(len(queue.waiting()), is_busy=queue.at_work() is not None)
            wants_start = st.button(say(label), key="start", type="primary", icon=":material/play_arrow:")
            wants_estimate = st.button(
                say("Estimate"), key="estimate", icon=":material/timer:", help=say(words.ESTIMATE)
            )
        if wants_start:
            _start(choice)
        _show_estimate(choice, is_wanted=wants_estimate)


def show_further() -> None:
    """One more round for a finished run, or the rest of one that was stopped."""
    st.header(say("Go on with a run"))
    st.caption(say(words.FURTHER))
    found = {run.name: run for run in list_runs() if _can_go_on(run)}
    if not found:
        st.caption(say(words.NO_FURTHER))
        return
    run = found[st.selectbox(say("Run to go on with"), list(found), key="further", bind="query-params")]
    if _is_stopped(run):
        _show_resume(run)
    else:
        _show_one_more(run)


def _show_resume(run: Run) -> None:
    status = run.status()
    st.markdown(say(words.ended(run.name, status.state, say_told(status.error))))
    st.code(launch.line_of(launch.resume_arguments(run)), language=None, wrap_lines=True)
    if st.button(say("Resume it"), key="resume_stopped", icon=":material/resume:"):
        with shown_problems():
            launch.resume(run.name)
            st.rerun()


def _show_one_more(run: Run) -> None:
    copy = _copy_name(run) if run.is_shipped() else ""
    lines = [f"python -m vitviz export {run.name} {own_root().name}/{copy}"] if copy else []
    lines.append(launch.line_of(launch.further_arguments(run, copy or run.name)))
    has = [f"It has rounds 0 to {run.num_rounds() - 1}.", words.COPIED.format(copy=copy) if copy else ""]
    st.caption(" ".join(say(sentence) for sentence in has))
    st.code("\n".join(lines), language=None, wrap_lines=True)
    if st.button(say("Run one more round now"), key="more_round", icon=":material/add_circle:"):
        with shown_problems():
            launch.further_round(run.name, copy=copy)
            st.rerun()


def _start(choice: Choice) -> None:
    find_images(choice.config.dataset)
    launch.start(choice.name, choice.arguments)
    if choice.control:
        launch.start(*choice.control)
    st.session_state[NAME_IS_USED] = True
    st.rerun()


def _show_estimate(choice: Choice, *, is_wanted: bool) -> None:
    """Time and memory, measured when asked for and kept for this session."""
    arguments = (*choice.arguments, "--estimate")
    kept = st.session_state.get(_KEPT, {})
    if is_wanted:
        with st.spinner(say("Training for a moment …"), show_time=True):
            kept = {**kept, arguments: _estimate(arguments)}
        st.session_state[_KEPT] = kept
    if arguments in kept:
        st.markdown("\n".join(f"- {safe_label(say(line), max_length=300)}" for line in kept[arguments].splitlines()))
    else:
        st.caption(say(words.NO_ESTIMATE))


def _estimate(arguments: tuple[str, ...]) -> str:
    """What the command line says to ``train ... --estimate``. Raises Problem with its sentence when it refuses."""
    lock = _estimating()
    if not lock.acquire(blocking=False):
        raise Problem(words.ESTIMATE_BUSY, "", "try again in a moment")
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    command = [sys.executable, "-m", "vitviz", *arguments]
    try:
        with subprocess.Popen(command, env=queue.job_environment(), **pipes) as process:
            os.setpriority(os.PRIO_PROCESS, process.pid, NICE)
            told, complaints = _communicate(process)
    finally:
        lock.release()
    if process.returncode:
        said = [line for line in complaints.splitlines() if line.strip()]
        raise Problem(said[-1].removeprefix("vitviz: ") if said else words.ESTIMATE_FAILED)
    return told


def _communicate(process: subprocess.Popen) -> tuple[str, str]:
    try:
        return process.communicate(timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        raise Problem(words.ESTIMATE_LATE.format(seconds=_SECONDS), "", "the run may still be started") from None


@st.cache_resource(show_spinner=False)
def _estimating() -> threading.Lock:
    """Held while this server estimates: two at a time would measure each other."""
    return threading.Lock()


def _can_go_on(run: Run) -> bool:
    try:
        if _is_stopped(run):
            return True
        check_can_go_further(run)
    except Problem:
        return False
    return True


def _is_stopped(run: Run) -> bool:
    return not run.is_shipped() and run.status().state in ("cancelled", "failed", "interrupted")


def _copy_name(run: Run) -> str:
    taken = {known.name for known in list_runs()}
    return next(name for name in (f"{run.name[:56]}-more{number or ''}" for number in range(1000)) if name not in taken)
