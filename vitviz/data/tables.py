"""Parquet files with a column of encoded images and, perhaps, one of labels, as data set hubs publish them."""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from vitviz.data.listing import SPLITS, Content, Listing, Source, choose_test_split, number_classes
from vitviz.errors import Problem

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

MAX_IMAGE_BYTES = 20 * 2**20
LABEL_COLUMNS = ("label", "labels", "fine_label", "class", "target")

MAX_ROWS = 2_000_000
MAX_RATIO = 200
FREE_BYTES = 2**20
"""A column may unpack to this much at any ratio."""
MAX_LABEL_BYTES = 2**26
MAX_LABEL = 1000

_BATCH_ROWS = 256
_BATCH_BYTES = 2**29


class Table(NamedTuple):
    """One parquet file: the columns that matter, its label values (None for all when it has none) and class names."""

    path: Path
    image_column: str
    values: list
    class_names: tuple[str, ...] | None
    row_groups: tuple[int, ...]


def find_parquet(path: Path, name: str) -> Source:
    """The single parquet file at ``path``."""
    return Source(name, (path,), functools.partial(_list_files, name, (path,), None))


def find_parquet_folder(path: Path, name: str) -> Source:
    """The parquet files of a folder. Names like ``train.parquet``, ``test-00000-of-00001.parquet`` tell their part.

    ``test`` is held out and ``validation`` is not; without a test file, ``validation`` is.
    """
    files = sorted(path.glob("*.parquet"), key=lambda file: (_split(file) != "train", file.name))
    splits = {_split(file) for file in files}
    test = choose_test_split(splits) if "train" in splits else set()
    held_out = tuple(_split(file) in test for file in files) if test else None
    return Source(name, tuple(files), functools.partial(_list_files, name, tuple(files), held_out))


def _split(path: Path) -> str:
    word = path.name.lower().split(".")[0].split("-")[0]
    return word if word in SPLITS else ""


def _list_files(name: str, files: tuple[Path, ...], held_out: tuple[bool, ...] | None) -> Listing:
    tables = [_read_table(path) for path in files]
    labels, class_names = _number_labels(name, tables)
    counts = [len(table.values) for table in tables]
    return Listing(
        names=[f"{table.path.name} row {row}" for table in tables for row in range(len(table.values))],
        labels=labels,
        held_out=None if held_out is None else np.repeat(held_out, counts),
        class_names=class_names,
        read=functools.partial(_read_rows, tables),
    )


def _read_table(path: Path) -> Table:
    import pyarrow.parquet as pq

    with _errors_named(path), pq.ParquetFile(path) as file:
        schema = file.schema_arrow
        image_column, label_column = _image_column(schema, path), _label_column(schema)
        groups = tuple(file.metadata.row_group(index).num_rows for index in range(file.num_row_groups))
        _check_sizes(file.metadata, (image_column, label_column), path)
        values = [None] * sum(groups)
        if label_column:
            values = _label_values(path, label_column, is_text=_is_text(schema.field(label_column).type))
        return Table(path, image_column, values, _declared_names(schema, label_column), groups)


def _check_sizes(metadata: pq.FileMetaData, columns: tuple[str | None, str | None], path: Path) -> None:
    """Raises Problem when what would be read is more than is ever read, or unpacks as no image and no label does."""
    if metadata.num_rows > MAX_ROWS:
        raise Problem(f"{path.name} is too large", f"{metadata.num_rows:,} rows, and at most {MAX_ROWS:,} are read")
    image_column, label_column = columns
    for chunk in _chunks(metadata):
        column, packed, unpacked = chunk.path_in_schema.split(".")[0], chunk.total_compressed_size, _unpacked(chunk)
        if column in columns and unpacked > FREE_BYTES + MAX_RATIO * packed:
            why = f"its column '{column}' unpacks more than {MAX_RATIO} times"
            raise Problem(f"{path.name} is refused", why, "it looks like a bomb")
        if column == label_column != image_column and unpacked > MAX_LABEL_BYTES:
            raise Problem(f"{path.name} is refused", f"its labels take {unpacked / 2**20:,.0f} MB")


def _chunks(metadata: pq.FileMetaData) -> Iterator[pq.ColumnChunkMetaData]:
    groups = (metadata.row_group(index) for index in range(metadata.num_row_groups))
    return (group.column(index) for group in groups for index in range(group.num_columns))


def _unpacked(chunk: pq.ColumnChunkMetaData) -> int:
    return max(chunk.total_uncompressed_size, 0)


