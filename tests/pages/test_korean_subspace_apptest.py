"""The page of subspace clustering in Korean: every view of a run with steps, of one of a turntable, and what stands beside."""

import pytest

VIEWS = ("Affinity", "Loom", "One image", "Ring", "Steps", "Spectrum", "Channels", "Equaliser", "What if")
NAMES = ("coil20", "ji", "adam", "ridge", "AMD EPYC", "vitviz", "DSC-Net")
STATES = [
    *({"run": "digits-subspace-steps", "view": view} for view in VIEWS if view != "Equaliser"),
    *({"run": "coil20-gated", "view": view} for view in ("Affinity", "One image", "Ring", "Spectrum")),
    {"run": "digits-subspace-steps", "pair": "10_11", "layer": "thresholded", "zoom": "4x"},
    {"run": "digits-subspace-steps", "pair": "3_3", "layer": "affinity"},
    {"run": "digits-subspace-steps", "block": "0_20_5_60", "order": "classes"},
    {"run": "coil20-gated", "block": "0_20_0_20", "order": "as in the data"},
    {"run": "digits-subspace-steps", "view": "Steps", "score": "eigengap"},
    {"run": "digits-subspace-steps", "view": "Loom", "affinity": "simple"},
    {"run": "coil20-gated", "view": "Equaliser", "gain_2": "0.5"},
    {"run": "digits-subspace-steps", "view": "What if", "solver": "ridge"},
    {"run": "coil20-gated", "view": "Ring", "object": "9", "pair": "594_595"},
]

pytestmark = pytest.mark.usefixtures("own_folders", "at_once")


@pytest.mark.parametrize("state", STATES, ids=lambda state: " ".join(state.values()))
def test_the_page_speaks_korean(korean, state):
    assert korean.untranslated(korean.open_korean("subspace", **state), names=NAMES) == []


def test_a_change_keeps_its_sign_in_front_where_the_arrow_is_read_from(korean):
    app = korean.open_korean("subspace", run="digits-subspace-steps", view="What if", solver="ridge")
    changes = [metric.delta for metric in app.metric if metric.delta and "실행 대비" in metric.delta]
    assert len(changes) == 3 and all(change[0] in "+-" for change in changes)
