"""Lessons over the real pages: every step shows what it says it shows, in both languages, and can be left."""

import pytest
from streamlit.testing.v1 import AppTest

from vitviz.lessons.reading import SHIPPED, find_lesson
from vitviz.runs.folder import shipped_root

ROUTER = shipped_root().parent / "vitviz" / "ui" / "router.py"
NAMES = sorted(path.stem for path in SHIPPED.glob("*.toml"))

pytestmark = pytest.mark.usefixtures("own_folders")


def _open(name: str, at: int, **query: str) -> AppTest:
    app = AppTest.from_file(ROUTER, default_timeout=120)
    app.query_params.update({"lesson": name, "at": str(at), **query})
    app.run()
    assert not app.exception
    return app


def _texts(app: AppTest) -> str:
    return "\n".join(str(element.value).replace("\\", "") for element in (*app.markdown, *app.caption))


@pytest.mark.parametrize("name", NAMES)
def test_every_step_shows_its_page_its_view_and_its_text(name):
    lesson = find_lesson(name)
    app = _open(name, 1)
    for number, step in enumerate(lesson.steps, 1):
        assert not app.exception and not app.error, (number, [one.value for one in app.error])
        assert f"step {number} of {len(lesson.steps)}" in _texts(app) and step.text["en"] in _texts(app)
        assert app.segmented_control(key="view").value == step.view["view"]
        assert not [
            key for key, value in step.view.items() if key in app.session_state and app.session_state[key] != value
        ]
        app.button(key="lesson_next").click().run()
    assert not app.exception and step.text["en"] not in _texts(app)


@pytest.mark.parametrize("name", NAMES)
def test_a_lesson_speaks_korean(name):
    lesson = find_lesson(name)
    app = _open(name, 1, lang="KO")
    texts = _texts(app)
    assert lesson.title["ko"] in texts and lesson.steps[0].text["ko"] in texts
    assert f"{len(lesson.steps)}단계 중 1단계" in texts


def test_a_question_is_answered_after_a_prediction_and_the_answer_stays():
    step = find_lesson("1-feedback").steps[1]
    app = _open("1-feedback", 2)
    assert step.question.reveal["en"] not in "".join(one.value for one in (*app.success, *app.info))
    app.radio[0].set_value(0).run()
    assert step.question.reveal["en"] in app.info[0].value
    app.radio[0].set_value(step.question.right).run()
    assert step.question.reveal["en"] in app.success[0].value
    app.button(key="lesson_next").click().run()
    app.button(key="lesson_back").click().run()
    assert step.question.reveal["en"] in app.success[0].value


def test_on_another_page_the_lesson_waits_and_can_be_taken_up_or_left():
    app = _open("5-affinity", 2)
    app.switch_page("../../pages/runs.py").run()
    assert "look at something else" in _texts(app)
    app.button(key="lesson_again").click().run()
    assert app.title[0].value == "Subspace clustering" and app.segmented_control(key="zoom").value == "2x"
    app.button(key="lesson_leave").click().run()
    assert not [one for one in app.button if one.key and one.key.startswith("lesson_")]


def test_an_unknown_lesson_is_one_sentence_and_the_page_goes_on():
    app = _open("no-such", 1)
    assert "there is no lesson named" in app.error[0].value and app.title


def test_the_list_has_a_card_for_each_with_its_link():
    app = AppTest.from_file(ROUTER, default_timeout=120).run()
    app.switch_page("../../pages/lessons.py").run()
    assert not app.exception and not app.error
    texts = _texts(app)
    assert all(find_lesson(name).title["en"] in texts for name in NAMES)


def test_the_list_of_lessons_is_wholly_korean(korean):
    app = korean.open_korean("lessons")
    assert korean.untranslated(app, names=["k-means", "CoaT"]) == []
