"""What a page computed: kept by all it depends on, computed one at a time."""

import threading

import pytest
import streamlit as st

from vitviz.ui.results import cached, computed


@pytest.fixture(autouse=True)
def fresh() -> None:
    st.cache_resource.clear()


@pytest.mark.parametrize("keep", [cached, computed, lambda *what: computed(*what, is_large=True)])
def test_a_result_is_kept_under_all_it_depends_on(keep):
    made = []

    def make() -> int:
        made.append(1)
        return len(made)

    assert [keep("a", "x", make), keep("a", "x", make)] == [1, 1]
    assert [keep("b", "x", make), keep("a", "y", make), keep("a", "x", make, 2)] == [2, 3, 4]


def test_two_sessions_compute_one_after_the_other():
    inside, most, lock = 0, 0, threading.Lock()
    both = threading.Barrier(2)

    def make() -> None:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        threading.Event().wait(0.02)
        with lock:
            inside -= 1

    def session(key: str) -> None:
        both.wait(10)
        computed("work", key, make)

    sessions = [threading.Thread(target=session, args=(key,)) for key in "ab"]
    for one in sessions:
        one.start()
    for one in sessions:
        one.join(10)
    assert most == 1
