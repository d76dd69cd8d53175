"""The first page in Korean."""

import pytest

pytestmark = pytest.mark.usefixtures("own_folders")
NAMES = ("supertokens", "attention", "subspace", "coat", "train")
"""Addresses of pages, which links carry beside their words."""


def test_home_says_nothing_in_english(korean):
    assert korean.untranslated(korean.open_korean("home"), names=NAMES) == []
