"""Keep the garbage collector away from what will never be garbage."""

import gc
import sys
import threading
from functools import lru_cache

_MANY_MODULES = 100


class _Settled:
    """How many modules were loaded when objects were last taken out of the collector's reach."""

    def __init__(self) -> None:
        self.num_modules, self.lock = 0, threading.Lock()


def settle_memory() -> None:
    """After a page has loaded many modules: take all objects there are out of the collector's reach.

    Streamlit collects garbage after every rerun, over every live object; torch alone brings 250,000 that live for ever, and each
    further library its own. It happens a few times a process, as libraries arrive: every time also pins what sessions
    hold just then.
    """
    settled = _settled()
    with settled.lock:
        if len(sys.modules) - settled.num_modules < _MANY_MODULES:
            return
        settled.num_modules = len(sys.modules)
        gc.collect()
        gc.freeze()


@lru_cache(maxsize=1)  # of the process: who clears Streamlit's caches has not unloaded a module
def _settled() -> _Settled:
    return _Settled()
