"""A class on one server: many sessions that open pages and click, their waiting times, the server's processor time and memory.

``python -m benchmarks.load [PART ...] [--sessions 30] [--seconds 60] [--think 10] [--json]``; parts, all when none is named:

* ``class``: so many sessions, each thinking for about so long between clicks; seconds until a click is answered and until the
  first page is there. ``class-training``: the same beside a training of the preset ``digits`` on the same machine.
* ``cpu``: processor milliseconds of a rerun of every page, caches warm, one session.
* ``memory``: resident megabytes after all pages, a further session, and ten waves of 20 sessions that come and go.

The server is this app as it is started by hand, on a free port of 127.0.0.1 with an empty folder for runs. Sessions speak
Streamlit's own protocol over a websocket: what a browser draws is not in the figures. A click is a change of what is bound to the
address, so the page computes what it would for a person. Errors are counted: an exception, an error box or a closed connection.
"""

import argparse
import asyncio
import dataclasses
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.Element_pb2 import Element
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from benchmarks.table import Row, print_table

ROOT = Path(__file__).resolve().parents[1]
VIEWS = {
    "": ("",),
    "supertokens": ("photo=cat", "photo=cat&pin=300_400", "photo=coffee&t=3", "photo=coffee&view=Reconstruction"),
    "attention": (
        "photo=cat",
        "photo=cat&pin=300_400",
        "photo=coffee&layer=1&heads=head+1",
        "photo=cat&view=Patches&pin=500_500",
        "run=digits&sample=5&view=Side+by+side",
    ),
    "deep_clustering": ("run=digits", "run=digits&view=Curves", "run=digits&view=Clusters", "run=digits&view=Movers"),
    "subspace": ("run=digits-subspace-steps", "run=digits-subspace-steps&order=data"),
    "coat": ("photo=cat", "photo=cat&pin=500_500", "photo=coffee&head=3"),
    "compare": ("table=table6", "table=table2"),
    "runs": ("",),
}
"""Page to the addresses that sessions click through."""

_START_SECONDS, _ANSWER_SECONDS = 60, 60
_TTL = 2  # seconds after which the server forgets a session that has gone; by hand it is 600


@dataclass
class Server:
    """A running server: where it is, its process, and the folder of its runs."""

    port: int
    process: psutil.Process
    folder: Path

    def cpu_seconds(self) -> float:
        """Of the server and the processes it started."""
        return sum(_cpu(one) for one in self._family())

    def megabytes(self) -> float:
        """Resident memory of the same."""
        return sum(one.memory_info().rss for one in self._family()) / 2**20

    def _family(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]


@dataclass
class Session:
    """One browser's side of the protocol.

    pages: hashes by address, once the server has told them; elements: what the last answer was made of; errors: so far.
    """

    socket: websockets.ClientConnection
    pages: dict[str, str] = field(default_factory=dict)
    elements: list[Element] = field(default_factory=list)
    errors: int = 0

    async def open(self, page: str, query: str) -> float:
        """Show a page at an address; seconds until its script has finished."""
        message = BackMsg()
        state = message.rerun_script
        state.query_string = query
        state.is_history_navigation = bool(self.pages)
        if page in self.pages:
            state.page_script_hash = self.pages[page]
        else:
            state.page_name = page
        self.elements = []
        start = time.perf_counter()
        await self.socket.send(message.SerializeToString())
        await asyncio.wait_for(self._finish(), _ANSWER_SECONDS)
        return time.perf_counter() - start

    async def _finish(self) -> None:
        async for content in self.socket:
            message = ForwardMsg()
            message.ParseFromString(content)
            kind = message.WhichOneof("type")
            if kind == "navigation":
                self.pages = {one.url_pathname: one.page_script_hash for one in message.navigation.app_pages}
            elif kind == "delta":
                self.elements.append(message.delta.new_element)
                self.errors += _is_error(message.delta.new_element)
            elif kind == "script_finished":
                self.errors += message.script_finished == ForwardMsg.FINISHED_WITH_COMPILE_ERROR
                if message.script_finished != ForwardMsg.FINISHED_EARLY_FOR_RERUN:
                    return


def measure(parts: Sequence[str], sessions: int, seconds: float, think: float) -> Iterator[Row]:
    """The rows of each part, one server a part."""
    for part in parts:
        with serve() as server:
            asyncio.run(_warm(server))
            if part == "cpu":
                yield from asyncio.run(_cpu_rows(server))
            elif part == "memory":
                yield from asyncio.run(_memory_rows(server))
            else:
                with _training(server, part == "class-training"):
                    yield from asyncio.run(_class_rows(server, part, sessions, seconds, think))


@contextmanager
def serve() -> Iterator[Server]:
    """This app on a free port, with an empty folder of runs; it ends with the block."""
    with socket.socket() as probe, tempfile.TemporaryDirectory() as folder:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        places = {f"VITVIZ_{name}": str(Path(folder) / name.lower()) for name in ("RUNS", "CACHE")}
        environment = os.environ | places | {"MALLOC_ARENA_MAX": "2"}
        words = ["-P", "-m", "streamlit", "run", "app.py", f"--server.port={port}"]
        command = [sys.executable, *words, f"--server.disconnectedSessionTTL={_TTL}"]
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
        try:
            _wait_until_up(port)
            yield Server(port, psutil.Process(process.pid), Path(folder))
        finally:
            process.terminate()
            process.wait(30)


