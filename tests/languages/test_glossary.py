"""The glossary: every term is written on the pages in both languages, and every number cited is one the project holds to."""

import json
import re
from pathlib import Path

import pytest

from vitviz.languages import glossary as module
from vitviz.languages.glossary import (
    PLACES,
    SPOKEN,
    find_terms,
    form_pattern,
    forms_of,
    glossary,
    plain_form,
    read_glossary,
    single_numbers,
)
from vitviz.languages.phrases import LANGUAGES, phrase_book
from vitviz.lessons.reading import SHIPPED, read_lesson
from vitviz.ui.labels import safe_label

VITVIZ = Path(module.__file__).parents[1]
PAGES = {path.stem for path in (VITVIZ.parent / "pages").glob("*.py")}
TERMS = glossary()
HOMES = {
    "deep_clustering": ("training/deep_clustering.py", "nn/vit.py", "ui/words.py"),
    "supertokens": ("training/supertokens.py", "nn/supertokens.py", "nn/embed.py"),
    "subspace": ("training/subspace.py", "nn/subspace.py"),
    "coat": ("training/coat.py", "nn/coat_block.py", "nn/query_groups.py"),
}
"""Paper to the files that say which equation, table and figure of it stands where."""
NUMBERS = r"\(?(\d+\)?(?:(?:-| and |, )\(?\d+\)?)*)"
CITED = {
    "equations": rf"(?i:equations?|eqs?\.?) {NUMBERS}|^{NUMBERS}  +\S",
    "tables": rf"Tables? {NUMBERS}",
    "figures": rf"Figures? {NUMBERS}",
}
SMALL = """
[token]
name = { en = "token", ko = "토큰" }
text = { en = "One vector.", ko = "벡터 하나입니다." }
page = "attention"
"""


def cited(text: str, place: str) -> set[int]:
    """The numbers of equations, tables or figures that a text speaks of."""
    found = [next(filter(None, match.groups())) for match in re.finditer(CITED[place], text, re.MULTILINE)]
    plain = [re.sub(r"[()]", "", numbers).replace(" and ", ", ") for numbers in found]
    return {number for numbers in plain for number in single_numbers(numbers)}


def sentences(language: str) -> str:
    """All that pages and lessons say in a language."""
    phrases = phrase_book("ko").phrases
    said = list(phrases if language == "en" else phrases.values())
    for path in SHIPPED.glob("*.toml"):
        lesson = read_lesson(path)
        said += [lesson.title[language], lesson.summary[language]]
        for step in lesson.steps:
            asked = [step.question.ask, step.question.reveal] if step.question else []
            said += [text[language] for text in (step.text, *asked)]
    return "\n".join(said).replace("\\", "")


def test_the_glossary_speaks_every_language_there_is():
    assert set(SPOKEN) == set(LANGUAGES.values())


@pytest.mark.parametrize("language", SPOKEN)
def test_every_term_is_said_by_a_page_or_a_lesson(language):
    used = find_terms(sentences(language), TERMS, language)
    assert [term.key for term in TERMS if term.key not in used] == []


@pytest.mark.parametrize("language", SPOKEN)
def test_no_form_is_listed_that_nothing_says(language):
    said = {plain_form(found) for found in re.findall(form_pattern(TERMS, language), sentences(language))}
    idle = []
    for term in TERMS:
        known = {form for form in said if form in forms_of(term, language)}
        idle += [form for form in term.forms[language] if not known & {plain_form(form), f"{plain_form(form)}s"}]
    assert idle == []


def test_names_and_texts_hold_nothing_that_markdown_reads():
    words = [*(text for term in TERMS for text in (*term.name.values(), *term.text.values()))]
    assert [word for word in words if re.search(r"[*`\[\]<>$~#]|:\w+:", word)] == []
    assert [term.key for term in TERMS if "`" in term.formula] == []
    assert [word for word in words if safe_label(word, max_length=400).endswith("…")] == []


def test_terms_are_seen_on_pages_that_there_are():
    named = {page for term in TERMS for page in (term.page, *term.only)}
    assert named <= PAGES
    assert [term.key for term in TERMS if term.only and term.page not in term.only] == []


