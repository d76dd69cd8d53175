"""One run as one page that needs nothing else: no server, no network, no other file.

The page forbids itself to fetch anything: ``default-src 'none'``, and of script and style only those whose hash it names.
"""

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vitviz import __version__
from vitviz.errors import Problem
from vitviz.explain.deep_clustering import find_control
from vitviz.explain.map_files import color_ramp, png
from vitviz.explain.subspace import layer_of, order_images, take_snapshot
from vitviz.explain.subspace_weave import weave
from vitviz.figures.theme import SEQUENTIAL_COLORS
from vitviz.runs.atomic import write_file
from vitviz.runs.folder import Run
from vitviz.share import round_maps
from vitviz.share.curves import charts_of, svg
from vitviz.share.markup import data_block, escaped, in_both, label, said, table
from vitviz.share.recipe import plain_settings, recipe_of, shareable

MOST_BYTES = 12 * 2**20

_HERE = Path(__file__).parent
_DECODER = _HERE.parent / "ui" / "components" / "round_map_data.js"
_WORDS = {
    "roundOf": "Round {round} of {last}",
    "play": "Play",
    "pause": "Pause",
    "alt": "Map of {points} images at round {round}; arrow keys change the round",
    "cluster": "Cluster {cluster}",
    "namedCluster": "Cluster {cluster} ({name})",
    "unlabelled": "Unlabelled",
    "image": "Image {image}",
    "class": "Class: {label}",
    "heldOut": "Held out",
    "trained": "Trained on",
    "hint": "Point at an image to see what it is.",
}
_SCORES = {
    "Held-out NMI": "held_out_nmi",
    "Held-out ACC": "held_out_acc",
    "NMI": "nmi",
    "ACC": "acc",
    "ARI": "ari",
    "Held-out top-1": "held_out_top1",
    "Within share W/T": "within_share",
    "Loss": "loss",
}


def write_one_file(run: Run, out: Path, runs: Sequence[Run] = (), *, thumbnails: bool = False) -> int:
    """Write the page of ``run`` into ``out`` and return its size in bytes, at most ``MOST_BYTES``.

    Args:
        runs: where its control is looked for.
        thumbnails: whether pictures of a data set may be in it whose licence is not known to allow it.

    Raises: Problem for a run without a record, or one whose names and settings alone are too large.
    """
    if not run.metrics():
        raise Problem(f"run '{run.name}' has no record yet", "", "train it first")
    content = one_file(run, find_control(run, runs), thumbnails=thumbnails).encode()
    if len(content) > MOST_BYTES:
        raise Problem(f"the page of run '{run.name}' would be {len(content) / 2**20:.0f} MB", "12 MB is the most")
    write_file(out, lambda file: file.write(content))
    return len(content)


