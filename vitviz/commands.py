"""What each command of ``python -m vitviz`` does. Heavy imports stand inside, so that ``--help`` answers at once."""

import dataclasses
import json
import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vitviz.errors import Problem
from vitviz.exporting import check_place
from vitviz.run_lines import line_of, print_run
from vitviz.runs.atomic import write_file
from vitviz.runs.compact import coordinates
from vitviz.runs.folder import Run, find_run, list_runs, own_root

if TYPE_CHECKING:
    from vitviz.data.image_set import ImageSet


def runs(options: Namespace) -> None:
    """List or check all runs, or one of them."""
    if options.check:
        _check([find_run(options.name)] if options.name else list_runs())
    elif options.name is None and options.json:
        print(json.dumps([_told(run, with_records=False) for run in list_runs()]))
    elif options.name is None:
        for run in list_runs():
            print(line_of(run))
    elif options.json:
        print(json.dumps(_told(find_run(options.name), with_records=True)))
    else:
        run = find_run(options.name)
        print_run(run, dataclasses.asdict(run.description()), _control_of(run))


def _check(chosen: list[Run]) -> None:
    """Compare runs with their checksums, a line each. Raises: Problem naming those that are damaged."""
    damaged = []
    for run in chosen:
        try:
            run.description()
            files = run.damaged_files()
        except (Problem, OSError) as problem:
            damaged.append(str(problem))
            continue
        if files:
            damaged.append(f"run '{run.name}' is damaged: {', '.join(files)}")
        else:
            print(f"{run.name}: {_what_is_there(run)}, every file as it was written")
    if damaged:
        raise Problem("; ".join(damaged))


def _told(run: Run, *, with_records: bool) -> dict[str, Any]:
    """What a run is as plain values; with all its records, or with its last round alone."""
    try:
        about, state = dataclasses.asdict(run.description()), dataclasses.asdict(run.status())
        rounds = run.round_metrics()
        if not with_records:
            return {
                "name": run.name,
                **about,
                "status": state,
                "num_rounds": len(rounds),
                "last_round": [None, *rounds][-1],
            }
        epochs, steps = ([one for one in run.metrics() if one["kind"] == kind] for kind in ("epoch", "step"))
    except Problem as problem:
        if with_records:
            raise
        return {"name": run.name, "error": str(problem)}
    return {"name": run.name, **about, "status": state, "rounds": rounds, "epochs": epochs, "steps": steps}


def _control_of(run: Run) -> Run | None:
    from vitviz.explain.deep_clustering import find_control

    return find_control(run, list_runs())


def _what_is_there(run: Run) -> str:
    number = run.num_rounds()
    if run.is_scores_only():
        return "settings and records alone"
    return f"{number} round{'' if number == 1 else 's'}"


def doctor(options: Namespace) -> int:
    """Look at this machine; 1 when something is broken."""
    from vitviz.doctor.report import checks, report

    return 0 if report(checks(check_runs=options.check_runs, port=options.port), as_json=options.json) else 1


def embed(options: Namespace) -> None:
    """Embed a data set with a run's network and give each image its nearest cluster."""
    from vitviz.data.sets import open_image_set
    from vitviz.training.methods import find_method

    run, out = find_run(options.name), Path(options.out)
    check_place(out)
    run.check_rounds()
    about = run.description()
    index = run.num_rounds() - 1 if options.round is None else options.round
    arrays = run.round(index)
    images = open_image_set(options.images, img_size=about.img_size)
    embeddings = find_method(about.method).embed(run, index, images.images)
    import torch

    from vitviz.clustering.kmeans import assign

    found = torch.from_numpy(coordinates(arrays, embeddings).astype(np.float32))
    labels, distances, _ = assign(found, torch.from_numpy(np.array(arrays.centers)))
    found = {
        "embeddings": embeddings,
        "clusters": labels.numpy(),
        "distances": distances.numpy(),
        "labels": images.labels,
        "class_names": np.array(images.class_names, str),
        "names": np.array(_names_of(images, options.images), str),
    }
    write_file(out, lambda file: np.savez(file, **found))
    print(f"{out}: {len(embeddings):,} embeddings of {embeddings.shape[1]} numbers, run {run.name}, round {index}")


def _names_of(images: "ImageSet", source: str) -> list[str]:
    """What each image is called where it lies, e.g. ``cat/001.png``."""
    from vitviz.data.sets import find_images

    skipped = {name for name, _ in images.report.skipped}
    return [name for name in find_images(source).list_images().names if name not in skipped]


def project(options: Namespace) -> None:
    """Draw the maps of a run again."""
    from vitviz.training.drive import make_projection

    run = find_run(options.name)
    if run.is_shipped():
        copy = f"{own_root().name}/my-{run.name}"
        hint = f"copy it into your runs first: python -m vitviz export {run.name} {copy}"
        raise Problem(f"run '{run.name}' came with vitviz and is read-only", "", hint)
    with run.owned():
        projection = make_projection(run, options.engine, seed=options.seed)
    print(f"{run.name}: {len(projection.points)} maps by {projection.engine}")


def convert(options: Namespace) -> None:
    """Write a checkpoint of somebody else's as a safetensors file, and say what became of it."""
    from vitviz.explain.weight_conversion import convert_weights

    out = Path(options.out)
    done = convert_weights(Path(options.source), out, part=options.part, model_name=options.model)
    print(f"{options.source} -> {out}: " + "\n".join(done.lines()))


def lessons(options: Namespace) -> None:
    """The lessons there are, or what is wrong with a file."""
    from vitviz.lessons.reading import check_runs, list_lessons, read_lesson

    if options.file is not None:
        lesson = read_lesson(Path(options.file))
        check_runs(lesson)
        print(f"{options.file}: {len(lesson.steps)} steps, about {lesson.minutes} minutes, as it should be")
        return
    for lesson in list_lessons():
        print(lesson if isinstance(lesson, Problem) else f"{lesson.name:20} {lesson.title['en']}")


def data_list(options: Namespace) -> None:
    """The named data sets, and whether they are on this machine."""
    from vitviz.data.sets import SETS

    for name, known in SETS.items():
        state = "here" if known.available() else "not here"
        print(
            f"{name:10} {state:9} {known.description}" + ("" if known.available() else f"\n{'':20} {known.how_to_get}")
        )


def data_get(options: Namespace) -> None:
    """Download a named data set."""
    from vitviz.data.download import download

    def told(done: int, total: int) -> bool:
        print(f"\r{done / 1e6:.0f} of {total / 1e6:.0f} MB", end="", file=sys.stderr, flush=True)
        return True

    folder = download(options.name, told if sys.stderr.isatty() else lambda done, total: True)
    print(f"{options.name} is in {folder}")


def data_check(options: Namespace) -> None:
    """Open a data set and say what was found in it."""
    from vitviz.data.sets import open_image_set

    images = open_image_set(options.source, img_size=options.img_size)
    print(f"{images.name}: {images.report.summary()}")
    for line in (*images.report.notes, *(f"skipped {name}: {reason}" for name, reason in images.report.skipped)):
        print(f"  {line}")
    print(f"  fingerprint {images.fingerprint}; {images.images.shape[1]} px; classes: {', '.join(images.class_names)}")
