"""Phrase books: sentences of a form, sentences in a row, particles, and what every book must hold to."""

import json
import re
from pathlib import Path

import pytest

from vitviz.languages import phrases
from vitviz.languages.phrases import LANGUAGES, PhraseBook, fit_particles, phrase_book, places
from vitviz.runs.compact import KEPT_WEIGHTS, export_compact
from vitviz.runs.folder import Run, shipped_root

BOOKS = Path(phrases.__file__).parent
BOOK = PhraseBook(
    {
        "held out": "검증",
        "Map": "지도",
        "{count} images selected at round {round}": "{round}라운드에서 이미지 {count}장 선택",
        "{count} {part} images": "{part} 이미지 {count}장",
        "A round.": "라운드.",
        "{name} was read": "{name}을(를) 읽었습니다",
    }
)


@pytest.mark.parametrize(
    ("english", "korean"),
    [
        ("Map", "지도"),
        ("1,797 images selected at round 3", "3라운드에서 이미지 1,797장 선택"),
        ("12 held out images", "검증 이미지 12장"),
        ("A round. A round.", "라운드. 라운드."),
        ("A round. Nobody knows this.", "라운드. Nobody knows this."),
        ("digits", "digits"),
        ("12 held out. A round. Some images", "12 held out. 라운드. Some images"),
        ("", ""),
        ("Map was read", "지도를 읽었습니다"),
    ],
)
def test_a_sentence_is_said_as_its_phrase_or_its_form_says(english, korean):
    assert BOOK.say(english) == korean


@pytest.mark.parametrize(
    ("text", "fitting"),
    [
        ("지도을(를)", "지도를"),
        ("라운드 3이(가)", "라운드 3이"),
        ("군집은(는)", "군집은"),
        ("**군집**은(는)", "**군집**은"),
        ("파일으로(로)", "파일로"),
        ("라운드 2과(와)", "라운드 2와"),
        ("NMI을(를)", "NMI을(를)"),
        ("10%을(를)", "10%를"),
    ],
)
def test_particles_take_the_form_that_fits_the_sound_before(text, fitting):
    assert fit_particles(text) == fitting


def test_a_form_that_begins_with_a_word_goes_before_one_that_takes_whatever_comes():
    book = PhraseBook({"Basis: {what}": "근거: {what}", "{number} of {all} images": "이미지 {all}장 가운데 {number}장"})
    assert book.say("Basis: 3 of 5 images") == "근거: 이미지 5장 가운데 3장"


@pytest.mark.parametrize("language", sorted(set(LANGUAGES.values()) - {"en"}))
def test_no_phrase_stands_twice_nor_with_other_names_for_its_places(language):
    keys = [
        re.sub(r"\{\w+\}", "{}", key)
        for path in sorted(BOOKS.joinpath(language).glob("*.json"))
        for key in json.loads(path.read_text("utf-8"))
    ]
    assert [key for key in set(keys) if keys.count(key) > 1] == []


@pytest.mark.parametrize("language", sorted(set(LANGUAGES.values()) - {"en"}))
def test_every_phrase_of_a_book_is_said_and_keeps_its_places(language):
    phrases = phrase_book(language).phrases
    assert phrases
    wrong = [key for key, said in phrases.items() if not said.strip() or places(key) != places(said)]
    assert wrong == []


@pytest.mark.parametrize("language", sorted(set(LANGUAGES.values()) - {"en"}))
def test_a_form_has_words_of_its_own_so_that_it_does_not_swallow_others(language):
    forms = [key for key in phrase_book(language).phrases if places(key)]
    assert [key for key in forms if not re.search(r"[A-Za-z]{2,}", re.sub(r"\{\w+\}", "", key))] == []


@pytest.mark.parametrize("language", sorted(set(LANGUAGES.values()) - {"en"}))
def test_bold_words_end_where_markdown_sees_it(language):
    """A ``**`` between a sign and a letter, as in ``**5%**인``, closes nothing; a place may end in a sign."""
    unseen = []
    for key, said in phrase_book(language).phrases.items():
        parts = said.split("**")
        bold = [(parts[at - 1], parts[at], parts[at + 1]) for at in range(1, len(parts) - 1, 2)]
        unseen += [key for _, inside, after in bold if after[:1].isalnum() and not inside[-1:].isalnum()]
        unseen += [key for before, inside, _ in bold if before[-1:].isalnum() and not inside[:1].isalnum()]
    assert unseen == []


def test_an_unknown_language_is_refused():
    with pytest.raises(KeyError):
        phrase_book("../en")


# What runs say of themselves


def test_notes_of_every_shipped_run_are_said_in_korean():
    book, english = phrase_book("ko"), set()
    for path in sorted(shipped_root().glob("*/run.json")):
        english |= {note for note in Run(path.parent).description().notes if book.say(note) == note}
    assert english == set()


@pytest.mark.parametrize("weights", KEPT_WEIGHTS)
@pytest.mark.parametrize("num_components", [0, 4])
def test_the_note_of_a_small_copy_is_said_in_korean(tmp_path, num_components, weights):
    export_compact(
        Run(shipped_root() / "digits-s1"), tmp_path / "small", num_components=num_components, weights=weights
    )
    note = Run(tmp_path / "small").description().notes[-1]
    assert note.startswith("handed on with") and "handed" not in phrase_book("ko").say(note)
