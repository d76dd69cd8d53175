"""What the shipped super-token network says of two bundled photos, for the small pictures of the first page.

``python -m benchmarks.teasers`` writes ``vitviz/explain/teasers.json``: the super token of every feature pixel, and what CLS
attends to in the last layer (mean of its heads). ``tests/explain/test_teasers.py`` computes both again and compares.
"""

import numpy as np

from vitviz.data.photographs import open_photograph
from vitviz.explain.attention import birds_eye
from vitviz.explain.opened_models import OpenedModel, load_run_model
from vitviz.explain.preprocessing import frame, to_input
from vitviz.explain.supertokens import features_of_run, group_features
from vitviz.explain.teasers import FILE, Told, write_told
from vitviz.runs.folder import find_run

RUN = "clothing-supertoken"
COMMAND = "python -m benchmarks.teasers"


def tell() -> dict[str, Told]:
    """Both, as the pages of super tokens and of attention show them when they are opened with these photos."""
    run = find_run(RUN)
    opened, iterations = load_run_model(run), run.description().settings["num_iterations"]
    shares = _attention(opened, "cat")
    return {
        "supertokens": Told(RUN, "coffee", iterations, _ids(opened, "coffee", iterations)),
        "attention": Told(RUN, "cat", shares[0], np.round(shares[1].astype(np.float64), 5)),
    }


def _ids(opened: OpenedModel, photo: str, iterations: int) -> np.ndarray:
    features = features_of_run(opened.model, open_photograph(photo, max_side=1024).pixels, run_name=RUN)
    return group_features(features, num_iterations=iterations).labels[-1]


def _attention(opened: OpenedModel, photo: str) -> tuple[int, np.ndarray]:
    """The last layer's number and what CLS attends to in it."""
    fed = frame(open_photograph(photo, max_side=1024).pixels, opened.preprocessing, None)
    row = birds_eye(opened.model, to_input(opened.model, fed[None], opened.preprocessing)).rows[-1]
    return row.layer.index, row.maps.mean(axis=0)


if __name__ == "__main__":
    write_told(tell(), COMMAND)
    print(f"{FILE.name}: {FILE.stat().st_size:,} bytes")