def _label_values(path: Path, name: str, *, is_text: bool) -> list:
    """The values as Python has them; a text that is stored once is one text, however many rows point at it."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, read_dictionary=[name] if is_text else None) as file:
        column, values = file.read(columns=[name]).column(0), []
    for chunk in column.chunks:
        if not hasattr(chunk, "dictionary"):
            values += chunk.to_pylist()
            continue
        words = chunk.dictionary.to_pylist()
        if max((len(word) for word in words if word is not None), default=0) > MAX_LABEL:
            raise Problem(
                f"{path.name} could not be read", f"one of its labels is longer than {MAX_LABEL:,} characters"
            )
        values += [None if index is None else words[index] for index in chunk.indices.to_pylist()]
    return values


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _image_column(schema: pa.Schema, path: Path) -> str:
    """The first struct column with a field ``bytes``, else the first binary one."""
    import pyarrow as pa

    for field in schema:
        if pa.types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0:
            return field.name
    for field in schema:
        if pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type):
            return field.name
    columns = ", ".join(schema.names)
    raise Problem(f"{path.name} could not be read", f"none of its columns ({columns}) holds encoded images")


def _label_column(schema: pa.Schema) -> str | None:
    """The first of ``LABEL_COLUMNS`` that holds whole numbers, text or booleans."""
    import pyarrow as pa

    for name in LABEL_COLUMNS:
        if schema.get_field_index(name) >= 0:
            kind = schema.field(name).type
            kind = kind.value_type if pa.types.is_dictionary(kind) else kind
            if any(test(kind) for test in (pa.types.is_integer, pa.types.is_boolean, pa.types.is_string)):
                return name
            if pa.types.is_large_string(kind):
                return name
    return None


def _declared_names(schema: pa.Schema, label_column: str | None) -> tuple[str, ...] | None:
    """Class names that the ``huggingface`` entry of the schema's metadata gives for whole-number labels, if any."""
    with contextlib.suppress(ValueError, KeyError, TypeError):
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        names = features[label_column]["names"]
        if isinstance(names, list) and names:
            return tuple(str(name) for name in names)
    return None


def _number_labels(name: str, tables: list[Table]) -> tuple[np.ndarray, tuple[str, ...]]:
    values = [value for table in tables for value in table.values]
    if len({table.class_names for table in tables}) > 1 or _mixes_kinds(values):
        raise Problem(f"{name} could not be read", "its parquet files disagree about the classes")
    names = tables[0].class_names
    if names is None or any(isinstance(value, str) for value in values):
        return number_classes(values)
    labels = [-1 if value is None or value < 0 else int(value) for value in values]
    if max(labels, default=-1) >= len(names):
        raise Problem(f"{name} could not be read", f"label {max(labels)} has no class name: there are {len(names)}")
    return np.array(labels, np.int32), names


def _mixes_kinds(values: list) -> bool:
    return len({isinstance(value, str) for value in values if value is not None}) > 1


def _read_rows(tables: list[Table], rows: np.ndarray) -> Iterator[Content]:
    import pyarrow.parquet as pq

    start = 0
    for table in tables:
        stop = start + len(table.values)
        wanted = rows[(rows >= start) & (rows < stop)] - start
        with _errors_named(table.path), pq.ParquetFile(table.path) as file:
            yield from _read_wanted(file, table, wanted)
        start = stop


def _read_wanted(file: pq.ParquetFile, table: Table, wanted: np.ndarray) -> Iterator[Content]:
    """The images of the ``wanted`` rows; row groups without any are not touched."""
    start = 0
    for group, num_rows in enumerate(table.row_groups):
        stop = start + num_rows
        if ((wanted >= start) & (wanted < stop)).any():
            rows = _rows_at_once(file.metadata.row_group(group), table.image_column)
            for batch in file.iter_batches(rows, row_groups=[group], columns=[table.image_column]):
                here = wanted[(wanted >= start) & (wanted < start + len(batch))] - start
                yield from (_content(batch.column(0)[int(row)].as_py(), table.path) for row in here)
                start += len(batch)
        start = stop


def _rows_at_once(group: pq.RowGroupMetaData, column: str) -> int:
    """How many rows fit into memory even if all of them point at one image, stored once and as large as the column."""
    chunks = (group.column(index) for index in range(group.num_columns))
    size = sum(_unpacked(chunk) for chunk in chunks if chunk.path_in_schema.split(".")[0] == column)
    return min(max(_BATCH_BYTES // max(size, 1), 1), _BATCH_ROWS)


def _content(value: dict | bytes | None, path: Path) -> bytes | Problem:
    """The bytes of one cell. A cell that only names a file is not followed: a table may not open files."""
    content = value.get("bytes") if isinstance(value, dict) else value
    if not content:
        return Problem(f"an image of {path.name} was skipped", "its cell holds no image bytes")
    if len(content) > MAX_IMAGE_BYTES:
        return Problem(f"an image of {path.name} was skipped", "it is larger than 20 MB")
    return content


@contextlib.contextmanager
def _errors_named(path: Path) -> Iterator[None]:
    """Turn what pyarrow raises for a damaged file into a Problem."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError, MemoryError) as error:
        raise Problem(f"{path.name} could not be read", "it is not a parquet file, or it is damaged") from error
