"""Image folders: one subfolder per class, perhaps below ``train`` and ``test``, or a flat folder without labels."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from vitviz.data.listing import SPLITS, Content, Listing, Source, choose_test_split

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"})


class Tree(NamedTuple):
    """Relative paths of image files, the folders beside and above them, and how many other files were passed over."""

    images: list[PurePosixPath]
    folders: list[PurePosixPath]
    num_others: int


def find_folder(path: Path, name: str) -> Source:
    """The image folder at ``path``. Links to folders are not followed; hidden files and folders are passed over."""
    tree = _walk(path)
    watched = tuple(path / place for place in (*tree.folders, *tree.images))  # a new empty folder is a new class
    return Source(name, watched, lambda: _list_folder(path, tree))


def list_tree(tree: Tree) -> tuple[np.ndarray, np.ndarray | None, tuple[str, ...], tuple[str, ...]]:
    """Labels (N,), test part (N,) or None, class names and notes, read off the paths of ``tree``.

    A folder around everything is ignored. Below it: ``train`` with ``test`` or ``val`` folders are parts; each folder
    is a class, in alphabetical order, and images below it, at any depth, are its members; images beside the class
    folders have no label.
    """
    depth = _depth_of_wrapper(tree)
    images = [path.parts[depth:] for path in tree.images]
    folders = {path.parts[depth:] for path in tree.folders} - {()}
    splits = _splits(images, folders)
    held_out = None
    if splits:
        test = choose_test_split({split.lower() for split in splits})
        held_out = np.array([parts[0].lower() in test for parts in images], bool)
        images, folders = [parts[1:] for parts in images], {parts[1:] for parts in folders} - {()}
    class_names = tuple(sorted({parts[0] for parts in folders}))
    ids = {class_name: index for index, class_name in enumerate(class_names)}
    labels = np.array([ids[parts[0]] if len(parts) > 1 else -1 for parts in images], np.int32)
    return labels, held_out, class_names, _other_files_note(tree.num_others)


def is_hidden(parts: Sequence[str]) -> bool:
    """Whether a path's parts name something that systems leave behind: ``.DS_Store``, ``__MACOSX``."""
    return any(part.startswith(".") or part == "__MACOSX" for part in parts)


def _walk(root: Path) -> Tree:
    tree, num_others = Tree([], [], 0), 0
    for folder, subfolders, files in os.walk(root):
        subfolders[:] = sorted(name for name in subfolders if not is_hidden([name]))
        place = PurePosixPath(Path(folder).relative_to(root).as_posix())
        tree.folders.append(place)
        for name in sorted(name for name in files if not is_hidden([name])):
            if Path(name).suffix.lower() in IMAGE_SUFFIXES and Path(folder, name).is_file():
                tree.images.append(place / name)
            else:
                num_others += 1
    return Tree(sorted(tree.images), tree.folders, num_others)


def _list_folder(root: Path, tree: Tree) -> Listing:
    labels, held_out, class_names, notes = list_tree(tree)

    def read(rows: np.ndarray) -> Iterator[Content]:
        return (root / tree.images[row] for row in rows)

    return Listing([str(path) for path in tree.images], labels, held_out, class_names, read, notes)


def _depth_of_wrapper(tree: Tree) -> int:
    """How many folders stand around the first level that has a choice: 1 for ``animals/cat, animals/dog``."""
    depth, folders = 0, {path.parts for path in tree.folders} - {()}
    while all(len(path.parts) > depth + 2 for path in tree.images) and tree.images:
        if len({parts[depth] for parts in folders if len(parts) > depth}) != 1:
            break
        depth += 1
    return depth


def _splits(images: list[tuple[str, ...]], folders: set[tuple[str, ...]]) -> set[str]:
    """The folders that are parts of the set rather than classes: all of the first level, ``train`` among them."""
    first = {parts[0] for parts in folders}
    names = {name.lower() for name in first}
    loose = any(len(parts) == 1 for parts in images)
    return first if "train" in names and len(names) > 1 and names <= SPLITS and not loose else set()


def _other_files_note(num_others: int) -> tuple[str, ...]:
    return (f"{num_others:,} files that are not images by their names were passed over",) if num_others else ()
