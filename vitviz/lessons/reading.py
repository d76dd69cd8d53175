"""From a TOML file to a checked lesson.

A lesson has a title, a summary and steps; a step names a page, the values of its address, and what to say there, in every
language. Whatever is wrong with a file is said in one sentence that names the file, the step and the reason.
"""

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vitviz.config import unknown_name
from vitviz.errors import Problem
from vitviz.runs.folder import list_runs, own_root

LANGUAGES = ("en", "ko")
SHIPPED = Path(__file__).parent
MAX_BYTES, MAX_STEPS, MAX_TEXT, MAX_CHOICES = 262_144, 20, 1_600, 5
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")

Text = Mapping[str, str]
Value = str | int | float | bool

_RESERVED = ("lesson", "at", "lang", "present")
# what Streamlit's markdown would fetch, link or take for markup
_UNSAFE = re.compile(r"<|!\[|\]\(|://|www\.|:material|&#")
_KEYS = {
    "lesson": {"title", "summary", "minutes", "step"},
    "step": {"page", "view", "text", "question"},
    "question": {"ask", "choices", "right", "reveal"},
}


@dataclass(frozen=True)
class Question:
    """Predict, then reveal: ``right`` is the place of the right one among ``choices``, counted from 0."""

    ask: Text
    choices: Mapping[str, tuple[str, ...]]
    right: int
    reveal: Text


@dataclass(frozen=True)
class Step:
    """What is shown and said: a page, the values of its address as its widgets take them, and a text."""

    page: str
    text: Text
    view: Mapping[str, Value] = field(default_factory=dict)
    question: Question | None = None


@dataclass(frozen=True)
class Lesson:
    """``name`` is the file's, without ending; texts by language; about how many minutes it takes in a class."""

    name: str
    title: Text
    summary: Text
    minutes: int
    steps: tuple[Step, ...]


def own_lessons() -> Path:
    """Where a teacher's own lessons lie: ``VITVIZ_LESSONS``, else ``lessons`` beside the own runs."""
    given = os.environ.get("VITVIZ_LESSONS")
    return Path(given).expanduser() if given else own_root().parent / "lessons"


def list_lessons() -> list[Lesson | Problem]:
    """Every lesson, the shipped ones first in the order of a course, and what is wrong with those that cannot be read."""
    return [_read_or_problem(path) for path in _paths()]


def find_lesson(name: str) -> Lesson:
    """The lesson of that name among those there are; a name never becomes a path. Raises Problem when there is none."""
    for path in _paths():
        if path.stem == name:
            return read_lesson(path)
    raise Problem(f"there is no lesson named '{name[:64]}'", "", "the page Lessons lists those there are")


def read_lesson(path: Path) -> Lesson:
    """The lesson in a TOML file. Raises Problem naming file, step and reason."""
    try:
        return _lesson(path.stem, _load(path))
    except Problem as problem:
        reason = f"{problem.what}: {problem.why}" if problem.why else problem.what
        raise Problem(f"{path.name} is no lesson", reason, problem.hint) from problem


def check_runs(lesson: Lesson) -> None:
    """Raises Problem for the first step that shows a run that is not on this machine."""
    known = {run.name for run in list_runs()}
    for number, step in enumerate(lesson.steps, 1):
        run = step.view.get("run")
        if run is not None and run not in known:
            raise Problem(
                f"lesson '{lesson.name}' cannot be given", f"step {number} shows the run '{run}'", "train it first"
            )


def pages() -> tuple[str, ...]:
    """The pages a step may show: the files of ``pages/`` but the list of lessons itself."""
    folder = SHIPPED.parents[1] / "pages"
    return tuple(sorted(path.stem for path in folder.glob("*.py") if path.stem != "lessons"))


def _paths() -> list[Path]:
    return [*sorted(SHIPPED.glob("*.toml")), *sorted(own_lessons().glob("*.toml"))]


def _read_or_problem(path: Path) -> Lesson | Problem:
    try:
        return read_lesson(path)
    except Problem as problem:
        return problem