@pytest.mark.parametrize("term", [term for term in TERMS if term.paper and term.places], ids=lambda term: term.key)
def test_every_number_of_a_paper_is_one_that_its_home_files_name(term):
    homes = "\n".join((VITVIZ / path).read_text(encoding="utf-8") for path in HOMES[term.paper])
    for place, numbers in term.places.items():
        assert set(single_numbers(numbers)) <= cited(homes, place), place


@pytest.mark.parametrize("term", [term for term in TERMS if term.source], ids=lambda term: term.key)
def test_every_other_source_and_its_numbers_are_named_where_it_is_used(term):
    texts = [text for path in VITVIZ.rglob("*.py") if term.source in (text := path.read_text(encoding="utf-8"))]
    assert texts
    for place, numbers in term.places.items():
        assert any(set(single_numbers(numbers)) <= cited(text, place) for text in texts), place


def test_numbers_are_read_as_the_docstrings_write_them():
    text = "A, equations 2-4 and eq 8; Tables 3, 4 and 7\n1      z_0 = x\n(6)    y\n5 of 7 images"
    assert cited(text, "equations") == {1, 2, 3, 4, 6, 8}
    assert cited(text, "tables") == {3, 4, 7}
    assert cited(text, "figures") == set()


@pytest.mark.parametrize(
    ("language", "text", "wanted"),
    [
        ("en", "Tokens of a patch.", {"token", "patch"}),
        ("en", "tokenised dispatch k-meansy subheads", set()),
        ("en", "Super\ntokens and held-out NMI", {"super-token", "held-out", "nmi"}),
        ("en", "The gate's queries", {"channel-attention", "query"}),
        ("ko", "군집은 군집을, 토큰들의 임베딩입니다.", {"cluster", "token", "embedding"}),
        ("ko", "군집화와 재임베딩과 중심지", set()),
        ("ko", "슈퍼 토큰(들)과 NMI는", {"super-token", "nmi"}),
    ],
)
def test_a_term_is_found_as_a_word_of_its_own(language, text, wanted):
    assert find_terms(text, TERMS, language) == wanted


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("token]", "Token]"), "a key is"),
        (('ko = "토큰"', 'ko = ""'), "name.ko must be"),
        (('ko = "벡터 하나입니다."', f'ko = "{"벡" * 400}"'), "text.ko must be"),
        (('page = "attention"', 'equation = "1"'), "equation is none of"),
        (('page = "attention"', 'equations = "1"'), "one paper or one source"),
        (('page = "attention"', 'paper = "coat"\nsource = "One 2020"'), "one paper or one source"),
        (('page = "attention"', 'paper = "coat"\nequations = "3."'), "must be numbers"),
        (('page = "attention"', 'paper = "swin"'), "is none of deep_clustering"),
        (("[token]", SMALL.replace("[token]", "[other]") + "[token]"), "'token' means other and token"),
    ],
)
def test_a_term_that_is_wrong_is_refused_with_the_reason(tmp_path, change, reason):
    path = tmp_path / "glossary.toml"
    assert SMALL.count(change[0]) >= 1
    path.write_text(SMALL.replace(*change), encoding="utf-8")
    with pytest.raises(ValueError, match=re.escape(reason)):
        read_glossary(path)


def test_a_form_may_mean_two_things_on_different_pages(tmp_path):
    other = SMALL.replace("[token]", "[other]") + 'only = ["coat"]\n'
    path = tmp_path / "glossary.toml"
    path.write_text(f'{SMALL}only = ["attention"]\n{other}', encoding="utf-8")
    assert [term.key for term in read_glossary(path)] == ["token", "other"]
    path.write_text(f"{SMALL}{other}", encoding="utf-8")
    with pytest.raises(ValueError, match="let each keep to pages of its own"):
        read_glossary(path)


def test_what_may_be_cited_is_what_the_tests_look_for():
    assert set(CITED) == set(PLACES)
    assert json.dumps([term.places for term in TERMS]).count("equations") > 20
