"""Every sentence that the interface is written with stands in the phrase book of every other language: read off the source.

A page that is opened in Korean shows only what that view says; this reads all modules of sentences, every text that is handed to
``say``, and what the registry and the presets tell of themselves. A new sentence goes into a file of ``vitviz/languages/ko``.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from vitviz.languages.phrases import LANGUAGES, PhraseBook, phrase_book
from vitviz.training.configs import CONFIGS, summary_of
from vitviz.training.presets import PRESETS
from vitviz.ui.navigation import title_of_method
from vitviz.ui.train_words import METHODS

ROOT = Path(__file__).resolve().parents[2]
OTHERS = sorted(set(LANGUAGES.values()) - {"en"})
FILLED = "{}"  # what an f-string or a form has at its places
SAYING = ("say", "choose", "choose_from")
NOT_SAID = re.compile(r"python -m |^ ?--set |<svg |^width=|^#|^/home/me/photos$|^weight-decay=0\.1$")
"""Lines of code, pictures, examples of what to type."""


def _texts(node: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and text of every string within ``node`` but docstrings."""
    for child in ast.iter_child_nodes(node):
        is_docstring = isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)
        match child:
            case _ if is_docstring:
                continue
            case ast.Constant(value=str(text)):
                yield child.lineno, text
            case ast.JoinedStr(values=parts):
                yield child.lineno, "".join(part.value if isinstance(part, ast.Constant) else FILLED for part in parts)
                for part in parts:
                    yield from _texts(part) if isinstance(part, ast.FormattedValue) else ()
            case _:
                yield from _texts(child)


def _said_in(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and text of whatever is written within the first argument of what says it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in SAYING and node.args:
            yield from _texts(ast.Expression(node.args[0]))


def _sentences() -> Iterator[tuple[str, str]]:
    """Where it stands, and the text: in modules of words all texts of two words or more, elsewhere what is said."""
    for path in sorted([*ROOT.glob("vitviz/ui/**/*.py"), *ROOT.glob("pages/*.py")]):
        tree, is_words = ast.parse(path.read_text(encoding="utf-8")), path.stem.endswith("words")
        for line, text in _texts(tree) if is_words else _said_in(tree):
            if " " in text.strip() and not NOT_SAID.search(text):
                yield f"{path.relative_to(ROOT)}:{line}", text
    for name, preset in PRESETS.items():
        yield from ((f"preset {name}", text) for text in (preset.title, preset.why))
    for noun in CONFIGS:
        yield f"what the method {noun} does", METHODS.get(noun) or summary_of(noun)
        yield f"the name of the method {noun}", title_of_method(noun)


def _knows(book: PhraseBook, text: str) -> bool:
    """Whether a text is a phrase, or each of its pieces between places stands in one."""
    pieces = (
        re.sub(r"^[^A-Za-z*]+|[^A-Za-z*.?!…%]+$", "", piece)
        for piece in re.split(r"\{[^}]*\}|\n+|(?<=[.?!…])\s+", text)
    )
    wordy = [piece for piece in pieces if re.search("[A-Za-z]{2}", piece) and not piece.isupper()]
    return book.knows(text) or all(any(piece in key for key in book.phrases) for piece in wordy)


@pytest.mark.parametrize("language", OTHERS)
def test_every_sentence_of_the_interface_is_in_the_phrase_book(language):
    book, sentences = phrase_book(language), list(_sentences())
    assert len(sentences) > 500
    missing = [f"{place}: {text}" for place, text in sentences if not _knows(book, text)]
    assert not missing, f"vitviz/languages/{language} has no phrase for:\n" + "\n".join(missing)


@pytest.mark.parametrize(
    ("text", "is_known"),
    [
        ("A round. Nobody moved.", True),
        ("A round. Somebody moved.", False),
        ("{} images in {count} rounds: {}", True),
        ("{} pictures: {}", False),
        ("NMI", True),
        ("{} %, 12", True),
    ],
)
def test_a_text_is_known_by_each_of_its_pieces(text, is_known):
    book = PhraseBook(
        {"A round.": "라운드.", "Nobody moved.": "그대로.", "{all} images in {count} rounds: {what}": "…"}
    )
    assert _knows(book, text) is is_known
