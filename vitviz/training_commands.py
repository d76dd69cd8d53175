"""What ``python -m vitviz train`` does: a run, the rows of a preset, further rounds, and a control behind each."""

import dataclasses
import shlex
from argparse import Namespace
from typing import Any

from vitviz.config import from_plain, parse_settings, to_plain
from vitviz.errors import Problem
from vitviz.ranks import Ranks, joined
from vitviz.run_lines import HELD_OUT, TRANSDUCTIVE, line_of
from vitviz.runs.folder import Run, find_run, list_runs
from vitviz.training.preset import Preset


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
        _check_same_settings(find_run(name), options.set)
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


def _check_same_settings(run: Run, assignments: list[str]) -> None:
    """A line that began a run goes on with it too. Raises: Problem when it asks for other settings than the run has."""
    if not assignments:
        return
    from vitviz.training.methods import config_of

    config = config_of(run)
    for name, value in parse_settings(type(config), assignments).items():
        if value != (kept := getattr(config, name)):
            why = f"run '{run.name}' keeps the {name}={kept} it began with"
            raise Problem(f"--resume takes no --set of another value, {name}={value}", why, "start another --run")


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
                ("held_out_top1", *(TRANSDUCTIVE if "nmi" in record else HELD_OUT), "within_share")
                if record["kind"] == "round"
                else ("loss", "train_top1", "held_out_top1", *TRANSDUCTIVE)
            )
            words = ", ".join(f"{key} {record[key]:.3f}" for key in keys if record.get(key) is not None)
            bar.set_postfix_str(words)
            if bar.disable and record["kind"] == "round":
                print(f"{run.name}: round {record['index']}, {words}", flush=True)
            for warning in record.get("warnings") or ():
                bar.write(f"  warning, round {record['index']}: {warning}")

        drive(run, report)
        bar.total = bar.n
    print(line_of(run))
