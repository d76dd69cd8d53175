"""The page of Clustering CoaT wholly in Korean, in every view."""

from types import SimpleNamespace

import pytest

from vitviz.languages.phrases import phrase_book
from vitviz.ui import coat_words as words

NAMES = (
    "Stefan van der Walt",
    "scikit",
    "image",
    "tiny",
    "mini",
    "small",
    "medium",
)  # a photographer, CoaT-Lite's sizes

pytestmark = pytest.mark.usefixtures("own_folders")


@pytest.mark.parametrize(
    "query",
    [
        {"view": "Clusters"},
        {"view": "Clusters", "pin": "500_500", "block": "stage 1, block 2", "head": "2"},
        {"view": "Clusters", "mlp": "true", "by": "kmeans", "head": "MLP tokens", "pin": "500_500"},
        {"view": "How many", "by": "sign"},
        {"view": "Errors"},
        {"view": "Cost"},
        {"view": "Same answer?", "kind": "softmax"},
        {"view": "Clusters", "network": "CoaT-Lite", "kind": "softmax"},
        {"view": "Errors", "network": "CoaT-Lite", "kind": "none"},
    ],
)
def test_a_view_of_clustering_coat_says_no_english(korean, query):
    assert korean.untranslated(korean.open_korean("coat", **query), names=NAMES) == []


def test_the_page_of_clustering_coat_without_a_run_says_no_english(korean, nothing_shipped):
    app = korean.open_korean("coat", network="Trained run", view="Same answer?")
    assert korean.untranslated(app, names=NAMES) == []


@pytest.mark.parametrize("own_ms", [1.0, 4.0])
@pytest.mark.parametrize("threads", [1, 2])
def test_what_was_measured_is_said_in_korean(own_ms, threads):
    took = {"full softmax": 9.0, "softmax": 3.0, "factorised": own_ms, "unclustered": 2.0}
    cores = [SimpleNamespace(kind=kind, milliseconds=one) for kind, one in took.items()]
    times = SimpleNamespace(cores=cores, num_tokens=3137, num_clusters=64, num_threads=threads)
    book = phrase_book("ko")
    assert book.knows(words.times_sentence(times)) and book.knows(words.times_about(times))
    assert book.knows(words.TIMES.format(seconds=3)) and book.knows(words.BUSY)
