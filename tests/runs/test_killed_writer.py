"""A writer killed at any moment loses at most the record it was writing."""

import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from vitviz.runs.folder import find_run

ROOT = Path(__file__).resolve().parents[2]
NUM_KILLS = 20
WRITER = """
import numpy as np
from vitviz.runs.folder import find_run
from vitviz.runs.records import Round

run = find_run("first")
with run.owned():
    while True:
        index = run.num_rounds()
        ids = np.full(400, index, np.int32)
        arrays = Round(
            embeddings=np.full((400, 64), index, np.float16), labels=ids, matched_labels=ids, predictions=ids,
            centers=np.full((9, 64), index, np.float32), distances=ids / 2, runner_up_distances=ids / 1,
        )
        run.save_round(index, arrays, {"a": np.full((100, 100), index, np.float32)})
        run.append_metrics({"kind": "round", "index": index})
        print(index, flush=True)
"""


def test_no_acknowledged_round_is_lost_to_a_kill(new_run):
    run, draw, acknowledged = new_run(), random.Random(0), []
    for _ in range(NUM_KILLS):
        command = [sys.executable, "-c", WRITER]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
            acknowledged.append(int(writer.stdout.readline()))
            time.sleep(draw.uniform(0, 0.04))
            writer.kill()
            acknowledged += [int(line) for line in writer.stdout if line.endswith("\n")]
        run = find_run("first")
        assert acknowledged[-1] < run.num_rounds() <= acknowledged[-1] + 2
    # a round whose record the kill cost is told by its folder alone
    assert {record["index"] for record in run.metrics()} >= set(acknowledged)
    assert acknowledged == sorted(set(acknowledged)) and len(acknowledged) >= NUM_KILLS
    assert run.num_rounds() - len(run.metrics()) <= NUM_KILLS
    assert run.damaged_files() == []
    for index in range(run.num_rounds()):
        arrays = run.round(index)
        assert (np.asarray(arrays.embeddings) == index).all() and (np.asarray(arrays.labels) == index).all()
        assert (run.weights(index)["a"] == index).all()
