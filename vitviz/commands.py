"""What each command of ``python -m vitviz`` does. Heavy imports stand inside, so that ``--help`` answers at once."""

import dataclasses
import json
import shlex
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np

from vitviz.config import from_plain, parse_settings, to_plain
from vitviz.errors import Problem
from vitviz.ranks import Ranks, joined
from vitviz.runs.atomic import write_file
from vitviz.runs.compact import coordinates
from vitviz.runs.folder import Run, find_run, list_runs
from vitviz.training.preset import Preset

_HELD_OUT = ("held_out_nmi", "held_out_acc")
_TRANSDUCTIVE = ("nmi", "acc")


def train(options: Namespace) -> None:
    """Make or resume a run, then its control; under torchrun all its processes do it together."""
    with joined() as ranks:
        _train(options, ranks)


def _train(options: Namespace, ranks: Ranks) -> None:
    from vitviz.training.methods import find_method
    from vitviz.training.presets import find_preset

    preset = find_preset(options.preset, options.method) if options.preset else None
    name = options.run or options.preset or options.method.replace("_", "-")
    if options.more_rounds is not None:
        from vitviz.training.further_rounds import add_rounds

        ranks.on_first(lambda: add_rounds(find_run(name), options.more_rounds))
        _drive_with_control(find_run(name), options, ranks)
        return
    if options.resume and name in _own_states(ranks):
        if options.set:
            raise Problem("--resume takes no --set", "a run keeps the settings it began with", "start another --run")
        _drive_with_control(find_run(name), options, ranks)
        return
    method_name = preset.method if preset else options.method
    method = find_method(method_name)
    if preset and preset.variants and not options.settings and not options.estimate:
        _train_rows(preset, name, options, ranks)
        return
    row = preset.variants.get(options.rows[0], {}) if preset and options.rows else {}
    settings = {**(preset.settings if preset else {}), **row, **parse_settings(method.config, options.set)}
    config = from_plain(method.config, settings)
    if options.estimate:
        from vitviz.training.estimate import estimate, tell

        print("\n".join(tell(estimate(method_name, config))))
        return
    if options.settings:
        print("\n".join(f"{key.replace('_', '-')}={value}" for key, value in to_plain(config).items()))
        return
    _drive_with_control(_start(name, method_name, config, options, preset, ranks), options, ranks)


def runs(options: Namespace) -> None:
    """List runs, or print one of them."""
    if options.name is None:
        for run in list_runs():
            print(_line(run))
        return
    run = find_run(options.name)
    if options.check:
        damaged = run.damaged_files()
        if damaged:
            raise Problem(f"run '{run.name}' is damaged", ", ".join(damaged))
        print(f"{run.name}: {run.num_rounds()} rounds, every file as it was written")
        return
    about, records = dataclasses.asdict(run.description()), run.metrics()
    if options.json:
        state = dataclasses.asdict(run.status())
        rounds = [record for record in records if record["kind"] == "round"]
        epochs, steps = ([record for record in records if record["kind"] == kind] for kind in ("epoch", "step"))
        print(
            json.dumps({"name": run.name, **about, "status": state, "rounds": rounds, "epochs": epochs, "steps": steps})
        )
        return
    _print_run(run, about)


def doctor(options: Namespace) -> int:
    """Look at this machine; 1 when something is broken."""
    from vitviz.doctor.report import checks, report

    return 0 if report(checks(check_runs=options.check_runs, port=options.port), as_json=options.json) else 1


def embed(options: Namespace) -> None:
    """Embed a data set with a run's network and give each image its nearest cluster."""
    from vitviz.data.sets import open_image_set
    from vitviz.training.methods import find_method

    run = find_run(options.name)
    about = run.description()
    index = run.num_rounds() - 1 if options.round is None else options.round
    arrays = run.round(index)
    images = open_image_set(options.images, img_size=about.img_size)
    embeddings = find_method(about.method).embed(run, index, images.images)
    import torch

    from vitviz.clustering.kmeans import assign

    found = torch.from_numpy(coordinates(arrays, embeddings).astype(np.float32))
    labels, distances, _ = assign(found, torch.from_numpy(np.array(arrays.centers)))
    out = Path(options.out)
    found = {
        "embeddings": embeddings,
        "clusters": labels.numpy(),
        "distances": distances.numpy(),
        "labels": images.labels,
    }
    write_file(out, lambda file: np.savez(file, **found))
    print(f"{out}: {len(embeddings):,} embeddings of {embeddings.shape[1]} numbers, run {run.name}, round {index}")


def project(options: Namespace) -> None:
    """Draw the maps of a run again."""
    from vitviz.training.drive import make_projection

    run = find_run(options.name)
    if run.is_shipped():
        raise Problem(
            f"run '{run.name}' came with vitviz and is read-only", "", "python -m vitviz export it into runs/ first"
        )
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


def _train_rows(preset: Preset, base: str, options: Namespace, ranks: Ranks) -> None:
    """Every row of a preset with variants, one run each; with --resume, those that are not finished."""
    from vitviz.training.methods import find_method
    from vitviz.training.presets import preset_rows

    own = _own_states(ranks)
    rows = [row for row in preset_rows(preset, base, options.seeds) if row.variant in (options.rows or preset.variants)]
    if not rows or (options.rows and not set(options.rows) <= set(preset.variants)):
        raise Problem(f"preset '{options.preset}' has no such rows", f"it has {', '.join(preset.variants)}")
    for row in rows:
        if options.resume and row.name in own:
            if own[row.name] != "finished":
                _drive(find_run(row.name), ranks)
            continue
        config_class = find_method(preset.method).config
        config = from_plain(config_class, {**row.settings, **parse_settings(config_class, options.set)})
        _drive(_start(row.name, preset.method, config, options, preset, ranks, variant=row.variant), ranks)


