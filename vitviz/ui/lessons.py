"""A lesson over the real pages: the panel with text and question, and the step that sets the page's address.

``?lesson=NAME&at=3`` is step 3. The step is applied once when the address asks for it: its values become those of the page's
widgets. Then the reader may look around; *Back to this step* applies it again, and on another page the panel waits.
"""

import contextlib
from typing import Any

import streamlit as st
from streamlit.errors import StreamlitAPIException

from vitviz.errors import Problem
from vitviz.lessons.reading import Lesson, Question, Step, Value, find_lesson
from vitviz.ui import lesson_words as words
from vitviz.ui.components.presenter import presenter
from vitviz.ui.labels import safe_label
from vitviz.ui.language import KEY as LANGUAGE_KEY
from vitviz.ui.language import LANGUAGES, language, say
from vitviz.ui.navigation import page
from vitviz.ui.problems import show_problem

_KEPT = (LANGUAGE_KEY, "present")
_NOW, _APPLIED, _LEFT = "lesson now", "lesson applied", "lesson keys"


def follow_lesson(page_name: str) -> None:
    """Before a page is drawn: apply the step that the address asks for, and show the panel while a lesson is on.

    ``page_name`` is the file name of the page that is about to be drawn. May switch to another page.
    """
    asked = _asked()
    if asked is not None:
        st.session_state[_NOW] = asked
    now = st.session_state.get(_NOW)
    if now is None:
        _present_alone()
        return
    try:
        lesson = find_lesson(now[0])
    except Problem as problem:
        _leave()
        show_problem(problem)
        return
    number = min(max(now[1], 1), len(lesson.steps))
    if st.session_state.get(_APPLIED) != (lesson.name, number):
        _apply(lesson, number, page_name)
    _panel(lesson, number, is_away=page_name != lesson.steps[number - 1].page)


def address_of(lesson: Lesson, number: int = 1) -> dict[str, str]:
    """The address of a step, language and presenter mode included, for a link to its page."""
    kept = {key: st.query_params[key] for key in ("present",) if key in st.query_params}
    if language() != "en":
        kept[LANGUAGE_KEY] = next(name for name, folder in LANGUAGES.items() if folder == language())
    values = {key: _as_text(value) for key, value in lesson.steps[number - 1].view.items()}
    return {**values, "lesson": lesson.name, "at": str(number), **kept}


def said(text: dict[str, str] | Any) -> str:
    """A lesson's own text in the chosen language."""
    return text.get(language()) or text["en"]


def _asked() -> tuple[str, int] | None:
    name, at = st.query_params.get("lesson"), st.query_params.get("at", "1")
    if name is None:
        return None
    return name, int(at) if at.isascii() and at.isdigit() and len(at) < 4 else 1


def _apply(lesson: Lesson, number: int, page_name: str) -> None:
    """Make the step's values those of the page and its address, before its widgets are made; on another page, go there first.

    A widget that Streamlit binds to the address follows nothing but its own first value. So where the page shows something
    else already, the way leads over the list of lessons, and the page begins anew.
    """
    step = lesson.steps[number - 1]
    wanted = {key: _as_text(value) for key, value in step.view.items()}
    shown = {key: value for key, value in st.query_params.items() if key not in (*_KEPT, "lesson", "at")}
    if page_name != step.page or shown.items() - wanted.items():
        kept = {"present": st.query_params["present"]} if "present" in st.query_params else {}
        way = page(step.page if page_name != step.page else "lessons")
        st.switch_page(way, query_params={"lesson": lesson.name, "at": str(number), **kept})
    for key in st.session_state.get(_LEFT, ()):
        st.session_state.pop(key, None)
    for key, value in step.view.items():
        st.session_state[key] = value
    _write({**wanted, "lesson": lesson.name, "at": str(number)})
    st.session_state[_LEFT] = tuple(step.view)
    st.session_state[_APPLIED] = (lesson.name, number)


def _write(wanted: dict[str, str]) -> None:
    """Put the step's values into the address; what is bound to a widget already is the widget's own to write."""
    for key, value in wanted.items():
        with contextlib.suppress(StreamlitAPIException):
            st.query_params[key] = value


