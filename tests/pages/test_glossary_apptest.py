"""The glossary as a list: all terms by paper, found by words and numbers, one by its link, in both languages."""

import json
import zlib

import pytest
from streamlit.testing.v1 import AppTest

from vitviz.languages.glossary import PAPERS, glossary
from vitviz.runs.folder import shipped_root
from vitviz.ui.glossary import _packed

ROUTER = shipped_root().parent / "vitviz" / "ui" / "router.py"
TERMS = glossary()

pytestmark = pytest.mark.usefixtures("own_folders")


def _open(**query: str) -> AppTest:
    app = AppTest.from_file(ROUTER, default_timeout=60).run()
    app.switch_page("../../pages/glossary.py")
    app.query_params.update(query)
    app.run()
    assert not app.exception and not app.error
    return app


def _texts(app: AppTest) -> str:
    return "\n".join(element.value.replace("\\", "") for element in app.markdown)


def test_every_term_stands_in_the_list_under_its_paper_with_its_numbers():
    app = _open()
    texts = _texts(app)
    assert [term.key for term in TERMS if f"**{term.name['en']}**" not in texts or term.text["en"] not in texts] == []
    assert len(app.header) == len(PAPERS) + 1
    assert "eq. (6)–(7)" in texts and "eq. (2)–(4), Table 8" in texts and "Figure 5" in texts


@pytest.mark.parametrize(
    ("wanted", "keys"),
    [("eq. (7)", {"cluster-loss", "phase-2"}), ("롤아웃", {"rollout"}), ("zebra", set())],
)
def test_terms_are_found_by_number_and_by_either_language(wanted, keys):
    app = _open(find=wanted)
    texts = _texts(app)
    assert {term.key for term in TERMS if term.text["en"] in texts} == keys
    assert bool(app.info) == (not keys)


def test_a_link_shows_one_term_with_its_paper_and_a_wrong_one_shows_all():
    texts = _texts(_open(term="cluster-loss"))
    assert "ViT deep clustering, eq. (6)–(7)" in texts and "super token" not in texts
    assert "super token" in _texts(_open(term="no-such-term"))


def test_the_browser_is_given_every_term_and_what_each_form_means():
    told = json.loads(zlib.decompress(_packed("ko"), wbits=31))
    assert [one["name"] for one in told["terms"]] == [term.name["ko"] for term in TERMS]
    means = {form: [told["terms"][place]["name"] for place in places] for form, places in told["forms"].items()}
    assert means["쿼리"] == ["질의"] and means["alpha"] == ["거듭제곱 α"]
    assert told["terms"][8]["cited"] == "ViT 딥 클러스터링, 식 (6)–(7)"


def test_the_glossary_says_nothing_in_english_but_the_english_names(korean):
    names = [*(term.name["en"] for term in TERMS), *(term.source for term in TERMS if term.source)]
    for query in ({}, {"term": "rollout"}, {"find": "(7)"}):
        assert korean.untranslated(korean.open_korean("glossary", **query), names=names) == []
