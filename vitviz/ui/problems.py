"""What a person sees when something goes wrong: one sentence; the rest is in the log under a number."""

import contextlib
import logging
import sys
from collections.abc import Iterator

import streamlit as st

from vitviz.errors import Problem
from vitviz.logs import keep_log, log_incident, log_path
from vitviz.ui.labels import safe_label
from vitviz.ui.language import say, say_problem


def keep_incidents() -> None:
    """Once a server: what breaks goes to the log, and on the console to one line, not to Streamlit's copy of the traceback."""
    keep_log()
    logging.getLogger("streamlit.error_util").addFilter(_is_no_copy)


def _is_no_copy(record: logging.LogRecord) -> bool:
    return record.getMessage() != "Uncaught app execution"


@contextlib.contextmanager
def shown_problems() -> Iterator[None]:
    """Show a ``Problem`` raised inside as one sentence where it happened; the rest of the page goes on."""
    try:
        yield
    except Problem as problem:
        show_problem(problem)


def show_problem(problem: Problem) -> None:
    """One error box."""
    st.error(safe_label(say_problem(problem), max_length=400), icon=":material/error:")


def report_error(error: Exception) -> bool:
    """For ``st.App``: a Problem becomes its sentence, anything else a number that leads to its traceback in the log."""
    if isinstance(error, Problem):
        show_problem(error)
        return True
    incident = log_incident(error)
    print(f"vitviz: incident {incident}, {type(error).__name__}; {log_path()} says what", file=sys.stderr)
    st.error(
        say(f"Something broke here (incident {incident}). The server's log says what; other pages go on."),
        icon=":material/bug_report:",
    )
    return True
