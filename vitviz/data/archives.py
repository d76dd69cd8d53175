"""Zip archives of an image folder. Members are read by index into memory; nothing is ever extracted.

So a member's name is only a label: one that climbs out of the archive (``../x.png``) or is absolute is skipped.
"""

import functools
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np

from vitviz.data.folders import IMAGE_SUFFIXES, Tree, is_hidden, list_tree
from vitviz.data.listing import Content, Listing, Source
from vitviz.errors import Problem

MAX_MEMBERS = 100_000
MAX_MEMBER_BYTES = 20 * 2**20
MAX_TOTAL_BYTES = 4 * 2**30
MAX_RATIO = 200
FREE_BYTES = 2**20
"""A member may inflate to this much at any ratio: a small plain picture compresses well, too."""

_CHUNK = 2**18


def find_zip(path: Path, name: str) -> Source:
    """The image folder inside the zip archive at ``path``."""
    return Source(name, (path,), functools.partial(_list_zip, path))


def _list_zip(path: Path) -> Listing:
    members, tree = _sort_members(path, _read_directory(path))
    labels, held_out, class_names, notes = list_tree(tree)

    def read(rows: np.ndarray) -> Iterator[Content]:
        with zipfile.ZipFile(path) as archive:
            for row in rows:
                yield _read_member(archive, members[row])

    return Listing([member.filename for member in members], labels, held_out, class_names, read, notes)


def _read_directory(path: Path) -> list[zipfile.ZipInfo]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except Exception as error:  # damaged archives raise anything from BadZipFile to struct.error and UnicodeDecodeError
        raise Problem(f"{path.name} could not be read", "it is not a zip archive, or it is damaged") from error
    total = sum(member.file_size for member in members)
    if len(members) > MAX_MEMBERS:
        raise Problem(f"{path.name} is too large", f"{len(members):,} members, and at most {MAX_MEMBERS:,} are read")
    if total > MAX_TOTAL_BYTES:
        raise Problem(f"{path.name} is too large", f"it inflates to {total / 2**30:,.1f} GB, and at most 4 are read")
    if any(member.flag_bits & 1 for member in members):
        raise Problem(f"{path.name} could not be read", "it is protected by a password", "make a zip without one")
    return members


def _sort_members(path: Path, members: list[zipfile.ZipInfo]) -> tuple[list[zipfile.ZipInfo], Tree]:
    """The members that are images, sorted by place, and the tree of their places."""
    images, folders, num_others = {}, set(), 0
    for member in members:
        place = _place(member)
        if is_hidden(place.parts):
            continue
        if member.is_dir():
            folders.add(place)
        elif place.suffix.lower() not in IMAGE_SUFFIXES:
            num_others += 1
        elif place in images:
            raise Problem(f"{path.name} could not be read", f"it holds {member.filename} twice")
        else:
            images[place] = member
            folders.update(place.parents)
    places = sorted(images)
    return [images[place] for place in places], Tree(places, sorted(folders), num_others)


def _place(member: zipfile.ZipInfo) -> PurePosixPath:
    """Where a member stands in the tree; one whose name leaves the archive stands beside the classes, unlabelled."""
    if _escapes(member):
        return PurePosixPath(PurePosixPath(member.filename.replace("\\", "/")).name)
    return PurePosixPath(member.filename)


def _escapes(member: zipfile.ZipInfo) -> bool:
    name = member.filename
    return name.startswith("/") or "\\" in name or ":" in name.split("/")[0] or ".." in name.split("/")


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes | Problem:
    if _escapes(member):
        return Problem(f"{member.filename} was skipped", "its name leads out of the archive")
    if member.file_size > MAX_MEMBER_BYTES:
        return Problem(f"{member.filename} was skipped", "it is larger than 20 MB")
    try:
        return _inflate(archive, member)
    except Problem:
        raise
    except Exception as error:  # zlib.error, BadZipFile, NotImplementedError, EOFError, struct.error ...
        problem = Problem(f"{member.filename} could not be read", "its part of the archive is damaged")
        problem.__cause__ = error
        return problem


def _inflate(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """The content of a member, its ratio checked while it is read. Raises Problem for a zip bomb."""
    content = bytearray()
    with archive.open(member) as file:
        while chunk := file.read(_CHUNK):
            content += chunk
            if len(content) > FREE_BYTES + MAX_RATIO * member.compress_size:
                why = f"{member.filename} inflates more than {MAX_RATIO} times"
                raise Problem(f"{Path(archive.filename).name} is refused", why, "it looks like a zip bomb")
    return bytes(content)
