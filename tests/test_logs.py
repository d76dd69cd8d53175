"""The log: one file that several processes share, which does not grow for ever and tells nothing of whose machine it is."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from vitviz import commands, logs
from vitviz.__main__ import main

ROOT = Path(__file__).resolve().parents[1]
WRITER = """
import logging, sys
from vitviz import logs
logs.MAX_BYTES = 20_000
logs.keep_log()
for number in range(200):
    logging.getLogger("vitviz").error("line %s of %s, %s", number, sys.argv[1], "x" * 60)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The folder of the log."""
    monkeypatch.setenv("VITVIZ_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("VITVIZ_LOGS", str(tmp_path / "logs"))
    return tmp_path / "logs"


def caught(act) -> Exception:
    with pytest.raises(Exception) as raised:
        act()
    return raised.value


def test_nothing_is_written_before_there_is_something_to_say(folder):
    assert logs.keep_log() == folder / "vitviz.log"
    assert not folder.exists()


def test_the_log_lies_among_the_runs_unless_told_otherwise(tmp_path, monkeypatch):
    monkeypatch.delenv("VITVIZ_LOGS")
    assert logs.log_path() == tmp_path / "runs" / "vitviz.log"


def test_an_incident_is_found_by_its_number_once_however_often_the_log_was_opened(folder):
    for _ in range(3):
        logs.keep_log()
    incident = logs.log_incident(caught(lambda: 1 / 0))
    (head, *frames, last) = (folder / "vitviz.log").read_text().splitlines()
    assert re.fullmatch(rf"\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\dZ ERROR {os.getpid()} incident {incident}", head)
    assert last == "ZeroDivisionError: division by zero"
    assert frames[-1].startswith("  tests/test_logs.py:") and frames[-1].endswith("1 / 0))")


def test_no_folder_of_this_machine_and_no_more_than_the_first_words_of_a_message_are_kept(folder):
    logs.keep_log()
    words = "somebody's photo", np.arange(300).tolist(), "secret " * 3

    def fail():
        try:
            np.zeros(3) @ np.zeros(4)
        except ValueError as error:
            raise RuntimeError("{} {}\n{}".format(*words)) from error

    logs.log_incident(caught(fail))
    text = (folder / "vitviz.log").read_text()
    assert str(ROOT) not in text and str(Path.home()) not in text and sys.prefix not in text
    assert "ValueError: matmul" in text and "RuntimeError: somebody's photo [0, 1" in text
    assert "secret" not in text and "299" not in text and max(map(len, text.splitlines())) < 300


def test_an_error_without_end_is_cut():
    def deeper():
        deeper()

    told = logs.tell_error(caught(deeper))
    assert told.count("\n") < 60 and "RecursionError" in told and "frames" in told


def test_several_processes_share_the_file_and_it_stays_within_its_size(folder):
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, name], cwd=ROOT) for name in "ab"]
    assert [writer.wait() for writer in writers] == [0, 0]
    files = sorted(folder.iterdir())
    assert [path.name for path in files] == ["vitviz.log", "vitviz.log.1", "vitviz.log.2"]
    assert all(path.stat().st_size <= 20_000 for path in files)
    lines = [line for path in files for line in path.read_text().splitlines()]
    assert all(re.fullmatch(r"\S+ ERROR \d+ line \d+ of [ab], x{60}", line) for line in lines)
    assert len(set(lines)) == len(lines) and any("line 199 of" in line for line in lines)


def test_where_no_file_can_be_written_stderr_is_told(folder, capsys):
    folder.write_text("this is no folder")
    logs.keep_log()
    incident = logs.log_incident(caught(lambda: 1 / 0))
    told = capsys.readouterr().err
    assert "the log cannot be written" in told and incident in told and "ZeroDivisionError" in told


def test_the_command_line_tells_a_person_one_line_and_the_log_the_rest(folder, monkeypatch, capsys):
    def broken(options):
        raise ZeroDivisionError("of no use to a person")

    monkeypatch.setattr(commands, "runs", broken)
    assert main(["runs"]) == 1
    told = capsys.readouterr()
    assert told.out == "" and told.err.count("\n") == 1
    (incident,) = re.findall(r"vitviz: something broke \(incident ([0-9a-f]{6})\)", told.err)
    assert incident in (folder / "vitviz.log").read_text()


def test_a_file_that_cannot_be_written_is_told_in_one_line_and_is_no_incident(folder, monkeypatch, capsys):
    def refused(options):
        raise PermissionError(13, "Permission denied", "out.csv")

    monkeypatch.setattr(commands, "runs", refused)
    assert main(["runs"]) == 1
    assert capsys.readouterr().err == "vitviz: Permission denied (out.csv)\n"
    assert not folder.exists()
