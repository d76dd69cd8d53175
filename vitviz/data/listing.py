"""What a data source holds before any image is decoded: names, labels, and a way to read the rows one after another.

Each kind of source (folder, zip, parquet, arrays) has a file of its own that makes a ``Listing``; from there on all are alike.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vitviz.data.batches import stratified_order
from vitviz.errors import Problem

Content = bytes | Path | np.ndarray | Problem
"""An image as it is stored: a file's bytes, its place, its pixels (H, W, 3) uint8, or why it cannot be read."""


@dataclass(frozen=True)
class Listing:
    """The N images of a source.

    Fields:
        names: what reports call each image.
        labels: (N,) int32, an index into ``class_names`` or -1.
        held_out: (N,) bool or None, the source's own test part.
        read: ``read(rows)`` yields the ``Content`` of ascending ``rows``, in that order, holding few at a time.
        notes: what a reader of the report should know.
    """

    names: Sequence[str]
    labels: np.ndarray
    held_out: np.ndarray | None
    class_names: tuple[str, ...]
    read: Callable[[np.ndarray], Iterator[Content]]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class Source:
    """A data set found on disk, not yet looked into.

    ``files`` are the files and folders its content depends on; a source without any is decoded each time it is opened.
    """

    name: str
    files: tuple[Path, ...]
    list_images: Callable[[], Listing]


def choose_rows(listing: Listing, limit: int | None) -> np.ndarray:
    """The rows to use, ascending: all, or ``limit`` of them that keep the proportions of classes and test part.

    The choice is the same on every machine, and a smaller limit chooses a part of a larger one's rows.
    """
    if limit is None or limit >= len(listing):
        return np.arange(len(listing))
    groups = listing.labels.astype(np.int64)
    if listing.held_out is not None:
        groups = groups + (len(listing.class_names) + 1) * listing.held_out
    return np.sort(stratified_order(groups, seed=0)[:limit])


def number_classes(values: Sequence[object]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Labels (N,) int32 and the sorted class names for N raw values; None and negative numbers are unlabelled (-1)."""
    missing = [value is None or (not isinstance(value, str) and value < 0) for value in values]
    distinct = sorted({value for value, absent in zip(values, missing, strict=True) if not absent})
    ids = {value: index for index, value in enumerate(distinct)}
    labels = [-1 if absent else ids[value] for value, absent in zip(values, missing, strict=True)]
    return np.array(labels, np.int32), tuple(str(value) for value in distinct)


def choose_test_split(splits: set[str]) -> set[str]:
    """Which of the split names are held out: ``test``, or without one every ``val``, ``valid``, ``validation``.

    A validation part beside a test part belongs to what may be trained on.
    """
    return {"test"} & splits or {"val", "valid", "validation"} & splits


SPLITS = frozenset({"train", "test", "val", "valid", "validation"})
