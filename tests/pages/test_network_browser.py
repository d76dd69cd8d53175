"""Every page in turn on one server: browser and server ask nothing but this machine, and no other can ask the server."""

import sys
from pathlib import Path
from urllib.parse import urlparse

import psutil
import pytest

from vitviz.ui.navigation import SECTIONS

APP = Path(__file__).resolve().parents[2] / "app.py"
PAGES = [name for entries in SECTIONS.values() for name, _, _ in entries]
MAX_CHOICES = 3
LISTENER = """
import os, sys

WATCHED = {
    "socket.connect": 1, "socket.sendto": 1, "socket.bind": 1, "socket.getaddrinfo": 0, "socket.gethostbyname": 0
}

def _tell(event, arguments):
    if event in WATCHED:
        with open(os.environ["TOLD"], "a") as file:
            file.write(f"{event} {arguments[WATCHED[event]]!r}\\n")

sys.addaudithook(_tell)
"""
"""Run by Python before all else: writes down whom the server calls, looks up, or lets call."""

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def told(tmp_path_factory) -> Path:
    """The file of what the server does with sockets."""
    return tmp_path_factory.mktemp("sockets") / "told"


@pytest.fixture(scope="module")
def server(serve, told):
    """A server of the app that sees only the shipped runs, and is listened to from its first line on."""
    (told.parent / "sitecustomize.py").write_text(LISTENER)
    folders = {f"VITVIZ_{name}": str(told.parent / name.lower()) for name in ("RUNS", "CACHE")}
    return serve(APP, PYTHONPATH=str(told.parent), TOLD=str(told), **folders)


def use(page, settle) -> None:
    """Choose what the page offers beside the first, one after another."""
    choices = page.locator("[data-testid=stMain]").get_by_role("radio")
    for index in range(min(choices.count(), MAX_CHOICES)):
        choice = choices.nth(index)
        if choice.is_visible() and choice.is_enabled():
            choice.click(force=True)
            page.wait_for_timeout(300)  # so that the server is at work on it when ``settle`` looks
            settle(page)
            choices = page.locator("[data-testid=stMain]").get_by_role("radio")


def sockets_of(pid: int) -> list:
    process = psutil.Process(pid)
    family = [process, *process.children(recursive=True)]
    return [one for member in family for one in member.net_connections("inet")]


@pytest.fixture
def asked(context) -> set[str]:
    """The hosts that any page of the browser asks for anything."""
    hosts: set[str] = set()
    context.on("request", lambda request: hosts.add(urlparse(request.url).hostname))
    context.on("page", lambda page: page.on("websocket", lambda socket: hosts.add(urlparse(socket.url).hostname)))
    return hosts


@pytest.fixture
def context(chromium):
    """A profile of its own, so that nothing is answered from what another test fetched."""
    made = chromium.new_context(reduced_motion="reduce")
    yield made
    made.close()


def test_every_page_is_used_without_a_word_to_another_machine(server, told, context, asked, settle):
    page = context.new_page()
    for name in PAGES:
        page.goto(f"{server.address}/{'' if name == 'home' else name}")
        page.wait_for_selector("[data-testid=stMain] h1")
        settle(page)
        use(page, settle)
        sockets = sockets_of(server.pid)
        assert {one.raddr.ip for one in sockets if one.raddr} <= {"127.0.0.1"}, name
        assert {one.laddr.ip for one in sockets if one.status == psutil.CONN_LISTEN} == {"127.0.0.1"}, name
    assert asked - {None, ""} == {"127.0.0.1"}
    told_lines = told.read_text().splitlines()
    assert any(line.startswith("socket.bind ('127.0.0.1'") for line in told_lines), "the server is listened to"
    elsewhere = [line for line in told_lines if "127.0.0.1" not in line and "'localhost'" not in line]
    assert elsewhere == []


@pytest.mark.skipif(sys.platform != "linux", reason="needs the list of sockets of all users")
def test_no_socket_of_the_server_can_be_reached_from_another_machine(server):
    listening = {(one.laddr.ip, one.laddr.port) for one in sockets_of(server.pid) if one.status == psutil.CONN_LISTEN}
    assert listening == {("127.0.0.1", int(server.address.rpartition(":")[2]))}
    assert [one for one in sockets_of(server.pid) if one.type.name == "SOCK_DGRAM"] == []
