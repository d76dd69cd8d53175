"""The page of super tokens wholly in Korean, in every view."""

import pytest

from vitviz.languages.phrases import phrase_book
from vitviz.ui import supertoken_words as words

CREDIT = ("Stefan van der Walt", "scikit", "image")

pytestmark = pytest.mark.usefixtures("own_folders")


@pytest.mark.parametrize(
    "query",
    [
        {"view": "Map"},
        {"view": "Map", "pin": "500_500"},
        {"view": "Iterations", "t": "1"},
        {"view": "Reconstruction", "model": "Pixels"},
        {"view": "Beside grid and SLIC"},
        {"view": "Embeddings"},
        {"view": "Map", "model": "Any timm ViT", "similarity": "dot"},
        {"view": "Map", "run": "table6-conv-s0"},
    ],
)
def test_a_view_of_super_tokens_says_no_english(korean, query):
    assert korean.untranslated(korean.open_korean("supertokens", **query), names=CREDIT) == []


def test_the_empty_page_of_super_tokens_says_no_english(korean, nothing_shipped):
    assert korean.untranslated(korean.open_korean("supertokens", model="Trained run"), names=CREDIT) == []


@pytest.mark.parametrize("people", ["one drawing", "5 drawings"])
def test_scores_against_drawings_are_said_in_korean(people):
    assert phrase_book("ko").knows(f"Against {people}. {words.SCORES}")