def _load(path: Path) -> dict[str, Any]:
    if not NAME.fullmatch(path.stem):
        raise Problem(f"its name '{path.stem[:64]}'", "a lesson is named by 1 to 64 of a-z 0-9 -")
    try:
        if path.stat().st_size > MAX_BYTES:
            raise Problem("it is too large", f"at most {MAX_BYTES // 1024} kB are read")
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise Problem("it cannot be read", str(error)) from error


def _lesson(name: str, plain: Any) -> Lesson:
    _check_keys(plain, "lesson")
    steps = plain.get("step")
    if not isinstance(steps, list) or not 1 <= len(steps) <= MAX_STEPS:
        raise Problem("it has no steps" if not steps else f"it has more than {MAX_STEPS} steps")
    minutes = plain.get("minutes", 0)
    if not isinstance(minutes, int) or not 1 <= minutes <= 240:
        raise Problem(f"minutes={minutes} must be 1 to 240")
    title, summary = _text(plain, "title", 90), _text(plain, "summary", 300)
    return Lesson(name, title, summary, minutes, tuple(_numbered(number, one) for number, one in enumerate(steps, 1)))


def _numbered(number: int, plain: Any) -> Step:
    try:
        return _step(plain)
    except Problem as problem:
        raise Problem(f"step {number}: {problem.what}", problem.why, problem.hint) from problem


def _step(plain: Any) -> Step:
    _check_keys(plain, "step")
    page, view = plain.get("page"), plain.get("view", {})
    if page not in pages():
        raise unknown_name("page", str(page)[:64], list(pages()))
    if not isinstance(view, dict):
        raise Problem("view must be a table of the page's address")
    for key, value in view.items():
        if key in _RESERVED:
            raise Problem(f"view.{key} belongs to the lesson itself")
        if not isinstance(value, str | int | float) or len(str(value)) > 2_000:
            raise Problem(f"view.{key} must be a word, a number or true or false")
    question = plain.get("question")
    return Step(page, _text(plain, "text", MAX_TEXT), view, None if question is None else _question(question))


def _question(plain: Any) -> Question:
    _check_keys(plain, "question")
    choices = {language: _choices(plain.get("choices"), language) for language in LANGUAGES}
    counts = {len(one) for one in choices.values()}
    if len(counts) > 1:
        raise Problem("the languages have different numbers of choices")
    right = plain.get("right")
    if not isinstance(right, int) or not 1 <= right <= min(counts):
        raise Problem(f"right={right} must be the number of a choice, 1 to {min(counts)}")
    return Question(_text(plain, "ask", 400), choices, right - 1, _text(plain, "reveal", 800))


def _choices(plain: Any, language: str) -> tuple[str, ...]:
    given = plain.get(language) if isinstance(plain, dict) else None
    if not isinstance(given, list) or not 2 <= len(given) <= MAX_CHOICES or len(set(map(str, given))) < len(given):
        raise Problem(f"choices.{language} must be 2 to {MAX_CHOICES} different answers")
    return tuple(_checked(one, f"choices.{language}", 200) for one in given)


def _text(plain: Mapping[str, Any], key: str, longest: int) -> Text:
    given = plain.get(key)
    if not isinstance(given, dict):
        raise Problem(f"{key} is missing", f"write {key}.en and {key}.ko")
    return {language: _checked(given.get(language), f"{key}.{language}", longest) for language in LANGUAGES}


def _checked(text: Any, key: str, longest: int) -> str:
    if not isinstance(text, str) or not text.strip():
        raise Problem(f"{key} is missing")
    if len(text) > longest:
        raise Problem(f"{key} has {len(text)} characters", f"at most {longest} are shown")
    if found := _UNSAFE.search(text):
        raise Problem(f"{key} holds {found[0]!r}", "links, pictures and markup are not shown in a lesson")
    return text.strip()


def _check_keys(plain: Any, what: str) -> None:
    if not isinstance(plain, dict):
        raise Problem(f"a {what} must be a table")
    unknown: Sequence[str] = sorted(set(plain) - _KEYS[what])
    if unknown:
        raise unknown_name(f"key of a {what}", unknown[0][:64], sorted(_KEYS[what]))
