"""Asks for every name on its standard input, a JSON list, wherever a person can give one; says which files were opened for it.

What belongs to Python, the project, its runs and its caches is not told: everything else is.
"""

import asyncio
import contextlib
import json
import os
import sys
import tempfile

from starlette.applications import Starlette
from streamlit.testing.v1 import AppTest

from vitviz.data.cache import cache_folder
from vitviz.data.decoding_apart import decode_image_apart
from vitviz.data.photographs import find_photograph
from vitviz.errors import Problem
from vitviz.explain.model_hub import parse_hub_name
from vitviz.runs.folder import find_run, own_root, shipped_root
from vitviz.training.methods import find_method
from vitviz.training.setup import load_images
from vitviz.ui.kept import find_kept
from vitviz.ui.routes import routes

EVENTS = {"open", "os.listdir", "os.scandir", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.symlink", "os.link"}
PROJECT = shipped_root().parent
OURS = [sys.prefix, sys.base_prefix, str(PROJECT), str(own_root()), str(cache_folder()), "/proc/", "/dev/", "/sys/"]
ROUTES = ("/vitviz/runs/{}/map.bin", "/vitviz/runs/{}/margin.bin", "/vitviz/runs/{}/tile-0.webp", "/vitviz/kept/{}")

opened: list[str] = []
allowed = tuple(os.path.realpath(path) for path in OURS)


def watch(event: str, arguments: tuple) -> None:
    if event in EVENTS and isinstance(arguments[0], (str, bytes, os.PathLike)):
        whole = os.path.realpath(os.fsdecode(arguments[0]))
        if not whole.startswith(allowed):
            opened.append(f"{event} {whole}")


async def status_of(application: Starlette, path: str) -> int:
    """What the server answers a GET of a path, which it gets decoded."""
    answers = []

    async def receive() -> dict:
        return {"type": "http.request"}

    async def send(message: dict) -> None:
        answers.append(message)

    head = {"type": "http", "method": "GET", "path": path, "root_path": "", "query_string": b"", "headers": []}
    await application(head, receive, send)
    return answers[0]["status"]


def ask(name: str, application: Starlette, page: AppTest) -> list[int]:
    for look_up in (find_run, find_photograph, find_kept, find_method, parse_hub_name):
        with contextlib.suppress(Problem):
            assert look_up(name) is None, f"{look_up.__name__} found {name!r}"
    with contextlib.suppress(Problem):
        decode_image_apart(b"no picture", name=name, max_side=64)
    for parameter in ("run", "view", "photo", "round", "selected", "color", "table", "runs"):
        page.query_params[parameter] = name
    page.run()
    assert not page.exception, page.exception
    return [asyncio.run(status_of(application, path.format(name))) for path in ROUTES]


if __name__ == "__main__":
    names = json.load(sys.stdin)
    application = Starlette(routes=routes())
    page = AppTest.from_file(PROJECT / "pages" / "deep_clustering.py", default_timeout=120).run()
    load_images(find_run("digits"))
    ask("digits-nowhere", application, page)  # whatever is imported for the first time is
    sys.addaudithook(watch)
    with open(os.path.join(tempfile.gettempdir(), "seen by the watch"), "w"):
        pass
    sees, found = len(opened), {}
    for name in names:
        opened.clear()
        statuses = ask(name, application, page)
        found[name] = {"opened": opened.copy(), "statuses": statuses}
    print(json.dumps({"sees": sees, "found": found}))