def _own_states(ranks: Ranks) -> dict[str, str]:
    """Name to state of your runs, as rank 0 sees them: it may be making one by the time the others look."""
    return ranks.on_first(lambda: {run.name: run.status().state for run in list_runs() if not run.is_shipped()})


def _make(ranks: Ranks, name: str, method_name: str, config: Any, **about: str) -> Run:
    from vitviz.training.methods import check_shareable
    from vitviz.training.setup import start_run

    check_shareable(method_name, config, ranks)
    ranks.on_first(lambda: start_run(name, method_name, config, **about).name)
    return find_run(name)


def _start(
    name: str, method_name: str, config: Any, options: Namespace, preset: Any, ranks: Ranks, *, variant: str = ""
) -> Run:
    base = name.removesuffix(f"-{variant}-s{config.seed}") if variant else name
    words = ["python", "-m", "vitviz", "train", options.method, "--run", base]
    words += ["--preset", options.preset] if options.preset else []
    words += ["--rows", variant, "--seeds", str(config.seed)] if variant else []
    for assignment in options.set:
        words += ["--set", assignment]
    title = (f"{preset.title}: {variant}, seed {config.seed}" if variant else preset.title) if preset else name
    return _make(
        ranks,
        name,
        method_name,
        config,
        preset=options.preset or "",
        variant=variant,
        title=title,
        command=shlex.join(words),
    )


def _drive_with_control(run: Run, options: Namespace, ranks: Ranks) -> None:
    from vitviz.training.methods import config_of, find_method
    from vitviz.training.shared_start import share_start

    _drive(run, ranks)
    about, config = run.description(), config_of(run)
    changed = None if options.no_control else find_method(about.method).control(config)
    if not changed or not getattr(config, "max_rounds", 0):
        return
    name = f"{run.name}-control"
    if name in _own_states(ranks):
        _drive(find_run(name), ranks)
        return
    print(f"now its control, {name}: " + ", ".join(f"{key} = {value:g}" for key, value in changed.items()))
    control = dataclasses.replace(config, **changed)
    flags = " ".join(f"--set {key}={value}" for key, value in changed.items())
    command = f"{about.command} {flags} --run {name}"
    title = f"{about.title} (control)"
    made = _make(ranks, name, about.method, control, preset=about.preset, title=title, command=command)
    if ranks.on_first(lambda: share_start(run, made)):
        print(f"its phase 1 is that of {run.name}")
    _drive(made, ranks)


def _drive(run: Run, ranks: Ranks) -> None:
    from tqdm import tqdm

    from vitviz.training.drive import drive
    from vitviz.training.methods import check_shareable, config_of
    from vitviz.training.shared_run import SharedRun

    check_shareable(run.description().method, config_of(run), ranks)
    run = SharedRun(run, ranks) if ranks.size > 1 else run
    # no bar where nobody watches: a log gets one line a round
    with tqdm(unit="record", dynamic_ncols=True, desc=run.name, disable=None) as bar:

        def report(progress, record) -> None:
            bar.total, bar.n = progress.total, progress.done
            keys = (
                ("held_out_top1", *(_TRANSDUCTIVE if "nmi" in record else _HELD_OUT), "within_share")
                if record["kind"] == "round"
                else ("loss", "train_top1", "held_out_top1", *_TRANSDUCTIVE)
            )
            words = ", ".join(f"{key} {record[key]:.3f}" for key in keys if record.get(key) is not None)
            bar.set_postfix_str(words)
            if bar.disable and record["kind"] == "round":
                print(f"{run.name}: round {record['index']}, {words}", flush=True)
            for warning in record.get("warnings") or ():
                bar.write(f"  warning, round {record['index']}: {warning}")

        drive(run, report)
        bar.total = bar.n
    print(_line(run))


def _line(run: Run) -> str:
    try:
        about, rounds = run.description(), run.round_metrics()
    except Problem as problem:
        return f"{run.name:28} {problem}"
    last = rounds[-1] if rounds else {}
    # of a run that chooses among its rounds, the chosen one
    last = rounds[last["selection"]["round"]] if last.get("selection") else last
    keys, title = (_TRANSDUCTIVE, "NMI") if "nmi" in last else (_HELD_OUT, "held-out NMI")
    scores = ", ".join(
        f"{name} {last[key]:.3f}"
        for name, key in zip((title, "ACC", "W/T"), (*keys, "within_share"), strict=True)
        if last.get(key) is not None
    )
    place = "shipped" if run.is_shipped() else run.status().state
    return f"{run.name:28} {place:11} {about.method:16} {about.dataset_title:22} {len(rounds):3} rounds  {scores}"


def _print_run(run: Run, about: dict[str, Any]) -> None:
    print(_line(run))
    for key in ("title", "dataset", "num_images", "device", "created", "git_commit", "command"):
        print(f"  {key:12} {about[key]}")
    rounds = run.round_metrics()
    if rounds and "nmi" in rounds[0]:
        scores = ("step", *_TRANSDUCTIVE, "ari", "eigengap", "in_block_mass")
    else:
        scores = (*_HELD_OUT, "held_out_ari", "train_nmi")
    columns = ("index", "loss", *scores, "within_share", "nmi_previous")
    print("  " + " ".join(f"{column:>13}" for column in columns))
    for record in rounds:
        cells = (record.get(column) for column in columns)
        print("  " + " ".join(f"{'-' if cell is None else f'{cell:.4g}':>13}" for cell in cells))
