"""One run that several processes train: all make the same calls, rank 0 writes, the others wait until it has."""

import contextlib
from collections.abc import Callable
from typing import Any

from vitviz.ranks import SOLO, Ranks
from vitviz.runs.folder import Run


class SharedRun(Run):
    """A run folder that is read by all ``ranks`` and written by the first.

    Every write is made once all ranks have come to it, and is there for all of them after it. The maps are drawn and
    written inside one ``on_first``. The state is only told, so nobody waits for it, and it can be told when others are gone.
    """

    def __init__(self, run: Run, ranks: Ranks):
        super().__init__(run.path)
        self.ranks = ranks

    @contextlib.contextmanager
    def owned(self):
        """Hold the run for writing by rank 0: see :meth:`vitviz.runs.folder.Run.owned`."""
        owned = super().owned
        with contextlib.ExitStack() as held:
            self._write(lambda: held.enter_context(owned()))
            yield self

    def set_status(self, *arguments, **settings) -> None:
        """Rank 0 writes the state; nobody waits."""
        if self.ranks.is_first:
            super().set_status(*arguments, **settings)

    def beat(self) -> None:
        """Rank 0 says that it lives; nobody waits."""
        if self.ranks.is_first:
            super().beat()

    def append_metrics(self, *arguments) -> None:
        """See :meth:`vitviz.runs.folder.Run.append_metrics`."""
        write = super().append_metrics
        self._write(lambda: write(*arguments))

    def save_round(self, *arguments) -> None:
        """See :meth:`vitviz.runs.folder.Run.save_round`."""
        write = super().save_round
        self._write(lambda: write(*arguments))

    def save_weights(self, *arguments, **settings) -> None:
        """See :meth:`vitviz.runs.folder.Run.save_weights`."""
        write = super().save_weights
        self._write(lambda: write(*arguments, **settings))

    def save_resume_point(self, *arguments) -> None:
        """See :meth:`vitviz.runs.folder.Run.save_resume_point`."""
        write = super().save_resume_point
        self._write(lambda: write(*arguments))

    def save_start(self, *arguments) -> None:
        """See :meth:`vitviz.runs.folder.Run.save_start`."""
        write = super().save_start
        self._write(lambda: write(*arguments))

    def rewind(self, **place) -> None:
        """See :meth:`vitviz.runs.folder.Run.rewind`."""
        write = super().rewind
        self._write(lambda: write(**place))

    def _write(self, write: Callable[[], Any]) -> None:
        def act() -> None:
            write()  # what it returns is rank 0's own

        self.ranks.on_first(act)


def ranks_of(run: Run) -> Ranks:
    """The processes that train ``run`` together; ``SOLO`` for a plain run."""
    return run.ranks if isinstance(run, SharedRun) else SOLO