def _panel(lesson: Lesson, number: int, *, is_away: bool) -> None:
    step, last = lesson.steps[number - 1], len(lesson.steps)
    presenting = "present" in st.query_params
    with st.container(border=True, key="lesson_panel"):
        st.caption(
            f":material/school: **{safe_label(said(lesson.title), max_length=120)}** · {say(words.place(number, last))}"
        )
        st.progress(number / last)
        if is_away:
            st.markdown(say(words.AWAY))
        elif step.question is None:
            st.markdown(said(step.text))
        else:
            # side by side, so that the page stays in sight below; a presenter's panel stands beside the page already
            for_text, for_question = (st.container(), st.container()) if presenting else st.columns((3, 2), gap="large")
            for_text.markdown(said(step.text))
            with for_question:
                _ask(lesson, number, step.question)
        _buttons(lesson, number, step, presenting=presenting)
    _listen(lesson, number, presenting=presenting)


def _ask(lesson: Lesson, number: int, question: Question) -> None:
    """Predict, then reveal: the answer is told once one was chosen, and stays with the session."""
    choices = said(question.choices)
    key = f"answer {lesson.name} {number}"
    kept = st.session_state.get("lesson answers", {})
    chosen = st.radio(
        f"**{said(question.ask)}**",
        range(len(choices)),
        index=kept.get(key),
        format_func=lambda place: choices[place],
        key=key,
    )
    if chosen is None:
        st.caption(say(words.PREDICT))
        return
    st.session_state["lesson answers"] = kept | {key: chosen}
    is_right = chosen == question.right
    told = f"**{say(words.RIGHT if is_right else words.NOT_QUITE)}** {said(question.reveal)}"
    (st.success if is_right else st.info)(told, icon=":material/check:" if is_right else ":material/lightbulb:")


def _buttons(lesson: Lesson, number: int, step: Step, *, presenting: bool) -> None:
    last = len(lesson.steps)
    with st.container(horizontal=True):
        st.button(say("Back"), key="lesson_back", disabled=number == 1, on_click=_go, args=(lesson.name, number - 1))
        if number < last:
            st.button(say("Next"), key="lesson_next", type="primary", on_click=_go, args=(lesson.name, number + 1))
        else:
            st.button(say("Finish"), key="lesson_next", type="primary", on_click=_leave)
        st.button(
            say("Back to this step"), key="lesson_again", type="tertiary", on_click=_go, args=(lesson.name, number)
        )
        label = "End presenting" if presenting else "Present"
        st.button(say(label), key="lesson_present", type="tertiary", on_click=_present, args=(not presenting,))
        st.button(say("Leave the lesson"), key="lesson_leave", type="tertiary", on_click=_leave)


def _listen(lesson: Lesson, number: int, *, presenting: bool) -> None:
    pressed = presenter(key="presenter", presenting=presenting, step=f"{lesson.name} {number}")
    if pressed == "leave":
        _present(False)
        st.rerun()
    if pressed in ("next", "back"):
        wanted = number + (1 if pressed == "next" else -1)
        if 1 <= wanted <= len(lesson.steps):
            _go(lesson.name, wanted)
            st.rerun()


def _present_alone() -> None:
    """Presenter mode without a lesson: any page, large; Escape leaves."""
    if "present" in st.query_params and presenter(key="presenter", presenting=True) == "leave":
        _present(False)
        st.rerun()


def _go(name: str, number: int) -> None:
    """Ask for a step; it is applied when the script runs next."""
    st.session_state[_NOW] = (name, number)
    st.session_state.pop(_APPLIED, None)
    for key in ("lesson", "at"):
        st.query_params.pop(key, None)


def _leave() -> None:
    for key in (_NOW, _APPLIED, _LEFT):
        st.session_state.pop(key, None)
    for key in ("lesson", "at", "present"):
        st.query_params.pop(key, None)


def _present(wanted: bool) -> None:
    if wanted:
        st.query_params["present"] = "1"
    else:
        st.query_params.pop("present", None)


def _as_text(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
