"""Names that climb out of a folder, given wherever a person can give one: no file is opened for them, and nothing is found."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from vitviz.errors import Problem
from vitviz.runs.folder import create_run, find_run, own_root, shipped_root

ROOT = Path(__file__).resolve().parents[2]
OUTSIDE = "outside"
CLIMBS = [
    *("..", ".", "../outside", "../../outside", "./digits", "digits/", "digits/.", "digits/../digits", "..//outside"),
    *("/etc/passwd", "//etc/passwd", "/outside", "file:///etc/passwd", "~", "~root", "~/outside", "$HOME", "${HOME}"),
    *("..\\outside", "..\\..\\outside", "C:\\outside", "C:/outside", "\\\\host\\share", "\\etc\\passwd", "digits\\"),
    *(
        "%2e%2e/outside",
        "%2e%2e%2foutside",
        "..%2foutside",
        "..%5coutside",
        "%252e%252e%252foutside",
        "..%c0%afoutside",
    ),
    *(
        "..;/outside",
        "....//outside",
        "..../outside",
        ".../outside",
        "..\u2215outside",
        "..\uff0foutside",
        "\uff0e\uff0e/outside",
    ),
    *(
        "digits\x00",
        "../outside\x00.png",
        "digits\n",
        "digits\r\n../outside",
        "digits ",
        " digits",
        "\tdigits",
        "digits%00",
    ),
    *(
        "DIGITS",
        "digits.",
        "digits::$DATA",
        "digits:run",
        "digits?x=/etc",
        "digits#/etc",
        "*",
        "digit?",
        "[a-z]*",
        "{a,b}",
    ),
    *(
        "a" * 5000,
        "../" * 200 + "etc/passwd",
        "|cat /etc/passwd",
        "`id`",
        "; ls /",
        "\u202edigits",
        "dıgits",
        "-rf",
        "",
    ),
]


def absolute(tmp_path: Path) -> list[str]:
    """Names of a run that is there, beside the folder of runs."""
    place = tmp_path / OUTSIDE
    return [str(place), f"../{OUTSIDE}", f"..//{OUTSIDE}/", os.path.relpath(place, ROOT), f"/proc/self/root{place}"]


@pytest.fixture
def outside(tmp_path) -> Path:
    """A run beside the folder of runs, with which every climb of a step would meet."""
    own_root().mkdir(parents=True)
    shutil.copytree(shipped_root() / "digits", own_root() / "digits")
    return Path(shutil.copytree(shipped_root() / "digits", tmp_path / OUTSIDE))


def test_no_name_that_climbs_opens_a_file_outside_of_the_store(outside, tmp_path):
    names = [name for name in (*CLIMBS, *absolute(tmp_path)) if name]
    assert len(names) >= 60
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TMPDIR": str(tmp_path)}
    command = [sys.executable, str(Path(__file__).parent / "ask_for_names.py")]
    done = subprocess.run(
        command, input=json.dumps(names), capture_output=True, text=True, env=environment, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["sees"] == 1, "the watch sees nothing"
    assert {name: asked["opened"] for name, asked in report["found"].items() if asked["opened"]} == {}
    assert {status for asked in report["found"].values() for status in asked["statuses"]} <= {
        307,
        404,
    }  # 307: without the / at its end


def test_a_name_that_climbs_is_no_run_and_makes_none(outside, tmp_path):
    before, run = set(tmp_path.rglob("*")), find_run("digits")
    for name in (*CLIMBS, *absolute(tmp_path)):
        with pytest.raises(Problem, match="there is no run named"):
            find_run(name)
    for name in (*CLIMBS, *absolute(tmp_path)):
        with pytest.raises(Problem, match="cannot name a run"):
            create_run(name, run.description(), run.samples())
    assert set(tmp_path.rglob("*")) == before
