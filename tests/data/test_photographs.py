"""The bundled photographs: there, upright, and opened without a network."""

import socket

import pytest

from vitviz.data import photographs
from vitviz.data.photographs import find_photograph, list_photographs, open_photograph
from vitviz.errors import Problem

NAMES = [one.name for one in list_photographs()]


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*args, **options):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


def test_the_first_one_and_both_packages_are_there():
    assert NAMES[0] == "cat"
    assert {one.package for one in list_photographs()} == {"skimage", "sklearn"}
    assert len(NAMES) == len(set(NAMES)) >= 6


@pytest.mark.parametrize("name", NAMES)
def test_every_photograph_opens_within_the_side_that_is_asked(name):
    pixels = open_photograph(name, max_side=128).pixels
    assert pixels.shape[2] == 3 and max(pixels.shape) == 128
    assert pixels.std() > 5


@pytest.mark.parametrize("name", NAMES)
def test_every_photograph_says_whose_it_is(name):
    assert any(word in find_photograph(name).credit for word in ("CC0", "CC BY", "public domain"))


def test_what_is_not_there_is_a_sentence_and_what_is_missing_is_not_offered(monkeypatch):
    with pytest.raises(Problem, match="no photograph named 'dog'"):
        open_photograph("dog")
    monkeypatch.setattr(photographs, "find_spec", lambda package: None)
    list_photographs.cache_clear()
    assert list_photographs() == ()
    list_photographs.cache_clear()
