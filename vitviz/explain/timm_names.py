"""The names of timm's vision transformers: to search among, to check, and where weights are published for them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from types import ModuleType

from vitviz.errors import Problem
from vitviz.explain.model_hub import PREFIX, WEIGHT_FILES, HubModel, parse_hub_name

_PLAIN = ("vision_transformer", "deit", "eva", "beit", "vision_transformer_relpos")
_FAMILIES = (
    *_PLAIN,
    *(
        "swin_transformer",
        "swin_transformer_v2",
        "swin_transformer_v2_cr",
        "cait",
        "xcit",
        "hiera",
        "pvt_v2",
        "vitamin",
    ),
)


def list_models(search: str = "") -> list[str]:
    """timm's names of vision transformers in which, or in whose published weights' tags, every word of ``search`` occurs.

    Best first: the very name, names that begin with the first word, names that hold all words, the rest; shorter before longer.
    """
    words = search.lower().split()
    ranked = [
        (_rank(name, words), len(name) if words else 0, name)
        for name, tags in square_models().items()
        if all(word in f"{name} {tags}" for word in words)
    ]
    return [name for *_, name in sorted(ranked)]


def list_pretrained(name: str) -> tuple[str, ...]:
    """The tags of the weights that are published for a model and can be fetched, sorted: ``augreg_in21k_ft_in1k``, ..."""
    timm = import_timm()
    full = [one for one in timm.list_pretrained(f"{name}.*") if timm.get_pretrained_cfg(one).hf_hub_id]
    return tuple(sorted(one.partition(".")[2] for one in full))


def list_timm_vits(prefix: str = "") -> list[str]:
    """The names of timm's plain ViTs, which have patch tokens after every block, that begin with ``prefix``, sorted."""
    return sorted(name for name in _names(_PLAIN) if name.startswith(prefix))


def square_models() -> Mapping[str, str]:
    """Every vision transformer of timm that takes square pictures, and the tags of its published weights in one string."""
    return _names(_FAMILIES)


def check_name(name: str, known: Collection[str]) -> None:
    """Raises: Problem unless ``name`` is one of ``known``, naming the nearest, with or without a tag of published weights."""
    base, _, tag = name.partition(".")
    if base not in known:
        near = difflib.get_close_matches(base, known, n=1)
        raise Problem(f"timm has no ViT named {name!r}", "", f"did you mean {near[0]!r}?" if near else "")
    if tag and tag not in list_pretrained(base):
        tags = ", ".join(list_pretrained(base)) or "none"
        raise Problem(f"no weights {tag[:60]!r} are published for {base}", f"those there are: {tags}")


def find_published(name: str) -> tuple[HubModel, tuple[str, ...]]:
    """Where the weights of a name, with or without a tag, are published, and under which file names.

    Raises: Problem when there are none.
    """
    about = import_timm().get_pretrained_cfg(name)
    if not about.hf_hub_id:
        there = ", ".join(list_pretrained(name)) or "none"
        raise Problem(
            f"no weights are published for {name} alone", f"its tags are: {there}", "give a file with weights"
        )
    named = about.hf_hub_filename
    safe = (re.sub(r"pytorch_model\.bin$", "model.safetensors", named), named) if named else WEIGHT_FILES
    return parse_hub_name(f"{PREFIX}{about.hf_hub_id}"), tuple(dict.fromkeys(safe))


def import_timm() -> ModuleType:
    """``import timm``, torchvision repaired before it where that is needed."""
    from vitviz.nn.torchvision_import import import_torchvision

    import_torchvision()
    import timm

    return timm


@lru_cache(maxsize=2)
def _names(families: tuple[str, ...]) -> Mapping[str, str]:
    """Every name of these modules of timm that takes square pictures, and the tags of its weights in one string."""
    timm = import_timm()
    tags: dict[str, str] = {}
    for full in timm.list_pretrained():
        name, _, tag = full.partition(".")
        tags[name] = f"{tags.get(name, '')} {tag}"
    names = [name for family in families for name in timm.list_models(module=family)]
    sizes = {name: timm.get_pretrained_cfg(name).input_size for name in names}
    return {name: tags.get(name, "") for name in names if sizes[name][1] == sizes[name][2]}


def _rank(name: str, words: list[str]) -> int:
    if not words:
        return 0
    if name == "_".join(words):
        return 0
    if name.startswith(words[0]) and all(word in name for word in words):
        return 1
    return 2 if all(word in name for word in words) else 3
