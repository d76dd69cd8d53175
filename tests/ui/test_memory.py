"""Objects that live for ever leave the collector's reach whenever many modules have come, and not at every rerun."""

import gc
import sys
import types

import pytest

from vitviz.ui import memory


@pytest.fixture
def frozen(monkeypatch) -> list[int]:
    """How many modules there were at each freezing."""
    memory._settled.cache_clear()
    counts: list[int] = []
    monkeypatch.setattr(gc, "freeze", lambda: counts.append(len(sys.modules)))
    return counts


def test_it_happens_at_the_first_page_and_again_only_when_a_hundred_modules_have_come(frozen, monkeypatch):
    memory.settle_memory()
    memory.settle_memory()
    assert len(frozen) == 1
    few = {f"vitviz_made_up_{number}": types.ModuleType("made up") for number in range(99)}
    for name, module in few.items():
        monkeypatch.setitem(sys.modules, name, module)
    memory.settle_memory()
    assert len(frozen) == 1
    monkeypatch.setitem(sys.modules, "vitviz_made_up_99", types.ModuleType("made up"))
    memory.settle_memory()
    memory.settle_memory()
    assert len(frozen) == 2 and frozen[1] == frozen[0] + 100


def test_nothing_is_frozen_that_is_garbage_already(monkeypatch):
    memory._settled.cache_clear()
    order: list[str] = []
    monkeypatch.setattr(gc, "collect", lambda: order.append("collect"))
    monkeypatch.setattr(gc, "freeze", lambda: order.append("freeze"))
    memory.settle_memory()
    assert order == ["collect", "freeze"]
