"""What a Problem can say, read off the source of the modules that raise it, in the phrase book of every other language."""

import ast
import itertools
import re
import runpy
from collections.abc import Iterator
from pathlib import Path

import pytest

from vitviz.languages.phrases import LANGUAGES, phrase_book

ROOT = Path(__file__).resolve().parents[2]
FLOORS = ("clustering", "data", "explain", "nn", "runs", "ui")
OTHERS = sorted(set(LANGUAGES.values()) - {"en"})
FILLED = "Qz7"
SETTINGS = ("squared", "literal", "mean", "max", "min", "and", "owner", "auto", "cpu", "cuda", "mps")  # not to be said


def _templates(node: ast.expr | None) -> list[str]:
    """The texts that an expression can be, ``FILLED`` where something is filled in; none where it says nothing."""
    match node:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.JoinedStr(values=parts):
            return ["".join(part.value if isinstance(part, ast.Constant) else FILLED for part in parts)]
        case ast.IfExp(body=body, orelse=other):
            return _templates(body) + _templates(other)
        case ast.BinOp(op=ast.Add(), left=left, right=right):
            return [one + two for one, two in itertools.product(_templates(left), _templates(right))]
    return []


def _assigned(function: ast.AST) -> dict[str, list[str]]:
    """Name to the texts that it is given within a function."""
    found: dict[str, list[str]] = {}
    for node in ast.walk(function):
        if not isinstance(node, ast.Assign):
            continue
        target = node.targets[0]
        pairs = [(target, node.value)]
        if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
            pairs = list(zip(target.elts, node.value.elts, strict=True))
        for name, value in pairs:
            if isinstance(name, ast.Name):
                found.setdefault(name.id, []).extend(_templates(value))
    return found


def _said_by(path: Path) -> Iterator[str]:
    """Every text of what, why and hint that the problems of a module are given."""
    for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(function, ast.FunctionDef):
            continue
        names = _assigned(function)
        for call in ast.walk(function):
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "Problem":
                for given in (*call.args, *(one.value for one in call.keywords)):
                    yield from names.get(given.id, []) if isinstance(given, ast.Name) else _templates(given)


def _texts(floor: str) -> list[str]:
    paths = sorted((ROOT / "vitviz" / floor).rglob("*.py"))
    texts = {text for path in paths for text in _said_by(path)}
    return sorted(text for text in texts if re.search("[a-z]{2}", text.replace(FILLED, "")))


@pytest.mark.parametrize("language", OTHERS)
@pytest.mark.parametrize("floor", FLOORS)
def test_whatever_a_problem_of_a_floor_says_is_a_phrase(floor, language):
    texts = _texts(floor)
    assert texts
    assert [text for text in texts if not phrase_book(language).knows(text)] == []


def test_no_english_is_left_in_what_a_problem_says_in_korean():
    is_english = runpy.run_path(str(ROOT / "tests" / "pages" / "korean.py"))["_is_english"]
    said = {text: phrase_book("ko").say(text) for floor in FLOORS for text in _texts(floor)}
    assert [text for text, korean in said.items() if is_english(korean, {FILLED.lower(), *SETTINGS})] == []
