"""``python -m vitviz doctor``: every check in turn, a line each, and what to do where something is not as it should be."""

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator
from functools import partial

from vitviz.doctor import folders, machine, servers
from vitviz.doctor.findings import Finding

Check = Callable[[], Finding | Iterable[Finding]]
_WORDS = {"ok": "ok", "hint": "hint", "broken": "BROKEN"}


def checks(*, check_runs: bool = False, port: int = servers.PORT) -> tuple[Check, ...]:
    """What is looked at, in the order it is told; ``check_runs`` compares every byte of every run."""
    return (
        machine.check_python,
        machine.check_libraries,
        machine.check_device,
        machine.check_torchvision,
        machine.check_memory,
        folders.check_runs_folder,
        folders.check_other_folders,
        folders.check_data,
        partial(folders.check_runs, all_bytes=check_runs),
        partial(servers.check_port, port),
        servers.check_servers,
        machine.check_browser,
        machine.check_chromium,
    )


def examine(which: Iterable[Check]) -> Iterator[Finding]:
    """The findings of the checks; one that fails itself is a finding too."""
    for check in which:
        name = getattr(check, "func", check).__name__.removeprefix("check_").replace("_", " ")
        try:
            found = check()
            yield from [found] if isinstance(found, Finding) else found
        except Exception as error:  # whatever is wrong with this machine, the other checks go on
            yield Finding(name, "broken", f"could not be looked at: {type(error).__name__}: {error}")


def report(which: Iterable[Check], *, as_json: bool = False) -> bool:
    """Print the findings, as lines or as one JSON list; returns whether nothing is broken."""
    found = []
    for finding in examine(which):
        found.append(finding)
        if not as_json:
            print(_line(finding), flush=True)
    if as_json:
        print(json.dumps([dataclasses.asdict(finding) for finding in found]))
    return all(finding.state != "broken" for finding in found)


def _line(finding: Finding) -> str:
    line = f"{_WORDS[finding.state]:7} {finding.name:12} {finding.what}"
    return f"{line}\n{'':20} -> {finding.do}" if finding.do else line