def one_file(run: Run, control: Run | None, *, thumbnails: bool = False) -> str:
    """The page as text; the same run gives the same page."""
    about = shareable(run.description())
    parts = [_head(run, control), _map(run, thumbnails=thumbnails), _affinity(run), _curves(run, control), _scores(run)]
    parts += [_left_out(run), _made_by(run)]
    title = escaped(about.title or run.name)
    script = _DECODER.read_text("utf-8") + (_HERE / "one_file.js").read_text("utf-8")
    style = (_HERE / "one_file.css").read_text("utf-8")
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    return (
        f'<!doctype html><html lang="en" data-language="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="referrer" content="no-referrer">'
        f'<meta name="description" content="{escaped(recipe_of(run))}"><title>{title} · vitviz</title>'
        f"<style>{style}</style></head><body>{''.join(parts)}<script>{script}</script></body></html>\n"
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _head(run: Run, control: Run | None) -> str:
    about = shareable(run.description())
    beside = f"Its control is {control.name}." if control is not None else ""
    languages = (("en", "English"), ("ko", "한국어"))
    switch = " ".join(f'<button type="button" data-set="{code}">{name}</button>' for code, name in languages)
    facts = f"{about.num_images:,} images, {len(about.class_names)} classes, seed {about.seed}."
    return (
        f"<header><h1>{said(about.title or run.name)}</h1><div>{switch}</div></header>"
        f'<p class="soft">{said(about.dataset_title or about.dataset)} · {said(facts)} {said(beside) if beside else ""}</p>'
    )


def _map(run: Run, *, thumbnails: bool) -> str:
    if not run.num_rounds() or run.projection() is None:
        return ""
    rows = round_maps.shown_rows(run)
    thumbs, why = round_maps.thumbnails(run, rows, asked_for=thumbnails)
    last = run.num_rounds() - 1
    projection = run.projection()
    caption = (
        f"Every dot is an image; all rounds share one scale. Places by {projection.engine}, seed {projection.seed}."
    )
    return (
        f"<h2>{said('Map of all rounds')}</h2>"
        f'<div class="bar"><button type="button" id="play">Play</button>'
        f'<input type="range" id="round" min="0" max="{last}" value="{last}" {label("Round")}>'
        f'<output id="said" for="round"></output>'
        f'<span id="scores" class="soft"></span>{_color_buttons(run)}</div>'
        f'<div class="stage"><canvas id="picture" tabindex="0" role="img"></canvas><ul class="names" id="names"></ul></div>'
        '<div id="card"></div>'
        f'<p class="soft">{said(caption)} {said(_how_many(len(rows), run.description().num_images))} {said(why)}</p>'
        + _nearest(run, thumbs)
        + data_block("values", _values(run, rows, thumbs))
        + f'<script type="text/plain" id="map">{round_maps.packed_map(run, rows)}</script>'
        + (f'<img id="sheet" alt="" hidden src="data:image/png;base64,{thumbs.content}">' if thumbs else "")
    )


def _how_many(num: int, total: int) -> str:
    if num == total:
        return f"All {total:,} images are drawn."
    return (
        f"{num:,} of {total:,} images are drawn, a sample that keeps the shares of the classes: the file stays small."
    )


def _color_buttons(run: Run) -> str:
    if not (run.samples().classes >= 0).any():
        return ""
    buttons = (("cluster", "By cluster"), ("class", "By class"))
    return "".join(f'<button type="button" data-color="{key}">{said(text)}</button>' for key, text in buttons)


def _values(run: Run, rows: np.ndarray, thumbs: round_maps.Thumbs | None) -> dict[str, Any]:
    values = {**round_maps.map_values(run), "words": {key: in_both(text) for key, text in _WORDS.items()}}
    records = run.round_metrics()
    values["scores"] = [
        [[*in_both(name), record[key]] for name, key in list(_SCORES.items())[:2] if record.get(key) is not None]
        for record in records
    ]
    if thumbs is not None:
        place_of = {int(row): place for place, row in enumerate(thumbs.rows)}
        point_of = {int(row): point for point, row in enumerate(rows)}
        points = [point_of.get(int(row), -1) for row in thumbs.rows]
        values["thumbs"] = {"side": thumbs.side, "columns": thumbs.columns, "points": points}
        near = round_maps.nearest_rows(run)
        values["nearest"] = [[place_of[int(row)] for row in one if int(row) in place_of] for one in near]
    return values


def _nearest(run: Run, thumbs: round_maps.Thumbs | None) -> str:
    if thumbs is None:
        return ""
    names = round_maps.map_values(run)["clusterNames"]
    items = []
    for cluster, name in enumerate(names):
        text = f"Cluster {cluster} ({name})" if name else f"Cluster {cluster}"
        items.append(f'<li>{said(text)}<canvas role="img" data-nearest="{cluster}" {label(text)}></canvas></li>')
    return f'<h2>{said("Nearest to each center, last round")}</h2><ul class="nearest">{"".join(items)}</ul>'


def _affinity(run: Run) -> str:
    if run.description().method != "subspace" or not run.num_rounds() or run.coefficients() is None:
        return ""
    index = run.num_rounds() - 1
    snapshot = take_snapshot(run, index)
    matrix = layer_of(snapshot, "plain")
    pictures = []
    for order, text in (("data", "Images as they come"), ("cluster", "Images by cluster")):
        woven = weave(matrix, order_images(snapshot, order), side=360)
        pixels = color_ramp(SEQUENTIAL_COLORS)[np.rint(255 * woven.values).astype(int)].astype(np.uint8)
        content = base64.b64encode(png(pixels, recipe_of(run, "affinity", {"round": index}))).decode()
        alt = f'alt="{escaped(text)}"'
        pictures.append(f'<figure><img class="affinity" {alt} {label(text)} src="data:image/png;base64,{content}">'
                        f"<figcaption>{said(text)}</figcaption></figure>")  # fmt: skip
    caption = (
        "The affinity |C| + |C transposed| of the last round: a bright cell says that an image is made of another. "
        "Each cell is the largest value of its block; the brightest stands for the 99.5th percentile and all above."
    )
    return f'<h2>{said("Affinity matrix")}</h2><div class="pair">{"".join(pictures)}</div><p class="soft">{said(caption)}</p>'


def _curves(run: Run, control: Run | None) -> str:
    charts = "".join(svg(chart) for chart in charts_of(run, control))
    return f'<h2>{said("Curves")}</h2><div class="charts">{charts}</div>' if charts else ""


def _scores(run: Run) -> str:
    """The table of all rounds, or the last record of a method that has but one."""
    records = run.round_metrics()
    if len(records) < 2:
        records = records or [record for record in run.metrics() if record["kind"] == "epoch"][-1:]
    # a method that scores all its images is not judged by a part of them
    own = {name: key for name, key in _SCORES.items() if not ("nmi" in records[0] and key.startswith("held_out"))}
    names = [name for name, key in own.items() if any(record.get(key) is not None for record in records)]
    if not names:
        return ""
    rows = [[str(record["index"]), *(_number(record.get(_SCORES[name])) for name in names)] for record in records]
    first = "Round" if records[0]["kind"] == "round" else "Epoch"
    return f"<h2>{said('Scores')}</h2>" + table([first, *names], rows, caption="Scores")


def _number(value: Any) -> str:
    return "–" if value is None else f"{value:.3f}" if abs(value) < 100 else f"{value:.3g}"


def _left_out(run: Run) -> str:
    method = run.description().method
    text = {
        "supertokens": "Not in this file: the groups of pixels and the attention, which need the network itself.",
        "coat": "Not in this file: the groups of queries and the attention, which need the network itself.",
        "subspace": "Not in this file: single coefficients and other thresholds, which need the whole matrix.",
    }.get(method, "Not in this file: the network itself, so that no picture of yours can be placed on the map here.")
    return f'<p class="soft">{said(text)}</p>'


def _made_by(run: Run) -> str:
    about = shareable(run.description())
    facts = {
        "run": run.name,
        "method": about.method,
        "data set": about.dataset,
        "fingerprint": about.dataset_fingerprint,
        "device": about.device,
        "created": about.created,
        "git commit": about.git_commit,
        "versions": ", ".join(f"{name} {version}" for name, version in about.versions.items()),
    }
    rows = [[said(key), escaped(value)] for key, value in facts.items() if value]
    rows += [[f"<code>{escaped(key)}</code>", escaped(value)] for key, value in plain_settings(about).items()]
    command = f"<p>{said('This line makes it again:')}</p><pre>{escaped(about.command)}</pre>" if about.command else ""
    return (
        f"<h2>{said('How it was made')}</h2>{command}<details><summary>{said('All settings')}</summary>"
        f"{table(['Setting', 'Value'], rows, caption='All settings', kind='facts')}</details>"
        f'<p class="soft">{said(f"Written by vitviz {__version__}. This page asks no server for anything.")}</p>'
    )
