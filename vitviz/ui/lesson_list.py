"""Cards of lessons, each with what one learns and how long it takes."""

import streamlit as st

from vitviz.errors import Problem
from vitviz.lessons.reading import Lesson, check_runs, list_lessons
from vitviz.ui import lesson_words as words
from vitviz.ui.labels import safe_label
from vitviz.ui.language import say
from vitviz.ui.lessons import address_of, said
from vitviz.ui.navigation import page
from vitviz.ui.problems import show_problem

_ABREAST = 3


def show_lessons() -> None:
    """Every lesson as a card; a file that is none says why."""
    found = list_lessons()
    if not found:
        st.info(say(words.NONE))
    lessons = [one for one in found if isinstance(one, Lesson)]
    for start in range(0, len(lessons), _ABREAST):
        for column, place in zip(st.columns(_ABREAST), range(start, min(start + _ABREAST, len(lessons))), strict=False):
            with column:
                _card(place + 1, lessons[place])
    for problem in found:
        if isinstance(problem, Problem):
            show_problem(problem)


def _card(number: int, lesson: Lesson) -> None:
    with st.container(border=True, height="stretch"):
        st.markdown(f"**{number}. {safe_label(said(lesson.title), max_length=120)}**")
        st.markdown(said(lesson.summary))
        st.caption(say(words.length(len(lesson.steps), lesson.minutes)))
        try:
            check_runs(lesson)
        except Problem as problem:
            show_problem(problem)
            return
        link = address_of(lesson)
        first = page(lesson.steps[0].page)
        st.page_link(first, label=say("Begin"), icon=":material/play_arrow:", query_params=link)
