"""Killed, filled, flipped, contended: what was acknowledged stays, what is damaged is named, and one process writes a run."""

import errno
import fcntl
import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from vitviz.__main__ import main
from vitviz.errors import Problem
from vitviz.runs import atomic, tensors
from vitviz.runs.folder import Run, find_run
from vitviz.runs.processes import host_word, process_start

ROOT, HERE = Path(__file__).resolve().parents[2], Path(__file__).parent
OWNER = """
import sys
from vitviz.runs.folder import find_run
with find_run("first").owned():
    print("owned", flush=True)
    sys.stdin.read()
"""


def run_script(name: str, *arguments: str, before: tuple[str, ...] = ()) -> dict:
    """What a script beside this file counted, in a process of its own that really waits for the disk."""
    command = [*before, sys.executable, str(HERE / name), *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# Killed


@pytest.mark.parametrize("num_kills", [60, pytest.param(500, marks=pytest.mark.full)])
def test_no_acknowledged_round_of_8_mb_is_lost_to_a_kill_while_saving(num_kills):
    counted = run_script("saving.py", str(num_kills))
    assert counted["bytes"] > 8e6
    assert counted["cut"] > num_kills / 2, "the kills must fall into the saving"
    assert (counted["kills"], counted["loaded"], counted["lost"]) == (num_kills, num_kills, 0)
    assert counted["swept"]


# The order in which the disk is told


@pytest.fixture
def disk_log(monkeypatch) -> list[tuple[str, str]]:
    """What the disk was told, in order: ("make" | "sync", path) and ("rename", target)."""
    told = []

    def logging(name, function, path_of):
        def call(*arguments, **options):
            told.append((name, path_of(*arguments)))
            return function(*arguments, **options)

        return call

    monkeypatch.setattr(atomic, "open", logging("make", open, lambda path, mode: str(path)), raising=False)
    monkeypatch.setattr(os, "fsync", logging("sync", os.fsync, lambda number: os.readlink(f"/proc/self/fd/{number}")))
    monkeypatch.setattr(os, "rename", logging("rename", os.rename, lambda source, target: str(target)))
    monkeypatch.setattr(os, "replace", logging("rename", os.replace, lambda source, target: str(target)))
    return told


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_files_are_synced_then_the_manifest_then_the_folder_is_renamed_and_its_parent_synced(
    new_run, new_round, disk_log
):
    run = new_run()
    disk_log.clear()
    run.save_round(0, new_round(), {"a": np.ones(3)})
    names = [(what, Path(path).name) for what, path in disk_log]
    arrays = [index for index, (what, name) in enumerate(names) if what == "sync" and name.endswith(".npy")]
    manifest = names.index(("rename", "manifest.json"))
    inside = next(index for index in range(manifest, len(names)) if names[index][0] == "sync")
    assert max(arrays) < manifest < inside < names.index(("rename", "000")) == len(names) - 2
    assert disk_log[-1] == ("sync", str(run.path / "rounds"))
    made = {path for what, path in disk_log if what == "make"}
    assert made <= {path for what, path in disk_log if what == "sync"}


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_a_new_run_is_synced_before_it_has_its_name_and_its_root_after(new_run, own_folders, disk_log):
    run = new_run()
    (named,) = [index for index, told in enumerate(disk_log) if told == ("rename", str(run.path))]
    before = [Path(path).name for what, path in disk_log[:named] if what == "rename"]
    assert before == ["samples.npz", "run.json"]
    assert disk_log[named + 1 :] == [("sync", str(own_folders))]


# Flipped bits


def flip(path: Path, draw: random.Random) -> bytes:
    """Flip one bit of the file at a random place; returns what it held."""
    content = path.read_bytes()
    changed = bytearray(content)
    changed[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    path.write_bytes(changed)
    return content


def test_300_flipped_bits_are_named_with_their_file(new_run, fill):
    run, draw, counted = fill(new_run(), 2), random.Random(0), Counter()
    files = [path for path in sorted((run.path / "rounds").rglob("*.*")) if path.name != "manifest.json"]
    files += [run.path / "weights.safetensors", run.path / "resume.safetensors"]
    assert run.damaged_files() == []
    for _ in range(300):
        path = draw.choice(files)
        content = flip(path, draw)
        assert run.damaged_files() == [path.relative_to(run.path).as_posix()]
        counted[path.suffix] += 1
        path.write_bytes(content)
    assert run.damaged_files() == [] and counted[".safetensors"] > 50 and counted[".npy"] > 50


def test_of_flipped_bits_of_weights_safetensors_alone_sees_few_and_the_run_reads_none(new_run, fill):
    from safetensors.numpy import load_file

    run, draw, unseen = fill(new_run()), random.Random(1), 0
    path = run.path / "resume.safetensors"
    for _ in range(100):
        content = flip(path, draw)
        try:
            load_file(path)
            unseen += 1
        except Exception:  # its reader raises an error of its own
            pass
        with pytest.raises(Problem, match=r"^resume\.safetensors of run 'first' cannot be read: "):
            run.resume_point()
        path.write_bytes(content)
    assert unseen > 60
    assert run.resume_point()[1]["round"] == 1


def test_weights_of_an_earlier_version_that_carry_no_sum_are_read(tmp_path):
    from safetensors.numpy import save_file

    save_file({"a": np.ones(3)}, tmp_path / "old.safetensors", metadata={"position": "{}"})
    arrays, notes = tensors.load(tmp_path / "old.safetensors")
    assert arrays["a"].tolist() == [1, 1, 1] and notes == {"position": "{}"}


def test_numbers_too_large_for_16_bits_stay_as_they_are(new_run, new_round):
    run, large = new_run(), {"a": np.array([1e6, -2], np.float32), "b": np.array([1.5], np.float32)}
    run.save_round(0, new_round(), large)
    found = run.weights(0)
    assert found["a"].tolist() == [1e6, -2] and (found["a"].dtype, found["b"].dtype) == (np.float32, np.float16)


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_every_file_of_a_run_has_the_permissions_of_the_umask(new_run, fill, mask):
    before = os.umask(mask)
    try:
        run = fill(new_run())
    finally:
        os.umask(before)
    files = [path for path in run.path.rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"run.json", "weights.safetensors", "resume.safetensors", "labels.npy"}
    assert {path.stat().st_mode & 0o777 for path in files} == {0o666 & ~mask}


# Full and read-only disks


class Filling:
    """Stands for ``open``: files take bytes, partly too, until ``left`` are used up; then the disk is full."""

    def __init__(self, left: int):
        self.left = left

    def __call__(self, path, mode):
        return _Filling(open(path, mode), self)


class _Filling:
    def __init__(self, file, disk: Filling):
        self._file, self._disk = file, disk

    def write(self, content) -> int:
        taken = memoryview(content).nbytes
        if taken > self._disk.left:
            self._file.write(bytes(content)[: self._disk.left])
            self._disk.left = 0
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._disk.left -= taken
        return self._file.write(content)

    def __getattr__(self, name):
        return getattr(self._file, name)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._file.close()


def test_a_disk_that_fills_up_at_50_points_keeps_everything_before_and_leaves_nothing_half(
    new_run, fill, new_round, monkeypatch
):
    run, disk = fill(new_run()), Filling(10**9)
    whole = {path: path.read_bytes() for path in sorted((run.path / "rounds").rglob("*")) if path.is_file()}

    def save_more() -> None:
        run.save_round(1, new_round(1), run.weights())
        run.append_metrics({"kind": "round", "index": 1, "loss": 1.0})
        run.save_weights(run.weights())
        run.save_resume_point(run.weights(), {"round": 2, "epoch": 0, "num_rounds": 2})
        run.set_status("running")

    monkeypatch.setattr(atomic, "open", disk, raising=False)
    save_more()
    needed = 10**9 - disk.left
    for point in range(50):
        disk.left = 10**9
        run.rewind(num_records=1, num_rounds=1)
        disk.left = needed * point // 50
        with pytest.raises(OSError, match="No space left"):
            save_more()
        assert {path: path.read_bytes() for path in whole} == whole
        assert Run(run.path).damaged_files() == [] and run.num_rounds() in (1, 2)
        assert Run(run.path).resume_point()[1]["round"] in (1, 2) and run.status().state != ""
        assert not list(run.path.rglob(".tmp-*"))


def test_a_real_small_disk_filled_to_50_points_keeps_every_round_and_is_told(tmp_path):
    alone = ("unshare", "-rm")
    if not shutil.which("unshare") or subprocess.run([*alone, "true"], capture_output=True).returncode:
        pytest.skip("this user may make no name space to mount a small disk in")
    counted = run_script("filling.py", str(tmp_path), before=alone)
    assert [counted[name] for name in ("points", "full", "kept", "clean")] == [50] * 4
    new_on_full, on_full, new_on_read_only, on_read_only = counted["told"]
    assert "the disk is full" in new_on_full and "run 'second'" in new_on_full
    assert "the disk is full; round 0 is intact; free some space" in on_full
    assert "the disk is read-only" in new_on_read_only and "the disk is read-only; round 0 is intact" in on_read_only


# One writer


@pytest.fixture
def owner(new_run):
    """Another process that holds the run "first"."""
    new_run()
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", OWNER], cwd=ROOT, **pipes) as process:
        assert process.stdout.readline() == "owned\n"
        yield process
        process.kill()


def test_a_second_trainer_is_refused_20_times_and_told_who_the_first_is(owner, capsys):
    for _ in range(20):
        assert main(["train", "deep_clustering", "--run", "first", "--resume"]) == 1
        told = capsys.readouterr().err
        assert f"run 'first' is being written by process {owner.pid} on " in told and ", started 20" in told
    assert find_run("first").metrics() == []


@pytest.mark.full
def test_a_second_trainer_in_a_process_of_its_own_is_refused_20_times(owner):
    command = [sys.executable, "-m", "vitviz", "train", "deep_clustering", "--run", "first", "--resume"]
    for _ in range(20):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 1 and f"being written by process {owner.pid} on" in done.stderr


def test_of_many_makers_of_one_name_one_makes_it(new_run):
    start, made, refused = threading.Barrier(12), [], []

    def make(seed: int) -> None:
        start.wait()
        try:
            made.append(new_run("same", seed=seed))
        except Problem as problem:
            refused.append(str(problem))

    threads = [threading.Thread(target=make, args=(seed,)) for seed in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1 and len(refused) == 11 and all("run 'same' exists" in told for told in refused)
    assert sorted(path.name for path in made[0].path.iterdir()) == ["rounds", "run.json", "samples.npz"]


@pytest.fixture
def no_locks(monkeypatch) -> None:
    """The file system knows no locks."""

    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)


def test_without_locks_a_file_that_only_one_can_make_does(new_run, no_locks):
    run = new_run()
    with (
        run.owned(),
        pytest.raises(Problem, match=f"being written by process {os.getpid()} on "),
        Run(run.path).owned(),
    ):
        pytest.fail("the run is owned twice")
    assert not (run.path / "owner.json").exists()
    with run.owned():
        pass


def test_without_locks_an_owner_that_is_gone_is_followed_and_one_elsewhere_is_not(new_run, no_locks, monkeypatch):
    run = new_run()
    mark = run.path / "owner.json"
    mark.write_text(json.dumps(["elsewhere", 7, 1.0]))
    with pytest.raises(Problem, match=r"being written by process 7 on elsewhere; .*remove owner\.json"), run.owned():
        pytest.fail("the run is owned twice")
    mark.write_text(json.dumps([os.uname().nodename, os.getpid(), process_start(os.getpid()) - 100]))
    with run.owned():
        assert json.loads(mark.read_text())[1] == os.getpid()


# What a killed writer left


def leftover(folder: Path, *, host: str = "", pid: int, age: float = 0) -> Path:
    path = folder / f".tmp-{host or host_word()}-{pid}-0123abcd"
    path.write_text("half")
    os.utime(path, (time.time() - age,) * 2)
    return path


def test_the_sweep_takes_what_the_dead_left_and_nothing_of_the_living(new_run):
    run = new_run()
    living = [leftover(run.path, pid=os.getppid()), leftover(run.path, host="elsewhere", pid=1)]
    dead = [
        leftover(run.path / "rounds", pid=2**22 - 1),
        leftover(run.path / "rounds", host="elsewhere", pid=2, age=2 * 24 * 3600),
        leftover(run.path / "rounds", pid=os.getpid(), age=20 * 3600),  # the number was somebody else's then
    ]
    with run.owned():
        assert all(path.exists() for path in living) and not any(path.exists() for path in dead)
