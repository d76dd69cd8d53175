"""A round of a run as the table that Embedding Atlas opens: places, neighbours and what is known of every image.

Source: the command line's manual of Embedding Atlas (``packages/docs/tool.md`` of apple/embedding-atlas): two columns of
coordinates, and a column of ``{"ids": [...], "distances": [...]}`` whose ids are row numbers counted from 0.
"""

from pathlib import Path

import numpy as np

from vitviz.errors import Problem
from vitviz.explain.deep_clustering import classes_of_clusters
from vitviz.runs.atomic import write_file
from vitviz.runs.compact import kept_embeddings
from vitviz.runs.folder import Run
from vitviz.share.recipe import recipe_of, to_parquet

NUM_NEIGHBORS = 15


def write_atlas_table(run: Run, out: Path, *, round_index: int | None = None) -> int:
    """Write one row an image into the Parquet file ``out`` and return the round; the last one when None is given.

    Columns: projection_x, projection_y (float32); neighbors, the 15 nearest by Euclidean distance in the embedding, the image
    itself not among them; image, class, cluster, right (None without a class), part, distance, runner_up_distance, moved.

    Raises: Problem for a run without maps, or a round that is not there.
    """
    projection = run.projection()
    if projection is None:
        raise Problem(
            f"run '{run.name}' has no maps", "they are drawn when it finishes", f"python -m vitviz project {run.name}"
        )
    last = len(projection.points) - 1
    index = last if round_index is None else round_index
    if not 0 <= index <= last:
        raise Problem(f"run '{run.name}' has no map of round {index}", f"it has rounds 0 to {last}")
    columns = {
        "projection_x": np.asarray(projection.points[index][:, 0], np.float32),
        "projection_y": np.asarray(projection.points[index][:, 1], np.float32),
        "neighbors": _neighbors(kept_embeddings(run, index)),
        **_known(run, index),
    }
    content = to_parquet(columns, recipe_of(run, f"map by {projection.engine}", {"round": index}))
    write_file(out, lambda file: file.write(content))
    return index


def _neighbors(embeddings: np.ndarray) -> list[dict[str, list]]:
    from sklearn.neighbors import NearestNeighbors

    num = min(NUM_NEIGHBORS, len(embeddings) - 1)
    if num < 1:
        return [{"ids": [], "distances": []} for _ in embeddings]
    # without a query an image is none of its own neighbours
    distances, ids = NearestNeighbors(n_neighbors=num).fit(embeddings).kneighbors()
    return [{"ids": a, "distances": b} for a, b in zip(ids.tolist(), distances.tolist(), strict=True)]


def _known(run: Run, index: int) -> dict:
    samples, arrays, about = run.samples(), run.round(index), run.description()
    labels, standing = np.asarray(arrays.matched_labels), classes_of_clusters(run)[index]
    before = np.asarray(run.round(max(index - 1, 0)).matched_labels)
    names = [f"cluster {cluster:02d}" + (f" ({about.class_names[one]})" if one >= 0 else "")
             for cluster, one in enumerate(standing)]  # fmt: skip
    known = samples.classes >= 0
    return {
        "image": samples.indices,
        "class": [about.class_names[one] if one >= 0 else None for one in samples.classes],
        "cluster": [names[one] for one in labels],
        "right": [
            bool(a == b) if k else None for a, b, k in zip(standing[labels], samples.classes, known, strict=True)
        ],
        "part": np.where(samples.held_out, "held out", "train"),
        "distance": np.asarray(arrays.distances),
        "runner_up_distance": np.asarray(arrays.runner_up_distances),
        "moved": labels != before,
    }
