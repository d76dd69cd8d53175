"""A process of its own, as root of a name space of its own: fills a small disk to 50 points and saves a round at each.

``unshare -rm python filling.py FOLDER`` mounts a tmpfs on FOLDER and prints what it counted as one JSON object.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from vitviz.errors import Problem
from vitviz.runs.folder import Run, create_run
from vitviz.runs.records import Description, Round, Samples

NUM_IMAGES, DIM, NUM_POINTS = 4_000, 64, 50
PAGE = 4096


def round_of(index: int) -> Round:
    ids = np.full(NUM_IMAGES, index, np.int32)
    return Round(
        embeddings=np.full((NUM_IMAGES, DIM), index, np.float16),
        labels=ids,
        matched_labels=ids,
        centers=np.zeros((10, DIM), np.float32),
        distances=ids.astype(np.float32),
        runner_up_distances=ids.astype(np.float32),
        predictions=ids,
    )


def save_all(run: Run, index: int) -> None:
    weights = {"weight": np.full((100, 1000), index, np.float32)}
    run.save_round(index, round_of(index), weights)
    run.append_metrics({"kind": "round", "index": index})
    run.save_weights(weights)
    run.save_resume_point(weights, {"round": index + 1, "num_rounds": index + 1})


def fill_to(folder: Path, left: int) -> None:
    free = os.statvfs(folder)
    with open(folder / "ballast", "wb") as file:
        file.write(bytes(free.f_bavail * free.f_bsize - left))


def fits(folder: Path, run: Run, left: int) -> bool:
    """Whether all of another round can be saved with ``left`` bytes free."""
    fill_to(folder, left)
    try:
        save_all(run, 1)
    except OSError:
        return False
    finally:
        (folder / "ballast").unlink()
    return True


def needed(folder: Path, run: Run) -> int:
    """The bytes that another round needs, to the page."""
    too_few, enough = 0, 2**22
    while enough - too_few > PAGE:
        middle = (too_few + enough) // 2 // PAGE * PAGE
        if fits(folder, run, middle):
            enough = middle
        else:
            too_few = middle
        run.rewind(num_records=1, num_rounds=1)
    return enough


def main(folder: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)], check=True)
    os.environ["VITVIZ_RUNS"] = str(folder / "runs")
    about = Description(
        method="deep_clustering",
        settings={},
        dataset="none",
        dataset_fingerprint="0" * 16,
        img_size=32,
        num_images=NUM_IMAGES,
        class_names=(),
        num_clusters=10,
        seed=0,
    )
    ids = np.arange(NUM_IMAGES, dtype=np.int32)
    samples = Samples(ids, ids, ids > 0)
    run = create_run("full", about, samples)
    save_all(run, 0)
    counted = {"points": 0, "full": 0, "kept": 0, "clean": 0, "needed": needed(folder, run)}
    for point in range(NUM_POINTS):
        counted["full"] += not fits(folder, run, counted["needed"] * point // NUM_POINTS)
        counted["points"] += 1
        found = Run(run.path)
        counted["kept"] += bool((np.asarray(found.round(0).embeddings) == 0).all()) and found.damaged_files() == []
        counted["clean"] += not any(run.path.rglob(".tmp-*"))
        run.rewind(num_records=1, num_rounds=1)
    counted["told"] = refusal(folder, run, lambda: create_run("second", about, samples))
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    counted["told"].append(told(lambda: create_run("second", about, samples)))
    counted["told"].append(told(lambda: run.owned().__enter__()))
    print(json.dumps(counted))


def refusal(folder: Path, run: Run, act) -> list[str]:
    """What is said on a full disk, of a new run and of one that is to go on."""
    fill_to(folder, 8192)
    sentences = [told(act), told(lambda: run.owned().__enter__())]
    (folder / "ballast").unlink()
    return sentences


def told(act) -> str:
    try:
        act()
    except Problem as problem:
        return str(problem)
    return ""


if __name__ == "__main__":
    main(Path(sys.argv[1]))
