"""The servers: whether the app's port is free, and which other vitviz is being served."""

import http.client
import socket
from collections.abc import Iterator, Sequence

from vitviz.doctor.findings import Finding

PORT = 8501


def check_port(port: int = PORT) -> Finding:
    """Nobody listens on the port of the app, or who does."""
    name = f"port {port}"
    with socket.socket() as probe:
        probe.settimeout(1)
        if probe.connect_ex(("127.0.0.1", port)):
            return Finding(name, "ok", "free")
    do = f"stop it, or serve on another: streamlit run app.py --server.port {port + 1}"
    if _is_streamlit(port):
        return Finding(name, "hint", f"a Streamlit server answers at http://127.0.0.1:{port}", do)
    return Finding(name, "hint", "another program listens there", do)


def check_servers() -> Iterator[Finding]:
    """Other servers of this app."""
    import psutil

    for process in psutil.process_iter(["pid", "cmdline"]):
        words = process.info["cmdline"] or []
        if any("streamlit" in word for word in words) and any(word.endswith("app.py") for word in words):
            what = f"process {process.info['pid']} serves an app.py on port {_port_of(words)}"
            yield Finding(
                "server", "hint", what, "each server keeps its own models in memory: stop those you do not use"
            )


def _port_of(words: Sequence[str]) -> str:
    """The port that a command line asks for, written with ``=`` or as the next word."""
    for word, following in zip(words, [*words[1:], ""], strict=True):
        name, equals, port = word.partition("=")
        if name == "--server.port":
            return port if equals else following
    return str(PORT)


def _is_streamlit(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/_stcore/health")
        answer = connection.getresponse()
        return answer.status == 200 and answer.read(16).strip() == b"ok"
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
