"""Twenty sessions that look through one network at the same time: each sees the map of the patch that it asked for."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlparse

import pytest

from benchmarks.load import connect
from vitviz.data.photographs import open_photograph
from vitviz.explain.attention import birds_eye, fuse
from vitviz.explain.opened_models import load_run_model
from vitviz.explain.preprocessing import prepare
from vitviz.runs.folder import Run, shipped_root

RUN, PHOTO = "clothing-supertoken", "rocket"
PLACES = [(row, column) for row in (1, 4, 8, 12) for column in (0, 3, 7, 10, 13)]

pytestmark = pytest.mark.browser


def _address(place: tuple[int, int]) -> str:
    y, x = (round(1000 * (one + 0.5) / 14) for one in place)
    return f"run={RUN}&photo={PHOTO}&pin={x}_{y}&layer=2&heads=head+1"


async def _look_at_once(port: int) -> list[list]:
    sessions = [await connect(port) for _ in PLACES]
    await sessions[0].open("attention", _address(PLACES[0]))  # loads the network, which the others then share
    await asyncio.gather(
        *(session.open("attention", _address(place)) for session, place in zip(sessions, PLACES, strict=True))
    )
    assert sum(session.errors for session in sessions) == 0
    for session in sessions:
        await session.socket.close()
    return [session.elements for session in sessions]


def test_twenty_sessions_on_one_cached_network_get_each_their_own_map(shipped_server):
    with ThreadPoolExecutor(1) as pool:  # the browser of other tests keeps this thread's event loop
        answers = pool.submit(asyncio.run, _look_at_once(urlparse(shipped_server.address).port)).result()
    opened = load_run_model(Run(shipped_root() / RUN))
    image, _ = prepare(opened.model, open_photograph(PHOTO, max_side=1024).pixels, opened.preprocessing)
    largest = {}
    for place, elements in zip(PLACES, answers, strict=True):
        said = [one.markdown.body for one in elements if one.WhichOneof("type") == "markdown"]
        assert any(f"query row {place[0]}, column {place[1]};" in text for text in said), place
        components = [one.bidi_component for one in elements if one.WhichOneof("type") == "bidi_component"]
        canvases = [one for one in (json.loads(component.json) for component in components) if "heat_max" in one]
        own = fuse(birds_eye(opened.model, image[0], place).rows[2].maps, head=1)
        largest[place] = canvases[1]["heat_max"]
        assert largest[place] == pytest.approx(float(own.max()), rel=1e-3), place
    assert len(set(largest.values())) == len(PLACES)
