"""A process of its own: forks writers of 8 MB rounds, kills each with SIGKILL at a random moment, and looks at what is left.

``python saving.py NUM_KILLS`` with VITVIZ_RUNS set prints what it counted as one JSON object.
"""

import json
import os
import random
import shutil
import signal
import sys
import time

import numpy as np

from vitviz.errors import Problem
from vitviz.runs.folder import Run, create_run, own_root
from vitviz.runs.records import Description, Round, Samples

NUM_IMAGES, DIM = 20_000, 160
ROUNDS_BEFORE_ANEW = 6


def round_of(index: int) -> tuple[Round, dict[str, np.ndarray]]:
    ids = np.full(NUM_IMAGES, index % 100, np.int32)
    arrays = Round(
        embeddings=np.full((NUM_IMAGES, DIM), index, np.float16),
        labels=ids,
        matched_labels=ids,
        centers=np.full((100, DIM), index, np.float32),
        distances=ids.astype(np.float32),
        runner_up_distances=ids.astype(np.float32),
        predictions=ids,
    )
    return arrays, {"weight": np.full((1000, 600), index, np.float32)}


def new_run(number: int) -> Run:
    about = Description(
        method="deep_clustering",
        settings={},
        dataset="none",
        dataset_fingerprint="0" * 16,
        img_size=32,
        num_images=NUM_IMAGES,
        class_names=(),
        num_clusters=100,
        seed=0,
    )
    ids = np.arange(NUM_IMAGES, dtype=np.int32)
    return create_run(f"killed-{number}", about, Samples(ids, ids, ids > 0))


def write_for_ever(run: Run, pipe: int) -> None:
    """The child: saves rounds, and tells each when it is saved."""
    with run.owned():
        while True:
            index = run.num_rounds()
            run.save_round(index, *round_of(index))
            os.write(pipe, f"{index}\n".encode())


def kill_one(run: Run, draw: random.Random, seconds: float) -> int:
    """Fork a writer, kill it within ``seconds`` of its start; the last round that it told, -1 when it told none."""
    told, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(told)
        write_for_ever(Run(run.path), tell)
    os.close(tell)
    time.sleep(draw.uniform(0, seconds))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    with os.fdopen(told) as pipe:
        return int([-1, *pipe.read().split()][-1])


def loads(run: Run) -> bool:
    """Whether every round is there with the numbers that were saved."""
    try:
        for index in range(run.num_rounds()):
            arrays, weights = run.round(index), run.weights(index)
            if not (np.asarray(arrays.embeddings) == index).all() or not (weights["weight"] == index).all():
                return False
    except Problem:
        return False
    return run.damaged_files() == []


def main(num_kills: int) -> None:
    draw, counted = random.Random(0), {"kills": 0, "loaded": 0, "lost": 0, "cut": 0, "rounds": 0}
    run = new_run(0)
    began = time.monotonic()
    run.save_round(0, *round_of(0))
    seconds = 2.5 * (time.monotonic() - began)
    counted["bytes"] = sum(path.stat().st_size for path in (run.path / "rounds" / "000").iterdir())
    for number in range(num_kills):
        before = run.num_rounds()
        last = kill_one(run, draw, seconds)
        found = Run(run.path)
        counted["kills"] += 1
        counted["cut"] += any(run.path.rglob(".tmp-*"))
        counted["lost"] += last >= found.num_rounds() or found.num_rounds() < before
        counted["loaded"] += loads(found)
        if found.num_rounds() > ROUNDS_BEFORE_ANEW:
            counted["rounds"] += found.num_rounds()
            shutil.rmtree(run.path)
            run = new_run(number + 1)
    with run.owned():
        counted["swept"] = not any(run.path.rglob(".tmp-*"))
    shutil.rmtree(own_root())
    print(json.dumps(counted))


if __name__ == "__main__":
    main(int(sys.argv[1]))
