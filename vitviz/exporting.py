"""What ``python -m vitviz export`` does, by what is asked for and the ending of the file."""

import shlex
from argparse import Namespace
from pathlib import Path

import numpy as np

from vitviz.errors import Problem
from vitviz.runs.folder import Run, find_run, list_runs


def export(options: Namespace) -> None:
    """Copy a run to a folder or zip without what only resuming needs, or write its points as a table, or it all as one page."""
    from vitviz.runs.export import export_folder, export_table, export_zip

    run, out = find_run(options.name), Path(options.out)
    check_place(out)
    if options.compact is not None:
        _export_compact(run, out, options.compact, options.weights)
        return
    if options.half or options.scores:
        _export_part(run, out, half=options.half)
        return
    if options.atlas or options.thumbnails or out.suffix == ".html":
        _export_shared(run, out, options)
        return
    write = {".zip": export_zip, ".csv": export_table, ".parquet": export_table}.get(out.suffix, export_folder)
    if write is export_folder and out.suffix[1:].isalpha():
        hint = "name a .html, .zip, .csv or .parquet file, or a folder without an ending"
        raise Problem(f"{out.name} is not written", f"a run is not exported as {out.suffix}", hint)
    write(run, out)
    print(f"{run.name} -> {out}")


def check_place(out: Path) -> None:
    """Raises: Problem when there is no folder to write ``out`` into."""
    if not out.absolute().parent.is_dir():
        raise Problem(f"{out} cannot be written", "its folder does not exist", f"make {out.parent} first")


def _export_part(run: Run, out: Path, *, half: bool) -> None:
    from vitviz.runs.export import export_folder, export_scores

    if out.suffix:
        flag = "--half" if half else "--scores"
        raise Problem(
            f"{flag} is for a folder", f"{out.suffix} keeps what the run holds", "export to a folder, then zip it"
        )
    export_folder(run, out, half=True) if half else export_scores(run, out)
    print(f"{run.name} -> {out}, " + ("weights as float16" if half else "records only"))


def _export_compact(run: Run, out: Path, num_components: int, weights: str) -> None:
    from vitviz.runs.compact import export_compact

    if not 0 <= num_components <= run.round(0).embeddings.shape[1]:
        raise Problem(f"--compact {num_components} must be at least 0 and at most the width of the embeddings")
    # ids alone are looked at beside the run they are the control of, which shows the images
    sketches = _sketches(run) if num_components or weights != "none" else None
    share = export_compact(run, out, num_components=num_components, weights=weights, sketches=sketches)
    print(f"{run.name} -> {out}, {num_components} components of the embeddings, {share:.2%} of their variance or more")


def _sketches(run: Run) -> np.ndarray | None:
    """What the images of a run are known again by, where they are on this machine."""
    from vitviz.data.sketches import sketch
    from vitviz.training.setup import load_images

    try:
        return sketch(load_images(run)[run.samples().indices])
    except Problem:
        return None


def _export_shared(run: Run, out: Path, options: Namespace) -> None:
    """One page, or the table for Embedding Atlas with the line that opens it."""
    flag, suffix = ("--atlas", ".parquet") if options.atlas else ("--thumbnails", ".html")
    if out.suffix != suffix:
        raise Problem(f"{flag} is for a {suffix} file", f"{out.name} is none")
    if options.atlas:
        from vitviz.share.atlas import write_atlas_table

        index = write_atlas_table(run, out, round_index=options.round)
        print(f"{run.name} -> {out}, round {index}; Embedding Atlas opens it:")
        print(f"embedding-atlas {shlex.quote(str(out))} --x projection_x --y projection_y --neighbors neighbors")
        return
    from vitviz.share.one_file import write_one_file

    size = write_one_file(run, out, list_runs(), thumbnails=options.thumbnails)
    print(f"{run.name} -> {out}, {_size(size)}")


def _size(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:.1f} MB" if num_bytes >= 1e6 else f"{num_bytes / 1e3:.0f} kB"
