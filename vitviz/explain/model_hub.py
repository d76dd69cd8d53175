"""Files of the hub that timm publishes its weights on: from the local cache, or over the network if that is asked for.

Nothing here is called unless a person asked for weights by name, and without ``download`` the network is not touched at all.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitviz.errors import Problem
from vitviz.explain.weight_files import MAX_BYTES

PREFIX = "hf-hub:"
WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")
_PATTERN = re.compile(r"(?P<repository>[\w-][\w.-]*/[\w-][\w.-]*)(@(?P<revision>[\w.-]+))?", re.ASCII)
_MAX_CONFIG = 2**20


@dataclass(frozen=True)
class HubModel:
    """A repository ``owner/name`` of the hub, at a revision (its newest when None)."""

    repository: str
    revision: str | None = None

    def __str__(self) -> str:
        return self.repository + (f"@{self.revision}" if self.revision else "")


def parse_hub_name(name: str) -> HubModel:
    """``hf-hub:owner/name`` or ``hf-hub:owner/name@revision``. Raises Problem for anything else."""
    found = _PATTERN.fullmatch(name.removeprefix(PREFIX))
    if not name.startswith(PREFIX) or found is None:
        raise Problem(f"{name[:100]!r} names no model of the hub", "", f"write {PREFIX}owner/name")
    return HubModel(found["repository"], found["revision"])


def fetch_file(place: HubModel, names: Sequence[str], *, download: bool) -> Path:
    """The first of those files that the repository has, in the local cache.

    Where the cache names a file by its sha256, its content is checked against it.

    Args:
        download: fetch what is not in the cache. Without it the network is never touched.

    Raises: Problem when it is not in the cache, the network fails, none of the files is there, one is above 2 GiB or damaged.
    """
    for name in names:
        path = _download(place, name) if download else _cached(place, name)
        if path is not None:
            _check_content(path, place)
            return path
    if download:
        raise Problem(f"{place} holds nothing that can be read", f"it has no {' or '.join(names)}")
    raise Problem(
        f"{place} is not on this machine",
        "nothing is fetched unasked",
        "allow the download, or give its weights as a file",
    )


def pin(place: HubModel, *, download: bool) -> HubModel:
    """The repository at the very commit that its ``config.json`` is found at, so that all its files are of one state.

    Raises: Problem as :func:`fetch_file`.
    """
    commit = fetch_file(place, ("config.json",), download=download).parent.name
    return HubModel(place.repository, commit if re.fullmatch(r"[0-9a-f]{40}", commit) else place.revision)


def fetch_config(place: HubModel, *, download: bool) -> dict[str, Any]:
    """What ``config.json`` of the repository says, as plain values, unchecked. Raises Problem as :func:`fetch_file`."""
    path = fetch_file(place, ("config.json",), download=download)
    try:
        if path.stat().st_size > _MAX_CONFIG:
            raise ValueError
        config = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise Problem(f"config.json of {place} could not be read") from error
    if not isinstance(config, dict):
        raise Problem(f"config.json of {place} could not be read", "it is no table of settings")
    return config


def _cached(place: HubModel, name: str) -> Path | None:
    """One file of the cache. Not asked of ``hf_hub_download``: even with ``local_files_only`` that sends a request of its own."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(place.repository, name, revision=place.revision)
    return Path(found) if isinstance(found, str) else None


def _download(place: HubModel, name: str) -> Path | None:
    """One file, over the network where the cache has not its newest state; None when the repository has no such file."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    asked = {"repo_id": place.repository, "filename": name, "revision": place.revision}
    try:
        size = hf_hub_download(**asked, dry_run=True).file_size or 0
        if size <= MAX_BYTES:
            return Path(hf_hub_download(**asked))
    except LocalEntryNotFoundError as error:  # what the client raises when there is no connection
        raise _failed(place, error) from error
    except EntryNotFoundError:
        return None
    except Exception as error:  # whatever the network, the disk or the server can do
        raise _failed(place, error) from error
    reason = f"{size / 2**30:.1f} GiB, at most {MAX_BYTES / 2**30:.0f} are read"
    raise Problem(f"{name} of {place} is too large", reason)


def _failed(place: HubModel, error: Exception) -> Problem:
    why = str(error).strip().partition("\n")[0][:200] or type(error).__name__
    return Problem(
        f"{place} could not be fetched", why, "check the name and the network, or give its weights as a file"
    )


def _check_content(path: Path, place: HubModel) -> None:
    wanted = path.resolve().name
    if re.fullmatch(r"[0-9a-f]{64}", wanted) is None:
        return
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != wanted:
        path.resolve().unlink(missing_ok=True)
        raise Problem(
            f"{path.name} of {place} is damaged", "its sha256 is not the one it was published with", "try again"
        )
