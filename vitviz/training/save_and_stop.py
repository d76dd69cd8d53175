"""SIGUSR1 asks training to save and stop, as SLURM does (``--signal=B:USR1@90``) before a job's time is up."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

STOPPED, STOPPED_FOR_LATER = 130, 75
"""What ``python -m vitviz`` returns when it was asked to stop, and when it was asked to save and stop ("try again")."""
SAVE_WITHIN = 45.0
"""Seconds that the record under way is given to be finished."""


class SavedAndStopped(KeyboardInterrupt):
    """Training stopped because it was asked to save and stop; the same command with --resume goes on."""


@contextlib.contextmanager
def asked_to_save_and_stop() -> Iterator[Callable[[], bool]]:
    """Within, SIGUSR1 is heard: what is given says so between records, and SavedAndStopped is raised when that takes too long."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    asked: list[int] = []

    def ask(number, frame) -> None:
        asked.append(number)
        signal.setitimer(signal.ITIMER_REAL, SAVE_WITHIN)

    def give_up(number, frame) -> None:
        raise SavedAndStopped

    before = {number: signal.signal(number, do) for number, do in ((signal.SIGUSR1, ask), (signal.SIGALRM, give_up))}
    try:
        yield lambda: bool(asked)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def noting_stops() -> Iterator[Callable[[], bool]]:
    """Within, SIGTERM and SIGINT do what they did; what is given says whether one came, should its exception get lost."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    came: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def note(number, frame) -> None:
        came.append(number)
        before[number](number, frame)

    noted = [number for number, handler in before.items() if callable(handler)]
    for number in noted:
        signal.signal(number, note)
    try:
        yield lambda: bool(came)
    finally:
        for number in noted:
            signal.signal(number, before[number])