async def connect(port: int) -> Session:
    """A new session with the server on that port of 127.0.0.1."""
    address = f"ws://127.0.0.1:{port}/_stcore/stream"
    return Session(await websockets.connect(address, subprotocols=["streamlit"], max_size=None))


async def _warm(server: Server) -> None:
    """Every view once, so that models are loaded and pictures clustered."""
    session = await connect(server.port)
    for page, queries in VIEWS.items():
        for query in queries:
            await session.open(page, query)
    if session.errors:
        raise SystemExit(f"{session.errors} errors while the pages were opened for the first time")
    await session.socket.close()


async def _class_rows(server: Server, part: str, sessions: int, seconds: float, think: float) -> list[Row]:
    first: list[float] = []
    clicks: list[float] = []
    start, cpu = time.perf_counter(), server.cpu_seconds()
    errors = await asyncio.gather(
        *(_sit(server, number, start + seconds, think, first, clicks) for number in range(sessions))
    )
    share = (server.cpu_seconds() - cpu) / (time.perf_counter() - start)
    name = f"{part}, {sessions} sessions"
    return [
        Row(f"{name}: errors in {len(clicks):,} clicks", float(sum(errors)), ""),
        Row(f"{name}: first page, slowest", max(first), "s"),
        Row(f"{name}: click, median", statistics.median(clicks), "s"),
        Row(f"{name}: click, 95th percentile", statistics.quantiles(clicks, n=20)[-1], "s"),
        Row(f"{name}: click, slowest", max(clicks), "s"),
        Row(f"{name}: cores in use", share, ""),
    ]


async def _sit(server: Server, number: int, end: float, think: float, first: list[float], clicks: list[float]) -> int:
    """One person: opens a page, then thinks and clicks until the end. Returns errors."""
    chance = random.Random(number)
    await asyncio.sleep(chance.uniform(0, think))
    try:
        session = await connect(server.port)
        page = chance.choice(list(VIEWS))
        first.append(await session.open(page, VIEWS[page][0]))
        while time.perf_counter() < end:
            await asyncio.sleep(chance.uniform(0.5, 1.5) * think)
            page = page if chance.random() < 0.7 else chance.choice(list(VIEWS))
            clicks.append(await session.open(page, chance.choice(VIEWS[page])))
        await session.socket.close()
    except (OSError, TimeoutError, websockets.WebSocketException):
        return 1
    return session.errors


async def _cpu_rows(server: Server, repeats: int = 8) -> list[Row]:
    session, rows = await connect(server.port), []
    for page, queries in VIEWS.items():
        await session.open(page, queries[0])
        spent = []
        for turn in range(repeats * len(queries)):
            before = server.cpu_seconds()
            await session.open(page, queries[turn % len(queries)])
            spent.append(server.cpu_seconds() - before)
        rows.append(Row(f"cpu: a rerun of {page or 'home'}, mean of {len(spent)}", statistics.mean(spent) * 1e3, "ms"))
    await session.socket.close()
    return rows


async def _memory_rows(server: Server, waves: int = 10, size: int = 20) -> list[Row]:
    rows = [Row("memory: after all pages, nobody there", server.megabytes(), "MB")]
    before = server.megabytes()
    held = [await connect(server.port) for _ in range(size)]
    for number, session in enumerate(held):
        await _visit_all(session, number)
    rows.append(Row(f"memory: a further session, mean of {size}", (server.megabytes() - before) / size, "MB"))
    for session in held:
        await session.socket.close()
    after = []
    for _ in range(waves):
        wave = [await connect(server.port) for _ in range(size)]
        await asyncio.gather(*(_visit_all(session, number) for number, session in enumerate(wave)))
        for session in wave:
            await session.socket.close()
        await asyncio.sleep(_TTL + 1)
        after.append(server.megabytes())
    rows.append(Row(f"memory: after wave {waves} of {size} sessions", after[-1], "MB", "after wave 3", after[2]))
    return rows


async def _visit_all(session: Session, number: int) -> None:
    """A few pages, so that neighbours see different ones."""
    for page, queries in list(VIEWS.items())[number % 2 :: 2]:
        await session.open(page, queries[number % len(queries)])


@contextmanager
def _training(server: Server, wanted: bool) -> Iterator[None]:
    """A training beside the server, as a person would start it in a terminal; stopped with the block."""
    if not wanted:
        yield
        return
    command = [sys.executable, "-m", "vitviz", "train", "deep_clustering", "--preset", "digits", "--run", "beside"]
    environment = os.environ | {"VITVIZ_RUNS": str(server.folder / "runs")}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def _is_error(element: Element) -> bool:
    kind = element.WhichOneof("type")
    return kind == "exception" or (kind == "alert" and element.alert.format == element.alert.ERROR)


def _wait_until_up(port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the server did not start")


def main() -> None:
    """Print the table, or with ``--json`` one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = ("class", "class-training", "cpu", "memory")
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(kinds))
    parser.add_argument("--sessions", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--think", type=float, default=10)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    unknown = set(options.parts) - set(kinds)
    if unknown:
        parser.error(f"there is no part {', '.join(sorted(unknown))}: choose of {', '.join(kinds)}")
    rows = list(measure(options.parts or kinds, options.sessions, options.seconds, options.think))
    if options.json:
        print(json.dumps({"rows": [dataclasses.asdict(row) | {"ratio": row.ratio} for row in rows]}))
    else:
        print_table(rows)


if __name__ == "__main__":
    main()
