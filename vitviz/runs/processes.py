"""Which process is meant: a number is used again, so the moment it started goes with it, and the machine it runs on."""

import re
import socket


def host_name() -> str:
    """The name of this machine, as it stands in status files."""
    return socket.gethostname()


def host_word() -> str:
    """The name of this machine as a part of a file's name: no ``-`` and no ``/``."""
    return re.sub(r"[^A-Za-z0-9.]", "_", host_name()) or "_"


def process_start(pid: int) -> float:
    """When the process of that number started, in seconds since 1970; -1 when there is none that could write."""
    import psutil

    try:
        process = psutil.Process(pid)
        # a killed child that nobody has waited for still has its number, but writes no more
        return -1.0 if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.Error:
        return -1.0
