"""The three ways to begin, on the first page."""

from collections.abc import Sequence

from vitviz.errors import Problem
from vitviz.lessons.reading import Lesson, check_runs, find_lesson
from vitviz.runs.folder import Run
from vitviz.ui import home_words as words
from vitviz.ui.components.link_cards import Card, link_cards
from vitviz.ui.home_live import find_live
from vitviz.ui.language import say
from vitviz.ui.lessons import address_of, said
from vitviz.ui.links import Link, follow_one_of

_LESSON = "1-feedback"


def show_ways(runs: Sequence[Run]) -> None:
    """A lesson, a photo, a run: where something is missing on this machine, the page that says so."""
    all_lessons = Link("lessons")
    ways = [_to_lesson(), _to_photo(), _to_run(find_live(runs))]
    second = [(all_lessons.address(), say(words.ALL_LESSONS)), None, None]
    cards = [
        Card(link.address(), say(label), say(text), say(note), more=more)
        for (link, label, text, note), more in zip(ways, second, strict=True)
    ]
    opened = link_cards(key="ways", label=say(words.BEGIN), cards=cards, layout="row")
    follow_one_of([all_lessons, *(link for link, *_ in ways)], opened)


def _to_lesson() -> tuple[Link, str, str, str]:
    lesson = _first_lesson()
    if lesson is None:
        return Link("lessons"), words.LESSON, words.LESSON_TEXT, ""
    link = Link(lesson.steps[0].page, address_of(lesson))
    return link, words.LESSON, words.LESSON_TEXT, words.lesson_note(said(lesson.title))


def _to_photo() -> tuple[Link, str, str, str]:
    return Link("supertokens"), words.MICROSCOPE, words.MICROSCOPE_TEXT, words.MICROSCOPE_NOTE


def _to_run(run: Run | None) -> tuple[Link, str, str, str]:
    link, note = Link("deep_clustering"), ""
    if run is not None:
        link, note = Link("deep_clustering", {"run": run.name}), words.run_note(run.name, run.num_rounds())
    return link, words.STEP_THROUGH, words.STEP_THROUGH_TEXT, note


def _first_lesson() -> Lesson | None:
    """The first of the course; None where it cannot be given."""
    try:
        lesson = find_lesson(_LESSON)
        check_runs(lesson)
    except Problem:
        return None
    return lesson
