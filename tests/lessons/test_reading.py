"""Lesson files: what is read, what is refused in which words, and what the shipped ones hold to."""

import pytest

from vitviz.errors import Problem
from vitviz.lessons import reading
from vitviz.lessons.reading import LANGUAGES, check_runs, find_lesson, list_lessons, own_lessons, read_lesson

SMALL = """
minutes = 5
title.en = "One"
title.ko = "하나"
summary.en = "Short"
summary.ko = "짧게"

[[step]]
page = "deep_clustering"
view = { run = "digits", view = "Map", round = 3, zoom = true }
text.en = "Look at **this**."
text.ko = "**이것**을 보십시오."
[step.question]
ask.en = "Which?"
ask.ko = "어느 것?"
choices.en = ["a", "b"]
choices.ko = ["가", "나"]
right = 2
reveal.en = "b"
reveal.ko = "나"
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    """``write(text, name)``: a file among the teacher's own lessons."""
    monkeypatch.setenv("VITVIZ_LESSONS", str(tmp_path))

    def make(text: str, name: str = "mine.toml"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return make


def test_a_lesson_is_read_with_values_as_widgets_take_them(write):
    lesson = read_lesson(write(SMALL))
    step = lesson.steps[0]
    assert (lesson.name, lesson.minutes, len(lesson.steps)) == ("mine", 5, 1)
    assert step.view == {"run": "digits", "view": "Map", "round": 3, "zoom": True}
    assert step.question.right == 1 and step.question.choices["ko"] == ("가", "나")


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        (
            '"deep_clustering"',
            '"deep_clusterin"',
            "step 1: unknown page 'deep_clusterin': did you mean 'deep_clustering'",
        ),
        ("minutes = 5", "minutes = 0", "minutes=0 must be 1 to 240"),
        ("right = 2", "right = 3", r"right=3 must be the number of a choice, 1 to 2"),
        ('text.ko = "**이것**을 보십시오."', "", r"step 1: text.ko is missing"),
        ("ask.en", "asks.en", "unknown key of a question 'asks': did you mean 'ask'"),
        ('choices.ko = ["가", "나"]', 'choices.ko = ["가", "나", "다"]', "different numbers of choices"),
        ('choices.ko = ["가", "나"]', 'choices.ko = ["가", "가"]', "choices.ko must be 2 to 5 different answers"),
        ("Look at", "Look ![at](//evil.example)", r"text.en holds '!\['"),
        ("Look at", "<b>Look</b>", "text.en holds '<'"),
        ("Look at", "see https://evil.example", "text.en holds '://'"),
        ("Look at", "x" * 1_700, "at most 1600 are shown"),
        ("round = 3", "lang = 3", "view.lang belongs to the lesson itself"),
        ("round = 3", "round = [3]", "view.round must be a word, a number or true or false"),
        ("[[step]]", "[[stop]]", "unknown key of a lesson 'stop': did you mean 'step'"),
        ("minutes = 5", "minutes = ", "it cannot be read"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_name_step_and_reason(write, before, after, reason):
    assert before in SMALL
    with pytest.raises(Problem, match=reason) as raised:
        read_lesson(write(SMALL.replace(before, after)))
    assert str(raised.value).startswith("mine.toml is no lesson: ")


@pytest.mark.parametrize("name", ["../evil.toml", "Mine.toml", "a b.toml"])
def test_a_name_that_cannot_stand_in_an_address_is_refused(write, name):
    with pytest.raises(Problem, match="a lesson is named by"):
        read_lesson(write(SMALL, name.replace("../", "..")))


def test_a_file_that_is_too_large_is_not_read(write):
    with pytest.raises(Problem, match="too large"):
        read_lesson(write("#" * (reading.MAX_BYTES + 1)))


def test_own_lessons_stand_after_the_shipped_ones_and_a_bad_one_is_a_problem(write):
    write(SMALL, "a-good-one.toml")
    write("", "bad.toml")
    found = list_lessons()
    assert [getattr(one, "name", None) for one in found][-2:] == ["a-good-one", None]
    assert "bad.toml" in str(found[-1])
    assert find_lesson("a-good-one").minutes == 5
    with pytest.raises(Problem, match="there is no lesson named"):
        find_lesson("../a-good-one")


def test_own_lessons_lie_beside_the_runs(monkeypatch, tmp_path):
    monkeypatch.delenv("VITVIZ_LESSONS", raising=False)
    monkeypatch.setenv("VITVIZ_RUNS", str(tmp_path / "runs"))
    assert own_lessons() == tmp_path / "lessons"


def test_a_lesson_on_a_run_that_is_not_here_cannot_be_given(write):
    with pytest.raises(Problem, match="step 1 shows the run 'digitz'"):
        check_runs(read_lesson(write(SMALL.replace('"digits"', '"digitz"'))))


# The shipped ones

SHIPPED = sorted(reading.SHIPPED.glob("*.toml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_lesson_has_six_to_ten_steps_questions_and_runs_that_are_shipped(path):
    lesson = read_lesson(path)
    assert 6 <= len(lesson.steps) <= 10
    assert sum(step.question is not None for step in lesson.steps) >= 2
    check_runs(lesson)
    for step in lesson.steps:
        assert any("가" <= letter <= "힣" for letter in step.text["ko"])
        assert set(step.text) == set(LANGUAGES)


def test_the_eight_lessons_are_there():
    assert len(SHIPPED) == 8
