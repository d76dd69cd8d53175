"""The line that says what a file was made from, and tables and arrays that carry it."""

import dataclasses
import io
import json
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from vitviz import __version__
from vitviz.runs.folder import Run
from vitviz.runs.records import Description

_PATH = re.compile(r"(?:~|[A-Za-z]:)?(?:[\\/][^\s\\/'\"=]+)+[\\/]([^\s\\/'\"=]+)")


def recipe_of(run: Run, what: str = "", view: Mapping[str, Any] = MappingProxyType({})) -> str:
    """One line: what is shown of which run, the ``view`` (layer, round ...), seed, settings and version."""
    about = run.description()
    shown = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in view.items() if value is not None)
    settings = " ".join(f"{key}={value}" for key, value in sorted(about.settings.items()) if value is not None)
    parts = (
        what,
        f"run {run.name} ({about.method}, {about.dataset_title or about.dataset}, seed {about.seed})",
        shown,
        f"vitviz {__version__}, trained with vitviz {about.versions.get('vitviz', '?')}",
        f"settings: {settings}",
    )
    return without_folders("; ".join(" ".join(part.split()) for part in parts if part))


def without_folders(text: str) -> str:
    """``text`` with every path cut to its last name: where files lie on a machine is for nobody else."""
    return _PATH.sub(r"\1", text)


def shareable(about: Description) -> Description:
    """``about`` with no folder of the machine in what was given as text."""
    return dataclasses.replace(
        about,
        dataset=without_folders(about.dataset),
        dataset_title=without_folders(about.dataset_title),
        title=without_folders(about.title),
        command=without_folders(about.command),
        settings={key: without_folders(one) if isinstance(one, str) else one for key, one in about.settings.items()},
    )


def to_csv(columns: Mapping[str, Any], recipe: str) -> bytes:
    """Columns of one length as CSV, the recipe as a comment in the first line: ``pandas.read_csv(..., skiprows=1)``."""
    import pandas

    return f"# {recipe}\n{pandas.DataFrame(dict(columns)).to_csv(index=False)}".encode()


def to_parquet(columns: Mapping[str, Any], recipe: str) -> bytes:
    """Columns of one length as Parquet, the recipe as ``recipe`` among the file's own metadata."""
    import pandas
    import pyarrow
    from pyarrow import parquet

    table = pyarrow.Table.from_pandas(pandas.DataFrame(dict(columns)), preserve_index=False)
    file = io.BytesIO()
    parquet.write_table(
        table.replace_schema_metadata({**(table.schema.metadata or {}), b"recipe": recipe.encode()}), file
    )
    return file.getvalue()


def to_npz(arrays: Mapping[str, np.ndarray], recipe: str) -> bytes:
    """Arrays by name for ``numpy.load``, with the recipe as the text ``recipe`` beside them."""
    file = io.BytesIO()
    np.savez_compressed(file, recipe=np.array(recipe), **arrays)
    return file.getvalue()


def plain_settings(about: Description) -> dict[str, str]:
    """Every setting as short text."""
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in about.settings.items()}
