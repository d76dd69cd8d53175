"""What a check comes to."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "hint", "broken"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: its ``name``, ``what`` was found, and what to ``do`` about it.

    state: ``ok``; ``hint`` where vitviz works, but with less than it could; ``broken`` where something of it does not.
    """

    name: str
    state: State
    what: str
    do: str = ""
